#!/bin/sh
# SPDX-License-Identifier: MIT
# The C boundary under AddressSanitizer and plain: every function in every state, then the fuzzer.
#   run.sh SECONDS [SEED]        SECONDS for the fuzzer; the seed counts up from round to round
# EVY_LIB_DIR (a library without a sanitizer) and EVY_ASAN_LIB_DIR are built where they are not given.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:?usage: Tests/ABI/run.sh SECONDS [SEED]}
seed=${2:-1}
work=.build/abi
mkdir -p "$work"
if [ -z "${EVY_LIB_DIR:-}" ]; then
    make -s lib
    EVY_LIB_DIR=.build/release
fi
if [ -z "${EVY_ASAN_LIB_DIR:-}" ]; then
    swift build --product evy --sanitize=address --scratch-path .build-address
    EVY_ASAN_LIB_DIR=.build-address/debug
    ln -sf libevy.so "$EVY_ASAN_LIB_DIR/libevy.so.0"
fi
plain=$(realpath "$EVY_LIB_DIR")
sanitized=$(realpath "$EVY_ASAN_LIB_DIR")
# The programs need the sanitizer of Swift's own clang.
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang

# program NAME LIBRARY FLAGS FILE...
program() {
    name=$1 library=$2 flags=$3
    shift 3
    # shellcheck disable=SC2086 # flags are words
    (cd Tests/ABI && "$clang" -std=gnu11 -Wall -Wextra -Werror -O1 -g $flags -I ../../Include "$@" \
        -o "../../$work/$name" -L "$library" -Wl,-rpath,"$library" -levy -lpthread) 2>"$work/$name.log" ||
        { cat "$work/$name.log"; exit 1; }
}
every="every.c every_object.c every_server.c every_request.c every_argument.c abi.c"
fuzz="fuzz.c fuzz_world.c fuzz_client.c fuzz_object.c fuzz_server.c fuzz_request.c abi.c"
# shellcheck disable=SC2086 # lists of files
for kind in plain address; do
    library=$plain flags=
    [ $kind = plain ] || { library=$sanitized flags=-fsanitize=address; }
    program every-$kind "$library" "$flags" $every
    program fuzz-$kind "$library" "$flags" $fuzz
done

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=a.org -days 30 -nodes \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>"$work/openssl.log"
seq 1 3000 >"$work/plain.txt"
set -- "$work/cert.pem" "$work/key.pem" "$work/plain.txt"

python3 Tests/ABI/checklist.py Include/evy.h "$work/every-plain" "$work/fuzz-plain"
ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export ASAN_OPTIONS
for kind in plain address; do
    for chapter in objects servers requests arguments; do
        "$work/every-$kind" "$chapter" "$@"
    done
done
# A third of the time plain, where races run at full speed.
"$work/fuzz-plain" $((seconds / 3)) "$seed" 300 "$@"
"$work/fuzz-address" $((seconds - seconds / 3)) "$seed" 300 "$@"
