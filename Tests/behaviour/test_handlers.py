# SPDX-License-Identifier: MIT
# test_handlers - handlers that block, answers from other threads, and the library's own threads.

import contextlib
import os
import signal
import threading

import pytest
from support import FACTOR, Connection, one_loop, pattern, raw_request, wait_until


def test_blocked_handlers_do_not_stall_others(either):
    server = either(threads="8")
    blocked = [Connection(server) for _ in range(4)]
    for connection in blocked:
        connection.send(raw_request("GET", "/gate?id=1"))
    server.expect("call", count=4, step="at-gate")
    with Connection(server) as other:
        for _ in range(50):
            assert other.alive()
    server.command("open", 1)
    for connection in blocked:
        assert connection.response().body == b"opened"
        assert connection.alive()
        connection.close()


@one_loop
def test_up_to_threads_handlers_run_side_by_side(serve):
    server = serve(threads="4")
    blocked = [Connection(server).send(raw_request("GET", "/gate?id=1")) for _ in range(8)]
    server.expect("call", count=4, step="at-gate")
    server.settled(evy_requests_queued=4, evy_threads_busy=4)
    assert blocked[-1].silent(0.1)
    assert len(server.select("call", step="at-gate")) == 4
    server.command("open", 1)
    for connection in blocked:
        assert connection.response().body == b"opened"
        connection.close()


@one_loop
def test_with_one_thread_the_loop_waits_for_the_handler(serve):
    server = serve(threads="1")
    with Connection(server) as blocked, Connection(server) as other:
        blocked.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        other.send(raw_request("GET", "/hello"))
        assert other.silent(0.2)
        server.command("open", 1)
        assert other.response().status == blocked.response().status == 200


UPLOAD = b"POST /pull HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


def finish_uploads(connections):
    for connection in connections:
        connection.send(b"body")
        assert connection.response().status == 200
        connection.close()


@one_loop
def test_handlers_that_wait_for_their_clients_leave_their_places(serve):
    server = serve(threads="2", body="stream")
    waiting = [Connection(server).send(UPLOAD) for _ in range(6)]
    server.settled(evy_threads_busy=6)
    with Connection(server) as other:
        assert other.get("/hello").status == 200
    gated = [Connection(server).send(raw_request("GET", "/gate?id=1")) for _ in range(3)]
    server.settled(evy_requests_queued=1, evy_threads_busy=8)
    finish_uploads(waiting)
    assert len(server.select("call", step="at-gate")) == 2, "those that compute keep to the limit"
    server.command("open", 1)
    for connection in gated:
        assert connection.response().body == b"opened"
        connection.close()


@one_loop
def test_how_many_may_wait_for_their_clients_is_bounded(serve):
    server = serve(threads="2", waiting_threads="1", body="stream")
    waiting = [Connection(server).send(UPLOAD) for _ in range(3)]
    server.settled(evy_threads_busy=3)
    with Connection(server) as other:
        other.send(raw_request("GET", "/hello"))
        server.settled(evy_requests_queued=1)
        finish_uploads(waiting)
        assert other.response().status == 200


def test_many_slow_handlers_among_fast_ones(serve):
    """16 clients: every 25th request sleeps 20 ms; all are answered, in the right order."""
    server, failures = serve("--quiet", "--no-hooks"), []

    def client(number):
        try:
            with Connection(server) as connection:
                for i in range(200):
                    if (i + number) % 25 == 0:
                        assert connection.get("/slow?ms=20").body == b"slow"
                    else:
                        n = (i * 7) % 300
                        assert connection.get(f"/fixed?n={n}").body == pattern(n)
        except Exception as failure:  # told by the main thread
            failures.append(failure)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@one_loop
def test_threads_are_capped_and_given_back(serve):
    server = serve(threads="6")
    blocked = [Connection(server).send(raw_request("GET", "/gate?id=1")) for _ in range(6)]
    server.expect("call", count=6, step="at-gate")
    assert server.threads() <= 6 + 4, "threads beyond the cap"
    assert server.counters()["evy_threads"] >= 6
    server.command("open", 1)
    for connection in blocked:
        connection.response()
        connection.close()
    with Connection(server) as connection:
        assert connection.alive()
    wait_until(lambda: server.counters()["evy_threads"] <= 2, "the rush's threads to go", 40 * FACTOR)
    with Connection(server) as connection:
        assert connection.alive()


