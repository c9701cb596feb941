# SPDX-License-Identifier: MIT
"""wsgi - the short name of evy.web.wsgi."""

from evy.web.wsgi import DEFAULT_LOG_FORMAT, Server, server

__all__ = ["DEFAULT_LOG_FORMAT", "Server", "server"]
