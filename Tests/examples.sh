#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds Examples/c against LIBRARY without a warning, and Examples/swift, runs each of them and checks what
# it answers: examples.sh LIBRARY [NAME...]. The twins of a name get the same checks, check_NAME of examples/.
set -euo pipefail
library=$(realpath "$1")
shift
only=" $* "
cd "$(dirname "$0")/.."
swift_build=${SWIFT_BUILD:-swift build -c release}
folder=$(mktemp -d)
server=
nginx=
trap '[ -z "$server$nginx" ] || kill $server $nginx 2>/dev/null || true; rm -rf "$folder"' EXIT

fail() {
    echo "Examples/$source:1: $*"
    [ ! -s "$folder/log" ] || sed 's/^/    /' "$folder/log"
    exit 1
}
same() { [ "$2" = "$3" ] || fail "$1: \"$2\" instead of \"$3\""; }
like() { [[ "$2" =~ $3 ]] || fail "$1: \"$2\" is not like $3"; }
# Waits for a condition for at most ten seconds: wait_for WHAT COMMAND...
wait_for() {
    local what=$1 _
    shift
    for _ in {1..100}; do
        "$@" && return
        sleep 0.1
    done
    fail "waited in vain for $what"
}
has_lines() { [ "$(wc -l < "$folder/out")" -ge "$1" ]; }
has_logged() { [ "$(wc -l < "$folder/log")" -ge "$1" ]; }
logs() { grep -q "$1" "$folder/log"; }
is_over() { ! kill -0 "$server" 2>/dev/null; }

# start LINES ARGUMENT...: the program with its first LINES of output in ${said[@]}
start() {
    local lines=$1
    shift
    # Emptied here, because the new process may be late, and appended to there.
    : > "$folder/out"
    : > "$folder/log"
    "$folder/$kind/$name" "$@" >> "$folder/out" 2>> "$folder/log" &
    server=$!
    wait_for "$lines lines" has_lines "$lines"
    mapfile -t said < "$folder/out"
    url=${said[0]}
}
stop() {
    is_over && fail "ended by itself"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
}

build() {
    local example
    mkdir "$folder/c" "$folder/swift"
    ln -s "$library" "$folder/libevy.so"
    ln -s "$library" "$folder/libevy.so.0"
    for example in Examples/c/*.c; do
        "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -IInclude "$example" -L"$folder" -levy \
            -Wl,-rpath,"$folder" -o "$folder/c/$(basename "$example" .c)"
    done
    $swift_build > "$folder/build" 2>&1 || { cat "$folder/build"; exit 1; }
    for example in Examples/swift/*; do
        name=$(basename "$example")
        ln -s "$($swift_build --show-bin-path)/evy-$name-swift" "$folder/swift/$name"
    done
}
for checks in Tests/examples/*.sh; do . "$checks"; done

build
make_pair one
make_pair two
for kind in c swift; do
    for program in "$folder/$kind"/*; do
        name=$(basename "$program")
        [[ "$only" = "  " || "$only" = *" $name "* ]] || continue
        source=c/$name.c
        [ "$kind" = c ] || source=swift/$name/main.swift
        : > "$folder/log"
        grep -qF "($source)" Examples/README.md || fail "Examples/README.md does not name it"
        "check_$name"
        echo "$source: ok"
    done
done
