# SPDX-License-Identifier: MIT
# test_cli_descriptors - standard ones that are closed at the begin, and none that reloads leave open.

import itertools
import os
import signal
import subprocess
import sys

import pytest
from cli_harness import evy_cli, is_alive  # noqa: F401
from client import PATIENCE, Connection, wait_until
from programs import PACKAGE

APP = """
import os, sys
def app(env, start_response):
    if env['PATH_INFO'] == '/raise':
        raise ValueError('a secret')
    print('printed')
    print('printed', file=sys.stderr)
    start_response('200 OK', [])
    return [b'Hello']
"""
EXTRA = {
    "plain": [],
    "access": ["--access-logfile", "-"],
    "capture": ["--capture-output", "--error-logfile", "errors"],
    "daemon": ["-D"],
}
CLOSED = [which for count in (1, 2, 3) for which in itertools.combinations((0, 1, 2), count)]


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("closed", CLOSED, ids=lambda which: "".join(map(str, which)))
def test_closed_standard_descriptors(tmp_path, closed, extra):
    (tmp_path / "app.py").write_text(APP)
    words = ["--bind", "unix:sock", "-p", "pid", *EXTRA[extra], "app:app"]

    def close():
        for number in closed:
            os.close(number)

    first = subprocess.Popen(
        [sys.executable, "-m", "evy", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        cwd=tmp_path,
        preexec_fn=close,
    )
    master = None
    try:
        if extra == "daemon":
            assert first.wait(PATIENCE) == 0
        master = wait_until(lambda: pid_in(tmp_path / "pid"), "the pid file, and not the end")
        for target in ("/", "/raise", "/"):
            with Connection(address=str(tmp_path / "sock"), family=1) as connection:
                answer = connection.get(target)
            expected = (500, False) if target == "/raise" else (200, True)
            assert (answer.status, answer.body == b"Hello") == expected and b"secret" not in answer.body
        os.kill(master, signal.SIGTERM)
        assert first.wait(PATIENCE) == 0
        wait_until(lambda: not is_alive(master), "the end")
        if extra == "capture":
            assert "a secret" in (tmp_path / "errors").read_text()
    finally:
        first.kill()
        if master is not None and is_alive(master):
            os.kill(master, signal.SIGKILL)


def pid_in(path):
    return int(path.read_text() or 0) if path.exists() else None


def open_count(*pids):
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]


def wait_until_closed(counts, pids):
    """Until there are no more descriptors than that: one is open for as long as a line of the log takes."""
    wait_until(
        lambda: all(now <= then for now, then in zip(open_count(*pids()), counts, strict=True)),
        lambda: f"{counts} descriptors, not {open_count(*pids())}",
    )


def test_reloads_leave_nothing_open(evy_cli):
    run = evy_cli("--access-logfile", "access", "--status-bind", "127.0.0.1:0", "-w", 2)

    assert run.urls

    def reload(turn):
        run.signal(signal.SIGHUP)
        run.err.expect("INFO. reloaded", turn)
        run.err.expect("ended: exit status 0", 2 * turn)

    def pids():
        return run.pid, run.workers()[0]

    reload(1)
    counts = open_count(*pids())
    for turn in range(2, 5):
        reload(turn)
    wait_until_closed(counts, pids)


def test_reloads_to_other_logs_leave_nothing_open(evy_cli):
    config = evy_cli.folder / "settings.py"

    def name(turn):
        config.write_text(f"errorlog = 'errors{turn}'\naccesslog = 'access{turn}'\n")
        return evy_cli.folder / f"errors{turn}"

    name(0)
    run = evy_cli("-c", "settings.py")
    assert run.get().body == b"Hello"

    def reload(turn):
        errors = name(turn)
        run.signal(signal.SIGHUP)
        over = "ended: exit status 0"
        wait_until(lambda: errors.exists() and over in errors.read_text(), "the old worker's end")

    reload(1)
    counts = open_count(run.pid)
    for turn in range(2, 5):
        reload(turn)
    wait_until_closed(counts, lambda: [run.pid])
