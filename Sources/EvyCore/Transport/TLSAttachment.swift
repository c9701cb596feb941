// SPDX-License-Identifier: MIT
// TLSAttachment - what OpenSSL's callbacks need beside the SSL_CTX they are called for.
// Room: Transport (no system calls). Spec: OpenSSL 3 CRYPTO_get_ex_new_index(3), RFC 6066 section 3.

internal import COpenSSL

/// One for each SSL_CTX, as its ex_data: a handshake that outlives a reload still finds what it began with.
///
/// Ownership: the SSL_CTX holds the reference and gives it back when its last user goes.
/// Thread:    any; immutable.
final class TLSAttachment: @unchecked Sendable {
    let tickets: TLSTicketKeys
    let protocols: TLSProtocolList
    let staple: TLSStaple?
    let keyLog: TLSKeyLog?
    private let names: TLSNameTable
    /// By their places in `names`; nil stands for the default, which must not hold itself.
    private let contexts: [TLSContext?]

    init(
        tickets: TLSTicketKeys, protocols: TLSProtocolList, staple: TLSStaple?, keyLog: TLSKeyLog?,
        names: TLSNameTable = TLSNameTable([]), contexts: [TLSContext?] = []
    ) {
        self.tickets = tickets
        self.protocols = protocols
        self.staple = staple
        self.keyLog = keyLog
        self.names = names
        self.contexts = contexts
    }

    /// False: out of memory.
    func attach(to context: OpaquePointer) -> Bool {
        let reference = Unmanaged.passRetained(self)
        if SSL_CTX_set_ex_data(context, TLSAttachment.index, reference.toOpaque()) == 1 { return true }
        reference.release()
        return false
    }

    static func of(_ ssl: OpaquePointer?) -> TLSAttachment? {
        guard let context = SSL_get_SSL_CTX(ssl), let place = SSL_CTX_get_ex_data(context, index) else {
            return nil
        }
        // SAFETY: only `attach` writes under this index.
        return Unmanaged<TLSAttachment>.fromOpaque(place).takeUnretainedValue()
    }

    /// The process-wide number under which SSL_CTXs keep theirs.
    private static let index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, nil, nil, nil) {
        _, place, _, _, _, _ in
        guard let place else { return }
        Unmanaged<TLSAttachment>.fromOpaque(place).release()
    }

    /// Chooses the certificate. Always OK: the name then belongs to the session, so a resumed one has it.
    static let selectCertificate:
        @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?) -> Int32 = {
            ssl, alert, _ in
            guard let asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else {
                return SSL_TLSEXT_ERR_NOACK
            }
            // RFC 6066: HostName<1..2^16-1>. OpenSSL takes an empty one.
            guard asked.pointee != 0 else {
                alert?.pointee = Int32(SSL_AD_DECODE_ERROR)
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }
            guard let attachment = TLSAttachment.of(ssl), let name = TLSName(String(cString: asked)),
                let place = attachment.names.place(of: name), place < attachment.contexts.count,
                let context = attachment.contexts[place]
            else { return SSL_TLSEXT_ERR_OK }
            return SSL_set_SSL_CTX(ssl, context.handle) == nil
                ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK
        }

    /// May the session of a ticket be resumed? Not with a client's certificate that has expired since: the
    /// verdict on it is of then. And not under another name (RFC 6066 section 3): OpenSSL leaves that to us,
    /// and under TLS 1.2 would tell the session's name as the one that was asked for. Under TLS 1.3 names
    /// belong to connections (RFC 8446 section 4.2.11).
    static let admitSession:
        @convention(c) (
            OpaquePointer?, OpaquePointer?, UnsafePointer<UInt8>?, Int, Int32, UnsafeMutableRawPointer?
        ) -> Int32 = { ssl, session, _, _, status, _ in
            guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW,
                isPeerCurrent(session),
                SSL_SESSION_get_protocol_version(session) != TLS1_2_VERSION
                    || askedName(ssl).elementsEqual(name(of: session))
            else { return SSL_TICKET_RETURN_IGNORE_RENEW }
            return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
        }

    private static func isPeerCurrent(_ session: OpaquePointer?) -> Bool {
        guard let certificate = SSL_SESSION_get0_peer(session) else { return true }
        // -1: in the past, 0: no time at all.
        return X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0
    }

    private static func name(of session: OpaquePointer?) -> UnsafeRawBufferPointer {
        let name = SSL_SESSION_get0_hostname(session)
        return UnsafeRawBufferPointer(start: name, count: name.map(strlen) ?? 0)
    }

    /// The name in the hello; tickets are looked at before OpenSSL has read it. Whether the extension is
    /// well-formed is found out later.
    private static func askedName(_ ssl: OpaquePointer?) -> UnsafeRawBufferPointer {
        var data: UnsafePointer<UInt8>?
        var count = 0
        let found = SSL_client_hello_get0_ext(ssl, UInt32(TLSEXT_TYPE_server_name), &data, &count)
        // ServerNameList: 2 bytes of length, then the type and 2 bytes of length ahead of the only name.
        guard found == 1, let data, count > 5 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: data + 5, count: count - 5)
    }
}
