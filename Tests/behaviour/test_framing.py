# SPDX-License-Identifier: MIT
# test_framing - malformed and hostile requests: the right refusal, one response, closed, none smuggled.

import time

import pytest
from cases_framing import CHUNKED, GET, POST, REFUSED, SERVED, SMUGGLED, head
from support import SANITIZED, Connection, Reset, all_responses, wait_until


def refused(server, raw, statuses, piece=None):
    """Sends raw; checks that exactly one full refusal comes, then the end; returns it."""
    statuses = statuses if isinstance(statuses, tuple) else (statuses,)
    with Connection(server) as connection:
        connection.send_lenient(raw, piece)
        data, _ = connection.ending()
    answers = all_responses(data)
    assert len(answers) == 1, f"{len(answers)} responses to one request: {answers}"
    answer = answers[0]
    assert answer.status in statuses, answer
    assert answer.version == "HTTP/1.1" and answer.closes and answer.framing == "length"
    assert answer.reason and answer["Content-Type"].startswith("text/plain") and answer.body.endswith(b"\n")
    assert answer["Server"] is None and answer["Date"]
    return answer


def probe(server):
    """The server still serves a new connection, and no smuggled request was ever handled."""
    with Connection(server) as connection:
        assert connection.alive()
    assert not server.select("request", path="/smuggled")


@pytest.mark.parametrize("name", REFUSED)
def test_refused(shared, name):
    raw, statuses = REFUSED[name]
    refused(shared, raw, statuses)
    probe(shared)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_the_same_when_it_comes_byte_by_byte(shared, name):
    raw, statuses = REFUSED[name]
    if len(raw) > 1000:
        pytest.skip("too long to send in single bytes")
    refused(shared, raw, statuses, piece=1)
    probe(shared)


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("name", SERVED)
def test_served_and_the_connection_goes_on(shared, name, piece):
    raw, status, body = SERVED[name]
    with Connection(shared) as connection:
        connection.send_lenient(raw, piece)
        answer = connection.response()
        if answer.status == 100:
            answer = connection.response()
        assert answer.status == status and not answer.closes, answer
        assert body is None or answer.body == body
        assert connection.alive()


def test_every_refusal_names_its_reason_on_the_status_line_and_in_the_body(shared):
    answer = refused(shared, head(b"Host: x", b"X-Long: " + b"a" * 9000), 431)
    assert answer.reason == "Header Line Too Long" and answer.body == b"Header Line Too Long\n"


def test_a_malformed_chunk_in_a_streamed_body_reaches_the_handler_as_a_protocol_error(shared_stream):
    raw = CHUNKED.replace(b"/buffered", b"/pull?own=1&broken") + b"3\r\nabc\r\nzz\r\n" + SMUGGLED
    with Connection(shared_stream) as connection:
        connection.send(raw)
        data, _ = connection.ending()
    answers = all_responses(data)
    assert len(answers) == 1 and answers[0].status >= 400 and answers[0].closes
    assert shared_stream.call("body-error", query="own=1&broken") == "EVY_E_PROTOCOL"
    hook = shared_stream.expect("hook", query="own=1&broken")
    assert hook["end"] == "protocol"
    assert not shared_stream.select("request", path="/smuggled")


def test_refusal_answers_what_came_before_it_in_the_pipeline(shared):
    with Connection(shared) as connection:
        connection.send(GET + b"\r\n" + GET + b"\r\n" + b"BROKEN\r\n\r\n" + SMUGGLED)
        data, _ = connection.ending()
    assert [answer.status for answer in all_responses(data)] == [200, 200, 400]
    probe(shared)


def test_a_refusal_comes_before_the_head_is_complete_when_it_is_certain(shared):
    """The peer waits for an answer and sends nothing more: it must not have to wait for a deadline."""
    for raw in (
        b"G@T",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    ):
        with Connection(shared) as connection:
            start = time.monotonic()
            connection.send(raw)
            assert connection.response().status in (400, 505), raw
            assert time.monotonic() - start < 5, raw


