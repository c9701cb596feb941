// SPDX-License-Identifier: MIT
// TLSIdentity - turns PEM sources into a checked certificate, its chain and its private key.
// Room: Transport (no system calls of its own). Spec: RFC 5280, RFC 8446 §4.4.2.

internal import COpenSSL

/// A certificate chain, leaf first, and the key that belongs to the leaf. Immutable after init.
///
/// Ownership: owns the chain and the key, frees both in deinit; an SSL_CTX takes its own references.
/// Thread:    any; OpenSSL counts its references atomically.
final class TLSIdentity: @unchecked Sendable {
    /// How error messages call it: "certificate c.pem".
    let name: String
    /// STACK_OF(X509), leaf first.
    private let certificates: OpaquePointer
    /// EVP_PKEY.
    private let key: OpaquePointer

    /// `key` nil: the key stands in the certificate's text.
    init(
        certificate: borrowing TLSPEM, key keySource: borrowing TLSPEM, pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        let certificates = try certificate.certificates()
        let key: OpaquePointer
        do {
            key = try keySource.privateKey(pass: pass)
        } catch {
            evyssl_chain_free(certificates)
            throw error
        }
        self.name = certificate.name
        self.certificates = certificates
        self.key = key
        // From here on deinit frees, also when a check throws.
        try checkKey(named: keySource.name)
        try checkOrder()
    }

    deinit {
        evyssl_chain_free(certificates)
        EVP_PKEY_free(key)
    }

    /// Gives the pair to `context` (an SSL_CTX), under its security level.
    func apply(to context: OpaquePointer) throws(TLSError) {
        ERR_clear_error()
        guard let rest = evyssl_chain_new() else { throw .tls("out of memory for " + name) }
        // Lent entries: SSL_CTX_use_cert_and_key counts its own references, so only the stack is freed.
        defer { OPENSSL_sk_free(rest) }
        for index in 1..<max(1, evyssl_chain_count(certificates))
        where evyssl_chain_append(rest, evyssl_chain_get(certificates, index)) == 0 {
            throw .tls("out of memory for " + name)
        }
        if SSL_CTX_use_cert_and_key(context, leaf, key, rest, 1) == 1 { return }
        let level = SSL_CTX_get_security_level(context)
        throw .tls("\(name) is refused at security level \(level): \(TLSErrorQueue.drainReason())")
    }

    // MARK: Checks

    var leaf: OpaquePointer? { evyssl_chain_get(certificates, 0) }

    private func checkKey(named keyName: String) throws(TLSError) {
        defer { ERR_clear_error() }
        if X509_check_private_key(leaf, key) == 1 { return }
        for index in 1..<max(1, evyssl_chain_count(certificates))
        where X509_check_private_key(evyssl_chain_get(certificates, index), key) == 1 {
            throw .tls("\(keyName) belongs to certificate \(index + 1) of \(name); the leaf must come first")
        }
        throw .tls("\(keyName) does not match \(name)")
    }

    /// RFC 5246 §7.4.2: each certificate certifies the one before it. Some clients stop at a break.
    private func checkOrder() throws(TLSError) {
        for index in 1..<max(1, evyssl_chain_count(certificates)) {
            let issuer = evyssl_chain_get(certificates, index)
            let subject = evyssl_chain_get(certificates, index - 1)
            let verdict = X509_check_issued(issuer, subject)
            // Other verdicts (key usage) are the clients' affair.
            guard
                verdict == X509_V_ERR_SUBJECT_ISSUER_MISMATCH || verdict == X509_V_ERR_AKID_SKID_MISMATCH
                    || verdict == X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH
            else { continue }
            ERR_clear_error()
            throw .tls(
                "\(name): the chain is out of order: certificate \(index + 1) (\(subjectName(issuer)))"
                    + " did not issue certificate \(index) (\(subjectName(subject)))")
        }
        ERR_clear_error()
    }

    private func subjectName(_ certificate: OpaquePointer?) -> String {
        guard let name = X509_get_subject_name(certificate), let text = X509_NAME_oneline(name, nil, 0) else {
            return "unnamed"
        }
        defer { CRYPTO_free(text, nil, 0) }
        return String(cString: text)
    }
}
