# SPDX-License-Identifier: MIT
# packages - makes the packages of requirements.txt importable, in a virtual environment if need be.
"""Packages that the Python has are used as they are; else they go to .build-frameworks of the tree, once."""

import importlib.util
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
NAMES = ("flask", "werkzeug", "django", "falcon", "bottle", "requests", "httpx")


def provide():
    if all(importlib.util.find_spec(name) for name in NAMES):
        return
    tag = "{0}-{1.major}.{1.minor}".format(sys.implementation.name, sys.version_info)
    folder = HERE.parents[3] / ".build-frameworks" / tag
    done = folder / "requirements.txt"
    if not done.exists() or done.read_text() != REQUIREMENTS.read_text():
        venv.create(folder, with_pip=True, clear=True)
        install = [folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", REQUIREMENTS]
        subprocess.run(list(map(str, install)), check=True)
        done.write_text(REQUIREMENTS.read_text())
    found = sorted(folder.glob("lib/*/site-packages")) + sorted(folder.glob("site-packages"))
    # Behind everything else: pytest, and what it needs, stay the runner's own.
    sys.path.append(str(found[0]))
    importlib.invalidate_caches()
