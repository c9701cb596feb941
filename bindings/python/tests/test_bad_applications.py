# SPDX-License-Identifier: MIT
# test_bad_applications - whatever an application or a hook does wrong is named and logged; the server lives.

import socket
import sys

import evy
import pytest
from client import Connection, raw_request


def ok(env, start_response):
    start_response("200 OK", [])
    return [b"ok"]


def started(result):
    """A site that starts well and returns this."""

    def site(env, start_response):
        start_response("200 OK", [])
        return result

    return site


def raising(error):
    def site(env, start_response):
        raise error

    return site


class Odd:
    """Its truth, length and close are traps."""

    close = 3

    def __iter__(self):
        return iter([b"x"])


class OddLength(Odd):
    close = None

    def __len__(self):
        raise ValueError("no length")


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no text")


def recursive(env, start_response):
    return recursive(env, start_response)


@pytest.mark.parametrize(
    "site, text",
    [
        (started(None), "TypeError: the application returned NoneType"),
        (started(b"body"), "TypeError: the application returned bytes"),
        (started(bytearray(b"body")), "TypeError: the application returned bytearray"),
        (started(3), "'int' object is not iterable"),
        (started([1, 2]), "an item of a WSGI body has to be bytes, not int"),
        (started([None]), "an item of a WSGI body has to be bytes, not NoneType"),
        (started(iter([object()])), "an item of a WSGI body has to be bytes, not object"),
        (started({"a": 1}.items()), "an item of a WSGI body has to be bytes, not tuple"),
        (started(OddLength()), "ValueError: no length"),
        (lambda env, start_response: [], r"before start_response\(\)"),
        (lambda env, start_response: [b""], r"before start_response\(\)"),
        (lambda env, start_response: iter([]), r"before start_response\(\)"),
        (lambda env: [b"x"], "TypeError: .*positional argument"),
        (lambda env, start_response: start_response("200 OK"), "TypeError: .*headers"),
        (lambda env, start_response: start_response("200 OK", [], "not exc_info") and 1, "'int' object"),
        (raising(RuntimeError("raised")), "RuntimeError: raised"),
        (raising(Unspeakable()), "Unspeakable"),
        (raising(GeneratorExit()), "GeneratorExit"),
        (raising(StopIteration()), "StopIteration"),
        (raising(MemoryError()), "MemoryError"),
        (recursive, "RecursionError"),
    ],
)
def test_an_answer_of_500_one_traceback_and_life_goes_on(serve, site, text):
    server = serve(lambda env, start_response: (ok if env["QUERY_STRING"] else site)(env, start_response))
    with Connection(server) as connection:
        answer = connection.get("/")
        assert (answer.status, answer.body) == (500, b"Internal Server Error\n")
        assert answer.closes
    server.log.expect(text)
    server.log.expect(r"exception in the application at 'GET /'")
    with Connection(server) as connection:
        assert connection.get("/?ok").body == b"ok"
    assert len(server.log.matching("^Traceback")) == 1


def test_a_close_that_cannot_be_called_is_an_error(serve):
    server = serve(started(Odd()))
    with Connection(server) as connection:
        data, _ = connection.send(raw_request("GET", "/", ["Connection: close"])).ending()
    assert data.startswith(b"HTTP/1.1 200")
    server.log.expect("'int' object is not callable")


