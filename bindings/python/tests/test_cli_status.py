# SPDX-License-Identifier: MIT
# test_cli_status - the status page, its figures, and that it never gets in the way.

import os
import re
import signal
import socket

from cli_harness import evy_cli  # noqa: F401
from client import Connection, wait_until


def status(run, target="/status.json", port=None):
    with Connection(port=port or run.status_port) as connection:
        return connection.get(target)


def test_the_pages(evy_cli):
    run = evy_cli("--status-bind", "127.0.0.1:0", "-w", 2, "-n", "shop")
    page = status(run, "/")
    assert page.status == 200 and page["Content-Type"] == "text/html; charset=utf-8"
    # Graphs of its own, drawn anew each time it has asked for figures.
    assert b"createElementNS(space, 'svg')" in page.body and b"await fetch('status.json'" in page.body
    assert not re.search(rb"(src|href)=.?(https?:)?//", page.body)  # nothing from elsewhere
    assert "default-src 'none'" in page["Content-Security-Policy"]
    wait_until(lambda: status(run, "/health").status == 200, "health")
    assert status(run, "/nothing").status == 404
    with Connection(port=run.status_port) as connection:
        refused = connection.request("POST", "/", body=b"x")
        assert refused.status == 405 and refused["Allow"] == "GET, HEAD"
    found = status(run).json()
    assert found["name"] == "shop" and found["pid"] == run.pid and found["application"] == "app:app"
    assert found["addresses"] == [f"http://127.0.0.1:{run.port}"]


def test_the_pages_of_a_daemon(evy_cli, tmp_path):
    run = evy_cli("-D", "-p", "pid", "--log-file", "errors", "--status-bind", "unix:status")
    assert run.process.wait(10) == 0

    def pages():
        with Connection(address=str(tmp_path / "status"), family=socket.AF_UNIX) as connection:
            health, found = connection.get("/health"), connection.get("/status.json")
        return health.status == 200 and found.json()

    try:
        found = wait_until(pages, "a worker that serves")
        assert found["pid"] == int((tmp_path / "pid").read_text()) and len(found["workers"]) == 1
    finally:
        if (tmp_path / "pid").exists():
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    wait_until(lambda: not (tmp_path / "pid").exists(), "the end of the daemon")
    assert "exception" not in (tmp_path / "errors").read_text()


def test_figures_of_all_workers_and_of_those_that_are_gone(evy_cli):
    run = evy_cli("--status-bind", "127.0.0.1:0", "-w", 2)
    for _ in range(20):
        assert run.get().status == 200
    # At once: what the workers have not told yet is among their last words.
    run.signal(signal.SIGHUP)
    run.err.expect("reloaded")
    for _ in range(5):
        run.get()
    wait_until(lambda: status(run).json()["totals"]["requests"] == 25, "25 requests")
    found = wait_until(lambda: len(status(run).json()["workers"]) == 2 and status(run).json(), "two workers")
    assert {one["pid"] for one in found["workers"]} == set(run.workers())
    assert {one["phase"] for one in found["workers"]} == {"ready"}
    assert all(one["resident_bytes"] > 1_000_000 for one in found["workers"])
    metrics = status(run, "/metrics")
    assert metrics["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = metrics.body.decode().splitlines()
    for expected in ('evy_responses_total{status="2xx"} 25', "evy_requests_total 25", "evy_workers 2",
                     "evy_workers_started_total 4", "# TYPE evy_requests_total counter"):  # fmt: skip
        assert expected in lines
    # Those of the old ones, which may have taken some behind the reload too, are in the sums alone.
    assert sum(int(line.split()[1]) for line in lines if line.startswith("evy_worker_requests_total{")) <= 5
    series = [line.rsplit(" ", 1)[0] for line in lines if line[0] != "#"]
    assert len(series) == len(set(series))


def test_active_requests_and_rates(evy_cli):
    run = evy_cli("--status-bind", "127.0.0.1:0")
    with Connection(port=run.port) as connection:
        connection.socket.sendall(b"GET /wait/go HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: status(run).json()["totals"]["active"] == 1, "an active request")

        def has_point(key):
            return any(point[key] > 0 for point in status(run).json()["history"])

        # What the worker says first may hold the request or not, and graphs get a point each second.
        wait_until(lambda: has_point("active"), "a point of the graph")
        wait_until(lambda: has_point("requests"), "a rate")
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    wait_until(lambda: status(run).json()["totals"]["active"] == 0, "no active request")


def test_silent_watchers_hold_up_nobody(evy_cli):
    run = evy_cli("--status-bind", "127.0.0.1:0")
    port = run.status_port
    watchers = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for one in watchers:
        one.sendall(b"GET / HT")
    assert status(run).status == 200
    run.signal(signal.SIGHUP)
    run.err.expect("reloaded")
    assert run.get().body == b"Hello"
    # Workers that were forked meanwhile hold none of the connections: their end reaches the watchers.
    worker = run.workers()[-1]
    assert run.end(signal.SIGTERM) == 0 and worker
    for one in watchers:
        one.settimeout(10)
        while one.recv(4096):
            pass
        one.close()


def test_workers_hold_nothing_of_the_status_server(evy_cli):
    run = evy_cli("--status-bind", "127.0.0.1:0")
    with Connection(port=run.status_port) as watcher:
        assert watcher.get("/status.json").status == 200
        before = set(wait_until(run.workers, "the first worker"))
        run.signal(signal.SIGHUP)
        run.err.expect("reloaded")
        worker = wait_until(lambda: set(run.workers()) - before, "a new worker").pop()
        run.get()
        ours = descriptors(run.pid)
        shared = {what for what in descriptors(worker) & ours if what.startswith("socket:")}
        listening = inode_of_listener(run.port)
        assert shared == {f"socket:[{listening}]"}


def descriptors(pid):
    folder = f"/proc/{pid}/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            found.add(os.readlink(f"{folder}/{name}"))
        except FileNotFoundError:
            continue
    return found


def inode_of_listener(port):
    with open("/proc/net/tcp") as table:
        for line in table:
            words = line.split()
            if words[1].endswith(f":{port:04X}") and words[3] == "0A":
                return words[9]
    raise AssertionError(f"nobody listens on {port}")


def test_health_tells_when_nobody_serves(evy_cli):
    run = evy_cli("--status-bind", f"unix:{evy_cli.folder}/status")

    def health():
        with Connection(address=f"{run.folder}/status", family=socket.AF_UNIX) as connection:
            answer = connection.get("/health")
            return answer.status, answer.body

    run.err.expect("^  status +unix:")
    wait_until(lambda: health() == (200, b"serving\n"), "health")
    run.signal(signal.SIGWINCH)
    wait_until(lambda: health() == (503, b"paused\n"), "a pause")
    assert run.end(signal.SIGTERM) == 0
    assert not (run.folder / "status").exists()


def test_an_upgrade_takes_the_status_page_along(evy_cli):
    run = evy_cli("--status-bind", "127.0.0.1:0", "-p", "pid")
    port = run.status_port
    run.get()
    run.signal(signal.SIGUSR2)
    run.err.expect("^  status ", 2)
    run.err.expect("starts$", 2)
    run.signal(signal.SIGTERM)
    run.process.wait(10)
    found = status(run, port=port).json()
    assert found["pid"] == int((run.folder / "pid").read_text()) != run.pid
