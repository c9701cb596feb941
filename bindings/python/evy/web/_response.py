# SPDX-License-Identifier: MIT
"""_response - turns what a WSGI application says and yields into calls on one request. Spec: PEP 3333."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from evy import _errors, _lib
from evy._lib import lib

_STATUS = re.compile(r"([2-5][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?\Z")


@lru_cache(maxsize=256)
def _status_line(status: str) -> tuple[int, bytes | None]:
    """Number and phrase of "200 OK"; None: the library's own phrase."""
    match = _STATUS.match(status)
    if match is None:
        raise ValueError(f"status {status!r}: it has to be like '200 OK', from 200 to 599")
    return int(match[1]), match[2].encode("latin-1") if match[2] else None


@lru_cache(maxsize=1024)
def _capitalized(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _field_block(headers: Iterable[tuple[str, str]], capitalizes: bool) -> bytes:
    """name NUL value NUL name NUL value, checked so that no value can pretend to be another field."""
    parts: list[str] = []
    for name, value in headers:
        parts.append(_capitalized(name) if capitalizes else name)
        parts.append(value)
    if not parts:
        return b""
    block = "\0".join(parts)
    if block.count("\0") != len(parts) - 1 or "\r" in block or "\n" in block:
        raise ValueError("a response header holds CR, LF or NUL")
    # The last NUL keeps an empty last value from looking like a name without one.
    return (block + "\0").encode("latin-1")


def body_bytes(piece: Any) -> bytes:
    """One item of a body. str is taken as the ancestors did, if it is ASCII; PEP 3333 wants bytes."""
    if type(piece) is bytes:
        return piece
    if isinstance(piece, str):
        warnings.warn("a WSGI body should be bytes, not str", DeprecationWarning, stacklevel=2)
        return piece.encode("ascii")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"an item of a WSGI body has to be bytes, not {type(piece).__name__}")


class Response:
    """The answer to one request: nothing goes out before the first byte of its body, or its end.

    piece_bytes_min: smaller pieces are joined until so many bytes wait; 0: each goes out at once.
    Thread: the application's. Lifetime: the handler call.
    """

    __slots__ = (
        "_capitalizes",
        "_fields",
        "_is_head",
        "_piece_bytes_min",
        "_reason",
        "_req",
        "_status",
        "_waiting",
        "has_begun",
        "has_ended",
    )

    def __init__(self, req: int, is_head: bool, capitalizes: bool, piece_bytes_min: int) -> None:
        self._req = req
        self._is_head = is_head
        self._capitalizes = capitalizes
        self._piece_bytes_min = piece_bytes_min
        self._status = 0
        self._reason: bytes | None = None
        self._fields: bytes | None = None
        self._waiting: list[bytes] = []
        self.has_begun = False
        self.has_ended = False

    def start(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """start_response of PEP 3333. Errors: AssertionError, ValueError, TypeError."""
        if exc_info is not None:
            try:
                if self.has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # else its frames and this one would keep each other alive
        elif self._fields is not None:
            raise AssertionError("start_response() was called twice without exc_info")
        number, reason = _status_line(status)
        fields = _field_block(headers, self._capitalizes)
        self._status, self._reason, self._fields = number, reason, fields
        return self.write

    def write(self, piece: Any) -> None:
        """The write() of PEP 3333. Errors: ClientGone, when there is nobody left to send to."""
        self._check_started("write()")
        self._send(body_bytes(piece))

    def run(self, result: Any) -> None:
        """Sends what the application returned, to its end. Errors: ClientGone, and the application's own."""
        if hasattr(result, "__len__"):
            whole = b"".join([body_bytes(piece) for piece in result])
            self._check_started("the end of the body")
            # An empty answer to HEAD says nothing about the length that GET would have.
            if not self.has_begun and not self._waiting and (whole or not self._is_head):
                self._respond(whole)
                return
            self._send(whole)
        else:
            for item in result:
                piece = body_bytes(item)
                if piece:
                    self._check_started("the first piece of the body")
                    self._send(piece)
            self._check_started("the end of the body")
        self._finish()

    def fail(self, status: str, text: str) -> None:
        """A whole answer that ends the connection, in place of the application's; not after has_begun."""
        self._status, self._reason = _status_line(status)
        self._fields = b"Content-Type\0text/plain\0Connection\0close\0"
        self._waiting = []
        body = text.encode("utf-8", "replace")
        self.has_begun = self.has_ended = True
        self._check(
            lib.evy_respond(
                self._req, self._status, self._reason, self._fields, len(self._fields), body, len(body)
            )
        )

    # What follows puts bytes on their way.

    def _check_started(self, what: str) -> None:
        if self._fields is None:
            raise AssertionError(f"{what} before start_response()")

    def _respond(self, body: bytes) -> None:
        fields = self._fields or b""
        status = lib.evy_respond(self._req, self._status, self._reason, fields, len(fields), body, len(body))
        if status == _lib.E_FIELD:
            # A Content-Length that is not the body's: streamed, it is kept, and the body cut to it.
            self._send(body)
            self._finish()
            return
        self._check(status)
        self.has_begun = self.has_ended = True

    def _begin(self) -> None:
        fields = self._fields or b""
        self._check(lib.evy_resp_begin(self._req, self._status, self._reason, fields, len(fields), -1))
        self.has_begun = True

    def _send(self, piece: bytes) -> None:
        if self._piece_bytes_min:
            self._waiting.append(piece)
            if sum(map(len, self._waiting)) < self._piece_bytes_min:
                return
            piece = b"".join(self._waiting)
            self._waiting = []
        if piece:
            self._put(piece)

    def _put(self, piece: bytes) -> None:
        if not self.has_begun:
            self._begin()
        self._check(lib.evy_resp_write(self._req, piece, len(piece), _lib.FOR_EVER))

    def _finish(self) -> None:
        if self._waiting:
            waiting, self._waiting = b"".join(self._waiting), []
            self._put(waiting)
        if not self.has_begun:
            self._begin()
        self.has_ended = True
        self._check(lib.evy_resp_end(self._req, None, 0))

    def _check(self, status: int) -> None:
        if status >= 0:
            return
        reason = _lib.text(lib.evy_strerror(status))
        if status in (_lib.E_GONE, _lib.E_TIMEOUT):
            self.has_begun = self.has_ended = True
            gone = _errors.ClientGone(reason)
            gone.name = _lib.text(lib.evy_strname(status))
            raise gone
        if status in (_lib.E_FIELD, _lib.E_ARG):
            raise ValueError(f"the response head was refused: {reason}")
        raise _errors.make(status)
