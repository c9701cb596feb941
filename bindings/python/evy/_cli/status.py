# SPDX-License-Identifier: MIT
"""status - serves the status page, /status.json, /metrics and /health from the master's own loop.

It is an evy server that the master steps: it has no threads, so the master can fork beside it, and it never
waits for a client.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import time
from typing import Any

from evy import _lib
from evy._cli import counters
from evy._cli.addresses import Listener
from evy._cli.state import READY, STALE, State, Worker
from evy._cli.statuspage import PAGE
from evy._config import Config
from evy._lib import lib, version
from evy._version import __version__

_OPTIONS = {
    "access_log": "off",
    "max_connections": 64,
    "max_body_size": "1k",
    "idle_timeout": 20,
    "header_timeout": 5,
    "write_timeout": 10,
}
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"
_HTML, _METRICS = "text/html; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"


class StatusServer:
    """Ownership: the listener and the server. Thread: the master's."""

    def __init__(self, state: State, listener: Listener) -> None:
        self.listener = listener
        self._state = state
        self._on_request = _lib.HandlerFunction(self._requested)
        self._remembered, self._remembered_at = self._totals(), time.monotonic()
        self._on_log = _lib.LogFunction(self._logged)
        self._handle: int | None = None
        self._own: list[int] = []

    # In the master's loop

    def start(self) -> None:
        """In the process that will step it, which a daemon becomes last: a server does not survive a fork.

        Errors: evy.Error.
        """
        # Of the library: a duplicate of the socket, an epoll set, and what wakes it.
        before = set(_open_descriptors())
        with Config() as config:
            for name, value in _OPTIONS.items():
                config.set(name, value)
            config.on_request(self._on_request)
            config.on_log(self._on_log)
            config.listen(self.listener.socket)
            self._handle = config.make_server()
        lib.evy_server_fd(self._handle)
        self._own = [number for number in _open_descriptors() if number not in before]

    def fileno(self) -> int:
        return lib.evy_server_fd(self._handle)

    def step(self) -> None:
        lib.evy_server_step(self._handle, 0)

    def remember(self) -> None:
        """One point of the graphs, each second. Workers that have ended since the last one count too."""
        workers = self._state.workers.values()
        for one in workers:
            one.mark((counters.REQUESTS_TOTAL, counters.BYTES_OUT, counters.BYTES_IN))
        totals, now = self._totals(), time.monotonic()
        passed = max(now - self._remembered_at, 0.001)

        def rate(number: int) -> float:
            return round((totals[number] - self._remembered[number]) / passed, 1)

        self._state.history.append(
            {
                "at": round(time.time(), 1),
                "requests": rate(counters.REQUESTS_TOTAL),
                "active": totals[counters.REQUESTS_ACTIVE],
                "sent": rate(counters.BYTES_OUT),
                "received": rate(counters.BYTES_IN),
                "connections": totals[counters.CONNECTIONS_OPEN],
                "workers": {one.pid: round(one.rate(counters.REQUESTS_TOTAL), 1) for one in workers},
            }
        )
        self._remembered, self._remembered_at = totals, now

    def leave(self) -> None:
        """In a forked child: closes the master's descriptors, connections of watchers among them.

        The library leaves a server of another process alone, so nobody else closes them.
        """
        theirs = {one.socket.fileno() for one in self._state.listeners}
        self._free()
        door = _door(self.listener.socket)
        for number in _open_descriptors():
            with contextlib.suppress(OSError):
                is_ours = number in self._own or (number not in theirs and _door_of(number) == door)
                if is_ours and number != self.listener.socket.fileno():
                    os.close(number)
        self.listener.socket.close()

    def close(self, has_heir: bool) -> None:
        self._free()
        self.listener.close(has_heir)

    def _free(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            lib.evy_server_free(handle)

    # Requests

    def _logged(self, _user: int | None, _level: int, _start: int, _byte_count: int) -> None:
        """Whoever watches a server is not to fill its log."""

    def _requested(self, _user: int | None, req: int) -> None:
        try:
            status, kind, text = self._answer(_variable(req, b"REQUEST_METHOD"), _variable(req, b"PATH_INFO"))
        except Exception as error:
            self._state.logs.error.exception("exception in the status page")
            status, kind, text = 500, _TEXT, f"{type(error).__name__}\n"
        fields = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": _POLICY,
        }
        if status == 405:
            fields["Allow"] = "GET, HEAD"
        block = "".join(f"{name}\0{value}\0" for name, value in fields.items()).encode()
        body = text.encode()
        lib.evy_respond(req, status, None, block, len(block), body, len(body))

    def _answer(self, method: str, path: str) -> tuple[int, str, str]:
        if method not in ("GET", "HEAD"):
            return 405, _TEXT, "only GET and HEAD\n"
        if path == "/":
            return 200, _HTML, PAGE
        if path == "/status.json":
            return 200, _JSON, json.dumps(self._everything())
        if path == "/metrics":
            return 200, _METRICS, self._metrics()
        if path == "/health":
            is_up = bool(self._state.in_phase(READY, STALE)) and not self._state.is_stopping
            return (200, _TEXT, "serving\n") if is_up else (503, _TEXT, f"{self._mood()}\n")
        return 404, _TEXT, "there are /, /status.json, /metrics and /health\n"

    def _mood(self) -> str:
        state = self._state
        if state.is_stopping:
            return "stopping"
        if not state.in_phase(READY, STALE):
            return "failing" if state.boot_failures else "starting" if state.target else "paused"
        if state.is_reloading:
            return "reloading"
        return "upgrading" if state.new_master or state.old_master else "serving"

    def _totals(self) -> list[int]:
        return self._state.totals.sum(one.counters for one in self._state.workers.values())

    def _everything(self) -> dict[str, Any]:
        state, settings = self._state, self._state.settings
        totals = self._totals()
        workers = sorted(state.workers.values(), key=lambda one: one.age)
        return {
            "version": __version__,
            "library": version(),
            "application": settings.wsgi_app,
            "name": settings.proc_name or settings.wsgi_app,
            "pid": state.pid,
            "state": self._mood(),
            "uptime_seconds": round(time.monotonic() - state.born_at, 1),
            "addresses": [one.url(state.tls is not None) for one in state.listeners],
            "workers_wanted": state.target,
            "threads": settings.threads,
            "boot_failures": state.boot_failures,
            "totals": {
                "requests": totals[counters.REQUESTS_TOTAL],
                "active": totals[counters.REQUESTS_ACTIVE],
                "queued": totals[counters.REQUESTS_QUEUED],
                "connections": totals[counters.CONNECTIONS_OPEN],
                "sent_bytes": totals[counters.BYTES_OUT],
                "received_bytes": totals[counters.BYTES_IN],
                "server_errors": totals[counters.STATUS_5XX],
                "client_errors": totals[counters.STATUS_4XX],
            },
            "workers": [_of_worker(one) for one in workers],
            "history": list(state.history),
        }

    def _metrics(self) -> str:
        state = self._state
        workers = sorted(state.workers.values(), key=lambda one: one.age)
        labelled = [(f'{{pid="{one.pid}"}}', one) for one in workers]
        return state.totals.prometheus(
            self._totals(),
            [
                ("evy_workers", "gauge", "workers that serve", [("", len(state.in_phase(READY, STALE)))]),
                ("evy_workers_wanted", "gauge", "workers there should be", [("", state.target)]),
                ("evy_workers_started_total", "counter", "workers started", [("", state.ages)]),
                (
                    "evy_worker_requests_total",
                    "counter",
                    "requests begun, by worker",
                    [(labels, one.counter(counters.REQUESTS_TOTAL)) for labels, one in labelled],
                ),
                (
                    "evy_worker_requests_active",
                    "gauge",
                    "requests begun and not yet over, by worker",
                    [(labels, one.counter(counters.REQUESTS_ACTIVE)) for labels, one in labelled],
                ),
                (
                    "evy_worker_resident_bytes",
                    "gauge",
                    "memory in RAM, by worker",
                    [(labels, one.resident) for labels, one in labelled],
                ),
            ],
        )


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _door(sock: socket.socket) -> Any:
    """What a listening socket and the connections it has accepted have in common."""
    name = sock.getsockname()
    return (sock.family, name[1] if isinstance(name, tuple) else name)


def _door_of(descriptor: int) -> Any:
    """Errors: OSError (no socket)."""
    sock = socket.socket(fileno=descriptor)
    try:
        return _door(sock)
    finally:
        sock.detach()


def _of_worker(one: Worker) -> dict[str, Any]:
    now = time.monotonic()
    return {
        "pid": one.pid,
        "age": one.age,
        "phase": one.phase,
        "uptime_seconds": round(now - one.born_at, 1),
        "heard_seconds_ago": round(now - one.heard_at, 1),
        "requests": one.counter(counters.REQUESTS_TOTAL),
        "requests_per_second": round(one.rate(counters.REQUESTS_TOTAL), 1),
        "active": one.counter(counters.REQUESTS_ACTIVE),
        "connections": one.counter(counters.CONNECTIONS_OPEN),
        "sent_bytes": one.counter(counters.BYTES_OUT),
        "threads_busy": one.counter(counters.THREADS_BUSY),
        "loop_lag_max_us": one.counter(counters.LOOP_LAG_MAX_US),
        "resident_bytes": one.resident,
    }


def _variable(req: int, name: bytes) -> str:
    value = lib.evy_env_get(req, name, None)
    return ctypes.string_at(value).decode("latin-1") if value else ""
