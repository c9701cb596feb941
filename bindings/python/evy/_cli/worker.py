# SPDX-License-Identifier: MIT
"""worker - the life of one worker, in its own process: load, serve, answer heartbeats, drain, end."""

from __future__ import annotations

import atexit
import faulthandler
import itertools
import math
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import evy
from evy._cli import apps, counters, hooks, process, serving
from evy._cli.channel import Channel
from evy._cli.hooks import WorkerFace
from evy._cli.reloader import Watch
from evy._cli.state import State
from evy._cli.values import SettingError
from evy._cli.waiting import wait_readable

# Exit statuses, as gunicorn's.
BOOT_ERROR, APP_ERROR = 3, 4
_LOOK_SECONDS, _REPORT_SECONDS = 0.5, 1.0
# Behind the grace: for post hooks of what was cut, and for the last lines of the logs.
_END_SECONDS = 1.0


class WorkerProcess:
    """Ownership: everything of its process. Thread: the main thread, but for what says otherwise."""

    def __init__(self, state: State, channel: Channel, face: WorkerFace) -> None:
        self._settings = state.settings
        self._logs = state.logs
        self._log = state.logs.error
        self._state = state
        self._channel = channel
        self._inbox: Any = None
        self._face = face
        self._server: Any = None
        # The library's locks take a thread that was forked for the one it was in the master: where two
        # threads meet at a lock, that ends the process. So the main thread of a worker has another one call.
        self._caller = ThreadPoolExecutor(1, "evy-control")
        self._watch = Watch(self._settings.reload_extra_files) if self._settings.reload else None
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._awaited: int | None = None
        self._beaten_at: int | None = None
        self._over_before = -1
        self._is_full = threading.Event()
        self._is_over = False
        self._deadline = math.inf
        self._is_interrupted = False

    def run(self) -> int:
        """Serves until the end; the exit status."""
        try:
            site = self._load()
        except apps.AppError as error:
            self._log.error("cannot load the application: %s\n%s", error, error.details)
            if self._watch is None:
                return APP_ERROR
            self._watch.also(error.files)
            site = apps.failing_app(error)
        self._inbox = process.SignalInbox((signal.SIGTERM, signal.SIGQUIT, signal.SIGINT))
        self._server = serving.make_server(
            serving.sockets(self._state.listeners, self._state.tls),
            self._counted(site),
            self._settings,
            self._logs,
        )
        self._server.on_stop = self._inbox.wake
        self._face.app = site
        hooks.call(self._settings, "post_worker_init", self._face)
        self._call(self._server.start)
        self._channel.send("ready", **self._report())
        # The sockets are closed by the time in which a hook may ask for their addresses.
        server_face = hooks.MasterFace(self._state, hooks.MasterFace(self._state).address)
        self._serve()
        hooks.call_guarded(self._settings, self._log, "worker_exit", server_face, self._face)
        if not self._server.is_running:
            self._end_program()
        return 0

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._caller.submit(function, *arguments).result()

    def _load(self) -> Callable[..., Any]:
        if self._state.application is not None:
            return self._state.application
        return apps.load(self._settings.wsgi_app, self._settings.factory)

    def _counted(self, site: Callable[..., Any]) -> Callable[..., Any]:
        """The application, which asks for a successor at its --max-requests'th request."""
        if not self._settings.max_requests:
            return site
        limit = self._settings.max_requests + random.randint(0, self._settings.max_requests_jitter)
        numbers = itertools.count(1)

        def counted(env: Any, start_response: Any) -> Any:
            if next(numbers) == limit:
                self._is_full.set()
                self._inbox.wake()
            return site(env, start_response)

        return counted

    # Serving

    def _serve(self) -> None:
        while not self._is_over:
            wait = 60.0 if self._watch is None else max(0.0, self._look_at - time.monotonic())
            wait_readable([self._inbox, self._channel], min(wait, 1.0))
            self._take_signals()
            self._take_messages()
            self._answer()
            if self._is_full.is_set():
                self._is_full.clear()
                self._log.info("%d requests served: a successor is asked for", self._settings.max_requests)
                self._channel.send("retire")
            self._look()
            if not self._is_over and (self._server.is_stopping or not self._server.is_running):
                self._drain(self._settings.graceful_timeout)

    def _take_signals(self) -> None:
        for number in self._inbox.take():
            if number == signal.SIGTERM:
                self._drain(self._settings.graceful_timeout)
            elif number in (signal.SIGQUIT, signal.SIGINT):
                if not self._is_interrupted:
                    self._is_interrupted = True
                    hooks.call_guarded(self._settings, self._log, "worker_int", self._face)
                self._drain(0)

    def _take_messages(self) -> None:
        messages, descriptors, is_open = self._channel.receive()
        paths = [one["paths"] for one in messages if one["kind"] == "logs"]
        if paths:
            self._take_logs(list(zip(itertools.chain(*paths), descriptors)))
        for one in messages:
            if one["kind"] == "ping" and self._awaited is None:
                self._ask(one["number"])
        if not is_open and not self._is_over:
            self._log.warning("the master has gone: ending")
            self._drain(self._settings.graceful_timeout)

    def _take_logs(self, fresh: list[tuple[str, int]]) -> None:
        """New files. A reload may have named others than those that this worker writes to."""
        files = {one.path: one for one in self._logs.files}
        for path, descriptor in fresh:
            if path in files:
                files[path].replace(descriptor)
            else:
                os.close(descriptor)
        if self._settings.capture_output:
            self._logs.capture()
        try:
            self._call(self._server.reopen_logs)
        except evy.LogError as error:
            self._log.error("%s; the old file is kept", error)

    def _drain(self, grace_seconds: float) -> None:
        """Stops accepting, waits for what runs, and ends. A further signal may shorten the wait."""
        self._is_over = True
        # Where it was not the master that wanted it: clients shall have somewhere to go.
        self._channel.send("retire")
        self._call(self._server.stop, grace_seconds)
        # Nobody accepts here any more, and with the master gone nobody may queue either.
        for one in self._state.listeners:
            one.socket.close()
        report_at = time.monotonic() + _REPORT_SECONDS
        self._deadline = time.monotonic() + grace_seconds + _END_SECONDS
        while self._server.is_running and time.monotonic() < self._deadline:
            if self._was_cut():
                self._call(self._server.stop, 0)
            self._take_messages()
            self._answer()
            if time.monotonic() >= report_at:
                report_at += _REPORT_SECONDS
                self._channel.send("report", **self._report())
        if self._server.is_running:
            self._log.warning("requests did not end within the grace and are cut")
        self._channel.send("report", **self._report())

    def _was_cut(self) -> bool:
        """Waits for a moment: the end of what is waited for wakes nobody here. True: there is no grace."""
        wait_readable([self._inbox], 0.02)
        if all(number == signal.SIGTERM for number in self._inbox.take()):
            return False
        self._deadline = min(self._deadline, time.monotonic() + _END_SECONDS)
        return True

    def _end_program(self) -> None:
        """As Python does it: threads and executors finish, as far as the grace goes, then exit functions."""
        if hasattr(threading, "_shutdown"):
            waiter = threading.Thread(target=threading._shutdown, daemon=True)
            waiter.start()
            while waiter.is_alive() and time.monotonic() < self._deadline:
                self._was_cut()
            if waiter.is_alive():
                self._log.warning("threads of the application did not end within the grace and are cut")
        atexit._run_exitfuncs()

    # Heartbeats

    def _ask(self, number: int) -> None:
        """Sends the question through the server: it comes back where handlers run."""
        try:
            self._call(self._server.post, self._beaten, number)
        except evy.StateError:
            return  # it is ending
        self._awaited = number

    def _beaten(self, number: int) -> None:
        """Thread: one of the server's."""
        self._beaten_at = number
        self._inbox.wake()

    def _answer(self) -> None:
        if self._awaited is None or self._beaten_at != self._awaited:
            return
        self._awaited = None
        report = self._report()
        found = report["counters"]
        over = sum(found[counters.STATUS_NONE : counters.STATUS_5XX + 1])
        # The loop is alive; but a request that waits for a thread while none ends is stuck all the same.
        is_stuck = len(found) > counters.REQUESTS_QUEUED and found[counters.REQUESTS_QUEUED] > 0
        is_stuck = is_stuck and over == self._over_before
        self._over_before = over
        self._channel.send("report" if is_stuck else "pong", **report)

    def _report(self) -> dict[str, Any]:
        return {"counters": list(self._call(self._server.stats)), "resident": counters.resident_bytes()}

    # Reload

    def _look(self) -> None:
        if self._watch is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_SECONDS
        changed = self._watch.look()
        if changed is not None:
            self._channel.send("changed", file=changed, at=time.time())


