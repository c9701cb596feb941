# SPDX-License-Identifier: MIT
# test_moved - with compat='eventlet', applications written for eventlet.wsgi get the answers they got there.
"""Compared byte for byte with what eventlet 0.41.3 answered (eventlet-0.41.3.json, by record_eventlet.py),
but for the date, and for what moved_cases says may differ."""

import importlib
import logging

import moved_cases
import pytest
from client import wait_until

import evy


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage().rstrip("\n"))

    def access(self):
        return [moved_cases.without_moments(line) for line in self.lines if " - - [" in line]


@pytest.fixture
def moved():
    """moved(case) serves as record_eventlet.py does; the port, and the lines of its Logger."""
    started = []

    def serve(name):
        logger = logging.Logger("moved", logging.INFO)
        lines = Lines()
        logger.addHandler(lines)
        site = importlib.import_module(moved_cases.CASES[name][0])
        for memory in (getattr(site, "STORE", {}), getattr(site, "FINISHED", [])):
            memory.clear()
        keywords = {**moved_cases.KEYWORDS, **moved_cases.OF_CASE.get(name, {})}
        with evy.listen(("127.0.0.1", 0)) as sock:
            started.append(evy.wsgi.Server(sock, site.application, log=logger, compat="eventlet", **keywords))
        return started[-1].start().port, lines

    yield serve
    for server in started:
        server.stop(0)
    for server in started:
        assert server.join(10)


@pytest.mark.parametrize("name", moved_cases.CASES)
def test_answers_as_eventlet_did(moved, name):
    expected = moved_cases.recorded()[name]
    port, lines = moved(name)
    answer = moved_cases.without_moments(moved_cases.exchange(port, moved_cases.CASES[name][1]))
    if name in moved_cases.REFUSED:
        assert answer.split(" ")[1] == expected["answer"].split(" ")[1]
        return
    if name in moved_cases.BODILESS:
        assert answer == expected["answer"].partition("\r\n\r\n")[0] + "\r\n\r\n"
        return
    assert answer == expected["answer"]
    wait_until(lambda: len(lines.access()) >= len(expected["log"]), f"the access lines in {lines.lines}")
    assert lines.access() == expected["log"]