@pytest.mark.parametrize(
    "hooks, text",
    [
        ("text", "is a str, not a list"),
        (7, "is a int, not a list"),
        ({"a": 1}, "is a dict, not a list"),
        (["no tuple"], "'no tuple': it has to be a tuple"),
        ([()], r"\(\): it has to be a tuple"),
        ([(print,)], "it has to be a tuple"),
        ([(3, (), {})], "it has to be a tuple"),
        ([(lambda env: None, 3, {})], "must be an iterable, not int|'int' object is not iterable"),
        ([(lambda env: None, (), 3)], "must be a mapping, not int"),
        ([(lambda: None, (), {})], "positional argument"),
    ],
)
def test_hooks_of_the_wrong_shape_are_skipped_and_named(serve, hooks, text):
    ran = []

    def site(env, start_response):
        good = (lambda env: ran.append(env["PATH_INFO"]), (), {})
        env["evy.posthooks"] = [good, *hooks, good] if isinstance(hooks, list) else hooks
        return ok(env, start_response)

    server = serve(site)
    with Connection(server) as connection:
        assert [connection.get("/1").body, connection.get("/2").body] == [b"ok", b"ok"]
    server.log.access(2)
    server.log.expect(text, 2)
    assert ran == (["/1", "/1", "/2", "/2"] if isinstance(hooks, list) else [])


@pytest.mark.parametrize("hooks", [None, [], ()])
def test_no_hooks(serve, hooks):
    def site(env, start_response):
        if hooks is None:
            del env["evy.posthooks"]
        else:
            env["evy.posthooks"] = hooks
        return ok(env, start_response)

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/").body == b"ok"
    server.log.access()
    assert len(server.log.lines) == 2


@pytest.mark.parametrize("length", ["1", None])
def test_a_close_that_is_none_is_no_close(either, length):
    class Unclosed:
        close = None

        def __iter__(self):
            return iter([b"x"])

    def site(env, start_response):
        start_response("200 OK", [("Content-Length", length)] if length else [])
        return Unclosed()

    server = either(site)
    with Connection(server) as connection:
        assert connection.get("/").body == b"x"
    server.log.access()
    assert not server.log.matching("exception")


def test_a_client_cannot_forge_log_lines(serve):
    def site(env, start_response):
        env["RAW_URI"] = "/\n127.0.0.1 - - [forged]\x1b[2J"
        raise RuntimeError("once")

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/").status == 500
    server.log.access()
    assert not [line for line in server.log.lines if line.startswith("127") and "forged" in line]
    assert not server.log.matching("\x1b")


def test_a_client_cannot_forge_log_lines_by_way_of_an_exception(serve):
    """Applications put what they were given into the messages of their exceptions."""

    def site(env, start_response):
        try:
            raise KeyError(env["PATH_INFO"])
        except KeyError:
            error = RuntimeError(f"no user {env['PATH_INFO'][1:]}")
            error.__notes__ = [env["PATH_INFO"][1:]]  # as add_note() of Python 3.11 does
            raise error from None

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/x%0A127.0.0.1%20forged%0d%1B%5B2J%C2%9B").status == 500
    server.log.access()
    text = "\n".join(server.log.lines)
    assert "\nRuntimeError: no user x\n    127.0.0.1 forged\\x0d\\x1b[2J\u00c2\\x9b\n" in text
    assert not [line for line in server.log.lines if line.startswith("127.0.0.1 forged")]
    assert not server.log.matching("\x1b")


def test_a_traceback_keeps_its_shape(serve):
    class Inner:
        class Odd(Exception):
            pass

    def site(env, start_response):
        try:
            raise KeyError("first")
        except KeyError as error:
            try:
                raise Inner.Odd from error
            except Inner.Odd:
                raise ValueError("line 1\nTraceback: no")  # noqa: B904

    server = serve(site)
    with Connection(server) as connection:
        assert connection.get("/").status == 500
    server.log.access()
    edge = [line for line in server.log.lines if line[:1] not in ("", " ", "(")]
    head = "Traceback (most recent call last):"
    assert edge[:3] == [head, "KeyError: 'first'", edge[2]] and "direct cause" in edge[2]
    assert edge[3:6] == [head, f"{__name__}.{Inner.Odd.__qualname__}", edge[5]] and "During" in edge[5]
    assert edge[6:8] == [head, "ValueError: line 1"] and "    Traceback: no" in server.log.lines


def test_exc_info_that_is_none_in_an_error_handler(serve):
    """sys.exc_info() outside of a handler is (None, None, None)."""

    def site(env, start_response):
        start_response("200 OK", [], sys.exc_info())
        return [b"fine"]

    with Connection(serve(site)) as connection:
        assert connection.get("/").body == b"fine"


