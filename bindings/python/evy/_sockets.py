# SPDX-License-Identifier: MIT
"""_sockets - listening and connected sockets, and a server of threads for protocols other than HTTP."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import threading
from collections.abc import Callable
from typing import Any


def listen(
    addr: Any,
    family: int = socket.AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool | None = None,
) -> socket.socket:
    """A listening stream socket.

    addr: (host, port), '' for all IPv4 addresses, port 0 for one that the kernel chooses; with
    family=AF_INET6 an IPv6 host; with family=AF_UNIX a path. backlog: connections that may wait; a server
    leaves it as it is, unless it is given an option `backlog`. reuse_port: several processes may listen on
    the address, each with a socket of its own; off by default, also on port 0, which could otherwise be given
    out twice.

    A unix socket file that a dead server left is replaced; a live server's, and any other file, is
    EADDRINUSE. The file stays when the socket is closed, so that a dup() of it goes on being reachable.

    Thread: any. Errors: OSError, as the socket module raises it (an address in use, denied, not ours).
    Source: eventlet's and the first evy's listen().
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse_addr))
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(sock, addr)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, addr: Any) -> None:
    try:
        sock.bind(addr)
        return
    except OSError as error:
        if sock.family == socket.AF_UNIX:
            if error.errno == errno.EADDRINUSE and _is_stale(addr):
                os.unlink(addr)
                sock.bind(addr)
                return
            raise OSError(error.errno, error.strerror, os.fsdecode(addr)) from None
        raise OSError(error.errno, f"{error.strerror}: {addr!r}") from None


def _is_stale(path: str | bytes) -> bool:
    """A socket file at which nobody listens any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # a full backlog is a sign of life, not something to wait for
            probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def connect(addr: Any, family: int = socket.AF_INET, bind: Any = None) -> socket.socket:
    """A blocking client socket that is connected to addr; bind: the local address it comes from.

    Thread: any. Errors: OSError. Source: eventlet's and the first evy's connect().
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if bind is not None:
            sock.bind(bind)
        sock.connect(addr)
    except BaseException:
        sock.close()
        raise
    return sock


class StopServe(Exception):
    """Raised by the function that serve() calls: serve() returns."""


def serve(sock: Any, handle: Callable[[Any, Any], object], concurrency: int = 1000) -> None:
    """Accepts connections and calls handle(connection, address) for each, in a thread of its own.

    For protocols other than HTTP, see evy.wsgi.server for that one. A connection is closed when its handle()
    has returned. An exception that leaves handle() leaves serve() too; StopServe just ends it. With
    `concurrency` connections open, further clients wait. Connections still open at the end go on by
    themselves. sock: from evy.listen, or from evy.wrap_ssl, whose connections do their handshake at their
    first read.

    Thread: blocks the calling one; threads that end are daemons. Errors: ValueError (concurrency < 1, a
    closed socket), OSError of the listening socket, and what handle() raises.
    Source: eventlet's and the first evy's serve().
    """
    if concurrency < 1:
        raise ValueError(f"concurrency is {concurrency}, it has to be at least 1")
    if sock.fileno() < 0:
        raise ValueError("the socket is closed: nothing can be accepted from it")
    _Acceptor(sock, handle, concurrency).run()


# Errors of one client, which say nothing about the listening socket.
_CLIENTS_OWN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO}
_CLIENTS_OWN |= {errno.EPERM, errno.EINTR, errno.EPIPE, errno.ETIMEDOUT}
_SHORT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_MS = 100


class _Acceptor:
    """One call of serve(). The thread of the call accepts; `waker` gets a byte whenever a handler ends."""

    def __init__(self, sock: Any, handle: Callable[[Any, Any], object], concurrency: int) -> None:
        self._sock = sock
        self._handle = handle
        self._room = concurrency
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._wakened, self._waker = socket.socketpair()
        self._waker.setblocking(False)

    def run(self) -> None:
        timeout = self._sock.gettimeout()
        self._sock.setblocking(False)  # somebody else may take the connection that poll() told of
        try:
            while self._failure is None:
                self._turn()
        finally:
            with self._lock:
                self._waker.close()
                self._wakened.close()
            if self._sock.fileno() >= 0:
                self._sock.settimeout(timeout)
        if not isinstance(self._failure, StopServe):
            raise self._failure

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._wakened, select.POLLIN)
        if self._room:
            poll.register(self._sock, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        if self._wakened.fileno() in ready:
            self._wakened.recv(4096)
        elif ready:
            self._accept()

    def _accept(self) -> None:
        try:
            connection, address = self._sock.accept()
        except OSError as error:
            if error.errno in _SHORT_OF_RESOURCES:
                select.poll().poll(_PAUSE_MS)
            elif error.errno not in _CLIENTS_OWN:
                raise
            return
        connection.setblocking(True)
        with self._lock:
            self._room -= 1
        try:
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()
        except BaseException:
            connection.close()
            raise

    def _serve(self, connection: Any, address: Any) -> None:
        failure: BaseException | None = None
        try:
            with connection:
                self._handle(connection, address)
        except BaseException as error:
            failure = error
        with self._lock:
            self._room += 1
            if self._failure is None:
                self._failure = failure
            try:
                self._waker.send(b".")
            except OSError:
                return  # full: it is awake anyway; closed: serve() has returned
