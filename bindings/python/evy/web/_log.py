# SPDX-License-Identifier: MIT
"""_log - one door for everything a server logs: a file-like object, a logging.Logger, or plain stderr."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from typing import Any

from evy import _lib
from evy._config import Config
from evy._tracebacks import told_traceback

_METHODS = {
    _lib.LOG_ERROR: "error",
    _lib.LOG_WARN: "warning",
    _lib.LOG_INFO: "info",
    _lib.LOG_DEBUG: "debug",
}


class Log:
    """Where lines go.

    target: a logging.Logger, anything with write(text), or None for sys.stderr. is_on=False: nowhere.
    Thread: any. Never raises: what a broken target loses is lost.
    """

    def __init__(self, target: Any, is_on: bool) -> None:
        self._target: Any = sys.stderr if target is None else target
        self.is_on = is_on and self._target is not None
        self._is_logger = hasattr(self._target, "info") and hasattr(self._target, "debug")
        if self.is_on and not self._is_logger and not hasattr(self._target, "write"):
            raise TypeError(
                f"log is a {type(target).__name__}: it has neither write() nor info() and debug()"
            )

    @property
    def is_stderr(self) -> bool:
        """The target writes to descriptor 2, so the library may write there itself, in batches."""
        stream: Any = sys.__stderr__
        if self._is_logger or self._target is not stream or stream is not sys.stderr:
            return False
        try:
            return bool(stream.fileno() == 2)
        except (OSError, ValueError, AttributeError):
            return False

    def line(self, text: str, level: int = _lib.LOG_INFO) -> None:
        """text has no line end."""
        if not self.is_on:
            return
        try:
            if self._is_logger:
                getattr(self._target, _METHODS.get(level, "info"))("%s", text)
            else:
                self._target.write(text + "\n")
        except Exception:
            report_unraisable("the log")

    def error(self, what: str) -> None:
        """what, and the traceback of the exception being handled."""
        self.line(f"({os.getpid()}) {what}\n{told_traceback()}".rstrip("\n"), _lib.LOG_ERROR)

    def flush(self) -> None:
        try:
            if self.is_on and hasattr(self._target, "flush"):
                self._target.flush()
        except Exception:
            report_unraisable("the log")


class Logs:
    """Where one server's events and access lines go.

    The library writes to stderr, and where access_log is a text, by itself; any other log is fed through
    callbacks, which live as long as this object. Thread: any.
    """

    def __init__(self, log: Any, log_output: bool, access_log: Any) -> None:
        self.events = Log(log, log_output)
        self._option = access_log if isinstance(access_log, str) else None
        is_own = access_log is not None and self._option is None
        self._access = Log(access_log, log_output) if is_own else self.events
        self._on_log = _lib.LogFunction(self._event_logged)
        self._on_access = _lib.AccessFunction(self._request_logged)

    def route(self, config: Config, options: Mapping[str, Any]) -> None:
        """Tells the library; options: what the caller has set by name."""
        if self._option is not None:
            config.set("access_log", self._option)
        elif self._access.is_on and not self._access.is_stderr:
            config.on_access(self._on_access)
        else:
            config.set("access_log", "stderr" if self._access.is_on else "off")
        if "error_log" in options:
            return
        if self.events.is_on and not self.events.is_stderr:
            config.on_log(self._on_log)
        else:
            config.set("error_log", "stderr" if self.events.is_on else "off")

    def ended(self) -> None:
        self.events.line(f"({os.getpid()}) wsgi exiting")
        self.events.flush()
        self._access.flush()

    def _event_logged(self, _user: int | None, level: int, start: int, byte_count: int) -> None:
        try:
            self.events.line(ctypes.string_at(start, byte_count).decode("utf-8", "replace"), level)
        except BaseException:
            report_unraisable("the log")

    def _request_logged(self, _user: int | None, _req: int | None, start: int, byte_count: int) -> None:
        try:
            self._access.line(ctypes.string_at(start, byte_count).decode("latin-1"))
        except BaseException:
            report_unraisable("the access log")


def report_unraisable(place: str) -> None:
    """For the exception being handled, where nobody is left to raise it to. Never raises."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"evy: exception in {place}\n{told_traceback()}")
    except BaseException:
        return
