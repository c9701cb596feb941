# SPDX-License-Identifier: MIT
# test_interim - 103 Early Hints and 100 Continue, with headers, and more than once.

import pytest
from client import Connection, raw_request

EXPECTING = raw_request("POST", "/", ["Content-Length: 3", "Expect: 100-Continue"])


def test_early_hints_leave_at_once(serve):
    """The client has them while the application still waits for the client."""

    def site(env, start_response):
        env["wsgi.early_hints"]([("Link", "</a.css>; rel=preload"), ("X-Kept", "as is")])
        env["wsgi.early_hints"]([("link", "</b.css>")])
        body = env["wsgi.input"].read()
        start_response("200 OK", [])
        env["wsgi.early_hints"]([("Link", "</before-the-first-byte>")])
        return [body]

    server = serve(site, body="stream")
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/", ["Content-Length: 3"]))
        hints = [connection.response(), connection.response()]
        assert [one.status for one in hints] == [103, 103]
        assert hints[0].fields == [("Link", "</a.css>; rel=preload"), ("X-Kept", "as is")]
        assert hints[1].fields == [("link", "</b.css>")]
        connection.send(b"abc")
        assert [connection.response().status, connection.response().body] == [103, b"abc"]
    with Connection(server) as connection:
        answer = connection.request("POST", "/", body=b"abc", version="1.0")
        assert (answer.status, answer.body) == (200, b"abc")


def test_hints_after_the_first_byte_are_left_out(serve):
    def site(env, start_response):
        start_response("200 OK", [])
        yield b"a"
        env["wsgi.early_hints"]([("Link", "</late>")])
        yield b"b"

    with Connection(serve(site)) as connection:
        assert connection.get("/").body == b"ab"


@pytest.mark.parametrize("headers", [[("X", "a\r\nb")], [("X", 3)], "text", [("Bad Name", "")]])
def test_wrong_hints_are_the_applications_error(serve, headers):
    def site(env, start_response):
        env["wsgi.early_hints"](headers)

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/").status == 500
    server.log.expect("(Type|Value)Error: response header")


def test_headers_of_100_continue(serve):
    def site(env, start_response):
        body = env["wsgi.input"]
        body.set_hundred_continue_response_headers([("x-one", "1"), ("X-Two", "2")])
        data = body.read()
        start_response("200 OK", [])
        return [data]

    server = serve(site)
    with Connection(server) as connection:
        connection.send(EXPECTING)
        go_on = connection.response()
        assert (go_on.status, go_on.fields) == (100, [("X-One", "1"), ("X-Two", "2")])
        assert connection.send(b"abc").response().body == b"abc"
        # Who does not wait for it does not get it.
        assert connection.request("POST", "/", body=b"def").body == b"def"


def test_several_100_continue(serve):
    def site(env, start_response):
        body = env["wsgi.input"]
        assert body.read(1) == b"a"
        for number in "12":
            body.set_hundred_continue_response_headers(
                [("x-turn", number)], capitalize_response_headers=False
            )
            body.send_hundred_continue_response()
        rest = body.read()
        start_response("200 OK", [])
        yield rest
        body.send_hundred_continue_response()

    with Connection(serve(site)) as connection:
        connection.send(EXPECTING)
        assert connection.response().fields == []
        connection.send(b"a")
        turns = [connection.response(), connection.response()]
        assert [(one.status, one.fields) for one in turns] == [(100, [("x-turn", n)]) for n in "12"]
        assert connection.send(b"bc").response().body == b"bc"


def test_100_continue_of_a_request_without_a_body(serve):
    def site(env, start_response):
        env["wsgi.input"].send_hundred_continue_response()
        start_response("200 OK", [])
        return [b"x"]

    with Connection(serve(site)) as connection:
        connection.send(raw_request("GET", "/"))
        assert [connection.response().status for _ in range(2)] == [100, 200]
