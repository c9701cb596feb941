// SPDX-License-Identifier: MIT
// TLSLibrary - facts about the OpenSSL that is really loaded.
// Room: Transport (no system calls).

internal import COpenSSL

extension TLSContext {
    /// "3.0.19"
    static var libraryVersion: String {
        OpenSSL_version(OPENSSL_VERSION_STRING).map { String(cString: $0) } ?? "?"
    }
}
