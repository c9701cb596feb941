# SPDX-License-Identifier: MIT
# figures - the size of a run, what it measured, and the normal client whose latency everybody watches.

import json
import os
import pathlib
import subprocess
import sys

from support import FACTOR, SANITIZED

FULL = os.environ.get("EVY_HOSTILE") == "full"
"""What a normal client must get in 99 of 100 cases; in a short run it only has to be served at all."""
P99_SECONDS_MAX = 0.05 if FULL and not SANITIZED else 5 * FACTOR

PAUSE_SECONDS = 0.005  # as in probe.py

HEADS = ("class", "clients", "deadline", "cut after, s", "normal p50, ms", "p99", "max", "bytes each")
rows = []


def size(short, full):
    """The number for this run."""
    return full if FULL else short


def row(name, clients, deadline=None, cut=None, normal=None, each=None):
    """One line of the table; cut: when the clients of the class were cut, in seconds."""
    span = f"{min(cut):.2f} - {max(cut):.2f}" if cut else "-"
    times = [f"{normal[key] * 1000:.1f}" for key in ("p50", "p99", "max")] if normal else ["-"] * 3
    rows.append((name, f"{clients}", deadline or "-", span, *times, "-" if each is None else f"{each:.0f}"))


def table():
    if not rows:
        return
    widths = [max(len(line[i]) for line in [HEADS, *rows]) for i in range(len(HEADS))]
    for line in [HEADS, *rows]:
        yield "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths))
        )


def with_those_unasked(times):
    """While it waited for one answer it asked for no other: who would have come every 5 ms waited as well."""
    for seconds in times:
        yield seconds
        while (seconds := seconds - PAUSE_SECONDS) > PAUSE_SECONDS:
            yield seconds


class Normal:
    """A well-behaved client in a process of its own, from `with` to the end of it: every 5 ms a request on a
    kept connection, each tenth on a new one. Its figures are seconds."""

    def __init__(self, port, tls=False):
        self.port, self.tls, self.figures = port, tls, None

    def __enter__(self):
        probe = pathlib.Path(__file__).with_name("probe.py")
        command = [sys.executable, probe, str(self.port), "tls" if self.tls else "plain"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, failure, *_):
        out, _ = self.process.communicate(timeout=30 * FACTOR)
        if failure is None:
            assert self.process.returncode == 0, out
            times = sorted(with_those_unasked(json.loads(out)))
            assert times, "nobody was served"
            at = {"p50": 0.5, "p99": 0.99, "max": 1}
            self.figures = {key: times[int((len(times) - 1) * part)] for key, part in at.items()}
            assert self.figures["p99"] < P99_SECONDS_MAX, self.figures

    def __getitem__(self, key):
        return self.figures[key]
