# SPDX-License-Identifier: MIT
"""counters - what the servers of all workers counted: read in a worker, summed in the master."""

from __future__ import annotations

import os
from collections.abc import Iterable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int32, c_int64, c_uint32, c_void_p
from typing import Any

from evy._lib import DropFunction, lib

TaskFunction = CFUNCTYPE(None, c_void_p)

# Numbers of evy.h.
CONNECTIONS_OPEN, REQUESTS_ACTIVE, REQUESTS_QUEUED, REQUESTS_TOTAL = 0, 5, 6, 7
STATUS_NONE, STATUS_4XX, STATUS_5XX, BYTES_IN, BYTES_OUT, THREADS_BUSY = 8, 12, 13, 38, 39, 40
LOOP_LAG_US, LOOP_LAG_MAX_US = 42, 43
_GREATEST = (LOOP_LAG_US, LOOP_LAG_MAX_US)

_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "evy_server_counters": (c_uint32, [c_void_p, POINTER(c_int64), c_uint32]),
    "evy_counter_name": (c_char_p, [c_uint32]),
    "evy_counter_type": (c_char_p, [c_uint32]),
    "evy_counter_help": (c_char_p, [c_uint32]),
    "evy_loop_post": (c_int32, [c_void_p, c_void_p, TaskFunction, c_void_p, DropFunction]),
    "evy_tls_client_ca_file": (c_int32, [c_void_p, c_int32, c_char_p]),
    "evy_server_fd": (c_int, [c_void_p]),
    "evy_server_deadline": (c_int64, [c_void_p]),
    "evy_server_step": (c_int32, [c_void_p, c_int64]),
}


def function(name: str) -> Any:
    """A function of the library with the types this package needs, whoever else uses it with others."""
    result, arguments = _FUNCTIONS[name]
    # A second object for the same symbol: its types are not those of lib.NAME.
    return CFUNCTYPE(result, *arguments)((name, lib))


_read = function("evy_server_counters")


def read(server: int) -> list[int]:
    """All counters of a server handle; none of one that is freed."""
    count = _read(server, None, 0)
    if not count:
        return []
    room = (c_int64 * count)()
    _read(server, room, count)
    return list(room)


def table() -> list[tuple[str, str, str]]:
    """(name of the series, counter or gauge, help), in the order of the numbers."""
    name, kind, about = (function(f"evy_counter_{what}") for what in ("name", "type", "help"))
    found: list[tuple[str, str, str]] = []
    while text := name(len(found)):
        index = len(found)
        found.append((text.decode(), kind(index).decode(), about(index).decode()))
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
