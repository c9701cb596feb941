# SPDX-License-Identifier: MIT
"""pidfile - the file with the master's process id; while two masters live, the new one's ends in ".2"."""

from __future__ import annotations

import contextlib
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
        self._refuse_others()
        try:
            with tempfile.TemporaryFile(dir=os.path.dirname(self.path)):
                return
        except OSError as error:
            raise self._unwritable(error) from None

    def create(self) -> None:
        """Errors: SettingError: another process that lives is in it, or it cannot be written."""
        self._refuse_others()
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
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> SettingError:
        return SettingError(f"cannot write pid file {self.path}: {error.strerror}")

    def _refuse_others(self) -> None:
        """Devices and the like, or /dev/null would be replaced by a file, and removed at the end; and the
        file of a process that lives."""
        other = self.read()
        if other is not None and other != os.getpid() and _is_alive(other):
            raise SettingError(f"pid file {self.path}: process {other} is running already")
        try:
            mode = os.stat(self.path).st_mode
        except OSError:
            return  # it is not there yet, or cannot be written either
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise SettingError(f"cannot write pid file {self.path}: it is there, and no regular file")

    def rename(self, path: str) -> None:
        """Errors: SettingError; the file has its old name then."""
        try:
            os.rename(self.path, path)
        except OSError as error:
            raise SettingError(f"cannot rename pid file {self.path} to {path}: {error.strerror}") from None
        self.path = os.path.abspath(path)

    def read(self) -> int | None:
        try:
            # What has become a FIFO meanwhile is not to be waited for.
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                return int(file.read(_BYTES_MAX))
        except (OSError, ValueError):
            return None

    def remove(self) -> None:
        if self.read() == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.path)


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
