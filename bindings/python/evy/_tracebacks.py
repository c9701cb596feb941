# SPDX-License-Identifier: MIT
"""_tracebacks - exceptions as text for logs, whatever clients have put into them."""

from __future__ import annotations

import sys
import traceback

# What would steer a terminal, turn text round, or end a line where not every program sees an end.
_STEERING = {
    number: f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    for number in (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    if chr(number) not in "\n\t"
}
_OF_TRACEBACKS = (
    "Traceback (most recent call last):",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


def told_traceback() -> str:
    """Of the exception being handled. What it says may hold what a client wrote, which is neither to forge
    a line of the log nor to steer a terminal: at the left edge stands what a traceback has there, no more."""
    names = _names(sys.exc_info()[1])
    told = ""
    for line in traceback.format_exc().translate(_STEERING).rstrip("\n").split("\n"):
        is_own = line[:1] in ("", " ") or line in _OF_TRACEBACKS or line.partition(":")[0] in names
        told += f"{'' if is_own else '    '}{line}\n"
    return told


def _names(error: BaseException | None) -> set[str]:
    """Of the kinds of this exception and those behind it, as a traceback writes them."""
    found: set[str] = set()
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and not any(one is other for other in seen):
            seen.append(one)
            kind = type(one)
            found |= {kind.__qualname__, f"{kind.__module__}.{kind.__qualname__}"}
            waiting += [one.__cause__, one.__context__]
    return found
