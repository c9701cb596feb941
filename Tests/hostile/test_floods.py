# SPDX-License-Identifier: MIT
# test_floods - clients that send too much: pipelines without reading, header bombs, one-byte chunks, churn.

import itertools

import figures
import pytest
from crowd import HELLO, Watch, in_time, raw_socket, reset
from figures import Normal, size
from support import FACTOR, PATIENCE, SANITIZED, Connection, chunks, wait_until
from test_counters import ENDS, REFUSED, TIMEOUT, answered, ended

WRITE_SECONDS = size(1.5, 10) * FACTOR
LINE = b"X-%d: " + b"b" * 900 + b"\r\n"


def grown(server, before, bound, what):
    """The server's memory has not grown by more than this many bytes since."""
    growth = server.resident_bytes() - before
    assert SANITIZED or growth < bound, f"{what}: {growth} bytes more, not {bound}"
    return growth


def sends_until_stuck(watch, crowd, data):
    """Everybody sends as much of data as is taken, until nobody has sent any for half a second; how much."""
    view, sent = memoryview(data), dict.fromkeys(crowd.members, 0)
    quiet = 0
    while quiet < 25 and any(count < len(data) for count in sent.values()):
        quiet += 1
        for member in crowd.left:
            count = member.send(view[sent[member] :]) if sent[member] < len(data) else 0
            if count > 0:
                sent[member] += count
                quiet = 0
        watch.turn()
    return list(sent.values())


def test_a_hundred_thousand_requests_in_a_pipeline_of_which_no_answer_is_read(both):
    """The server stops reading when it cannot write: what it holds of a flooder has a bound."""
    server = both(write_timeout=f"{int(WRITE_SECONDS * 1000)}ms")
    flood, clients = HELLO * 100_000, size(2, 10)
    with Watch() as watch, Normal(server.ports[0]) as normal:
        before = server.resident_bytes()
        crowd = watch.crowd("pipeline, not reading", reads=False)
        for _ in range(clients):
            crowd.join(raw_socket(server.ports[0], rcvbuf=4096))
        sends_until_stuck(watch, crowd, flood)
        begun = server.counters()["evy_requests_total"]
        assert begun < clients * 100_000, "it went on answering, for whom?"
        growth = grown(server, before, clients * (1 << 20), "a flood that is not read")
        watch.until_over(crowd, patience=3 * WRITE_SECONDS + PATIENCE)
    found = server.settled(evy_connections_open=0, evy_requests_active=0)
    assert found[TIMEOUT % "write"] == clients and found[ENDS % "write-timeout"] >= clients
    assert found["evy_requests_total"] == ended(found) == answered(found)
    figures.row(crowd.name, clients, "write_timeout", normal=normal, each=growth / clients)


def test_a_hundred_thousand_requests_in_a_pipeline_are_all_answered(both):
    """Where the client does read: in order, none twice, and the others have their turn in between."""
    server = both()
    count = size(20_000, 100_000)
    with Watch() as watch, Normal(server.ports[0]) as normal:
        before = server.resident_bytes()
        crowd = watch.crowd("pipeline, reading")
        member = crowd.join(raw_socket(server.ports[0]))
        one = []
        for data, expected in ((HELLO, 1), (HELLO * count, count + 1)):
            view = memoryview(data)
            while view or member.received < expected * (one[0] if one else 1):
                assert member.ended is None
                view = view[max(member.send(view), 0) :] if view else view
                watch.turn(0.001)
            one.append(member.received)
        growth = grown(server, before, 2 << 20, "a flood that is read")
        crowd.close()
    assert member.received == (count + 1) * one[0]
    figures.row(crowd.name, 1, normal=normal, each=growth)


def test_heads_that_are_held_just_below_their_limit(both):
    """max_header_size of each, and no byte more than that is kept for long."""
    seconds = size(3, 15) * FACTOR
    server = both(header_timeout=f"{int(seconds * 1000)}ms")
    bomb = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(LINE % at for at in range(70))
    assert 60_000 < len(bomb) < 65_536
    with Watch() as watch, Normal(server.ports[0]) as normal:
        before = server.resident_bytes()
        crowd = watch.crowd("head just below its limit")
        for _ in range(size(100, 1000)):
            assert crowd.join(raw_socket(server.ports[0])).send(bomb) == len(bomb)
        sent = len(bomb) * len(crowd)
        wait_until(lambda: server.counters()["evy_received_bytes_total"] >= sent, "their heads")
        growth = grown(server, before, len(crowd) * 144 * 1024, "heads")
        watch.until_over(crowd, patience=2 * seconds + PATIENCE)
    found = server.settled(evy_connections_open=0)
    assert found[REFUSED % "timeout"] == found[TIMEOUT % "header"] == len(crowd)
    cut = in_time(crowd, seconds)
    figures.row(crowd.name, len(crowd), "header_timeout", cut, normal, growth / len(crowd))


