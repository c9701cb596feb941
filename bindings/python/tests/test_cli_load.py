# SPDX-License-Identifier: MIT
# test_cli_load - no request is lost while workers and masters are replaced under load.
"""Strictly none refused, none cut in mid-answer, and none unanswered: the clients ask on and on, well inside
the second for which a worker that goes leaves its connections open, and use none further that said close.
"""

import os
import signal

import pytest
from cli_harness import Load, evy_cli, is_alive  # noqa: F401
from client import PATIENCE, wait_until
from test_cli_signals import pid_in


def check(load, log=None):
    assert not load.refused, load.refused[:3]
    assert not load.cut, load.cut[:3]
    assert not load.unanswered_kept and not load.unanswered_fresh, (
        load.unanswered_kept[:3],
        load.unanswered_fresh[:3],
    )
    print(f"{load.answered} requests on {load.connections} connections answered, {len(load.late)} too late")
    assert load.bodies == {bytes(40)}
    # Exactly: every request that reached the application was answered to its last byte.
    if log is not None:
        ended = log.read_text().split()
        assert set(ended) == {"-"}, {one: ended.count(one) for one in set(ended)}
        assert len(ended) == load.answered


def test_hup_under_load(evy_cli):
    run = evy_cli("-w", 2, "--access-logfile", "access", "--access-logformat", "%(aborted)s")
    with Load(run.port) as load:
        load.passed()
        for turn in range(1, 5):
            run.signal(signal.SIGHUP)
            run.err.expect("reloaded", turn)
            load.passed()
    assert run.end(signal.SIGTERM) == 0
    check(load, run.folder / "access")


def test_usr2_under_load(evy_cli):
    run = evy_cli("-w", 2, "-p", "pid", "--access-logfile", "access", "--access-logformat", "%(aborted)s")
    master = pid_in(run.folder / "pid")
    with Load(run.port) as load:
        load.passed()
        for turn in range(2):
            os.kill(master, signal.SIGUSR2)
            new = pid_in(run.folder / "pid.2")
            run.err.expect("starts$", 4 + 2 * turn)
            load.passed()
            os.kill(master, signal.SIGTERM)
            wait_until(lambda: pid_in(run.folder / "pid") == new, "the new master to take over")  # noqa: B023
            load.passed()
            master = new
    os.kill(master, signal.SIGTERM)
    wait_until(lambda: not is_alive(master), "the end of the last master")
    assert run.process.wait(PATIENCE) == 0
    check(load, run.folder / "access")


def test_max_requests_under_load(evy_cli):
    run = evy_cli(
        "-w", 2, "--max-requests", 40, "--max-requests-jitter", 10,
        "--access-logfile", "access", "--access-logformat", "%(aborted)s",
    )  # fmt: skip
    with Load(run.port) as load:
        run.err.expect("a successor is asked for", 4)
        load.passed()
    assert run.end(signal.SIGTERM) == 0
    check(load, run.folder / "access")


def test_usr1_under_load(evy_cli):
    """Each line is written once, to one of the files, while requests end and files are opened anew."""
    run = evy_cli("-w", 2, "--access-logfile", "access", "--access-logformat", "%(aborted)s")
    access = run.folder / "access"
    with Load(run.port, target="/") as load:
        load.passed()
        for turn in range(100):
            access.rename(run.folder / f"access.{turn}")
            run.signal(signal.SIGUSR1)
            wait_until(access.exists, "a new file")
            load.passed(10)
    assert run.end(signal.SIGTERM) == 0
    assert not run.err.matching("killed|Traceback|ERROR")
    assert not load.refused and not load.cut and not load.unanswered_kept and not load.unanswered_fresh
    files = [access, *run.folder.glob("access.*")]
    assert sum(path.read_text().count("\n") for path in files) == load.answered


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_is_replaced_and_nobody_is_refused(evy_cli, number):
    run = evy_cli("-w", 2)
    with Load(run.port, target="/") as load:
        load.passed()
        for _ in range(2):
            workers = wait_until(lambda: len(run.workers()) == 2 and run.workers(), "two workers")
            os.kill(workers[0], number)
            run.err.expect(f"worker {workers[0]} ended", 1)
            wait_until(lambda: len(run.workers()) == 2, "two workers again")
            load.passed()
    assert not load.refused
    if number == signal.SIGTERM:
        assert not load.cut and not load.unanswered_kept and not load.unanswered_fresh
