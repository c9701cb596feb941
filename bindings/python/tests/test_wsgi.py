# SPDX-License-Identifier: MIT
# test_wsgi - PEP 3333: start_response, write, exc_info, iterables, close, errors, environ.

import sys
import threading
import wsgiref.validate

import pytest
from client import Connection, chunks, raw_request, wait_until


def answer_of(server, method="GET", target="/", fields=(), body=None):
    with Connection(server) as connection:
        return connection.request(method, target, fields, body)


def fixed(*pieces, headers=(), status="200 OK"):
    """A site with an answer of these pieces."""

    def site(env, start_response):
        start_response(status, list(headers) if headers == () else headers)
        return list(pieces)

    return site


@pytest.mark.filterwarnings("error::wsgiref.validate.WSGIWarning")
@pytest.mark.parametrize("threads", [8, 1])
@pytest.mark.parametrize("result", [list, iter])
def test_the_validator_has_nothing_to_say(either, result, threads):
    seen = []

    def site(env, start_response):
        body = env["wsgi.input"]
        pieces = [body.read(1), body.readline(), *body.readlines(), *body, body.read(5)]
        seen.append(b"".join(pieces))
        env["wsgi.errors"].write("")
        env["wsgi.errors"].flush()
        write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-Empty", "")])
        if env["QUERY_STRING"] == "write":
            write(b"written ")
        return result([b"va", b"", b"lid"])

    server = either(wsgiref.validate.validator(site), threads=threads)
    with Connection(server) as connection:
        assert connection.get("/").body == b"valid"
        assert connection.get("/a%20b/?write", "X-Y: z", "X-Y: \xe9").body == b"written valid"
        assert connection.request("POST", "/?c=d", ["Content-Type: a/b"], b"1\n2\n3").body == b"valid"
        raw = raw_request("PUT", "/", ["Transfer-Encoding: chunked"]) + chunks(b"4\n5", b"6")
        assert connection.send(raw).response().body == b"valid"
        head = connection.request("HEAD", "/")
        assert (head.status, head.body, head["Content-Type"]) == (200, b"", "text/plain")
    assert seen == [b"", b"", b"1\n2\n3", b"4\n56", b""]
    assert not server.log.matching("Traceback")


def test_length_is_known_from_a_list_and_chunked_from_a_generator(serve):
    def generated(env, start_response):
        start_response("200 OK", [])
        yield b"ab"
        yield b""
        yield b"c"

    whole = answer_of(serve(fixed(b"ab", b"", b"c")))
    assert (whole.body, whole["Content-Length"], whole.framing) == (b"abc", "3", "length")
    streamed = answer_of(serve(generated))
    assert (streamed.body, streamed["Content-Length"], streamed.framing) == (b"abc", None, "chunked")
    empty = answer_of(serve(fixed()))
    assert (empty.body, empty["Content-Length"]) == (b"", "0")


def test_head_gets_the_length_and_no_body(serve):
    assert answer_of(serve(fixed(b"12345")), "HEAD")["Content-Length"] == "5"
    assert answer_of(serve(fixed(headers=[("Content-Length", "99")])), "HEAD")["Content-Length"] == "99"
    assert answer_of(serve(fixed()), "HEAD")["Content-Length"] is None


def test_each_piece_goes_out_at_once(serve):
    may_go_on = threading.Semaphore(0)

    def site(env, start_response):
        start_response("200 OK", [("Content-Length", "4")])
        for piece in (b"a", b"b", b"c", b"d"):
            yield piece
            assert may_go_on.acquire(timeout=10)

    with Connection(serve(site)) as connection:
        connection.send(raw_request("GET", "/"))
        for end in (b"\r\n\r\na", b"ab", b"abc", b"abcd"):
            while not connection.reader.buffer.endswith(end):
                connection.reader.more()
            may_go_on.release()
        assert connection.response().body == b"abcd"


def test_minimum_chunk_size_gathers_small_pieces(serve):
    def site(env, start_response):
        start_response("200 OK", [])
        return (b"x" * 10 for _ in range(10))

    server = serve(site, minimum_chunk_size=35)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/", ["Connection: close"]))
        data, _ = connection.ending()
    assert data.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[0::2] == [b"28", b"28", b"14", b"0", b""]


def test_write_comes_ahead_of_the_body(serve):
    def site(env, start_response):
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"two ")
        return [b"three"]

    assert answer_of(serve(site)).body == b"one two three"


