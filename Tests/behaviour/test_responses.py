# SPDX-License-Identifier: MIT
# test_responses - what goes on the wire: framing, heads, statuses without body, injection, wrong use, aborts.

import re
import time
from email.utils import parsedate_to_datetime

import pytest
from support import Closed, Connection, Reset, pattern, raw_request, wait_until

DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT")


@pytest.mark.parametrize("n", [0, 1, 1000, 65536, 3_000_000])
def test_a_whole_answer_has_its_length(shared, n):
    with Connection(shared) as connection:
        answer = connection.get(f"/fixed?n={n}")
        assert (answer.framing, answer["Content-Length"], answer.body) == ("length", str(n), pattern(n))
        assert connection.alive()


@pytest.mark.parametrize("n, piece", [(0, 1), (1, 1), (1000, 7), (300_000, 4096), (5_000_000, 100_000)])
@pytest.mark.parametrize("route, framing", [("/streamed", "length"), ("/chunked", "chunked")])
def test_streamed_answers(either, route, framing, n, piece):
    server = either()
    with Connection(server) as connection:
        answer = connection.get(f"{route}?n={n}&piece={piece}")
        assert (answer.framing, answer.body) == (framing, pattern(n))
        assert connection.alive()
    assert server.call("begin") == server.call("empty") == server.call("end") == "EVY_OK"


def test_head_bytes_come_in_the_documented_order(shared):
    with Connection(shared) as connection:
        connection.send(raw_request("GET", "/hello", ["Connection: keep-alive"]))
        names = [name for name, _ in connection.response().fields]
        assert names == ["Content-Type", "Content-Length", "Date", "Connection"]
        connection.send(raw_request("GET", "/chunked?n=1", ["Connection: close"]))
        names = [name for name, _ in connection.response().fields]
        assert names == ["Content-Type", "Date", "Transfer-Encoding", "Connection"]


def test_date_is_now_and_well_formed(shared):
    with Connection(shared) as connection:
        date = connection.get("/hello")["Date"]
    assert DATE.fullmatch(date)
    assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 5


def test_server_header_only_when_asked_for(serve, shared):
    with Connection(shared) as connection:
        assert connection.get("/hello")["Server"] is None
    with Connection(serve(server_header="mine/1")) as connection:
        assert connection.get("/hello")["Server"] == "mine/1"
        assert connection.get("/header?name=Server&value=own")["Server"] == "own"


@pytest.mark.parametrize(
    "name, value, kept",
    [
        ("Date", "Thu, 01 Jan 1970 00:00:00 GMT", True),
        ("X-aBc", "a b", True),
        ("X-Empty", "", True),
        ("X-Latin", "%e4", True),
        ("Content-Length", "2", True),
        ("Transfer-Encoding", "chunked", False),
        ("Transfer-Encoding", "gzip", False),
        ("Keep-Alive", "timeout=5", False),
        ("Upgrade", "h2c", False),
        ("Connection", "keep-alive", False),
        ("Proxy-Connection", "close", False),
        ("TE", "trailers", False),
    ],
)
@pytest.mark.parametrize("how", ["respond", "begin"])
def test_fields_of_the_host_go_out_as_given_and_hop_by_hop_ones_do_not(shared, how, name, value, kept):
    with Connection(shared) as connection:
        answer = connection.get(f"/header?how={how}&name={name}&value={value.replace(' ', '%20')}")
        assert answer.status == 200 and answer.body == b"ok" and answer["Content-Length"] == "2"
        expected = [value.replace("%e4", "\xe4")] if kept else []
        assert answer.all(name) == expected
        assert (name, expected[0]) in answer.fields if kept else True
        assert connection.alive()


@pytest.mark.parametrize("how", ["respond", "begin"])
def test_426_tells_what_to_upgrade_to(shared, how):
    """It has to (RFC 9110 section 15.5.22), and Connection has to name the field, which is for one hop."""
    target = f"/header?code=426&how={how}&name=Upgrade&value=TLS/1.3"
    with Connection(shared) as connection:
        for fields, options in [
            ([], "upgrade"),
            (["Connection: keep-alive"], "upgrade, keep-alive"),
            (["Connection: close"], "upgrade, close"),
        ]:
            answer = connection.get(target, *fields)
            assert answer.status == 426 and answer["Upgrade"] == "TLS/1.3"
            assert answer["Connection"] == options
        assert connection.rest() == b""
    with Connection(shared) as old:
        answer = old.get(target, "Connection: keep-alive", version="1.0")
        assert answer["Connection"] == "upgrade, keep-alive"
        assert old.get("/header?code=426&name=TE&value=trailers", version="1.0")["TE"] is None


