# SPDX-License-Identifier: MIT
# test_tls_records - records that TLS allows and hardly anybody sends: cut, split and without end.

import contextlib
import time

import pytest
from support import (
    FACTOR,
    PATIENCE,
    SANITIZED,
    Closed,
    Connection,
    Reset,
    one_loop,
    pattern,
    raw_request,
    wait_until,
)
from tlsclient import DATA, VERSION_12, VERSION_13, Client, record, tcp
from tlsrecords import KEY_UPDATE, Records

VERSIONS = pytest.mark.parametrize("version", [VERSION_12, VERSION_13], ids=["1.2", "1.3"])
HELLO_REQUESTED = b"\x01\x00\x00\x00"
"""A hello on an open connection, as short as can be: it asks for a renegotiation."""


@VERSIONS
def test_an_answer_outlives_a_record_that_came_in_part(serve, version):
    """The rest of the next request comes when the connection is over: it must not get the answer reset."""
    size = 600_000
    server = serve(tls=True, max_requests_per_connection="1")
    with Client(server, version, rcvbuf=65536) as client:
        first = client.handshake().write(raw_request("GET", f"/fixed?n={size}")).take()
        second = client.write(raw_request("GET", "/hello", ["X-Long: " + 3000 * "y"])).take()
        client.socket.sendall(first + second[:1400])
        # All of the answer is with the kernel, and most of it waits there.
        server.settled(evy_requests_active=0, evy_requests_total=1)
        client.socket.sendall(second[1400:])
        assert client.response().body == pattern(size)
        assert client.is_ended()


@pytest.mark.parametrize("where", ["body", "tunnel"])
def test_who_asks_for_renegotiation_on_and_on_costs_no_memory(serve, where):
    """Each is refused by a warning, and this client reads none of them."""
    server = serve("--quiet", tls=True)
    with Records(server, VERSION_12, rcvbuf=4096) as client:
        if where == "body":
            head = b"POST /buffered HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n"
        else:
            head = raw_request("GET", "/take?how=inline")
        client.socket.sendall(client.data(head))
        server.settled(evy_requests_total=1)
        before = server.resident_bytes()
        try:
            # 31 bytes each: three times of what a kernel takes of them at most.
            for _ in range(400):
                asks = b"".join(client.handshake_record(HELLO_REQUESTED) for _ in range(1000))
                client.socket.sendall(asks + client.data(b"more"))
        except ConnectionError:
            pass
        server.settled(evy_connections_open=0)
        assert SANITIZED or server.resident_bytes() - before < 8 << 20


def test_what_tls_has_to_say_to_a_taken_connection_waits_no_longer_than_output(serve):
    """It fills the socket, and the client reads nothing: its host would wait for room for ever."""
    server = serve(tls=True, write_timeout="3s")
    with Records(server, VERSION_12, rcvbuf=4096) as client:
        client.socket.sendall(client.data(raw_request("GET", "/take?how=inline")))
        server.expect("call", step="take")
        start, asked, answered = server.counters(), 0, 0
        # Until the answers to one turn's asks wait; far from as many as would end it by themselves.
        while answered >= asked - 500:
            asks = [client.handshake_record(HELLO_REQUESTED) for _ in range(500)]
            client.socket.sendall(b"".join(asks))
            asked += len(asks)
            received = start["evy_received_bytes_total"] + asked * len(asks[0])
            found = server.settled(evy_received_bytes_total=received)
            answered = (found["evy_sent_bytes_total"] - start["evy_sent_bytes_total"]) / 31
        server.settled(evy_connections_open=0)
    assert server.counters()['evy_timeouts_total{deadline="write"}'] == 1


@one_loop
def test_an_answer_outlives_an_end_of_tls_that_finds_no_room(serve):
    """All of it is with the kernel, and what TLS has to say behind it waits longer than output may."""
    size = 70_000
    server = serve("--quiet", tls=True, idle_timeout=f"{int(5000 * FACTOR)}ms", write_timeout="500ms")
    with Records(server, VERSION_12, rcvbuf=4096, maxseg=1000) as client, Connection(server) as other:
        assert other.alive()  # its handshake is over for the server as well
        client.send(raw_request("GET", f"/fixed?n={size}"))
        received = server.settled(evy_requests_active=0, evy_requests_total=2)["evy_received_bytes_total"]
        assert other.alive()
        turn = server.counters()["evy_received_bytes_total"] - received
        # Asks until the refusals fill the socket. The server reads all of them, or its end would be a reset;
        # and whole ones, in a packet each time: a part of a record would have the time of a head.
        while not server.waits_for_room():
            asks = b"".join(client.handshake_record(HELLO_REQUESTED) for _ in range(25))
            client.socket.sendall(asks)
            received += len(asks) + turn
            server.settled(evy_received_bytes_total=received)
            assert other.alive()  # and the asks are answered
        other.close()
        found = server.settled(evy_connections_open=0)
        assert found['evy_timeouts_total{deadline="idle"}'] == 1
        assert found['evy_timeouts_total{deadline="write"}'] == 1
        assert client.response().body == pattern(size)
        while client.socket.recv(65536):
            pass


