# SPDX-License-Identifier: MIT
# test_limits - every limit has a name: lines, heads, counts, bodies, connections, requests per connection.

import itertools

import pytest
from support import Connection, all_responses, chunks, raw_request, wait_until


def status_of(server, raw):
    with Connection(server) as connection:
        connection.send_lenient(raw)
        answer = connection.response()
        if answer.status >= 400 and answer.status != 404:
            assert answer.closes
            assert connection.ending()[0] == b""
        return answer.status, answer.reason


def line_of(count):
    """A request whose request line has exactly count bytes, line end included."""
    return raw_request("GET", "/" + "a" * (count - len("GET / HTTP/1.1\r\n")))


def field_of(count):
    """A request with one field line of exactly count bytes, line end included."""
    return raw_request("GET", "/", ["X-Long: " + "a" * (count - len("X-Long: \r\n"))])


@pytest.mark.parametrize(
    "options, limit", [({}, 8192), ({"max_request_line": "300"}, 300)], ids=["default", "300"]
)
def test_request_line(serve, options, limit):
    server = serve(**options)
    assert status_of(server, line_of(limit - 1))[0] == 404
    assert status_of(server, line_of(limit)) == (414, "Request URI Too Long")
    assert status_of(server, line_of(limit + 1))[0] == 414
    assert status_of(server, line_of(limit * 4))[0] == 414


@pytest.mark.parametrize(
    "options, limit", [({}, 8192), ({"max_header_line": "300"}, 300)], ids=["default", "300"]
)
def test_header_line(serve, options, limit):
    server = serve(**options)
    assert status_of(server, field_of(limit - 1))[0] == 200
    assert status_of(server, field_of(limit))[0] == 431
    assert status_of(server, field_of(limit + 1)) == (431, "Header Line Too Long")
    assert status_of(server, field_of(limit * 4))[0] == 431


@pytest.mark.parametrize(
    "options, limit", [({}, 65536), ({"max_header_size": "2k"}, 2048)], ids=["default", "2k"]
)
def test_whole_head(serve, options, limit):
    server = serve(**options)

    def head_of(count):
        fields, left = [], count - len(raw_request("GET", "/"))
        while left > 0:
            size = min(left, 1000) if left > 1020 or left <= 1000 else left - 20
            fields.append("X-Long: " + "a" * (size - len("X-Long: \r\n")))
            left -= size
        raw = raw_request("GET", "/", fields)
        assert len(raw) == count
        return raw

    assert status_of(server, head_of(limit - 50))[0] == 200
    assert status_of(server, head_of(limit + 50)) == (431, "Headers Too Large")


@pytest.mark.parametrize("options, limit", [({}, 100), ({"max_headers": "5"}, 5)], ids=["default", "5"])
def test_count_of_fields(serve, options, limit):
    server = serve(**options)
    assert status_of(server, raw_request("GET", "/", ["X: y"] * (limit - 1)))[0] == 200
    assert status_of(server, raw_request("GET", "/", ["X: y"] * limit))[0] == 431


def test_the_status_for_long_headers_can_be_the_ancestors(serve):
    server = serve(header_size_status="400")
    assert status_of(server, field_of(9000)) == (400, "Header Line Too Long")
    assert status_of(server, raw_request("GET", "/", ["X: " + "y" * 8000] * 9)) == (400, "Headers Too Large")
    assert status_of(server, raw_request("GET", "/", ["X: y"] * 101)) == (431, "Too Many Headers")
    assert status_of(server, line_of(9000))[0] == 414


def test_a_line_without_end_is_refused_while_it_comes(serve):
    server = serve(max_request_line="1k")
    with Connection(server) as connection:
        connection.send_lenient(b"GET /" + b"a" * 2000)
        assert connection.response().status == 414


def test_declared_body_over_the_limit_is_refused_before_it_is_sent(serve):
    server = serve(max_body_size="1000")
    with Connection(server) as connection:
        connection.send(b"POST /buffered HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        answer = connection.response()
        assert answer.status == 413 and answer.closes
    with Connection(server) as connection:
        assert connection.request("POST", "/buffered", body=b"x" * 1000).body == b"x" * 1000
    server.expect("access", path="/buffered")
    assert len(server.select("request")) == 1


def test_expectation_of_a_body_over_the_limit_gets_413_and_no_100(serve):
    server = serve(max_body_size="1000")
    with Connection(server) as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        assert connection.response().status == 413


def test_chunked_body_over_the_limit(serve):
    server = serve(max_body_size="1000")
    start = b"POST /buffered HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Connection(server) as connection:
        connection.send_lenient(start + chunks(b"x" * 600, b"y" * 600))
        answer = connection.response()
        assert answer.status == 413 and answer.closes
    with Connection(server) as connection:
        connection.send(start + chunks(b"x" * 600, b"y" * 400))
        assert len(connection.response().body) == 1000
        assert connection.alive()


def test_streamed_body_over_the_limit_reaches_the_handler_and_the_hook(serve):
    server = serve(max_body_size="1000", body="stream")
    with Connection(server) as connection:
        connection.send_lenient(
            b"POST /pull?own=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks(b"x" * 600, b"y" * 600)
        )
        assert connection.response().status in (413, 422)
    assert server.call("body-error") == "EVY_E_LIMIT"
    assert server.expect("hook")["end"] == "limit"


def test_zero_means_no_body_limit(serve):
    server = serve(max_body_size="0")
    body = b"z" * (20 << 20)
    with Connection(server) as connection:
        answer = connection.request("POST", "/buffered?answer=count", body=body)
        assert answer.body.split()[0] == str(len(body)).encode()


@pytest.mark.parametrize(
    "raw, status",
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", 400),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n", 413),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"HEAD /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
        (b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ],
    ids=["host", "body", "field", "target", "expectation", "version"],
)
def test_a_refusal_of_head_has_no_content(serve, raw, status):
    """RFC 9110 section 9.3.2: a proxy would take it for the next answer."""
    server = serve(max_body_size="10")
    with Connection(server) as connection:
        data, _ = connection.send_lenient(raw).ending()
    head, end, content = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and end and not content


