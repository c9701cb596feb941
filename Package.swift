// swift-tools-version: 6.2
// SPDX-License-Identifier: MIT
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

// These flags make libevy.so what C, Python and every other host expects: the Swift runtime inside,
// only the functions of evy.h visible, a versioned name, and never unloaded (the runtime cannot be).
// They sit on a target of their own so that Swift programs and tests do not inherit them.
// The number in the SONAME is the major version of CMakeLists.txt; .ci/library.py compares them.
let sharedLibraryFlags = [
    "-static-stdlib",
    "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/EvyShared/evy.map",
    "-Xlinker", "-soname=libevy.so.0",
    "-Xlinker", "-z", "-Xlinker", "relro",
    "-Xlinker", "-z", "-Xlinker", "nodelete",
]

// Examples/swift/NAME becomes evy-NAME-swift.
let examples = [
    "async", "bandwidth", "billing", "events", "files", "hello", "long_poll", "metrics", "mtls", "streaming",
    "tls", "tls_reload", "unix", "upload", "workers",
].map { name in
    Target.executableTarget(
        name: "evy-\(name)-swift", dependencies: ["Evy"], path: "Examples/swift/\(name)",
        swiftSettings: strict)
}

let package = Package(
    name: "evy",
    products: [
        .library(name: "Evy", targets: ["Evy"]),
        .library(name: "evy", type: .dynamic, targets: ["EvyShared"]),
    ],
    targets: [
        .systemLibrary(name: "CEvy", path: "Include"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CSystem"),
        .target(name: "EvyCore", dependencies: ["CEvy", "COpenSSL", "CSystem"], swiftSettings: strict),
        .target(
            name: "EvyShared", dependencies: ["EvyCore"], exclude: ["evy.map"], swiftSettings: strict,
            linkerSettings: [.unsafeFlags(sharedLibraryFlags, .when(platforms: [.linux]))]),
        .target(name: "Evy", dependencies: ["CEvy", "EvyCore"], swiftSettings: strict),
        .testTarget(
            name: "EvyCoreTests", dependencies: ["EvyCore", "CEvy", "CSystem", "COpenSSL"],
            swiftSettings: strict),
        .testTarget(name: "EvyTests", dependencies: ["Evy"], swiftSettings: strict),
    ] + examples
)