def test_repeated_fields_stay_apart(shared):
    with Connection(shared) as connection:
        assert connection.get("/header?name=Set-Cookie&value=a=1&twice=1").all("Set-Cookie") == ["a=1", "a=1"]


@pytest.mark.parametrize("how", ["respond", "begin"])
@pytest.mark.parametrize(
    "query",
    [
        "name=X&value=a%0d%0aInjected:%20yes",
        "name=X&value=a%0ab",
        "name=X&value=a%0db",
        "name=X%0d%0aY&value=a",
        "name=X%20Y&value=a",
        "name=X:&value=a",
        "name=&value=a",
        "name=X%e4&value=a",
        "name=X&value=a%01b",
        "name=X&value=a%7fb",
        "name=X&value=a&reason=OK%0d%0aInjected:%20yes",
        "name=X&value=a&reason=a%0ab",
        "name=Content-Length&value=abc",
        "name=Content-Length&value=-1",
    ],
)
def test_header_injection_is_refused_before_a_byte_goes_out(shared, how, query):
    with Connection(shared) as connection:
        answer = connection.get(f"/header?how={how}&{query}")
        assert answer.body != b"ok" and answer["Injected"] is None and answer["X"] is None
        assert connection.alive()
    assert shared.call("header", query=f"how={how}&{query}") == "EVY_E_FIELD"


@pytest.mark.parametrize("code", [199, 100, 0, -1, 600, 1000, 99999])
def test_a_status_outside_200_to_599_is_an_argument_error(shared, code):
    with Connection(shared) as connection:
        assert connection.get(f"/status?code={code}").status == 200
    assert shared.call("status", query=f"code={code}") == "EVY_E_ARG"


@pytest.mark.parametrize(
    "code, phrase",
    [
        (200, "OK"),
        (404, "Not Found"),
        (418, None),
        (503, "Service Unavailable"),
        (599, None),
        (301, "Moved Permanently"),
    ],
)
def test_phrases(shared, code, phrase):
    with Connection(shared) as connection:
        answer = connection.get(f"/status?code={code}&n=3")
        assert answer.status == code and len(answer.body) == 3
        assert phrase is None or answer.reason == phrase
        assert connection.get(f"/status?code={code}&reason=My%20Words").reason == "My Words"


@pytest.mark.parametrize("how", ["respond", "stream"])
@pytest.mark.parametrize("code", [204, 304])
def test_204_and_304_never_have_a_body(shared, code, how):
    with Connection(shared) as connection:
        answer = connection.get(f"/status?code={code}&n=500&how={how}")
        assert answer.status == code and answer["Transfer-Encoding"] is None
        assert code == 304 or answer["Content-Length"] is None
        assert connection.alive(), "bytes of a body leaked"


@pytest.mark.parametrize(
    "target, length",
    [
        ("/fixed?n=5000", "5000"),
        ("/streamed?n=5000&piece=10", "5000"),
        ("/chunked?n=5000", None),
        ("/hello", "15"),
        ("/nosuch", "11"),
    ],
)
def test_head_answers_have_the_length_and_no_body(shared, target, length):
    with Connection(shared) as connection:
        answer = connection.request("HEAD", target)
        assert answer["Content-Length"] == length
        assert connection.alive(), "bytes of a body leaked"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("how", ["respond", "begin"])
def test_a_length_that_is_not_the_bodys_is_refused(shared, method, how):
    """RFC 9110 section 8.6: an answer to HEAD tells no length that the answer to GET would not have."""
    with Connection(shared) as connection:
        for length, result in (("3", "EVY_E_FIELD"), ("2", "EVY_OK")):
            query = f"how={how}&name=Content-Length&value={length}&{method}"
            answer = connection.request(method, f"/header?{query}")
            assert shared.call("header", query=query) == result
            assert answer["Content-Length"] == ("2" if result == "EVY_OK" else str(len(result)))


@pytest.mark.parametrize("by", ["begin", "header"])
def test_more_than_promised_is_cut_and_logged(serve, by):
    server = serve()
    with Connection(server) as connection:
        assert connection.get(f"/promise?promise=10&send=20&by={by}").body == pattern(10)
        assert connection.alive()
    hook = server.expect("hook", path="/promise")
    assert hook["stats"]["body_out"] == hook["stats"]["content_length"] == 10
    wait_until(lambda: any("longer than" in text for text in server.logged(2)), "a line about the surplus")


@pytest.mark.parametrize("by", ["begin", "header"])
def test_less_than_promised_cuts_the_connection(serve, by):
    server = serve()
    with Connection(server) as connection:
        with pytest.raises((Closed, Reset)):
            connection.get(f"/promise?promise=10&send=3&by={by}")
    hook = server.expect("hook", path="/promise")
    assert hook["end"] == "handler-error" and hook["stats"]["kept_alive"] == 0
    assert hook["stats"]["content_length"] == 10 and hook["stats"]["body_out"] <= 3


