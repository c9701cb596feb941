# SPDX-License-Identifier: MIT
"""wsgi - the short name of evy.web.wsgi."""

import sys

from evy.web import wsgi
from evy.web.wsgi import (
    ALREADY_HANDLED,
    DEFAULT_LOG_FORMAT,
    WSGI_LOCAL,
    ChunkReadError,
    Server,
    Stats,
    server,
    stop,
)

__all__ = [
    "ALREADY_HANDLED",
    "DEFAULT_LOG_FORMAT",
    "WSGI_LOCAL",
    "ChunkReadError",
    "Server",
    "Stats",
    "server",
    "stop",
]

# One module under both names, so that what is set on one (is_accepting) holds for the other.
sys.modules[__name__] = wsgi
