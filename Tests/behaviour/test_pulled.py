# SPDX-License-Identifier: MIT
# test_pulled - requests that threads of the host take (option pull): what holds back whom, as in handlers.

import zlib

import pytest
from support import FACTOR, PATIENCE, Connection, pattern, raw_request, wait_until

SIZE = 12 << 20


@pytest.fixture
def pulled(either):
    """A server whose requests two threads take."""
    return lambda **options: either("--pull", "2", max_body_size="0", **options)


def test_a_writer_goes_on_when_there_is_room(pulled):
    server = pulled(write_high_water="100k", write_low_water="10k")
    with Connection(server, rcvbuf=8192) as connection:
        assert connection.get(f"/flow?n={SIZE}&piece=50000").body[:SIZE] == pattern(SIZE)
        assert connection.alive()
    assert server.call("end") == "EVY_OK"


@pytest.mark.parametrize("path", ["/streamed", "/chunked"])
def test_a_writer_waits_for_a_client_that_does_not_read(pulled, path):
    server = pulled()
    with Connection(server, rcvbuf=4096) as connection, Connection(server) as other:
        connection.send(raw_request("GET", f"{path}?n={SIZE}"))
        wait_until(server.waits_for_room, "a full socket")
        assert other.alive() and not server.select("call", step="written")
        assert connection.response().body == pattern(SIZE)
        assert connection.alive()
    assert server.call("written") == SIZE and server.call("end") == "EVY_OK"


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("target", ["/flow", "/streamed"])
def test_a_writer_hears_that_its_client_left(pulled, target, how):
    server = pulled()
    with Connection(server, rcvbuf=8192) as connection:
        connection.send(raw_request("GET", f"{target}?n={10 * SIZE}"))
        connection.receive()
        getattr(connection, how)()
    found = server.call("gone") == 1 if target == "/flow" else server.call("write") == "EVY_E_GONE"
    assert found
    assert server.expect("hook", name="figures")["end"] in ("client-reset", "client-closed")


@pytest.mark.parametrize("target", ["/gate?id=1", "/push?answer=count&pause=100000&gate=1"])
def test_a_host_that_does_not_take_a_body_holds_the_client_back(pulled, target):
    server = pulled(body="stream")
    with Connection(server) as connection, Connection(server) as other:
        head = raw_request("POST", target, [f"Content-Length: {5 * SIZE}"])
        rest = memoryview(head + pattern(5 * SIZE))
        connection.socket.settimeout(0.5 * FACTOR)
        with pytest.raises(TimeoutError):
            while rest:
                rest = rest[connection.socket.send(rest[:100_000]) :]
        connection.socket.settimeout(PATIENCE)
        assert other.alive() and len(rest) > SIZE
        server.command("open", 1)
        connection.send_lenient(rest)
        if "push" in target:
            assert connection.response().body == b"%d %d" % (5 * SIZE, zlib.adler32(pattern(5 * SIZE)))
        else:
            assert connection.response().body == b"opened"


@pytest.mark.parametrize("target", ["/pull?answer=count", "/push?answer=count", "/pull?answer=count&cap=999"])
def test_bodies_are_taken_whole(pulled, target):
    server = pulled(body="stream")
    with Connection(server) as connection:
        for _ in range(2):
            answer = connection.request("POST", target, body=pattern(SIZE // 4))
            assert answer.body == b"%d %d" % (SIZE // 4, zlib.adler32(pattern(SIZE // 4)))


def test_both_directions_at_once(pulled):
    server = pulled(body="stream")
    with Connection(server) as connection:
        connection.send(b"POST /relay HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two", b"three"):
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            wait_until(lambda: piece in connection.reader.buffer or connection.reader.more(), "its echo")
        connection.send(b"0\r\n\r\n")
        assert connection.response().body == b"onetwothree"
