# SPDX-License-Identifier: MIT
"""evy - an embeddable HTTP server: sockets to listen on, TLS for them, and a WSGI server in evy.web.wsgi.

from evy.web import wsgi
import evy

wsgi.server(evy.listen(('', 8090)), application)
"""

from evy import wsgi
from evy._errors import (
    BodyError,
    ChunkReadError,
    ClientGone,
    ConfigError,
    Error,
    ListenError,
    LogError,
    StateError,
    TLSError,
)
from evy._lib import version
from evy._sockets import StopServe, connect, listen, serve
from evy._tls import TLS, SecureListener, wrap_ssl
from evy._version import __version__

__all__ = [
    "TLS",
    "BodyError",
    "ChunkReadError",
    "ClientGone",
    "ConfigError",
    "Error",
    "ListenError",
    "LogError",
    "SecureListener",
    "StateError",
    "StopServe",
    "TLSError",
    "__version__",
    "connect",
    "listen",
    "serve",
    "version",
    "wrap_ssl",
    "wsgi",
]