def test_a_second_answer_and_late_pieces_are_refused(shared):
    with Connection(shared) as connection:
        assert connection.get("/twice").body == b"first"
        assert connection.alive()
    for step in ("respond-again", "begin-again", "write-after", "end-after", "abort-after"):
        assert shared.call(step, path="/twice") == "EVY_E_STATE", step


def test_pieces_before_the_beginning_and_answers_within_are_refused(shared):
    with Connection(shared) as connection:
        assert connection.get("/disorder").body == b"ok"
    results = {
        step: shared.call(step, path="/disorder")
        for step in ("write-first", "end-first", "begin", "respond-within", "begin-within", "write", "end")
    }
    assert results == {
        "write-first": "EVY_E_STATE",
        "end-first": "EVY_E_STATE",
        "begin": "EVY_OK",
        "respond-within": "EVY_E_STATE",
        "begin-within": "EVY_E_STATE",
        "write": "EVY_OK",
        "end": "EVY_OK",
    }


@pytest.mark.parametrize("target", ["/nothing", "/deferred?how=release"])
def test_no_answer_at_all_becomes_500(serve, target):
    server = serve()
    with Connection(server) as connection:
        answer = connection.get(target, "Connection: keep-alive")
        assert (answer.status, answer.reason) == (500, "Internal Server Error")
        assert answer["Content-Type"].startswith("text/plain") and answer.framing == "length"
        assert answer.closes and connection.ending() == (b"", "eof")
        hook = server.expect("hook", name="figures")
        assert hook["stats"]["status"] == 500 and hook["end"] == "handler-error"
    with Connection(server) as connection:
        assert connection.alive()


@pytest.mark.parametrize("target", ["/unfinished", "/unfinished?length=100", "/deferred?how=begin"])
def test_a_begun_answer_that_is_never_ended_is_cut(serve, target):
    server = serve()
    with Connection(server) as connection:
        with pytest.raises((Closed, Reset)):
            connection.get(target)
    assert server.expect("hook", name="figures")["end"] == "handler-error"
    with Connection(server) as connection:
        assert connection.alive()


def test_a_cut_answer_to_a_10_client_never_looks_whole(either):
    """Its body ends with the connection, so a plain end would say that all of it has come."""
    server = either()
    with Connection(server) as connection:
        connection.send(b"GET /unfinished HTTP/1.0\r\n\r\n")
        assert connection.ending()[1] == "reset"
    assert server.expect("hook", name="figures")["stats"]["status"] == 200


@pytest.mark.parametrize(
    "target", ["/abort?when=before", "/abort?when=head", "/abort?when=body", "/deferred?how=abort"]
)
def test_abort_is_an_error_for_the_client(either, target):
    server = either()
    with Connection(server) as connection:
        connection.send(raw_request("GET", target))
        data, _ = connection.ending()
        assert b"HTTP/1.1 500" not in data and not data.endswith(b"0\r\n\r\n")
        if "before" in target or "deferred" in target:
            assert data == b""
    assert server.expect("hook", name="figures")["end"] == "aborted"
    with Connection(server) as connection:
        assert connection.alive()


def test_a_client_that_does_not_read_fills_the_answer_up_to_the_high_water_mark(serve):
    server = serve(write_high_water="256k")
    with Connection(server, rcvbuf=65536) as connection:
        connection.send(raw_request("GET", "/fill"))
        assert server.expect("call", step="fill-status")["result"] == 1, "EVY_FULL"
        taken = server.expect("call", step="taken")["result"]
        assert taken < 64 << 20
        assert connection.response().body == pattern(taken)
        assert connection.alive()


def test_with_one_thread_a_write_in_the_handler_never_waits(serve):
    server = serve(threads="1")
    with Connection(server, rcvbuf=65536) as connection:
        connection.send(raw_request("GET", "/streamed?n=20000000"))
        assert server.expect("call", step="written")["result"] == 20_000_000
        assert connection.response().body == pattern(20_000_000)
    assert server.expect("call", step="write")["result"] == 1, "EVY_FULL"


def test_an_ordinary_client_downloads_what_was_written(shared, tmp_path):
    import subprocess

    target = tmp_path / "body"
    subprocess.run(
        ["curl", "-sS", "--fail", "-o", target, f"http://127.0.0.1:{shared.port}/chunked?n=2000000"],
        check=True,
        timeout=30,
    )
    assert target.read_bytes() == pattern(2_000_000)


def test_large_answers_on_one_connection_never_stall(either):
    """The last piece may find room between two looks: whoever sent it has to go on with the next request."""
    server = either()
    with Connection(server) as connection:
        for _ in range(200):
            assert len(connection.get("/fixed?n=2000000").body) == 2_000_000
