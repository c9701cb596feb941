# SPDX-License-Identifier: MIT
# test_takeover - a connection that the host has taken over: its bytes, its ends, its hooks.

import socket

import pytest
from support import Connection, pattern, raw_request, wait_until

WAYS = ("inline", "thread", "late")
CLOSED = 7  # TCP_CLOSE of <netinet/tcp.h>


def take(connection, query="how=thread", behind=b""):
    """Sends the request with what follows it in the same bytes; the host's first words are checked."""
    connection.send(raw_request("GET", f"/take?{query}") + behind)
    assert connection.reader.take(6) == b"taken\n"
    return connection


def figures(server):
    return server.expect("hook", name="figures", path="/take")


@pytest.mark.parametrize("behind", [b"", b"at once "], ids=["alone", "ahead"])
@pytest.mark.parametrize("how", WAYS)
def test_the_host_reads_and_writes_what_it_likes(either, how, behind):
    server = either()
    with Connection(server) as connection:
        take(connection, f"how={how}", behind)
        assert connection.reader.take(len(behind)) == behind
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.reader.take(18) == b"GET / HTTP/1.1\r\n\r\n"
        connection.send(b"enough.")
        assert connection.rest() == b"enough."
    hook = figures(server)
    assert hook["end"] == "upgraded" and hook["stats"]["status"] == 0 and hook["stats"]["kept_alive"] == 0
    assert server.call("take") == "EVY_OK"
    if how != "late":
        assert server.call("respond") == "EVY_E_STATE" and server.call("take-again") == "EVY_E_STATE"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("how", ["thread", "late"])
def test_any_number_of_threads_will_do(either, threads, how):
    server = either(threads=threads)
    with Connection(server) as connection, Connection(server) as other:
        take(connection, f"how={how}", b"x")
        assert connection.reader.take(1) == b"x"
        assert other.alive()
        connection.send(b"end.")
        assert connection.rest() == b"end."


@pytest.mark.parametrize("how", ["inline", "thread"])
def test_a_handler_that_lost_the_loop_keeps_what_was_read_ahead(either, how):
    server = either()
    with Connection(server) as connection:
        take(connection, f"how={how}&ms=30", b"read ahead")
        assert connection.reader.take(10) == b"read ahead"
        connection.send(b".")
        assert connection.rest() == b"."


def test_earlier_answers_and_hints_come_first(either):
    server = either()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/fixed?n=100000") + raw_request("GET", "/take?how=thread&hint=1"))
        assert connection.response().body == pattern(100_000)
        assert connection.response().status == 103
        assert connection.reader.take(6) == b"taken\n"
        connection.send(b".")
        assert connection.rest() == b"."


def test_a_pumped_connection_counts_its_bytes(either):
    server = either()
    data = pattern(3_000_000).replace(b".", b"_") + b"."  # a dot at the end of what it gets ends the echo
    with Connection(server) as connection:
        take(connection, "how=thread", b"A")
        assert connection.reader.take(1) == b"A"
        got = b""
        for at in range(0, len(data), 100_000):
            piece = data[at : at + 100_000]
            connection.send(piece)
            got += connection.reader.take(len(piece))
        assert got == data
        assert connection.rest() == b""
    stats = figures(server)["stats"]
    assert stats["body_out"] == len(got) + 7 and stats["wire_out"] == stats["body_out"]
    assert stats["body_in"] == len(got) + 1


def test_a_client_that_sends_without_reading_is_held_back(either):
    server = either()
    with Connection(server, rcvbuf=8192) as connection:
        take(connection, "how=thread", b"A")
        connection.socket.settimeout(0.5)
        sent = 0
        with pytest.raises((TimeoutError, OSError)):
            while sent < 100_000_000:
                sent += connection.socket.send(b"x" * 65536)
        assert sent < 50_000_000
        with Connection(server) as other:
            assert other.alive()
    assert figures(server)["end"] == "upgraded"


def test_half_closes_are_passed_on(serve):
    server = serve()
    with Connection(server) as connection:
        take(connection, "how=thread", b"A")
        connection.send(b"last words")
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.rest() == b"Alast words"
    assert figures(server)["stats"]["body_in"] == 11


def test_who_has_only_said_its_last_byte_still_hears_all_of_the_client(either):
    """More than the pair of sockets holds, and no more than the library does: the end is seen behind it."""
    server, count = either(), 250_000
    with Connection(server) as connection, Connection(server) as other:
        take(connection, "how=thread&half=1&gate=1", b"A")
        assert connection.rest() == b""
        connection.send(bytes(count))
        socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        wait_until(lambda: connection.state() == CLOSED, "the acknowledgement of its end")
        before = server.counters()["evy_loop_turns_total"]
        assert other.alive() and other.silent(0.2), "the loop has seen it"
        assert server.counters()["evy_loop_turns_total"] - before < 100, "and does not spin"
        server.command("open", 1)
        assert server.expect("call", step="heard")["result"] == count + 1
    assert figures(server)["stats"]["body_in"] == count + 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_host_that_speaks_to_nobody_still_hears_all_of_the_client(either, how):
    """As from a socket of its own: it writes on, and then reads what was sent before the client left."""
    server, count = either(), 250_000
    with Connection(server) as connection, Connection(server) as other:
        take(connection, "how=thread&half=2&gate=1", b"A")
        connection.send(bytes(count))
        wait_until(lambda: connection.unacknowledged() == 0, "its way to the server")
        getattr(connection, how)()
        assert other.alive() and other.alive()
        server.command("open", 1)
        assert server.expect("call", step="heard")["result"] == count + 1
    server.settled(evy_connections_open=0)


@pytest.mark.parametrize("behind", [b"", b"A"], ids=["socket", "pumped"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_host_hears_that_the_client_left(either, how, behind):
    server = either()
    with Connection(server) as connection:
        take(connection, "how=thread", behind)
        getattr(connection, how)()
    assert figures(server)["end"] == "upgraded"
    with Connection(server) as connection:
        assert connection.alive()


def test_the_socket_itself_is_given_where_nothing_was_read_ahead(serve):
    server = serve()
    with Connection(server) as connection:
        take(connection, "how=thread")
        stats = figures(server)["stats"]  # although the connection goes on
        assert stats["wire_out"] == 0 and connection.send(b".") and connection.rest() == b"."
    before = server.descriptors()
    with Connection(server) as connection:
        take(connection).send(b".")
        assert connection.rest() == b"."
    wait_until(lambda: server.descriptors() <= before, "its descriptor")


def test_a_stop_cuts_a_pumped_connection(either):
    server = either()
    with Connection(server) as connection:
        take(connection, "how=thread", b"A")
        assert connection.reader.take(1) == b"A"
        server.tell("stop", 0, 50)
        connection.ending()
        assert server.command("wait", 0, 5000) == "EVY_OK"
    assert figures(server)["end"] == "upgraded"


@pytest.mark.parametrize("body", [None, b"unread"])
def test_what_cannot_be_taken_is_refused(serve, body):
    server = serve(body="stream")
    with Connection(server) as connection:
        connection.send(b"POST /take-refused HTTP/1.1\r\nHost: a\r\n")
        connection.send(b"\r\n" if body is None else b"Content-Length: 6\r\n\r\n")
        assert connection.response().body == b"ok"
    assert server.call("begun") == "EVY_E_STATE" and server.call("no-room") == "EVY_E_ARG"
    assert server.call("descriptor") == 1
    assert body is None or server.call("unread") == "EVY_E_STATE"
