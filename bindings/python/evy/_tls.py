# SPDX-License-Identifier: MIT
"""_tls - certificates and the TLS policy of listeners, and the client's side by module ssl."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Union

from evy import _errors, _lib
from evy._lib import lib

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
_VERIFY = {
    ssl.CERT_NONE: _lib.VERIFY_NONE,
    ssl.CERT_OPTIONAL: _lib.VERIFY_OPTIONAL,
    ssl.CERT_REQUIRED: _lib.VERIFY_REQUIRE,
}


class TLS:
    """Certificates with their keys, and the TLS policy; any number of listeners may share one.

    certfile: a PEM chain, leaf first; keyfile: its key, None: it is in certfile; password: of an encrypted
    key. name: the host it is for, see add().

    A change counts for listeners that take the object later, and for all at the next reload().
    Ownership: frees its evy_tls when nobody refers to it any more; servers keep what they use. Thread: any,
    one at a time; reload() at any time. Errors: FileNotFoundError or PermissionError for a file that cannot
    be opened, TLSError (an ssl.SSLError) for a wrong one, naming it.
    """

    def __init__(
        self,
        certfile: Path,
        keyfile: Path | None = None,
        password: str | None = None,
        name: str | None = None,
    ) -> None:
        self.handle: int | None = lib.evy_tls_new()
        if not self.handle:
            raise MemoryError("no memory for a TLS object")
        self._files: list[tuple[Path, Path | None, str | None]] = []
        self._clients: tuple[Path, int] | None = None
        self._policy: dict[str, str] = {}
        self.add(certfile, keyfile, password, name)

    def add(
        self,
        certfile: Path,
        keyfile: Path | None = None,
        password: str | None = None,
        name: str | None = None,
    ) -> None:
        """One more certificate, for clients that ask for its host (SNI).

        name: "a.org" or "*.a.org"; None: the names inside the certificate. The first certificate serves
        whoever asks for no name, or another one. The same name again replaces. Errors: see the class;
        ConfigError (a ValueError) for the name.
        """
        status = lib.evy_tls_cert_file(
            self.handle,
            None if name is None else name.encode(),
            os.fsencode(certfile),
            None if keyfile is None else os.fsencode(keyfile),
            None if password is None else password.encode(),
        )
        self._check(status, certfile, keyfile)
        self._files.append((certfile, keyfile, password))

    def verify_clients(self, ca_certs: Path, cert_reqs: int = ssl.CERT_REQUIRED) -> None:
        """Asks clients for a certificate that one of those in ca_certs (PEM) vouches for.

        CERT_REQUIRED: without a good one the handshake fails. CERT_OPTIONAL: all are served, and
        environ['SSL_CLIENT_VERIFY'] tells them apart. Errors: see the class.
        """
        verify = _VERIFY[ssl.VerifyMode(cert_reqs)]
        self._check(lib.evy_tls_client_ca_file(self.handle, verify, os.fsencode(ca_certs)), ca_certs)
        self._clients = ca_certs, cert_reqs

    def set(self, key: str, value: str) -> None:
        """Sets min_version, max_version, ciphers, ciphersuites, groups, alpn, tickets, ticket_rotation,
        ocsp_file or keylog_file; see evy_tls_set. Errors: TypeError, ConfigError (a ValueError), TLSError."""
        if not isinstance(value, str):
            raise TypeError(f"{key} is a {type(value).__name__}: TLS options are texts")
        self._check(lib.evy_tls_set(self.handle, key.encode(), value.encode()))
        self._policy[key] = value

    def reload(self) -> None:
        """Reads every file again: certificates, keys, client CAs, OCSP responses.

        All or nothing: after an error the old ones stay in force. New handshakes get the new ones, open
        connections go on. Thread: any, while servers run. Errors: see the class.
        """
        self._check(lib.evy_tls_reload(self.handle), *(file for one in self._files for file in one[:2]))

    def context(self) -> ssl.SSLContext:
        """For connections that Python itself accepts, not the library's servers: a server's context of module
        ssl with the first certificate, the client CAs, ciphers, min_version and max_version."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certfile, keyfile, password = self._files[0]
        context.load_cert_chain(_plain(certfile), _plain(keyfile), password)
        versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
        context.minimum_version = versions[self._policy.get("min_version", "1.2")]
        context.maximum_version = versions[self._policy.get("max_version", "1.3")]
        if "ciphers" in self._policy:
            context.set_ciphers(self._policy["ciphers"])
        if self._clients is not None:
            ca_certs, cert_reqs = self._clients
            context.verify_mode = ssl.VerifyMode(cert_reqs)
            context.load_verify_locations(_plain(ca_certs))
        return context

    def _check(self, status: int, *files: Path | None) -> None:
        if status >= 0:
            return
        reason = _lib.text(lib.evy_tls_error(self.handle))
        for file in files:
            if file is not None:
                # A file that cannot be opened raises what Python programs expect of it.
                with open(file, "rb"):
                    pass
        raise _errors.make(status, reason)

    def __del__(self) -> None:
        handle, self.handle = getattr(self, "handle", None), None
        # At the interpreter's end this module may be empty already; free-threaded builds free so late.
        if handle and lib is not None:
            lib.evy_tls_free(handle)


