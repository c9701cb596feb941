# SPDX-License-Identifier: MIT
# support - a test server process to talk to; what a test needs is imported from here.
"""Everything waits on conditions with a deadline: PATIENCE seconds, stretched by EVY_TIME_FACTOR."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import time

import pytest
from client import (
    FACTOR,
    PATIENCE,
    Closed,
    Connection,
    Reset,
    all_responses,
    chunks,
    client_context,
    pattern,
    raw_request,
    wait_until,
)

__all__ = [
    "FACTOR",
    "LOOPS",
    "PATIENCE",
    "SANITIZED",
    "SANITIZER",
    "Closed",
    "Connection",
    "Reset",
    "Server",
    "all_responses",
    "chunks",
    "client_context",
    "one_loop",
    "pattern",
    "raw_request",
    "wait_until",
]

"""A library built with a sanitizer: memory is not given back at once, and there may be a thread more."""
SANITIZED = "-fsanitize" in os.environ.get("EVY_CFLAGS", "")
"""EVY_TEST_LOOPS=2 gives every server that many loops."""
LOOPS = os.environ.get("EVY_TEST_LOOPS")
"""For tests that count on one loop: limits and log lines are each loop's own."""
one_loop = pytest.mark.skipif(LOOPS is not None, reason="holds for each loop, not for all of them")
SANITIZER = re.compile(rb"(Address|Thread|Leak|UndefinedBehavior)Sanitizer|Fatal error|runtime error:")


def state_of(task):
    with open(f"{task}/stat") as stat_file:
        return stat_file.read().rsplit(")", 1)[1].split()[0]


