// SPDX-License-Identifier: MIT
// Version - what the linked library is and which options it knows, as Swift values.
// Room: Evy (the Swift face; reaches the core through Include/evy.h only).
internal import CEvy

/// What the linked library is, as far as a program may want to print or compare it.
public enum Library {
    /// "0.1.0 (OpenSSL 3.0.19, epoll)".
    public static var version: String { String(cString: evy_version_string()) }

    /// 0xMMmmpp: major, minor and patch in one comparable number.
    public static var versionNumber: UInt32 { evy_version() }

    /// Whether the library was built with "tls", "http/1.1", ...
    public static func has(_ feature: String) -> Bool {
        !feature.utf8.contains(0) && evy_feature(feature) == 1
    }

    /// One option of the table behind `Options`, for a program that offers them on its command line.
    public struct Option: Sendable, Hashable {
        public let name: String
        /// "int", "size", "time", "bool", "text" or "choice".
        public let type: String
        public let standard: String
        /// One line.
        public let help: String
    }

    /// Every option this library knows.
    public static var options: [Option] {
        var found: [Option] = []
        while let name = evy_option_name(UInt32(found.count)) {
            found.append(
                Option(
                    name: String(cString: name), type: String(cString: evy_option_type(name)),
                    standard: String(cString: evy_option_default(name)),
                    help: String(cString: evy_option_help(name))))
        }
        return found
    }
}