class SecureListener:
    """A listening socket and the TLS its connections will speak; everything else is the socket's own.

    It is for evy.wsgi.server; accept() is there for evy.serve and loops of your own.
    """

    def __init__(self, sock: socket.socket, tls: TLS) -> None:
        self.socket = sock
        self.tls = tls
        self._context: ssl.SSLContext | None = None

    def dup(self) -> SecureListener:
        """A second object for the same socket, with the same TLS."""
        return SecureListener(self.socket.dup(), self.tls)

    def accept(self) -> tuple[ssl.SSLSocket, Any]:
        """A connection of module ssl, which does its handshake at the first read or write, and its address.

        See TLS.context() for what holds there. Errors: OSError, ssl.SSLError.
        """
        if self._context is None:
            self._context = self.tls.context()
        connection, address = self.socket.accept()
        try:
            secure = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except BaseException:
            connection.close()
            raise
        return secure, address

    def __enter__(self) -> SecureListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def __repr__(self) -> str:
        return f"<SecureListener {self.socket!r}>"


def wrap_ssl(
    sock: Any,
    keyfile: Path | Sequence[Path] | None = None,
    certfile: Path | Sequence[Path] | None = None,
    server_side: bool = False,
    cert_reqs: int | None = None,
    ssl_version: int | None = None,
    ca_certs: Path | None = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: str | None = None,
    server_hostname: str | None = None,
    tls: TLS | None = None,
    context: ssl.SSLContext | None = None,
) -> Any:
    """The socket with TLS on it; mind that keyfile comes ahead of certfile, as in the ancestors.

    server_side=True: a SecureListener for evy.wsgi.server. certfile is a PEM chain, leaf first; without
    keyfile it holds the key too; lists of as many files each bring several certificates, and clients get the
    one for the host they ask for. cert_reqs=ssl.CERT_REQUIRED or CERT_OPTIONAL asks clients for certificates,
    which ca_certs has to vouch for. ciphers: an OpenSSL list for TLS 1.2. tls: a TLS object instead of all
    these, for example to reload() its files later. TLS 1.2 and 1.3; the handshake is made by the server, so
    the two parameters about it have no effect.

    server_side=False: a client socket, an ssl.SSLSocket. It verifies the server's certificate against
    ca_certs (None: the system's) and server_hostname, unless cert_reqs=ssl.CERT_NONE. context: an
    ssl.SSLContext instead of keyfile, certfile, cert_reqs, ca_certs and ciphers. A listener takes a TLS
    object in its place, as module ssl lets nobody read the key out of a context.

    Thread: any. Errors: FileNotFoundError or PermissionError for a file that cannot be opened, TLSError (an
    ssl.SSLError) for a wrong one, naming it; ValueError for parameters that do not go together, and for an
    ssl_version below TLS 1.2; on the client's side those of module ssl.
    Source: ssl.wrap_socket as it was until Python 3.11.
    """
    if not server_side:
        if tls is not None:
            raise ValueError("tls is for listeners: say server_side=True")
        context = _client_context(context, keyfile, certfile, cert_reqs, ca_certs, ciphers)
        if context.check_hostname and server_hostname is None:
            raise ValueError("server_hostname is needed to verify a server; or say cert_reqs=ssl.CERT_NONE")
        return context.wrap_socket(
            sock,
            do_handshake_on_connect=do_handshake_on_connect,
            suppress_ragged_eofs=suppress_ragged_eofs,
            server_hostname=server_hostname,
        )
    if context is not None:
        raise ValueError(
            "context is for clients, as the key in an ssl.SSLContext cannot be read: "
            "say certfile and keyfile, or tls=evy.TLS(certfile, keyfile)"
        )
    if tls is not None:
        if not isinstance(tls, TLS):
            raise TypeError(f"tls is a {type(tls).__name__}, not an evy.TLS")
        _check_alone("tls", keyfile, certfile, cert_reqs, ssl_version, ca_certs, ciphers)
        return SecureListener(sock, tls)
    tls = _server_tls(keyfile, certfile)
    _set_policy(tls, cert_reqs, ssl_version, ca_certs, ciphers)
    return SecureListener(sock, tls)


