# SPDX-License-Identifier: MIT
# conftest - servers as in Tests/behaviour, under limits and under faults that a test sets.
"""Everything of Tests/behaviour/conftest.py holds here: its fixtures, and the variables it reads."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BEHAVIOUR = HERE.parent / "behaviour"
sys.path[:0] = [str(HERE), str(BEHAVIOUR)]


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


behaviour = load("behaviour_conftest", BEHAVIOUR / "conftest.py")
programs, pair, serve, factory = behaviour.programs, behaviour.pair, behaviour.serve, behaviour.factory
behaviour.PROGRAMS["forks"] = [HERE / "forks.c"]
behaviour.PROGRAMS["start"] = [HERE / "start.c"]
behaviour.PROGRAMS["lent"] = [HERE / "lent.c"]

from support import SANITIZED  # noqa: E402
from faults import Faults  # noqa: E402


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that stands between evy and the system."""
    if SANITIZED:
        pytest.skip("a sanitizer stands there itself")
    target = tmp_path_factory.mktemp("shim") / "faults.so"
    subprocess.run(
        ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", HERE / "faults.c"]
        + ["-o", target, "-ldl"],
        check=True,
    )
    return target


@pytest.fixture
def faulty(serve, shim, tmp_path):
    """faulty(...) starts a server as serve(...) does; its `faults` decides which system calls fail."""

    def start(*arguments, first=None, **options):
        """first: a fault that is there from the beginning."""
        faults = Faults(tmp_path / "faults")
        if first:
            faults.set(*first)
        server = serve(*arguments, wrapper=faults.wrapper(shim), **options)
        server.faults = faults
        return server

    return start
