# SPDX-License-Identifier: MIT
"""main - from the arguments to a running master, or to the text that says why there is none."""

from __future__ import annotations

import os
import sys
from typing import Any

from evy._cli import addresses, apps, options, serving, surroundings, upgrade
from evy._cli.logs import Logs
from evy._cli.master import Master
from evy._cli.table import HOOKS
from evy._cli.values import SettingError


def main(arguments: list[str]) -> int:
    """The exit status: 0 after a signal, 1 a setting cannot be used, 2 a wrong command line, 3 a worker
    cannot start, 4 the application cannot be loaded."""
    folder = os.getcwd()
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in (upgrade.SOCKETS_VARIABLE, upgrade.MASTER_VARIABLE)
    }
    try:
        settings = options.load(arguments, environ, folder)
        if settings.print_config:
            _print(settings)
            return 0
        surroundings.take(settings, folder, None)
        if settings.check_config:
            return _check(settings)
        if not settings.wsgi_app:
            raise SettingError(f"no application was named\nusage: {options.USAGE}; --help lists the options")
        master = Master(settings, arguments, folder, environ)
    except SettingError as error:
        return _fail(str(error), 1)
    return master.run()


def _check(settings: Any) -> int:
    """Errors: SettingError."""
    addresses.check([*settings.bind, *([settings.status_bind] if settings.status_bind else [])])
    serving.check(settings, Logs(settings))
    serving.make_tls(settings)
    try:
        apps.load_here(settings.wsgi_app, settings.factory)
    except apps.AppError as error:
        return _fail(f"{error}\n{error.details}".rstrip(), 1)
    for note in settings.notes:
        sys.stderr.write(f"evy: {note}\n")
    return 0


def _print(settings: Any) -> None:
    for name, value in settings.items():
        if name not in HOOKS and name not in ("print_config", "check_config"):
            mark = "" if name in settings.given else "  # default"
            sys.stdout.write(f"{name} = {value!r}{mark}\n")


def _fail(text: str, status: int) -> int:
    sys.stderr.write(f"evy: {text}\n")
    return status
