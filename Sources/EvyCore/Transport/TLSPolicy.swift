// SPDX-License-Identifier: MIT
// TLSPolicy - turns option texts and certificate sources into what a TLSContext is made from.
// Room: Transport (no system calls of its own). Spec: RFC 8446, RFC 5246; evy.h, chapter TLS.

internal import COpenSSL

/// Everything that may be chosen about TLS. Each change is tried out on a real SSL_CTX together with
/// what was set before, so a mistake is reported where it is made; on error the policy is unchanged.
///
/// Ownership: a value; copies share the immutable identity.
/// Thread:    one at a time.
struct TLSPolicy {
    enum Version: Int32 {
        case tls12 = 0x0303
        case tls13 = 0x0304

        init?(_ text: String) {
            switch text {
            case "1.2": self = .tls12
            case "1.3": self = .tls13
            default: return nil
            }
        }

        var text: String { self == .tls12 ? "1.2" : "1.3" }
    }

    /// nil: TLS 1.2, or higher where the machine's OpenSSL configuration asks for it.
    private(set) var minVersion: Version?
    /// nil: the newest there is.
    private(set) var maxVersion: Version?
    private(set) var ciphers: String?
    private(set) var ciphersuites: String?
    private(set) var groups: String?
    private(set) var identity: TLSIdentity?

    init() {}

    var hasCertificate: Bool { identity != nil }

    // MARK: Options

    mutating func set(_ key: String, _ value: String) throws(TLSError) {
        var trial = self
        switch key {
        case "min_version": trial.minVersion = try TLSPolicy.version(key, value)
        case "max_version": trial.maxVersion = try TLSPolicy.version(key, value)
        case "ciphers": trial.ciphers = try TLSPolicy.list(key, value)
        case "ciphersuites": trial.ciphersuites = try TLSPolicy.list(key, value)
        case "groups": trial.groups = try TLSPolicy.list(key, value)
        default:
            throw TLSError(
                kind: .option,
                text: "no TLS option \"\(key)\" (min_version, max_version, ciphers, ciphersuites, groups)")
        }
        if let low = trial.minVersion, let high = trial.maxVersion, low.rawValue > high.rawValue {
            let complaint =
                key == "min_version"
                ? "is above max_version \"\(high.text)\"" : "is below min_version \"\(low.text)\""
            throw .value(key, value, complaint)
        }
        do {
            _ = try TLSContext(trial)
        } catch {
            // A stricter level in `ciphers` may refuse the certificate set before: still this value's fault.
            throw error.kind == .tls ? .value(key, value, "does not go: " + error.text) : error
        }
        self = trial
    }

    private static func version(_ key: String, _ value: String) throws(TLSError) -> Version {
        if let version = Version(value) { return version }
        if ["1.0", "1.1", "1", "3.0"].contains(value) {
            throw .value(key, value, "is a version evy never speaks; it must be 1.2 or 1.3")
        }
        throw .value(key, value, "is not 1.2 or 1.3")
    }

    private static func list(_ key: String, _ value: String) throws(TLSError) -> String {
        if value.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x3A }) { throw .value(key, value, "names nothing") }
        return value
    }

    // MARK: Certificate

    /// `key` nil: the key is in the certificate's file. `pass` nil: the key is not encrypted.
    mutating func setCertificate(
        file: UnsafePointer<CChar>, key: UnsafePointer<CChar>?, pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        let certificate = try TLSPEM("certificate", file: file)
        let keySource = try TLSPEM("private key", file: key ?? file)
        try adopt(TLSIdentity(certificate: certificate, key: keySource, pass: pass))
    }

    /// The same from memory, which is only read during the call.
    mutating func setCertificate(
        memory: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer?, pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        let certificate = try TLSPEM("certificate", memory: memory)
        let keySource = try TLSPEM("private key", memory: key ?? memory)
        try adopt(TLSIdentity(certificate: certificate, key: keySource, pass: pass))
    }

    private mutating func adopt(_ identity: TLSIdentity) throws(TLSError) {
        var trial = self
        trial.identity = identity
        _ = try TLSContext(trial)
        self = trial
    }

    // MARK: Context

    /// What listeners use. Changing the policy afterwards does not touch it.
    func makeContext() throws(TLSError) -> TLSContext {
        guard hasCertificate else { throw .tls("no certificate was given") }
        return try TLSContext(self)
    }
}
