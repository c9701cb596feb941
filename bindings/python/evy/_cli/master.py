# SPDX-License-Identifier: MIT
"""master - one loop that reacts to signals, to workers and to time; it serves no request itself."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

import evy
from evy._cli import addresses, apps, banner, hooks, options, process, serving, surroundings, upgrade
from evy._cli.addresses import Listener
from evy._cli.fleet import Fleet
from evy._cli.hooks import MasterFace
from evy._cli.logs import Logs
from evy._cli.pidfile import PidFile
from evy._cli.state import BOOTING, STALE, STOPPING, State
from evy._cli.status import StatusServer
from evy._cli.values import SettingError
from evy._cli.waiting import wait_readable

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGWINCH,
    signal.SIGCHLD,
)
SYSTEMD = "systemd:"
STATUS = "status"


def addresses_of(settings: Any, kept: dict[str, list[Listener]]) -> list[str]:
    """The addresses to serve: as given, or what systemd has passed to a process without --bind. It has passed
    them to the first process: a daemon and a new master have other ids, and the sockets all the same."""
    if "bind" not in settings.given and (SYSTEMD in kept or addresses.passed_by_systemd()):
        return [SYSTEMD]
    return settings.bind


class Master:
    """Ownership: sockets, logs, pid file and workers, until run() returns. Thread: the main thread."""

    def __init__(self, settings: Any, arguments: list[str], folder: str, environ: dict[str, str]) -> None:
        """Opens everything that can fail. Errors: SettingError."""
        self.state = State(settings, Logs(settings), folder, environ, arguments)
        self.fleet = Fleet(self.state, self._leave)
        self._status: StatusServer | None = None
        self._pid_file: PidFile | None = None
        self._inbox: process.SignalInbox
        self._ask_at = self._remember_at = 0.0
        kept, self.state.old_master = upgrade.inherited()
        try:
            serving.check(settings, self.state.logs)
            if settings.daemon and settings.pidfile and not self.state.old_master:
                PidFile(settings.pidfile).check()  # a daemon has nobody left whom it could tell
            self.state.tls = serving.make_tls(settings)
            self.state.listeners = self._open(settings, kept)
            if settings.status_bind:
                self._status = StatusServer(self.state, self._open_status(settings, kept))
        except BaseException:
            for one in (*self.state.listeners, *itertools.chain(*kept.values())):
                one.close(self._has_heir)
            raise
        taken = {one.spec for one in self.listeners}
        for one in itertools.chain(*(kept[spec] for spec in kept if spec not in taken)):
            one.close(self._has_heir)

    @property
    def listeners(self) -> list[Listener]:
        """All sockets, that of the status page too."""
        return self.state.listeners + ([self._status.listener] if self._status else [])

    @property
    def _has_heir(self) -> bool:
        """Another master may serve on the same sockets."""
        return self.state.new_master != 0 or self.state.old_master != 0

    def _open(self, settings: Any, kept: dict[str, list[Listener]]) -> list[Listener]:
        return addresses.open_listeners(
            addresses_of(settings, kept),
            backlog=settings.backlog,
            reuse_port=settings.reuse_port,
            umask=settings.umask,
            kept=kept,
        )

    def _open_status(self, settings: Any, kept: dict[str, list[Listener]]) -> Listener:
        """Under a name of its own, so that an upgrade does not take it for one of the others."""
        name = f"{STATUS} {settings.status_bind}"
        if name in kept:
            return kept[name][0]
        found = addresses.open_listeners([settings.status_bind], backlog=64, umask=settings.umask, kept={})
        # One is enough for a page; clients try 127.0.0.1 for localhost in any case.
        found.sort(key=lambda one: one.socket.family == socket.AF_INET6)
        for one in found[1:]:
            one.close()
        found[0].spec = name
        return found[0]

    # Life

    def run(self) -> int:
        """Serves until a signal ends it; the exit status."""
        state = self.state
        if state.settings.daemon and not state.old_master:
            process.detach()
        state.pid = os.getpid()
        try:
            self._start()
            # Ahead of the first wait: nobody announces that workers are missing.
            self._do(self.fleet.manage)
            while not (state.is_stopping and not state.workers):
                self._do(self._turn)
            return state.exit_status
        except (SettingError, apps.AppError, evy.Error) as error:
            state.logs.error.error("cannot start: %s%s", error, "\n" + getattr(error, "details", ""))
            return 4 if isinstance(error, apps.AppError) else 1
        except SystemExit as error:
            state.logs.error.error("cannot start: a hook ends the master: SystemExit(%r)", error.code)
            return _status_of(error)
        except Exception:
            state.logs.error.exception("exception in the master; its workers end by themselves")
            return 1
        finally:
            if os.getpid() != state.pid:
                os._exit(1)  # a forked child that has failed: nothing here is its own
            self._close()

    def _start(self) -> None:
        """Errors: SettingError (the pid file), AppError, evy.Error (the status page)."""
        state, settings = self.state, self.state.settings
        if self._status is not None:
            self._status.start()
        early: list[int] = []
        # Ahead of the pid file: who reads it may send signals.
        for number in SIGNALS:
            process.take_signal(number, lambda number, _frame: early.append(number))
        process.set_name(f"{settings.proc_name or 'evy'} master")
        if settings.pidfile:
            self._pid_file = PidFile(settings.pidfile + (".2" if state.old_master else ""))
            self._pid_file.create()
        if settings.preload_app:
            state.application = apps.load_here(settings.wsgi_app, settings.factory)
        state.target = settings.workers
        banner.show(state, self._status)
        for note in settings.notes:
            state.logs.error.info("%s", note)
        hooks.call_guarded(settings, state.logs.error, "on_starting", MasterFace(state))
        # Behind the code of others: a loop of asyncio that has had signals takes the inbox away at its end.
        with process.signals_held():
            self._inbox = process.SignalInbox(SIGNALS)
        for number in early:
            signal.raise_signal(number)

    def _do(self, step: Callable[[], None]) -> None:
        """SystemExit, which only a hook raises, stops this master."""
        try:
            step()
        except SystemExit as error:
            self.state.logs.error.error("a hook ends the master: SystemExit(%r)", error.code)
            self._stop(is_graceful=True, exit_status=_status_of(error))

    def _turn(self) -> None:
        """Waits for something to happen, then sees to everything. Each step is cheap where nothing is due."""
        state = self.state
        things: list[Any] = [self._inbox, *(one.channel for one in state.workers.values())]
        if self._status is not None:
            things.append(self._status)
        wait_readable(things, self._patience())
        for number in self._inbox.take():
            self._signal(number)
        self.fleet.hear()
        verdict = self.fleet.reap()
        if verdict is not None and not state.is_stopping:
            self._stop(is_graceful=False, exit_status=verdict)
        self.fleet.end_silent()
        self.fleet.manage()
        self._see_old_master()
        if self._status is not None:
            self._status.step()
        self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        """The answers of one round are remembered before the next is asked for, so each counts once."""
        if self._status is not None and now >= self._remember_at:
            self._remember_at = now + 1.0
            self._status.remember()
            self._ask_at = now
        if now >= self._ask_at:
            self._ask_at = now + self.fleet.ask_seconds
            self.fleet.ask()

    def _patience(self) -> float:
        """Until something is due that nobody announces."""
        state = self.state
        if state.in_phase(BOOTING, STALE, STOPPING) or state.boot_failures or state.old_master:
            return 0.1
        return self.fleet.ask_seconds / 2

    def _leave(self) -> None:
        """In a forked child: what only the master may use."""
        self._inbox.close()
        if self._status is not None:
            self._status.leave()

    def _close(self) -> None:
        state = self.state
        try:
            hooks.call_guarded(state.settings, state.logs.error, "on_exit", MasterFace(state))
        except SystemExit as error:
            state.logs.error.error("hook on_exit: SystemExit(%r), while the master ends", error.code)
        if self._status is not None:
            self._status.close(self._has_heir)
        for one in state.listeners:
            one.close(self._has_heir)
        if self._pid_file is not None:
            self._pid_file.remove()
        state.logs.error.info("the master ends")

    # Signals

    def _signal(self, number: int) -> None:
        state, log = self.state, self.state.logs.error
        if number != signal.SIGCHLD:
            log.info("signal %s", signal.Signals(number).name[3:].lower())
        if number == signal.SIGTERM:
            self._stop(is_graceful=True)
        elif number in (signal.SIGINT, signal.SIGQUIT):
            self._stop(is_graceful=False)
        elif number == signal.SIGUSR1:
            self._open_logs_again()
        elif state.is_stopping:
            return
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR2:
            self._upgrade()
        elif number == signal.SIGTTIN:
            self._resize(state.target + 1)
        elif number == signal.SIGTTOU and state.target > 1:
            self._resize(state.target - 1)
        elif number == signal.SIGWINCH:
            if state.settings.daemon or not process.has_terminal():
                self._resize(0)
            else:
                log.info("ignored: it is what a terminal sends when its size changes")

    def _stop(self, is_graceful: bool, exit_status: int = 0) -> None:
        state = self.state
        if not state.is_stopping:
            # An upgrade is no stop: at the end of the main process, systemd would end the new one too.
            process.notify(f"MAINPID={state.new_master}" if state.new_master else "STOPPING=1")
            state.exit_status = exit_status
        state.is_stopping = True
        self.fleet.stop_all(is_graceful)
        # Or clients would go on to wait at sockets that nobody accepts from any more.
        for one in state.listeners:
            one.stop()

    def _resize(self, count: int) -> None:
        state = self.state
        old, state.target = state.target, count
        hooks.call_guarded(
            state.settings, state.logs.error, "nworkers_changed", MasterFace(state), count, old
        )

    def _open_logs_again(self) -> None:
        state = self.state
        try:
            state.logs.open_again()
        except SettingError as error:
            state.logs.error.error("%s; the old file is kept", error)
        self.fleet.pass_logs()
        if state.settings.capture_output:
            state.logs.capture()

    def _rename_pid_file(self, path: str | None, successor_of: int = 0) -> None:
        """None: a reload has taken the setting away; the file keeps its name."""
        if self._pid_file is not None and path:
            try:
                self._pid_file.rename(path, successor_of)
            except SettingError as error:
                self.state.logs.error.error("%s", error)

    # Reload

    def _reload(self) -> None:
        """New settings, then new workers, then the old ones go. All or nothing."""
        state = self.state
        process.notify("RELOADING=1")
        try:
            with surroundings.kept_on_failure():
                fresh = self._fresh()
        except Exception as error:
            text = str(error) if isinstance(error, SettingError) else traceback.format_exc()
            state.logs.error.error("not reloaded, everything stays as it was: %s", text)
            process.notify("READY=1")
            return
        self._use(*fresh)
        state.is_reloading = True
        old, state.target = state.target, state.settings.workers
        if old != state.target:
            hooks.call_guarded(
                state.settings, state.logs.error, "nworkers_changed", MasterFace(state), state.target, old
            )
        self.fleet.renew()

    def _fresh(self) -> tuple[Any, Logs, Any, list[Listener]]:
        """New settings, and the logs, TLS and sockets that they ask for.

        Errors: SettingError, and what code of a configuration file raises; nothing is left open then.
        """
        state = self.state
        settings = options.load(state.arguments, state.start_environ, state.start_folder)
        environ = None if settings.preload_app else state.start_environ
        surroundings.take(settings, state.start_folder, environ)
        logs = state.logs if state.logs.is_as(settings) else Logs(settings)
        try:
            serving.check(settings, logs)
            tls = serving.make_tls(settings)
            kept: dict[str, list[Listener]] = {}
            for one in state.listeners:
                kept.setdefault(one.spec, []).append(one)
            listeners = self._open(settings, kept)
        except BaseException:
            if logs is not state.logs:
                logs.close()
            raise
        return settings, logs, tls, listeners

    def _use(self, settings: Any, logs: Logs, tls: Any, listeners: list[Listener]) -> None:
        state, before = self.state, self.state.settings
        for one in state.listeners:
            if one not in listeners:
                one.close(self._has_heir)
        if logs is not state.logs:
            state.logs.close()
        state.settings, state.logs, state.tls, state.listeners = settings, logs, tls, listeners
        logs.error.level = settings.loglevel
        if settings.status_bind != before.status_bind or settings.preload_app != before.preload_app:
            logs.error.warning("--status-bind and --preload change by an upgrade (USR2), not by a reload")
        if settings.pidfile and settings.pidfile != before.pidfile:
            self._rename_pid_file(settings.pidfile)
        hooks.call_guarded(settings, logs.error, "on_reload", MasterFace(state))

    # Upgrade

    def _upgrade(self) -> None:
        state, log = self.state, self.state.logs.error
        if state.new_master or state.old_master:
            log.warning("ignored: two masters are there already")
            return
        hooks.call_guarded(state.settings, log, "pre_exec", MasterFace(state))
        try:
            state.new_master = upgrade.start_master(
                state.arguments, state.start_folder, state.start_environ, self.listeners
            )
            log.info("new master %d; this one goes on until it gets TERM", state.new_master)
        except OSError as error:
            log.error("cannot start a new master: %s", error.strerror)

    def _see_old_master(self) -> None:
        """When the old master has ended, its place is ours."""
        state = self.state
        if state.old_master and os.getppid() != state.old_master:
            ended, state.old_master = state.old_master, 0
            state.logs.error.info("the old master has ended")
            self._rename_pid_file(state.settings.pidfile, ended)
            process.notify(f"MAINPID={state.pid}")


def _status_of(error: SystemExit) -> int:
    """As the interpreter's own: a text is a failure."""
    return error.code if isinstance(error.code, int) else int(error.code is not None)
