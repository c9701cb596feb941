# SPDX-License-Identifier: MIT
"""process - what a process does to itself: signals, name, user, detaching, telling systemd."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

from evy._cli.values import SettingError

_NAME_LETTERS_MAX = 15


class SignalInbox:
    """Signals as bytes in a pair of sockets: handlers do nothing, the interpreter writes the number.

    Ownership: owns the pair. Thread: the main thread.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, noted)

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        """Ends a wait for the inbox, from any thread; take() does not tell of it."""
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def take(self) -> list[int]:
        """Signals that came, in their order."""
        try:
            return [number for number in self._reader.recv(4096) if number]
        except BlockingIOError:
            return []

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def noted(_number: int, _frame: Any) -> None:
    """Nothing is to be done: the number is in an inbox already, or does not matter."""


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Signals wait: a child that is forked in here must not write into its parent's inbox."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def set_name(name: str) -> None:
    """As ps -o comm shows it."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as file:
        file.write(name[:_NAME_LETTERS_MAX])


def drop_privileges(user: int | None, group: int | None, with_groups: bool) -> None:
    """Errors: SettingError."""
    try:
        if group is not None and group != os.getegid():
            os.setgid(group)
        if user is not None and user != os.geteuid():
            if with_groups:
                os.initgroups(pwd.getpwuid(user).pw_name, os.getegid())
            elif os.geteuid() == 0:
                os.setgroups([os.getegid()])
            os.setuid(user)
    except (OSError, KeyError) as error:
        raise SettingError(f"cannot become user {user} and group {group}: {error}") from None


def detach() -> None:
    """A daemon: no terminal, no parent that waits. The caller goes on in another process."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    if null > 2:
        os.close(null)


def has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def notify(state: str) -> None:
    """Tells systemd, if it wants to hear (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if state.startswith("RELOADING=1"):
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("\0" + address[1:] if address[0] == "@" else address)
        sock.send(state.encode())
