# SPDX-License-Identifier: MIT
"""_tasks - functions that a server calls where its handlers run: kept until the library lets them go."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from evy import _errors, _lib
from evy._lib import lib
from evy.web._log import Log


class Tasks:
    """Ownership: functions that were posted and have not been called yet. Thread: any."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._numbers = itertools.count(1)
        self._posted: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self._on_run = _lib.TaskFunction(self._run)
        self._on_drop = _lib.DropFunction(self._drop)

    def post(self, server: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Errors: StateError (the server has ended), MemoryError."""
        number = next(self._numbers)
        self._posted[number] = function, arguments
        # The library calls _drop in any case, also where it refuses.
        status = lib.evy_loop_post(server, None, self._on_run, number, self._on_drop)
        if status < 0:
            raise _errors.make(status)

    def _run(self, number: int) -> None:
        try:
            found = self._posted.pop(number, None)
            if found is not None:
                found[0](*found[1])
        except BaseException:
            # SystemExit too: it is the program's call to end a server, and this one serves others.
            self._log.error("exception in a posted function")

    def _drop(self, number: int) -> None:
        self._posted.pop(number, None)
