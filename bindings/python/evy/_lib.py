# SPDX-License-Identifier: MIT
"""_lib - finds libevy and gives every function of evy.h its Python types, in one table.

Where the library is looked for: the file named by EVY_LIBRARY (then nowhere else), this package's folder,
`libevy.so.0` by the dynamic linker, and what ctypes.util.find_library finds. A call releases the GIL.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

SONAME = "libevy.so.0"

# Callbacks of evy.h. The lender keeps the Python object alive until the library has finished with it.
DropFunction = CFUNCTYPE(None, c_void_p)
HandlerFunction = CFUNCTYPE(None, c_void_p, c_void_p)
LogFunction = CFUNCTYPE(None, c_void_p, c_int32, c_void_p, c_size_t)
AccessFunction = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_size_t)
BodyFunction = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_size_t, c_int32)
TaskFunction = CFUNCTYPE(None, c_void_p)


class Slice(Structure):
    """evy_slice."""

    _fields_ = (("data", c_char_p), ("len", c_size_t))


_size_out = POINTER(c_size_t)
_handle_out = POINTER(c_void_p)

# name: (result, arguments); texts are c_char_p, handles and memory c_void_p.
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    # library
    "evy_version": (c_uint32, []),
    "evy_version_string": (c_char_p, []),
    "evy_feature": (c_int32, [c_char_p]),
    "evy_strerror": (c_char_p, [c_int32]),
    "evy_strname": (c_char_p, [c_int32]),
    # options
    "evy_config_new": (c_void_p, []),
    "evy_config_free": (None, [c_void_p]),
    "evy_config_set": (c_int32, [c_void_p, c_char_p, c_char_p]),
    "evy_config_set_int": (c_int32, [c_void_p, c_char_p, c_int64]),
    "evy_config_get": (c_char_p, [c_void_p, c_char_p]),
    "evy_config_error": (c_char_p, [c_void_p]),
    "evy_option_name": (c_char_p, [c_uint32]),
    "evy_option_type": (c_char_p, [c_char_p]),
    "evy_option_default": (c_char_p, [c_char_p]),
    "evy_option_help": (c_char_p, [c_char_p]),
    "evy_config_env": (c_int32, [c_void_p, c_char_p, c_char_p]),
    "evy_config_listen": (c_int32, [c_void_p, c_char_p, c_void_p]),
    "evy_config_listen_fd": (c_int32, [c_void_p, c_int, c_void_p]),
    # TLS
    "evy_tls_new": (c_void_p, []),
    "evy_tls_free": (None, [c_void_p]),
    "evy_tls_cert_file": (c_int32, [c_void_p, c_char_p, c_char_p, c_char_p, c_char_p]),
    "evy_tls_cert_mem": (
        c_int32,
        [c_void_p, c_char_p, c_void_p, c_size_t, c_void_p, c_size_t, c_char_p],
    ),
    "evy_tls_client_ca_file": (c_int32, [c_void_p, c_int32, c_char_p]),
    "evy_tls_client_ca_mem": (c_int32, [c_void_p, c_int32, c_void_p, c_size_t]),
    "evy_tls_set": (c_int32, [c_void_p, c_char_p, c_char_p]),
    "evy_tls_reload": (c_int32, [c_void_p]),
    "evy_tls_error": (c_char_p, [c_void_p]),
    # what the host supplies
    "evy_config_on_request": (c_int32, [c_void_p, HandlerFunction, c_void_p, DropFunction]),
    "evy_config_on_log": (c_int32, [c_void_p, LogFunction, c_void_p, DropFunction]),
    "evy_config_on_access": (c_int32, [c_void_p, AccessFunction, c_void_p, DropFunction]),
    # server
    "evy_server_new": (c_int32, [c_void_p, _handle_out]),
    "evy_server_start": (c_int32, [c_void_p]),
    "evy_server_run": (c_int32, [c_void_p]),
    "evy_server_stop": (c_int32, [c_void_p, c_int64]),
    "evy_server_wait": (c_int32, [c_void_p, c_int64]),
    "evy_server_free": (None, [c_void_p]),
    "evy_server_error": (c_char_p, [c_void_p]),
    "evy_server_port": (c_int32, [c_void_p, c_uint32]),
    "evy_server_address": (c_char_p, [c_void_p, c_uint32]),
    # loops and threads of the host
    "evy_server_fd": (c_int, [c_void_p]),
    "evy_server_deadline": (c_int64, [c_void_p]),
    "evy_server_step": (c_int32, [c_void_p, c_int64]),
    "evy_server_work": (c_int32, [c_void_p]),
    "evy_server_short": (c_int32, [c_void_p, c_int64]),
    "evy_server_next": (c_int32, [c_void_p, c_int64, POINTER(c_int32), _handle_out]),
    "evy_wake": (None, [c_void_p]),
    # tasks and timers
    "evy_loop_post": (c_int32, [c_void_p, c_void_p, TaskFunction, c_void_p, DropFunction]),
    "evy_timer_start": (c_int64, [c_void_p, c_int64, c_int64, TaskFunction, c_void_p, DropFunction]),
    "evy_timer_stop": (c_int32, [c_void_p, c_int64]),
    # seeing inside
    "evy_server_counters": (c_uint32, [c_void_p, POINTER(c_int64), c_uint32]),
    "evy_counter_name": (c_char_p, [c_uint32]),
    "evy_counter_type": (c_char_p, [c_uint32]),
    "evy_counter_help": (c_char_p, [c_uint32]),
    "evy_server_metrics": (c_int64, [c_void_p, c_char_p, c_size_t]),
    "evy_server_log": (c_int32, [c_void_p, c_int32, c_char_p, c_size_t]),
    "evy_server_reopen_logs": (c_int32, [c_void_p]),
    "evy_server_set_log_level": (c_int32, [c_void_p, c_int32]),
    "evy_server_log_level": (c_int32, [c_void_p]),
    # request: environ
    "evy_env_get": (c_void_p, [c_void_p, c_char_p, _size_out]),
    "evy_env_count": (c_uint32, [c_void_p]),
    "evy_env_at": (c_void_p, [c_void_p, c_uint32, POINTER(c_char_p), _size_out]),
    "evy_env_block": (c_void_p, [c_void_p, _size_out]),
    "evy_env_set": (c_int32, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "evy_req_headers": (c_void_p, [c_void_p, _size_out]),
    "evy_req_server": (c_void_p, [c_void_p]),
    "evy_req_id": (c_uint64, [c_void_p]),
    "evy_req_set_user": (None, [c_void_p, c_void_p]),
    "evy_req_user": (c_void_p, [c_void_p]),
    "evy_req_retain": (None, [c_void_p]),
    "evy_req_release": (None, [c_void_p]),
    "evy_req_gone": (c_int32, [c_void_p]),
    # request body
    "evy_body_length": (c_int64, [c_void_p]),
    "evy_body_buffer": (c_void_p, [c_void_p, _size_out]),
    "evy_body_read": (c_int64, [c_void_p, c_void_p, c_size_t, c_int64]),
    "evy_body_on_data": (c_int32, [c_void_p, BodyFunction, c_void_p, DropFunction]),
    "evy_body_pause": (c_int32, [c_void_p, c_int32]),
    "evy_body_trailers": (c_void_p, [c_void_p, _size_out]),
    # response
    "evy_respond": (c_int32, [c_void_p, c_int32, c_char_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "evy_resp_begin": (c_int32, [c_void_p, c_int32, c_char_p, c_char_p, c_size_t, c_int64]),
    "evy_resp_write": (c_int32, [c_void_p, c_char_p, c_size_t, c_int64]),
    "evy_resp_end": (c_int32, [c_void_p, c_char_p, c_size_t]),
    "evy_resp_abort": (c_int32, [c_void_p]),
    "evy_inform": (c_int32, [c_void_p, c_int32, c_char_p, c_size_t]),
    "evy_resp_flush": (c_int32, [c_void_p]),
    "evy_resp_writev": (c_int32, [c_void_p, POINTER(Slice), c_size_t, c_int64]),
    "evy_respond_ref": (
        c_int32,
        [c_void_p, c_int32, c_char_p, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p, DropFunction],
    ),
    "evy_resp_write_ref": (c_int32, [c_void_p, c_char_p, c_size_t, c_void_p, DropFunction]),
    "evy_resp_file": (c_int32, [c_void_p, c_int, c_int64, c_int64]),
    "evy_resp_on_writable": (c_int32, [c_void_p, HandlerFunction, c_void_p, DropFunction]),
    "evy_req_on_gone": (c_int32, [c_void_p, HandlerFunction, c_void_p, DropFunction]),
    "evy_req_take_socket": (c_int32, [c_void_p, POINTER(c_int)]),
    # post hooks and the outcome
    "evy_posthook_add": (c_int32, [c_void_p, HandlerFunction, c_void_p, DropFunction]),
    "evy_req_stat": (c_int64, [c_void_p, c_int32]),
    "evy_end_name": (c_char_p, [c_int32]),
}

# evy_status
OK, FULL, END = 0, 1, 2
E_ARG, E_NOMEM, E_STATE, E_AGAIN, E_TIMEOUT, E_GONE, E_LIMIT = -1, -2, -3, -4, -5, -6, -7
E_OPTION, E_VALUE, E_FIELD, E_PROTOCOL, E_BIND, E_TLS, E_IO = -8, -9, -10, -11, -12, -13, -14
E_FORKED = -15

# EVY_STAT_*
STAT_STATUS, STAT_END, STAT_HEAD_OUT, STAT_BODY_OUT, STAT_WIRE_OUT, STAT_ACKED = range(6)
STAT_CONTENT_LENGTH, STAT_BODY_IN, STAT_WIRE_IN, STAT_US_TOTAL = range(6, 10)
STAT_US_FIRST_BYTE, STAT_REQUESTS, STAT_KEPT_ALIVE, STAT_TLS = range(10, 14)

# EVY_VERIFY_*
VERIFY_NONE, VERIFY_OPTIONAL, VERIFY_REQUIRE = range(3)

# EVY_LOG_*
LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG = 1, 2, 3, 4

FOR_EVER = -1


def _candidates() -> Iterator[str]:
    named = os.environ.get("EVY_LIBRARY")
    if named:
        yield named
        return
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libevy.so")
    if os.path.exists(beside):
        yield beside
    yield SONAME
    found = ctypes.util.find_library("evy")
    if found:
        yield found


def _load() -> tuple[ctypes.CDLL, str]:
    """The library with its signatures, and the name it was found by; ImportError says what was tried."""
    failures = []
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
            for function, (result, arguments) in SIGNATURES.items():
                entry = getattr(library, function)
                entry.restype = result
                entry.argtypes = arguments
        except (OSError, AttributeError) as error:
            failures.append(f"{name}: {error}")
        else:
            return library, name
    raise ImportError("cannot load libevy:\n  " + "\n  ".join(failures))


lib, path = _load()

NO_DROP = DropFunction()


def pairs(block: bytes) -> Iterator[tuple[str, str]]:
    """The pairs of an R4 block, as latin-1."""
    parts = block.decode("latin-1").split("\0")
    return zip(parts[0::2], parts[1::2])


def text(value: bytes | None) -> str:
    """A text lent by the library."""
    return "" if value is None else value.decode("utf-8", "replace")


def refuse_subinterpreter() -> None:
    """RuntimeError in a subinterpreter of CPython: a callback of ctypes runs in the main interpreter, with
    the objects of another one."""
    if sys.implementation.name != "cpython":
        return
    current = ctypes.pythonapi.PyInterpreterState_Get
    current.restype = c_void_p
    number = ctypes.pythonapi.PyInterpreterState_GetID
    number.restype, number.argtypes = c_int64, [c_void_p]
    identity = number(current())
    if identity != 0:
        raise RuntimeError(
            f"this is subinterpreter {identity}: evy serves in the main interpreter of a process alone"
        )


def version() -> str:
    """The loaded library's version, for example "0.1.0 (OpenSSL 3.0.19, epoll)"."""
    return text(lib.evy_version_string())
