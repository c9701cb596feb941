# SPDX-License-Identifier: MIT
# test_linger - answers that are with the kernel when their connection ends: whatever the client sends then,
# it gets them whole. A close without more ado would have the kernel reset the connection.

import socket

import pytest
import tlsclient
from support import PATIENCE, Closed, Connection, Reset, one_loop, pattern, raw_request, wait_until
from tlsrecords import KEY_UPDATE, Records

pytestmark = one_loop
SIZE = 1_500_000
"""Less than a kernel takes of an answer, and more than it sends ahead of a client that does not read."""
LARGE = raw_request("GET", f"/fixed?n={SIZE}")
HELLO = raw_request("GET", "/hello")


@pytest.fixture(params=[None, True], ids=["plain", "tls"])
def start(serve, request):
    return lambda **options: serve("--quiet", tls=request.param, access=False, **options)


def ask(server, connection, request=LARGE, active=0):
    """All of the answer is with the kernel, and most of it waits there."""
    before = server.counters()["evy_sent_bytes_total"]
    connection.send(request)
    wait_until(lambda: server.counters()["evy_sent_bytes_total"] - before > SIZE, "the answer's way")
    server.settled(evy_requests_active=active)


def test_a_request_behind_the_last_one_leaves_its_answer_whole(start):
    server = start(max_requests_per_connection="1")
    with Connection(server) as connection:
        ask(server, connection)
        connection.send_lenient(HELLO)
        assert connection.response().body == pattern(SIZE)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_close_notify_behind_the_last_request_leaves_its_answer_whole(serve, version):
    """Who takes leave of TLS still reads, and its alert is data to the kernel."""
    server = serve("--quiet", tls=True, access=False)
    with tlsclient.Client(server).handshake() as client:
        ask(server, client, raw_request("GET", f"/fixed?n={SIZE}", ["Connection: close"], version=version))
        client.say_goodbye().flush()
        assert client.response().body == pattern(SIZE)
        assert client.is_ended()


def test_a_request_behind_a_stop_leaves_the_answer_whole(start):
    server = start()
    with Connection(server) as connection:
        ask(server, connection)
        assert server.command("stop", 0, PATIENCE * 1000) == "EVY_OK"
        connection.send_lenient(HELLO)
        assert connection.response().body == pattern(SIZE)
    assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"


def test_who_has_not_got_its_answer_yet_does_not_make_room(start):
    server = start(max_connections="1")
    with Connection(server) as connection:
        ask(server, connection)
        with Connection(server, tls=False) as newcomer:
            server.settled(evy_accept_pauses_total=1)
            newcomer.reset()
        connection.send(HELLO)
        assert connection.response().body == pattern(SIZE)
        assert connection.response().status == 200


@pytest.mark.parametrize("count", [1000, 1400, 1850])
def test_an_answer_is_whole_however_small_the_window_of_its_client_is(serve, count):
    """The smallest of this system is 1,152 bytes."""
    server = serve("--quiet", access=False)
    with Connection(server, rcvbuf=1) as connection:
        connection.send(raw_request("GET", f"/fixed?n={count}", ["Connection: close"]))
        server.settled(evy_requests_total=1, evy_requests_active=0)
        connection.send_lenient(HELLO)
        assert connection.response().body == pattern(count)
        assert connection.rest() == b""


@pytest.mark.parametrize("rest", ["late", "never"])
def test_a_head_that_is_too_late_leaves_an_earlier_answer_whole(start, rest):
    """Under TLS a part of its record is all that came."""
    server = start(header_timeout="2500ms")
    with tlsclient.Client(server).handshake() if server.tls else Connection(server) as client:
        ask(server, client)
        request = client.write(HELLO).take() if server.tls else HELLO
        client.socket.sendall(request[:10])
        server.settled(**{'evy_timeouts_total{deadline="header"}': 1})
        if rest == "late":
            client.socket.sendall(request[10:])
        assert client.response().body == pattern(SIZE)
        assert client.is_ended() if server.tls else client.response().status == 408


@pytest.mark.parametrize("how", ["/abort?when=before", "/promise?promise=100&send=3", "/unfinished?length=9"])
@pytest.mark.parametrize("late", [False, True], ids=["ahead", "behind"])
def test_the_cut_of_a_later_answer_leaves_an_earlier_one_whole(start, how, late):
    """Whether more of the client comes ahead of the cut or behind it."""
    server = start()
    with Connection(server) as connection:
        ask(server, connection, LARGE + raw_request("GET", how) + (b"" if late else HELLO))
        if late:
            connection.send_lenient(HELLO)
        assert connection.response().body == pattern(SIZE)
        with pytest.raises((Closed, Reset)):
            connection.response()
    server.settled(evy_connections_open=0)


