# SPDX-License-Identifier: MIT
# test_hostloop - loops and threads of the host: steps, lent threads, pulled requests, wake-ups, tasks.

import os
import re
import signal
import subprocess
import threading
import time

import pytest
from support import PATIENCE, SANITIZER, Connection, one_loop, raw_request


class Host:
    """The program hostloop in one of its modes."""

    def __init__(self, programs, *arguments):
        self.process = subprocess.Popen(
            [programs["hostloop"], *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        word, port = self.process.stdout.readline().split()
        assert word == "ready"
        self.port = int(port)
        self.received = []

    def connect(self):
        return Connection(port=self.port)

    def hear(self, wanted):
        """Waits for that line."""
        killer = threading.Timer(PATIENCE, self.process.kill)
        killer.start()
        while (line := self.process.stdout.readline().strip()) != wanted:
            assert line, f"waited in vain for {wanted}"
        killer.cancel()

    def stop(self):
        """Its last line as numbers by name."""
        out, errors = self.process.communicate("stop\n", timeout=3 * PATIENCE)
        assert self.process.returncode == 0 and not SANITIZER.search(errors.encode()), errors
        assert "hostloop:" not in errors
        return {key: int(value) for key, value in re.findall(r"(\w+) (\d+)", out)}


@pytest.fixture
def host(programs):
    hosts = []

    def start(*arguments):
        hosts.append(Host(programs, *arguments))
        return hosts[-1]

    yield start
    for one in hosts:
        one.process.kill()
        one.process.wait()
        for stream in (one.process.stdin, one.process.stdout, one.process.stderr):
            stream.close()


def ask(host, target, count):
    """Asks on one connection; the bytes of the answers are added to host.received."""
    with host.connect() as connection:
        for _ in range(count):
            response = connection.get(target)
            assert response.body == target.encode()
            host.received.append(response.byte_count)


def all_at_once(*calls):
    faults = []

    def run(call):
        try:
            call()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults


def test_a_stepped_server_serves_in_the_hosts_thread_alone(host):
    stepped = host("step")
    all_at_once(*[lambda: ask(stepped, "/a", 100)] * 4, lambda: ask(stepped, "/slow", 2))
    found = stepped.stop()
    assert found["foreign"] == found["hooks"] == 402 and found["most"] == 1
    assert found["steps"] < 2000, "the descriptor was readable without need"


def test_an_idle_stepped_server_is_not_stepped(host):
    stepped = host("step")
    with stepped.connect() as connection:
        connection.get("/a")
        assert connection.silent(0.5)
    assert stepped.stop()["steps"] < 30


def test_a_step_inside_a_step_is_refused(host):
    stepped = host("step")
    ask(stepped, "/within", 3)
    assert stepped.stop()["hooks"] == 3


def test_a_stepping_thread_takes_a_socket_in_its_handler_alone(host):
    stepped = host("step")
    ask(stepped, "/later", 3)
    with stepped.connect() as connection:
        connection.send(raw_request("GET", "/take"))
        assert connection.rest() == b"taken"
    assert stepped.stop()["hooks"] == 4


def test_a_stepped_server_can_be_freed_by_its_handler(host):
    stepped = host("free")
    with stepped.connect() as connection:
        connection.send(raw_request("GET", "/free"))
        data, _ = connection.ending()
    assert data.startswith(b"HTTP/1.1 200 ") or not data
    assert stepped.stop()["hooks"] == 1


def test_a_stepped_server_can_be_freed_while_another_thread_asks_for_its_deadline(host):
    """It waited for a step that nobody made; ThreadSanitizer sees both read the timers."""
    assert host("deadline").stop()["freed"] == 50


def test_lent_threads_run_every_handler_and_nobody_else_does(host):
    lender = host("work", "6")
    # So often that all four meet though a busy machine keeps one or the other back.
    all_at_once(*[lambda: ask(lender, "/slow", 10)] * 4, *[lambda: ask(lender, "/a", 200)] * 2)
    found = lender.stop()
    assert found["foreign"] == 0 and found["hooks"] == found["complete"] == 440
    assert 4 <= found["most"] <= 6


@one_loop
def test_one_lent_thread_serves_one_after_the_other(host):
    lender = host("work", "1")
    all_at_once(*[lambda: ask(lender, "/a", 50)] * 3)
    found = lender.stop()
    assert found["foreign"] == 0 and found["hooks"] == 150 and found["most"] == 1


@one_loop
@pytest.mark.parametrize("when", ["short", "late"])
def test_a_host_lends_more_threads_while_handlers_wait_for_their_clients(host, when):
    lender = host(when, "3")
    lender.hear("here 3")
    uploads = [lender.connect() for _ in range(8)]
    for upload in uploads:
        upload.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
    # One for each of them, and one for the loop. No body comes until somebody else has been served.
    lender.hear("lent 9")
    ask(lender, "/a", 20)
    for upload in uploads:
        upload.send(b"body")
        assert upload.response().body == b"/body"
        upload.close()
    found = lender.stop()
    assert found["foreign"] == 0 and found["hooks"] == found["complete"] == 28
    assert 9 <= found["lent"] <= 24


def test_a_server_that_no_thread_was_lent_to_can_be_freed(host):
    unlent = host("unlent")
    with unlent.connect() as connection:
        connection.send(raw_request("GET", "/a"))
        found = unlent.stop()
        assert connection.ending()[0] == b""
    assert found == {"drops": 1, "hooks": 0}


def test_who_waits_for_a_server_without_lent_threads_ends_it(host):
    unlent = host("waited")
    with unlent.connect() as connection:
        connection.send(raw_request("GET", "/a"))
        assert unlent.stop() == {"hooks": 1, "complete": 1}
        answer = connection.response()
        assert answer.body == b"/a" and answer.closes


@one_loop
def test_the_loop_is_never_without_a_thread_where_several_are_lent(host):
    """As many handlers as there are threads would leave nobody to answer the others."""
    lender = host("work", "3")
    all_at_once(*[lambda: ask(lender, "/slow", 3)] * 6)
    found = lender.stop()
    assert found["foreign"] == 0 and found["complete"] == 18 and found["most"] == 2


def test_pulled_requests_come_with_their_end(host):
    puller = host("pull", "4")
    all_at_once(*[lambda: ask(puller, "/slow", 10)] * 3, *[lambda: ask(puller, "/a", 200)] * 2)
    found = puller.stop()
    assert found["done"] == 430 and 3 <= found["most"] <= 4
    assert found["wire"] == sum(puller.received)


def test_what_nobody_pulls_is_cut_with_the_server(host):
    puller = host("pull", "0")
    with puller.connect() as connection:
        connection.send(raw_request("GET", "/a"))
        assert connection.silent(0.2)
        found = puller.stop()
        assert connection.ending()[0] == b""
    assert found["done"] == 0


@pytest.mark.skipif(
    "-fsanitize=thread" in os.environ.get("EVY_CFLAGS", ""),
    reason="ThreadSanitizer keeps a signal back while its thread waits in a system call it does not know",
)
@pytest.mark.parametrize("mode", ["wake", "woken-step"], ids=["next", "step"])
def test_wake_ends_a_wait_from_a_signal_handler(host, mode):
    woken = host(mode)
    assert woken.process.stdout.readline() == "waiting\n"
    deadline = time.monotonic() + PATIENCE
    while woken.process.poll() is None and time.monotonic() < deadline:
        # Until it is in its wait, a signal finds nothing to end, and the next one must.
        os.kill(woken.process.pid, signal.SIGUSR1)
        try:
            woken.process.wait(0.01)
        except subprocess.TimeoutExpired:
            pass
    assert woken.process.returncode == 0 and woken.process.stdout.read() == "woken\n"


def test_tasks_and_timers_keep_their_promises(programs):
    run = subprocess.run([programs["tasks"], "100000"], capture_output=True, text=True, timeout=3 * PATIENCE)
    assert run.returncode == 0 and not SANITIZER.search(run.stderr.encode()), run.stdout + run.stderr
