# SPDX-License-Identifier: MIT
"""_environ - turns the environ of the library into the dict of WSGI, and the outcome into hook-time keys."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from ctypes import byref, c_char_p, c_size_t
from typing import Any

from evy import _lib
from evy._lib import lib

# What a request brings, but a program that knows better (behind a proxy) may say otherwise.
_OVERRIDABLE = ("wsgi.url_scheme", "HTTPS")


class Environ:
    """Makes the environ of each request.

    extra: the caller's own keys, of any type; they win over the constants below, and the request's keys win
    over them. is_threaded: applications may run side by side. holds_nul: %00 is allowed in paths, so the flat
    block, which ends values at NUL, cannot be used.
    """

    def __init__(self, extra: Mapping[str, Any] | None, is_threaded: bool, holds_nul: bool) -> None:
        self._base: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": is_threaded,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        self._base.update(extra or {})
        self._overrides = {key: self._base[key] for key in _OVERRIDABLE if key in self._base}
        self._pairs = _walked if holds_nul else _block

    def make(self, req: int) -> dict[str, Any]:
        """A fresh dict, without wsgi.input."""
        env = self._base.copy()
        env.update(self._pairs(req))
        if self._overrides:
            env.update(self._overrides)
        env["evy.posthooks"] = []
        return env


def _block(req: int) -> Any:
    byte_count = c_size_t()
    start = lib.evy_env_block(req, byref(byte_count))
    if not start:
        raise MemoryError("no memory for the environ of a request")
    parts = ctypes.string_at(start, byte_count.value).decode("latin-1").split("\0")
    return zip(parts[0::2], parts[1::2])


def _walked(req: int) -> Any:
    name, byte_count = c_char_p(), c_size_t()
    for index in range(lib.evy_env_count(req)):
        start = lib.evy_env_at(req, index, byref(name), byref(byte_count))
        if start and name.value is not None:
            yield name.value.decode("latin-1"), ctypes.string_at(start, byte_count.value).decode("latin-1")


def outcome(req: int) -> dict[str, Any]:
    """How a request ended, for its hooks; counts are what the kernel took, before TLS.

    evy.status            sent, 0 if none
    evy.head_bytes        head, 100 Continue and chunk framing
    evy.body_bytes        body without framing
    evy.bytes_sent        both
    evy.bytes_acked       the part of bytes_sent that the client's TCP has acknowledged; None: not known
    evy.aborted           None: complete; else why not, such as "client-reset"
    evy.content_length    promised length of the body; None: none was
    evy.bytes_received    of the request's body, without framing
    evy.wall_seconds      from the complete request head to the end
    """

    def stat(what: int) -> int:
        return lib.evy_req_stat(req, what)

    def known(what: int) -> int | None:
        number = stat(what)
        return None if number < 0 else number

    end = stat(_lib.STAT_END)
    return {
        "evy.status": stat(_lib.STAT_STATUS),
        "evy.head_bytes": stat(_lib.STAT_HEAD_OUT),
        "evy.body_bytes": stat(_lib.STAT_BODY_OUT),
        "evy.bytes_sent": stat(_lib.STAT_WIRE_OUT),
        "evy.bytes_acked": known(_lib.STAT_ACKED),
        "evy.aborted": None if end == 0 else _lib.text(lib.evy_end_name(end)),
        "evy.content_length": known(_lib.STAT_CONTENT_LENGTH),
        "evy.bytes_received": stat(_lib.STAT_BODY_IN),
        "evy.wall_seconds": stat(_lib.STAT_US_TOTAL) / 1e6,
    }
