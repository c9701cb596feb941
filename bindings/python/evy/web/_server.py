# SPDX-License-Identifier: MIT
"""_server - turns sockets, an application and the ancestors' keywords into one server of the library."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evy import _errors, _lib
from evy._config import Config
from evy._lib import lib
from evy.web._application import Application
from evy.web._environ import Environ
from evy.web._log import Log, report_unraisable

DEFAULT_LOG_FORMAT = (
    '%(client_ip)s - - [%(date_time)s] "%(request_line)s" %(status_code)s %(body_length)s %(wall_seconds).6f'
)
_VERSIONS = {"HTTP/1.0": "1.0", "HTTP/1.1": "1.1"}
_EXIT_SECONDS_MAX = 5.0
_SLICE_SECONDS = 0.2


class Server:
    """One WSGI server; any number of them may live in a process, each with its own threads.

    sock: a bound stream socket, one from evy.wrap_ssl, or a sequence of them. The server uses a duplicate:
        close yours, or clients that come after stop() will queue at it.
    site: the WSGI application. It may block: up to option `threads` (32) requests run side by side, so it has
        to be thread-safe; with threads=1 it runs alone, bodies are taken whole ahead of it, and a streamed
        answer waits in memory.
    log: a file-like object or a logging.Logger; None: sys.stderr. log_output=False: nothing is logged.
    log_format: one access line, %(field)s; an unknown field is a ConfigError here. log_x_forwarded_for: put
        what X-Forwarded-For claims ahead of client_ip.
    environ: keys for every request's environ, of any type; the request's own win, but for wsgi.url_scheme.
    max_size: open connections, idle ones included; None: option max_connections.
    max_http_version: "HTTP/1.1" or "HTTP/1.0". keepalive: False closes after each request; a number is the
        time in seconds to wait for the next one. socket_timeout: seconds for the head, each pause in a body,
        a client that does not read, and the next request.
    minimum_chunk_size: bytes to gather from small pieces of a streamed body; None: each goes out at once.
    url_length_limit: a request line of so many bytes, with its line end, is refused with 414.
    custom_pool: an executor (submit) or a pool (spawn) in which the application runs.
    debug: answer an exception with its traceback. capitalize_response_headers: content-type is sent as
        Content-Type.
    options: any option of the library by name, such as threads=8, body_timeout=20, max_body_size="64m":
        times in seconds, sizes in bytes, or texts as in evy.h.

    Errors: TypeError (no such option), ConfigError (its value, or the socket), TLSError, OSError.
    Once it is made, clients can connect, and wait. Thread: any, for all methods.
    """

    def __init__(
        self,
        sock: Any,
        site: Callable[..., Any],
        *,
        log: Any = None,
        environ: Mapping[str, Any] | None = None,
        max_size: int | None = None,
        max_http_version: str = "HTTP/1.1",
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
        if not callable(site):
            raise TypeError("site is not callable")
        self._handle: int | None = None
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._log = Log(log, log_output)
        self.is_stopping = False
        # Sockets that stop() closes, so that nobody queues where nobody accepts any more.
        self.owned_sockets: Sequence[Any] = ()
        settings = {
            "log_x_forwarded_for": bool(log_x_forwarded_for),
            "access_log_format": log_format,
            "max_request_line": url_length_limit,
            **_connection_settings(max_size, max_http_version, keepalive, socket_timeout),
            **options,
        }
        socks = sock if isinstance(sock, Sequence) else [sock]
        with Config() as config:
            for key, value in settings.items():
                config.set(key, value)
            is_threaded = config.get("threads") != "1"
            if "body" not in options and is_threaded:
                config.set("body", "stream")
            self._application = Application(
                site,
                Environ(environ, is_threaded, config.get("allow_encoded_nul") == "true"),
                self._log,
                is_buffered=config.get("body") == "buffer",
                capitalizes=capitalize_response_headers,
                piece_bytes_min=minimum_chunk_size or 0,
                shows_traceback=debug,
                run=_pool_runner(custom_pool),
                on_exit=self._exit_requested,
            )
            self._route_logs(config, options)
            self._open(config, socks)

    def _open(self, config: Config, socks: Sequence[Any]) -> None:
        config.on_request(self._application.on_request)
        for one in socks:
            config.listen(one)
        self._handle = config.make_server()
        self.ports = [lib.evy_server_port(self._handle, index) for index in range(len(socks))]
        self.addresses = [
            _lib.text(lib.evy_server_address(self._handle, index)) for index in range(len(socks))
        ]

    @property
    def port(self) -> int:
        """The real port of the first socket; 0 for a unix socket."""
        return self.ports[0]

    @property
    def is_running(self) -> bool:
        return self._thread is not None and not self._ended.is_set()

    # Life

    def start(self) -> Server:
        """Serves on threads of its own, and returns at once. Errors: StateError (started or freed before)."""
        with self._lock:
            if self._handle is None or self._thread is not None:
                raise _errors.StateError("the server was started or stopped before")
            # The library is run on a thread that Python made: entering Python from there costs far less
            # than from a thread that Python has never seen, such as the library's own.
            self._thread = threading.Thread(target=self._work, name="evy", daemon=True)
            _running.add(self)
            self._thread.start()
        return self

    def stop(self, grace_seconds: float | None = 30) -> None:
        """Stops accepting, lets requests finish for so long (None: for ever), then cuts them.

        Returns at once, see join(). A second call may shorten the grace. A server that was never started
        closes its sockets. Also from a handler, or a signal handler.
        """
        with self._lock:
            self.is_stopping = True
            for one in self.owned_sockets:
                one.close()
            if self._thread is None:
                self._free()
            elif self._handle is not None:
                lib.evy_server_stop(
                    self._handle, -1 if grace_seconds is None else round(grace_seconds * 1000)
                )

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Waits for the end of a started server. False: the time has passed.

        Errors: StateError (never started, or called by a handler of this server, which would wait for
        itself); what the application raised to end the server (SystemExit).
        """
        if self._thread is None:
            raise _errors.StateError("the server was not started")
        if self._application.is_inside:
            raise _errors.StateError("a handler cannot wait for the server that runs it")
        if not self._wait(timeout_seconds):
            return False
        failure, self._failure = self._failure, None
        if failure is not None and not isinstance(failure, KeyboardInterrupt):
            raise failure
        return True

    def _wait(self, timeout_seconds: float | None) -> bool:
        """In slices: a signal that comes just ahead of a wait runs its handler only after it."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not self._ended.wait(
            _SLICE_SECONDS if deadline is None else min(_SLICE_SECONDS, max(0, deadline - time.monotonic()))
        ):
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.join()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self._free()

    def _work(self) -> None:
        """The thread of a running server."""
        try:
            status = lib.evy_server_run(self._handle)
            if status < 0:
                self._failure = _errors.make(status, _lib.text(lib.evy_server_error(self._handle)))
        finally:
            with self._lock:
                self._free()
            self._log.line(f"({os.getpid()}) wsgi exiting")
            self._log.flush()
            _running.discard(self)
            self._ended.set()

    def _free(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            lib.evy_server_free(handle)

    def _exit_requested(self, reason: BaseException) -> None:
        """The application raised SystemExit or KeyboardInterrupt: so ends the server, as in the ancestors."""
        self._failure = reason.with_traceback(None)
        self.stop()

    # Logs

    def _route_logs(self, config: Config, options: Mapping[str, Any]) -> None:
        """The library writes to stderr by itself; any other log is fed through callbacks."""
        self._on_log = _lib.LogFunction(self._event_logged)
        self._on_access = _lib.AccessFunction(self._request_logged)
        if not self._log.is_on:
            options = {"access_log": "off", "error_log": "off", **options}
        elif self._log.is_stderr:
            options = {"access_log": "stderr", "error_log": "stderr", **options}
        else:
            if "access_log" not in options:
                config.on_access(self._on_access)
            if "error_log" not in options:
                config.on_log(self._on_log)
            return
        config.set("access_log", options["access_log"])
        config.set("error_log", options["error_log"])

    def _event_logged(self, _user: int | None, level: int, start: int, byte_count: int) -> None:
        try:
            self._log.line(ctypes.string_at(start, byte_count).decode("utf-8", "replace"), level)
        except BaseException:
            report_unraisable("the log")

    def _request_logged(self, _user: int | None, _req: int | None, start: int, byte_count: int) -> None:
        try:
            self._log.line(ctypes.string_at(start, byte_count).decode("latin-1"))
        except BaseException:
            report_unraisable("the access log")


# Servers whose threads run: nobody else may hold them, and the interpreter must not end under them.
_running: set[Server] = set()


# A forked child has none of the threads that would end them.
os.register_at_fork(after_in_child=_running.clear)


@atexit.register
def _stop_all() -> None:
    servers = list(_running)
    for one in servers:
        one.stop(0)
    for one in servers:
        one._ended.wait(_EXIT_SECONDS_MAX)


def _connection_settings(
    max_size: int | None,
    max_http_version: str,
    keepalive: bool | float | None,
    socket_timeout: float | None,
) -> dict[str, Any]:
    if max_http_version not in _VERSIONS:
        raise _errors.ConfigError(f"max_http_version {max_http_version!r} is neither HTTP/1.0 nor HTTP/1.1")
    settings: dict[str, Any] = {
        "max_http_version": _VERSIONS[max_http_version],
        "keep_alive": bool(keepalive),
    }
    if max_size is not None:
        settings["max_connections"] = max_size
    if socket_timeout is not None:
        for name in ("header_timeout", "body_timeout", "write_timeout", "idle_timeout"):
            settings[name] = socket_timeout
    if keepalive and not isinstance(keepalive, bool):
        settings["idle_timeout"] = keepalive
    return settings


def _pool_runner(pool: Any) -> Callable[..., Any] | None:
    """A function that runs another in the pool and waits for it; None: no pool."""
    if pool is None:
        return None
    if hasattr(pool, "submit"):
        return lambda function, *args: pool.submit(function, *args).result()
    if hasattr(pool, "spawn"):
        return lambda function, *args: pool.spawn(function, *args).wait()
    raise TypeError(f"custom_pool is a {type(pool).__name__}: it has neither submit() nor spawn()")
