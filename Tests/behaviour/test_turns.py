# SPDX-License-Identifier: MIT
# test_turns - what one turn of the loop gives to whom: who takes much has a share of it, and others theirs.

import contextlib
import re
import socket
import subprocess
import threading

import pytest
from support import PATIENCE, Connection, pattern, raw_request, wait_until

KIB, MIB = 1 << 10, 1 << 20
SIZE = 4 * MIB
TAIL = 17 * KIB
"""What a share may be exceeded by: a rest not worth a turn of its own, heads, a record of TLS."""


class Turns:
    """The program turns: a server whose loop stands still but for turn()."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            [program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        word, *ports = self.process.stdout.readline().split()
        assert word == "ready"
        self.ports = [int(port) for port in ports]

    def turn(self):
        """(requests handled, bytes the kernel took), both since the start."""
        self.process.stdin.write("\n")
        line = self.process.stdout.readline()
        return tuple(map(int, re.fullmatch(r"handled (\d+) sent (\d+)\n", line).groups()))

    @contextlib.contextmanager
    def going_on(self):
        """It turns and turns while the body runs."""
        is_over = threading.Event()

        def go_on():
            while not is_over.is_set():
                self.turn()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


@pytest.fixture
def turns(programs, pair, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(pattern(SIZE))
    program = Turns(programs["turns"], path, *pair)
    yield program
    program.process.stdin.close()
    assert program.process.wait() == 0


def connected(turns, count, is_secure):
    """So many connections, accepted, whose handshakes are over; and bytes the kernel took until then."""
    with turns.going_on():
        clients = [Connection(port=turns.ports[is_secure], tls=is_secure or None) for _ in range(count)]
    return clients, turns.turn()[1]


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", ["copied", "lent", "written", "file"])
def test_many_who_ask_for_much_at_once_get_their_shares_of_a_turn(turns, how, is_secure):
    """Each was sent as much as the kernel took, and everybody else waited for all of them."""
    count = 24
    clients, before = connected(turns, count, is_secure)
    for client in clients:
        client.send(raw_request("GET", f"/{how}"))
    wait_until(lambda: not any(client.unacknowledged() for client in clients), "their way to the server")
    handled, sent = turns.turn()
    assert handled == count, "not all of them in one turn"
    crowded = 8 * MIB + MIB + count * (64 * KIB + TAIL)
    assert 0 < sent - before <= crowded
    with turns.going_on():
        for client in clients:
            assert client.response().body == pattern(SIZE)
            client.close()


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", ["copied", "lent", "written", "file"])
def test_one_who_asks_for_much_gets_a_mebibyte_of_each_turn(turns, how, is_secure):
    (client,), before = connected(turns, 1, is_secure)
    client.send(raw_request("GET", f"/{how}"))
    assert turns.turn()[1] - before <= MIB + TAIL
    with turns.going_on():
        assert client.response().body == pattern(SIZE)
    client.close()


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("framing", ["Content-Length: 1", "Transfer-Encoding: chunked"])
def test_what_comes_behind_a_body_is_no_larger_a_share(turns, framing, is_secure):
    """For the body itself more is received at once than for heads."""
    (client,), _ = connected(turns, 1, is_secure)
    client.send(raw_request("POST", "/small", [framing]))
    before, _ = turns.turn()
    body = b"x" if "1" in framing else b"1\r\nx\r\n0\r\n\r\n"
    small = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n"
    client.send(body + small * 1500)
    handled = before
    while handled == before:
        handled, _ = turns.turn()
    assert handled <= 10 * KIB // len(small)
    with turns.going_on():
        assert [client.response().status for _ in range(1501)] == [200] * 1501
        client.close()


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_an_end_behind_what_waits_for_its_turn_is_heard(serve, is_secure):
    """Requests behind a body wait with us, and meanwhile nothing is read."""
    server = serve(tls=is_secure or None)
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/buffered", ["Content-Length: 1"]))
        server.settled(evy_requests_total=1)
        hello = raw_request("GET", "/hello")
        connection.send(b"x" + hello * 300 + raw_request("GET", f"/until-gone?ms={PATIENCE * 1000}"))
        assert [connection.response().status for _ in range(301)] == [200] * 301
        server.expect("call", step="waiting")
        socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        assert server.expect("call", step="gone")["result"] == 2
