# SPDX-License-Identifier: MIT
# test_loops - several loops in one server: clients are spread, loops do not wait for each other, all end.

import contextlib
import os
import socket

import pytest
from support import PATIENCE, Connection, raw_request, wait_until
from test_hostloop import all_at_once, ask, host

LOOPS = 3
CLIENTS = 64


@contextlib.contextmanager
def clients(count, connect):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect()) for _ in range(count)]


def served_beside_a_blocked_loop(server, connect):
    """How many of many clients are answered while one loop is in a handler; all must be, once it is free."""
    with connect() as blocker, clients(CLIENTS, connect) as others:
        blocker.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        for connection in others:
            connection.send(raw_request("GET", "/hello"))
        wait_until(lambda: server.select("request", path="/hello"), "a request of another loop")
        early = len(server.select("request", path="/hello"))
        server.command("open", 1)
        assert blocker.response().body == b"opened"
        for connection in others:
            assert connection.response().status == 200
        return early


@pytest.mark.parametrize("tls", [None, True], ids=["plain", "tls"])
def test_a_blocked_handler_holds_up_its_own_loop_alone(serve, tls):
    server = serve(loops=LOOPS, threads="1", tls=tls)
    assert served_beside_a_blocked_loop(server, lambda: Connection(server)) > 0
    counters = server.counters()
    assert counters["evy_threads"] == LOOPS
    assert counters["evy_requests_total"] >= CLIENTS + 1, "the figures are those of all loops"


def test_loops_share_a_socket_of_the_host(serve):
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen(CLIENTS * 2)
        server = serve(
            "--listen-fd", str(mine.fileno()), pass_fds=(mine.fileno(),), loops=LOOPS, threads="1"
        )
        assert served_beside_a_blocked_loop(server, lambda: Connection(port=server.ports[0])) > 0
        assert server.command("stop", 0, 1000) == "EVY_OK"
        assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"
        # The host's end is its own: it listens on, and whoever comes waits for it.
        with socket.create_connection(mine.getsockname()):
            mine.settimeout(PATIENCE)
            mine.accept()[0].close()


def test_loops_share_a_unix_socket_and_remove_its_file_once(serve, tmp_path):
    path = tmp_path / "evy.sock"
    server = serve(listen=[f"unix:{path}"], loops=LOOPS)
    with clients(CLIENTS, lambda: Connection(address=str(path), family=socket.AF_UNIX)) as all_of_them:
        for connection in all_of_them:
            assert connection.alive()
    assert server.command("stop", 0, 1000) == "EVY_OK"
    assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"
    assert not path.exists()


def test_an_address_in_use_is_found_out_though_loops_share_it(serve):
    first = serve(loops=LOOPS)
    with pytest.raises(RuntimeError, match="in use"):
        serve(listen=[f"127.0.0.1:{first.port}"], loops=LOOPS)
    with pytest.raises(RuntimeError, match="in use"):
        serve(listen=[f"127.0.0.1:{first.port}"])
    with Connection(first) as connection:
        assert connection.alive()


def test_with_reuse_port_servers_of_several_loops_share_an_address(serve):
    first = serve(loops=LOOPS, reuse_port="true")
    second = serve(listen=[f"127.0.0.1:{first.port}"], loops=2, reuse_port="true")
    assert second.port == first.port
    with clients(CLIENTS, lambda: Connection(first)) as all_of_them:
        for connection in all_of_them:
            assert connection.get("/hello").status == 200
    wait_until(
        lambda: len(first.select("request")) + len(second.select("request")) == CLIENTS, "all to be told of"
    )


def test_a_stop_ends_all_loops_and_lets_their_requests_finish(serve):
    server = serve(loops=LOOPS)
    with clients(CLIENTS, lambda: Connection(server)) as all_of_them:
        for connection in all_of_them:
            connection.send(raw_request("GET", "/deferred?gate=1"))
        server.expect("call", count=CLIENTS, step="deferred")
        assert server.command("stop", 0, 60000) == "EVY_OK"
        assert server.command("wait", 0, 50) == "EVY_E_TIMEOUT"
        server.command("open", 1)
        for connection in all_of_them:
            answer = connection.response()
            assert answer.body == b"deferred" and answer.closes
    assert server.command("wait", 0, PATIENCE * 1000) == "EVY_OK"
    with pytest.raises(OSError):
        Connection(server)


