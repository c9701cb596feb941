# SPDX-License-Identifier: MIT
# test_fork - forks at any moment: the child leaves the parent's server alone, and the parent does not notice.

import os
import subprocess
import threading

import pytest
from support import PATIENCE, SANITIZER, Connection, Reset, raw_request, wait_until


class Forks:
    """The program of forks.c, and what its clients found."""

    def __init__(self, program, *options):
        self.process = subprocess.Popen(
            [program, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.port = int(self.process.stdout.readline())
        self.pid, self.tls = self.process.pid, False

    def tell(self, command):
        self.process.stdin.write(f"{command}\n")
        return self.process.stdout.readline().strip()

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connections(self):
        """Descriptors of sockets the process itself has."""
        found = 0
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found += os.readlink(f"/proc/{self.pid}/fd/{name}").startswith("socket:")
            except FileNotFoundError:
                pass
        return found

    def finish(self):
        self.process.stdin.close()
        code = self.process.wait(3 * PATIENCE)
        text = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == 0 and not SANITIZER.search(text.encode()), (code, text)


@pytest.fixture
def forks(programs):
    started = []

    def start(*options):
        started.append(Forks(programs["forks"], *options))
        return started[-1]

    yield start
    for one in started:
        one.finish()


class Load:
    """Clients that ask until told to stop; every answer must be right."""

    def __init__(self, port, count=4):
        self.port, self.answers, self.faults = port, 0, []
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        try:
            while not self.is_over.is_set():
                with Connection(port=self.port) as connection:
                    for turn in range(20):
                        body = bytes([number, turn]) * 3000
                        assert connection.request("POST", "/body", body=body).body == body
                        self.answers += 1
        except Exception as fault:
            self.faults.append(fault)

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults[:3]
        return self.answers


def alive(server):
    with Connection(port=server.port) as connection:
        return connection.get("/hello").body == b"Hello"


COUNT = int(os.environ.get("EVY_FORKS", "150"))


@pytest.mark.parametrize("loops", [1, 2])
def test_forks_under_load_change_nothing(forks, loops, tmp_path):
    """Requests and log lines are on their way at each of them."""
    log = tmp_path / "access.log"
    server = forks(f"loops={loops}", f"access_log={log}", f"error_log={tmp_path / 'error.log'}")
    load = Load(server.port)
    assert server.tell(f"fork {COUNT}") == f"{COUNT} 0"
    answers = load.end()
    assert answers > 0 and alive(server)
    wait_until(lambda: log.read_text().count("\n") >= answers + 1, "the last line")
    lines = log.read_text().splitlines()
    assert len(lines) == answers + 1, "a child wrote lines of its parent"
    assert not [line for line in lines if '"POST /body' not in line and '"GET /hello' not in line]


def test_a_child_serves_with_a_server_of_its_own(forks):
    server = forks()
    load = Load(server.port, 2)
    assert server.tell(f"serve {COUNT // 3}") == f"{COUNT // 3} 0"
    load.end()
    assert alive(server)


def test_a_child_reads_what_a_request_was_whoever_held_its_lock(forks):
    server = forks()
    with Connection(port=server.port) as connection:
        assert connection.request("POST", "/keep", body=b"some").body == b"kept"
        assert server.tell(f"read {COUNT}") == f"{COUNT} 0"


def test_a_child_goes_on_with_a_tls_object_whoever_held_its_lock(forks):
    assert forks().tell(f"tls {COUNT}") == f"{COUNT} 0"


def test_a_child_of_a_child_goes_on_with_tls_objects_too(forks):
    """Its parent's thread was about to make a lock anew; one fork in some hundreds comes at that moment."""
    count = 6 * COUNT
    assert forks().tell(f"renew {count}") == f"{count} 0"


@pytest.mark.parametrize("how", ["exit", "use", "return"])
def test_a_handler_forks(forks, how):
    """Its child may do what it likes, also return: the request is the parent's."""
    server = forks("access_log=off")
    load = Load(server.port, 2)
    for _ in range(10):
        with Connection(port=server.port) as connection:
            assert connection.get(f"/fork?{how}").body == b"child 0"
            assert connection.get("/hello").body == b"Hello"
    load.end()


@pytest.mark.parametrize("place", ["thread", "handler"])
def test_a_child_that_stays_keeps_nobody_waiting(forks, place):
    """It has a copy of every socket: the ends of connections are told all the same, and the loop sleeps."""
    server = forks("idle_timeout=4s")
    with Connection(port=server.port) as idle, Connection(port=server.port) as leaves:
        assert idle.get("/hello").body == b"Hello" and leaves.get("/hello").body == b"Hello"
        cut, closes = Connection(port=server.port), Connection(port=server.port)
        assert cut.get("/hello").status == 200 and closes.get("/hello").status == 200
        before = server.connections()
        if place == "thread":
            assert server.tell("hold") == "held"
        else:
            with Connection(port=server.port) as asks:
                assert asks.get("/fork?hold").body == b"held"
        assert closes.get("/hello", "Connection: close").closes
        assert closes.rest() == b"", "the end after a last answer"
        cut.send(raw_request("GET", "/cut"))
        assert cut.ending()[0].endswith(b"begun"), "a cut answer ends"
        cut_old = Connection(port=server.port)
        cut_old.send(raw_request("GET", "/cut", version="1.0"))
        cut_old.ending()
        leaves.close()
        assert idle.rest() == b"", "the end of an idle one"
        wait_until(lambda: server.connections() < before, "the sockets to be closed")
        spent = server.cpu_seconds()
        with Connection(port=server.port) as quiet:
            assert quiet.silent(0.25)
        assert server.cpu_seconds() - spent < 0.1, "it spins over sockets that it has closed"
        for one in (cut, closes, cut_old):
            one.close()
    assert alive(server)
    assert server.tell("release") == "released"
    assert alive(server)
