#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs pytest on one folder of tests with a Python that has it: pytest.sh FOLDER [ARGUMENT...]
set -eu
cd "$(dirname "$0")/.."
for python in ${PYTHON:-} python3 /usr/bin/python3; do
    if "$python" -c 'import pytest' 2>/dev/null; then
        exec "$python" -m pytest -q -p no:cacheprovider "$@"
    fi
done
echo "Tests/pytest.sh:1: no Python with pytest (Debian: python3-pytest)"
exit 1
