# SPDX-License-Identifier: MIT
"""state - all that a master knows, in one place: its settings, its sockets, its workers."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from evy._cli.addresses import Listener
from evy._cli.channel import Channel
from evy._cli.counters import Totals
from evy._cli.logs import Logs

BOOTING, READY, STALE, STOPPING = "booting", "ready", "stale", "stopping"
HISTORY_SECONDS = 120


@dataclass
class Worker:
    """A worker as the master sees it.

    phase: BOOTING until it serves, READY, STALE (serves until a successor is ready), STOPPING.
    heard_at: when it last answered a heartbeat, in monotonic seconds. owes_since: the first question that it
    has not answered, None: it has; its start is one too. kill_at: when patience ends.
    """

    pid: int
    age: int
    channel: Channel
    phase: str = BOOTING
    has_served: bool = False
    born_at: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)
    owes_since: float | None = field(default_factory=time.monotonic)
    kill_at: float | None = None
    was_aborted: bool = False
    was_killed: bool = False
    counters: list[int] = field(default_factory=list)
    resident: int = 0
    # What the counters were at the last mark, when that was, and how they grew by second up to it.
    marked: list[int] = field(default_factory=list)
    marked_at: float = field(default_factory=time.monotonic)
    rates: dict[int, float] = field(default_factory=dict)

    def counter(self, number: int) -> int:
        return self.counters[number] if number < len(self.counters) else 0

    def rate(self, number: int) -> float:
        """Of a counter, by second, between the last two marks."""
        return self.rates.get(number, 0.0)

    def mark(self, numbers: Iterable[int]) -> None:
        """Sees how these counters have grown since the last mark: nothing is missed, nothing counts twice."""
        now = time.monotonic()
        passed = max(now - self.marked_at, 0.001)
        for number in numbers:
            before = self.marked[number] if number < len(self.marked) else 0
            self.rates[number] = (self.counter(number) - before) / passed
        self.marked, self.marked_at = self.counters, now


@dataclass
class State:
    """Thread: the master's only one. Children get a copy by fork and change nothing that matters here."""

    settings: Any
    logs: Logs
    start_folder: str
    start_environ: dict[str, str]
    arguments: list[str]
    pid: int = field(default_factory=os.getpid)
    born_at: float = field(default_factory=time.monotonic)
    listeners: list[Listener] = field(default_factory=list)
    tls: Any = None
    application: Any = None
    workers: dict[int, Worker] = field(default_factory=dict)
    target: int = 0
    ages: int = 0
    totals: Totals = field(default_factory=Totals)
    # A point for each second, as the status page draws it.
    history: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HISTORY_SECONDS))
    # Stopping.
    is_stopping: bool = False
    exit_status: int = 0
    # Workers that die at boot are retried at growing intervals.
    boot_failures: int = 0
    spawn_after: float = 0.0
    has_ever_served: bool = False
    is_reloading: bool = False
    # A binary upgrade: the process that started this one, and the one this one started.
    old_master: int = 0
    new_master: int = 0

    def in_phase(self, *phases: str) -> list[Worker]:
        """Oldest first."""
        return sorted((one for one in self.workers.values() if one.phase in phases), key=lambda one: one.age)
