# SPDX-License-Identifier: MIT
# test_unread - clients that ask and do not read: what waits for room is sent whole, whatever comes behind it.

import socket
import threading

import pytest
import tlsclient
from support import PATIENCE, Closed, Connection, Reset, one_loop, pattern, raw_request, wait_until

pytestmark = one_loop
ANSWER = 15_000
"""Of one of these the kernel will take a part at last; nobody observes them, and no exchange is kept."""
FIXED = raw_request("GET", f"/fixed?n={ANSWER}")
BEHIND = 3
"""So many more than it takes, in one segment: they are answered in the same turn, and have to wait."""


@pytest.fixture(params=[None, True], ids=["plain", "tls"])
def unread(serve, request):
    """Starts a server that observes nothing."""

    def start(**options):
        options.setdefault("error_log", "off")
        return serve("--no-hooks", tls=request.param, callbacks=False, access=False, **options)

    return start


def fill(server, connection, most=None):
    """Asks for answers that nobody reads, until one does not go into the kernel whole, or for so many."""
    base = server.counters()
    requests, sent = base["evy_requests_total"], [base["evy_sent_bytes_total"]]
    while most is None or len(sent) <= most:
        connection.send(FIXED)
        server.settled(evy_requests_total=requests + len(sent))
        # The first two go whole, of course, and the second shows what each of them takes.
        whole = sent[-1] + (sent[2] - sent[1] if len(sent) > 2 else ANSWER)
        wait_until(lambda: sent_by(server) >= whole or is_stuck(server, connection), "its way")
        if sent_by(server) < whole:
            return len(sent)
        sent.append(sent_by(server))
    return most


def sent_by(server):
    return server.counters()["evy_sent_bytes_total"]


def is_stuck(server, connection):
    """The server waits for room, and its kernel for the client's window."""
    return server.waits_for_room() and Connection.holds_back(connection)


def fill_up(server, connect):
    """A connection with room for less than BEHIND more answers, and how many wait there."""
    with connect() as probe:
        room = fill(server, probe) - 1
    server.settled(evy_connections_open=0)
    connection = connect()
    return connection, fill(server, connection, most=room)


@pytest.fixture
def full(unread):
    """A server, a connection to it that is filled up, and with how many answers."""
    server = unread()
    connection, count = fill_up(server, lambda: Connection(server, rcvbuf=4096))
    yield server, connection, count
    connection.close()


def shut(connection):
    """A FIN, and nothing of TLS: its own shutdown would end the reading too."""
    socket.socket.shutdown(connection.socket, socket.SHUT_WR)


def read_all(connection, count):
    for _ in range(count):
        assert connection.response().body == pattern(ANSWER)


def test_an_answer_that_waits_for_room_keeps_its_connection(unread):
    """Neither who wants its place nor a stop may cut it, though nothing but bytes is left of it."""
    server = unread(max_connections="1")
    with Connection(server, rcvbuf=4096) as connection:
        count = fill(server, connection)
        with Connection(server, tls=False) as newcomer:
            server.settled(evy_accept_pauses_total=1)
            newcomer.reset()
        assert server.command("stop", 0, PATIENCE * 1000) == "EVY_OK"
        read_all(connection, count)
        assert connection.rest() == b""
    assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"
    assert server.counters()["evy_connections_evicted_total"] == 0


def test_a_request_that_is_released_while_its_answer_waits_is_not_served_again(full):
    server, connection, count = full
    kept, deferred = raw_request("GET", "/keep?gate=1"), raw_request("GET", "/deferred?gate=2")
    connection.send(FIXED * BEHIND + kept + deferred)
    server.expect("call", step="deferred")
    server.command("open", 1)
    server.expect("kept")
    server.command("open", 2)
    read_all(connection, count + BEHIND)
    assert [connection.response().body for _ in range(2)] == [b"kept", b"deferred"]
    assert connection.alive()
    connection.close()
    found = server.settled(evy_requests_active=0, evy_connections_open=0)
    assert found["evy_requests_total"] == sum(
        value for name, value in found.items() if name.startswith("evy_requests_ended_total")
    )
    assert server.command("stop", 0, PATIENCE * 1000) == "EVY_OK"
    assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"


