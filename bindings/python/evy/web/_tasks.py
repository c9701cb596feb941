# SPDX-License-Identifier: MIT
"""_tasks - functions that a server calls where its handlers run: kept until the library lets them go."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from evy import _errors, _lib
from evy._lib import lib
from evy.web._log import Log


class Tasks:
    """Ownership: functions that were posted and have not been called yet. Thread: any."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._posted: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}

    def post(self, server: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Errors: StateError (the server has ended), MemoryError."""
        number = next(_numbers)
        self._posted[number] = function, arguments
        _owners[number] = self
        # The library calls drop() in any case, also where it refuses.
        status = lib.evy_loop_post(server, None, _on_run, number, _on_drop)
        if status < 0:
            raise _errors.make(status)

    def run(self, number: int) -> None:
        try:
            function, arguments = self._posted.pop(number)
            function(*arguments)
        except BaseException:
            # SystemExit too: it is the program's call to end a server, and this one serves others.
            self._log.error("exception in a posted function")

    def drop(self, number: int) -> None:
        self._posted.pop(number, None)


# The library may call as late as in the finalizer of a server, when PyPy has taken all that was the server's
# own: so what it calls lives for ever, and finds its way by number.
_owners: weakref.WeakValueDictionary[int, Tasks] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def _run(number: int) -> None:
    owner = _owners.get(number)
    if owner is not None:
        owner.run(number)


def _drop(number: int) -> None:
    owner = _owners.pop(number, None)
    if owner is not None:
        owner.drop(number)


_on_run, _on_drop = _lib.TaskFunction(_run), _lib.DropFunction(_drop)
