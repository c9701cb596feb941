# SPDX-License-Identifier: MIT
# test_keepalive - when a connection goes on, pipelining in order, and how connections end.

import socket

import pytest
from support import Connection, all_responses, chunks, raw_request


@pytest.mark.parametrize(
    "version, field, kept, echoed",
    [
        ("1.1", None, True, None),
        ("1.1", "keep-alive", True, "keep-alive"),
        ("1.1", "close", False, "close"),
        ("1.1", "Close", False, "close"),
        ("1.1", "foo, close", False, "close"),
        ("1.1", "close, keep-alive", False, "close"),
        ("1.1", "foo", True, None),
        ("1.1", "closed", True, None),
        ("1.0", None, False, "close"),
        ("1.0", "keep-alive", True, "keep-alive"),
        ("1.0", "Keep-Alive", True, "keep-alive"),
        ("1.0", "foo ,keep-alive", True, "keep-alive"),
        ("1.0", "close", False, "close"),
    ],
)
def test_decision_by_version_and_connection_tokens(shared, version, field, kept, echoed):
    fields = [f"Connection: {field}"] if field else []
    with Connection(shared) as connection:
        answer = connection.get("/hello", *fields, version=version)
        assert (answer["Connection"] or "").lower() == (echoed or "")
        if kept:
            assert connection.alive()
        else:
            assert connection.rest() == b""


def test_keep_alive_false_closes_after_each_request(serve):
    server = serve(keep_alive="false")
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/hello", ["Connection: keep-alive"]) * 2)
        data, _ = connection.ending()
    assert [answer.closes for answer in all_responses(data)] == [True]


def test_max_http_version_10_speaks_10_and_keeps_nothing_unasked(serve):
    server = serve(max_http_version="1.0")
    with Connection(server) as connection:
        answer = connection.get("/hello")
        assert (answer.version, answer.status) == ("HTTP/1.0", 200)
        assert connection.rest() == b""
    with Connection(server) as connection:
        answer = connection.get("/chunked?n=5000")
        assert answer.framing == "close" and len(answer.body) == 5000
    with Connection(server) as connection:
        assert connection.get("/hello", "Connection: keep-alive")["Connection"].lower() == "keep-alive"
        assert connection.get("/hello").status == 200
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/\x01"))
        assert connection.rest().startswith(b"HTTP/1.0 400 ")
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/pull", ["Expect: 100-continue"], body=b"abc"))
        assert connection.rest().startswith(b"HTTP/1.0 200 "), "1.0 has no interim answers"


def test_two_connection_lines_count_as_one_list(shared):
    with Connection(shared) as connection:
        assert connection.get("/hello", "Connection: foo", "Connection: close").closes
        assert connection.rest() == b""


def test_status_line_is_11_for_a_10_client_and_streams_until_close(shared):
    with Connection(shared) as connection:
        answer = connection.get("/chunked?n=100000", "Connection: keep-alive", version="1.0")
        assert answer.version == "HTTP/1.1" and answer.framing == "close"
        assert len(answer.body) == 100000


def test_connection_close_of_the_host_is_obeyed(shared):
    with Connection(shared) as connection:
        answer = connection.get("/header?name=Connection&value=close")
        assert answer.closes and connection.rest() == b""


def test_nothing_after_connection_close_is_served(shared):
    with Connection(shared) as connection:
        connection.send(raw_request("GET", "/hello", ["Connection: close"]) + raw_request("GET", "/smuggled"))
        data, _ = connection.ending()
    assert len(all_responses(data)) == 1
    assert not shared.select("request", path="/smuggled")


# ---- pipelining


def test_pipelined_answers_come_in_order(either):
    server = either()
    targets = [f"/fixed?n={(i * 37) % 5000}" for i in range(100)]
    with Connection(server) as connection:
        connection.send(b"".join(raw_request("GET", target) for target in targets))
        for i in range(100):
            assert len(connection.response().body) == (i * 37) % 5000
        assert connection.alive()


def test_pipelined_requests_split_at_every_byte(shared):
    raw = (
        raw_request("GET", "/hello")
        + raw_request("POST", "/buffered", body=b"abc")
        + raw_request("GET", "/hello")
    )
    with Connection(shared) as connection:
        for split in range(1, len(raw)):
            connection.send(raw[:split])
            connection.send(raw[split:])
            assert [connection.response().body for _ in range(3)] == [
                b"Hello, World!\r\n",
                b"abc",
                b"Hello, World!\r\n",
            ]


def test_pipelined_bodies_of_both_framings_and_heads(shared):
    post = b"POST /buffered HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = (
        raw_request("POST", "/buffered", body=b"one")
        + post
        + chunks(b"tw", b"o")
        + raw_request("HEAD", "/hello")
        + post
        + chunks()
        + raw_request("GET", "/status?code=204")
        + raw_request("GET", "/hello")
    )
    with Connection(shared) as connection:
        connection.send(raw)
        assert connection.response().body == b"one"
        assert connection.response().body == b"two"
        assert connection.response("HEAD")["Content-Length"] == "15"
        assert connection.response().body == b""
        assert connection.response().status == 204
        assert connection.response().body == b"Hello, World!\r\n"


@pytest.mark.parametrize("middle", ["/gate?id=1", "/deferred?gate=1"])
def test_earlier_answers_do_not_wait_for_a_blocked_one_and_later_ones_do(either, middle):
    server = either()
    with Connection(server) as connection:
        connection.send(
            raw_request("GET", "/fixed?n=10") * 3
            + raw_request("GET", middle)
            + raw_request("GET", "/fixed?n=20") * 3
        )
        assert [len(connection.response().body) for _ in range(3)] == [10, 10, 10]
        assert connection.silent(0.2)
        server.command("open", 1)
        assert connection.response().body in (b"opened", b"deferred")
        assert [len(connection.response().body) for _ in range(3)] == [20, 20, 20]