def test_exc_info_replaces_an_answer_that_has_not_begun(serve):
    def site(env, start_response):
        start_response("200 OK", [("X-A", "1")])
        try:
            raise ValueError("late")
        except ValueError:
            start_response("503 Service Unavailable", [("X-B", "2")], sys.exc_info())
        return [b"sorry"]

    answer = answer_of(serve(site))
    assert (answer.status, answer["X-A"], answer["X-B"], answer.body) == (503, None, "2", b"sorry")


@pytest.mark.parametrize("threads", [8, 1])
def test_the_head_waits_for_the_first_byte_of_the_body(serve, threads):
    """So an application may change its mind behind empty pieces, and what fails there is a 500."""

    def site(env, start_response):
        start_response("200 OK", [("X-A", "1")])
        yield b""
        try:
            raise ValueError("behind an empty piece")
        except ValueError:
            if env["QUERY_STRING"] == "fail":
                raise
            start_response("503 Service Unavailable", [("X-B", "2")], sys.exc_info())
        yield b"sorry"

    server = serve(site, threads=threads)
    answer = answer_of(server)
    assert (answer.status, answer["X-A"], answer["X-B"], answer.body) == (503, None, "2", b"sorry")
    answer = answer_of(server, target="/?fail")
    assert (answer.status, answer["X-A"], answer.body) == (500, None, b"Internal Server Error\n")


def test_exc_info_after_the_first_byte_raises_it(serve):
    def site(env, start_response):
        start_response("200 OK", [])
        yield b"x"
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Oops", [], sys.exc_info())

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/")).ending()
    server.log.expect("ValueError: too late")


@pytest.mark.parametrize(
    "status, headers, text",
    [
        ("200 OK", [("X-A", "b\r\nX-C: d")], "CR, LF or NUL"),
        ("200 OK", [("X-A\0X-C", "b")], "CR, LF or NUL"),
        ("200 OK\r\nX-C: d", [], "status"),
        ("20X OK", [], "status"),
        ("101 Switching", [], "status"),
        ("200 OK\u20ac", [], "status.*not latin-1"),
        (b"200 OK", [], "TypeError: the status has to be a str"),
        (200, [], "TypeError: the status has to be a str"),
        ("200 OK", [("X A", "b")], "ValueError: response header 'X A': characters not allowed in its name"),
        ("200 OK", [("", "b")], "response header ''"),
        ("200 OK", [("Content-Length", "many")], "ValueError: response header 'Content-Length': 'many'"),
        ("200 OK", [("content-length", "-1")], "ValueError: response header 'content-length': '-1'"),
        ("200 OK", [("X-A", 3)], "TypeError: response header 'X-A': .* 3 is int"),
        ("200 OK", [(b"X-A", "b")], "TypeError: response header b'X-A': .* is bytes"),
        ("200 OK", [("X-A", "b", "c")], r"TypeError: .* has to be a tuple \(name, value\)"),
        ("200 OK", [["X-A", "b"]], r"TypeError: .* has to be a tuple \(name, value\)"),
        ("200 OK", (("X-A", "b"),), "TypeError: response headers have to be a list"),
        ("200 OK", {"X-A": "b"}, "TypeError: response headers have to be a list"),
        ("200 OK", [("X-A", "\u20ac")], "ValueError: response header 'X-A': .* is not latin-1"),
        ("200 OK", [("X-\u20ac", "a")], "ValueError: response header 'X-\u20ac'"),
    ],
)
def test_a_bad_head_is_the_applications_error(serve, status, headers, text):
    server = serve(fixed(b"x", headers=headers, status=status))
    answer = answer_of(server)
    assert (answer.status, answer.body, answer["X-C"]) == (500, b"Internal Server Error\n", None)
    assert answer.closes
    server.log.expect(text)


@pytest.mark.parametrize(
    "site, text",
    [
        (lambda env, start_response: [b"x"], r"before start_response\(\)"),
        (lambda env, start_response: iter([b"x"]), r"before start_response\(\)"),
        (
            lambda env, start_response: start_response("200 OK", []) and start_response("200 OK", []),
            "twice",
        ),
        (lambda env, start_response: start_response("200 OK", []) and None, "TypeError"),
        (fixed(3), "has to be bytes, not int"),
        (fixed("\u00e9"), "UnicodeEncodeError"),
    ],
)
def test_misuse_is_a_500_and_a_traceback_in_the_log(serve, site, text):
    server = serve(site)
    assert answer_of(server).status == 500
    server.log.expect(text)
    server.log.access()
    assert len(server.log.matching("Traceback")) == 1


