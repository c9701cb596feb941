# SPDX-License-Identifier: MIT
"""serving - turns settings into the keywords, sockets and TLS of an evy.wsgi.Server."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import evy
from evy._cli import accessformat
from evy._cli.addresses import Listener
from evy._cli.logs import ErrorStream, Logs, ServerLog
from evy._cli.values import SettingError

LINE_BYTES_MAX = 1 << 20
_DRAIN_SECONDS = 1.0
_LEVELS = {"warning": "warn", "critical": "error"}


def make_tls(settings: Any) -> evy.TLS | None:
    """What --certfile and its neighbours say; None: clear text. Errors: SettingError names the file."""
    if not settings.certfile:
        return None
    try:
        tls = evy.TLS(settings.certfile, settings.keyfile)
        if settings.ciphers:
            tls.set("ciphers", settings.ciphers)
        if settings.cert_reqs:
            tls.verify_clients(settings.ca_certs, settings.cert_reqs)
    except (evy.Error, OSError, ValueError) as error:
        raise SettingError(f"TLS: {error}") from None
    return tls


def sockets(listeners: Iterable[Listener], tls: evy.TLS | None) -> list[Any]:
    """What Server serves on."""
    return [one.socket if tls is None else evy.SecureListener(one.socket, tls) for one in listeners]


def _line_limit(limit: int) -> int:
    """gunicorn's limit is the longest line taken, the library's the first refused, line end included."""
    return LINE_BYTES_MAX if limit == 0 else min(limit + 3, LINE_BYTES_MAX)


def keywords(settings: Any, logs: Logs) -> dict[str, Any]:
    """Errors: SettingError (an unknown atom of --access-logformat)."""
    environ: dict[str, Any] = {"wsgi.multiprocess": settings.workers > 1}
    if logs.error_file.is_file:
        environ["wsgi.errors"] = ErrorStream(logs.error)
    found: dict[str, Any] = {
        "log": ServerLog(logs.error),
        "environ": environ,
        "keepalive": settings.keepalive or False,
        "log_x_forwarded_for": False,
        "log_format": accessformat.translate(settings.access_log_format or "combined"),
        "access_log": "off" if settings.accesslog is None else logs.access_file.option,
        "log_level": _LEVELS.get(settings.loglevel, settings.loglevel),
        "threads": settings.threads,
        "backlog": settings.backlog,
        "max_size": settings.worker_connections,
        "url_length_limit": _line_limit(settings.limit_request_line),
        "max_headers": settings.limit_request_fields,
        "max_header_line": _line_limit(settings.limit_request_field_size),
        "trusted_proxies": settings.forwarded_allow_ips or "",
        "proxy_protocol": settings.proxy_protocol,
        "underscore_headers": settings.header_map,
        "allow_obs_fold": settings.permit_obsolete_folding,
        "script_name": os.environ.get("SCRIPT_NAME", ""),
        "capitalize_response_headers": False,
        "grace": settings.graceful_timeout,
        # Clients come back, to another worker: what they are sending just now is to be answered.
        "drain_delay": min(_DRAIN_SECONDS, settings.graceful_timeout / 2),
    }
    if settings.forwarded_headers is not None:
        found["forwarded_headers"] = settings.forwarded_headers
    elif "forwarded_allow_ips" not in settings.given:
        # Nobody has said that these peers set X-Forwarded-For themselves: it could be the client's own.
        found["forwarded_headers"] = "x-forwarded-proto"
    found.update(settings.options)
    return found


class WorkerServer(evy.wsgi.Server):
    """on_stop: called when it was told to stop, by whoever: the application may do so (SystemExit).

    A worker waits for the threads that its application starts, so they may not begin as daemons.
    """

    on_stop = staticmethod(lambda: None)

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._lender.are_daemons = False

    def stop(self, grace: float | None = -1) -> None:
        super().stop(grace)
        self.on_stop()


def make_server(listeners: Sequence[Any], site: Any, settings: Any, logs: Logs) -> WorkerServer:
    """Errors: SettingError, in the words of the library, which name the option."""
    try:
        return WorkerServer(listeners, site, **keywords(settings, logs))
    except SettingError:
        raise
    except (TypeError, ValueError, evy.Error, OSError) as error:
        raise SettingError(_in_our_words(str(error))) from None


def check(settings: Any, logs: Logs) -> None:
    """The library takes these settings. Errors: SettingError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind("")  # a free abstract name, where nobody will come
        make_server([sock], lambda _env, _start: [], settings, logs).stop()


def _in_our_words(text: str) -> str:
    """Options that have a setting are named by it."""
    for option, flag in (
        ("access_log_format", "--access-logformat"),
        ("trusted_proxies", "--forwarded-allow-ips"),
        ("forwarded_headers", "--forwarded-headers"),
        ("max_connections", "--worker-connections"),
        ("idle_timeout", "--keep-alive"),
        ("max_headers", "--limit-request-fields"),
        ("max_header_line", "--limit-request-field_size"),
        ("max_request_line", "--limit-request-line"),
        ("threads", "--threads"),
        ("backlog", "--backlog"),
    ):
        if text.startswith((f"{option}:", f"{option} ", f"option {option}")):
            return f"{flag}: {text}"
    return text
