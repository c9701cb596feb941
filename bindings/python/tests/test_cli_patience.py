# SPDX-License-Identifier: MIT
# test_cli_patience - whom the master takes for stuck, and whom it does not because it was away itself.

import os
import signal
import time
import types

import pytest
from cli_harness import evy_cli  # noqa: F401
from client import wait_until

from evy._cli import channel, fleet
from evy._cli.state import READY, State, Worker


"""More than a busy machine keeps a worker from its answer, and the time in which it would be missed."""
PATIENCE_SECONDS, AWAY_SECONDS = 3, 4.5


def passes(seconds):
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "the time to pass")


def test_workers_are_not_killed_because_the_master_was_stopped(evy_cli):
    run = evy_cli("-w", 2, "--timeout", PATIENCE_SECONDS)
    assert run.get().body == b"Hello"
    workers = wait_until(lambda: len(run.workers()) == 2 and run.workers(), "two workers")
    for count in (1, 3):
        run.signal(signal.SIGSTOP)
        passes(AWAY_SECONDS)
        run.signal(signal.SIGCONT)
        # The second is told of in the turn behind the one in which somebody would have been killed.
        for number in range(2):
            run.signal(signal.SIGUSR1)
            run.err.expect("signal usr1", count + number)
    assert run.workers() == workers and not run.err.matching("has not answered")


def test_workers_are_not_killed_because_a_hook_takes_its_time(evy_cli):
    hook = f"import time\ndef on_reload(server):\n    time.sleep({AWAY_SECONDS})\n"
    (evy_cli.folder / "conf.py").write_text(hook)
    run = evy_cli("-c", "conf.py", "--timeout", PATIENCE_SECONDS)
    assert run.get().body == b"Hello"
    for count in (1, 2):
        run.signal(signal.SIGHUP)
        run.err.expect("reloaded", count)
        wait_until(lambda: len(run.workers()) == 1, "one worker")
    assert run.get().body == b"Hello" and not run.err.matching("has not answered")


@pytest.fixture
def asked(monkeypatch):
    """A fleet with one worker that serves; asked.now is the time, asked.signals what the worker got."""
    found = types.SimpleNamespace(now=time.monotonic(), signals=[])
    monkeypatch.setattr(fleet, "time", types.SimpleNamespace(monotonic=lambda: found.now))
    monkeypatch.setattr(fleet, "_signal", lambda _one, number: found.signals.append(number))
    log = types.SimpleNamespace(critical=lambda *_: None, debug=lambda *_: None)
    settings = types.SimpleNamespace(timeout=3.0)
    state = State(settings, types.SimpleNamespace(error=log), "/", {}, [])
    ours, found.theirs = channel.pair()
    found.worker = Worker(os.getpid(), 1, ours, phase=READY)
    state.workers[1] = found.worker
    state.has_ever_served = True
    found.fleet = fleet.Fleet(state, lambda: None)
    yield found
    ours.close()
    found.theirs.close()


def turns(asked, seconds):
    """The master looks at its workers as often as it should."""
    end = asked.now + seconds
    while asked.now < end:
        asked.now += 0.3
        asked.fleet.hear()
        asked.fleet.end_silent()


def test_silence_counts_from_the_first_question_without_an_answer(asked):
    asked.theirs.send("ready")
    turns(asked, 20)
    assert not asked.signals
    asked.fleet.ask()
    turns(asked, 2.4)
    asked.fleet.ask()
    assert not asked.signals
    turns(asked, 0.9)
    assert asked.signals == [signal.SIGABRT]


def test_an_answer_that_tells_of_a_jam_is_none(asked):
    asked.theirs.send("ready")
    turns(asked, 0.3)
    for _ in range(5):
        asked.fleet.ask()
        asked.theirs.send("report")
        turns(asked, 0.9)
    assert asked.signals == [signal.SIGABRT]


def test_time_in_which_all_were_stopped_is_not_silence(asked):
    asked.theirs.send("ready")
    turns(asked, 0.3)
    asked.fleet.ask()
    asked.now += 60
    turns(asked, 1.8)
    assert not asked.signals
    turns(asked, 1.5)
    assert asked.signals == [signal.SIGABRT]
