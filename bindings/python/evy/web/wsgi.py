# SPDX-License-Identifier: MIT
"""evy.web.wsgi - serves WSGI applications (PEP 3333) from sockets.

wsgi.server(evy.listen(('', 8090)), application)          # blocks until Ctrl-C or SIGTERM

with wsgi.Server(evy.listen(('', 0)), application) as s:  # beside whatever else the program does
    print(s.port)
"""

from __future__ import annotations

import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from evy import _errors
from evy._errors import ChunkReadError
from evy.web._keywords import DEFAULT_LOG_FORMAT, protocol_keywords
from evy.web._response import ALREADY_HANDLED, WSGI_LOCAL
from evy.web._running import running
from evy.web._server import Server
from evy.web._stats import Stats

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


def server(
    sock: Any,
    site: Callable[..., Any],
    log: Any = None,
    environ: Mapping[str, Any] | None = None,
    max_size: int | None = None,
    max_http_version: str = "HTTP/1.1",
    protocol: Any = None,
    server_event: Any = None,
    minimum_chunk_size: int | None = None,
    log_x_forwarded_for: bool = True,
    custom_pool: Any = None,
    keepalive: bool | float | None = True,
    log_output: bool = True,
    log_format: str = DEFAULT_LOG_FORMAT,
    url_length_limit: int = 8192,
    debug: bool = False,
    socket_timeout: float | None = None,
    capitalize_response_headers: bool = True,
    **options: Any,
) -> None:
    """Serves `site` from `sock` until Ctrl-C, SIGTERM, stop() or Server.stop(); then drains, and returns.

    The parameters are those of Server, by name or in the ancestors' order, and:

    protocol: deprecated; only its attributes minimum_chunk_size and reject_bad_requests are heeded.
    server_event: deprecated; its send(server) is called with the Server ahead of the first request.
    options: those of Server, grace and compat among them. grace (30): for how many seconds requests may go
        on after the signal; None: for ever. A second signal cuts them.

    In the main thread SIGINT and SIGTERM are handled for the time of the call, unless the program has
    handlers of its own. The socket object is closed when the drain begins, a dup() of it goes on listening.
    Thread: any; blocks it. Errors: those of Server; SystemExit when the application raised it; what a signal
    handler of the program's own raises, after the drain (KeyboardInterrupt just ends the call).
    Source: eventlet's and the first evy's wsgi.server().
    """
    keywords = {**locals(), **options}
    for name in ("sock", "site", "protocol", "server_event", "options"):
        del keywords[name]
    if "grace_seconds" in keywords:
        keywords["grace"] = keywords.pop("grace_seconds")
    if protocol is not None:
        warnings.warn(
            "protocol is deprecated: use the keywords of server()", DeprecationWarning, stacklevel=2
        )
        keywords.update(protocol_keywords(protocol, minimum_chunk_size))
    instance = Server(sock, site, **keywords)
    instance.owned_sockets = list(sock) if isinstance(sock, (list, tuple)) else [sock]
    if server_event is not None:
        warnings.warn("server_event is deprecated: use Server", DeprecationWarning, stacklevel=2)
        server_event.send(instance)
    try:
        _serve(instance)
    finally:
        for one in instance.owned_sockets:
            if hasattr(one, "close"):
                one.close()


def stop(sock: Any, grace: float | None = -1) -> None:
    """Stops the running server of this socket, or of a dup() of it, as Server.stop() does; returns at once.

    grace: seconds for running requests; None: for ever; left out: what the server was made with.
    Thread: any, also a handler, or a signal handler. Errors: StateError when no running server serves it.
    """
    found = [one for one in running() if one is sock or (one is not sock and _serves(one, sock))]
    if not found:
        raise _errors.StateError(f"no running server serves {sock!r}")
    for one in found:
        one.stop(grace)


def _serves(instance: Server, sock: Any) -> bool:
    return not isinstance(sock, Server) and instance.serves(sock)


def _serve(instance: Server) -> None:
    with _ending_on_signals(instance):
        try:
            instance.start()
            if not _state.is_accepting:
                instance.stop()
            instance.join()
        except BaseException as error:
            # Also what a signal handler of the program's own raised: requests are let finish all the same.
            if instance.is_running:
                instance.stop()
                instance.join()
            if not isinstance(error, KeyboardInterrupt):
                raise


@contextmanager
def _ending_on_signals(instance: Server) -> Iterator[None]:
    def end(_number: int, _frame: Any) -> None:
        instance.stop(0 if instance.is_stopping else -1)

    replaced: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        defaults: dict[int, Any] = {
            signal.SIGINT: signal.default_int_handler,
            signal.SIGTERM: signal.SIG_DFL,
        }
        for number, default in defaults.items():
            if signal.getsignal(number) is default:
                replaced[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


# A property of the module, below.
is_accepting: bool


class _State:
    is_accepting = True


_state = _State()


class _Module(types.ModuleType):
    """wsgi.is_accepting of the ancestors: False ends every running server at once, and those to come."""

    @property
    def is_accepting(self) -> bool:
        return _state.is_accepting

    @is_accepting.setter
    def is_accepting(self, value: bool) -> None:
        _state.is_accepting = bool(value)
        if not value:
            for one in running():
                one.stop()


sys.modules[__name__].__class__ = _Module
