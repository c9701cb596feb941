#!/bin/bash
# SPDX-License-Identifier: MIT
# The wheel with LIBRARY inside serves the mission's hello from a fresh virtual environment, outside the tree
# and without a Swift toolchain: wheel.sh LIBRARY. PYTHONS: with which Pythons, of those that are here.
set -euo pipefail
library=$(realpath "$1")
cd "$(dirname "$0")/.."
root=$PWD
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
# What a machine without the toolchain has; the tree's own library must not be found either.
bare=(env -i PATH=/usr/bin:/bin HOME="$folder")
fail() {
    echo "Tests/wheel.sh:1: $*"
    [ ! -s "$folder/log" ] || sed 's/^/    /' "$folder/log"
    exit 1
}
like() { [[ "$2" =~ $3 ]] || fail "$1: \"$2\" is not like $3"; }

echo "== the wheel"
python3 -m venv "$folder/builder"
EVY_PREBUILT_SO=$library "$folder/builder/bin/pip" wheel -q --no-deps -w "$folder" bindings/python
wheel=$(echo "$folder"/*.whl)
like "its name" "$(basename "$wheel")" '^evy-[0-9.]+-py3-none-linux_[a-z0-9_]+\.whl$'
"$folder/builder/bin/python" - "$wheel" "$library" << 'END'
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = {info.filename: info.file_size for info in wheel.infolist()}
print(*sorted(names), sep="\n")
packages = ["evy/__init__.py", "evy/web/__init__.py", "evy/web/wsgi.py", "evy/py.typed", "evy/libevy.so"]
for folder, _, files in os.walk("bindings/python/evy"):
    paths = [os.path.join(folder, file) for file in files if file.endswith(".py")]
    packages += [os.path.relpath(path, "bindings/python") for path in paths]
missing = [name for name in packages if name not in names]
assert not missing, f"missing: {missing}"
assert not [name for name in names if name.startswith(("tests/", "evy/tests"))], "tests are inside"
assert any(name.endswith("/LICENSE") for name in names), "no licence"
assert names["evy/libevy.so"] <= os.path.getsize(sys.argv[2]), "not stripped"
END

echo "== a missing library is named"
if EVY_PREBUILT_SO=$folder/none.so "$folder/builder/bin/pip" wheel --no-deps -w "$folder/none" \
    bindings/python > "$folder/refused" 2>&1; then
    fail "a wheel without a library was built"
fi
grep -q "there is no file $folder/none.so" "$folder/refused" || fail "$(cat "$folder/refused")"

# The first block of the mission, on a free port; the test says what the mission's block is.
sed -n '/^```python$/,/^```$/p' bindings/python/tests/mission.md | sed '1d;/^```$/,$d' > "$folder/hello.py"
grep -q "listen(('', 8090))" "$folder/hello.py" || fail "the mission's block is not where it was"
port=$(PYTHONPATH=Tests/behaviour python3 -c 'import client; print(client.free_port())')
sed -i "s/8090/$port/" "$folder/hello.py"

# serves PYTHON: installs the wheel for it, runs hello, asks it
serves() {
    local venv=$folder/venv-$1 answer
    "${bare[@]}" "$(command -v "$1")" -m venv "$venv"
    "${bare[@]}" "$venv/bin/python" -m pip install -q --no-index "$wheel"
    cd "$folder"
    "${bare[@]}" "$venv/bin/python" -W ignore hello.py 2> "$folder/log" &
    server=$!
    answer=$(curl -si --retry 100 --retry-connrefused --retry-delay 0 --retry-max-time 20 \
        "http://127.0.0.1:$port/" | tr -d '\r') || fail "$1: no answer"
    like "hello" "$answer" '^HTTP/1\.1 200 OK'
    like "hello" "$answer" 'Hello, World!$'
    local mapped
    mapped=$(grep -o '/[^ ]*libevy[^ ]*' "/proc/$server/maps" | sort -u || true)
    like "the library in use" "$mapped" "^$venv/lib/[^ ]*/evy/libevy\.so\$"
    kill "$server"
    wait "$server" || fail "$1: exit status $?"
    server=
    like "the log" "$(tail -n 1 "$folder/log")" 'wsgi exiting$'
    cd "$root"
}

tried=0
for python in ${PYTHONS:-python3 pypy3}; do
    if "$python" -c 'import venv' 2> /dev/null; then
        echo "== $("$python" -c 'import sys; print(sys.implementation.name, *sys.version_info[:2])')"
        serves "$python"
        tried=$((tried + 1))
    else
        echo "-- $python is not here"
    fi
done
[ "$tried" -gt 0 ] || fail "no Python was tried"
