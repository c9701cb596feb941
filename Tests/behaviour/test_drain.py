# SPDX-License-Identifier: MIT
# test_drain - stopping: idle connections close, running requests finish or are cut, hooks run for all.

import time

import pytest
from support import LOOPS, Closed, Connection, Reset, pattern, raw_request, wait_until


def refused(server):
    try:
        Connection(server).close()
        return False
    except OSError:
        return True


def test_stop_closes_idle_connections_and_the_port_at_once(either):
    server = either()
    with Connection(server) as connection:
        assert connection.alive()
        assert server.command("stop", 0, 60000) == "EVY_OK"
        assert connection.rest() == b""
        assert server.command("wait", 0, 5000) == "EVY_OK"
    assert refused(server)


@pytest.mark.parametrize(
    "target, body",
    [
        ("/gate?id=1", b"opened"),
        ("/deferred?gate=1", b"deferred"),
        ("/deferred?gate=1&how=stream&n=500000", None),
    ],
)
def test_requests_in_flight_finish_with_connection_close(either, target, body):
    server = either()
    body = body or pattern(500000)
    with Connection(server) as connection, Connection(server) as idle:
        assert idle.alive()
        connection.send(raw_request("GET", target))
        server.expect("call", step="at-gate" if "/gate" in target else "deferred")
        server.command("stop", 0, 20000)
        assert idle.rest() == b""
        wait_until(lambda: refused(server), "no listener any more")
        assert server.command("wait", 0, 100) == "EVY_E_TIMEOUT"
        server.command("open", 1)
        answer = connection.response()
        assert answer.body == body and answer.closes
        assert connection.rest() == b""
    assert server.command("wait", 0, 5000) == "EVY_OK"
    assert server.expect("hook", path=target.split("?")[0])["end"] == "complete"


def test_with_a_delay_idle_connections_may_still_ask(either):
    server = either(drain_delay="60s")
    with Connection(server) as idle, Connection(server) as fresh:
        assert idle.alive()
        assert server.command("stop", 0, 60000) == "EVY_OK"
        wait_until(lambda: refused(server), "no listener any more")
        assert idle.silent(0.1)
        for connection in (idle, fresh):
            answer = connection.get("/hello")
            assert answer.status == 200 and answer.closes
            assert connection.rest() == b""
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_the_delay_ends_idle_connections_too(either):
    server = either(drain_delay="200ms")
    with Connection(server) as idle:
        assert idle.alive()
        assert server.command("stop", 0, 60000) == "EVY_OK"
        assert idle.rest() == b""
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_the_grace_cuts_the_delay_short(serve):
    server = serve(drain_delay="60s")
    with Connection(server) as idle:
        assert idle.alive()
        assert server.command("stop", 0, 100) == "EVY_OK"
        assert idle.rest() == b""
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_an_answer_under_way_is_finished_in_the_grace(serve):
    server = serve()
    with Connection(server, rcvbuf=4096) as connection:
        connection.send(raw_request("GET", "/streamed?n=20000000"))
        server.expect("call", step="begin")
        server.command("stop", 0, 20000)
        assert connection.response().body == pattern(20_000_000)
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_a_request_half_sent_before_the_stop(serve):
    """It was not a request yet: the connection may be closed, or the request answered with close."""
    server = serve()
    with Connection(server) as connection:
        connection.send(b"GET /hello HTTP/1.1\r\nHo")
        with Connection(server) as other:
            assert other.alive()
        server.command("stop", 0, 1500)
        connection.send_lenient(b"st: x\r\n\r\n")
        try:
            assert connection.response().closes
        except (Closed, Reset):
            pass
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_the_deadline_cuts_what_is_left(either):
    server = either(write_timeout="60s")
    with Connection(server, rcvbuf=4096) as connection, Connection(server) as deferred:
        connection.send(raw_request("GET", "/streamed?n=80000000"))
        deferred.send(raw_request("GET", "/deferred?gate=1"))
        server.expect("call", step="begin")
        server.expect("call", step="deferred")
        start = time.monotonic()
        server.command("stop", 0, 400)
        hooks = server.expect("hook", count=2, name="figures")
        assert 0.38 <= time.monotonic() - start
        assert [hook["end"] for hook in hooks] == ["shutdown", "shutdown"]
        assert deferred.ending()[0] == b""
        server.command("open", 1)
        assert server.call("late-respond") in ("EVY_E_GONE", "EVY_E_STATE")
    assert server.command("wait", 0, 5000) == "EVY_OK"


