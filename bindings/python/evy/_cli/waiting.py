# SPDX-License-Identifier: MIT
"""waiting - waits until one of several things can be read."""

from __future__ import annotations

import select
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
