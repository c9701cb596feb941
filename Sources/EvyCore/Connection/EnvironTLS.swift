// SPDX-License-Identifier: MIT
// EnvironTLS - the keys of the environ that a TLS handshake has answered.
// Room: Connection. Spec: evy.h, "request: environ". Thread: under the lock of the exchange.

internal import Glibc

extension UnsafeMutablePointer<Exchange> {
    /// nil: the request came in clear text, or the handshake did not bring such a thing. The texts are those
    /// of the facts, which the exchange holds.
    func handshakeValue(_ key: EnvironKey) -> EnvironText? {
        guard let facts = pointee.tlsFacts else { return nil }
        let text: UnsafePointer<CChar>?
        switch key {
        case .tlsProtocol: text = facts.pointee.protocolName
        case .tlsCipher: text = facts.pointee.cipherName
        case .tlsServerName: text = facts.pointee.serverName
        case .clientVerify: text = facts.clientVerification()
        case .clientSubject: text = facts.clientSubject()
        case .clientIssuer: text = facts.clientIssuer()
        case .clientCertificate: text = facts.clientCertificate()
        default: text = nil
        }
        return text.map { EnvironText(start: $0, count: strlen($0)) }
    }
}