@pytest.mark.parametrize(
    "option, raw, answer",
    [
        ("allow_missing_host", head(), 200),
        ("allow_bare_lf", b"GET / HTTP/1.1\nHost: x\nX-A: b\n\n", 200),
        ("allow_obs_fold", head(b"Host: x", b"X-A: a", b"  b", b"X-B: c"), 200),
        ("lenient_content_length", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 200),
        ("lenient_content_length", POST + b"Content-Length: 3, 3\r\n\r\nabc", 200),
        ("allow_encoded_nul", b"GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ],
)
def test_each_old_laxness_has_a_switch_of_its_own(serve, option, raw, answer):
    lax, strict = serve(**{option: "true"}), serve()
    with Connection(lax) as connection:
        assert connection.send(raw).response().status == answer
        assert connection.alive()
    refused(strict, raw, 400)


@pytest.mark.parametrize(
    "option, raw",
    [
        ("lenient_content_length", POST + b"Content-Length: 3\r\nContent-Length: 38\r\n\r\nabc" + SMUGGLED),
        ("lenient_content_length", POST + b"Content-Length: 3, 38\r\n\r\nabc" + SMUGGLED),
        ("lenient_content_length", POST + b"Content-Length: +3\r\n\r\nabc" + SMUGGLED),
        (
            "lenient_content_length",
            POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
        ),
        ("allow_missing_host", head(b"Host: x", b"Host: y")),
        ("allow_bare_lf", CHUNKED + b"3\nabc\r\n0\r\n\r\n" + SMUGGLED),
        ("allow_bare_lf", GET + b"X-A: a\rb\r\n\r\n"),
        ("allow_obs_fold", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    ],
)
def test_a_switch_allows_no_more_than_its_name_says(serve, option, raw):
    server = serve(**{option: "true"})
    refused(server, raw, 400)
    probe(server)


def test_obs_fold_becomes_one_line_of_spaces(serve):
    server = serve(allow_obs_fold="true")
    with Connection(server) as connection:
        connection.send(head(b"Host: x", b"X-A: a", b"\t b", start=b"GET /env HTTP/1.1"))
        value = dict(connection.response().json()["block"])["HTTP_X_A"]
    assert value.split() == ["a", "b"] and "\r" not in value and "\n" not in value


def test_encoded_nul_is_bytes_with_a_length(serve):
    server = serve(allow_encoded_nul="true")
    with Connection(server) as connection:
        connection.get("/a%00b")
    assert server.expect("request")["path"] == "/a\0b"


def test_connect_is_not_served_as_a_page(shared):
    with Connection(shared) as connection:
        connection.send_lenient(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        assert connection.response("HEAD").status >= 400
    probe(shared)


def test_memory_returns_after_many_hostile_requests(serve):
    """Growth over 2,000 refusals stays under 8 MiB."""
    server = serve("--quiet", callbacks=False, access=False)
    raws = [raw for raw, _ in REFUSED.values()]

    def round_trip(count):
        for i in range(count):
            with Connection(server) as connection:
                connection.send_lenient(raws[i % len(raws)])
                connection.ending()

    round_trip(200)
    before = server.resident_bytes()
    round_trip(2000)
    assert SANITIZED or server.resident_bytes() - before < 8 << 20


@pytest.mark.parametrize("name", ["content length: two different", "transfer encoding: length and chunked"])
def test_refused_over_tls_too(serve, name):
    server = serve(tls=True)
    refused(server, *REFUSED[name])
    probe(server)


def test_descriptors_return_after_refusals(serve):
    server = serve()
    with Connection(server) as connection:
        assert connection.alive()
    wait_until(lambda: server.expect("access") and True, "the first request's end")
    before = server.descriptors()
    for raw, statuses in list(REFUSED.values())[:40]:
        refused(server, raw, statuses)
    wait_until(lambda: server.descriptors() <= before, "descriptors to return")


def test_reset_is_not_what_a_refused_client_sees(shared):
    """The refusal of a request with a body in flight is readable: lingering close."""
    raw = POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + b"x" * 30000
    for _ in range(20):
        with Connection(shared) as connection:
            connection.send_lenient(raw)
            try:
                assert connection.response().status == 400
            except Reset:
                pytest.fail("the refusal was destroyed by a reset")
