# SPDX-License-Identifier: MIT
"""_environ - turns the environ of the library into the dict of WSGI, and the outcome into hook-time keys."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from ctypes import byref, c_char_p, c_size_t
from typing import Any

from evy import _lib
from evy._lib import lib
from evy.web._files import FileWrapper

# What a request brings, but a program that knows better (behind a proxy) may say otherwise.
OVERRIDABLE = ("wsgi.url_scheme", "HTTPS")
# The ancestors' names of keys, behind "eventlet." and "evy." alike.
ALIASED = ("posthooks", "input", "minimum_write_chunk_size", "set_idle")


class Environ:
    """Makes the environ of each request.

    extra: the caller's own keys, of any type; they win over the constants below, and the request's keys win
    over them. is_threaded: applications may run side by side. holds_nul: %00 is allowed in paths, so the flat
    block, which ends values at NUL, cannot be used. is_compat: with the ancestors' keys as well.
    """

    def __init__(
        self,
        extra: Mapping[str, Any] | None,
        *,
        is_threaded: bool,
        holds_nul: bool,
        is_compat: bool,
        piece_bytes_min: int,
    ) -> None:
        self.base: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr or open(os.devnull, "w"),
            "wsgi.multithread": is_threaded,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "evy.minimum_write_chunk_size": piece_bytes_min,
            "evy.trailers": (),
        }
        if is_compat:
            self.base["CONTENT_TYPE"] = "text/plain"
        if extra is not None:
            if not isinstance(extra, Mapping) or not all(isinstance(key, str) for key in extra):
                raise TypeError("environ has to be a dict whose keys are str")
            self.base.update(extra)
        self.overrides = {key: self.base[key] for key in OVERRIDABLE if key in self.base}
        self._pairs = _walked if holds_nul else _block
        self._is_compat = is_compat

    def make(self, req: int) -> dict[str, Any]:
        """A fresh dict, without wsgi.input and what is bound to the request."""
        env = self.base.copy()
        env.update(self._pairs(req))
        if self.overrides:
            env.update(self.overrides)
        env["evy.headers_raw"] = _headers(req)
        env["evy.posthooks"] = []
        if self._is_compat:
            env["headers_raw"] = env["evy.headers_raw"]
            if not env["QUERY_STRING"] and "?" not in env["RAW_URI"]:
                del env["QUERY_STRING"]
        return env

    def bind(self, env: dict[str, Any], exchange: Any) -> None:
        """The functions of a request, once wsgi.input is there."""
        env["evy.client_disconnected"] = exchange.client_disconnected
        env["evy.set_idle"] = exchange.set_idle
        env["evy.take_socket"] = exchange.take_socket
        env["wsgi.early_hints"] = exchange.early_hints
        if self._is_compat:
            for name in ALIASED:
                env["eventlet." + name] = env["evy." + name]


def _block(req: int) -> Any:
    byte_count = c_size_t()
    start = lib.evy_env_block(req, byref(byte_count))
    if not start:
        raise MemoryError("no memory for the environ of a request")
    return _lib.pairs(ctypes.string_at(start, byte_count.value))


def _walked(req: int) -> Any:
    name, byte_count = c_char_p(), c_size_t()
    for index in range(lib.evy_env_count(req)):
        start = lib.evy_env_at(req, index, byref(name), byref(byte_count))
        if start and name.value is not None:
            yield name.value.decode("latin-1"), ctypes.string_at(start, byte_count.value).decode("latin-1")


def _headers(req: int) -> tuple[tuple[str, str], ...]:
    byte_count = c_size_t()
    start = lib.evy_req_headers(req, byref(byte_count))
    return tuple(_lib.pairs(ctypes.string_at(start, byte_count.value))) if start else ()


def outcome(req: int) -> dict[str, Any]:
    """How a request ended, for its hooks; counts are what the kernel took, before TLS.

    evy.status             sent, 0 if none
    evy.head_bytes         head, 1xx answers and chunk framing
    evy.body_bytes         body without framing
    evy.bytes_sent         both
    evy.bytes_acked        the part of bytes_sent that the client's TCP has acknowledged; None: not known
    evy.aborted            None: complete; else why not, such as "client-reset"
    evy.content_length     promised length of the body; None: none was
    evy.bytes_received     of the request's body, without framing
    evy.wire_received      of the whole request
    evy.wall_seconds       from the complete request head to the end
    evy.first_byte_seconds from there to the first byte of the answer; None: there was none
    evy.requests_on_connection  how many requests this connection has brought, 1 and more
    evy.kept_alive         the connection goes on
    """

    def stat(what: int) -> int:
        return int(lib.evy_req_stat(req, what))

    def known(what: int) -> int | None:
        number = stat(what)
        return None if number < 0 else number

    end = stat(_lib.STAT_END)
    first_byte = known(_lib.STAT_US_FIRST_BYTE)
    return {
        "evy.status": stat(_lib.STAT_STATUS),
        "evy.head_bytes": stat(_lib.STAT_HEAD_OUT),
        "evy.body_bytes": stat(_lib.STAT_BODY_OUT),
        "evy.bytes_sent": stat(_lib.STAT_WIRE_OUT),
        "evy.bytes_acked": known(_lib.STAT_ACKED),
        "evy.aborted": None if end == 0 else _lib.text(lib.evy_end_name(end)),
        "evy.content_length": known(_lib.STAT_CONTENT_LENGTH),
        "evy.bytes_received": stat(_lib.STAT_BODY_IN),
        "evy.wire_received": stat(_lib.STAT_WIRE_IN),
        "evy.wall_seconds": stat(_lib.STAT_US_TOTAL) / 1e6,
        "evy.first_byte_seconds": None if first_byte is None else first_byte / 1e6,
        "evy.requests_on_connection": stat(_lib.STAT_REQUESTS),
        "evy.kept_alive": stat(_lib.STAT_KEPT_ALIVE) == 1,
    }