def main(state: State, channel: Channel, age: int) -> NoReturn:
    """The rest of a forked child; signals are held when it is called."""
    status = BOOT_ERROR
    log = state.logs.error
    try:
        status = _run(state, channel, age, log)
    except SettingError as error:
        log.error("the worker cannot start: %s", error)
    except SystemExit as error:
        # Never 0, nor the application's own: a worker that cannot start is to be known by its status.
        log.error("the application ended the worker: SystemExit(%r)", error.code)
    except BaseException:
        log.exception("exception in the worker")
    finally:
        try:
            _flush()
        finally:
            # Not by returning: exit handlers of the master and of its modules are not this process' to run.
            os._exit(status)


def _run(state: State, channel: Channel, age: int, log: Any) -> int:
    settings = state.settings
    for number in (
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGWINCH,
    ):
        process.take_signal(number, process.nothing)
    for number in (signal.SIGCHLD, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        # Until it serves there is nothing to drain.
        process.take_signal(number, lambda _number, _frame: os._exit(0))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    face = WorkerFace(age, os.getpid(), settings, log)
    # What a killed worker was doing: the stacks of all its threads.
    faulthandler.enable(state.logs.error_file.descriptor)
    if settings.capture_output:
        state.logs.capture()
    process.drop_privileges(settings.user, settings.group, settings.initgroups)
    random.seed()
    hooks.call(settings, "post_fork", hooks.MasterFace(state), face)
    return WorkerProcess(state, channel, face).run()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
