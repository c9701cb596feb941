# SPDX-License-Identifier: MIT
"""process - what a process does to itself: signals, name, user, detaching, telling systemd."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from evy._cli.values import SettingError

_NAME_LETTERS_MAX = 15
_NOTED_MAX = 64


class SignalInbox:
    """Signals, in the order in which Python hears of them; a pair of sockets ends the wait for them.

    None is lost: who sends more than there is room for finds one of each kept. Ownership: owns the pair.
    Thread: the main thread.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._noted: list[int] = []
        # Also by the interpreter: a signal may come between its last look and the wait.
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            take_signal(number, self._note)

    def _note(self, number: int, _frame: Any) -> None:
        if len(self._noted) < _NOTED_MAX or number not in self._noted:
            self._noted.append(number)
        self.wake()

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        """Ends a wait for the inbox, from any thread; take() does not tell of it."""
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def take(self) -> list[int]:
        """Signals that came, in their order."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                continue
        taken, self._noted = self._noted, []
        return taken

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


_taken: dict[int, Any] = {}


def take_signal(number: int, handler: Any) -> None:
    """Has this process, but no child that it forks, hear of a signal."""
    _taken[number] = handler
    signal.signal(number, handler)


def _leave_signals() -> None:
    """In a forked child, of whoever: its signals are its own, and not for its parent's inbox."""
    if not _taken:
        return
    signal.set_wakeup_fd(-1)
    for number, handler in _taken.items():
        if signal.getsignal(number) == handler:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
    _taken.clear()


os.register_at_fork(after_in_child=_leave_signals)


def nothing(_number: int, _frame: Any) -> None:
    """A signal that does not matter. Not SIG_IGN: programs that the application runs would inherit it."""


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


def open_standard_descriptors() -> None:
    """Who starts a server may have closed 0, 1 or 2. The next socket would take the place, and get what is
    written to the output; so they lead to nowhere first."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        os.set_inheritable(number, True)
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    sys.stdin = sys.stdin or open(0, closefd=False)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)


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
