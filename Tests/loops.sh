#!/bin/sh
# SPDX-License-Identifier: MIT
# Behaviour tests once more, with two loops in every server: those in which threads and connections meet.
set -eu
cd "$(dirname "$0")/behaviour"
EVY_TEST_LOOPS=2
export EVY_TEST_LOOPS
exec ../pytest.sh Tests/behaviour/test_handlers.py Tests/behaviour/test_drain.py Tests/behaviour/test_answers.py \
    Tests/behaviour/test_takeover.py Tests/behaviour/test_accounting.py Tests/behaviour/test_counters.py
