#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the fuzz targets and runs each for SECONDS: Tests/Fuzz/run.sh SECONDS [DIRECTORY]
# The corpus grows in DIRECTORY (default .build/fuzz); an input that fails is left there as crash-*.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:?usage: Tests/Fuzz/run.sh SECONDS [DIRECTORY]}
directory=${2:-.build/fuzz}
mkdir -p "$directory/include"
# Only the scanner: the pure rooms may know nothing else of CSystem.
cp Sources/CSystem/include/evy_scan.h "$directory/include/"
printf 'module CSystem { header "evy_scan.h" export * }\n' > "$directory/include/module.modulemap"
python3 Tests/Fuzz/seed.py Tests/Conformance/http1 "$directory/HeadParserFuzz" "$directory/ChunkedFuzz"

mkdir -p "$directory/ProxyFuzz"
printf '\000PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 56324 443\r\nGET' > "$directory/ProxyFuzz/version1"
printf '\000\r\n\r\n\000\r\nQUIT\n\041\021\000\014abcdefghijklGET' > "$directory/ProxyFuzz/version2"
printf '\001192.0.2.1:80, [2001:db8::1]:443, unknown, 10.0.0.0/8' > "$directory/ProxyFuzz/list"
printf '\001for=192.0.2.1;proto=https, For="[::1]:80";host="a\\"b"' > "$directory/ProxyFuzz/forwarded"

for target in HeadParserFuzz ChunkedFuzz ProxyFuzz; do
    swiftc -O -g -sanitize=fuzzer,address -parse-as-library -swift-version 6 -module-name "$target" \
        -enable-upcoming-feature InternalImportsByDefault -I "$directory/include" \
        Sources/EvyCore/Bytes/*.swift Sources/EvyCore/HTTP/*.swift Sources/EvyCore/HTTP1/*.swift \
        Sources/EvyCore/Proxy/*.swift "Tests/Fuzz/$target.swift" -o "$directory/$target.bin"
    "$directory/$target.bin" -max_total_time="$seconds" -timeout=5 -max_len=4096 -print_final_stats=1 \
        -dict=Tests/Fuzz/http1.dict -artifact_prefix="$directory/crash-$target-" "$directory/$target"
done
