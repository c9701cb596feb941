# SPDX-License-Identifier: MIT
# test_slow - all slow classes at once: each is cut by its own deadline, others are served, counters tell why.

import time

import figures
import slow
from crowd import Watch, check_causes, in_time
from figures import Normal, size
from support import FACTOR, SANITIZED
from test_counters import TIMEOUT

SECONDS = {
    "handshake_timeout": size(2.5, 10) * FACTOR,
    "header_timeout": size(3.0, 15) * FACTOR,
    "body_timeout": size(3.5, 20) * FACTOR,
    "write_timeout": size(4.0, 20) * FACTOR,
    "idle_timeout": size(4.5, 30) * FACTOR,
}
OPTIONS = {name: f"{int(seconds * 1000)}ms" for name, seconds in SECONDS.items()}
PAUSE = size(0.05, 1)  # a byte a second
"""A handler that streams by evy_resp_write, and waits where its client does not read, holds one of these:
there must be more of them than such clients, or it uses evy_resp_on_writable."""
THREADS = "96"
STREAM = b"streamed?n=5000000"


def crowds_by_deadline(watch, server):
    """[(deadline, crowd)] of everybody who will be cut. The longest to build is the longest to live."""
    found = [
        ("idle_timeout", slow.idle(watch, server, size(300, 1000 if SANITIZED else 5000))),
        ("idle_timeout", slow.idle(watch, server, size(20, 200), tls=True)),
        ("write_timeout", slow.not_reading(watch, server, size(20, 25))),
        ("write_timeout", slow.not_reading(watch, server, size(20, 25), STREAM, name="not reading a stream")),
        ("write_timeout", slow.not_reading(watch, server, size(20, 50), tls=True)),
        ("body_timeout", slow.slow_body(watch, server, size(50, 200), PAUSE)),
        ("header_timeout", slow.silent(watch, server, size(50, 200))),
        ("header_timeout", slow.slow_head(watch, server, size(50, 200), PAUSE)),
        ("handshake_timeout", slow.half_open_handshake(watch, server, size(20, 50))),
    ]
    for crowd in slow.stalled_handshake(watch, server, size(40, 100), PAUSE):
        found.append(("handshake_timeout", crowd))
    return found


def test_slow_clients_of_every_class_at_once(both):
    server = both(**OPTIONS, threads=THREADS)
    with Watch() as watch, Normal(server.ports[0]) as normal, Normal(server.ports[1], tls=True) as secure:
        crowds = crowds_by_deadline(watch, server)
        watch.until_over(*(crowd for _, crowd in crowds), patience=3 * SECONDS["idle_timeout"])
    found = server.counters()
    check_causes(crowds, {name: found[TIMEOUT % name.removesuffix("_timeout")] for name in SECONDS})
    for deadline, crowd in crowds:
        figures.row(crowd.name, len(crowd), deadline, in_time(crowd, SECONDS[deadline]))
    figures.row("  while all of these", sum(len(crowd) for _, crowd in crowds), normal=normal)
    figures.row("  the same over TLS", sum(len(crowd) for _, crowd in crowds), normal=secure)


def test_a_normal_client_alone(both):
    """What the machine itself gives while these figures are taken."""
    server = both()
    with Watch() as watch, Normal(server.ports[0]) as normal, Normal(server.ports[1], tls=True) as secure:
        end = time.monotonic() + size(0.3, 5)
        while time.monotonic() < end:
            watch.turn()
    figures.row("nobody else", 1, normal=normal)
    figures.row("  the same over TLS", 1, normal=secure)
