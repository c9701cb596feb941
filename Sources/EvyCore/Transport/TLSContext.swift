// SPDX-License-Identifier: MIT
// TLSContext - turns a TLSPolicy and one of its certificates into an SSL_CTX that sessions share.
// Room: Transport (no system calls). Spec: RFC 8446, RFC 5246.

internal import COpenSSL

/// The SSL_CTX of one policy and certificate. Immutable after init, which is what makes sharing it safe.
///
/// Ownership: owns one reference to the SSL_CTX, dropped in deinit; each SSL holds another.
/// Thread:    any.
final class TLSContext: @unchecked Sendable {
    /// SSL_CTX.
    let handle: OpaquePointer

    /// Forward secrecy and AEAD only. Every TLS 1.2 client of the last ten years has one of them.
    static let defaultCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20"
    /// The first that this OpenSSL knows in full. Its own default takes finite fields up to 8192 bits under
    /// TLS 1.3, where one handshake costs the loop 139 ms and the client nothing (D(HE)at, CVE-2002-20001).
    private static let defaultGroups = ["X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"]

    /// Without an identity, or an attachment, it serves to try values out.
    init(
        _ policy: TLSPolicy, _ identity: TLSIdentity?, _ attachment: TLSAttachment? = nil
    ) throws(TLSError) {
        TLSContext.prepareLibrary()
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw .tls("OpenSSL gives no context: " + TLSErrorQueue.drainCause())
        }
        handle = context
        // From here on deinit frees, also when a step throws.
        setManners()
        try setVersions(policy)
        try setCiphers(policy.ciphers)
        try setCiphersuites(policy.ciphersuites)
        try setGroups(policy.groups)
        setTickets(policy.tickets)
        try policy.clientCA?.apply(to: context)
        try identity?.apply(to: context)
        if let attachment { try adopt(attachment) }
        ERR_clear_error()
    }

    deinit {
        SSL_CTX_free(handle)
    }

    /// OpenSSL must not take its tables down in the host's exit() while our threads still serve.
    /// Without effect when the host has set OpenSSL up before us.
    private static func prepareLibrary() {
        OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
        OPENSSL_init_ssl(0, nil)
    }

    /// What is not up for choice.
    private func setManners() {
        // RELEASE_BUFFERS: an idle connection keeps no 16 KiB buffers. The other two let the output
        // queue move and grow between a write that did not fit and its repetition.
        evyssl_ctx_add_mode(
            handle,
            Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_ENABLE_PARTIAL_WRITE)
                | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))
        // Our order counts, but a client that puts ChaCha20 first has no AES in hardware and gets it.
        SSL_CTX_set_options(
            handle,
            evyssl_op_no_renegotiation() | evyssl_op_no_compression() | evyssl_op_server_order())
        // A system-wide configuration may hide truncation; we tell it apart.
        SSL_CTX_clear_options(handle, evyssl_op_ignore_unexpected_eof())
        evyssl_ctx_no_session_cache(handle)
        SSL_CTX_set_session_id_context(handle, "evy", 3)
        // DHE only works when somebody asks for it in `ciphers`; the parameters are OpenSSL's.
        evyssl_ctx_dh_auto(handle)
        // OpenSSL's own callback would ask on the terminal of the host program.
        SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in -1 }
    }

    private func adopt(_ attachment: TLSAttachment) throws(TLSError) {
        guard attachment.attach(to: handle) else { throw .tls("out of memory for a TLS context") }
        evyssl_ctx_on_server_name(handle, TLSAttachment.selectCertificate)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(handle, TLSTicketKeys.callback)
        SSL_CTX_set_session_ticket_cb(handle, nil, TLSAttachment.admitSession, nil)
        if !attachment.protocols.isEmpty { SSL_CTX_set_alpn_select_cb(handle, TLSProtocolList.select, nil) }
        if attachment.staple != nil { evyssl_ctx_on_status(handle, TLSStaple.answer) }
        if attachment.keyLog != nil { SSL_CTX_set_keylog_callback(handle, TLSKeyLog.write) }
    }

    // MARK: Choices

    /// Under TLS 1.2 there is one or none.
    private func setTickets(_ count: Int) {
        SSL_CTX_set_num_tickets(handle, count)
        if count == 0 { SSL_CTX_set_options(handle, evyssl_op_no_ticket()) }
    }

    private func setVersions(_ policy: TLSPolicy) throws(TLSError) {
        // What the machine's configuration asks for holds where the policy is silent, but 1.2 at least.
        let machineMin = evyssl_ctx_min_version(handle)
        let low = policy.minVersion?.rawValue ?? max(machineMin, TLSPolicy.Version.tls12.rawValue)
        let machineMax = evyssl_ctx_max_version(handle)
        let high = policy.maxVersion?.rawValue ?? (machineMax == 0 ? 0 : max(machineMax, low))
        guard evyssl_ctx_set_min_version(handle, high == 0 ? low : min(low, high)) == 1,
            evyssl_ctx_set_max_version(handle, high) == 1
        else { throw .tls("OpenSSL refuses the TLS versions: " + TLSErrorQueue.drainReason()) }
    }

    private func setCiphers(_ list: String?) throws(TLSError) {
        let list = list ?? TLSContext.defaultCiphers
        // Anonymous and unencrypted ciphers are off whatever the list says.
        if SSL_CTX_set_cipher_list(handle, list + ":!aNULL:!eNULL") == 1 { return }
        ERR_clear_error()
        throw .value("ciphers", list, "names no TLS 1.2 cipher of this OpenSSL")
    }

    private func setCiphersuites(_ list: String?) throws(TLSError) {
        guard let list else { return }
        // One by one first: OpenSSL passes over a name it does not know as long as one is right.
        for name in list.split(separator: ":") where SSL_CTX_set_ciphersuites(handle, String(name)) != 1 {
            ERR_clear_error()
            throw .value("ciphersuites", list, "has \"\(name)\", no TLS 1.3 cipher suite of this OpenSSL")
        }
        if SSL_CTX_set_ciphersuites(handle, list) == 1 { return }
        throw .value("ciphersuites", list, "is refused: " + TLSErrorQueue.drainReason())
    }

    private func setGroups(_ list: String?) throws(TLSError) {
        guard let list else {
            guard !TLSContext.defaultGroups.contains(where: { evyssl_ctx_set_groups(handle, $0) == 1 }) else {
                return ERR_clear_error()
            }
            throw .tls("OpenSSL has none of the usual groups: " + TLSErrorQueue.drainReason())
        }
        for name in list.split(separator: ":") where evyssl_ctx_set_groups(handle, String(name)) != 1 {
            ERR_clear_error()
            throw .value("groups", list, "has \"\(name)\", no group of this OpenSSL")
        }
        if evyssl_ctx_set_groups(handle, list) == 1 { return }
        throw .value("groups", list, "is refused: " + TLSErrorQueue.drainReason())
    }
}
