# SPDX-License-Identifier: MIT
"""descriptors - what a server of the library has open, told by what is new once it is made.

The library has no call to open its access log anew, nor to stop accepting ahead of a drain. Both are done
here from the outside; where a descriptor is not found, nothing happens, and the server works on.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Iterable

from evy._cli.addresses import Listener
from evy._cli.logs import LogFile


def open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


class ServerDescriptors:
    """Make it ahead of the server, and find() behind it. Ownership: none, they are the library's."""

    def __init__(self) -> None:
        self._before = set(open_descriptors())
        self._access: list[int] = []
        self._listeners: list[int] = []
        self._polls: list[int] = []

    def find(self, access: LogFile, listeners: Iterable[Listener]) -> None:
        log = _file(access.descriptor) if access.is_file else None
        sockets = {_file(one.socket.fileno()) for one in listeners}
        for number in open_descriptors():
            if number in self._before:
                continue
            with contextlib.suppress(OSError):
                if _file(number) in sockets:
                    self._listeners.append(number)
                elif _file(number) == log and stat.S_ISREG(os.fstat(number).st_mode):
                    self._access.append(number)
                elif os.readlink(f"/proc/self/fd/{number}") == "anon_inode:[eventpoll]":
                    self._polls.append(number)

    def follow(self, access: LogFile) -> None:
        """The file of the access log was opened anew: the library writes there from now on."""
        for number in self._access:
            os.dup2(access.descriptor, number, inheritable=False)

    def stop_accepting(self) -> None:
        """New clients are left to the other workers; connections that are here already go on."""
        for poll in self._polls:
            # A copy: an epoll object closes what it was made of.
            with contextlib.closing(select.epoll.fromfd(os.dup(poll))) as copy:
                for number in self._listeners:
                    with contextlib.suppress(OSError):
                        copy.unregister(number)


def _file(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
