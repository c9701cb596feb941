# SPDX-License-Identifier: MIT
"""_log - one door for everything a server logs: a file-like object, a logging.Logger, or plain stderr."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

from evy import _lib

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
        self._target = sys.stderr if target is None else target
        self.is_on = is_on and self._target is not None
        self._is_logger = hasattr(self._target, "info") and hasattr(self._target, "debug")
        if self.is_on and not self._is_logger and not hasattr(self._target, "write"):
            raise TypeError(
                f"log is a {type(target).__name__}: it has neither write() nor info() and debug()"
            )

    @property
    def is_stderr(self) -> bool:
        """The target writes to descriptor 2, so the library may write there itself, in batches."""
        if self._is_logger or self._target is not sys.stderr or self._target is not sys.__stderr__:
            return False
        try:
            return self._target.fileno() == 2
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
        self.line(f"({os.getpid()}) {what}\n{traceback.format_exc()}".rstrip("\n"), _lib.LOG_ERROR)

    def flush(self) -> None:
        try:
            if self.is_on and hasattr(self._target, "flush"):
                self._target.flush()
        except Exception:
            report_unraisable("the log")


def report_unraisable(place: str) -> None:
    """For the exception being handled, where nobody is left to raise it to. Never raises."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"evy: exception in {place}\n{traceback.format_exc()}")
    except BaseException:
        return