def test_requests_of_one_connection_are_handled_one_after_the_other(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/gate?id=1") + raw_request("GET", "/hello"))
        server.expect("call", step="at-gate")
        assert connection.silent(0.2)
        assert len(server.select("request")) == 1
        server.command("open", 1)
        connection.response()
        connection.response()
    order = [e["event"] for e in server.events if e["event"] in ("request", "hook", "access")]
    server.expect("access", count=2)
    order = [e["event"] for e in server.events if e["event"] in ("request", "hook", "access")]
    assert order == ["request", "hook", "access"] * 2


def test_a_deep_pipeline_with_a_client_that_reads_late(serve):
    server = serve("--quiet")
    with Connection(server) as connection:
        connection.socket.settimeout(30)
        count = 2000
        connection.send(raw_request("GET", "/fixed?n=1000") * count)
        for _ in range(count):
            assert len(connection.response().body) == 1000


def test_a_half_closed_client_gets_all_its_answers(shared):
    """The client sends its requests, then ends its side and reads on."""
    with Connection(shared) as connection:
        connection.send(raw_request("GET", "/hello") * 3)
        connection.socket.shutdown(socket.SHUT_WR)
        assert len(all_responses(connection.ending()[0])) == 3


# ---- unread bodies and lingering close


def test_a_small_unread_body_is_skipped_and_the_connection_goes_on(shared_stream):
    with Connection(shared_stream) as connection:
        answer = connection.request("POST", "/hello", body=raw_request("GET", "/smuggled") * 10)
        assert answer.status == 200 and not answer.closes
        assert connection.alive()
    assert not shared_stream.select("request", path="/smuggled")


def test_a_small_unread_chunked_body_is_skipped_too(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(
            b"POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks(raw_request("GET", "/smuggled"), b"more")
        )
        assert connection.response().status == 200
        assert connection.alive()
    assert not shared_stream.select("request", path="/smuggled")


def test_a_large_unread_body_closes_and_the_answer_is_readable(shared_stream):
    for _ in range(10):
        with Connection(shared_stream) as connection:
            connection.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")
            connection.send(b"x" * 40000)
            answer = connection.response()
            assert answer.status == 200 and answer.body == b"Hello, World!\r\n" and answer.closes
            assert connection.ending()[0] == b""


def test_an_answer_given_while_the_client_still_sends_is_not_destroyed(serve):
    """Lingering close: within linger_bytes the client sees the end, not a reset."""
    server = serve(max_body_size="1000", linger_bytes="1m")
    for _ in range(10):
        with Connection(server) as connection:
            connection.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n")
            connection.send_lenient(b"x" * 400000, 20000)
            answer = connection.response()
            assert answer.status == 413
            assert connection.ending() == (b"", "eof")


def test_who_sends_all_of_a_body_that_nobody_reads_gets_the_answer(serve):
    """What the kernels hold of it, megabytes at times, is on its way when the answer comes."""
    server = serve(body="stream")
    with Connection(server) as connection:
        size = 8 << 20
        connection.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        connection.send(bytes(size))
        answer = connection.response()
        assert answer.status == 200 and answer.closes
        assert connection.rest() == b""


def test_who_sends_far_more_than_the_kernels_hold_ahead_of_a_look_gets_the_refusal(serve):
    """As nginx does, on the same machine, with a body that it has taken in whole: its client got 502."""
    server = serve(linger_timeout="20s")
    with Connection(server) as connection:
        size = 96 << 20
        connection.send(b"PUT /hello HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            connection.send(bytes(1 << 20))
        assert connection.response().status == 413
        assert connection.ending() == (b"", "eof")


def test_linger_bytes_bounds_what_is_swallowed(serve):
    server = serve(linger_bytes="10k", linger_timeout="10s")
    with Connection(server) as connection:
        connection.send(b"BROKEN\r\n\r\n")
        assert connection.response().status == 400
        with pytest.raises(OSError):
            for _ in range(2000):
                connection.socket.send(b"x" * 10000)


@pytest.mark.parametrize("half", [b"1234567890", b"5\r\n123"], ids=["length", "chunked"])
def test_an_upload_that_broke_off_takes_no_bytes_of_another_client(serve, half):
    """What is kept of one request for the next ones must not know its body."""
    server = serve()
    framing = "Content-Length: 100000" if half.isdigit() else "Transfer-Encoding: chunked"
    for _ in range(3):
        with Connection(server) as broken:
            broken.send(raw_request("POST", "/buffered", [framing]) + half)
            server.settled(evy_requests_active=1)
        server.settled(evy_connections_open=0)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/hello") * 5)
        for _ in range(5):
            assert connection.response().body == b"Hello, World!\r\n"


def test_a_pipelined_request_hears_that_its_client_left_ahead_of_it(serve):
    """Its end was seen while the first request was served, and is not seen again."""
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/watched?gate=1") + raw_request("GET", "/watched?gate=2"))
        server.expect("call", step="on-gone")
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.response().body == b"unheard"
        told = server.expect("call", 2, step="on-gone")
        assert [event["name"] for event in told] == ["EVY_OK", "EVY_E_GONE"]
        server.tell("open", 2)
        assert connection.response().body == b"unheard"
        assert connection.ending() == (b"", "eof")
