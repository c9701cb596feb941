# SPDX-License-Identifier: MIT
"""pidfile - the file with the master's process id; while two masters live, the new one's ends in ".2"."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile

from evy._cli.values import SettingError

# A process id and a line end, with room to spare.
_BYTES_MAX = 64


class PidFile:
    """Ownership: removes the file at the end if it still holds this process' id."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def check(self) -> None:
        """Whether create() would go well, as far as can be told. Errors: as create()."""
        _refuse_others(self.path)
        try:
            with tempfile.TemporaryFile(dir=os.path.dirname(self.path)):
                return
        except OSError as error:
            raise _unwritable(self.path, str(error.strerror)) from None

    def create(self) -> None:
        """Errors: SettingError: another process that lives is in it, or it cannot be written."""
        _refuse_others(self.path)
        folder = os.path.dirname(self.path)
        temporary = ""
        try:
            descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".evy-")
            with os.fdopen(descriptor, "w") as file:
                file.write(f"{os.getpid()}\n")
                os.fchmod(file.fileno(), 0o644)
            os.rename(temporary, self.path)
        except OSError as error:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise _unwritable(self.path, str(error.strerror)) from None

    def rename(self, path: str, successor_of: int = 0) -> None:
        """successor_of: whose file this one may replace. Errors: SettingError; it has its old name then."""
        _refuse_others(path, successor_of)
        try:
            os.rename(self.path, path)
        except OSError as error:
            raise SettingError(f"cannot rename pid file {self.path} to {path}: {error.strerror}") from None
        self.path = os.path.abspath(path)

    def read(self) -> int | None:
        return _read(self.path)

    def remove(self) -> None:
        if self.read() == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _refuse_others(path: str, successor_of: int = 0) -> None:
    """Folders, devices and the like, or /dev/null would be replaced by a file, and removed at the end; and
    the file of another process that lives (successor_of has ended, but its parent may not know it yet)."""
    with contextlib.suppress(OSError):  # it is not there yet, or cannot be written either
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise _unwritable(path, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise _unwritable(path, "it is there, and no regular file")
    other = _read(path)
    if other not in (None, os.getpid(), successor_of) and _is_alive(other):
        raise SettingError(f"pid file {path}: process {other} is running already")


def _unwritable(path: str, reason: str) -> SettingError:
    return SettingError(f"cannot write pid file {path}: {reason}")


def _read(path: str) -> int | None:
    """None: no file, or none with a number. What has become a FIFO meanwhile is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return int(os.read(descriptor, _BYTES_MAX))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False  # to kill(2) these are groups
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
