# SPDX-License-Identifier: MIT
# test_threads - the system gives no more threads: requests go on with those there are, and later with all.

import pytest
from support import Connection, one_loop, raw_request, wait_until

pytestmark = one_loop


def told(server):
    return [text for text in server.logged(worst=2) if "thread" in text]


def alone(faulty, **options):
    """A server with no thread to spare: on a busy machine even a quick handler may have got itself one."""
    for _ in range(10):
        server = faulty(**options)
        with Connection(server) as connection:
            assert connection.alive()
        server.faults.set("thread", "EAGAIN")
        if server.counters()["evy_threads"] == 1:
            return server
        server.finish()
    raise AssertionError("always a thread to spare")


@pytest.mark.parametrize("every", [1, 2], ids=["none at all", "one of the two that are needed"])
def test_a_start_without_threads_is_a_status_and_a_text(faulty, every):
    with pytest.raises(RuntimeError, match="EVY_E_NOMEM: cannot start a thread"):
        faulty(first=("thread", "EAGAIN", every))


def test_a_start_may_be_tried_again(faulty):
    """The server's own thread has not begun, so nothing is lost."""
    server = faulty("--second")
    assert server.command("start", 0) == "EVY_E_STATE"
    with Connection(server) as connection:
        assert connection.alive()


def test_a_handler_that_blocks_keeps_its_loop_until_there_are_threads_again(faulty):
    server = alone(faulty)
    with Connection(server) as blocked, Connection(server) as other:
        assert other.alive()
        blocked.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        other.send(raw_request("GET", "/hello"))
        wait_until(lambda: server.faults.hits("thread") > 10, "several attempts")
        assert len(wait_until(lambda: told(server), "one line")) == 1, told(server)
        server.faults.clear()
        assert other.response().status == 200, "the first thread that can be had takes the loop"
        wait_until(lambda: any("again" in line for line in told(server)), "the end of it")
        assert server.command("open", 1) == "EVY_OK"
        assert blocked.response().body == b"opened"
        assert len(told(server)) == 2, told(server)


def test_a_handler_that_would_wait_is_told_that_it_cannot(faulty):
    """Nobody would be left to serve the others, nor to read what it waits for."""
    server = alone(faulty, body="stream")
    with Connection(server) as slow, Connection(server) as other:
        assert other.alive()
        slow.send(raw_request("POST", "/pull?own=1", ["Content-Length: 10"]) + b"12345")
        server.expect("call", step="length")
        answer = slow.response()
        assert answer.status == 422 and answer.body == b"EVY_E_AGAIN", answer
        assert other.alive()
        server.faults.clear()
    with Connection(server) as slow, Connection(server) as other:
        slow.send(raw_request("POST", "/pull", ["Content-Length: 10"]) + b"12345")
        assert other.alive()
        slow.send(b"67890")
        assert slow.response().body == b"1234567890"


def test_requests_that_wait_for_a_thread_get_one_as_soon_as_there_is_one(faulty):
    """Two handlers have blocked, so the next goes to another thread at once; none can be made for it."""
    server = faulty()
    with Connection(server) as one, Connection(server) as two, Connection(server) as three:
        for gate, connection in ((1, one), (2, two)):
            connection.send(raw_request("GET", f"/gate?id={gate}"))
            server.expect("call", gate, step="at-gate")
        wait_until(lambda: server.counters()["evy_threads_busy"] == 2, "both on threads of their own")
        server.faults.set("thread", "EAGAIN")
        three.send(raw_request("GET", "/gate?id=3"))
        with Connection(server) as other:
            other.send(raw_request("GET", "/slow?ms=1"))
            wait_until(lambda: server.faults.hits("thread") > 0, "an attempt")
            server.faults.clear()
            assert other.response().status == 200
            for gate in (3, 2, 1):
                assert server.command("open", gate) == "EVY_OK"
            assert [c.response().body for c in (three, two, one)] == [b"opened"] * 3


def test_under_a_storm_of_refusals_everybody_is_served(faulty):
    server = faulty("--quiet")
    server.faults.set("thread", "EAGAIN", every=2)
    clients = [Connection(server) for _ in range(30)]
    for turn in range(3):
        for client in clients:
            client.send(raw_request("GET", f"/slow?ms={turn * 10}"))
        for client in clients:
            assert client.response().body == b"slow"
    for client in clients:
        client.close()
    assert server.faults.hits("thread") > 0
    assert len(told(server)) <= 2, told(server)
