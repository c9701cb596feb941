# SPDX-License-Identifier: MIT
# conftest - the test server and fixtures of Tests/behaviour, and the table of figures at the end.
"""EVY_HOSTILE=full takes the sizes and deadlines of an attack (minutes) and asserts the latency of normal
clients; without it everything is small and its deadlines are short."""

import importlib.util
import pathlib
import resource
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BEHAVIOUR = HERE.parent / "behaviour"
sys.path[:0] = [str(HERE), str(BEHAVIOUR)]

spec = importlib.util.spec_from_file_location("behaviour_conftest", BEHAVIOUR / "conftest.py")
behaviour = importlib.util.module_from_spec(spec)
spec.loader.exec_module(behaviour)
programs, pair, serve, LIB_DIR = behaviour.programs, behaviour.pair, behaviour.serve, behaviour.LIB_DIR

import figures  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def many_descriptors():
    """As many as this process may have: thousands of clients live in it, and servers inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 20000 if hard == resource.RLIM_INFINITY else min(hard, 20000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="session")
def lib_dir():
    """Where the library under test is."""
    return LIB_DIR


@pytest.fixture
def both(serve, pair):
    """serve() with two listeners: ports[0] in clear text, ports[1] over TLS; it tells only counters."""

    def start(*arguments, quiet=True, **options):
        options.setdefault("backlog", "4096")
        options.setdefault("max_connections", "20000")
        quietly = {"callbacks": False, "access": False} if quiet else {}
        return serve(
            *(["--quiet"] if quiet else []),
            *("--listen", "127.0.0.1:0", "--tls", *pair, "--listen", "127.0.0.1:0"),
            *arguments,
            **quietly,
            **options,
        )

    return start


def pytest_terminal_summary(terminalreporter):
    for line in figures.table():
        terminalreporter.write_line(line)
