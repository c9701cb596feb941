# SPDX-License-Identifier: MIT
# test_ends - how servers end and wake in the hands of their host: freed, waited for, woken and stopped at
# inconvenient moments.

import re
import subprocess
import threading

import pytest
from support import PATIENCE, SANITIZER, Closed, Connection, Reset, raw_request


class Ends:
    """The program ends in one of its modes."""

    def __init__(self, program, mode):
        self.process = subprocess.Popen(
            [program, mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def hear(self):
        """The words of its next line."""
        killer = threading.Timer(3 * PATIENCE, self.process.kill)
        killer.start()
        words = self.process.stdout.readline().split()
        killer.cancel()
        assert words, self.process.communicate()[1]
        return words

    def end(self):
        """Its last line as numbers by name."""
        out, errors = self.process.communicate(timeout=3 * PATIENCE)
        assert self.process.returncode == 0 and not SANITIZER.search(errors.encode()), errors
        return {key: int(value) for key, value in re.findall(r"(\w+) (\d+)", out)}


def ask(port, target):
    """The answer is nobody's concern."""
    with Connection(port=port) as connection:
        connection.send(raw_request("GET", target))
        try:
            connection.response()
        except (Closed, Reset):
            pass


@pytest.fixture
def ends(programs):
    begun = []

    def begin(mode):
        begun.append(Ends(programs["ends"], mode))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()
        one.process.stderr.close()


def test_a_server_freed_by_a_handler_on_the_only_lent_thread_goes(ends):
    lent = ends("freed-lent")
    ask(int(lent.hear()[1]), "/free")
    assert lent.end() == {"drops": 1}


def test_a_loop_that_no_thread_came_to_has_no_clients_and_is_no_burden(ends):
    """Only lent threads serve, and there is one of them for two loops."""
    lent = ends("freed-unmanned")
    port = int(lent.hear()[1])
    clients = [Connection(port=port) for _ in range(12)]
    for client in clients:
        assert client.get("/hello").body == b"/hello"
    for client in clients:
        client.close()
    ask(port, "/free")
    assert lent.end() == {"drops": 1}


def test_a_thread_that_comes_behind_a_stop_ends_what_has_not_ended(ends):
    assert ends("lent-late").end() == {"drops": 1}


def test_a_server_stays_for_a_function_that_outlasts_its_loop(ends):
    """Its threads had all gone once, ten seconds after they idled: it was let go of then, as if it had ended.
    AddressSanitizer sees what the function returns to."""
    late = ends("freed-late")
    port = int(late.hear()[1])
    ask(port, "/block")
    assert late.hear() == ["free"]
    ask(port, "/free")
    assert late.end() == {"done": 2, "drops": 1}


def test_a_wake_up_ahead_of_a_wait_for_events_ends_the_next_one(ends):
    assert ends("woken-next").end() == {"woken": 1}


def test_a_step_knows_how_late_it_is(ends):
    """By five seconds: the timer is not waited for once more."""
    assert ends("late-step").end()["late"] < 4000


def test_who_waits_for_the_end_waits_for_the_thread_of_run_too(ends):
    assert ends("run-waited").end() == {"done": 1}


def test_a_stop_is_seen_in_a_turn_that_a_function_took(ends):
    assert ends("stopped-beside-task").end() == {"done": 30}


def test_who_stepped_a_server_to_its_end_may_wait_for_it(ends):
    assert ends("stepped-wait").end() == {"drops": 1}


def test_timers_that_start_timers_leave_the_loop_its_turns(ends):
    assert ends("timer-chain").end() == {"drops": 1}