BOMBS = {
    "one line without end": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000,
    "lines without end": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(LINE % at for at in range(300)),
    "short lines without end": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 60_000,
    "a target without end": b"GET /" + b"a" * 200_000,
    "blank lines without end": b"\r\n" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_header_bombs_are_refused_while_they_come(both, name):
    server = both()
    count = size(30, 1000)
    with Normal(server.ports[0]) as normal:
        before = server.resident_bytes()
        for _ in range(count):
            with Connection(server) as client:
                client.send_lenient(BOMBS[name])
                client.ending()
        growth = grown(server, before, 2 << 20, name)
    found = server.settled(evy_connections_open=0)
    assert found[REFUSED % "limit"] + found[REFUSED % "malformed"] == count
    figures.row(f"header bomb: {name}", count, normal=normal, each=growth / count)


def test_bodies_in_chunks_of_one_byte(both):
    """Six bytes on the wire for each of the body: memory is the body's, and others have their turn."""
    server = both()
    count, clients = size(50_000, 500_000), size(2, 8)
    body = chunks(*[b"c"] * count)
    head = b"POST /buffered?answer=count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Watch() as watch, Normal(server.ports[0]) as normal:
        before = server.resident_bytes()
        crowd = watch.crowd("chunks of one byte")
        for _ in range(clients):
            crowd.join(raw_socket(server.ports[0]))
        sent = sends_until_stuck(watch, crowd, head + body)
        assert set(sent) == {len(head) + len(body)}
        watch.until(lambda: all(member.received for member in crowd.members), "answers")
        growth = grown(server, before, clients * 4 * count + (4 << 20), "bodies")
    for member in crowd.members:
        assert member.data.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\n\r\n%d " % count in member.data
    figures.row(crowd.name, clients, normal=normal, each=growth / clients)


# ---- in and out


def gone_before_a_word(port, _):
    reset(raw_socket(port))


def closed_before_a_word(port, _):
    raw_socket(port).close()


def half_a_head(port, _):
    sock = raw_socket(port)
    sock.send(HELLO[:20])
    reset(sock)


def asked_and_gone(port, _):
    sock = raw_socket(port)
    sock.send(HELLO)
    reset(sock)


def served(port, _):
    sock = raw_socket(port)
    sock.send(HELLO)
    assert sock.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    reset(sock)  # its port is free at once


def rubbish(_, port):
    sock = raw_socket(port)
    sock.send(b"GET / HTTP/1.1\r\n\r\n")
    reset(sock)


def gone_before_a_hello(_, port):
    reset(raw_socket(port))


def half_a_hello(_, port):
    sock = raw_socket(port)
    sock.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
    reset(sock)


VISITS = (gone_before_a_word, closed_before_a_word, half_a_head, asked_and_gone, served,
          rubbish, gone_before_a_hello, half_a_hello)  # fmt: skip


def test_connections_in_and_out(both):
    """A hundred thousand of eight kinds: nothing of them stays, and every one is counted."""
    server = both()
    count = size(4000, 100_000)
    plain, secure = server.ports
    for visit in VISITS:
        visit(plain, secure)
    server.settled(evy_connections_open=0)
    before, descriptors = server.resident_bytes(), server.descriptors()
    with Normal(plain) as normal, Normal(secure, tls=True) as over_tls:
        for _, visit in zip(range(count), itertools.cycle(VISITS)):
            visit(plain, secure)
    found = server.settled(evy_connections_open=0, evy_requests_active=0)
    assert found["evy_connections_total"] >= count
    assert found["evy_requests_total"] == ended(found) >= count / len(VISITS)
    assert found["evy_tls_failures_total"] == 3 * (count // len(VISITS) + 1)
    wait_until(lambda: server.descriptors() <= descriptors, "descriptors to return")
    growth = grown(server, before, 4 << 20, "connections that are gone")
    figures.row("in and out", count, normal=normal, each=growth / count)
    figures.row("  the same over TLS", count, normal=over_tls)


BURST = 200  # a newcomer queues behind all of them, wherever it comes from


def resets_before_accept(server, count):
    """So many at once into the listeners' queues."""
    for port in server.ports:
        for _ in range(count // BURST):
            socks = [raw_socket(port) for _ in range(BURST)]
            for sock in socks:
                reset(sock)


def test_resets_ahead_of_accept_while_others_are_served(both):
    """That none of them harms the server is in Tests/behaviour/test_accept; here, that nobody waits."""
    server = both()
    count = size(400, 1000)
    with Normal(server.ports[0]) as normal, Normal(server.ports[1], tls=True) as secure:
        resets_before_accept(server, count)
    server.settled(evy_connections_open=0)
    figures.row("reset ahead of accept", 2 * count, normal=normal)
    figures.row("  the same over TLS", 2 * count, normal=secure)
