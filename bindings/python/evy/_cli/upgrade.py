# SPDX-License-Identifier: MIT
"""upgrade - a new master, from whatever is installed now, takes the sockets of this one over (USR2)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterable

from evy._cli import addresses
from evy._cli.addresses import Listener

# {address as given: [descriptor, ...]} in JSON, and the process that passes them.
SOCKETS_VARIABLE = "EVY_SOCKETS"
MASTER_VARIABLE = "EVY_MASTER_PID"


def start_master(
    arguments: list[str], folder: str, environ: dict[str, str], listeners: Iterable[Listener]
) -> int:
    """The process id of a new master with the same command line. Errors: OSError."""
    with contextlib.ExitStack() as opened:
        copies: dict[str, list[int]] = {}
        for one in listeners:
            number = os.dup(one.socket.fileno())
            opened.callback(os.close, number)
            os.set_inheritable(number, True)
            copies.setdefault(one.spec, []).append(number)
        # By descriptor: a release that has been replaced may be gone, and its folder have no name any more.
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, here)
        variables = {SOCKETS_VARIABLE: json.dumps(copies), MASTER_VARIABLE: str(os.getpid())}
        os.chdir(folder)
        try:
            return os.posix_spawn(
                sys.executable,
                command(arguments),
                {**environ, **variables},
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        finally:
            with contextlib.suppress(OSError):  # the new master lives, whatever has become of the folder
                os.fchdir(here)


def command(arguments: list[str]) -> list[str]:
    """What started this process, with the interpreter's own options where it tells them (3.10 and later)."""
    original = getattr(sys, "orig_argv", None)
    return [sys.executable, *(original[1:] if original else ["-m", "evy", *arguments])]


def inherited() -> tuple[dict[str, list[Listener]], int]:
    """The sockets that an old master has passed, by address, and its process id; ({}, 0): none has.

    It may have ended by now, and then they are all that is left: nobody else takes clients.
    The variables are taken out of the environment, so that no further process believes in them.
    """
    text, master = os.environ.pop(SOCKETS_VARIABLE, ""), os.environ.pop(MASTER_VARIABLE, "")
    kept: dict[str, list[Listener]] = {}
    with contextlib.suppress(ValueError, AttributeError, TypeError, OSError):
        for spec, numbers in json.loads(text).items():
            found = [addresses.adopt(spec, number) for number in numbers]
            if all(one.is_listening for one in found):
                kept[spec] = found
            else:
                for one in found:
                    one.socket.detach()  # the variables tell of descriptors that are others' by now
    return kept, int(master) if kept and master.isdecimal() else 0
