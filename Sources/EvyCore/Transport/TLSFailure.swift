// SPDX-License-Identifier: MIT
// TLSFailure - turns OpenSSL's error queue into one named reason why a TLS connection ended.
// Room: Transport (no system calls). Spec: RFC 8446 §6, RFC 5246 §7.2.

internal import COpenSSL

/// Why one TLS connection ended badly: the peer's doing, worth one debug line and one counter.
/// Plain data, made without allocation; `text` is built only when somebody wants to log it.
struct TLSFailure: Sendable, Equatable {
    enum Kind: UInt8, CaseIterable, Sendable {
        /// Clear-text HTTP on the TLS port: a wrong scheme, or a health check.
        case plainHTTP
        /// The first bytes are neither TLS nor HTTP.
        case notTLS
        /// The peer's stream ended before the handshake did: scanners, health checks, impatient clients.
        case abandoned
        /// The peer's stream ended without close_notify: the data may have been cut by someone else.
        case truncated
        /// No protocol version in common (1.0 and 1.1 are never spoken).
        case version
        /// No cipher, group or signature algorithm in common.
        case nothingInCommon
        /// The client offers application protocols, and HTTP/1 is not among them.
        case applicationProtocol
        /// The client showed no certificate where one is required, or one that does not stand.
        case clientCertificate
        /// The peer sent a fatal alert (unknown CA, certificate expired, ...).
        case alert
        /// The peer broke the protocol: bad record, bad MAC, unexpected message.
        case protocolBroken
        /// Our own fault: out of memory, or a call OpenSSL refuses.
        case ours
    }

    let kind: Kind
    /// OpenSSL's packed error code; 0 when there is none.
    let code: UInt
    /// X509_V_* of a client's certificate.
    var verdict = 0

    init(kind: Kind, code: UInt = 0) {
        self.kind = kind
        self.code = code
    }

    /// The number of the alert the peer sent; nil when it sent none.
    var alertNumber: Int32? {
        kind == .alert ? evyssl_err_reason(code) &- SSL_AD_REASON_OFFSET : nil
    }

    /// One line without line end, for a debug log.
    var text: String {
        switch kind {
        case .plainHTTP: "the client spoke clear-text HTTP to a TLS listener"
        case .notTLS: "the client's first bytes are not TLS"
        case .abandoned: "the client left before the TLS handshake was done"
        case .truncated: "the client closed without close_notify"
        case .version: "no TLS version in common" + detail
        case .nothingInCommon: "no TLS parameters in common" + detail
        case .applicationProtocol: "the client's ALPN list has no HTTP/1 protocol"
        case .clientCertificate: "the client's certificate is refused" + detail + verdictText
        case .alert: "the client sent the TLS alert \(alertName)"
        case .protocolBroken: "the client broke the TLS protocol" + detail
        case .ours: "TLS failed on our side" + detail
        }
    }

    private var alertName: String {
        guard let number = alertNumber else { return "" }
        guard let name = SSL_alert_desc_string_long(number) else { return "\(number)" }
        return "\"\(String(cString: name))\" (\(number))"
    }

    private var verdictText: String {
        guard verdict != Int(X509_V_OK), let reason = X509_verify_cert_error_string(verdict) else {
            return ""
        }
        return ": " + String(cString: reason)
    }

    private var detail: String {
        guard code != 0, let reason = ERR_reason_error_string(code) else { return "" }
        return " (\(String(cString: reason)))"
    }
}

extension TLSFailure {
    /// Reads the error queue of this thread and leaves it empty.
    static func fromQueue(_ window: TLSWindow) -> TLSFailure {
        // The last error is the one nearest to the record layer's verdict; earlier ones are causes.
        let code = ERR_peek_last_error()
        ERR_clear_error()
        if code == 0 || evyssl_err_library(code) != ERR_LIB_SSL {
            if window.inputEnded { return TLSFailure(kind: ended(window), code: code) }
            return TLSFailure(kind: code == 0 ? .ours : .protocolBroken, code: code)
        }
        return TLSFailure(kind: kind(ofReason: evyssl_err_reason(code), window), code: code)
    }

    private static func ended(_ window: TLSWindow) -> Kind {
        window.established ? .truncated : .abandoned
    }

    private static func kind(ofReason reason: Int32, _ window: TLSWindow) -> Kind {
        switch reason {
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST: return .plainHTTP
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return ended(window)
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH,
            SSL_R_NO_PROTOCOLS_AVAILABLE:
            return .version
        case SSL_R_NO_SHARED_CIPHER, SSL_R_NO_SUITABLE_KEY_SHARE, SSL_R_NO_SHARED_GROUPS,
            SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
            SSL_R_NO_SUITABLE_GROUPS:
            return .nothingInCommon
        case SSL_R_CERTIFICATE_VERIFY_FAILED, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return .clientCertificate
        case SSL_R_NO_APPLICATION_PROTOCOL: return .applicationProtocol
        case SSL_R_BAD_WRITE_RETRY, SSL_R_BAD_LENGTH, evyssl_reason_no_memory(), evyssl_reason_internal():
            return .ours
        default: break
        }
        if reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET &+ 256 { return .alert }
        if !window.established && !startsLikeTLS(window) {
            return startsLikeHTTP(window) ? .plainHTTP : .notTLS
        }
        return .protocolBroken
    }

    /// OpenSSL knows GET, POST, HEAD, PUT and CONNECT. A method of any name is three capitals and then
    /// a capital or a space, which leaves out "SSH-".
    private static func startsLikeHTTP(_ window: TLSWindow) -> Bool {
        guard window.openingCount == 4 else { return false }
        let capitals: ClosedRange<UInt32> = 0x41...0x5A
        let last = window.opening & 0xFF
        return capitals.contains(window.opening >> 24) && capitals.contains(window.opening >> 16 & 0xFF)
            && capitals.contains(window.opening >> 8 & 0xFF) && (last == 0x20 || capitals.contains(last))
    }

    /// A handshake record (RFC 8446 §5.1): type 22, major version 3; or a lone alert, type 21.
    private static func startsLikeTLS(_ window: TLSWindow) -> Bool {
        guard window.openingCount >= 2 else { return true }
        let start = window.opening >> (8 * (UInt32(window.openingCount) &- 2))
        return start == 0x1603 || start == 0x1503
    }
}
