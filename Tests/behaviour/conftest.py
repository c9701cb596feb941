# SPDX-License-Identifier: MIT
# conftest - builds the C programs against the library under test and starts servers for the tests.
"""EVY_LIB_DIR and EVY_INCLUDE_DIR say where libevy.so and evy.h are (default: this tree);
EVY_CFLAGS adds compiler flags, for example -fsanitize=address for a library built so."""

import os
import pathlib
import shlex
import socket
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import support  # noqa: E402

LIB_DIR = pathlib.Path(os.environ.get("EVY_LIB_DIR", HERE.parents[1] / ".build" / "release")).resolve()
INCLUDE_DIR = pathlib.Path(os.environ.get("EVY_INCLUDE_DIR", HERE.parents[1] / "Include")).resolve()
SERVER_PARTS = [
    "server.c",
    "callbacks.c",
    "report.c",
    "routes_answer.c",
    "routes_late.c",
    "routes_body.c",
    "routes_hook.c",
    "routes_more.c",
    "routes_odd.c",
    "routes_tls.c",
    "tls_control.c",
    "routes_see.c",
]
PROGRAMS = {
    "server": SERVER_PARTS,
    "cycle": ["cycle.c"],
    "hostloop": ["hostloop.c"],
    "tasks": ["tasks.c"],
    "turns": ["turns.c"],
    "ends": ["ends.c"],
    "misuse": ["misuse.c", "misuse_server.c", "misuse_request.c", "misuse_see.c"],
}


class Programs:
    """The built C programs by name."""

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, name):
        target = self.folder / name
        if not target.exists():
            flags = shlex.split(os.environ.get("EVY_CFLAGS", ""))
            subprocess.run(
                [
                    os.environ.get("CC", "cc"),
                    "-std=gnu11",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-O1",
                    "-g",
                    *flags,
                    "-I",
                    INCLUDE_DIR,
                    *(HERE / part for part in PROGRAMS[name]),
                    "-o",
                    target,
                    "-L",
                    LIB_DIR,
                    f"-Wl,-rpath,{LIB_DIR}",
                    "-levy",
                    "-lpthread",
                ],
                check=True,
            )
        return str(target)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    return Programs(tmp_path_factory.mktemp("programs"))


def make_pair(folder, name, *options):
    """A self-signed certificate and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            f"/CN={name}",
            "-days",
            "30",
            "-keyout",
            key,
            "-out",
            certificate,
            *(options or ("-nodes",)),
        ],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """(certificate, key) files of a test server."""
    return make_pair(tmp_path_factory.mktemp("tls"), "test.example")


@pytest.fixture(scope="session")
def other_pair(tmp_path_factory):
    """A second, unrelated pair."""
    return make_pair(tmp_path_factory.mktemp("tls-other"), "other.example")


@pytest.fixture(scope="session")
def locked_pair(tmp_path_factory):
    """A pair whose key is encrypted with the pass phrase "sesame"."""
    return make_pair(tmp_path_factory.mktemp("tls-locked"), "locked.example", "-passout", "pass:sesame")


def factory(programs, pair):
    """A function that starts servers, and the list of those it has started."""
    servers = []

    def serve(*arguments, tls=None, **options):
        servers.append(
            support.Server(programs["server"], *arguments, tls=pair if tls is True else tls, **options)
        )
        return servers[-1]

    return serve, servers


def finish_all(servers):
    """Ends every server, then raises the first complaint."""
    complaints = []
    for server in servers:
        try:
            server.finish()
        except AssertionError as complaint:
            complaints.append(complaint)
    if complaints:
        raise complaints[0]


@pytest.fixture
def serve(programs, pair):
    """serve("--run", tls=True, idle_timeout="300ms") starts a server for one test."""
    serve, servers = factory(programs, pair)
    yield serve
    finish_all(servers)


@pytest.fixture(scope="module")
def shared(programs, pair):
    """One server with default options for the tests of a module that leave it as it was."""
    serve, servers = factory(programs, pair)
    yield serve()
    finish_all(servers)


@pytest.fixture(scope="module")
def shared_stream(programs, pair):
    """The same with body=stream."""
    serve, servers = factory(programs, pair)
    yield serve(body="stream")
    finish_all(servers)


@pytest.fixture(scope="module")
def shared_tls(programs, pair):
    """The same over TLS."""
    serve, servers = factory(programs, pair)
    yield serve(tls=True)
    finish_all(servers)


@pytest.fixture(params=["plain", "tls"])
def either(request, serve):
    """serve() twice: once in clear text, once over TLS."""
    return lambda *arguments, **options: serve(*arguments, tls=request.param == "tls" or None, **options)


@pytest.fixture(scope="session")
def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False