def test_one_loop_for_each_processor(serve):
    server = serve(loops=0, threads="1")
    wait_until(
        lambda: server.counters()["evy_threads"] == len(os.sched_getaffinity(0)), "a thread for each"
    )


def test_one_loop_where_one_processor_may_be_used(serve):
    """That the machine has more is of no use."""
    one = str(min(os.sched_getaffinity(0)))
    server = serve(loops=0, threads="1", wrapper=["taskset", "-c", one])
    with Connection(server) as connection:
        assert connection.alive()
        assert server.settled(evy_threads=1)


@pytest.mark.parametrize("mode", ["work", "pull"])
def test_threads_of_the_host_serve_all_loops(host, monkeypatch, mode):
    monkeypatch.setenv("EVY_TEST_LOOPS", str(LOOPS))
    server = host(mode, str(2 * LOOPS))
    all_at_once(*[lambda: ask(server, "/a", 50)] * 12)
    found = server.stop()
    assert found["foreign"] == 0
    assert (found["hooks"] if mode == "work" else found["done"]) == 12 * 50


PLACES = 3


def busy(server, count):
    """Connections with a request each that is answered when gate 1 opens."""
    request = raw_request("GET", "/deferred?gate=1")
    return [Connection(port=server.ports[0]).send(request) for _ in range(count)]


def test_a_newcomer_gets_any_place_that_is_free(serve):
    """Also one in another loop than the one that the kernel has woken."""
    server = serve(loops=LOOPS, max_connections=LOOPS * PLACES)
    waiting = []
    for number in range(LOOPS * PLACES):
        waiting += busy(server, 1)
        server.expect("call", count=number + 1, step="deferred")
    server.command("open", 1)
    for connection in waiting:
        assert connection.response().status == 200
        connection.close()


def test_whoever_waits_gets_the_place_that_becomes_free_first(serve):
    """In whichever loop that is: those that have not heard of the newcomer look for one, too."""
    server = serve(loops=LOOPS, max_connections=LOOPS * PLACES)
    full = busy(server, LOOPS * PLACES)
    server.expect("call", count=LOOPS * PLACES, step="deferred")
    newcomers = []
    for number, leaving in enumerate(full, 1):
        late = busy(server, 1)[0]
        leaving.reset()
        server.expect("call", count=LOOPS * PLACES + number, step="deferred")
        newcomers.append(late)
    server.command("open", 1)
    for connection in newcomers:
        assert connection.response().status == 200
        connection.close()


@pytest.mark.parametrize("is_shared", [False, True], ids=["own", "shared"])
def test_one_newcomer_costs_one_idle_client_its_place(serve, is_shared):
    """However many loops have heard of the newcomer."""
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen(CLIENTS)
        socket_of_mine = ("--listen-fd", str(mine.fileno())) if is_shared else ()
        server = serve(
            *socket_of_mine, pass_fds=(mine.fileno(),), loops=LOOPS, max_connections=LOOPS * PLACES
        )
        with contextlib.ExitStack() as stack:
            for number in range(1, LOOPS * PLACES + 21):
                assert stack.enter_context(Connection(port=server.ports[0])).alive()
                evicted = max(0, number - LOOPS * PLACES)
                assert server.counters()["evy_connections_evicted_total"] == evicted


def test_who_shares_a_socket_hears_of_those_for_whom_another_has_no_place(serve):
    """Another process, say, that nobody here could tell."""
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen(CLIENTS)
        servers = [
            serve(
                "--listen-fd", str(mine.fileno()), pass_fds=(mine.fileno(),), loops=LOOPS,
                max_connections=LOOPS * PLACES,
            )
            for _ in range(2)
        ]  # fmt: skip
        waiting = busy(servers[0], 2 * LOOPS * PLACES)
        for server in servers:
            server.expect("call", count=LOOPS * PLACES, step="deferred")
        for server in servers:
            server.command("open", 1)
        for connection in waiting:
            assert connection.response().status == 200
            connection.close()
