# SPDX-License-Identifier: MIT
# test_cli_workers - workers that die, get stuck, cannot start, or have served enough; and hooks about them.

import os
import re
import signal

import pytest
from cli_harness import evy_cli  # noqa: F401
from client import PATIENCE, Closed, Connection, Reset, raw_request, wait_until
from test_cli_reload import change


def wait_for_workers(run, count):
    return wait_until(lambda: len(run.workers()) == count and run.workers(), f"{count} workers")


def test_a_dead_worker_is_replaced_and_its_end_is_told(evy_cli):
    run = evy_cli()
    assert run.get().body == b"Hello"
    run.err.expect("starts")
    first = run.workers()[0]
    with Connection(port=run.port) as connection, pytest.raises((Reset, Closed)):
        connection.get("/die")
    run.err.expect(f"worker {first} ended.*: exit status 7")
    assert run.get().body == b"Hello"
    second = wait_for_workers(run, 1)[0]
    os.kill(second, signal.SIGKILL)
    run.err.expect(f"worker {second} ended.*: killed by SIGKILL")
    assert run.get().body == b"Hello"


@pytest.mark.parametrize(
    "source, status, text",
    [
        (
            "import absent",
            4,
            "cannot load the application: cannot import module 'app': No module named 'absent'",
        ),
        ("number = 1", 4, "cannot load the application: module 'app' has no attribute 'app'"),
        ("raise SystemExit(3)", 3, r"the application ended the worker: SystemExit\(3\)"),
        ("raise SystemExit(0)", 3, r"the application ended the worker: SystemExit\(0\)"),
        ("raise SystemExit(1)", 3, r"the application ended the worker: SystemExit\(1\)"),
        ("raise SystemExit(2**40)", 3, r"the application ended the worker: SystemExit\(1099511627776\)"),
        ("import sys\nsys.stdout = sys\nsys.flush = sys.exit\nsys.exit()", 3, r"SystemExit\(None\)"),
    ],
)
def test_a_first_worker_that_cannot_start_ends_the_master(evy_cli, source, status, text):
    (evy_cli.folder / "app.py").write_text(source)
    run = evy_cli("-w", 2)
    assert run.ended() == status
    assert run.err.matching(text) and run.err.matching(f"ended while it started: exit status {status}")


def test_a_hook_that_fails_in_the_worker_is_a_boot_failure(evy_cli):
    (evy_cli.folder / "conf.py").write_text("def post_fork(server, worker):\n    raise ValueError('mine')\n")
    run = evy_cli("-c", "conf.py")
    assert run.ended() == 3
    assert run.err.matching("exception in the worker") and run.err.matching("ValueError: mine")


