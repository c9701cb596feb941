# SPDX-License-Identifier: MIT
"""evy.web.wsgi - serves WSGI applications (PEP 3333) from sockets.

wsgi.server(evy.listen(('', 8090)), application)          # blocks until Ctrl-C or SIGTERM

with wsgi.Server(evy.listen(('', 0)), application) as s:  # beside whatever else the program does
    print(s.port)
"""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from evy.web._server import DEFAULT_LOG_FORMAT, Server

__all__ = ["DEFAULT_LOG_FORMAT", "Server", "server"]


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
    grace_seconds: float | None = 30,
    **options: Any,
) -> None:
    """Serves `site` from `sock` until Ctrl-C, SIGTERM, or Server.stop(); then drains, and returns.

    The parameters are those of Server, and:

    protocol: deprecated; only a class attribute minimum_chunk_size is heeded.
    server_event: deprecated; its send(server) is called with the Server ahead of the first request.
    grace_seconds: how long requests may go on after the signal; None: for ever. A second signal cuts them.

    In the main thread SIGINT and SIGTERM are handled for the time of the call, unless the program has
    handlers of its own. The socket object is closed when the drain begins, a dup() of it goes on listening.
    Errors: those of Server; SystemExit when the application raised it.
    """
    keywords = {**locals(), **options}
    for name in ("sock", "site", "protocol", "server_event", "grace_seconds", "options"):
        del keywords[name]
    if protocol is not None:
        warnings.warn(
            "protocol is deprecated: use the keywords of server()", DeprecationWarning, stacklevel=2
        )
        if minimum_chunk_size is None:
            keywords["minimum_chunk_size"] = getattr(protocol, "minimum_chunk_size", None)
    instance = Server(sock, site, **keywords)
    instance.owned_sockets = sock if isinstance(sock, Sequence) else [sock]
    if server_event is not None:
        warnings.warn("server_event is deprecated: use Server", DeprecationWarning, stacklevel=2)
        server_event.send(instance)
    try:
        _serve(instance, grace_seconds)
    finally:
        for one in instance.owned_sockets:
            one.close()


def _serve(instance: Server, grace_seconds: float | None) -> None:
    with _ending_on_signals(instance, grace_seconds):
        try:
            instance.start()
            instance.join()
        except KeyboardInterrupt:
            # From a handler of the program's own.
            instance.stop(grace_seconds)
            instance.join()


@contextmanager
def _ending_on_signals(instance: Server, grace_seconds: float | None) -> Iterator[None]:
    def end(_number: int, _frame: Any) -> None:
        instance.stop(0 if instance.is_stopping else grace_seconds)

    replaced: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number, default in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGTERM, signal.SIG_DFL),
        ):
            if signal.getsignal(number) is default:
                replaced[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