def test_debug_shows_the_traceback(serve):
    def site(env, start_response):
        raise KeyError("shown")

    answer = answer_of(serve(site, debug=True))
    assert answer.status == 500 and b"KeyError: 'shown'" in answer.body
    assert b"KeyError" not in answer_of(serve(site)).body


def test_a_body_of_another_length_than_promised(serve):
    long = serve(fixed(b"12345", headers=[("Content-Length", "3")]))
    assert answer_of(long).body == b"123"
    short = serve(fixed(b"12345", headers=[("Content-Length", "9")]))
    with Connection(short) as connection:
        data, _ = connection.send(raw_request("GET", "/")).ending()
    assert not data.endswith(b"123456789")


def test_str_is_taken_as_ascii_with_a_warning(serve):
    with pytest.warns(DeprecationWarning, match="bytes, not str"):
        assert answer_of(serve(fixed("Hello", b" ", bytearray(b"you")))).body == b"Hello you"


def test_close_is_called_once_whatever_happens(serve):
    closed = []

    class Result:
        def __init__(self, path):
            self.path = path

        def __iter__(self):
            if self.path == "/fail":
                raise RuntimeError
            return iter([b"x"])

        def close(self):
            closed.append(self.path)

    def site(env, start_response):
        start_response("200 OK", [])
        return Result(env["PATH_INFO"])

    server = serve(site)
    for path in ("/good", "/fail"):
        answer_of(server, target=path)
    server.log.access(2)
    assert closed == ["/good", "/fail"]


def test_header_names_are_capitalized_unless_told_otherwise(serve):
    headers = [("x-tRACE-id", "v"), ("content-type", "text/html")]
    names = [name for name, _ in answer_of(serve(fixed(headers=headers))).fields]
    assert "X-Trace-Id" in names and "Content-Type" in names
    kept = answer_of(serve(fixed(headers=headers), capitalize_response_headers=False))
    assert "x-tRACE-id" in [name for name, _ in kept.fields]


def test_environ(serve):
    environs = []

    def site(env, start_response):
        environs.append(dict(env))
        start_response("200 OK", [])
        return [b""]

    marker = object()
    extra = {
        "my.object": marker,
        "wsgi.url_scheme": "https",
        "REQUEST_METHOD": "NO",
        "wsgi.multiprocess": True,
    }
    server = serve(site, environ=extra)
    answer_of(server, "POST", "/a%C3%A9?q=1", ["X-Two: 1", "X-Two: 2", "Content-Type: a/b"], b"xy")
    env = environs[0]
    assert type(env) is dict
    assert (env["REQUEST_METHOD"], env["PATH_INFO"], env["QUERY_STRING"]) == ("POST", "/a\xc3\xa9", "q=1")
    assert (env["SCRIPT_NAME"], env["SERVER_PROTOCOL"], env["HTTP_X_TWO"]) == ("", "HTTP/1.1", "1, 2")
    assert (env["CONTENT_TYPE"], env["CONTENT_LENGTH"]) == ("a/b", "2")
    assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("127.0.0.1", str(server.port))
    assert (env["REMOTE_ADDR"], env["wsgi.version"], env["wsgi.run_once"]) == ("127.0.0.1", (1, 0), False)
    assert env["my.object"] is marker and env["wsgi.url_scheme"] == "https"
    assert env["wsgi.multiprocess"] is True and env["wsgi.multithread"] is True
    assert env["evy.posthooks"] == [] and env["wsgi.errors"] is sys.stderr
    assert "HTTPS" not in env
    alone = serve(site, threads=1)
    answer_of(alone)
    assert environs[1]["wsgi.multithread"] is False
    odd = serve(site, allow_encoded_nul=True)
    answer_of(odd, target="/a%00b?c")
    assert (environs[2]["PATH_INFO"], environs[2]["QUERY_STRING"]) == ("/a\0b", "c")
    assert environs[2]["evy.posthooks"] is not environs[1]["evy.posthooks"]


def test_a_log_that_fails_does_not_harm(serve, capsys):
    class Broken:
        def write(self, text):
            raise OSError("no space")

    server = serve(fixed(b"x"), log=Broken())
    assert answer_of(server).body == b"x"
    assert wait_until(lambda: "no space" in capsys.readouterr().err, "a word on stderr")