def test_workers_that_die_at_boot_are_tried_at_growing_intervals(evy_cli):
    source = (evy_cli.folder / "app.py").read_text()
    (evy_cli.folder / "app.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    run = evy_cli()
    tries = run.err.expect("ended while it started: killed by SIGSEGV; the next try is in", 2)
    assert [re.search(r"in (\S+) seconds", one)[1] for one in tries[:2]] == ["0.5", "1"]
    change(evy_cli.folder / "app.py", source)  # whole at once: half of it would end the master
    assert run.get().body == b"Hello"
    assert run.end(signal.SIGTERM) == 0


STUCK = """
import time
def app(env, start_response):
    if env['PATH_INFO'] == '/stuck':
        while True:
            time.sleep(0.01)
    start_response('200 OK', [])
    return [b'Hello']
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stuck_worker_is_killed_with_its_stacks_in_the_log(evy_cli, threads):
    (evy_cli.folder / "app.py").write_text(STUCK)
    run = evy_cli("--threads", threads, "--timeout", 1)
    assert run.get().body == b"Hello"
    worker = wait_for_workers(run, 1)[0]
    # One for each thread, and one that waits for any of them (of a single thread: for the loop).
    stuck = [
        Connection(port=run.port).send(raw_request("GET", "/stuck")) for _ in range(threads + (threads > 1))
    ]
    run.err.expect(f"worker {worker} has not answered for 1 seconds")
    run.err.expect(r'app.py", line \d+ in app')
    run.err.expect(f"worker {worker} ended.*: killed by SIGABRT")
    assert run.get().body == b"Hello"
    for connection in stuck:
        assert connection.ending()[0] == b""


def test_a_stuck_worker_that_is_deaf_is_killed_all_the_same(evy_cli):
    deaf = "import signal\nsignal.signal(signal.SIGABRT, signal.SIG_IGN)\n"
    (evy_cli.folder / "app.py").write_text(deaf + STUCK)
    run = evy_cli("--threads", 1, "--timeout", 1)
    assert run.get().body == b"Hello"
    with Connection(port=run.port) as connection:
        connection.send(raw_request("GET", "/stuck"))
        run.err.expect("did not end and is killed")
        # Not for want of memory, as far as anybody knows.
        run.err.expect("ended.*: killed by SIGKILL(;.*)?$")


def test_slow_requests_with_threads_to_spare_are_no_reason_to_kill(evy_cli):
    run = evy_cli("--threads", 3, "--timeout", 3, "--status-bind", "127.0.0.1:0")

    def age():
        with Connection(port=run.status_port) as connection:
            return connection.get("/status.json").json()["workers"][0]["uptime_seconds"]

    with Connection(port=run.port) as slow:
        slow.send(raw_request("GET", "/wait/go"))
        wait_until((run.folder / "go.begun").exists, "the request")
        worker = wait_for_workers(run, 1)
        begun = age()
        wait_until(lambda: age() > begun + 5, "the timeout, and the turn in which somebody would be killed")
        assert run.get().body == b"Hello"
        (run.folder / "go").touch()
        assert slow.response().body == b"waited"
    assert run.workers() == worker and not run.err.matching("has not answered")


def test_an_application_that_holds_the_interpreter_is_killed(evy_cli):
    # One call of the C library that never gives the interpreter back: not even the main thread runs.
    (evy_cli.folder / "app.py").write_text(
        "import ctypes\n" + STUCK.replace("time.sleep(0.01)", "ctypes.PyDLL(None).sleep(60)")
    )
    run = evy_cli("--timeout", 1)
    assert run.get().body == b"Hello"
    with Connection(port=run.port) as stuck:
        stuck.send(raw_request("GET", "/stuck"))
        run.err.expect("has not answered for 1 seconds")
        # Until it is dead its loop may still take a connection.
        run.err.expect(r"worker \d+ ended.*: killed by SIG")
        assert run.get().body == b"Hello"


def test_max_requests(evy_cli):
    run = evy_cli("--max-requests", 3)
    pids = []

    def ask():
        pids.append(run.get("/pid").body)
        return len(run.err.matching("3 requests served: a successor is asked for")) >= 2

    wait_until(ask, "two successors", 3 * PATIENCE)
    assert len(set(pids)) >= 2
    assert all(pids.count(one) >= 3 for one in sorted(set(pids), key=pids.index)[:-1])


NOISE = """
import os, socket
def app(env, start_response):
    # Whatever has the shape of the worker's channel: a socket of this kind is nothing else here.
    for name in os.listdir('/proc/self/fd'):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with sock:
            if sock.type == socket.SOCK_SEQPACKET:
                for text in (b'{', b'[]', b'{"kind": 1}', b'{"kind": "pong"}', b'\\xff',
                             b'{"kind": "pong", "counters": ["x"], "resident": {}}', b'{"kind": "changed"}'):
                    sock.send(text)
    start_response('200 OK', [])
    return [b'Hello']
"""


def test_an_application_cannot_confuse_its_master(evy_cli):
    (evy_cli.folder / "app.py").write_text(NOISE)
    run = evy_cli("--status-bind", "127.0.0.1:0")
    assert [run.get().body for _ in range(3)] == [b"Hello"] * 3
    with Connection(port=run.status_port) as connection:
        assert connection.get("/metrics").status == 200
    assert run.end(signal.SIGTERM) == 0 and not run.err.matching("Traceback")


def test_a_fork_that_fails_is_tried_again(evy_cli):
    # The hook comes right ahead of the fork, with no descriptor left for the channel: the first time only.
    (evy_cli.folder / "conf.py").write_text(
        "import resource\n"
        "limits = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "def pre_fork(server, worker):\n"
        "    few = (3, limits[1]) if worker.age == 1 else limits\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, few)\n"
    )
    run = evy_cli("-c", "conf.py")
    run.err.expect("cannot start a worker: .*Too many open files; the next try is in 0.5 seconds")
    assert run.get().body == b"Hello"


def test_preload(evy_cli):
    source = (evy_cli.folder / "app.py").read_text()
    (evy_cli.folder / "app.py").write_text(
        "import os\nprint('loaded in', os.getpid(), flush=True)\n" + source
    )
    run = evy_cli("-w", 2, "--preload")
    assert run.get().body == b"Hello"
    wait_for_workers(run, 2)
    run.out.expect("loaded")
    assert run.out.lines == [f"loaded in {run.pid}"]
    (evy_cli.folder / "app.py").write_text("import absent")
    failing = evy_cli("--preload")
    assert failing.ended() == 4
    assert failing.err.matching("cannot start: cannot import module 'app'")


HOOKS = """
import os
def note(name, *more):
    with open('notes', 'a') as file:
        file.write(' '.join([name, *map(str, more)]) + '\\n')
def on_starting(server): note('on_starting', server.pid == os.getpid())
def when_ready(server): note('when_ready', server.address[0].split(':')[0], server.cfg.workers)
def pre_fork(server, worker): note('pre_fork', worker.age)
def post_fork(server, worker): note('post_fork', worker.pid == os.getpid())
def post_worker_init(worker): note('post_worker_init', callable(worker.app))
def worker_exit(server, worker): note('worker_exit', worker.pid == os.getpid())
def child_exit(server, worker): note('child_exit', worker.age)
def nworkers_changed(server, new, old): note('nworkers_changed', new, old)
def on_reload(server): server.log.info('reload of %s', server.num_workers); note('on_reload')
def on_exit(server): note('on_exit')
"""


def test_hooks(evy_cli):
    (evy_cli.folder / "conf.py").write_text(HOOKS)
    run = evy_cli("-c", "conf.py")
    notes = evy_cli.folder / "notes"
    wait_until(lambda: notes.exists() and "when_ready" in notes.read_text(), "the first hooks")
    run.signal(signal.SIGTTIN)
    wait_until(lambda: notes.read_text().count("post_worker_init True") == 2, "a second worker")
    run.signal(signal.SIGHUP)
    run.err.expect("reload of 2")
    run.err.expect("reloaded")
    assert run.end(signal.SIGTERM) == 0
    found = notes.read_text().splitlines()
    assert found[:2] == ["on_starting True", "pre_fork 1"] and found[-1] == "on_exit"
    assert found.count("post_fork True") == found.count("worker_exit True") == 3
    assert "when_ready 127.0.0.1 1" in found and "on_reload" in found
    assert "nworkers_changed 2 1" in found and "nworkers_changed 1 2" in found
    assert sorted(line for line in found if "child_exit" in line) == [
        f"child_exit {age}" for age in (1, 2, 3)
    ]


def test_exit_handlers_of_the_application_run(evy_cli):
    source = (evy_cli.folder / "app.py").read_text()
    (evy_cli.folder / "app.py").write_text(
        "import atexit\natexit.register(print, 'bye', flush=True)\n" + source
    )
    run = evy_cli()
    assert run.get().body == b"Hello"
    assert run.end(signal.SIGTERM) == 0 and run.out.lines == ["bye"]


ENDING_HOOKS = """
def note(text):
    with open('notes', 'a') as file:
        file.write(text + '\\n')
def worker_int(worker): note(f'worker_int {worker.pid}')
def pre_exec(server): note(f'pre_exec {server.pid}')
"""


def test_the_hook_of_an_upgrade(evy_cli):
    (evy_cli.folder / "conf.py").write_text(ENDING_HOOKS)
    run = evy_cli("-c", "conf.py")
    assert run.get().body == b"Hello"
    run.signal(signal.SIGUSR2)
    run.err.expect("starts$", 2)
    assert (evy_cli.folder / "notes").read_text() == f"pre_exec {run.pid}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_the_hook_of_an_interrupt(evy_cli, number):
    """Once in each worker that has to end at once, also where a terminal tells workers and master."""
    (evy_cli.folder / "conf.py").write_text(ENDING_HOOKS)
    run = evy_cli("-c", "conf.py", "-w", 2)
    assert run.get().body == b"Hello"
    run.err.expect("starts$", 2)
    workers = wait_for_workers(run, 2)
    os.killpg(run.pid, number)
    assert run.ended() == 0
    notes = evy_cli.folder / "notes"
    found = sorted(notes.read_text().splitlines()) if notes.exists() else []
    expected = [] if number == signal.SIGTERM else sorted(f"worker_int {pid}" for pid in workers)
    assert found == expected


def test_max_requests_jitter(evy_cli):
    """With a jitter of 40 it is most unlikely that four workers go after the same number of requests."""
    log = ["--access-logfile", "access", "--access-logformat", "%(path)s"]
    run = evy_cli("--max-requests", 2, "--max-requests-jitter", 40, *log)
    served = {}

    def ask():
        pid = run.get("/pid").body
        served[pid] = served.get(pid, 0) + 1
        return len(served) > 4

    wait_until(ask, "four successors", 5 * PATIENCE)  # each of them has an interpreter to start
    counts = list(served.values())[:4]
    assert all(count >= 2 for count in counts) and len(set(counts)) > 1, counts
