#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of the Python package under PyPy, without those of the command line: pypy.sh [ARGUMENT...]
# Debian's pypy3 is installed if need be; pytest goes into .build-pypy.
set -eu
cd "$(dirname "$0")/.."
.ci/need.sh pypy3 pypy3-venv
python=.build-pypy/bin/python
if ! "$python" -c 'import pytest' 2>/dev/null; then
    pypy3 -m venv --clear .build-pypy
    "$python" -m pip install -q pytest
fi
PYTHON=$python exec Tests/python.sh auto "$@"
