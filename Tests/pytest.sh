#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs pytest on one folder of tests with a Python that has it: pytest.sh FOLDER [ARGUMENT...]
# With "-n 3" three tests run at a time: most of their time they wait for something.
set -eu
cd "$(dirname "$0")/.."
needs=pytest
case " $* " in *" -n "*) needs="pytest, xdist" ;; esac
for python in ${PYTHON:-} python3 /usr/bin/python3; do
    if "$python" -c "import $needs" 2>/dev/null; then
        exec "$python" -m pytest -q -p no:cacheprovider "$@"
    fi
done
echo "Tests/pytest.sh:1: no Python with $needs (Debian: python3-pytest, python3-pytest-xdist)"
exit 1
