# SPDX-License-Identifier: MIT
"""configfile - runs a configuration file, or imports a module, and gives the names it defines."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any

from evy._cli.values import SettingError

MODULE_PREFIX = "python:"


def names(location: str, folder: str) -> dict[str, Any]:
    """Every name that the file (a path, from folder on) or python:MODULE defines, read anew each time.

    Errors: SettingError, with the traceback of a file that fails.
    """
    if location.startswith(MODULE_PREFIX):
        return _of_module(location[len(MODULE_PREFIX) :], folder)
    path = os.path.join(folder, location.removeprefix("file:"))
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise SettingError(f"cannot read {location}: {error.strerror}") from None
    found: dict[str, Any] = {"__name__": "__config__", "__file__": path, "__builtins__": __builtins__}
    try:
        exec(compile(source, path, "exec"), found)
    except (Exception, SystemExit):
        raise SettingError(f"{location} failed:\n{traceback.format_exc().rstrip()}") from None
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _of_module(module: str, folder: str) -> dict[str, Any]:
    sys.modules.pop(module, None)
    sys.path.insert(0, folder)
    try:
        return dict(vars(importlib.import_module(module)))
    except (Exception, SystemExit):
        text = traceback.format_exc().rstrip()
        raise SettingError(f"{MODULE_PREFIX}{module} failed:\n{text}") from None
    finally:
        sys.path.remove(folder)
