// SPDX-License-Identifier: MIT
// Version - turns the C version calls into Swift text.
// Room: Evy (the Swift face; reaches the core through Include/evy.h only).
internal import CEvy

/// What the linked library is, as far as a program may want to print or compare it.
public enum Library {
    /// "0.1.0 (OpenSSL 3.0.19, epoll)".
    public static var version: String { String(cString: evy_version_string()) }

    /// 0xMMmmpp: major, minor and patch in one comparable number.
    public static var versionNumber: UInt32 { evy_version() }
}
