# SPDX-License-Identifier: MIT
"""_server - turns sockets, an application and the ancestors' keywords into one server of the library."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evy import _errors, _lib
from evy._config import Config
from evy._lib import lib
from evy.web import _bridge, _keywords, _running
from evy.web._application import Application
from evy.web._environ import Environ
from evy.web._exchange import Idle
from evy.web._keywords import DEFAULT_LOG_FORMAT
from evy.web._lending import Lender
from evy.web._log import Logs
from evy.web._response import Manner
from evy.web._stats import Stats, metrics_of, stats_of
from evy.web._tasks import Tasks

_SLICE_SECONDS = 0.2
_GRACE_SECONDS = 30.0
_LENT_SECONDS = 1.0
_LENT_LOOK_SECONDS = 0.0002


class Server:
    """One WSGI server; any number of them may live in a process, each with its own threads.

    sock: a bound stream socket, one from evy.wrap_ssl, an address as in evy_config_listen ("127.0.0.1:8080",
        "unix:/run/a.sock?mode=660"), or a list of these. The server uses a duplicate of a socket: close
        yours, or clients that come after stop() will queue at it.
    site: the WSGI application. It may block: up to option `threads` (32) requests run side by side, each in a
        thread that Python made, so it has to be thread-safe. With threads=1 it runs alone: bodies are taken
        whole ahead of it, a long streamed answer is continued whenever its client has taken some, and what
        goes through write() waits in memory.
    log: a file-like object or a logging.Logger; None: sys.stderr. log_output=False: nothing is logged.
    access_log: where access lines go instead: "off", "stderr", "fd:N", a file's path, or an object like log.
    log_format: one access line, %(field)s, or "common", "combined", "json"; an unknown field is a ConfigError
        here. log_x_forwarded_for: put what X-Forwarded-For claims ahead of client_ip.
    environ: keys for every request's environ, of any type; the request's own win, but for wsgi.url_scheme.
    max_size: open connections, idle ones included; None: option max_connections.
    max_http_version: "HTTP/1.1" or "HTTP/1.0". keepalive: False closes after each request; a number is the
        time in seconds to wait for the next one. socket_timeout: seconds for the handshake, the head, each
        pause in a body, a client that does not read, and the next request.
    minimum_chunk_size: bytes to gather from small pieces of a streamed body; None: each goes out at once.
    chunked_input: 'buffer' (the default) takes a chunked body in ahead of the application, which finds its
        CONTENT_LENGTH; 'stream' hands it over live, with HTTP_TRANSFER_ENCODING and no CONTENT_LENGTH.
    url_length_limit: a request line of so many bytes, with its line end, is refused with 414.
    custom_pool: an executor (submit) or a pool (spawn) in which the application runs. It cannot take a
        connection over there; nor, with threads=1 and body='stream', wait for the rest of a body: 503.
    debug: answer an exception with its traceback. capitalize_response_headers: content-type is sent as
        Content-Type.
    trusted_proxies: a list, or a text, of the proxies whose forwarded headers count; proxy_protocol: True
        requires the PROXY protocol.
    grace: seconds that stop() gives running requests where it is not told; None: for ever. Option
        drain_delay=1: so long, within the grace, a stopping server leaves idle connections open, as a request
        may be on its way; for a server whose successor takes its clients over.
    compat: 'eventlet' restores what evy does otherwise on purpose: SERVER_PROTOCOL is HTTP/1.0, repeated
        headers are joined with ',', QUERY_STRING is absent without '?', CONTENT_TYPE defaults to text/plain,
        small pieces gather to 4096 bytes, chunked bodies are live, HTTP/1.1 without Host is served, 1024
        connections, start_response may be called again until the first byte; and environ has headers_raw and
        the keys eventlet.posthooks, .input, .minimum_write_chunk_size and .set_idle.
    options: any option of the library by name, such as threads=8, body_timeout=20, max_body_size="64m":
        times in seconds, sizes in bytes, or texts as in evy.h.

    Errors: TypeError (no such option), ConfigError (its value, or the socket), TLSError, OSError,
        RuntimeError (in a subinterpreter of CPython).
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
        access_log: Any = None,
        chunked_input: str | None = None,
        trusted_proxies: str | Sequence[str] | None = None,
        proxy_protocol: bool | str | None = None,
        grace: float | None = _GRACE_SECONDS,
        compat: str | None = None,
        **options: Any,
    ) -> None:
        self._prepare(site, grace)
        self._logs = Logs(log, log_output, access_log)
        is_compat = _keywords.is_compat(compat)
        settings = {
            "log_x_forwarded_for": bool(log_x_forwarded_for),
            "access_log_format": log_format,
            "max_request_line": url_length_limit,
            **_keywords.connection_options(
                max_size, max_http_version, keepalive, socket_timeout, is_compat
            ),
            **_keywords.proxy_options(trusted_proxies, proxy_protocol),
            **options,
        }
        with Config() as config:
            for key, value in settings.items():
                config.set(key, value)
            threads = _keywords.threads_of(config)
            self._lender = Lender(threads.lent, threads.can_wait, self._finish, self._fail)
            if "body" not in options and threads.can_wait:
                config.set("body", "auto")
            self._application = self._make_application(
                config,
                site,
                environ,
                manner=_keywords.manner(minimum_chunk_size, capitalize_response_headers, is_compat),
                is_compat=is_compat,
                streams_chunks=_keywords.streams_chunks(chunked_input, is_compat),
                error_body=_keywords.error_body(debug, is_compat),
                run=_keywords.pool_runner(custom_pool),
            )
            self._logs.route(config, options)
            self._open(config, sock, _keywords.needs_python(config, environ, custom_pool, is_compat))

    def _prepare(self, site: Callable[..., Any], grace: float | None) -> None:
        _lib.refuse_subinterpreter()
        if not callable(site):
            raise TypeError(f"site is a {type(site).__name__}: it is not callable")
        _keywords.grace_ms(grace)  # now, not when somebody wants to stop
        self._handle: int | None = None
        self._lock = threading.RLock()
        self._is_started = False
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._stats = Stats()
        self.grace = grace
        self.is_stopping = False
        # Sockets that stop() closes, so that nobody queues where nobody accepts any more.
        self.owned_sockets: Sequence[Any] = ()

    def _make_application(
        self,
        config: Config,
        site: Callable[..., Any],
        environ: Mapping[str, Any] | None,
        *,
        manner: Manner,
        is_compat: bool,
        **keywords: Any,
    ) -> Application:
        threads = _keywords.threads_of(config)
        made = Environ(
            environ,
            is_threaded=threads.is_multithreaded,
            holds_nul=config.get("allow_encoded_nul") == "true",
            is_compat=is_compat,
            piece_bytes_min=manner.piece_bytes_min,
        )
        return Application(
            site,
            made,
            self._logs.events,
            manner=manner,
            hook_keys=("evy.posthooks", "eventlet.posthooks") if is_compat else ("evy.posthooks",),
            can_wait=threads.can_wait,
            is_buffered=config.get("body") != "stream",
            on_exit=_running.weakly(self._exit_requested),
            **keywords,
        )

    def _open(self, config: Config, sock: Any, needs_python: str | None) -> None:
        socks = list(sock) if isinstance(sock, (list, tuple)) else [sock]
        if not _bridge.attach(config, self._application, needs_python):
            config.on_request(self._application.on_request)
        for one in socks:
            config.listen(one)
        self._tasks = Tasks(self._logs.events)
        self._handle = config.make_server()
        self._inodes = {_running.inode_of(one) for one in socks if not isinstance(one, str)}
        self.ports = [lib.evy_server_port(self._handle, index) for index in range(len(socks))]
        self.addresses = [
            _lib.text(lib.evy_server_address(self._handle, index)) for index in range(len(socks))
        ]

    @property
    def port(self) -> int:
        """The real port of the first socket; 0 for a unix socket."""
        return int(self.ports[0])

    @property
    def is_running(self) -> bool:
        return self._is_started and not self._ended.is_set()

    def serves(self, sock: Any) -> bool:
        """sock, or a duplicate of it, is one of those that the server was made for."""
        return any(sock is one for one in self.owned_sockets) or (
            sock.fileno() >= 0 and _running.inode_of(sock) in self._inodes
        )

    # Seeing inside

    def stats(self) -> Stats:
        """The counters now, or as they were at the end; all 0 in a forked child."""
        with self._lock:
            if self._handle is not None:
                self._stats = stats_of(self._handle)
            return self._stats

    @property
    def outstanding_requests(self) -> int:
        """Requests that have begun and are not over, hooks included."""
        return self.stats().requests_active

    def metrics(self) -> str:
        """The counters in the text format of Prometheus; "" once the server has ended."""
        with self._lock:
            return "" if self._handle is None else metrics_of(self._handle)

    # While it runs

    def post(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Has function(*arguments) called once, soon, where the application is called; it may block likewise.

        They begin in the order posted; where one blocks, or waits for a processor, others go on beside it.
        An exception is logged. A server that ends first does not call it. Errors: StateError (it has ended).
        """
        with self._lock:
            if self._handle is None:
                raise _errors.StateError("the server has ended")
            self._tasks.post(self._handle, function, arguments)

    def reopen_logs(self) -> None:
        """Opens the files of access_log, and of option error_log, anew, for log rotation.

        What is no path stays as it is; after the end nothing happens. Errors: LogError (an OSError): a file
        cannot be opened, and the old one is kept.
        """
        with self._lock:
            if self._handle is None:
                return
            status = lib.evy_server_reopen_logs(self._handle)
            if status < 0:
                raise _errors.make(status, _lib.text(lib.evy_server_error(self._handle)))

    # Life

    def start(self) -> Server:
        """Serves on threads of its own, named evy-0 and so on, and returns at once.

        Errors: StateError (started or freed before, or in a forked child; or threads are green ones, of
        gevent or eventlet), RuntimeError (no thread could be made), MemoryError. It is over then.
        """
        _keywords.refuse_green_threads()
        with self._lock:
            if self._handle is None or self._is_started:
                raise _errors.StateError("the server was started or stopped before")
            self._is_started = True
            self._lender.enter()  # until all threads are there
            _running.add(self)
            handle = self._handle
        try:
            self._lender.begin(handle)
            self._await_lent(handle)
            status = lib.evy_server_start(handle)
            if status < 0 and not self.is_stopping:
                raise _errors.make(status, _lib.text(lib.evy_server_error(handle)))
        except BaseException:
            # No thread can be made, or a signal handler raised, and the last one may be on its way or not.
            self._give_up(handle)
            raise
        if status < 0:  # stopped meanwhile, which is no error
            self._give_up(handle)
        else:
            self._lender.leave()
        return self

    def _give_up(self, handle: int) -> None:
        self.stop()
        self._lender.refuse()
        # Somebody has to bring to an end what was begun.
        lib.evy_server_work(handle)
        self._lender.leave()

    def _await_lent(self, handle: int) -> None:
        """Clients may have queued already, and a thread that serves alone may not wait for any of them.

        Once one of them could not come, for want of memory or after a fork, nobody is waited for.
        """
        deadline = time.monotonic() + _LENT_SECONDS
        while stats_of(handle).threads_total < self._lender.count and time.monotonic() < deadline:
            if self.is_stopping or self._failure is not None:
                break
            time.sleep(_LENT_LOOK_SECONDS)

    def stop(self, grace: float | None = -1) -> None:
        """Stops accepting, lets requests finish for so many seconds, then cuts them.

        grace: None: for ever; left out: what the server was made with. Requests that called
        env['evy.set_idle'] are cut at once. Returns at once, see join(). A second call may shorten the grace.
        A server that was never started closes its sockets. Thread: any, also a handler, or a signal handler.
        """
        if grace is not None and grace < 0:
            grace = self.grace
        grace_ms = _keywords.grace_ms(grace)
        with self._lock:
            self.is_stopping = True
            for one in self.owned_sockets:
                if hasattr(one, "close"):
                    one.close()
            if not self._is_started:
                self._free()
            elif self._handle is not None:
                lib.evy_server_stop(self._handle, grace_ms)
        self._application.idle.cut_all()

    def join(self, timeout_seconds: float | None = None) -> bool:
        """Waits for the end of a started server. False: the time has passed.

        Errors: StateError (never started, or called by a handler of this server, which would wait for
        itself); what the application raised to end the server (SystemExit).
        """
        if not self._is_started:
            raise _errors.StateError("the server was not started")
        if self._application.is_inside or threading.current_thread() in self._lender.threads:
            raise _errors.StateError("a handler cannot wait for the server that runs it")
        if not self._wait(timeout_seconds):
            return False
        for thread in self._lender.threads:
            thread.join()
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
        # At the interpreter's end this module may be empty already.
        if getattr(self, "_handle", None) is not None and lib is not None:
            self._free()

    def _fail(self, status: int) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = _errors.make(status, _lib.text(lib.evy_server_error(self._handle)))

    def _finish(self) -> None:
        """The last lent thread is back: nobody is inside the library any more."""
        with self._lock:
            self._free()
        self._logs.ended()
        _running.discard(self)
        self._ended.set()

    def _free(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._stats = stats_of(handle)
            lib.evy_server_free(handle)

    def _exit_requested(self, reason: BaseException) -> None:
        """The application raised SystemExit or KeyboardInterrupt: so ends the server, as in the ancestors."""
        self._failure = reason.with_traceback(None)
        self.stop()

    def _forget(self) -> None:
        """In a forked child, where the threads are not."""
        self._lock = threading.RLock()
        self._handle = None
        self._lender.threads = []
        self._application.idle = Idle()
        self._ended = threading.Event()
        self._ended.set()
