# SPDX-License-Identifier: MIT
"""_running - the servers of this process whose threads run: found by socket, ended with the program."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from typing import Any

_EXIT_SECONDS_MAX = 5.0

# Nobody else may hold them, and the interpreter must not end under their threads.
_servers: set[Any] = set()


def add(server: Any) -> None:
    _servers.add(server)


def discard(server: Any) -> None:
    _servers.discard(server)


def running() -> list[Any]:
    """Those that were started and have not ended."""
    return list(_servers)


def inode_of(sock: Any) -> tuple[int, int]:
    """What a socket and its duplicates have in common."""
    facts = os.fstat(sock.fileno())
    return facts.st_dev, facts.st_ino


def weakly(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """The same call, without a hold on the server: what the library holds, no collector sees through."""
    refer = weakref.WeakMethod(method)

    def call(argument: Any) -> None:
        found = refer()
        if found is not None:
            found(argument)

    return call


def _forget_all() -> None:
    """A forked child has none of the threads that would end them."""
    for one in running():
        one._forget()
    _servers.clear()


os.register_at_fork(after_in_child=_forget_all)


@atexit.register
def _stop_all() -> None:
    servers = running()
    for one in servers:
        one.stop(0)
    for one in servers:
        one._ended.wait(_EXIT_SECONDS_MAX)
