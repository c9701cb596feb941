# SPDX-License-Identifier: MIT
"""_errors - turns statuses of the library into exceptions that Python programs already know how to catch."""

from __future__ import annotations

import errno
import ssl

from evy import _lib


class Error(Exception):
    """Anything that evy itself refuses or fails at. `name` is the status of evy.h, such as "EVY_E_TLS"."""

    name = "EVY_E_INTERNAL"


class ConfigError(Error, ValueError):
    """An option, an address or a socket that cannot be used."""


class StateError(Error, RuntimeError):
    """Not allowed now: started twice, waited for by one of its own handlers, or a request that is over."""


class TLSError(Error, ssl.SSLError):
    """A certificate, a key or a TLS policy that cannot be used; the text names it."""

    def __str__(self) -> str:
        return str(self.args[-1])


class ListenError(Error, OSError):
    """An address in use, denied, or not resolvable."""


class LogError(Error, OSError):
    """The file of a log that cannot be opened; the text names it."""


class ClientGone(Error, ConnectionError):
    """The client has left, has stopped reading, or was cut off: nothing more can be sent to it."""


class BodyError(Error, OSError):
    """The request body ended early. `status` is the answer that fits; None: the client has gone."""

    status: int | None = None


class SpoolError(BodyError):
    """The request body found no room in a temporary file: the disk is full, or no descriptor was left."""


class ChunkReadError(BodyError, ValueError):
    """The chunks of a chunked request body are broken."""


# E_AGAIN: no thread can be had that would read on while the application waits.
_BODY_STATUS = {_lib.E_TIMEOUT: 408, _lib.E_LIMIT: 413, _lib.E_PROTOCOL: 400, _lib.E_AGAIN: 503}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLASSES = {
    _lib.E_ARG: ConfigError,
    _lib.E_OPTION: ConfigError,
    _lib.E_VALUE: ConfigError,
    _lib.E_FIELD: ConfigError,
    _lib.E_STATE: StateError,
    _lib.E_FORKED: StateError,
    _lib.E_GONE: ClientGone,
    _lib.E_TIMEOUT: ClientGone,
    _lib.E_TLS: TLSError,
    _lib.E_BIND: ListenError,
    _lib.E_IO: LogError,
}


def make(status: int, reason: str = "") -> Exception:
    """The exception for a status < 0; reason is the detailed text of the object that failed."""
    reason = reason or _lib.text(_lib.lib.evy_strerror(status))
    if status == _lib.E_NOMEM:
        return MemoryError(reason)
    error = _CLASSES.get(status, Error)(reason)
    error.name = _lib.text(_lib.lib.evy_strname(status))
    return error


def body_error(status: int) -> BodyError:
    """What reading the request body raises for a status < 0."""
    kind = ChunkReadError if status == _lib.E_PROTOCOL else BodyError
    error = kind(f"request body: {_lib.text(_lib.lib.evy_strerror(status))}")
    error.name = _lib.text(_lib.lib.evy_strname(status))
    error.status = _BODY_STATUS.get(status)
    return error


def spool_error(cause: OSError) -> SpoolError:
    """For a temporary file that cannot be made or written; `status` is 507 where that is for lack of room."""
    error = SpoolError(cause.errno, f"request body: {cause.strerror or cause}")
    error.name = "EVY_E_IO"
    error.status = 507 if cause.errno in _FULL else 503
    return error
