// SPDX-License-Identifier: MIT
// TLSClient - turns the certificate that a client has shown into the texts of the environ.
// Room: Transport (no system calls). Spec: RFC 2253 (names), RFC 7468 (PEM); evy.h, "request: environ".

internal import COpenSSL
internal import Glibc

/// Only connections with a client certificate have one. The texts are made when first asked for.
///
/// Ownership: owns a reference to the certificate, and the texts; lent as long as it lives.
/// Thread:    under the lock of its TLSFacts.
struct TLSClient: ~Copyable {
    /// X509
    private let certificate: OpaquePointer
    /// X509_V_*
    private let verdict: Int
    private var failure: UnsafeMutablePointer<CChar>?
    private var subjectText: UnsafeMutablePointer<CChar>?
    private var issuerText: UnsafeMutablePointer<CChar>?
    private var pem: UnsafeMutablePointer<CChar>?

    /// The certificate becomes this one's to free.
    init(certificate: OpaquePointer, verdict: Int) {
        self.certificate = certificate
        self.verdict = verdict
    }

    deinit {
        X509_free(certificate)
        for text in [failure, subjectText, issuerText, pem] { free(text) }
    }

    private var isGood: Bool { verdict == Int(X509_V_OK) }

    /// "SUCCESS" or "FAILED:reason".
    mutating func verification() -> UnsafePointer<CChar>? {
        if isGood { return ("SUCCESS" as StaticString).cString }
        if failure == nil {
            failure = strdup("FAILED:" + String(cString: X509_verify_cert_error_string(verdict)))
        }
        return failure.map { UnsafePointer($0) } ?? ("FAILED:out of memory" as StaticString).cString
    }

    /// RFC 2253. Only of a certificate that stood the test: anybody can write any name into one.
    mutating func subject() -> UnsafePointer<CChar>? {
        guard isGood else { return nil }
        if subjectText == nil { subjectText = TLSClient.distinguished(X509_get_subject_name(certificate)) }
        return subjectText.map { UnsafePointer($0) }
    }

    mutating func issuer() -> UnsafePointer<CChar>? {
        guard isGood else { return nil }
        if issuerText == nil { issuerText = TLSClient.distinguished(X509_get_issuer_name(certificate)) }
        return issuerText.map { UnsafePointer($0) }
    }

    mutating func certificateText() -> UnsafePointer<CChar>? {
        let certificate = certificate
        if pem == nil { pem = TLSClient.written { PEM_write_bio_X509($0, certificate) == 1 } }
        return pem.map { UnsafePointer($0) }
    }

    private static func distinguished(_ name: OpaquePointer?) -> UnsafeMutablePointer<CChar>? {
        written { X509_NAME_print_ex($0, name, 0, evyssl_name_rfc2253()) >= 0 }
    }

    /// nil: out of memory.
    private static func written(_ body: (OpaquePointer) -> Bool) -> UnsafeMutablePointer<CChar>? {
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let memory = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(memory) }
        guard body(memory) else { return nil }
        let count = BIO_ctrl_pending(memory)
        guard let room = malloc(count + 1) else { return nil }
        let text = room.bindMemory(to: CChar.self, capacity: count + 1)
        let copied = max(0, BIO_read(memory, text, Int32(clamping: count)))
        text[Int(copied)] = 0
        return text
    }
}