def test_a_second_stop_shortens_the_grace(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/deferred?gate=1"))
        server.expect("call", step="deferred")
        server.command("stop", 0, -1)
        assert server.command("wait", 0, 200) == "EVY_E_TIMEOUT"
        assert server.command("stop", 0, 0) == "EVY_OK"
        assert connection.ending()[0] == b""
        assert server.expect("hook")["end"] == "shutdown"


def test_a_blocked_handler_is_waited_for_and_cannot_be_killed(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        server.command("stop", 0, 100)
        assert server.command("wait", 0, 500) == "EVY_E_TIMEOUT"
        server.command("open", 1)
        assert server.command("wait", 0, 5000) == "EVY_OK"


def test_a_handler_may_stop_its_server_and_not_wait_for_it(serve):
    server = serve()
    with Connection(server) as connection:
        answer = connection.get("/stop?grace=5000")
        assert answer.body == b"stopping" and answer.closes
    assert server.call("stop") == "EVY_OK" and server.call("wait") == "EVY_E_STATE"
    assert server.command("wait", 0, 5000) == "EVY_OK"
    assert refused(server)


def test_pipelined_requests_behind_the_stop_are_not_begun_or_are_answered_whole(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/gate?id=1") + raw_request("GET", "/hello") * 3)
        server.expect("call", step="at-gate")
        server.command("stop", 0, 5000)
        server.command("open", 1)
        answers = []
        while not answers or not answers[-1].closes:
            answers.append(connection.response())
        assert connection.rest() == b""
    assert server.command("wait", 0, 5000) == "EVY_OK"
    assert len(server.select("request")) == len(answers)


def test_stop_in_the_middle_of_a_load_loses_no_answer(serve):
    """Every request that was answered is whole; no answer is cut; the rest ends between requests."""
    server = serve("--quiet")
    connections = [Connection(server) for _ in range(20)]
    for connection in connections:
        connection.send(raw_request("GET", "/slow?ms=20") * 5)
    with Connection(server) as probe:
        assert probe.alive()
    server.command("stop", 0, 20000)
    for connection in connections:
        answers = []
        try:
            while not answers or not answers[-1].closes:
                answers.append(connection.response())
        except Closed as closed:
            assert closed.args[0] == b"", "an answer was cut"
        assert all(answer.body == b"slow" for answer in answers)
        connection.close()
    assert server.command("wait", 0, 10000) == "EVY_OK"


def test_after_a_stop_the_server_cannot_start_again(serve):
    server = serve()
    server.command("stop", 0, 0)
    assert server.command("wait", 0, 5000) == "EVY_OK"
    assert server.command("start", 0) == "EVY_E_STATE"
    assert server.command("stop", 0, 0) == "EVY_OK"


def test_descriptors_and_threads_return(serve):
    server = serve()
    connections = [Connection(server) for _ in range(50)]
    for connection in connections:
        assert connection.alive()
    server.command("stop", 0, 0)
    assert server.command("wait", 0, 5000) == "EVY_OK"
    wait_until(lambda: server.threads() <= 2, "all but main and control thread to end")
    most = 8 + 2 * (int(LOOPS or 1) - 1)
    wait_until(lambda: server.descriptors() <= most, "all but the epoll set of each loop to be closed")
    for connection in connections:
        connection.close()
