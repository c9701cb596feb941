# SPDX-License-Identifier: MIT
"""fleet - starts, watches, replaces and stops the workers, by what the state says."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from evy._cli import channel, hooks, process, worker
from evy._cli.channel import numbers
from evy._cli.hooks import MasterFace, WorkerFace
from evy._cli.logs import ErrorLog
from evy._cli.state import BOOTING, READY, STALE, STOPPING, State, Worker

BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX = 0.5, 30.0
# A worker that dies so soon after it was ready would die again: it counts as dead at boot.
SETTLED_SECONDS = 1.0
# What a worker gets beyond its grace, until it is killed.
MARGIN_SECONDS = 3.0
_ASK_SECONDS = 1.0


class Fleet:
    """Thread: the master's. leave: called in a forked child, closes what only the master may use."""

    def __init__(self, state: State, leave: Callable[[], None]) -> None:
        self._state = state
        self._leave = leave
        self._questions = 0
        self._looked_at = time.monotonic()

    @property
    def _log(self) -> ErrorLog:
        return self._state.logs.error

    # Starting and stopping

    def manage(self) -> None:
        """Brings the workers to what is wanted: new ones first, then stale ones go."""
        state, now = self._state, time.monotonic()
        self._kill_overdue(now)
        if state.is_stopping:
            return
        fresh = state.in_phase(BOOTING, READY)
        while len(fresh) < state.target and now >= state.spawn_after:
            if state.boot_failures and state.in_phase(BOOTING):
                break  # one try at a time
            try:
                fresh.append(self._spawn())
            except OSError as error:
                self._log.error(
                    "cannot start a worker: %s; the next try is in %g seconds", error, self._wait()
                )
                break
        for one in fresh[: max(0, len(fresh) - state.target)]:
            one.phase = STALE
        stale = state.in_phase(STALE)
        while stale and len(state.in_phase(READY)) + len(stale) > state.target:
            self.stop(stale.pop(0))
        if state.is_reloading and not stale and len(state.in_phase(READY)) >= state.target:
            state.is_reloading = False
            process.notify("READY=1")
            self._log.info("reloaded")

    def renew(self) -> None:
        """All workers are to be replaced."""
        self._state.spawn_after = 0.0
        for one in self._state.in_phase(BOOTING, READY):
            # Also one that boots: it may serve already, and its word of it be on the way.
            one.phase = STALE

    def _spawn(self) -> Worker:
        state = self._state
        state.ages += 1
        face = WorkerFace(state.ages, 0, state.settings, self._log)
        hooks.call_guarded(state.settings, self._log, "pre_fork", MasterFace(state), face)
        ours, theirs = channel.pair()
        with process.signals_held():
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                theirs.close()
                raise
            if pid == 0:
                ours.close()
                for one in state.workers.values():
                    one.channel.close()
                self._leave()
                process.set_name(f"{state.settings.proc_name or 'evy'} worker")
                worker.main(state, theirs, state.ages)
        theirs.close()
        started = Worker(pid, state.ages, ours)
        state.workers[pid] = started
        self._log.info("worker %d starts", pid)
        return started

    def stop(self, one: Worker, is_graceful: bool = True) -> None:
        """Asks a worker to end; it is killed when it does not."""
        grace = self._state.settings.graceful_timeout if is_graceful else 0.0
        kill_at = time.monotonic() + grace + MARGIN_SECONDS
        one.kill_at = kill_at if one.kill_at is None else min(one.kill_at, kill_at)
        one.phase = STOPPING
        _signal(one, signal.SIGTERM if is_graceful else signal.SIGQUIT)

    def stop_all(self, is_graceful: bool) -> None:
        for one in list(self._state.workers.values()):
            self.stop(one, is_graceful)

    def _kill_overdue(self, now: float) -> None:
        for one in list(self._state.workers.values()):
            if one.kill_at is not None and now >= one.kill_at:
                self._log.error("worker %d did not end and is killed", one.pid)
                one.kill_at = now + MARGIN_SECONDS
                one.was_killed = True
                _signal(one, signal.SIGKILL)

    # Hearing from workers

    def hear(self) -> None:
        for one in list(self._state.workers.values()):
            messages, descriptors, _ = one.channel.receive()
            for number in descriptors:
                os.close(number)
            for message in messages:
                self._heard(one, message)

    def _heard(self, one: Worker, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind in ("ready", "pong", "report"):
            one.counters = numbers(message.get("counters")) or one.counters
            one.resident = sum(numbers([message.get("resident")]))
            if kind != "report":
                one.heard_at, one.owes_since = time.monotonic(), None
        if kind == "ready":
            one.has_served = True
            self._became_ready(one)
        elif kind == "retire" and one.phase == READY:
            one.phase = STALE
        elif kind == "changed" and one.phase == READY:
            self._log.info("%s has changed: workers are replaced", message.get("file"))
            self.renew()

    def _became_ready(self, one: Worker) -> None:
        state = self._state
        if one.phase == BOOTING:
            one.phase = READY
            state.boot_failures, state.spawn_after = 0, 0.0
        self._log.debug("worker %d is ready", one.pid)
        if not state.has_ever_served:
            state.has_ever_served = True
            process.notify(f"READY=1\nMAINPID={state.pid}")
            hooks.call_guarded(state.settings, self._log, "when_ready", MasterFace(state))

    # Heartbeats

    def ask(self) -> None:
        """A question to every worker that serves."""
        self._questions += 1
        for one in self._state.in_phase(READY, STALE):
            one.channel.send("ping", number=self._questions)
            if one.owes_since is None:
                one.owes_since = time.monotonic()

    def end_silent(self) -> None:
        """Kills those that owe an answer for too long; at boot too, as nobody else would end a hang there."""
        now, limit = time.monotonic(), self._state.settings.timeout
        # Nobody is silent while the master is away, in a hook or stopped by a signal.
        away = max(0.0, now - self._looked_at - self.ask_seconds)
        self._looked_at = now
        for one in self._state.in_phase(BOOTING, READY, STALE):
            if one.owes_since is None:
                continue
            one.owes_since = min(now, one.owes_since + away)
            if limit and now - one.owes_since > limit and not one.was_aborted:
                self._log.critical(
                    "worker %d has not answered for %s seconds (--timeout) and is killed", one.pid, limit
                )
                one.was_aborted = True
                one.kill_at = now + MARGIN_SECONDS  # it writes its stacks
                _signal(one, signal.SIGABRT)

    @property
    def ask_seconds(self) -> float:
        limit = self._state.settings.timeout
        return min(_ASK_SECONDS, limit / 4) if limit else _ASK_SECONDS

    def pass_logs(self) -> None:
        """The workers write to the logs' new files."""
        files = self._state.logs.files
        numbers, paths = [file.descriptor for file in files], [file.path for file in files]
        for one in self._state.workers.values():
            one.channel.send("logs", numbers, paths=paths)

    # The dead

    def reap(self) -> int | None:
        """Buries workers. The exit status with which the master has to end, or None."""
        verdict = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return verdict
            if pid == 0:
                return verdict
            one = self._state.workers.get(pid)
            if one is not None:
                found = self._died(one, status)
                verdict = found if verdict is None else verdict
            elif pid == self._state.new_master:
                self._state.new_master = 0
                self._log.warning("the new master %d ended: %s", pid, _how(status))

    def _died(self, one: Worker, status: int) -> int | None:
        state = self._state
        # Its last words: the counters.
        for message in one.channel.receive()[0]:
            self._heard(one, message)
        del state.workers[one.pid]
        one.channel.close()
        state.totals.forget(one.counters)
        face = WorkerFace(one.age, one.pid, state.settings, self._log)
        hooks.call_guarded(state.settings, self._log, "child_exit", MasterFace(state), face)
        how = _how(status, one.was_killed)
        if one.phase == STOPPING:
            self._log.info("worker %d ended: %s", one.pid, how)
            return None
        lived = time.monotonic() - one.born_at
        if one.has_served and lived >= SETTLED_SECONDS:
            level = self._log.info if status == 0 else self._log.error
            level("worker %d ended: %s", one.pid, how)
            return None
        return self._died_young(one, status, how)

    def _died_young(self, one: Worker, status: int, how: str) -> int | None:
        state = self._state
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        what = "right after its start" if one.has_served else "while it started"
        is_hopeless = not state.has_ever_served and code in (worker.BOOT_ERROR, worker.APP_ERROR)
        # A reload came ahead of its first word: its successor is on the way.
        is_replaced = one.phase == STALE and not one.has_served
        if is_replaced or (is_hopeless and not state.in_phase(STALE)):
            self._log.error("worker %d ended while it started: %s", one.pid, how)
            return None if is_replaced else code
        wait = self._wait()
        stays = "; the old workers go on" if state.in_phase(STALE) else ""
        self._log.error(
            "worker %d ended %s: %s; the next try is in %g seconds%s",
            one.pid,
            what,
            how,
            wait,
            stays,
        )
        return None

    def _wait(self) -> float:
        """Puts the next start off, further each time; the seconds."""
        state = self._state
        state.boot_failures += 1
        wait = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** min(state.boot_failures - 1, 10))
        state.spawn_after = time.monotonic() + wait
        return wait


def _how(status: int, is_ours: bool = False) -> str:
    """The end of a process in words. is_ours: this process has sent it SIGKILL."""
    if os.WIFEXITED(status):
        return f"exit status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    hint = " (out of memory?)" if number == signal.SIGKILL and not is_ours else ""
    return f"killed by {signal.Signals(number).name}{hint}"


def _signal(one: Worker, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(one.pid, number)