def _plain(path: Path | None) -> str | None:
    """For module ssl, which on PyPy takes nothing but texts."""
    return None if path is None else os.fsdecode(path)


def _server_tls(keyfile: Any, certfile: Any) -> TLS:
    if certfile is None:
        raise ValueError("certfile is needed for a server")
    if isinstance(certfile, (str, bytes, os.PathLike)):
        if not (keyfile is None or isinstance(keyfile, (str, bytes, os.PathLike))):
            raise ValueError(f"keyfile is a {type(keyfile).__name__}, and certfile is one path")
        return TLS(certfile, keyfile)
    for name, value in (("certfile", certfile), ("keyfile", keyfile)):
        if not (value is None or isinstance(value, Sequence)):
            raise TypeError(f"{name} is a {type(value).__name__}, not a path or a list of paths")
    certificates = list(certfile)
    keys = [None] * len(certificates) if keyfile is None else list(keyfile)
    if not certificates or len(certificates) != len(keys):
        raise ValueError("certfile and keyfile are not lists of as many files each")
    tls = TLS(certificates[0], keys[0])
    for certificate, key in zip(certificates[1:], keys[1:]):
        tls.add(certificate, key)
    return tls


def _set_policy(
    tls: TLS, cert_reqs: int | None, ssl_version: int | None, ca_certs: Path | None, ciphers: str | None
) -> None:
    if cert_reqs not in (None, ssl.CERT_NONE):
        if ca_certs is None:
            raise ValueError("cert_reqs asks clients for certificates: ca_certs has to say whose are good")
        tls.verify_clients(ca_certs, cert_reqs)
    _limit_version(tls, ssl_version)
    if ciphers is not None:
        tls.set("ciphers", ciphers)


def _limit_version(tls: TLS, ssl_version: int | None) -> None:
    if ssl_version in (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_SERVER):
        return
    if ssl_version != ssl.PROTOCOL_TLSv1_2:
        raise ValueError(f"ssl_version {ssl_version!r}: only TLS 1.2 and 1.3 are spoken")
    tls.set("min_version", "1.2")
    tls.set("max_version", "1.2")


def _check_alone(name: str, *others: Any) -> None:
    if any(one is not None for one in others):
        raise ValueError(f"{name} brings its own files and policy: leave the other parameters out")


def _client_context(
    context: ssl.SSLContext | None,
    keyfile: Any,
    certfile: Any,
    cert_reqs: int | None,
    ca_certs: Path | None,
    ciphers: str | None,
) -> ssl.SSLContext:
    """The one given, or one made of the others."""
    if context is not None:
        _check_alone("context", keyfile, certfile, cert_reqs, ca_certs, ciphers)
        return context
    context = ssl.create_default_context(cafile=_plain(ca_certs))
    if cert_reqs == ssl.CERT_NONE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certfile is not None:
        context.load_cert_chain(_plain(certfile), _plain(keyfile))
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context
