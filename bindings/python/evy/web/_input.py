# SPDX-License-Identifier: MIT
"""_input - turns the request body of the library into the file-like object wsgi.input.

A body with a Content-Length is read live, piece by piece, and the first read is what sends 100 Continue. A
chunked one is taken in ahead of the application (memory, then a temporary file), because many applications
trust CONTENT_LENGTH alone and would see no body.
"""

from __future__ import annotations

import ctypes
import io
import tempfile
from ctypes import byref, c_char, c_size_t
from typing import Any, BinaryIO, Protocol

from evy import _errors, _lib
from evy._lib import lib

PIECE_BYTES = 16 << 10
IN_MEMORY_BYTES_MAX = 64 << 10


class Body(Protocol):
    """What an application may call on wsgi.input."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...
    def readlines(self, hint: int = -1, /) -> list[bytes]: ...
    def __iter__(self) -> Any: ...


class LiveBody(io.RawIOBase):
    """Reads straight from a request; every read waits for at least one byte.

    Lifetime: detach() when the request is over; reads raise ValueError from then on.
    """

    def __init__(self, req: int) -> None:
        self._req: int | None = req

    def detach(self) -> None:
        self._req = None

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        """Bytes put into room, 0 at the end. Errors: BodyError; the library's deadlines bound the wait."""
        if self._req is None:
            raise ValueError("read of the body of a request that is over")
        view = memoryview(room)
        if not view.nbytes:
            return 0
        count = lib.evy_body_read(self._req, byref(c_char.from_buffer(view)), view.nbytes, _lib.FOR_EVER)
        if count < 0:
            raise _errors.body_error(count)
        return count

    def readall(self) -> bytes:
        room = bytearray(PIECE_BYTES)
        pieces = []
        while count := self.readinto(room):
            pieces.append(bytes(room[:count]))
        return b"".join(pieces)


def attach(req: int, env: dict[str, Any], is_buffered: bool) -> LiveBody | None:
    """Sets env['wsgi.input'], and CONTENT_LENGTH for a chunked body; what is returned is to be detached.

    is_buffered: the library has the whole body already (option body=buffer). Errors: BodyError.
    """
    is_chunked = env.pop("HTTP_TRANSFER_ENCODING", None) is not None
    if not is_chunked and "CONTENT_LENGTH" not in env:
        env["wsgi.input"] = io.BytesIO()
    elif is_buffered:
        env["wsgi.input"] = io.BytesIO(_whole(req))
    elif not is_chunked:
        live = LiveBody(req)
        env["wsgi.input"] = io.BufferedReader(live, PIECE_BYTES)
        return live
    else:
        body, byte_count = _spooled(LiveBody(req))
        env["wsgi.input"] = body
        env["CONTENT_LENGTH"] = str(byte_count)
    return None


def _whole(req: int) -> bytes:
    byte_count = c_size_t()
    start = lib.evy_body_buffer(req, byref(byte_count))
    return ctypes.string_at(start, byte_count.value) if start else b""


def _spooled(live: LiveBody) -> tuple[BinaryIO, int]:
    """The body from its start, and its length in bytes; beyond 64 KiB it lies in an unlinked file."""
    body: Any = io.BytesIO()
    room = bytearray(PIECE_BYTES)
    byte_count = 0
    while count := live.readinto(room):
        if byte_count <= IN_MEMORY_BYTES_MAX < byte_count + count:
            file = tempfile.TemporaryFile()
            file.write(body.getvalue())
            body = file
        body.write(memoryview(room)[:count])
        byte_count += count
    body.seek(0)
    return body, byte_count