def fill_with_answers(server, client):
    """Asks, with a byte of a head now and then, until the server has no room and reads no more."""
    while True:
        asks = b""
        for _ in range(10):
            asks += b"".join(client.handshake_record(HELLO_REQUESTED) for _ in range(50)) + client.data(b"x")
        all_read = received(server) + len(asks)
        client.socket.sendall(asks)
        try:
            wait_until(lambda: received(server) >= all_read, "its reading", patience=0.1 * FACTOR)
        except AssertionError:
            return


def read_away(client):
    """What there is. An end raises."""
    client.socket.settimeout(0.1)
    try:
        while client.socket.recv(1 << 20):
            pass
        raise Closed()
    except TimeoutError:
        client.socket.settimeout(PATIENCE)


def test_what_tls_has_to_say_gives_a_head_no_more_time(serve, tmp_path):
    """A client that fills the socket with answers and reads them, again and again, is never idle."""
    path = str(tmp_path / "evy.sock")
    server = serve("--quiet", tls=True, listen=[f"unix:{path}"], header_timeout="2s")
    with Records(server, VERSION_12, path=path) as client:
        client.socket.sendall(client.data(b"GET /"))
        server.settled(evy_tls_handshakes_total=1)
        start = time.monotonic()
        with pytest.raises((ConnectionError, Closed)):
            while time.monotonic() - start < PATIENCE:
                fill_with_answers(server, client)
                read_away(client)


@VERSIONS
@pytest.mark.parametrize("what", ["stop", pytest.param("newcomer", marks=one_loop)])
def test_who_has_sent_a_part_of_a_record_is_not_idle(serve, version, what):
    server = serve(tls=True, max_connections="1")
    with Client(server, version) as client:
        client.handshake().send(raw_request("GET", "/hello"))
        assert client.response().status == 200
        before = server.counters()["evy_received_bytes_total"]
        request = client.write(raw_request("GET", "/hello", ["X-Long: " + 3000 * "y"])).take()
        client.socket.sendall(request[:1400])
        server.settled(evy_received_bytes_total=before + 1400)
        if what == "stop":
            assert server.command("stop", 0, PATIENCE * 1000) == "EVY_OK"
        else:
            newcomer = Connection(server, tls=False)
            server.settled(evy_accept_pauses_total=1)
            newcomer.reset()
        client.socket.sendall(request[1400:])
        assert client.response().status == 200


@VERSIONS
def test_a_record_that_is_never_completed_has_the_time_of_a_head(serve, version):
    server = serve(tls=True, header_timeout="2500ms", idle_timeout="600s")
    with Client(server, version) as client:
        client.handshake().send(raw_request("GET", "/hello"))
        assert client.response().status == 200
        client.socket.sendall(client.write(raw_request("GET", "/hello")).take()[:-1])
        server.settled(evy_connections_open=0)


def test_a_key_update_that_came_in_parts_leaves_its_client_idle(serve):
    """Two others, whose heads are never completed, show that the time of a head has passed."""
    server = serve(tls=True, header_timeout="2500ms", idle_timeout="600s")
    with Client(server, VERSION_13) as client:
        client.handshake().send(raw_request("GET", "/hello"))
        assert client.response().status == 200
        before = server.counters()["evy_received_bytes_total"]
        update = client.update_keys(False).take()
        client.socket.sendall(update[:10])
        server.settled(evy_received_bytes_total=before + 10)
        client.socket.sendall(update[10:])
        server.settled(evy_received_bytes_total=before + len(update))
        for _ in range(2):
            with Connection(server) as slow:
                slow.send(b"GET / HTTP/1.1\r\n")
                assert slow.response().status == 408
        client.send(raw_request("GET", "/hello"))
        assert client.response().status == 200


