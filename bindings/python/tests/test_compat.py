# SPDX-License-Identifier: MIT
# test_compat - compat='eventlet': what it restores, row by row, and that nothing of it is there otherwise.

import evy
import pytest
from client import Connection, chunks, raw_request, wait_until

ALIASES = ("posthooks", "input", "minimum_write_chunk_size", "set_idle")


class Site:
    def __init__(self):
        self.environs = []

    def __call__(self, env, start_response):
        self.environs.append(dict(env))
        start_response("200 OK", [("x-lower", "v")])
        return (b"x" * 1000 for _ in range(6))


@pytest.fixture(params=["eventlet", None])
def compat(request):
    return request.param


def test_environ(serve, compat):
    site = Site()
    fields = ["X-Two: 1", "X-Two: 2", "Cookie: a=1", "Cookie: b=2"]
    with Connection(serve(site, compat=compat)) as connection:
        for target in ("/", "/?", "/?a"):
            connection.get(target, *fields)
    env, queries = site.environs[0], [one.get("QUERY_STRING") for one in site.environs]
    assert env["SERVER_PROTOCOL"] == ("HTTP/1.0" if compat else "HTTP/1.1")
    assert env["HTTP_X_TWO"] == ("1,2" if compat else "1, 2")
    assert queries == ([None, "", "a"] if compat else ["", "", "a"])
    assert env.get("CONTENT_TYPE") == ("text/plain" if compat else None)
    for name in ALIASES:
        assert (f"eventlet.{name}" in env) == bool(compat)
    if compat:
        assert env["headers_raw"] == env["evy.headers_raw"]
        assert env["headers_raw"][1:3] == (("X-Two", "1"), ("X-Two", "2"))
        for name in ALIASES:
            assert env[f"eventlet.{name}"] == env[f"evy.{name}"]
        assert env["eventlet.minimum_write_chunk_size"] == 4096
    else:
        assert "headers_raw" not in env


def test_small_pieces_gather(serve, compat):
    with Connection(serve(Site(), compat=compat)) as connection:
        data, _ = connection.send(raw_request("GET", "/", ["Connection: close"])).ending()
    sizes = [int(size, 16) for size in data.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[0::2] if size]
    assert sizes == ([5000, 1000, 0] if compat else [1000] * 6 + [0])


@pytest.mark.parametrize("key", ["eventlet.minimum_write_chunk_size", "evy.minimum_write_chunk_size"])
def test_environ_may_turn_gathering_off(serve, key):
    def site(env, start_response):
        env[key] = 0
        start_response("200 OK", [])
        return (b"x" * 10 for _ in range(3))

    with Connection(serve(site, compat="eventlet")) as connection:
        data, _ = connection.send(raw_request("GET", "/", ["Connection: close"])).ending()
    assert data.count(b"a\r\nxxxxxxxxxx") == 3


def test_a_missing_host_is_served(serve, compat):
    with Connection(serve(Site(), compat=compat)) as connection:
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.response().status == (200 if compat else 400)


def test_other_expectations_are_passed_over(serve, compat):
    with Connection(serve(Site(), compat=compat)) as connection:
        connection.send(raw_request("GET", "/", ["Expect: miracles"]))
        assert connection.response().status == (200 if compat else 417)


@pytest.mark.parametrize("threads", [8, 1])
def test_chunked_bodies_are_live_where_bodies_can_be(serve, compat, threads):
    seen = []

    def site(env, start_response):
        seen.append((env.get("HTTP_TRANSFER_ENCODING"), env.get("CONTENT_LENGTH")))
        body = env["wsgi.input"].readline() + env["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(
        b"one\ntwo", b"three"
    )
    with Connection(serve(site, compat=compat, threads=threads)) as connection:
        assert connection.send(raw).response().body == b"one\ntwothree"
    assert seen == [("chunked", None) if compat and threads > 1 else (None, "12")]


def test_start_response_may_be_called_again(serve, compat):
    def site(env, start_response):
        start_response("200 OK", [("X-A", "1")])
        start_response("201 Created", [("X-B", "2")])
        return [b"x"]

    with Connection(serve(site, compat=compat)) as connection:
        answer = connection.get("/")
    assert (answer.status, answer["X-A"]) == ((201, None) if compat else (500, None))


@pytest.mark.parametrize("key", ["eventlet.posthooks", "evy.posthooks"])
def test_hooks_under_either_name(serve, key):
    seen = []

    def site(env, start_response):
        env[key].append((lambda env, word: seen.append(word), ("appended",), {}))
        if env["QUERY_STRING"] == "replace":
            env[key] = [(lambda env: seen.append("replaced"), (), {})]
        start_response("200 OK", [])
        return [b""]

    with Connection(serve(site, compat="eventlet")) as connection:
        assert connection.get("/?").status == 200
        wait_until(lambda: seen == ["appended"], "the hook")
        connection.get("/?replace")
        wait_until(lambda: "replaced" in seen, "the other hook")
    assert seen.count("replaced") == 1


def test_header_names_are_capitalized(serve, compat):
    with Connection(serve(Site(), compat=compat)) as connection:
        assert "X-Lower" in [name for name, _ in connection.get("/").fields]


def test_other_ancestors_are_refused():
    with evy.listen(("127.0.0.1", 0)) as sock, pytest.raises(ValueError, match="compat 'gunicorn'"):
        evy.wsgi.Server(sock, Site(), compat="gunicorn")


@pytest.mark.parametrize("debug", [True, False])
def test_an_exception_is_told_in_full_or_not_at_all(serve, compat, debug):
    def site(env, start_response):
        raise KeyError("why")

    with Connection(serve(site, compat=compat, debug=debug)) as connection:
        body = connection.get("/").body
    assert (b"KeyError" in body) == debug
    assert debug or body == (b"" if compat else b"Internal Server Error\n")
