#!/bin/sh
# SPDX-License-Identifier: MIT
# Behaviour tests once more, with two loops in every server: those in which threads and connections meet.
set -eu
cd "$(dirname "$0")/behaviour"
EVY_TEST_LOOPS=2
export EVY_TEST_LOOPS
set --
for name in handlers drain answers takeover accounting counters; do
    set -- "$@" "Tests/behaviour/test_$name.py"
done
exec ../pytest.sh "$@"
