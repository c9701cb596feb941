#!/bin/bash
# SPDX-License-Identifier: MIT
# Replays the inputs in Tests/Fuzz/corpus and Tests/Fuzz/regressions, then fuzzes each target for SECONDS:
# run.sh SECONDS [TARGET...]
# Builds only what has changed. What is found stays in .build/fuzz: new inputs in corpus/TARGET, an input
# that fails as crash-TARGET-*. The table at the end tells how many inputs each target ran.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?usage: Tests/Fuzz/run.sh SECONDS [TARGET...]}
shift
directory=${FUZZ_DIRECTORY:-.build/fuzz}
rooms="HeadParserFuzz BodyFuzz ProxyFuzz ResponseFuzz AccessFuzz OptionFuzz TextFuzz"
if [ $# -eq 0 ]; then set -- $rooms ConversationFuzz; fi
mkdir -p "$directory"
core=Sources/EvyCore
flags="-sanitize=fuzzer,address -gline-tables-only -parse-as-library -swift-version 6 -use-ld=lld
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature ExistentialAny
    -enable-upcoming-feature MemberImportVisibility -I Include -I Sources/COpenSSL -I Sources/CSystem/include"
# What a few seconds of fuzzing wait for is the compiler, what an hour waits for is the program.
optimised=$([ "$seconds" -ge 60 ] && echo -O || echo -Onone)

# once NAME FILE... -- COMMAND...: runs the command unless it has made NAME from these very files.
once() {
    local name=$1 sources=()
    shift
    while [ "$1" != -- ]; do
        sources+=("$1")
        shift
    done
    shift
    local sum
    sum=$({ cat "${sources[@]}" && echo "$flags $*"; } | sha256sum)
    if [ ! -e "$directory/$name" ] || [ "$(cat "$directory/$name.sum" 2>/dev/null)" != "$sum" ]; then
        "$@"
        echo "$sum" > "$directory/$name.sum"
    fi
}

build_rooms() {
    # The pure rooms, and the few files of others that are as pure.
    once rooms $core/{Bytes,HTTP,HTTP1,Proxy}/*.swift Sources/CSystem/include/*.h Tests/Fuzz/*.swift \
        $core/Server/{Access{Fields,Format,JSON,Text},LocalZone,LogDestination}.swift \
        $core/Server/{Option{Parsing,Table,s},ProxyOptions}.swift \
        $core/System/{ListenAddress,LogCalls,Locked,FutexLock,Condition}.swift $core/Transport/TLSName.swift \
        -- compile_rooms
}

compile_rooms() {
    local file swift=()
    for file in "${sources[@]}"; do
        [[ $file != *.swift ]] || swift+=("$file")
    done
    # shellcheck disable=SC2086
    swiftc $flags -emit-executable -wmo -O -module-name EvyFuzz "${swift[@]}" -o "$directory/rooms"
}

build_conversation() {
    local clang name objects=()
    clang=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
    once "core$optimised.o" $core/*/*.swift Include/evy.h Sources/C*/*.h Sources/CSystem/include/*.h \
        -- compile_core
    once pair.pem Tests/Fuzz/run.sh -- make_pair
    for name in conversation script handler client peer; do
        "$clang" -c -g -O1 -Wall -Wextra -Werror -fsanitize=address,fuzzer-no-link -IInclude \
            -DEVY_FUZZ_PAIR="\"$directory/pair.pem\"" "Tests/Fuzz/conversation/$name.c" \
            -o "$directory/$name.o"
        objects+=("$directory/$name.o")
    done
    swiftc -sanitize=fuzzer,address -use-ld=lld "${objects[@]}" "$directory/core$optimised.o" \
        -lssl -lcrypto -o "$directory/conversation"
}

make_pair() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=fuzz -nodes \
        -keyout "$directory/key.pem" -out "$directory/pair.pem" 2> "$directory/pair.log"
    cat "$directory/key.pem" >> "$directory/pair.pem"
}

compile_core() {
    # shellcheck disable=SC2086
    swiftc $flags -emit-object -wmo $optimised -module-name EvyCore $core/*/*.swift \
        -o "$directory/core$optimised.o"
}

# Every case of the conformance corpus is an input as well.
seed_from_cases() {
    python3 Tests/Fuzz/seed.py Tests/Conformance/http1 "$directory/corpus/HeadParserFuzz" \
        "$directory/corpus/BodyFuzz"
}

# fuzz TARGET: one target, its figures in a line.
fuzz() {
    local target=$1 program=rooms log
    [ "$target" != ConversationFuzz ] || program=conversation
    ln -sf "$program" "$directory/$target.fuzz"
    log=$directory/$target.log
    python3 Tests/Fuzz/pack.py unpack "Tests/Fuzz/corpus/$target.txt" "$directory/corpus/$target"
    case "$target" in
        ConversationFuzz) python3 Tests/Fuzz/conversation/seed.py "$directory/corpus/$target" ;;
        HeadParserFuzz | BodyFuzz) seed_from_cases ;;
    esac
    python3 Tests/Fuzz/pack.py unpack "Tests/Fuzz/regressions/$target.txt" "$directory/regressions/$target"
    if ! "$directory/$target.fuzz" -max_total_time="$seconds" -timeout=25 -max_len=512 -print_final_stats=1 \
        -dict=Tests/Fuzz/http1.dict -artifact_prefix="$directory/crash-$target-" \
        "$directory/corpus/$target" "$directory/regressions/$target" > "$log" 2>&1
    then
        echo "$target FAILED:"
        tail -n 60 "$log"
        return 1
    fi
    printf '%-17s %10s inputs, %s\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -n 1)"
}

# Where an allocation was made is told in two frames, which is faster than in thirty.
export ASAN_OPTIONS=${ASAN_OPTIONS:-malloc_context_size=2:quarantine_size_mb=4}
export SWIFT_BACKTRACE=enable=no
# Each is one run of the compiler, which keeps one processor busy.
builds=()
case " $* " in *" ConversationFuzz "*)
    build_conversation &
    builds+=($!)
    ;;
esac
[ "$*" = ConversationFuzz ] || build_rooms
for build in "${builds[@]}"; do wait "$build"; done
failed=0
for target in "$@"; do
    fuzz "$target" || failed=$((failed + 1))
done
exit "$failed"