class Server:
    """One test server process; its report lines are collected as dictionaries."""

    def __init__(
        self,
        program,
        *arguments,
        listen=(),
        tls=None,
        tls_set=(),
        callbacks=True,
        access=True,
        pass_fds=(),
        wrapper=(),
        **options,
    ):
        report, report_out = os.pipe()
        command = [*wrapper, program, "--report", str(report_out)]
        command += ["--callbacks"] if callbacks else []
        command += ["--access"] if access and "access_log" not in options else []
        command += ["--tls", *tls] if tls else []
        for key, value in tls_set:
            command += ["--tls-set", key, value]
        for address in listen:
            command += ["--listen", address]
        options.setdefault("log_level", "debug")
        if LOOPS:
            options.setdefault("loops", LOOPS)
        command += [f"{key}={value}" for key, value in options.items()]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            pass_fds=(report_out, *pass_fds),
        )
        os.close(report_out)
        self.events = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._collect, args=(report,), daemon=True)
        self.reader.start()
        self.tls = bool(tls)
        self.finished = False
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(PATIENCE)
            self.finished = True
            raise RuntimeError(self.stderr())
        place = json.loads(line)
        self.addresses, self.ports, self.second = place["addresses"], place["ports"], place["second"]
        self.port = self.ports[0]
        self.pid = self.process.pid

    def _collect(self, report):
        with os.fdopen(report, "rb") as lines:
            for line in lines:
                with self.changed:
                    self.events.append(json.loads(line))
                    self.changed.notify_all()

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode("latin-1")

    # ---- report lines

    def select(self, event, **members):
        """All report lines of this kind whose members have these values."""
        with self.changed:
            return [
                e
                for e in self.events
                if e["event"] == event and all(e.get(k) == v for k, v in members.items())
            ]

    def expect(self, event, count=1, patience=None, **members):
        """Waits until there are `count` such lines; one line, or a list when count > 1."""
        deadline = time.monotonic() + (patience or PATIENCE)
        while True:
            found = self.select(event, **members)
            if len(found) >= count:
                return found[0] if count == 1 else found
            with self.changed:
                left = deadline - time.monotonic()
                assert left > 0, f"no {count} x {event} {members} in {self.events[-30:]}"
                self.changed.wait(min(left, 0.05))

    def call(self, step, **members):
        """The result of one step a route has reported: a status name, or a number."""
        event = self.expect("call", step=step, **members)
        return event.get("name", event["result"]) if event["result"] <= 0 else event["result"]

    def logged(self, worst=3):
        """Lines of the server's own log at this level or worse (1 error ... 4 debug)."""
        return [e["text"] for e in self.select("log") if e["level"] <= worst]

    # ---- control

    def command(self, name, which=0, ms=0, patience=None):
        count = len(self.select("command", name=name)) + 1
        self.tell(name, which, ms)
        found = self.expect("command", count, patience, name=name)
        return (found if count == 1 else found[-1])["status"]

    def counters(self, which=0):
        """A snapshot taken by a thread of the host."""
        count = len(self.select("counters")) + 1
        self.tell("counters", which)
        found = self.expect("counters", count)
        return (found if count == 1 else found[-1])["counters"]

    def settled(self, **wanted):
        """The snapshot in which the named counters have these values, in whatever order things come."""

        def look():
            found = self.counters()
            return found if all(found[name] == value for name, value in wanted.items()) else None

        return wait_until(look, f"counters {wanted}")

    def tell(self, name, which=0, ms=0):
        self.process.stdin.write(f"{name} {which} {ms}\n".encode())
        self.process.stdin.flush()

    def signal(self, number):
        os.kill(self.pid, number)

    @contextlib.contextmanager
    def stopped(self):
        """All of its threads stand still while the body runs."""
        tasks = f"/proc/{self.pid}/task"
        self.signal(signal.SIGSTOP)
        wait_until(lambda: all(state_of(f"{tasks}/{task}") == "T" for task in os.listdir(tasks)), "the stop")
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def waits_for_room(self, reads=True):
        """One of its loops watches a connection whose socket is full; reads=False: and does not read it."""
        folder = f"/proc/{self.pid}/fdinfo"
        watched = []
        for number in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError), open(f"{folder}/{number}") as info:
                watched += re.findall(r"^tfd: .* events: +([0-9a-f]+)", info.read(), re.MULTILINE)
        found = [int(events, 16) for events in watched if int(events, 16) & select.EPOLLOUT]
        return any(reads or not events & select.EPOLLIN for events in found)

    def threads(self):
        watchers = 1 if "-fsanitize=thread" in os.environ.get("EVY_CFLAGS", "") else 0
        return len(os.listdir(f"/proc/{self.pid}/task")) - watchers

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def finish(self):
        """Ends the program and checks what must hold after every test."""
        if self.finished:
            return
        self.finished = True
        self.signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            code = self.process.wait(3 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the server did not end: {self.events[-20:]} {self.stderr()}")
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        text = self.stderr()
        self.errors.close()
        assert code == 0, f"exit code {code}: {text}"
        assert not SANITIZER.search(text.encode("latin-1")), text
        self._check_promises()

    def _check_promises(self):
        """Every hook once, every drop once, one access line per request after its hooks."""
        end = self.events[-1]
        assert end["event"] == "end", self.events[-3:]
        assert end["hooks_run"] == end["hooks_added"], end
        assert end["drops"] == end["drops_due"], end
        hooked, lined = {}, {}
        for position, event in enumerate(self.events):
            if event["event"] == "hook" and event["name"] == "figures":
                assert event["id"] not in hooked, event
                hooked[event["id"]] = position
                stats = event["stats"]
                assert stats["wire_out"] == stats["head_out"] + stats["body_out"], event
            if event["event"] == "hook":
                assert event["id"] not in lined, f"hook after the access line: {event}"
            if event["event"] == "access" and "id" in event:
                assert event["id"] not in lined, event
                lined[event["id"]] = position
        begun = [e["id"] for e in self.events if e["event"] == "request"]
        assert len(set(begun)) == len(begun), "a request id was used twice"
        if begun and any(e["event"] == "hook" for e in self.events):
            assert set(hooked) >= set(begun), (hooked, begun)
        if lined:
            assert set(lined) >= set(begun), (lined, begun)
