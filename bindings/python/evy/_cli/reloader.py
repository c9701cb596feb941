# SPDX-License-Identifier: MIT
"""reloader - sees by the times of files that the source of the application has changed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable


class Watch:
    """Files of the modules that are loaded, and further ones, against their times at first sight.

    A change counts when it has been still for one interval, so that an editor can finish its work. What was
    written while the application was being loaded counts too: nobody knows which version was read.
    Thread: one at a time.
    """

    def __init__(self, further: Iterable[str]) -> None:
        self._further = [os.path.abspath(one) for one in further]
        self._times: dict[str, int | None] = {}
        self._began_ns = time.time_ns()
        self._changed: tuple[str, int | None] | None = None

    def also(self, files: Iterable[str]) -> None:
        """Files of code that could not be loaded, and so are of no module."""
        self._further += [os.path.abspath(one) for one in files]

    def look(self) -> str | None:
        """To be called once per interval: a file that has changed and come to rest since."""
        if self._changed is not None:
            path, seen = self._changed
            if _time_of(path) == seen:
                self._changed = None
                return path
            self._changed = (path, _time_of(path))
            return None
        for path in self._files():
            now = _time_of(path)
            if path not in self._times:
                self._times[path] = now
                if now is None or now <= self._began_ns:
                    continue
            elif self._times[path] == now:
                continue
            self._times[path] = now
            self._changed = (path, now)
            break
        return None

    def _files(self) -> list[str]:
        found = list(self._further)
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and path:
                found.append(path[:-1] if path.endswith((".pyc", ".pyo")) else path)
        return found


def _time_of(path: str) -> int | None:
    """None: there is no such file, for the moment."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
