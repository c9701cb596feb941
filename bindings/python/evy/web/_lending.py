# SPDX-License-Identifier: MIT
"""Threads that Python makes and lends to a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from evy import _lib
from evy._lib import lib

_PAUSE_SECONDS = 0.1


class Lender:
    """Handlers run on threads that Python made: entering Python from there costs far less than from one that
    Python has never seen. Those that only wait cost nothing but their stack.

    count: how many there are from the start. grows: handlers that wait for their clients keep their threads,
    and others get theirs from here. on_end is called once, by the last thread to leave the library.
    are_daemons: the end of the program does not wait for them, nor for threads that are started in them.
    Thread: any.
    """

    are_daemons = True

    def __init__(
        self, count: int, grows: bool, on_end: Callable[[], None], on_failure: Callable[[int], None]
    ) -> None:
        self.count, self._grows = count, grows
        self._on_end, self._on_failure = on_end, on_failure
        self._lock = threading.Lock()
        self._inside = 0
        self._takes_more = True
        self.threads: list[threading.Thread] = []

    def enter(self) -> bool:
        """The calling thread goes into the library, or keeps the server for a while. False: it is over."""
        with self._lock:
            if not self._takes_more:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            self._takes_more = False
        self._on_end()

    def refuse(self) -> None:
        """Who has not entered yet will not."""
        with self._lock:
            self._takes_more = False

    def begin(self, handle: int) -> None:
        """By one who has entered. Errors: RuntimeError (no thread), and what a signal handler raises."""
        for number in range(self.count):
            self._add(str(number), self._work, handle)
        if self._grows:
            self._add("lender", self._add_on_demand, handle)

    def _add(self, name: str, run: Callable[[int], None], handle: int) -> None:
        thread = threading.Thread(
            target=run, args=(handle,), name="evy-" + name, daemon=self.are_daemons
        )
        thread.start()
        self.threads.append(thread)

    def _work(self, handle: int) -> None:
        """Until the server has stopped."""
        if not self.enter():
            return
        status = lib.evy_server_work(handle)
        if status < 0:
            self._on_failure(status)
        self.leave()

    def _add_on_demand(self, handle: int) -> None:
        if not self.enter():
            return
        while lib.evy_server_short(handle, -1) == _lib.OK:
            try:
                self._add(str(len(self.threads) - 1), self._work, handle)
            except RuntimeError:  # the system has none, and requests wait: perhaps a moment later
                time.sleep(_PAUSE_SECONDS)
        self.leave()
