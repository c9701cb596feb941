#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares evy's HTTP/1 parser with others on random requests: run.sh SECONDS [SEED] [ARGUMENT...]
# The other parsers are installed from PyPI into .build-differential, at the versions of requirements.txt.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:?usage: Tests/Differential/run.sh SECONDS [SEED] [ARGUMENT...]}
seed=${2:-1}
shift $(($# < 2 ? $# : 2))
here=Tests/Differential
environment=.build-differential
libraries=${EVY_LIB_DIR:-$PWD/.build/release}
python=$environment/bin/python
if ! cmp -s $here/requirements.txt $environment/requirements.txt; then
    "${PYTHON:-python3}" -m venv --clear $environment
    "$python" -m pip install -q --disable-pip-version-check -r $here/requirements.txt
    cp $here/requirements.txt $environment/
fi
# shellcheck disable=SC2086
${CC:-cc} -O2 -g -Wall -Wextra -Werror ${EVY_CFLAGS:-} -IInclude $here/target.c -L"$libraries" -levy \
    -Wl,-rpath,"$libraries" -o $environment/target
PYTHONPATH=$here exec "$python" $here/differ.py $environment/target --seconds "$seconds" --seed "$seed" "$@"
