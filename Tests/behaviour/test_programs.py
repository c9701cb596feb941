# SPDX-License-Identifier: MIT
# test_programs - the C programs that test themselves: wrong use of every function, start and stop in turn.

import json
import os
import re
import shutil
import subprocess

import pytest
from support import PATIENCE, SANITIZED, SANITIZER


@pytest.mark.parametrize(
    "chapter",
    [
        "library",
        "config",
        "options",
        "listen",
        "tls",
        "drops",
        "server",
        "free-order",
        "fork",
        "null-request",
        "in-handler",
        "seeing",
    ],
)
def test_wrong_use_gives_a_status_and_a_text_never_a_crash(programs, pair, other_pair, locked_pair, chapter):
    run = subprocess.run(
        [programs["misuse"], chapter, *pair, *other_pair, *locked_pair],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert run.returncode == 0, f"{run.returncode}\n{run.stdout}{run.stderr}"
    assert re.search(r"^[1-9]\d* checks, 0 failed$", run.stdout, re.MULTILINE), run.stdout
    assert not SANITIZER.search(run.stderr.encode())


def cycle(programs, pair, count, wrapper=()):
    return subprocess.run(
        [*wrapper, programs["cycle"], str(count), *pair],
        capture_output=True,
        text=True,
        timeout=12 * PATIENCE,
    )


def test_two_servers_started_and_stopped_a_hundred_times_leave_nothing(programs, pair):
    run = cycle(programs, pair, 100)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(run.stdout)
    assert found["cycles"] == 100 and found["answers"] == 200 and found["drops"] == found["drops_due"]
    assert found["threads"][1] == found["threads"][0] and found["descriptors"][1] == found["descriptors"][0]
    assert SANITIZED or found["resident_kib"][1] - found["resident_kib"][0] < 4096, found


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
@pytest.mark.skipif(SANITIZED, reason="valgrind and sanitizers exclude each other")
def test_valgrind_finds_nothing_lost(programs, pair):
    run = cycle(
        programs,
        pair,
        int(os.environ.get("EVY_VALGRIND_CYCLES", "100")),
        ["valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=99"],
    )
    assert run.returncode == 0, run.stdout + run.stderr
    lost = re.search(r"definitely lost: ([\d,]+) bytes", run.stderr)
    assert lost is None or lost[1] == "0", run.stderr
