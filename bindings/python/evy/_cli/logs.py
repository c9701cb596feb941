# SPDX-License-Identifier: MIT
"""logs - the files of the two logs: opened by the master, shared by the workers, opened anew on demand."""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import Any

from evy._cli.values import LOG_LEVELS, SettingError
from evy._cli.waiting import write_soon
from evy._tracebacks import told_traceback

# How long a reader that is merely slow is waited for.
_PATIENCE_SECONDS = 0.1
_RANK = {name: rank for rank, name in enumerate(LOG_LEVELS)}


def open_file(path: str, user: int | None, group: int | None) -> int:
    """A descriptor to append to; the file belongs to the workers. Errors: SettingError names the file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
        if os.geteuid() == 0 and (user is not None or group is not None):
            os.fchown(descriptor, -1 if user is None else user, -1 if group is None else group)
    except OSError as error:
        raise SettingError(f"cannot open log {path}: {error.strerror}") from None
    return descriptor


class LogFile:
    """One log. Its descriptor keeps its number when the file is opened anew, so others may hold on to it.

    path: None: nowhere; "-": the standard descriptor given. Thread: any.
    """

    def __init__(self, path: str | None, standard: int, user: int | None, group: int | None) -> None:
        self.path = path
        self._owner = (user, group)
        self.is_file = path is not None and path != "-"
        self.descriptor = standard
        if self.is_file:
            self.descriptor = open_file(str(path), user, group)

    def open_again(self) -> None:
        """For log rotation. Errors: SettingError; the old file stays then."""
        if self.is_file:
            self.replace(open_file(str(self.path), *self._owner))

    def replace(self, descriptor: int) -> None:
        """Takes over an open descriptor of the new file."""
        os.dup2(descriptor, self.descriptor, inheritable=False)
        os.close(descriptor)

    @property
    def option(self) -> str:
        """Option access_log of the library, which opens a file by itself, and anew once it was replaced.

        By its descriptor: so it is the very file that the master has opened, also where the workers' user may
        not enter its folder, and whatever the working folder is. What is no file, or cannot be opened by this
        process, is handed over as it is.
        """
        path = f"/proc/self/fd/{self.descriptor}"
        try:
            if stat.S_ISREG(os.fstat(self.descriptor).st_mode) and self.is_file:
                os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC))
                return path
        except OSError:
            pass
        return f"fd:{self.descriptor}"

    def close(self) -> None:
        if self.is_file:
            os.close(self.descriptor)
            self.descriptor = -1  # whoever still writes to it must not write into what has its number next


class ErrorLog:
    """The server's own log: one line, with time, process and level, in one write.

    Lines that nobody takes are dropped, and told of once somebody does: nobody waits for a reader, but for a
    moment ahead of the first loss. A full disk or a closed terminal does not end a server either.
    Has the methods of a logging.Logger that servers and hooks call. Never raises. Thread: any.
    """

    def __init__(self, file: LogFile, level: str) -> None:
        self.file = file
        self.level = level
        self._lost = 0

    def takes(self, level: str) -> bool:
        return _RANK[level] >= _RANK[self.level]

    def write(self, level: str, text: str) -> None:
        if not self.takes(level):
            return
        self.write_raw(_line(level, text))

    def write_raw(self, data: bytes) -> None:
        lost = self._lost
        if lost:
            if self._put(_line("warning", f"{lost} lines of this log were lost: nobody took them"), 0.0):
                self._lost += _line_count(data)
                return
            self._lost -= lost
        self._lost += _line_count(self._put(data, _PATIENCE_SECONDS))

    def _put(self, data: bytes, seconds: float) -> bytes:
        """What could not be written."""
        try:
            return write_soon(self.file.descriptor, data, seconds)
        except OSError:
            return data

    def debug(self, message: str, *arguments: Any) -> None:
        self.write("debug", _text(message, arguments))

    def info(self, message: str, *arguments: Any) -> None:
        self.write("info", _text(message, arguments))

    def warning(self, message: str, *arguments: Any) -> None:
        self.write("warning", _text(message, arguments))

    def error(self, message: str, *arguments: Any) -> None:
        self.write("error", _text(message, arguments))

    def critical(self, message: str, *arguments: Any) -> None:
        self.write("critical", _text(message, arguments))

    def exception(self, message: str, *arguments: Any) -> None:
        """With the traceback of the exception being handled."""
        self.write("error", f"{_text(message, arguments)}\n{told_traceback()}")


def _line(level: str, text: str) -> bytes:
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    head = f"[{now}] [{os.getpid()}] [{level.upper()}] "
    return (head + text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace")


def _line_count(data: bytes) -> int:
    return data.count(b"\n") + (not data.endswith(b"\n") if data else 0)


def _text(message: Any, arguments: tuple[Any, ...]) -> str:
    try:
        return str(message) % arguments if arguments else str(message)
    except (TypeError, ValueError):
        return f"{message} {arguments}"


class ServerLog:
    """What evy.wsgi.Server gets as its log: the coming and going of servers is no news in a worker."""

    def __init__(self, log: ErrorLog) -> None:
        self._log = log
        self.debug, self.warning, self.error = log.debug, log.warning, log.error

    def info(self, message: str, *arguments: Any) -> None:
        text = _text(message, arguments)
        if text.endswith("wsgi exiting") or ") wsgi starting up on " in text:
            self._log.write("debug", text)
        else:
            self._log.write("info", text)


class ErrorStream:
    """wsgi.errors where the log is a file: text goes there as it is."""

    def __init__(self, log: ErrorLog) -> None:
        self._log = log

    def write(self, text: str) -> int:
        self._log.write_raw(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for one in lines:
            self.write(one)

    def flush(self) -> None:
        """Nothing waits."""


class Logs:
    """Both logs of a set of settings."""

    def __init__(self, settings: Any) -> None:
        owner = (settings.user, settings.group)
        self.error_file = LogFile(settings.errorlog or "-", 2, *owner)
        try:
            self.access_file = LogFile(settings.accesslog or None, 1, *owner)
        except SettingError:
            self.error_file.close()
            raise
        self.error = ErrorLog(self.error_file, settings.loglevel)

    @property
    def files(self) -> list[LogFile]:
        return [one for one in (self.error_file, self.access_file) if one.is_file]

    def is_as(self, settings: Any) -> bool:
        """The settings name the same files."""
        return (self.error_file.path, self.access_file.path) == (
            settings.errorlog or "-",
            settings.accesslog or None,
        )

    def open_again(self) -> None:
        """Errors: SettingError, of the first file that cannot be opened; the others are new."""
        failure = None
        for one in self.files:
            try:
                one.open_again()
            except SettingError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def capture(self) -> None:
        """What this process prints goes to the server's log."""
        if self.error_file.is_file:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(self.error_file.descriptor, 1)
            os.dup2(self.error_file.descriptor, 2)

    def close(self) -> None:
        for one in self.files:
            one.close()
