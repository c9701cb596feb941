// SPDX-License-Identifier: MIT
// TLSClientCA - turns a file of certificates into what client certificates are measured against.
// Room: Transport (reads files through OpenSSL). Spec: RFC 8446 section 4.3.2, RFC 5280 section 6.

internal import COpenSSL

/// What is asked of the client; the raw values are EVY_VERIFY_* of evy.h.
enum TLSVerify: Int32 {
    case none = 0
    /// Asked for; a client without one, or with a bad one, is served, and the environ says so.
    case optional = 1
    case require = 2
}

/// Ownership: owns the store and the certificates, frees them in deinit; an SSL_CTX takes references.
/// Thread:    any; immutable after init.
final class TLSClientCA: @unchecked Sendable {
    let verify: TLSVerify
    /// STACK_OF(X509)
    private let certificates: OpaquePointer
    /// X509_STORE
    private let store: OpaquePointer
    private let path: TLSKeptText?

    convenience init(_ verify: TLSVerify, file: UnsafePointer<CChar>) throws(TLSError) {
        let pem = try TLSPEM("client CA", file: file)
        guard let path = TLSKeptText(file) else { throw .tls("out of memory for " + pem.name) }
        try self.init(verify, pem, path)
    }

    convenience init(_ verify: TLSVerify, memory: UnsafeRawBufferPointer) throws(TLSError) {
        try self.init(verify, try TLSPEM("client CA", memory: memory), nil)
    }

    private init(_ verify: TLSVerify, _ pem: borrowing TLSPEM, _ path: TLSKeptText?) throws(TLSError) {
        let certificates = try pem.certificates()
        guard let store = X509_STORE_new() else {
            evyssl_chain_free(certificates)
            throw .tls("out of memory for " + pem.name)
        }
        self.verify = verify
        self.path = path
        self.certificates = certificates
        self.store = store
        // From here on deinit frees. Any certificate of the file is trusted, an intermediate one as well.
        X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        for index in 0..<evyssl_chain_count(certificates)
        where X509_STORE_add_cert(store, evyssl_chain_get(certificates, index)) != 1 {
            throw .tls("\(pem.name): certificate \(index + 1) is refused: \(TLSErrorQueue.drainReason())")
        }
    }

    deinit {
        evyssl_chain_free(certificates)
        X509_STORE_free(store)
    }

    /// The same from its file as it is now; what came from memory stays.
    func readAgain() throws(TLSError) -> TLSClientCA {
        guard let path else { return self }
        return try TLSClientCA(verify, file: path.pointer)
    }

    /// Makes `context` (an SSL_CTX) ask for certificates, with the names of the authorities as a hint.
    func apply(to context: OpaquePointer) throws(TLSError) {
        SSL_CTX_set1_cert_store(context, store)
        for index in 0..<evyssl_chain_count(certificates)
        where SSL_CTX_add_client_CA(context, evyssl_chain_get(certificates, index)) != 1 {
            throw .tls("out of memory for the client CA")
        }
        switch verify {
        case .none: break
        case .optional:
            // A bad certificate is noted in the session, and the handshake goes on: what was found wrong must
            // not be taken for an error of whatever comes next.
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER) { _, _ in
                ERR_clear_error()
                return 1
            }
        case .require:
            SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        }
        try bindSessions(of: context)
    }

    /// A ticket holds the verdict of an earlier handshake: it counts only under the same authorities.
    private func bindSessions(of context: OpaquePointer) throws(TLSError) {
        guard let digest = EVP_MD_CTX_new() else { throw .tls("out of memory for the client CA") }
        defer { EVP_MD_CTX_free(digest) }
        var mode = UInt8(truncatingIfNeeded: verify.rawValue)
        var isWhole = EVP_DigestInit_ex(digest, EVP_sha256(), nil) == 1
        isWhole = isWhole && EVP_DigestUpdate(digest, &mode, 1) == 1
        var print = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        for index in 0..<evyssl_chain_count(certificates) {
            var count: UInt32 = 0
            isWhole =
                isWhole
                && X509_digest(evyssl_chain_get(certificates, index), EVP_sha256(), &print, &count) == 1
                && EVP_DigestUpdate(digest, print, Int(count)) == 1
        }
        var count: UInt32 = 0
        isWhole = isWhole && EVP_DigestFinal_ex(digest, &print, &count) == 1
        guard isWhole, SSL_CTX_set_session_id_context(context, print, min(count, 32)) == 1 else {
            throw .tls("cannot bind sessions to the client CA: " + TLSErrorQueue.drainReason())
        }
    }
}
