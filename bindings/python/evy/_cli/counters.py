# SPDX-License-Identifier: MIT
"""counters - what the servers of all workers counted: read in a worker, summed in the master."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from evy._lib import lib

# Numbers of evy.h.
CONNECTIONS_OPEN, REQUESTS_ACTIVE, REQUESTS_QUEUED, REQUESTS_TOTAL = 0, 5, 6, 7
STATUS_NONE, STATUS_4XX, STATUS_5XX, BYTES_IN, BYTES_OUT, THREADS_BUSY = 8, 12, 13, 38, 39, 40
LOOP_LAG_US, LOOP_LAG_MAX_US = 42, 43
_GREATEST = (LOOP_LAG_US, LOOP_LAG_MAX_US)


def table() -> list[tuple[str, str, str]]:
    """(name of the series, counter or gauge, help), in the order of the numbers."""
    found: list[tuple[str, str, str]] = []
    while name := lib.evy_counter_name(index := len(found)):
        kind, about = lib.evy_counter_type(index), lib.evy_counter_help(index)
        found.append((name.decode(), kind.decode(), about.decode()))
    return found


# Name, type, help, and samples: (labels, value).
Family = tuple[str, str, str, list[tuple[str, Any]]]


class Totals:
    """Counters of all workers, also of those that are gone, so that a counter never falls."""

    def __init__(self) -> None:
        self.table = table()
        self._gone = [0] * len(self.table)

    def forget(self, counters: list[int]) -> None:
        """A worker with these last counters has ended."""
        for index, number in enumerate(counters[: len(self._gone)]):
            if self.table[index][1] == "counter":
                self._gone[index] += number

    def sum(self, workers: Iterable[list[int]]) -> list[int]:
        totals = list(self._gone)
        for counters in workers:
            for index, number in enumerate(counters[: len(totals)]):
                totals[index] = max(totals[index], number) if index in _GREATEST else totals[index] + number
        return totals

    def prometheus(self, totals: list[int], further: Iterable[Family]) -> str:
        """The text format 0.0.4. further: (name, type, help, [(labels, value)]) of the master's own."""
        lines: list[str] = []
        said: set[str] = set()
        for (series, kind, about), number in zip(self.table, totals):
            name = series.partition("{")[0]
            if name not in said:
                said.add(name)
                lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            lines.append(f"{series} {number}")
        for name, kind, about, samples in further:
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{labels} {value}" for labels, value in samples]
        return "\n".join(lines) + "\n"


def resident_bytes(pid: int | str = "self") -> int:
    """Memory of a process in RAM; 0: it is gone."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
