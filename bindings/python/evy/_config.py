# SPDX-License-Identifier: MIT
"""_config - turns Python values into the options and listeners of one evy_config."""

from __future__ import annotations

import ctypes
import socket
from typing import Any

from evy import _errors, _lib
from evy._lib import lib
from evy._tls import SecureListener



class Config:
    """One evy_config. Ownership: frees it at the end of the `with` block. Thread: one at a time."""

    def __init__(self) -> None:
        self._handle = lib.evy_config_new()
        if not self._handle:
            raise MemoryError("no memory for a configuration")
        self._is_backlog_set = False

    def __enter__(self) -> Config:
        return self

    def __exit__(self, *_: object) -> None:
        lib.evy_config_free(self._handle)
        self._handle = None

    def _check(self, status: int) -> None:
        if status < 0:
            raise _errors.make(status, _lib.text(lib.evy_config_error(self._handle)))

    def set(self, key: str, value: Any) -> None:
        """Sets an option of the library by name: a text as in evy.h ("30s", "64k"), a bool or a number.

        Numbers are bytes for sizes and seconds for times. TypeError: there is no such option;
        ConfigError (a ValueError): it does not take this value.
        """
        name = key.encode()
        kind = lib.evy_option_type(name)
        if kind is None:
            raise TypeError(f"unexpected keyword argument {key!r}: the library has no such option")
        if isinstance(value, (int, float)) and kind == b"time":
            milliseconds = -1 if value < 0 else _in_64_bits(key, value, 1000)
            status = lib.evy_config_set_int(self._handle, name, milliseconds)
        elif isinstance(value, int):
            status = lib.evy_config_set_int(self._handle, name, _in_64_bits(key, value))
        elif isinstance(value, str):
            if "\0" in value:
                raise _errors.ConfigError(f"{key} holds a NUL byte")
            status = lib.evy_config_set(self._handle, name, value.encode())
        else:
            raise TypeError(f"{key} is a {type(value).__name__}, not a text, a bool or a number")
        self._check(status)
        self._is_backlog_set = self._is_backlog_set or key == "backlog"

    def get(self, key: str) -> str:
        """The value as set, or the default, in the library's words."""
        return _lib.text(lib.evy_config_get(self._handle, key.encode()))

    def has(self, key: str) -> bool:
        """The library knows this option."""
        return lib.evy_option_type(key.encode()) is not None

    def listen(self, sock: socket.socket | SecureListener | str) -> None:
        """Serves on a duplicate of this bound socket, over TLS if it came from wrap_ssl; or on an address as
        in evy_config_listen. Errors: ConfigError, ListenError, TypeError."""
        if isinstance(sock, str):
            self._check(lib.evy_config_listen(self._handle, sock.encode(), None))
            return
        if not hasattr(sock, "fileno"):
            raise TypeError(f"a listening socket is needed, not a {type(sock).__name__}")
        if sock.fileno() < 0:
            raise _errors.ConfigError("the listening socket is closed")
        tls = None
        if isinstance(sock, SecureListener):
            tls = sock.tls.handle
        elif hasattr(sock, "do_handshake"):
            # Its context holds a key that cannot be read back, and in clear text it must not be served.
            raise TypeError("a socket wrapped by module ssl cannot be served: wrap it with evy.wrap_ssl")
        self._check(lib.evy_config_listen_fd(self._handle, sock.fileno(), tls))
        if self._is_backlog_set and hasattr(sock, "listen"):
            # The library leaves the queue of a socket that listens already; but this one was asked for.
            sock.listen(int(self.get("backlog")))

    def on_request(self, function: Any) -> None:
        self._check(lib.evy_config_on_request(self._handle, function, None, _lib.NO_DROP))

    def bridge(self, bridge: Any) -> str | None:
        """Has the library call a WSGI application itself, see evy.web._bridge; else the reason why not."""
        # With the interpreter lock held, unlike all other calls; other interpreters have no such thing.
        give = ctypes.PyDLL(_lib.path).evy_config_python
        give.restype = ctypes.c_int32
        give.argtypes = [ctypes.c_void_p, ctypes.py_object]
        status = give(self._handle, bridge)
        return None if status >= 0 else _lib.text(lib.evy_config_error(self._handle))

    def on_log(self, function: Any) -> None:
        self._check(lib.evy_config_on_log(self._handle, function, None, _lib.NO_DROP))

    def on_access(self, function: Any) -> None:
        self._check(lib.evy_config_on_access(self._handle, function, None, _lib.NO_DROP))

    def make_server(self) -> int:
        """A new evy_server: its sockets listen, it is not started yet. The caller frees it."""
        handle = ctypes.c_void_p()
        self._check(lib.evy_server_new(self._handle, ctypes.byref(handle)))
        assert handle.value is not None
        return handle.value


def _in_64_bits(key: str, value: float, factor: int = 1) -> int:
    """ctypes would drop the bits above without a word, so that 2**64 became 0. NaN is refused too."""
    if not -(1 << 63) <= value * factor < 1 << 63:
        raise _errors.ConfigError(f"option {key}: {value!r} is no number that the library can take")
    return round(value * factor)
