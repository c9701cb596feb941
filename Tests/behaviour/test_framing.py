# SPDX-License-Identifier: MIT
# test_framing - malformed requests beyond Tests/Conformance: handlers, environ, TLS, what they leave behind.

import pytest
from support import Connection, Reset, all_responses, raw_request

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /buffered HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def head(*lines, start=b"GET / HTTP/1.1"):
    return b"\r\n".join((start, *lines)) + b"\r\n\r\n"


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


@pytest.mark.parametrize(
    "broken",
    [CHUNKED + b"zz\r\n", CHUNKED + b"ff\r\nabc", POST + b"Content-Length: 100\r\n\r\nabc"],
    ids=["refused", "left in a chunk", "left in a length"],
)
@pytest.mark.parametrize("body", ["buffer", "stream"])
def test_a_body_that_broke_is_forgotten_with_its_connection(serve, broken, body):
    """What an exchange was reading when it ended is not read on in the requests of the next client."""
    server = serve(body=body)
    with Connection(server) as connection:
        connection.send(broken.replace(b"/buffered", b"/pull"))
        if b"zz" in broken:
            connection.ending()
    server.settled(evy_connections_open=0)
    with Connection(server) as connection:
        connection.send(head(b"Host: x", start=b"GET /hello HTTP/1.1") * 3)
        answers = [connection.response() for _ in range(3)]
    assert [answer.body for answer in answers] == [b"Hello, World!\r\n"] * 3


def test_obs_fold_becomes_one_line_of_spaces(serve):
    server = serve(allow_obs_fold="true")
    with Connection(server) as connection:
        connection.send(head(b"Host: x", b"X-A: a", b"\t b", start=b"GET /env HTTP/1.1"))
        value = dict(connection.response().json()["block"])["HTTP_X_A"]
        assert value.split() == ["a", "b"] and "\r" not in value and "\n" not in value
        connection.send(head(b"Host: x", b"X-A:", b" a", b" b", start=b"GET /env HTTP/1.1"))
        assert dict(connection.response().json()["block"])["HTTP_X_A"] == "a   b"
        connection.send(head(b"Host: x", b"X-A: a", *[b" " + b"b" * 1000] * 9, start=b"GET /env HTTP/1.1"))
        assert connection.response().status == 431, "all its lines are one"


def test_encoded_nul_is_bytes_with_a_length(serve):
    server = serve(allow_encoded_nul="true")
    with Connection(server) as connection:
        connection.get("/a%00b")
    assert server.expect("request")["path"] == "/a\0b"


def test_what_stands_behind_a_nul_is_no_key_of_the_block(serve):
    """Where a text ends in a block, a client's path would go on with keys of its own."""
    server = serve(allow_encoded_nul="true")
    with Connection(server) as connection:
        dump = connection.get("/env?a=1").json()
        assert dump["block"] == dump["at"]
        connection.send(raw_request("GET", "/env%00REMOTE_USER%00admin"))
        dump = connection.response().json()
        assert dump["block"] == [] and dict(dump["at"])["PATH_INFO"] == "/env\0REMOTE_USER\0admin"


@pytest.mark.parametrize(
    "raw",
    [
        POST + b"Content-Length: 3\r\nContent-Length: 38\r\n\r\nabc" + SMUGGLED,
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    ],
    ids=["two different lengths", "a length and chunked"],
)
def test_refused_over_tls_too(serve, raw):
    server = serve(tls=True)
    with Connection(server) as connection:
        connection.send_lenient(raw)
        data, _ = connection.ending()
    assert [(answer.status, answer.closes) for answer in all_responses(data)] == [(400, True)]
    with Connection(server) as connection:
        assert connection.alive()
    assert not server.select("request", path="/smuggled")


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