def test_an_abort_leaves_the_answers_ahead_of_it_whole(full):
    server, connection, count = full
    connection.send(FIXED * BEHIND + raw_request("GET", "/abort?when=before"))
    server.expect("call", step="abort")
    read_all(connection, count + BEHIND)
    with pytest.raises((Closed, Reset)):
        connection.response()


def test_an_aborted_answer_is_cut_where_it_is_once_those_ahead_are_sent(full):
    """Its client need not read what was written of it, and so cannot keep the connection."""
    server, connection, count = full
    connection.send(FIXED * BEHIND + raw_request("GET", f"/cut?n={16 << 20}"))
    server.expect("call", step="abort")
    read_all(connection, count + BEHIND)
    server.settled(evy_connections_open=0)


def test_a_writer_hears_of_an_abort_that_waits_for_the_answers_ahead(full):
    server, connection, count = full
    connection.send(FIXED * BEHIND + raw_request("GET", "/end-elsewhere?gate=1&abort=1"))
    server.expect("call", step="full")
    server.command("open", 1)
    assert server.call("writer") == "EVY_E_STATE", "the client has not read a byte yet"
    read_all(connection, count + BEHIND)
    with pytest.raises((Closed, Reset)):
        connection.response()


def ask_and_break_off(server, connection):
    total = server.counters()["evy_requests_total"]
    connection.send(FIXED * BEHIND + b"POST /buffered HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome")
    server.settled(evy_requests_total=total + BEHIND + 1)


def test_no_request_is_begun_behind_a_body_while_answers_wait(full):
    """Bodies are read all the same, and each would bring the next answer into our memory."""
    server, connection, count = full
    ask_and_break_off(server, connection)
    begun = server.counters()["evy_requests_total"]
    connection.send(b" text" + raw_request("POST", "/buffered", body=b"more"))
    with Connection(server) as other:
        assert other.alive() and other.alive()
        assert server.counters()["evy_requests_total"] == begun + 2, "what the other one asked for"
    read_all(connection, count + BEHIND)
    assert [connection.response().body for _ in range(2)] == [b"some text", b"more"]
    assert connection.alive()


def test_a_client_that_leaves_in_a_body_gets_the_answers_ahead_of_it(full):
    server, connection, count = full
    ask_and_break_off(server, connection)
    shut(connection)
    read_all(connection, count + BEHIND)
    with pytest.raises((Closed, Reset)):
        connection.response()


def test_who_takes_leave_of_tls_in_a_body_gets_the_answers_ahead_of_it(serve):
    """A close_notify, and no FIN."""
    server = serve("--no-hooks", tls=True, callbacks=False, access=False, error_log="off")
    connection, count = fill_up(server, lambda: tlsclient.Client(server, rcvbuf=4096).handshake())
    with connection:
        ask_and_break_off(server, connection)
        connection.say_goodbye().flush()
        read_all(connection, count + BEHIND)
        with pytest.raises((Closed, Reset)):
            connection.response()


@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
def test_an_answer_is_not_reset_for_what_came_behind_its_request(unread, leaves):
    server = unread()
    with Connection(server, rcvbuf=4096) as connection:
        target = "/deferred?how=stream&gate=1&n=200000"
        connection.send(raw_request("GET", target, ["Connection: close"]))
        server.expect("call", step="deferred")
        connection.send(raw_request("GET", "/hello"))
        if leaves:
            shut(connection)
        server.command("open", 1)
        server.expect("call", step="late-end")
        # It was with the kernel when the server closed.
        server.settled(evy_requests_active=0)
        assert connection.response().body == pattern(200_000)


def test_who_sends_all_of_a_body_before_reading_is_read_though_output_is_blocked(serve):
    size, answer = 12 << 20, 8 << 20
    server = serve(body="stream", max_body_size=str(size))
    with Connection(server, rcvbuf=4096) as connection:
        head = f"POST /heedless?n={answer}&gate=1 HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        connection.send(head.encode())
        assert server.call("written") == 1, "EVY_FULL"
        sender = threading.Thread(target=connection.send, args=(bytes(size),))
        sender.start()
        # The library has read as much ahead as it does.
        wait_until(lambda: server.counters()["evy_received_bytes_total"] > 256 << 10, "a part of the body")
        server.command("open", 1)
        sender.join()
        assert connection.response().body == pattern(answer)
        assert server.expect("call", step="read")["result"] == size
