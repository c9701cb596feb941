# SPDX-License-Identifier: MIT
"""_exchange - one request as its application may use it beyond PEP 3333, safe to call whenever and wherever.

The library lends a request for the handler and its hooks only. What an application keeps of it, in another
thread or for later, goes through Exchange.call(), which finds out whether the request is still there.
"""

from __future__ import annotations

import os
import socket
import threading
from ctypes import byref, c_char, c_int
from threading import get_ident
from typing import Any

from evy import _errors, _lib
from evy._lib import lib
from evy.web._fields import field_block

# Between a look whether a request is still there and keeping it there; never held while anything waits.
_looking = threading.RLock()


def _forget() -> None:
    """A forked child may have inherited it held, by a thread that is not there."""
    global _looking
    _looking = threading.RLock()


os.register_at_fork(after_in_child=_forget)


class Idle:
    """The requests of one server that a stop need not wait for. Thread: any."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._members: set[Exchange] = set()
        self._is_stopping = False

    def add(self, exchange: Exchange) -> None:
        with self._lock:
            self._members.add(exchange)
            is_late = self._is_stopping
        if is_late:
            exchange.cut()

    def discard(self, exchange: Exchange) -> None:
        with self._lock:
            self._members.discard(exchange)

    def cut_all(self) -> None:
        """From here on: those that are idle, and those that will be."""
        with self._lock:
            self._is_stopping = True
            members = list(self._members)
        for one in members:
            one.cut()


class Exchange:
    """What WSGI servers offer beyond PEP 3333, as methods that go into environ.

    Lifetime: from the handler's begin until leave(), or until the end of the last hook. Thread: any.
    """

    __slots__ = (
        "_idle",
        "_is_idle",
        "_is_readable",
        "_owner",
        "_req",
        "_socket",
        "_wait_ms",
        "continue_headers",
    )

    def __init__(self, req: int, idle: Idle, wait_ms: int = _lib.FOR_EVER) -> None:
        """wait_ms: how long a call may wait for the client, beyond the deadlines of the library."""
        self._req: int | None = req
        self._idle = idle
        self._wait_ms = wait_ms
        # The thread whose stack holds the handler: as long as it is in there, the request is too.
        self._owner = get_ident()
        self._is_readable = True
        self._is_idle = False
        self._socket: socket.socket | None = None
        # Of 100 Continue, and whether their names are to be capitalized; None: none were set.
        self.continue_headers: tuple[list[tuple[str, str]], bool] | None = None

    def call(self, function: Any, *args: Any) -> Any:
        """function(req, *args), a number mostly. Errors: StateError when the request is over."""
        if get_ident() == self._owner:
            return function(self._req, *args)
        with _looking:
            req = self._req
            if req is None:
                raise _errors.StateError("the request is over")
            lib.evy_req_retain(req)
        try:
            return function(req, *args)
        finally:
            lib.evy_req_release(req)

    # The server's side

    def leave(self, has_hooks: bool) -> None:
        """The handler is about to end; with hooks, what can still be asked can be asked."""
        self._owner = 0
        self._is_readable = False
        self._socket = None
        if self._is_idle:
            self._idle.discard(self)
        if not has_hooks:
            self.end()

    def enter(self, thread: int | None = None) -> None:
        """The thread, or else the calling one, is in a callback of this request."""
        self._owner = get_ident() if thread is None else thread

    def rest(self) -> None:
        """The calling thread leaves a callback of this request, which goes on later in another one."""
        self._owner = 0

    def end(self) -> None:
        self._owner = 0
        with _looking:
            self._req = None

    def cut(self) -> None:
        """Ends an idle one at once; its application learns of it at its next call."""
        taken = self._socket
        try:
            if taken is not None:
                taken.shutdown(socket.SHUT_RDWR)
            else:
                self.call(lib.evy_resp_abort)
        except (OSError, _errors.StateError):
            return  # over already

    def read_body(self, room: Any) -> int:
        """Bytes put into room, 0 at the end. Errors: BodyError; ValueError when the handler has ended."""
        if not self._is_readable:
            raise ValueError("read of the body of a request that is over")
        view = memoryview(room)
        if not view.nbytes:
            return 0
        count: int = self.call(
            lib.evy_body_read, byref(c_char.from_buffer(view)), view.nbytes, self._wait_ms
        )
        if count < 0:
            raise _errors.body_error(count)
        return count

    def inform(self, status: int, headers: list[tuple[str, str]], capitalizes: bool) -> bool:
        """An informational answer, at once. False: too late, the answer has begun, or nobody is left.

        Errors: TypeError, ValueError (the headers).
        """
        fields, _ = field_block(headers, capitalizes)
        try:
            outcome = self.call(lib.evy_inform, status, fields, len(fields))
        except _errors.StateError:
            return False
        if outcome in (_lib.E_STATE, _lib.E_GONE):
            return False
        if outcome < 0:
            raise ValueError(f"headers of answer {status}: {_errors.make(outcome)}")
        self.call(lib.evy_resp_flush)
        return True

    def send_continue(self) -> None:
        """100 Continue, at once."""
        headers, capitalizes = self.continue_headers or ([], True)
        self.inform(100, headers, capitalizes)

    # What environ offers

    def client_disconnected(self) -> bool:
        """env['evy.client_disconnected']: True once the client is known to have left. Thread: any."""
        try:
            return bool(self.call(lib.evy_req_gone))
        except _errors.StateError:
            return True

    def early_hints(self, headers: list[tuple[str, str]]) -> None:
        """env['wsgi.early_hints']: sends 103 Early Hints with these headers, typically Link, at once.

        May be called several times; once the answer has begun, and for HTTP/1.0, nothing is sent.
        Thread: any. Errors: TypeError, ValueError (the headers).
        """
        self.inform(103, headers, False)

    def set_idle(self) -> None:
        """env['evy.set_idle']: a stop of the server need not wait for this request, it is cut at once.

        For answers without an end, such as event streams, and for sockets taken over. Thread: any.
        """
        if self._is_readable and not self._is_idle:
            self._is_idle = True
            self._idle.add(self)

    def take_socket(self) -> socket.socket:
        """env['evy.take_socket']: the connection becomes the application's own, see evy_req_take_socket.

        A blocking socket, which the application closes; nothing is sent any more in its name, whatever it
        returns (wsgi.ALREADY_HANDLED says so). Over TLS it is one end of a pair that the server pumps: with
        threads=1 do no I/O on it before the application has returned. Asked again, it is the same socket.
        Thread: the application's. Errors: StateError (the answer has begun, the body has not been read, the
        request is over, another thread, a custom_pool), ClientGone, MemoryError.
        """
        if get_ident() != self._owner or self._req is None or not self._is_readable:
            raise _errors.StateError("only the thread of the application can take the socket, and in time")
        if self._socket is None:
            descriptor = c_int(-1)
            status = lib.evy_req_take_socket(self._req, byref(descriptor))
            if status == _lib.E_STATE:
                raise _errors.StateError(
                    "the answer has begun, or the request body was not read to its end"
                )
            if status < 0:
                raise _errors.make(status)
            self._socket = socket.socket(fileno=descriptor.value)
        return self._socket