def test_a_cut_answer_leaves_nothing_to_the_next_connection(serve):
    """It was ready when its client turned out to break TLS, and lies with the thread, as all answers do."""
    server = serve("--quiet", tls=True, access=False)
    with Records(server, tlsclient.VERSION_13) as client:
        ask(server, client)
        request = client.data(raw_request("GET", "/status?code=299"))
        client.socket.sendall(request + client.handshake_record(KEY_UPDATE[:4]))
        server.settled(evy_requests_total=2, evy_requests_active=0)
        with Connection(server) as other:
            assert other.alive()
        assert client.response().body == pattern(SIZE)
        with pytest.raises((Closed, Reset)):
            client.response()


@pytest.mark.parametrize("places", [1, 700])
def test_a_place_is_free_once_the_last_answer_was_taken(serve, places):
    """Nothing tells the loop when the kernel has sent it. Of a large table a part is looked at at a time."""
    server = serve("--quiet", access=False, max_connections=str(places), idle_timeout="120s", error_log="off")
    head = raw_request("POST", "/buffered", ["Content-Length: 1"])
    busy = [Connection(server).send(head) for _ in range(places - 1)]
    server.settled(evy_requests_total=places - 1)
    with Connection(server) as reader:
        ask(server, reader, active=places - 1)
        newcomer = Connection(server).send(HELLO)
        wait_until(lambda: server.counters()["evy_accept_pauses_total"] > 0, "the wait for a place")
        assert reader.response().body == pattern(SIZE)
        assert newcomer.response().status == 200
        assert server.counters()["evy_accept_pauses_total"] == 1
        newcomer.send(raw_request("GET", "/gate?id=1"))
        server.settled(evy_requests_active=places)
        another = Connection(server).send(HELLO)
        server.settled(evy_accept_pauses_total=2)
        server.command("open", 1)
        assert another.response().status == 200
    for connection in (*busy, newcomer, another):
        connection.close()


def test_who_takes_nothing_of_an_answer_for_write_timeout_makes_room(serve):
    server = serve("--quiet", access=False, max_connections="1", idle_timeout="-1", write_timeout="500ms")
    with Connection(server, rcvbuf=4096) as stuck, Connection(server) as newcomer:
        ask(server, stuck)
        newcomer.send(HELLO)
        assert newcomer.response().status == 200
        found = server.counters()
        assert found["evy_connections_evicted_total"] == found['evy_timeouts_total{deadline="write"}'] == 1


@pytest.mark.parametrize("more", ["ahead", "behind", "end"])
def test_a_cut_that_only_a_reset_shows_leaves_an_earlier_answer_whole(start, more):
    """The answer has neither a length nor chunks: it ends with the connection."""
    server = start(linger_timeout="600s")
    with Connection(server) as connection:
        cut = raw_request("GET", "/unfinished", version="1.0")
        ask(server, connection, LARGE + cut + (HELLO if more == "ahead" else b""))
        if more == "behind":
            connection.send_lenient(HELLO)
        elif more == "end":
            socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        assert connection.response().body == pattern(SIZE)
        assert connection.ending()[1] == "reset"
    server.settled(evy_connections_open=0)


def test_a_cut_that_only_a_reset_shows_is_one_at_the_end_of_a_grace_as_well(start):
    """Whether or not what stands ahead of it has been read by then."""
    server = start(linger_timeout="600s")
    with Connection(server) as connection:
        ask(server, connection, LARGE + raw_request("GET", "/unfinished", version="1.0"))
        assert server.command("stop", 0, 1) == "EVY_OK"
        assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"
        assert connection.ending()[1] == "reset"


def test_a_cut_behind_the_end_of_its_client_leaves_an_earlier_answer_whole(start):
    """Nothing more can come of it, but the reset is our own."""
    server = start(linger_timeout="600s")
    with Connection(server) as connection:
        ask(server, connection, LARGE + raw_request("GET", "/gate?id=1"), active=1)
        server.expect("call", step="at-gate")
        cut = raw_request("GET", "/unfinished", version="1.0")
        connection.send(cut)
        socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        server.command("open", 1)
        server.settled(evy_requests_active=0, evy_requests_total=3)
        assert connection.response().body == pattern(SIZE)
        assert connection.response().body == b"opened"
        assert connection.ending()[1] == "reset"
    server.settled(evy_connections_open=0)
