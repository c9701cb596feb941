# SPDX-License-Identifier: MIT
# test_input - wsgi.input: live, chunked, buffered; 100 Continue; bodies that end early.

import hashlib
import threading

import evy
import pytest
from client import Connection, chunks, pattern, raw_request

BIG = pattern(1_000_000)


def digest(data):
    return hashlib.sha256(data).hexdigest().encode()


@pytest.fixture(params=[8, 1], ids=["live", "buffered"])
def upload(request, serve):
    """upload(use, head and body) is the answer of a site that returns use(env)."""

    def start(use, raw):
        def site(env, start_response):
            body = use(env)
            start_response("200 OK", [])
            return [body]

        with Connection(serve(site, threads=request.param)) as connection:
            return connection.send(raw).response().body

    return start


def chunked_request(*pieces):
    return b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(*pieces)


LINES = b"one\ntwo\n\nfour without end"


@pytest.mark.parametrize(
    "raw", [raw_request("POST", "/", body=LINES), chunked_request(LINES[:6], LINES[6:])]
)
def test_reading(upload, raw):
    def use(env):
        body = env["wsgi.input"]
        assert "HTTP_TRANSFER_ENCODING" not in env and env["CONTENT_LENGTH"] == str(len(LINES))
        first = [body.read(2), body.readline(), body.readline(2), body.read(0), body.readline()]
        assert first == [b"on", b"e\n", b"tw", b"", b"o\n"]
        assert body.readlines() == [b"\n", b"four without end"]
        assert (body.read(), body.read(5), body.readline(), list(body)) == (b"", b"", b"", [])
        return b"ok"

    assert upload(use, raw) == b"ok"


def test_iteration_and_readlines(upload):
    raw = raw_request("POST", "/", body=LINES)
    assert upload(lambda env: b"|".join(env["wsgi.input"]), raw) == b"one\n|two\n|\n|four without end"
    assert upload(lambda env: b"|".join(env["wsgi.input"].readlines(5)), raw) == b"one\n|two\n"


def test_no_body_reads_as_empty(upload):
    assert upload(lambda env: repr(env["wsgi.input"].read()).encode(), raw_request("GET", "/")) == b"b''"


def test_big_bodies(upload):
    pieces = [BIG[at : at + 50_000] for at in range(0, len(BIG), 50_000)]
    for raw in (raw_request("POST", "/", body=BIG), chunked_request(*pieces)):
        assert upload(lambda env: digest(env["wsgi.input"].read()), raw) == digest(BIG)
        assert upload(lambda env: digest(b"".join(iter(lambda: env["wsgi.input"].read(7777), b""))), raw)


def test_an_unread_body_does_not_become_the_next_request(upload, serve):
    def site(env, start_response):
        start_response("200 OK", [])
        return [env["REQUEST_METHOD"].encode()]

    with Connection(serve(site)) as connection:
        connection.send(
            raw_request("POST", "/", body=b"GET /smuggled HTTP/1.1\r\n\r\n") + raw_request("GET", "/")
        )
        assert [connection.response().body for _ in range(2)] == [b"POST", b"GET"]


def test_a_body_is_live(serve):
    """The application has the first half while the client still holds back the second."""
    has_half = threading.Event()

    def site(env, start_response):
        assert env["wsgi.input"].read(5) == b"first"
        has_half.set()
        rest = env["wsgi.input"].read()
        start_response("200 OK", [])
        return [rest]

    with Connection(serve(site, body="stream")) as connection:
        connection.send(raw_request("POST", "/", ["Content-Length: 11"]) + b"first")
        assert has_half.wait(10)
        assert connection.send(b"second").response().body == b"second"


def test_continue_is_sent_at_the_first_read_only(serve):
    def site(env, start_response):
        body = env["wsgi.input"].read() if env["PATH_INFO"] == "/read" else b"unread"
        start_response("200 OK", [])
        return [body]

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/read", ["Content-Length: 3", "Expect: 100-continue"]))
        assert connection.response().status == 100
        assert connection.send(b"abc").response().body == b"abc"
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/no", ["Content-Length: 3", "Expect: 100-continue"]))
        assert connection.response().body == b"unread"