def closed():
    sock = evy.listen(("127.0.0.1", 0))
    sock.close()
    return sock


def unbound():
    return socket.socket()


def datagram():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def connected():
    with evy.listen(("127.0.0.1", 0)) as listener:
        return evy.connect(listener.getsockname())


def unix_datagram():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind("")
    return sock


@pytest.mark.parametrize(
    "make, error, text",
    [
        (closed, ValueError, "the listening socket is closed"),
        (unbound, ValueError, "bound"),
        (datagram, ValueError, "stream socket"),
        (connected, OSError, "cannot listen on descriptor"),
        (unix_datagram, ValueError, "stream socket"),
        (lambda: open(__file__), ValueError, "not a socket"),
        (lambda: None, TypeError, "a listening socket is needed, not a NoneType"),
        (lambda: 3, TypeError, "not a int"),
        (lambda: [], ValueError, "no address"),
        (lambda: "nowhere", ValueError, "nowhere"),
        (lambda: "unix:/nowhere/at/all.sock", OSError, "/nowhere/at/all.sock"),
    ],
)
def test_sockets_that_cannot_be_served_are_named(make, error, text):
    sock = make()
    with pytest.raises(error, match=text):
        evy.wsgi.Server(sock, ok)
    with pytest.raises(error, match=text):
        evy.wsgi.server(make(), ok)
    if hasattr(sock, "close"):
        sock.close()


def test_a_socket_that_is_bound_and_does_not_listen_yet_is_served():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with evy.wsgi.Server(sock, ok, log_output=False) as server:
            with Connection(server, tls=False) as connection:
                assert connection.get("/").body == b"ok"


def test_an_address_will_do(tmp_path):
    path = tmp_path / "evy.sock"
    addresses = ["127.0.0.1:0", f"unix:{path}?mode=600"]
    with evy.wsgi.Server(addresses, ok, log_output=False) as server:
        assert path.stat().st_mode & 0o777 == 0o600
        with Connection(port=server.ports[0]) as connection:
            assert connection.get("/").body == b"ok"
        with Connection(address=str(path), family=socket.AF_UNIX) as connection:
            assert connection.get("/").body == b"ok"
    assert not path.exists()


@pytest.mark.parametrize(
    "keywords, error, text",
    [
        ({"minimum_chunk_size": -1}, ValueError, "minimum_chunk_size -1"),
        ({"minimum_chunk_size": "many"}, ValueError, "minimum_chunk_size 'many'"),
        ({"trusted_proxies": ["nonsense!"]}, ValueError, "nonsense"),
        ({"proxy_protocol": "sometimes"}, ValueError, "sometimes"),
        ({"access_log": 3}, TypeError, "log is a int"),
        ({"keepalive": "x"}, (TypeError, ValueError), "idle_timeout"),
        ({"environ": 3}, TypeError, "environ"),
        ({"environ": {3: "x"}}, TypeError, "environ"),
        ({"grace": "5"}, TypeError, "grace is a str"),
        ({"grace": -5}, ValueError, "grace -5"),
        ({"grace": float("nan")}, ValueError, "grace nan"),
        # Numbers that have no place in 64 bits: their lower ones alone would be 0, no limit, and 1.
        ({"max_body_size": 2**64}, ValueError, "max_body_size: 18446744073709551616"),
        ({"threads": 2**64 + 1}, ValueError, "threads"),
        ({"url_length_limit": -(2**64) + 4096}, ValueError, "max_request_line"),
        ({"body_timeout": float("nan")}, ValueError, "body_timeout: nan"),
        ({"keepalive": float("inf")}, ValueError, "idle_timeout: inf"),
    ],
)
def test_wrong_keywords_are_named(keywords, error, text):
    with evy.listen(("127.0.0.1", 0)) as sock, pytest.raises(error, match=text):
        evy.wsgi.Server(sock, ok, **keywords)