def test_default_body_limit_is_16_mebibytes(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % ((16 << 20) + 1))
        assert connection.response().status == 413


def test_busy_connections_at_the_limit_let_the_next_one_wait(serve):
    server = serve(max_connections="2", threads="8")
    first, second, third = (Connection(server) for _ in range(3))
    first.send(raw_request("GET", "/gate?id=1"))
    second.send(raw_request("GET", "/gate?id=1"))
    server.expect("call", count=2, step="at-gate")
    third.send(raw_request("GET", "/hello"))
    assert third.silent(0.3)
    server.command("open", 1)
    assert first.response().body == second.response().body == b"opened"
    first.close()
    second.close()
    assert third.response().status == 200
    third.close()


def pauses(server):
    """Each loop has its own: of several, one or more pause for a newcomer."""
    return server.counters()["evy_accept_pauses_total"]


def test_a_connection_that_falls_idle_at_the_limit_makes_room_for_who_waits(serve):
    server = serve(max_connections="2", threads="8")
    busy = [Connection(server).send(raw_request("GET", "/gate?id=1")) for _ in range(2)]
    server.expect("call", count=2, step="at-gate")
    with Connection(server) as late:
        wait_until(lambda: pauses(server) > 0, "its wait for a place")
        server.command("open", 1)
        assert late.alive()
    for connection in busy:
        assert connection.response().body == b"opened"
        connection.close()
    server.settled(evy_connections_evicted_total=1)


def test_no_head_is_so_large_that_each_byte_of_it_costs(serve):
    """What has come is copied with each byte that comes: at 16 MiB that took a millisecond."""
    with pytest.raises(RuntimeError, match="1048577 is not between 64 and 1048576"):
        serve(max_header_size="1048577")


def test_the_size_of_a_head_does_not_depend_on_how_it_is_cut(serve):
    """The line end behind a body counts with it, also where it came alone."""
    server = serve(max_header_size="1000")
    bare = len(raw_request("GET", "/"))
    for (size, status), is_cut in itertools.product([(998, 404), (999, 431)], (False, True)):
        with Connection(server) as connection:
            connection.send(raw_request("POST", "/buffered", body=b"x"))
            assert connection.response().status == 200
            head = raw_request("GET", "/" + "a" * (size - bare))
            if is_cut:
                before = server.counters()["evy_received_bytes_total"]
                connection.send(b"\r\n")
                server.settled(evy_received_bytes_total=before + 2)
                connection.send(head)
            else:
                connection.send(b"\r\n" + head)
            assert connection.response().status == status, (size, is_cut)


def test_whoever_falls_idle_makes_room_however_many_there_are(serve):
    """Of a large table a sample is looked at: the one that fell idle must be in it."""
    places = 700
    server = serve(max_connections=str(places), error_log="off")
    head = b"POST /buffered HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    busy = [Connection(server).send(head) for _ in range(places - 1)]
    server.settled(evy_requests_total=places - 1)
    for number in range(1, 7):
        with Connection(server) as short:
            short.send(raw_request("GET", f"/deferred?gate={number + 1}"))
            server.expect("call", count=number, step="deferred")
            before = pauses(server)
            with Connection(server) as late:
                wait_until(lambda: pauses(server) > before, "its wait for a place")  # noqa: B023
                server.command("open", number + 1)
                assert short.response().status == 200
                assert late.alive()
                late.reset()
        server.settled(evy_connections_open=places - 1)
    for connection in busy:
        assert connection.send(b"some").response().body == b"some"
        connection.close()


def test_who_may_idle_for_ever_makes_room_too(serve):
    server = serve(max_connections="1", idle_timeout="-1")
    with Connection(server) as idle:
        assert idle.alive()
        with Connection(server) as late:
            assert late.alive()


def test_nobody_makes_room_for_nobody(serve):
    server = serve(max_connections="2")
    with Connection(server) as one:
        assert one.alive()
        with Connection(server) as other:
            assert other.alive() and one.alive()
    assert server.settled(evy_connections_open=0)["evy_connections_evicted_total"] == 0


def test_idle_connections_at_the_limit_do_not_starve_a_new_client(serve):
    server = serve(max_connections="2", idle_timeout="400ms")
    idle = [Connection(server) for _ in range(2)]
    assert all(connection.alive() for connection in idle)
    with Connection(server) as late:
        assert late.alive()
    for connection in idle:
        connection.close()


def test_requests_per_connection(serve):
    server = serve(max_requests_per_connection="3")
    with Connection(server) as connection:
        answers = [connection.get("/hello") for _ in range(3)]
        assert [answer.closes for answer in answers] == [False, False, True]
        assert connection.rest() == b""


def test_requests_per_connection_in_a_pipeline(serve):
    server = serve(max_requests_per_connection="2")
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/hello") * 5)
        data, _ = connection.ending()
    answers = all_responses(data)
    assert [answer.closes for answer in answers] == [False, True]
    wait_until(lambda: len(server.select("access")) == 2, "two access lines")
    assert len(server.select("request")) == 2
