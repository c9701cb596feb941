#!/bin/sh
# SPDX-License-Identifier: MIT
# The behaviour tests (real sockets, C programs on the release library), with a Python that has pytest.
set -eu
cd "$(dirname "$0")/.."
for python in ${PYTHON:-} python3 /usr/bin/python3; do
    if "$python" -c 'import pytest' 2>/dev/null; then
        exec "$python" -m pytest -q -p no:cacheprovider Tests/behaviour "$@"
    fi
done
echo "Tests/behaviour.sh:1: no Python with pytest (Debian: python3-pytest)"
exit 1
