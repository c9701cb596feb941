# SPDX-License-Identifier: MIT
# test_memory - what one client of each class costs the server, against the bound that is promised.

import functools

import figures
import pytest
import slow
from crowd import Watch
from figures import size
from support import SANITIZED

KIB = 1024
STALLED = {name: "-1" for name in ("header_timeout", "body_timeout", "write_timeout", "handshake_timeout")}
STALLED["idle_timeout"] = "-1"
"""Of a streamed answer: write_high_water in what is being sent, as much in what was written behind it, and
the writer's piece; each buffer may have grown to twice of what it holds. The socket's own is the kernel's."""
STREAM = 4 * 256 * KIB


def handshakes(how, watch, server, count):
    if how == "half-open":
        return slow.half_open_handshake(watch, server, count)
    return slow.stalled_handshake(watch, server, count, 0.001)[1]


# (class, clients of a short and a full run, bytes each may cost, how they begin)
CLASSES = {
    "idle, kept alive": (500, 5000, 16 * KIB, slow.idle),
    "idle, kept alive TLS": (100, 2000, 32 * KIB, functools.partial(slow.idle, tls=True)),
    "silent": (500, 5000, 8 * KIB, slow.silent),
    "slow head": (300, 5000, 16 * KIB, functools.partial(slow.slow_head, pause=0.01)),
    "slow body": (300, 5000, 16 * KIB, functools.partial(slow.slow_body, pause=0.01)),
    "stalled handshake": (100, 2000, 64 * KIB, functools.partial(handshakes, "dripping")),
    "half-open handshake": (100, 2000, 64 * KIB, functools.partial(handshakes, "half-open")),
    "slow reader of a stream": (
        30, 300, STREAM,
        functools.partial(slow.not_reading, target=b"deferred?how=stream&n=20000000"),
    ),
    "slow reader of a stream, TLS": (
        20, 300, STREAM + 64 * KIB,
        functools.partial(slow.not_reading, target=b"deferred?how=stream&n=20000000", tls=True),
    ),
    "slow reader of a file": (
        30, 1000, 32 * KIB, slow.not_reading,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "big"
    with open(path, "wb") as file:
        file.truncate(64 << 20)
    return path


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory is not the library's")
@pytest.mark.parametrize("name", CLASSES)
def test_a_client_costs_no_more_than_promised(both, big_file, name):
    short, full, bound, begin = CLASSES[name]
    if "file" in name:
        begin = functools.partial(begin, target=b"file?path=" + bytes(big_file))
    server, count = both(**STALLED), size(short, full)
    with Watch() as watch:
        begin(watch, server, 10)  # what is made once is not theirs
        before = steady(server, watch)
        begin(watch, server, count)
        each = (steady(server, watch) - before) / count
    figures.row(f"{name}, {bound // KIB} KiB at most", count, each=each)
    assert each < bound, f"{name}: {each:.0f} bytes each, not {bound}"


def steady(server, watch):
    """Its memory once it has stopped growing."""
    seen = [0]
    while len(seen) < 10 or seen[-1] != seen[-8]:
        watch.turn(0.02)
        seen.append(server.resident_bytes())
        assert len(seen) < 500, seen[-20:]
    return seen[-1]
