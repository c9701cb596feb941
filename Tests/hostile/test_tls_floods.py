# SPDX-License-Identifier: MIT
# test_tls_floods - TLS clients that ask for work: renegotiation, key updates, handshakes one after the other.

import subprocess

import figures
from crowd import HELLO, Pipe, raw_socket, reset
from figures import Normal, size
from support import PATIENCE, SANITIZED, Connection


def s_client(server, version, commands):
    """openssl s_client, which turns lines of one letter into TLS messages."""
    return subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.ports[1]}", version],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ), commands


def run_all(clients):
    """What they had to say; all at once, each with its commands."""
    for client, commands in clients:
        client.stdin.write(commands)
        client.stdin.flush()
    return [client.communicate(timeout=3 * PATIENCE)[1] for client, _ in clients]


def test_renegotiations_are_refused_and_cost_others_nothing(both):
    server = both(idle_timeout="2s", header_timeout="2s")
    count = size(10, 50)
    with Normal(server.ports[1], tls=True) as normal:
        errors = run_all([s_client(server, "-tls1_2", b"R\n" * 20) for _ in range(count)])
    for error in errors:
        assert b"no renegotiation" in error, error
    found = server.settled(evy_connections_open=0)
    assert found["evy_requests_total"] > 0
    with Connection(port=server.ports[1], tls=True) as client:
        assert client.alive()
    figures.row("renegotiation", count, normal=normal)
