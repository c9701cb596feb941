# SPDX-License-Identifier: MIT
# test_cli_drain - workers that end while requests, threads and executors of theirs are at work.

import os
import signal
import socket

import pytest
from cli_harness import APP, evy_cli, is_alive  # noqa: F401
from client import Connection, free_port, raw_request, wait_until

EXIT = (
    APP.replace(
        "    path = env['PATH_INFO']\n",
        "    path = env['PATH_INFO']\n    if path == '/exit': raise SystemExit(5)\n",
    )
    + """
import atexit, threading
from concurrent.futures import ThreadPoolExecutor

def note(text):
    with open('notes', 'a') as file:
        file.write(text + '\\n')

def work():
    while not os.path.exists('finish'):
        time.sleep(0.01)
    note('work')

pool = ThreadPoolExecutor(1)
atexit.register(note, 'atexit')

def working(env, start_response):
    if env['PATH_INFO'] == '/thread':
        threading.Thread(target=work).start()
    elif env['PATH_INFO'] == '/executor':
        pool.submit(work)
    return app(env, start_response)
"""
)


def begin_waiting(run):
    connection = Connection(port=run.port)
    connection.send(raw_request("GET", "/wait/go"))
    wait_until((run.folder / "go.begun").exists, "the request to have begun")
    return connection


def end_by_request(run):
    assert run.get("/exit").status == 500


def end_by_signal(run):
    os.kill(run.workers()[0], signal.SIGTERM)


@pytest.mark.parametrize("end", [end_by_request, end_by_signal])
def test_a_worker_that_goes_by_itself_has_a_successor_while_it_drains(evy_cli, end):
    (evy_cli.folder / "app.py").write_text(EXIT)
    run = evy_cli("--threads", 4)
    with begin_waiting(run) as connection:
        old = run.workers()
        end(run)
        run.err.expect("worker .* starts", 2)
        assert run.get().body == b"Hello" and is_alive(old[0])
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"
    wait_until(lambda: len(run.workers()) == 1 and run.workers() != old, "one worker, the second")


def test_the_grace_counts_where_a_request_ends_the_worker(evy_cli):
    (evy_cli.folder / "app.py").write_text(EXIT)
    run = evy_cli("--graceful-timeout", 0.2)
    with begin_waiting(run) as connection:
        end_by_request(run)
        run.err.expect("requests did not end within the grace and are cut")
        assert connection.ending()[0] == b""


def test_nobody_queues_at_a_worker_that_drains_without_a_master(evy_cli):
    port = free_port()
    run = evy_cli("-w", 2, bind=f"127.0.0.1:{port}")
    with begin_waiting(run) as connection:
        os.kill(run.pid, signal.SIGKILL)
        wait_until(lambda: is_refused(port), "a refused connection")
        second = evy_cli(bind=f"127.0.0.1:{port}")
        assert second.get().body == b"Hello" and second.port == port
        (run.folder / "go").touch()
        assert connection.response().body == b"waited"


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


HOOKS = """
def worker_exit(server, worker):
    worker.app.__globals__['note'](server.address[0].split(':')[0])
"""


@pytest.mark.parametrize("target", ["/thread", "/executor"])
def test_threads_of_the_application_finish(evy_cli, target):
    (evy_cli.folder / "app.py").write_text(EXIT)
    (evy_cli.folder / "conf.py").write_text(HOOKS)
    run = evy_cli("-c", "conf.py", app="app:working")
    notes = run.folder / "notes"
    assert run.get(target).body == b"Hello"
    run.signal(signal.SIGHUP)
    wait_until(lambda: notes.exists() and "127.0.0.1\n" in notes.read_text(), "the hook of the end")
    (run.folder / "finish").touch()
    wait_until(lambda: "atexit" in notes.read_text(), "the exit functions")
    assert notes.read_text().splitlines() == ["127.0.0.1", "work", "atexit"]
    run.err.expect("ended: exit status 0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_threads_of_the_application_are_cut_behind_the_grace(evy_cli, number):
    (evy_cli.folder / "app.py").write_text(EXIT)
    run = evy_cli("--graceful-timeout", 0.2 if number == signal.SIGTERM else 600, app="app:working")
    assert run.get("/thread").body == b"Hello"
    run.signal(number)
    assert run.ended() == 0
    assert run.err.matching("threads of the application did not end within the grace and are cut")
    assert not run.err.matching("did not end and is killed")
    assert (run.folder / "notes").read_text() == "atexit\n"
