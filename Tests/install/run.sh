#!/bin/sh
# SPDX-License-Identifier: MIT
# An installed evy serves pkg-config, CMake and Swift packages, and equals LIBRARY, the one SwiftPM built.
set -eu
library=$(realpath "$1")
cd "$(dirname "$0")/../.."
root=$PWD
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
prefix=$folder/prefix
consumer=$root/Tests/install/consumer.c

step() { echo "== $*"; }
exports() { nm -D --defined-only "$1" | awk '{print $3}' | sort; }

step "cmake: build and install"
cmake -S . -B "$folder/build" -G Ninja
cmake --build "$folder/build"
cmake --install "$folder/build" --strip --prefix "$prefix"
libdir=$(dirname "$(find "$prefix" -name libevy.so)")
for name in libevy.so.0 libevy.so.0.1.0 pkgconfig/evy.pc cmake/evy/evyConfig.cmake; do
    [ -e "$libdir/$name" ] || { echo "CMakeLists.txt:1: $name was not installed"; exit 1; }
done
[ -e "$prefix/include/evy.h" ] || { echo "CMakeLists.txt:1: evy.h was not installed"; exit 1; }

step "cmake and swift build export the same"
exports "$library" > "$folder/swiftpm"
exports "$libdir/libevy.so" > "$folder/cmake"
diff "$folder/swiftpm" "$folder/cmake"
python3 .ci/library.py "$libdir/libevy.so"

step "pkg-config"
export PKG_CONFIG_PATH="$libdir/pkgconfig"
cc -Wall -Wextra -Werror "$consumer" $(pkg-config --cflags --libs evy) -o "$folder/by-pkg-config"
LD_LIBRARY_PATH=$libdir "$folder/by-pkg-config"
cc -Wall -Wextra -Werror Tests/install/site.c $(pkg-config --cflags --libs evy) \
    -o "$folder/by-pkg-config-site"
[ "$(pkg-config --modversion evy)" = "$(sed -n 's/^project(evy VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)" ]

step "find_package(evy CONFIG)"
mkdir "$folder/by-cmake"
cat > "$folder/by-cmake/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.13)
project(consumer C)
find_package(evy 0.1 CONFIG REQUIRED)
add_executable(consumer $consumer)
target_link_libraries(consumer PRIVATE evy::evy)
add_executable(site $root/Tests/install/site.c)
target_link_libraries(site PRIVATE evy::evy)
END
cmake -S "$folder/by-cmake" -B "$folder/by-cmake/build" -DCMAKE_PREFIX_PATH="$prefix"
cmake --build "$folder/by-cmake/build"
"$folder/by-cmake/build/consumer"

step "a web package on the public header alone, with the library it was built with and with the other one"
cd "$folder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 2 \
    -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2> openssl.log
head -c 1048576 /dev/urandom > 1m
python3 "$root/Tests/install/site.py" "$folder/by-cmake/build/site"
mkdir other
ln -s "$library" other/libevy.so.0
LD_LIBRARY_PATH="$folder/other" python3 "$root/Tests/install/site.py" "$folder/by-pkg-config-site"
cd "$root"

step "a Swift package that depends on this one"
mkdir -p "$folder/by-swift/Sources/consumer"
cat > "$folder/by-swift/Package.swift" <<END
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
    name: "consumer",
    dependencies: [.package(name: "evy", path: "$root")],
    targets: [
        .executableTarget(name: "consumer", dependencies: [.product(name: "Evy", package: "evy")]),
        .executableTarget(name: "site", dependencies: [.product(name: "Evy", package: "evy")]),
    ]
)
END
cat > "$folder/by-swift/Sources/consumer/main.swift" <<END
import Evy
import Glibc

do {
    let server = try Server(on: .tcp("127.0.0.1", port: 0)) { request in
        try request.respond(.ok, headers: ["Content-Type": "text/plain"], body: "from Swift\(request.path)")
        request.stopServer(grace: .seconds(5))
    }
    print(server.port)
    fflush(nil)
    try server.run()
    print("evy \(Library.version) from Swift")
} catch {
    print(error)
    exit(1)
}
END
mkdir "$folder/by-swift/Sources/site"
cp Tests/install/site.swift "$folder/by-swift/Sources/site/main.swift"
swift build --package-path "$folder/by-swift"
(cd "$folder" && python3 "$root/Tests/install/site.py" \
    "$(swift build --package-path "$folder/by-swift" --show-bin-path)/site")
"$(swift build --package-path "$folder/by-swift" --show-bin-path)/consumer" > "$folder/said" &
server=$!
for _ in $(seq 100); do
    [ -s "$folder/said" ] && break
    sleep 0.1
done
[ "$(curl -s "http://127.0.0.1:$(head -n 1 "$folder/said")/hi")" = "from Swift/hi" ]
wait "$server"
server=
grep -x "evy .* from Swift" "$folder/said"
