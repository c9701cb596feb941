# SPDX-License-Identifier: MIT
# test_python_face - the same classes of slow clients against a WSGI server; scenario 10 as Python sees it.

import json
import os
import pathlib
import subprocess
import sys

import figures
import pytest
import slow
from crowd import Watch, check_causes, in_time
from figures import Normal, size
from support import FACTOR, PATIENCE, SANITIZED

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = {
    "handshake_timeout": size(2.5, 10) * FACTOR,
    "header_timeout": size(3.0, 15) * FACTOR,
    "write_timeout": size(3.5, 20) * FACTOR,
    "body_timeout": size(3.5, 20) * FACTOR,
    "idle_timeout": size(4.0, 30) * FACTOR,
}
OPTIONS = [f"{name}={int(seconds * 1000)}ms" for name, seconds in SECONDS.items()]
"""Far fewer than there are clients that read a stream slowly, or send a body too large to be taken in ahead
of the application: it waits for them, and leaves its place to others."""
THREADS = 4
PAUSE = size(0.05, 1)
STREAM = "not reading a stream"
pytestmark = pytest.mark.skipif(SANITIZED, reason="an interpreter cannot load a sanitized library")


class Site:
    """The process of site.py; what it says is JSON."""

    def __init__(self, lib_dir, pair, *options):
        certificate, key = pair
        environ = {
            **os.environ,
            "EVY_LIBRARY": str(lib_dir / "libevy.so"),
            "PYTHONPATH": str(HERE.parents[1] / "bindings" / "python"),
        }
        self.process = subprocess.Popen(
            [sys.executable, HERE / "site.py", key, certificate, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ,
        )  # fmt: skip
        self.ports = self._hear()

    def _hear(self):
        line = self.process.stdout.readline()
        assert line, "the server has ended"
        return json.loads(line)

    def tell(self):
        self.process.stdin.write("tell\n")
        self.process.stdin.flush()
        return self._hear()

    def resident_bytes(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self):
        self.process.stdin.close()
        last = self._hear()
        assert self.process.wait(3 * PATIENCE) == 0
        self.process.stdout.close()
        return last["ends"]


@pytest.fixture
def site(lib_dir, pair):
    started = []

    def start(*options):
        started.append(Site(lib_dir, pair, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def crowds_by_deadline(watch, site):
    """As in test_slow."""
    found = [
        ("idle_timeout", slow.idle(watch, site, size(200, 5000))),
        ("idle_timeout", slow.idle(watch, site, size(10, 200), tls=True)),
        ("write_timeout", slow.not_reading(watch, site, size(5, 25), b"fixed")),
        ("write_timeout", slow.not_reading(watch, site, size(20, 25), b"stream", name=STREAM)),
        ("body_timeout", slow.slow_body(watch, site, size(10, 20), PAUSE)),
        ("header_timeout", slow.slow_head(watch, site, size(50, 200), PAUSE)),
        ("handshake_timeout", slow.half_open_handshake(watch, site, size(20, 50))),
    ]
    for crowd in slow.stalled_handshake(watch, site, size(20, 100), PAUSE):
        found.append(("handshake_timeout", crowd))
    return found


def test_slow_clients_of_a_wsgi_server(site):
    server = site(*OPTIONS, f"threads={THREADS}")
    with Watch() as watch, Normal(server.ports[0]) as normal:
        crowds = crowds_by_deadline(watch, server)
        watch.until_over(*(crowd for _, crowd in crowds), patience=3 * SECONDS["idle_timeout"])
    stats = server.tell()["stats"]
    check_causes(crowds, {name: stats[f"timeout_{name.removesuffix('_timeout')}"] for name in SECONDS})
    for deadline, crowd in crowds:
        figures.row(f"WSGI: {crowd.name}", len(crowd), deadline, in_time(crowd, SECONDS[deadline]))
    figures.row("  while all of these", sum(len(crowd) for _, crowd in crowds), normal=normal)
    ends = server.end()
    begun = ends.pop("begun")
    assert sum(ends.values()) == begun, ends
