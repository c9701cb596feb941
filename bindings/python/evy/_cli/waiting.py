# SPDX-License-Identifier: MIT
"""waiting - waits until one of several things can be read; and writes with a limit to the wait."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterable
from typing import Any


def wait_readable(things: Iterable[Any], seconds: float) -> None:
    """Returns when one of them can be read, or after so long.

    A new poll each time: it has no object in the kernel that a forked child would share.
    """
    poll = select.poll()
    for one in things:
        poll.register(one, select.POLLIN)
    poll.poll(max(0.0, seconds) * 1000)


def write_soon(descriptor: int, data: bytes, seconds: float) -> bytes:
    """Writes what its reader takes within so long; what is left. Errors: OSError.

    In pieces of whole lines, where none is longer than PIPE_BUF: a pipe takes such a piece or nothing.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        while data:
            data = data[os.write(descriptor, data) :]
        return data
    own = _opened_anew(descriptor)
    deadline = time.monotonic() + seconds
    try:
        while data and _has_room(descriptor if own is None else own, deadline - time.monotonic()):
            piece = data[: data.rfind(b"\n", 0, select.PIPE_BUF) + 1 or select.PIPE_BUF]
            try:
                data = data[os.write(descriptor if own is None else own, piece) :]
            except BlockingIOError:  # somebody else was faster
                if time.monotonic() >= deadline:
                    break
    finally:
        if own is not None:
            os.close(own)
    return data


def _opened_anew(descriptor: int) -> int | None:
    """The same pipe or terminal, so that writing never waits: the descriptor itself is shared with others,
    who may want to. None: it is another user's, or a socket; then room is all that can be asked for."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:
        return None


def _has_room(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(max(0.0, seconds) * 1000))
