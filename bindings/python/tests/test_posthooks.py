# SPDX-License-Identifier: MIT
# test_posthooks - post hooks: order, exactly once, isolation, and what environ tells them.

import threading
import time

import pytest
from client import Connection, raw_request, wait_until


class Body:
    """An iterable whose close() is noted."""

    def __init__(self, pieces, on_close):
        self.pieces, self.close = pieces, on_close

    def __iter__(self):
        return iter(self.pieces)


def test_order_isolation_and_the_same_environ(serve):
    seen, environs = [], []

    def hook(env, name, mark=None):
        seen.append((name, mark, env["x.y"]))
        environs.append(env)
        if name == "h2":
            raise RuntimeError("h2 raises")
        if name == "h3":
            server.log.write("h3 done\n")

    def site(env, start_response):
        environs.append(env)
        env["x.y"] = 42
        for name in ("h1", "h2", "h3"):
            env["evy.posthooks"].append((hook, (name,), {"mark": "kw"}))
        start_response("200 OK", [])
        return Body([b"x"], lambda: seen.append("close"))

    server = serve(site)
    with Connection(server) as connection:
        connection.get("/")
    server.log.access()
    assert seen == ["close", ("h1", "kw", 42), ("h2", "kw", 42), ("h3", "kw", 42)]
    assert all(env is environs[0] for env in environs)
    log = server.log
    h3, access = log.lines.index("h3 done"), log.lines.index(log.access())
    assert log.lines.index("RuntimeError: h2 raises") < h3 < access
    assert len(log.matching("Traceback")) == 1


def test_once_each_over_a_thousand_requests(serve):
    calls = []

    def site(env, start_response):
        number = env["QUERY_STRING"]
        for name in ("h1", "h2", "h3"):
            env["evy.posthooks"].append((lambda env, name: calls.append((number, name)), (name,), {}))
        start_response("200 OK", [])
        return [number.encode()]

    server = serve(site)
    with Connection(server) as connection:
        for number in range(1000):
            assert connection.get(f"/?{number}").body == str(number).encode()
    wait_until(lambda: len(calls) >= 3000, "3,000 hooks")
    assert calls == [(str(number), name) for number in range(1000) for name in ("h1", "h2", "h3")]
    assert len(server.log.access(1000)) == 1000


def test_a_hook_may_add_hooks_and_the_application_may_replace_the_list(serve):
    seen = []

    def first(env):
        env["evy.posthooks"].append((lambda env: seen.append("added"), (), {}))
        seen.append("first")

    def site(env, start_response):
        env["evy.posthooks"] = [(first, (), {}), "no hook", (seen.append,)]
        start_response("200 OK", [])
        return [b""]

    server = serve(site)
    with Connection(server) as connection:
        connection.get("/")
    server.log.access()
    assert seen == ["first", "added"]
    assert len(server.log.matching("exception in post hook")) == 2


@pytest.mark.parametrize("where", ["call", "iteration", "close"])
def test_hooks_run_when_the_application_fails(serve, where):
    ends, has_arrived = [], threading.Event()

    def fail():
        raise RuntimeError("on purpose")

    def pieces():
        yield b"x"
        if where == "iteration":
            has_arrived.wait(10)
            fail()

    def site(env, start_response):
        env["evy.posthooks"].append(
            (lambda env: ends.append((env["evy.status"], env["evy.aborted"])), (), {})
        )
        if where == "call":
            fail()
        start_response("200 OK", [("Content-Length", "10" if where == "iteration" else "1")])
        return Body(pieces(), fail if where == "close" else lambda: None)

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/"))
        while where == "iteration" and not connection.reader.buffer.endswith(b"\r\n\r\nx"):
            connection.reader.more()
        has_arrived.set()
        connection.ending() if where == "iteration" else connection.response()
    server.log.access()
    expected = {"call": (500, None), "iteration": (200, "handler-error"), "close": (200, None)}
    assert ends == [expected[where]]
    assert len(server.log.matching("RuntimeError: on purpose")) == 1


def test_the_next_request_waits_for_the_hooks(serve):
    may_end, seen = threading.Event(), []

    def hook(env):
        may_end.wait(10)
        seen.append("hook " + env["PATH_INFO"])

    def site(env, start_response):
        seen.append("site " + env["PATH_INFO"])
        env["evy.posthooks"].append((hook, (), {}))
        start_response("200 OK", [])
        return [b"x"]

    server = serve(site)
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/1") + raw_request("GET", "/2"))
        assert connection.response().body == b"x"
        with Connection(server) as other:
            other.send(raw_request("GET", "/other")).response()
        may_end.set()
        connection.response()
    server.log.access(3)
    assert seen.index("hook /1") < seen.index("site /2")


def test_environ_tells_the_outcome(either):
    outcomes = []

    def site(env, start_response):
        env["evy.posthooks"].append((lambda env: outcomes.append(env), (), {}))
        assert not any(key in env for key in ("evy.status", "evy.aborted", "evy.bytes_sent"))
        env["wsgi.input"].read()
        start_response("201 Created", [])
        return iter([b"ab", b"", b"cde"])

    server = either(site, body="stream")
    with Connection(server) as connection:
        answer = connection.request("POST", "/", body=b"12345678")
    server.log.access()
    env = outcomes[0]
    assert (env["evy.status"], env["evy.aborted"], env["evy.content_length"]) == (201, None, None)
    assert (env["evy.body_bytes"], env["evy.bytes_received"]) == (5, 8)
    assert env["evy.bytes_sent"] == answer.byte_count == env["evy.head_bytes"] + 5
    assert 0 <= env["evy.bytes_acked"] <= answer.byte_count
    assert 0 < env["evy.wall_seconds"] < 5
    with pytest.raises(ValueError, match="over"):
        env["wsgi.input"].read()


def test_environ_tells_of_the_connection_and_of_times(either):
    outcomes, pause = [], 0.05

    def site(env, start_response):
        env["evy.posthooks"].append((outcomes.append, (), {}))
        start_response("200 OK", [("Content-Length", "3")])
        time.sleep(pause)
        return [b"abc"]

    server = either(site)
    requests = [raw_request("GET", "/"), raw_request("POST", "/", ["Connection: close"], b"12345678")]
    with Connection(server) as connection:
        for number, raw in enumerate(requests, 1):
            connection.send(raw).response()
            server.log.access(number)
    assert [env["evy.requests_on_connection"] for env in outcomes] == [1, 2]
    assert [env["evy.kept_alive"] for env in outcomes] == [True, False]
    assert [env["evy.wire_received"] for env in outcomes] == [len(raw) for raw in requests]
    assert [env["evy.content_length"] for env in outcomes] == [3, 3]
    for env in outcomes:
        assert pause <= env["evy.first_byte_seconds"] <= env["evy.wall_seconds"] < 5
