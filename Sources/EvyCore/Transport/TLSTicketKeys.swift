// SPDX-License-Identifier: MIT
// TLSTicketKeys - seals and opens the session tickets of one policy, with keys that change by themselves.
// Room: Transport. Spec: RFC 5077 section 4; OpenSSL 3 SSL_CTX_set_tlsext_ticket_key_evp_cb(3).

internal import COpenSSL
internal import CSystem

/// Made with the policy and kept through reloads. Its keys are drawn before a fork and change by the clock,
/// so forked workers resume each other's sessions. A fork in the midst of a change gives the child keys of
/// its own: its clients have to shake hands in full.
///
/// Ownership: shared by the policy and the SSL_CTXs made from it.
/// Thread:    any.
final class TLSTicketKeys: @unchecked Sendable {
    private let gate = ForkGate()
    private let ring: UnsafeMutablePointer<TLSTicketRing>
    private var isSeeded = false
    /// Milliseconds; 0: the keys never change.
    private var rotation: Int64 = 0

    init() { ring = .allocate(capacity: 1) }

    deinit {
        if isSeeded { ring.deinitialize(count: 1) }
        ring.deallocate()
    }

    /// Draws the first keys; later only the period may change.
    func prepare(rotation: Int64) throws(TLSError) {
        let isReady = gate.withLock {
            let isNew = rotation != self.rotation
            self.rotation = rotation
            if isSeeded {
                if isNew { ring.pointee.restart(at: period) }
                return true
            }
            guard let made = TLSTicketRing.make(period: period) else { return false }
            ring.initialize(to: made)
            isSeeded = true
            return true
        }
        if !isReady { throw .tls("cannot draw ticket keys: " + TLSErrorQueue.drainReason()) }
    }

    /// The same in every process of the machine.
    private var period: Int64 { rotation > 0 ? Clock.monotonicMilliseconds / rotation : 0 }

    private enum Outcome: Int32 {
        case failed = -1
        case notOurs = 0
        case good = 1
        /// Opened with the key of the last period: the client is to get a new ticket.
        case renew = 2
    }

    private func handle(
        _ name: UnsafeMutablePointer<UInt8>, _ vector: UnsafeMutablePointer<UInt8>,
        _ cipher: OpaquePointer, _ mac: OpaquePointer, isSealing: Bool
    ) -> Outcome {
        gate.lock()
        defer { gate.unlock() }
        guard isSeeded, ring.pointee.advance(to: period) else { return .failed }
        if isSealing {
            let key = ring.pointee.newest
            name.update(from: key.name, count: TLSTicketRing.nameCount)
            guard RAND_bytes(vector, 16) == 1,
                EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1
            else { return .failed }
            return TLSTicketKeys.begin(mac, key) ? .good : .failed
        }
        guard let (key, isNewest) = ring.pointee.find(name) else { return .notOurs }
        guard TLSTicketKeys.begin(mac, key),
            EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, vector) == 1
        else { return .failed }
        return isNewest ? .good : .renew
    }

    private static func begin(_ mac: OpaquePointer, _ key: TLSTicketRing.Key) -> Bool {
        let secret = UnsafeMutableRawPointer(mutating: key.mac)
        let method = UnsafeMutablePointer(mutating: text("SHA256"))
        let parameters = [
            OSSL_PARAM_construct_octet_string(text("key"), secret, 32),
            OSSL_PARAM_construct_utf8_string(text("digest"), method, 0), OSSL_PARAM_construct_end(),
        ]
        return EVP_MAC_CTX_set_params(mac, parameters) == 1
    }

    /// SAFETY: literals are NUL-terminated and live as long as the program; OpenSSL only reads them.
    private static func text(_ literal: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
    }

    static let callback:
        @convention(c) (
            OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?,
            OpaquePointer?, Int32
        ) -> Int32 = { ssl, name, vector, cipher, mac, isSealing in
            guard let keys = TLSAttachment.of(ssl)?.tickets, let name, let vector, let cipher, let mac else {
                return Outcome.failed.rawValue
            }
            return keys.handle(name, vector, cipher, mac, isSealing: isSealing == 1).rawValue
        }
}