@pytest.mark.parametrize("query", ["", "?ms=20", "?how=stream&n=200000", "?how=stream&n=0"])
def test_answers_from_another_thread(either, query):
    server = either()
    with Connection(server) as connection:
        body = pattern(int(query.split("n=")[1])) if "n=" in query else b"deferred"
        for _ in range(3):
            assert connection.get("/deferred" + query).body == body
        assert connection.alive()


def test_deferred_requests_hold_no_thread(serve):
    server = serve(threads="2")
    waiting = [Connection(server).send(raw_request("GET", "/deferred?gate=1")) for _ in range(50)]
    server.expect("call", count=50, step="deferred")
    with Connection(server) as other:
        assert other.alive()
    server.command("open", 1)
    for connection in waiting:
        assert connection.response().body == b"deferred"
        connection.close()


def test_balanced_retains_change_nothing(shared):
    with Connection(shared) as connection:
        assert connection.get("/balanced").body == b"balanced"
        assert connection.alive()


def test_run_serves_on_the_callers_thread_until_stopped(serve):
    server = serve("--run")
    with Connection(server) as connection:
        assert connection.alive()
        assert server.command("stop", 0, 1000) == "EVY_OK"
    assert server.expect("command", name="run")["status"] == "EVY_OK"


def test_run_with_blocked_handlers(serve):
    server = serve("--run", threads="4")
    with Connection(server) as blocked, Connection(server) as other:
        blocked.send(raw_request("GET", "/gate?id=1"))
        server.expect("call", step="at-gate")
        assert other.alive()
        server.command("open", 1)
        assert blocked.response().body == b"opened"


def test_two_servers_in_one_process_live_apart(serve):
    server = serve("--second")
    assert server.second not in (0, server.port)
    with Connection(server) as first, Connection(port=server.second) as second:
        assert first.alive() and second.alive()
        server.command("stop", 0, 1000)
        assert server.command("wait", 0, 5000) == "EVY_OK"
        assert first.rest() == b""
        assert second.alive()
        with pytest.raises(OSError):
            Connection(server)
        with Connection(port=server.second) as third:
            assert third.alive()
    server.command("stop", 1, 0)
    assert server.command("wait", 1, 5000) == "EVY_OK"
    wait_until(lambda: server.threads() <= 2, "the servers' threads to end")


def test_the_library_changes_no_signal_disposition(serve):
    """SIGPIPE, SIGTERM, SIGINT and the rest are as the program had them."""
    server = serve()
    with Connection(server) as connection:
        assert connection.alive()
    with open(f"/proc/{server.pid}/status") as status:
        masks = dict(line.split(":\t") for line in status.read().splitlines() if line.startswith("Sig"))
    with open("/proc/self/status") as status:
        own = dict(line.split(":\t") for line in status.read().splitlines() if line.startswith("Sig"))
    faults = sum(1 << (number - 1) for number in (4, 6, 7, 8, 11))  # a sanitizer catches these
    assert int(masks["SigCgt"], 16) & 0x7FFFFFFF & ~faults == 0
    assert int(masks["SigIgn"], 16) & ~int(own["SigIgn"], 16) == 0
    assert int(masks["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1) == 0
    assert masks["SigBlk"] == own["SigBlk"]


def test_signals_are_for_the_hosts_threads_alone(serve):
    """All that can be blocked is blocked on the library's threads; main and control thread are the host's."""
    server = serve(threads="4")
    blocked = [Connection(server).send(raw_request("GET", "/gate?id=1")) for _ in range(3)]
    server.expect("call", count=3, step="at-gate")
    with Connection(server) as connection:
        assert connection.alive()
    masks = []
    for task in os.listdir(f"/proc/{server.pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that was to spare goes
            with open(f"/proc/{server.pid}/task/{task}/status") as status:
                masks.append(int(next(line for line in status if line.startswith("SigBlk:")).split()[1], 16))
    wanted = sum(1 << (number - 1) for number in (1, 2, 3, 10, 12, 13, 14, 15, 17))
    open_to_signals = [mask for mask in masks if mask & wanted != wanted]
    watchers = 1 if "-fsanitize=thread" in os.environ.get("EVY_CFLAGS", "") else 0
    assert len(masks) >= 5 and len(open_to_signals) <= 2 + watchers, [hex(mask) for mask in masks]
    server.command("open", 1)
    for connection in blocked:
        connection.response()
        connection.close()
