# SPDX-License-Identifier: MIT
"""hooks - calls the functions of a configuration file, with stand-ins for gunicorn's arbiter and worker."""

from __future__ import annotations

from typing import Any


class MasterFace:
    """What a hook gets as `server`: cfg, log, pid, address, num_workers."""

    def __init__(self, state: Any, address: list[str] | None = None) -> None:
        self._state = state
        self._address = address

    @property
    def cfg(self) -> Any:
        return self._state.settings

    @property
    def log(self) -> Any:
        return self._state.logs.error

    @property
    def pid(self) -> int:
        return self._state.pid

    @property
    def address(self) -> list[str]:
        return self._address or [one.address for one in self._state.listeners]

    @property
    def num_workers(self) -> int:
        return self._state.target


class WorkerFace:
    """What a hook gets as `worker`: age, pid, cfg, log, and app, the application once it is loaded."""

    def __init__(self, age: int, pid: int, settings: Any, log: Any) -> None:
        self.age, self.pid, self.cfg, self.log = age, pid, settings, log
        self.app: Any = None


def call(settings: Any, name: str, *arguments: Any) -> None:
    """Calls a hook that is there. Its exceptions are the caller's."""
    hook = getattr(settings, name)
    if hook is not None:
        hook(*arguments)


def call_guarded(settings: Any, log: Any, name: str, *arguments: Any) -> None:
    """Calls a hook where nothing may go wrong: an exception is logged."""
    try:
        call(settings, name, *arguments)
    except Exception:
        log.exception("exception in hook %s", name)
