# SPDX-License-Identifier: MIT
# test_continue - Expect: 100-continue is answered at the first read, once, and only to those who may have it.

import pytest
from support import Connection, chunks

START = b" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"


def test_buffer_mode_asks_for_the_body_before_the_handler(shared):
    with Connection(shared) as connection:
        connection.send(b"POST /buffered" + START + b"Content-Length: 3\r\n\r\n")
        interim = connection.response()
        assert (interim.version, interim.status, interim.reason, interim.fields) == (
            "HTTP/1.1",
            100,
            "Continue",
            [],
        )
        assert not shared.select("request", path="/buffered")
        assert connection.send(b"abc").response().body == b"abc"
        assert connection.alive()


@pytest.mark.parametrize("spelling", [b"100-continue", b"100-Continue", b"100-CONTINUE"])
def test_the_word_is_case_insensitive(shared_stream, spelling):
    with Connection(shared_stream) as connection:
        connection.send(
            b"POST /pull" + START.replace(b"100-continue", spelling) + b"Content-Length: 3\r\n\r\n"
        )
        assert connection.response().status == 100
        assert connection.send(b"abc").response().body == b"abc"


@pytest.mark.parametrize("path", [b"/pull?cap=1", b"/push", b"/pull-then-push"])
def test_stream_mode_sends_it_once_at_the_first_read(shared_stream, path):
    with Connection(shared_stream) as connection:
        connection.send(b"POST " + path + START + b"Content-Length: 3\r\n\r\n")
        assert connection.response().status == 100
        assert connection.send(b"abc").response().body == b"abc"
        assert connection.alive()


def test_chunked_body_with_expectation(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(b"POST /pull" + START + b"Transfer-Encoding: chunked\r\n\r\n")
        assert connection.response().status == 100
        assert connection.send(chunks(b"ab", b"c")).response().body == b"abc"


def test_answering_without_a_read_sends_none_and_closes(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(b"POST /hello" + START + b"Content-Length: 3\r\n\r\n")
        answer = connection.response()
        assert answer.status == 200 and answer.closes
        assert connection.ending()[0] == b""


def test_no_interim_answer_without_a_body_to_wait_for(shared):
    with Connection(shared) as connection:
        connection.send(b"GET /hello" + START + b"\r\n")
        assert connection.response().status == 200


def test_a_10_client_never_gets_one(shared):
    with Connection(shared) as connection:
        connection.send(b"POST /buffered HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert connection.silent(0.2)
        assert connection.send(b"abc").response().body == b"abc"


def test_its_bytes_count_as_head_bytes(shared_stream):
    with Connection(shared_stream) as connection:
        connection.send(b"POST /pull?counted" + START + b"Content-Length: 3\r\n\r\n")
        connection.response()
        connection.send(b"abc").response()
        taken = connection.received
    stats = shared_stream.expect("hook", query="counted")["stats"]
    assert stats["wire_out"] == taken and stats["body_out"] == 3 and stats["status"] == 200


def test_over_tls(serve):
    server = serve(tls=True, body="stream")
    with Connection(server) as connection:
        connection.send(b"POST /pull" + START + b"Content-Length: 3\r\n\r\n")
        assert connection.response().status == 100
        assert connection.send(b"abc").response().body == b"abc"
