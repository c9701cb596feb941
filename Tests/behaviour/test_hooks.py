# SPDX-License-Identifier: MIT
# test_hooks - post hooks run once, in order, after the answer, before the access line and the next request.

import pytest
from support import Connection, Closed, Reset, raw_request, wait_until


def order_of(server, path):
    """Names of the hooks of the one request to path, then "access", as they were reported."""
    server.expect("access", path=path)
    return [
        e["name"] if e["event"] == "hook" else "access"
        for e in server.events
        if e["event"] in ("hook", "access") and e.get("path") == path
    ]


def test_several_hooks_run_in_order_then_the_access_line(serve):
    server = serve()
    with Connection(server) as connection:
        assert connection.get("/hooks?n=4").body == b"hooked"
    assert order_of(server, "/hooks") == ["figures", "h1", "h2", "h3", "h4", "access"]


def test_a_hook_may_add_hooks_and_they_run_too(serve):
    server = serve()
    with Connection(server) as connection:
        connection.get("/hooks?n=2&children=2")
    assert order_of(server, "/hooks") == ["figures", "h1", "h2", "child", "child", "access"]


def test_a_hook_added_after_the_answer_runs(serve):
    """The answer is given, the request is not over: the handler still runs."""
    server = serve()
    with Connection(server) as connection:
        connection.get("/hook-after-answer")
    assert server.call("add-late") == "EVY_OK"
    assert order_of(server, "/hook-after-answer") == ["figures", "late", "access"]


def test_the_client_has_its_answer_before_the_hooks_end_and_the_next_request_waits_for_them(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(raw_request("GET", "/hooks?n=1&gate=1") + raw_request("GET", "/hello"))
        assert connection.response().body == b"hooked"
        server.expect("call", step="hook-waits")
        assert connection.silent(0.2)
        assert not server.select("request", path="/hello") and not server.select("access")
        server.command("open", 1)
        assert connection.response().body == b"Hello, World!\r\n"


def test_a_blocked_hook_does_not_stall_other_connections(serve):
    server = serve()
    with Connection(server) as blocked, Connection(server) as other:
        blocked.get("/hooks?n=1&gate=1")
        server.expect("call", step="hook-waits")
        assert other.alive() and other.alive()
        server.command("open", 1)


def test_once_per_request_over_a_thousand_requests_of_one_connection(serve):
    server = serve()
    with Connection(server) as connection:
        for start in range(0, 1000, 50):
            connection.send(raw_request("GET", "/hello") * 50)
            for _ in range(50):
                connection.response()
    hooks = server.expect("hook", count=1000)
    assert [hook["stats"]["requests"] for hook in hooks] == list(range(1, 1001))
    assert len(server.expect("access", count=1000)) == 1000


def test_none_for_requests_refused_before_the_handler(serve):
    server = serve()
    with Connection(server) as connection:
        connection.send(b"BROKEN\r\n\r\n")
        assert connection.response().status == 400
    line = server.expect("access")
    assert "id" not in line and not server.select("hook")


def test_a_request_kept_beyond_its_end_stays_readable_and_takes_no_hooks(serve):
    server = serve()
    with Connection(server) as connection:
        assert connection.get("/keep?gate=1&mark=7").body == b"kept"
        server.expect("access")
        server.command("open", 1)
    kept = server.expect("kept")
    assert kept["query"] == "gate=1&mark=7" and kept["stats"]["status"] == 200 and kept["end"] == "complete"
    assert kept["hook"] == -3, "EVY_E_STATE"


@pytest.mark.parametrize(
    "target, end",
    [
        ("/hello", "complete"),
        ("/chunked?n=9000", "complete"),
        ("/nothing", "handler-error"),
        ("/unfinished", "handler-error"),
        ("/promise?promise=10&send=3", "handler-error"),
        ("/abort?when=before", "aborted"),
        ("/abort?when=body", "aborted"),
        ("/deferred?how=abort", "aborted"),
        ("/deferred?how=release", "handler-error"),
        ("/deferred", "complete"),
    ],
)
def test_the_outcome_is_named(either, target, end):
    server = either()
    with Connection(server) as connection:
        try:
            connection.get(target)
        except (Closed, Reset):
            pass
    hook = server.expect("hook", name="figures")
    assert hook["end"] == end
    access = server.expect("access")
    assert access["end"] == end and access["stats"]["wire_out"] == hook["stats"]["wire_out"]
    assert access["respond"] in (-3, -6), "an answer in the access callback is EVY_E_STATE or _GONE"


@pytest.mark.parametrize(
    "how, ends", [("reset", ("client-reset",)), ("close", ("client-closed", "client-reset", "complete"))]
)
def test_a_client_gone_while_the_handler_works_is_known(either, how, ends):
    """A FIN may close one direction only, so an answer is still taken after it."""
    server = either()
    connection = Connection(server)
    connection.send(raw_request("GET", "/until-gone"))
    server.expect("call", step="waiting")
    getattr(connection, how)()
    assert server.expect("call", step="gone")["result"] == 2
    assert server.call("respond") in ("EVY_E_GONE", "EVY_OK" if how == "close" else None)
    hook = server.expect("hook", name="figures")
    assert hook["end"] in ends and hook["stats"]["kept_alive"] == 0


def test_a_retained_request_learns_that_its_client_is_gone(serve):
    server = serve()
    connection = Connection(server)
    connection.send(raw_request("GET", "/deferred?gate=1"))
    server.expect("call", step="deferred")
    connection.reset()
    with Connection(server) as other:
        assert other.alive()
    server.command("open", 1)
    assert server.call("late-respond") == "EVY_E_GONE"
    assert server.expect("hook", path="/deferred")["end"] == "client-reset"


@pytest.mark.parametrize("target", ["/gate?id=1", "/deferred?gate=1", "/streamed?n=80000000"])
def test_requests_cut_by_a_stop_have_their_hooks(either, target):
    server = either()
    connection = Connection(server, rcvbuf=4096)
    connection.send(raw_request("GET", target))
    server.expect("request")
    if "streamed" in target:
        wait_until(lambda: server.select("call", step="begin"), "the answer's beginning")
    server.command("stop", 0, 100)
    if "gate" in target:
        assert connection.ending()[0] == b""
        server.command("open", 1)
    hook = server.expect("hook", name="figures")
    assert hook["end"] == "shutdown"
    assert server.command("wait", 0, 5000) == "EVY_OK"
    connection.close()
