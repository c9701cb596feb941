# SPDX-License-Identifier: MIT
"""_sockets - listening sockets, and the TLS that goes with them."""

from __future__ import annotations

import io
import os
import socket
import ssl
from typing import Any

from evy import _errors, _lib
from evy._lib import lib


def listen(
    addr: Any,
    family: int = socket.AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool = False,
) -> socket.socket:
    """A listening stream socket.

    addr: (host, port), '' for all IPv4 addresses, port 0 for one that the kernel chooses; with
    family=AF_INET6 an IPv6 host; with family=AF_UNIX a path. backlog: connections that may wait; a server
    raises it to its own option `backlog`. Errors: OSError, as the socket module raises it.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse_addr))
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(addr)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


class TLS:
    """A certificate with its key and the TLS policy; any number of listeners may share it.

    Ownership: frees its evy_tls when nobody refers to it any more; servers keep what they use.
    """

    def __init__(self, certfile: str, keyfile: str | None = None) -> None:
        self.handle = lib.evy_tls_new()
        if not self.handle:
            raise MemoryError("no memory for a TLS object")
        certificate = os.fsencode(certfile)
        key = os.fsencode(keyfile) if keyfile is not None else None
        status = lib.evy_tls_cert_file(self.handle, None, certificate, key, None)
        if status < 0:
            reason = _lib.text(lib.evy_tls_error(self.handle))
            for file in (certfile, keyfile):
                if file is not None:
                    # A file that cannot be opened raises what Python programs expect of it.
                    with open(file, "rb"):
                        pass
            raise _errors.make(status, reason)

    def set(self, key: str, value: str) -> None:
        """Sets min_version, max_version, ciphers, ciphersuites or groups, see evy_tls_set."""
        status = lib.evy_tls_set(self.handle, key.encode(), value.encode())
        if status < 0:
            raise _errors.make(status, _lib.text(lib.evy_tls_error(self.handle)))

    def __del__(self) -> None:
        handle, self.handle = getattr(self, "handle", None), None
        if handle:
            lib.evy_tls_free(handle)


class SecureListener:
    """A listening socket and the TLS its connections will speak; everything else is the socket's own."""

    def __init__(self, sock: socket.socket, tls: TLS) -> None:
        self.socket = sock
        self.tls = tls

    def dup(self) -> SecureListener:
        """A second object for the same socket, with the same TLS."""
        return SecureListener(self.socket.dup(), self.tls)

    def accept(self) -> Any:
        raise io.UnsupportedOperation("connections of a TLS listener are accepted by evy.wsgi.server")

    def __enter__(self) -> SecureListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def __repr__(self) -> str:
        return f"<SecureListener {self.socket!r}>"


def wrap_ssl(
    sock: socket.socket,
    keyfile: str | None = None,
    certfile: str | None = None,
    server_side: bool = False,
    cert_reqs: int | None = None,
    ssl_version: int | None = None,
    ca_certs: str | None = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: str | None = None,
    server_hostname: str | None = None,
) -> SecureListener | ssl.SSLSocket:
    """The socket with TLS on it; mind that keyfile comes ahead of certfile, as in the ancestors.

    server_side=True: a listener for evy.wsgi.server. certfile is a PEM chain, leaf first; without keyfile it
    holds the key too. TLS 1.2 and 1.3. The handshake is made by the server, so the two parameters about it
    have no effect. Errors: FileNotFoundError or PermissionError for a file that cannot be opened, TLSError
    (an ssl.SSLError) for a wrong pair, naming the file; ValueError for an ssl_version below TLS 1.2.

    server_side=False: a client socket of module ssl. It verifies the server's certificate against ca_certs
    (None: the system's) and server_hostname, unless cert_reqs=ssl.CERT_NONE.
    """
    if not server_side:
        context = _client_context(keyfile, certfile, cert_reqs, ca_certs, ciphers)
        if context.check_hostname and server_hostname is None:
            raise ValueError("server_hostname is needed to verify a server; or say cert_reqs=ssl.CERT_NONE")
        return context.wrap_socket(
            sock,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=server_hostname,
        )
    if certfile is None:
        raise ValueError("certfile is needed for a server")
    if cert_reqs not in (None, ssl.CERT_NONE):
        raise ValueError("cert_reqs: this version does not ask clients for certificates")
    tls = TLS(certfile, keyfile)
    _limit_version(tls, ssl_version)
    if ciphers is not None:
        tls.set("ciphers", ciphers)
    return SecureListener(sock, tls)


def _limit_version(tls: TLS, ssl_version: int | None) -> None:
    if ssl_version in (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_SERVER):
        return
    if ssl_version != ssl.PROTOCOL_TLSv1_2:
        raise ValueError(f"ssl_version {ssl_version!r}: only TLS 1.2 and 1.3 are spoken")
    tls.set("min_version", "1.2")
    tls.set("max_version", "1.2")


def _client_context(
    keyfile: str | None,
    certfile: str | None,
    cert_reqs: int | None,
    ca_certs: str | None,
    ciphers: str | None,
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_certs)
    if cert_reqs == ssl.CERT_NONE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context
