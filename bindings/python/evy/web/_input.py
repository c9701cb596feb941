# SPDX-License-Identifier: MIT
"""_input - turns the request body of the library into the file-like object wsgi.input.

A body with a Content-Length is read live, piece by piece, and the first read is what sends 100 Continue. A
chunked one is taken in ahead of the application (memory, then a temporary file), because many applications
trust CONTENT_LENGTH alone and would see no body; chunked_input='stream' leaves it live too.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import socket
import tempfile
from collections.abc import Iterable
from ctypes import byref, c_size_t
from typing import Any, Protocol, cast

from evy import _errors, _lib
from evy._lib import lib
from evy.web._exchange import Exchange

PIECE_BYTES = 16 << 10
IN_MEMORY_BYTES_MAX = 64 << 10


class Body(Protocol):
    """What an application may call on wsgi.input. Errors of reading: BodyError (an OSError)."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...
    def readlines(self, hint: int = -1, /) -> list[bytes]: ...
    def readinto(self, room: Any, /) -> int: ...
    def __iter__(self) -> Any: ...
    def get_socket(self) -> socket.socket: ...
    def set_hundred_continue_response_headers(
        self, headers: Iterable[tuple[str, str]], capitalize_response_headers: bool = True
    ) -> None: ...
    def send_hundred_continue_response(self) -> None: ...


class _Beside:
    """What the ancestors put on wsgi.input besides reading."""

    __slots__ = ()
    exchange: Exchange

    def get_socket(self) -> socket.socket:
        """As env['evy.take_socket'](), under the ancestors' name."""
        return self.exchange.take_socket()

    def set_hundred_continue_response_headers(
        self, headers: Iterable[tuple[str, str]], capitalize_response_headers: bool = True
    ) -> None:
        """Headers of 100 Continue, which goes out at the first read if the client waits for it."""
        self.exchange.continue_headers = list(headers), capitalize_response_headers

    def send_hundred_continue_response(self) -> None:
        """Sends 100 Continue now, with the headers set; any number of times, until the answer begins."""
        self.exchange.send_continue()


class EmptyInput(_Beside):
    """No body, at its end from the beginning. It has no state, so that it can serve many requests."""

    __slots__ = ("exchange",)
    closed = False

    def read(self, size: int | None = -1, /) -> bytes:
        return b""

    read1 = readline = read

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        return []

    def readinto(self, room: Any, /) -> int:
        return 0

    def __iter__(self) -> EmptyInput:
        return self

    def __next__(self) -> bytes:
        raise StopIteration

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    seekable = writable

    def flush(self) -> None:
        """Nothing waits."""

    close = flush


class MemoryInput(_Beside, io.BytesIO):
    """A body that is here as a whole."""

    __slots__ = ("exchange",)


class StreamInput(_Beside, io.BufferedReader):
    """A body that is read from the connection, or from a temporary file."""


class LiveBody(io.RawIOBase):
    """Reads straight from a request; every read waits for at least one byte.

    Lifetime: the handler's; reads raise ValueError later.
    """

    def __init__(self, exchange: Exchange, waits_for_continue: bool = False) -> None:
        self._exchange = exchange
        self._waits_for_continue = waits_for_continue

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        """Bytes put into room, 0 at the end. Errors: BodyError; the library's deadlines bound the wait."""
        if self._waits_for_continue:
            self._waits_for_continue = False
            # Without headers the library sends it by itself.
            if self._exchange.continue_headers is not None:
                self._exchange.send_continue()
        return self._exchange.read_body(room)

    def readall(self) -> bytes:
        room = bytearray(PIECE_BYTES)
        pieces = []
        while count := self.readinto(room):
            pieces.append(bytes(room[:count]))
        return b"".join(pieces)


def attach(exchange: Exchange, env: dict[str, Any], *, is_buffered: bool, streams_chunks: bool) -> None:
    """Sets env['wsgi.input'], and CONTENT_LENGTH for a chunked body that is taken in whole.

    is_buffered: the library may have the whole body already (options body=buffer and auto).
    Errors: BodyError.
    """
    is_chunked = "HTTP_TRANSFER_ENCODING" in env
    body: EmptyInput | MemoryInput | StreamInput
    if not is_chunked and env.get("CONTENT_LENGTH", "0") == "0":
        body = EmptyInput()
    elif is_buffered and (whole := _whole(exchange)) is not None:
        # What was chunked has a CONTENT_LENGTH here.
        body = MemoryInput(whole)
        env["evy.trailers"] = trailers(exchange)
    elif is_chunked and not streams_chunks:
        body, byte_count = _spooled(LiveBody(exchange))
        del env["HTTP_TRANSFER_ENCODING"]
        env["CONTENT_LENGTH"] = str(byte_count)
        env["evy.trailers"] = trailers(exchange)
    else:
        live = LiveBody(exchange, env.get("HTTP_EXPECT", "").lower() == "100-continue")
        body = StreamInput(cast(io.RawIOBase, live), PIECE_BYTES)
    body.exchange = exchange
    env["wsgi.input"] = env["evy.input"] = body


def _whole(exchange: Exchange) -> bytes | None:
    """The body that the library has taken; None: it has to be read."""
    byte_count = c_size_t()
    start = exchange.call(lib.evy_body_buffer, byref(byte_count))
    return ctypes.string_at(start, byte_count.value) if start else None


def _bytes_of(exchange: Exchange, function: Any) -> bytes:
    byte_count = c_size_t()
    start = exchange.call(function, byref(byte_count))
    return ctypes.string_at(start, byte_count.value) if start else b""


def trailers(exchange: Exchange) -> tuple[tuple[str, str], ...]:
    """The fields behind a chunked body that was read to its end."""
    return tuple(_lib.pairs(_bytes_of(exchange, lib.evy_body_trailers)))


def find_folder() -> None:
    """Looks for a folder for temporary files now: without a descriptor or room none would be found later."""
    with contextlib.suppress(OSError):
        tempfile.gettempdir()


def _write_all(file: Any, bytes_left: memoryview) -> None:
    """A full disk takes a part, and only refuses the rest."""
    while bytes_left.nbytes:
        bytes_left = bytes_left[file.write(bytes_left) :]


def _spooled(live: LiveBody) -> tuple[MemoryInput | StreamInput, int]:
    """The body from its start, and its length in bytes; beyond 64 KiB it lies in an unlinked file."""
    body: Any = MemoryInput()
    room = bytearray(PIECE_BYTES)
    byte_count = 0
    while count := live.readinto(room):
        try:
            if byte_count <= IN_MEMORY_BYTES_MAX < byte_count + count:
                file = tempfile.TemporaryFile(buffering=0)
                _write_all(file, body.getbuffer())
                body = file
            _write_all(body, memoryview(room)[:count])
        except OSError as error:
            raise _errors.spool_error(error) from error
        byte_count += count
    body.seek(0)
    return body if isinstance(body, MemoryInput) else StreamInput(body, PIECE_BYTES), byte_count
