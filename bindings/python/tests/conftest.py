# SPDX-License-Identifier: MIT
# conftest - the library under test, certificates, and servers in this process that end with their test.
"""EVY_LIBRARY names the library; without it, the release build of this tree is taken."""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
os.environ.setdefault("EVY_LIBRARY", str(ROOT / ".build" / "release" / "libevy.so"))
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "Tests" / "behaviour")]

import evy  # noqa: E402
from programs import Log, Program  # noqa: E402


def make_pair(folder, certificate, key):
    """A self-signed certificate and its key."""
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    )
    command = [*command.split(), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", folder / key, "-out", folder / certificate], check=True, capture_output=True
    )


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A folder with cert.crt and private.key, and the unrelated other.crt and other.key."""
    folder = tmp_path_factory.mktemp("pairs")
    make_pair(folder, "cert.crt", "private.key")
    make_pair(folder, "other.crt", "other.key")
    return folder


@pytest.fixture
def serve(pairs):
    """serve(site, tls=False, **keywords) starts a Server whose `log` is a Log; all end with the test."""
    servers = []

    def start(site, tls=False, **keywords):
        sock = evy.listen(("127.0.0.1", 0))
        if tls:
            sock = evy.wrap_ssl(sock, str(pairs / "private.key"), str(pairs / "cert.crt"), server_side=True)
        log = Log()
        server = evy.wsgi.Server(sock, site, **{"log": log, **keywords})
        sock.close()
        server.log, server.tls = log, tls
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop(0)
    for server in servers:
        assert server.join(10), "a server did not end"


@pytest.fixture(params=["plain", "tls"])
def either(request, serve):
    """serve() twice: once in clear text, once over TLS."""
    return lambda site, **keywords: serve(site, tls=request.param == "tls", **keywords)


@pytest.fixture
def program(tmp_path):
    """program(text) runs a Python program in a process of its own, which is ended with the test."""
    started = []

    def start(text, *arguments, cwd=None, **keywords):
        started.append(Program(tmp_path / f"program{len(started)}.py", text, arguments, cwd, **keywords))
        return started[-1]

    yield start
    for one in started:
        one.kill()
