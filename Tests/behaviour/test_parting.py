# SPDX-License-Identifier: MIT
# test_parting - how a stopping server leaves its port: whoever has connected by then is served, nobody reset.

import socket
import ssl
import threading
import time

import pytest
import tlsclient
from client import client_context
from support import PATIENCE, Connection, one_loop, raw_request
from test_handover import ask_long, loads

WAITING = 20
ROUNDS = 6
GRACE = 20_000


@one_loop
def test_clients_that_wait_to_be_accepted_are_served(serve):
    """The loop is in a handler, and threads=1 keeps it there, while they connect and the stop comes."""
    server = serve(threads=1)
    with Connection(server) as first:
        first.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        waiting = [Connection(server) for _ in range(WAITING)]
        for connection in waiting:
            connection.send(raw_request("GET", "/hello"))
        assert server.command("stop", 0, GRACE) == "EVY_OK"
        server.command("open", 1)
        assert first.response().body == b"opened"
        for connection in waiting:
            answer = connection.response()
            assert answer.status == 200 and answer.closes
            assert connection.rest() == b""
            connection.close()
    assert server.command("wait", 0, 5000) == "EVY_OK"


@one_loop
def test_without_grace_nobody_is_taken_in_any_more(serve):
    server = serve(threads=1)
    with Connection(server) as first:
        first.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        with Connection(server) as waiting:
            waiting.send(raw_request("GET", "/hello"))
            assert server.command("stop", 0, 0) == "EVY_OK"
            server.command("open", 1)
            assert waiting.ending()[0] == b""
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_a_handshake_under_way_at_the_stop_comes_to_its_end(serve):
    """Half of the client's first flight has come; the request behind the handshake is answered."""
    server = serve(tls=True, drain_delay="60s")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client_context().wrap_bio(incoming, outgoing, server_hostname="test.example")
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
        assert attempt(session.do_handshake) is None
        hello = outgoing.read()
        raw.sendall(hello[:100])
        with Connection(server) as other:
            assert other.alive()
        assert server.command("stop", 0, GRACE) == "EVY_OK"
        raw.sendall(hello[100:])
        while attempt(session.do_handshake) is None:
            exchange(raw, incoming, outgoing)
        session.write(raw_request("GET", "/hello"))
        answer = None
        while answer is None:
            exchange(raw, incoming, outgoing)
            answer = attempt(lambda: session.read(4096))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nConnection: close\r\n" in answer
    assert server.command("wait", 0, 5000) == "EVY_OK"


@pytest.mark.parametrize(
    "version, asks",
    [(tlsclient.VERSION_12, False), (tlsclient.VERSION_13, False), (tlsclient.VERSION_13, True)],
    ids=["1.2", "1.3", "1.3-asks"],
)
def test_who_has_only_shaken_hands_is_not_waited_for(serve, version, asks):
    """As a connection that has said nothing. A request that comes with the last flight is answered."""
    server = serve(tls=True, header_timeout="600s", idle_timeout="600s")
    with tlsclient.Client(server, version) as client:
        tlsclient.libssl.SSL_do_handshake(client.ssl)
        hello = client.take()
        client.socket.sendall(hello[:100])
        with Connection(server) as other:
            assert other.alive()
            assert server.command("stop", 0, GRACE) == "EVY_OK"
            assert other.rest() == b""
        client.socket.sendall(hello[100:])
        client.run(tlsclient.libssl.SSL_do_handshake)
        if asks:
            assert client.send(raw_request("GET", "/hello")).response().status == 200
        assert client.flush().is_ended()
    assert server.command("wait", 0, 5000) == "EVY_OK"


def attempt(call):
    """What it gives, True for nothing; None: it wants to read first."""
    try:
        result = call()
        return True if result is None else result
    except ssl.SSLWantReadError:
        return None


def exchange(raw, incoming, outgoing):
    raw.sendall(outgoing.read())
    data = raw.recv(65536)
    assert data, "the server closed"
    incoming.write(data)


def port_for_all():
    """A socket that keeps a port for servers with reuse_port, and does not listen itself."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


def test_processes_that_share_a_port_relieve_each_other_under_load(serve):
    """SO_REUSEPORT: the kernel resets what waits at a socket that is closed, so nothing may wait there."""
    with port_for_all() as keeper:
        port = keeper.getsockname()[1]

        def child():
            return serve(
                listen=[f"127.0.0.1:{port}"], reuse_port=True, drain_delay="1s",
                callbacks=False, access=False, error_log="off",
            )  # fmt: skip

        old = child()
        long_answers, long_threads = [], []
        with loads(port) as running:
            for _ in range(ROUNDS):
                long_threads.append(ask_long(port, long_answers))
                new = child()
                assert old.command("stop", 0, GRACE) == "EVY_OK"
                assert old.command("wait", 0, GRACE + PATIENCE * 1000) == "EVY_OK"
                old = new
            counts = [one.end() for one in running]
        for thread in long_threads:
            thread.join()
        assert long_answers == [b"slow"] * ROUNDS
        assert min(counts) > 20, counts


def test_a_port_that_is_shared_is_left_in_a_tenth_of_a_second(serve):
    """Where nobody else listens, newcomers are refused then; none waits for ever."""
    server = serve(reuse_port=True)
    assert server.command("stop", 0, GRACE) == "EVY_OK"
    refusals = []

    def knock():
        """Who comes ahead of the stop is still let in."""
        until = time.monotonic() + PATIENCE
        while not refusals and time.monotonic() < until:
            try:
                Connection(server).close()
            except ConnectionRefusedError as refusal:
                refusals.append(refusal)

    thread = threading.Thread(target=knock)
    thread.start()
    assert server.command("wait", 0, 5000) == "EVY_OK"
    thread.join(PATIENCE)
    assert refusals
