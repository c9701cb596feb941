# SPDX-License-Identifier: MIT
# test_tls_floods - TLS clients that ask for work: renegotiation, key updates, handshakes one after the other.

import subprocess

import figures
from crowd import HELLO, Pipe, raw_socket, reset
from figures import Normal, size
from support import PATIENCE, SANITIZED, Connection, client_context

LAST = HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Client:
    """openssl s_client: a line that begins with R asks for a renegotiation, one with K for new keys."""

    def __init__(self, server, version):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.ports[1]}", version],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def say(self, line):
        self.process.stdin.write(line)

    def hear(self, word):
        """Reads what it tells of itself, up to a line with this word."""
        for line in self.process.stderr:
            if word in line:
                return
        raise AssertionError(f"s_client ended without {word!r}")

    def end(self):
        """(answer, complaints) once it has ended."""
        return self.process.communicate(timeout=2 * PATIENCE)


def serves_still(server):
    with Connection(port=server.ports[1], tls=client_context()) as client:
        assert client.alive()


def test_renegotiations_are_refused_and_cost_others_nothing(both):
    server, (waves, each) = both(), size((2, 5), (50, 1))
    with Normal(server.ports[1], tls=True) as normal:
        for _ in range(waves):  # many of them at a time would have the processors to themselves
            clients = [Client(server, "-tls1_2") for _ in range(each)]
            for client in clients:
                client.say(b"R\n")
            for client in clients:
                _, complaints = client.end()
                assert b"no renegotiation" in complaints, complaints
    server.settled(evy_connections_open=0)
    serves_still(server)
    figures.row("renegotiation", waves * each, normal=normal)


def test_key_updates_are_answered_and_cost_others_nothing(both):
    server, count, rounds = both(), 5, size(20, 400)
    with Normal(server.ports[1], tls=True) as normal:
        clients = [Client(server, "-tls1_3") for _ in range(count)]
        for _ in range(rounds):
            for client in clients:
                client.say(b"K\n")
            for client in clients:
                client.hear(b"KEYUPDATE")
        for client in clients:
            client.say(LAST)
            assert any(b"Hello, World!" in line for line in client.process.stdout)
            client.end()
    server.settled(evy_connections_open=0)
    figures.row(f"key updates, {rounds} each", count, normal=normal)


def test_handshakes_one_after_the_other(both):
    """The dearest thing a stranger can ask for; whoever is there already does not wait for it."""
    server, count = both(), size(100, 5000)
    context = client_context()
    Pipe(raw_socket(server.ports[1]), context).handshake()
    with Normal(server.ports[1], tls=True) as normal:
        before = server.resident_bytes()
        for _ in range(count):
            pipe = Pipe(raw_socket(server.ports[1]), context).handshake()
            reset(pipe.socket)
        growth = server.resident_bytes() - before
    assert SANITIZED or growth < 4 << 20, growth
    server.settled(evy_requests_active=0)
    figures.row("handshake and away", count, normal=normal, each=growth / count)
