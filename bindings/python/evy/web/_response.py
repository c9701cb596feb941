# SPDX-License-Identifier: MIT
"""_response - turns what a WSGI application says and yields into calls on one request. Spec: PEP 3333."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from evy import _errors, _lib
from evy._lib import lib
from evy.web._exchange import Exchange, Idle
from evy.web._fields import field_block, status_line
from evy.web._files import FileWrapper

# A list of more bytes goes out piece by piece, so that no second copy of it waits in memory.
WHOLE_BYTES_MAX = 256 << 10


class _AlreadyHandled:
    """What an application returns that has answered by the socket itself, see env['evy.take_socket']."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def __repr__(self) -> str:
        return "evy.wsgi.ALREADY_HANDLED"


ALREADY_HANDLED = _AlreadyHandled()


class _Local(threading.local):
    already_handled = False


# The ancestors' second way to say it: WSGI_LOCAL.already_handled = True. Whoever runs the application takes
# it back ahead of it, or what an earlier request, a hook or a posted function left behind would cut this one.
WSGI_LOCAL = _Local()


class Manner(NamedTuple):
    """How all answers of a server are made.

    capitalizes: header names. piece_bytes_min: smaller pieces are joined until so many bytes wait; 0: each
    goes out at once. chunk_keys: where environ says otherwise. restarts: start_response may be called
    again until the first byte is out. on_writable: with one thread nobody can wait for a client, so a long
    answer is paused, and this callback of the library goes on with it. is_pooled: the application runs in
    threads of its host's, while the one that the library gave the request to waits for it.
    """

    capitalizes: bool = True
    piece_bytes_min: int = 0
    chunk_keys: tuple[str, ...] = ("evy.minimum_write_chunk_size",)
    restarts: bool = False
    on_writable: Any = None
    is_pooled: bool = False

    @property
    def wait_ms(self) -> int:
        """How long a call may wait for a client. Where the one thread makes it, the library never waits; but
        a thread of a pool would wait for the loop, and the loop waits for that thread.
        """
        return _lib.FOR_EVER if self.on_writable is None else 0

    def asked_piece_bytes(self, env: Mapping[str, Any]) -> int:
        """piece_bytes_min, or what environ says. Errors: TypeError, ValueError."""
        for key in self.chunk_keys:
            asked = env.get(key, self.piece_bytes_min)
            if asked != self.piece_bytes_min:
                return int(asked)
        return self.piece_bytes_min


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


