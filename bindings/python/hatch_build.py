# SPDX-License-Identifier: MIT
"""hatch_build - puts the shared library into the wheel, as evy/libevy.so.

EVY_PREBUILT_SO names a library to take. Without it, the library is built from the repository around this
folder, which needs a Swift toolchain on PATH and libssl-dev. Either way it is stripped. One wheel serves
every CPython and PyPy of a platform, because Python reaches the library through ctypes alone.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sysconfig
import tempfile
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "libevy.so"


class EvyBuildHook(BuildHookInterface):
    """The hook of the wheel. An editable install gets no library: there EVY_LIBRARY names it at run time."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="evy-wheel-")
        stripped = os.path.join(self._folder.name, LIBRARY)
        _strip(self._library(), stripped)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["force_include"][stripped] = f"evy/{LIBRARY}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._folder.cleanup()

    def _library(self) -> pathlib.Path:
        named = os.environ.get("EVY_PREBUILT_SO")
        if named:
            library = pathlib.Path(named).resolve()
            if not library.is_file():
                raise FileNotFoundError(f"EVY_PREBUILT_SO: there is no file {named}")
            return library
        repository = pathlib.Path(self.root).resolve().parent.parent
        if not (repository / "Package.swift").is_file():
            raise RuntimeError(
                f"no Package.swift in {repository}: evy is built in its repository;"
                " elsewhere EVY_PREBUILT_SO has to name a libevy.so"
            )
        if shutil.which("swift") is None:
            raise RuntimeError("building evy needs a Swift toolchain on PATH, or EVY_PREBUILT_SO")
        build = ["swift", "build", "-c", "release", "--package-path", str(repository)]
        subprocess.run([*build, "--product", "evy"], check=True)
        shown = subprocess.run([*build, "--show-bin-path"], check=True, capture_output=True, text=True)
        return pathlib.Path(shown.stdout.strip()) / LIBRARY


def _strip(library: pathlib.Path, target: str) -> None:
    """A third of the library is symbols that nobody looks up at run time."""
    strip = shutil.which("strip")
    if strip is None:
        shutil.copyfile(library, target)
    else:
        subprocess.run([strip, "--strip-unneeded", "-o", target, str(library)], check=True)
    os.chmod(target, 0o755)