@pytest.mark.parametrize(
    "fields, body, status",
    [
        (["Content-Length: 5000"], b"", 413),
        (["Transfer-Encoding: chunked"], chunks(b"x" * 5000), 413),
        (["Transfer-Encoding: chunked"], b"zz\r\n", 400),
        (["Content-Length: 10"], b"abc", 408),
    ],
)
def test_bodies_that_cannot_be_read_are_the_clients_fault(serve, fields, body, status):
    def site(env, start_response):
        env["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"read"]

    server = serve(site, max_body_size=1000, body_timeout=0.1)
    with Connection(server) as connection:
        connection.send_lenient(raw_request("POST", "/", fields) + body)
        assert connection.response().status == status
    server.log.access()
    assert not server.log.matching("Traceback")


def test_a_client_that_leaves_in_mid_body(serve):
    outcomes = []

    def site(env, start_response):
        env["evy.posthooks"].append((outcomes.append, (), {}))
        try:
            env["wsgi.input"].read()
        except OSError as error:
            outcomes.append(error)
            raise

    server = serve(site, body="stream")
    with Connection(server) as connection:
        connection.send(raw_request("POST", "/", ["Content-Length: 10"]) + b"abc")
        while not outcomes and not connection.silent(0.05):
            pass
        connection.reset()
    server.log.access()
    assert isinstance(outcomes[0], OSError) and outcomes[1]["evy.aborted"] == "client-reset"
    assert not server.log.matching("Traceback")


def with_trailers(*pieces):
    return b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunks(
        *pieces, last=b"0\r\nX-Sum: 42\r\n\r\n"
    )


def test_everything_a_file_can_do(upload):
    def use(env):
        body = env["wsgi.input"]
        room = bytearray(4)
        assert (body.readinto(room), bytes(room)) == (4, b"one\n")
        assert body.readable() and not body.closed
        assert [next(body), next(body)] == [b"two\n", b"\n"]
        assert (body.readinto(bytearray(0)), body.read(4), body.read()) == (0, b"four", b" without end")
        assert body.readinto(room) == 0
        return b"ok"

    for raw in (raw_request("POST", "/", body=LINES), chunked_request(LINES)):
        assert upload(use, raw) == b"ok"


def test_trailers(upload):
    def use(env):
        env["wsgi.input"].read()
        return repr(env["evy.trailers"]).encode()

    assert upload(use, with_trailers(b"a", b"b")) == b"(('X-Sum', '42'),)"
    assert upload(use, chunked_request(b"a")) == b"()"


def test_chunks_may_be_streamed(serve):
    """The application has the first chunk while the client still holds back the second."""
    has_half, trailers = threading.Event(), []

    def site(env, start_response):
        assert env["HTTP_TRANSFER_ENCODING"] == "chunked" and "CONTENT_LENGTH" not in env
        env["evy.posthooks"].append((lambda env: trailers.append(env["evy.trailers"]), (), {}))
        assert env["wsgi.input"].read(5) == b"first"
        has_half.set()
        rest = env["wsgi.input"].read()
        start_response("200 OK", [])
        return [rest]

    server = serve(site, chunked_input="stream")
    with Connection(server) as connection:
        raw = with_trailers(b"first", b"second")
        at = raw.index(b"6\r\nsecond")
        connection.send(raw[:at])
        assert has_half.wait(10)
        assert connection.send(raw[at:]).response().body == b"second"
    server.log.access()
    assert trailers == [(("X-Sum", "42"),)]


def test_broken_chunks_of_a_stream_are_an_error_of_their_own(serve):
    errors = []

    def site(env, start_response):
        try:
            env["wsgi.input"].read()
        except ValueError as error:
            errors.append(error)
            raise

    with Connection(serve(site, chunked_input="stream")) as connection:
        connection.send(raw_request("POST", "/", ["Transfer-Encoding: chunked"]) + b"5\r\nabcdeXX")
        assert connection.response().status == 400
    assert isinstance(errors[0], evy.wsgi.ChunkReadError) and isinstance(errors[0], OSError)


def test_reading_in_another_thread_and_too_late(serve):
    bodies, results = [], []

    def read(body):
        try:
            results.append(body.read())
        except ValueError as error:
            results.append(str(error))

    def site(env, start_response):
        bodies.append(env["wsgi.input"])
        if env["PATH_INFO"] == "/thread":
            thread = threading.Thread(target=read, args=bodies)
            thread.start()
            thread.join()
        start_response("200 OK", [])
        return [b"x"]

    server = serve(site, body="stream")
    with Connection(server) as connection:
        connection.request("POST", "/thread", body=b"body")
        assert results.pop() == b"body" and bodies.pop()
        connection.request("POST", "/", body=b"body")
    read(bodies[0])
    assert "over" in results[0]


def test_wrong_chunked_input_is_named():
    with evy.listen(("127.0.0.1", 0)) as sock, pytest.raises(ValueError, match="chunked_input 'live'"):
        evy.wsgi.Server(sock, print, chunked_input="live")