class Response(Exchange):
    """The answer to one request: nothing goes out before the first byte of its body, or its end.

    Thread: run(), resume() and fail() the handler's; start() and write() any, one at a time. Lifetime: the
    handler call; the functions lent to the application raise StateError later.
    """

    __slots__ = (
        "_env",
        "_fields",
        "_is_head",
        "_iterator",
        "_length",
        "_manner",
        "_piece_bytes_min",
        "_reason",
        "_status",
        "_waiting",
        "_waiting_bytes",
        "has_begun",
        "has_ended",
    )

    def __init__(
        self, req: int, env: Mapping[str, Any], manner: Manner = Manner(), idle: Idle | None = None
    ) -> None:
        super().__init__(req, idle or Idle(), manner.wait_ms)
        self._env: Mapping[str, Any] | None = env
        self._is_head = env.get("REQUEST_METHOD") == "HEAD"
        self._manner = manner
        self._piece_bytes_min = manner.piece_bytes_min
        self._status = 0
        self._reason: bytes | None = None
        self._fields: bytes | None = None
        self._length: int | None = None
        self._iterator: Iterator[Any] | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.has_begun = False
        self.has_ended = False

    def leave(self, has_hooks: bool) -> None:
        # environ refers to this object: without the way back there is no cycle for the collector.
        self._env = None
        # Nor through an iterator that has kept environ, as many do.
        self._iterator = None
        super().leave(has_hooks)

    # What the application calls

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """start_response of PEP 3333. Errors: AssertionError, ValueError, TypeError; exc_info's own."""
        if exc_info is not None:
            try:
                if self.has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # else its frames and this one would keep each other alive
        elif self._fields is not None and (self.has_begun or not self._manner.restarts):
            raise AssertionError("start_response() was called twice without exc_info")
        if self._env is None or self._socket is not None:
            raise _errors.StateError("start_response(): the request is over, or its socket was taken")
        number, reason = status_line(status)
        fields, length = field_block(headers, self._manner.capitalizes)
        self._status, self._reason, self._fields, self._length = number, reason, fields, length
        # As pieces were gathered for the answer that this one replaces, they are not for this one.
        self._waiting, self._waiting_bytes = [], 0
        self._piece_bytes_min = self._manner.asked_piece_bytes(self._env)
        return self.write

    def started(self, head: bytes, piece_bytes_min: int) -> None:
        """As start(), with what the library has looked at already: b"200 OK\\0Name\\0value\\0..."."""
        status, _, self._fields = head.partition(b"\0")
        self._status, self._reason = int(status[:3]), status[4:] or None
        names_and_values = self._fields.split(b"\0")
        for name, value in zip(names_and_values[::2], names_and_values[1::2]):
            if name.lower() == b"content-length":
                self._length = int(value)
        self._piece_bytes_min = piece_bytes_min

    @classmethod
    def over(cls) -> Response:
        """What is left of any request that was answered."""
        response = cls(0, {})
        response._fields = b""
        response.leave(False)
        return response

    def write(self, piece: Any) -> None:
        """The write() of PEP 3333: sends at once, whatever piece_bytes_min says.

        Errors: ClientGone, when there is nobody left to send to; StateError.
        """
        self._check_started("write()")
        self._put_waiting()
        self._put(body_bytes(piece))

    # What the server calls

    def run(self, result: Any) -> bool:
        """Sends what the application returned, to its end.

        False: the client has to take some of it first, then resume() goes on. Errors: ClientGone, and the
        application's own.
        """
        if self._socket is not None or result is ALREADY_HANDLED:
            self._give_up()
            return True
        if type(result) is FileWrapper and self._send_file(result):
            self._finish()
            return True
        if isinstance(result, str):
            result = [result]
        elif result is None or isinstance(result, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"the application returned {type(result).__name__}: it has to return an iterable of bytes,"
                " such as a list"
            )
        if isinstance(result, (list, tuple)):
            self._send_all(result)
            return True
        if getattr(result, "__len__", None) is not None and len(result) == 1:
            # PEP 3333: the one item there is says how long the body will be.
            self._send_all([item for item in result])
            return True
        return self.go_on(iter(result))

    def go_on(self, iterator: Iterator[Any]) -> bool:
        """As run(), with what is to come."""
        self._iterator = iterator
        if self._manner.on_writable is not None:
            # Ahead of the first piece, or the call for it could be missed.
            self.call(lib.evy_resp_on_writable, self._manner.on_writable, None, _lib.NO_DROP)
        return self.resume()

    def resume(self) -> bool:
        """As run(), from where the last call of either stopped."""
        assert self._iterator is not None
        for item in self._iterator:
            piece = body_bytes(item)
            if piece:
                self._check_started("the first piece of the body")
                is_full = self._send(piece)
                if is_full and self._manner.on_writable is not None:
                    return False
        self._check_end()
        return True

    def fail(self, status: str, text: str) -> None:
        """A whole answer that ends the connection, in place of the application's; not after has_begun."""
        self._status, self._reason = status_line(status)
        self._fields = b"Content-Type\0text/plain\0Connection\0close\0"
        self._waiting, self._waiting_bytes = [], 0
        self._respond(text.encode("utf-8", "replace"))

    def take_socket(self) -> Any:
        if self._manner.is_pooled:
            # The library would wait for the end of the handler, which waits for this thread.
            raise _errors.StateError("the socket cannot be taken by an application in a custom_pool")
        taken = super().take_socket()
        self.has_begun = self.has_ended = True
        return taken

    # What follows puts bytes on their way.

    def _check_started(self, what: str) -> None:
        if self._fields is None:
            raise AssertionError(f"{what} before start_response()")

    def _check_end(self) -> None:
        """The application has nothing more to say."""
        if self._fields is None and WSGI_LOCAL.already_handled:
            self._give_up()
            return
        self._check_started("the end of the body")
        self._finish()

    def _give_up(self) -> None:
        """The application has answered by other means, or means to answer nobody: the connection ends."""
        self.has_begun = self.has_ended = True
        if self._socket is None:
            self.call(lib.evy_resp_abort)

    def _send_all(self, items: Any) -> None:
        pieces = [body_bytes(item) for item in items]
        byte_count = sum(map(len, pieces))
        if byte_count or self._fields is not None:
            self._check_started("the end of the body")
        if self._fields is None or self.has_begun or self._waiting:
            self._send(b"".join(pieces))
            self._check_end()
        elif byte_count > WHOLE_BYTES_MAX and len(pieces) > 1 and self._length is None:
            self._begin(byte_count)
            for piece in pieces:
                self._put(piece)
            self._finish()
        # An empty answer to HEAD says nothing about the length that GET would have.
        elif byte_count or not self._is_head:
            self._respond(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        else:
            self._finish()

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """False: it has to be read."""
        part = wrapper.part()
        if part is None:
            return False
        self._check_started("a file")
        descriptor, position, byte_count = part
        self._put_waiting()
        if not self.has_begun:
            self._begin(byte_count if self._length is None else -1)
        if self._length is not None:
            byte_count = min(byte_count, self._length)
        if byte_count:
            status = self.call(lib.evy_resp_file, descriptor, position, byte_count)
            if status == _lib.E_ARG:
                return False
            self._check(status)
        return True

    def _respond(self, body: bytes) -> None:
        fields = self._fields or b""
        status = self.call(
            lib.evy_respond, self._status, self._reason, fields, len(fields), body, len(body)
        )
        if status == _lib.E_FIELD and self._length is not None:
            # A Content-Length that is not the body's: streamed, it is kept, and the body cut to it.
            self._put(body)
            self._finish()
            return
        self._check(status)
        self.has_begun = self.has_ended = True

    def _begin(self, length: int = -1) -> None:
        fields = self._fields or b""
        self._check(self.call(lib.evy_resp_begin, self._status, self._reason, fields, len(fields), length))
        self.has_begun = True

    def _send(self, piece: bytes) -> bool:
        """True: more waits than the client takes."""
        if self._piece_bytes_min:
            self._waiting.append(piece)
            self._waiting_bytes += len(piece)
            if self._waiting_bytes < self._piece_bytes_min:
                return False
            return self._put_waiting()
        return self._put(piece)

    def _put_waiting(self) -> bool:
        if not self._waiting:
            return False
        piece = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        return self._put(piece)

    def _put(self, piece: bytes) -> bool:
        if not piece:
            return False
        if not self.has_begun:
            self._begin()
        status: int = self.call(lib.evy_resp_write, piece, len(piece), self._wait_ms)
        self._check(status)
        # A piece is not held back for the next one, which may be long in coming.
        self.call(lib.evy_resp_flush)
        return status == _lib.FULL

    def _finish(self) -> None:
        self._put_waiting()
        if not self.has_begun:
            self._begin()
        self.has_ended = True
        self._check(self.call(lib.evy_resp_end, None, 0))

    def _check(self, status: int) -> None:
        if status >= 0:
            return
        if status in (_lib.E_GONE, _lib.E_TIMEOUT, _lib.E_STATE):
            # Aborted, here or by a stop that need not wait for it: nothing can be sent any more either.
            self.has_begun = self.has_ended = True
        if status == _lib.E_STATE:
            raise _errors.make(_lib.E_GONE, "the answer was ended or cut off")
        if status in (_lib.E_FIELD, _lib.E_ARG):
            raise ValueError(f"the response head was refused: {_lib.text(lib.evy_strerror(status))}")
        raise _errors.make(status)