def test_records_without_a_request_do_not_put_off_the_end_of_an_idle_client(serve):
    server = serve(tls=True, header_timeout="600s", idle_timeout="1s")
    with Records(server, VERSION_12) as client:
        client.send(raw_request("GET", "/hello"))
        assert client.response().status == 200

        def count():
            return server.counters()["evy_received_bytes_total"]

        def is_over():
            return server.counters()["evy_connections_open"] == 0

        received, start = count(), time.monotonic()

        while not is_over():
            assert time.monotonic() - start < PATIENCE, "each of them puts it off"
            empty = client.record(DATA, b"")
            for part in (empty[:7], empty[7:]):
                received += len(part)
                with contextlib.suppress(OSError):
                    client.socket.sendall(part)
                wait_until(lambda: is_over() or count() == received, "its way to the server")
            time.sleep(0.1)  # so that there are not 32 of them: OpenSSL takes no more in a row
    assert server.counters()['evy_timeouts_total{deadline="idle"}'] == 1


def is_refused(server):
    try:
        tcp(server).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("requests", [0, 1])
def test_a_stop_waits_for_no_record_that_has_carried_nothing(serve, requests):
    server = serve("--quiet", tls=True, header_timeout="600s", idle_timeout="600s")
    with Records(server, VERSION_12) as client:
        for _ in range(requests):
            client.send(raw_request("GET", "/hello"))
            assert client.response().status == 200
        server.settled(evy_tls_handshakes_total=1, evy_requests_active=0)
        empty = client.record(DATA, b"")
        before = server.counters()["evy_received_bytes_total"]
        client.socket.sendall(empty[:7])
        server.settled(evy_received_bytes_total=before + 7)
        assert server.command("stop", 0, -1) == "EVY_OK"
        wait_until(lambda: is_refused(server), "the begin of the drain")
        client.socket.sendall(empty[7:])
        assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"


@VERSIONS
def test_a_record_that_is_no_tls_in_a_body_is_told_as_broken(serve, version):
    server = serve(tls=True, body="stream")
    with Client(server, version) as client:
        client.handshake().send(b"POST /pull HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome")
        server.settled(evy_requests_total=1)
        client.socket.sendall(record(DATA, bytes(60)))
        assert server.expect("hook", name="figures")["end"] == "protocol"


def test_a_request_behind_half_a_key_update_is_told_as_broken(serve):
    """No library writes in the midst of a message, and no client that knows TLS asks there."""
    server = serve(tls=True)
    with Records(server, VERSION_13) as client:
        request = client.data(raw_request("GET", "/hello"))
        client.socket.sendall(request + client.handshake_record(KEY_UPDATE[:4]))
        with pytest.raises((Closed, Reset)):
            client.response()
    assert server.expect("hook", name="figures")["end"] == "protocol"
    with Records(server, VERSION_13) as client:
        client.socket.sendall(client.handshake_record(KEY_UPDATE[:4]))
        rest = client.handshake_record(KEY_UPDATE[4:])
        client.update_keys()
        client.socket.sendall(rest + client.data(raw_request("GET", "/hello")))
        assert client.response().status == 200


def test_a_client_whose_records_carry_nothing_shares_the_loop(serve):
    """A receive full of key updates costs nine milliseconds: such a client gets smaller ones."""
    server = serve("--quiet", tls=True)
    with Records(server, VERSION_13) as client:
        head = b"POST /buffered HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
        client.socket.sendall(client.data(head))
        before = server.settled(evy_requests_total=1)
        flood = []
        while sum(map(len, flood)) < 400_000:
            flood.append(client.handshake_record(KEY_UPDATE))
            client.update_keys()
        client.socket.sendall(b"".join(flood) + client.data(b"some"))
        assert client.response().body == b"some"
        after = server.counters()
    received = after["evy_received_bytes_total"] - before["evy_received_bytes_total"]
    assert received > 400_000
    assert after["evy_loop_turns_total"] - before["evy_loop_turns_total"] > received / 8192


@VERSIONS
def test_a_whole_answer_ends_with_close_notify_however_full_the_socket_is(serve, tmp_path, version):
    """One that is ended by nothing else would look cut. A socket of this family holds so much and no more."""
    path = tmp_path / "evy.sock"
    server = serve("--quiet", tls=True, listen=[f"unix:{path}"], access=False)
    for size in range(190_000, 220_000, 500):
        with Client(server, version, path=str(path)) as client:
            client.handshake().send(raw_request("GET", f"/chunked?n={size}", version="1.0"))
            wait_until(lambda: len({sent(server), sent(server), sent(server)}) == 1, "a full socket")
            assert client.response().body == pattern(size)
            assert client.is_ended(), size


def received(server):
    return server.counters()["evy_received_bytes_total"]


def sent(server):
    return server.counters()["evy_sent_bytes_total"]
