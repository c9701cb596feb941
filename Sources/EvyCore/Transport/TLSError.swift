// SPDX-License-Identifier: MIT
// TLSError - turns a mistake in the TLS policy into a text that names it.
// Room: Transport (no system calls). Spec: OpenSSL 3 ERR_get_error(3).

internal import COpenSSL
internal import Glibc

/// A mistake of the embedding program: found when it is made, never while serving.
struct TLSError: Error, Sendable {
    enum Kind: Sendable {
        /// There is no such option.
        case option
        /// The option exists, its value cannot be.
        case value
        /// Certificate, key, or OpenSSL itself.
        case tls
    }

    let kind: Kind
    let text: String

    static func tls(_ text: String) -> TLSError { TLSError(kind: .tls, text: text) }

    static func value(_ key: String, _ value: String, _ complaint: String) -> TLSError {
        TLSError(kind: .value, text: "option \(key): \"\(value)\" \(complaint)")
    }
}

/// OpenSSL's error queue of this thread, read for people. Every reader leaves it empty.
enum TLSErrorQueue {
    /// The reason nearest to the call that failed.
    static func drainReason() -> String {
        let code = ERR_peek_last_error()
        ERR_clear_error()
        return reason(code)
    }

    /// The reason of the first error, where a failed system call stands.
    static func drainCause() -> String {
        let code = ERR_peek_error()
        ERR_clear_error()
        return reason(code)
    }

    private static func reason(_ code: UInt) -> String {
        if evyssl_err_is_system(code) != 0, let text = strerror(evyssl_err_reason(code)) {
            return String(cString: text)
        }
        if let text = ERR_reason_error_string(code) { return String(cString: text) }
        return code == 0 ? "unknown reason" : "OpenSSL error \(code)"
    }
}
