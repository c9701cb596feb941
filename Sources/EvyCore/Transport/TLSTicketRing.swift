// SPDX-License-Identifier: MIT
// TLSTicketRing - the ticket key of this period and of the one before, each made from the last.
// Room: Transport (no system calls, no clock). Spec: RFC 5077 section 4, RFC 8446 appendix B.3.4.

internal import COpenSSL

/// A ratchet: each period's secret is the digest of the one before, which is wiped. So processes forked from
/// one parent move to the same keys without a word, and what a key was cannot be found out later.
///
/// Ownership: owns its memory, wipes it in deinit.
struct TLSTicketRing: ~Copyable {
    static let nameCount = 16
    private static let secretCount = 32
    private static let keyCount = nameCount + 2 * secretCount
    /// Above it a ring that slept for years jumps, and siblings that did not sleep go other ways.
    private static let stepsMax: Int64 = 1 << 20

    /// What a ticket is sealed with; valid until the ring moves.
    struct Key {
        /// What the ticket carries in clear.
        let name: UnsafePointer<UInt8>
        let cipher: UnsafePointer<UInt8>
        let mac: UnsafePointer<UInt8>
    }

    /// The secret, the key of this period, the key of the one before.
    private let memory: UnsafeMutablePointer<UInt8>
    private var period: Int64
    private var hasEarlier = false
    private static let byteCount = secretCount + 2 * keyCount

    /// `secret` nil: drawn. nil: no randomness, or out of memory.
    static func make(period: Int64, secret: [UInt8]? = nil) -> TLSTicketRing? {
        guard let room = CRYPTO_zalloc(byteCount, nil, 0) else { return nil }
        let ring = TLSTicketRing(
            memory: room.bindMemory(to: UInt8.self, capacity: byteCount), period: period)
        if let secret {
            guard secret.count == secretCount else { return nil }
            ring.memory.update(from: secret, count: secretCount)
        } else if RAND_priv_bytes(ring.memory, Int32(secretCount)) != 1 {
            return nil
        }
        guard ring.deriveKey() else { return nil }
        return ring
    }

    private init(memory: UnsafeMutablePointer<UInt8>, period: Int64) {
        self.memory = memory
        self.period = period
    }

    deinit { CRYPTO_clear_free(memory, Self.byteCount, nil, 0) }

    /// Counts the periods anew; the keys stay until the next change.
    mutating func restart(at period: Int64) { self.period = period }

    /// Moves on to `period`. False: OpenSSL failed, and there is no key.
    mutating func advance(to period: Int64) -> Bool {
        guard period > self.period else { return true }
        let steps = period &- self.period
        for step in 0..<min(steps, Self.stepsMax) {
            // Only the last two periods' keys are ever asked for.
            let isNear = step >= min(steps, Self.stepsMax) &- 2
            if isNear {
                (current + Self.keyCount).update(from: current, count: Self.keyCount)
            }
            guard digest("evy ticket secret", into: memory) else { return false }
            if isNear, !deriveKey() { return false }
        }
        hasEarlier = true
        self.period = period
        return true
    }

    var newest: Key { key(at: current) }

    /// The key of that name; `isNewest` false: good for one more period, so a new ticket is due.
    func find(_ name: UnsafePointer<UInt8>) -> (key: Key, isNewest: Bool)? {
        if CRYPTO_memcmp(name, current, Self.nameCount) == 0 { return (newest, true) }
        let earlier = current + Self.keyCount
        guard hasEarlier, CRYPTO_memcmp(name, earlier, Self.nameCount) == 0 else { return nil }
        return (key(at: earlier), false)
    }

    private var current: UnsafeMutablePointer<UInt8> { memory + Self.secretCount }

    private func key(at place: UnsafeMutablePointer<UInt8>) -> Key {
        Key(name: place, cipher: place + Self.nameCount, mac: place + Self.nameCount + Self.secretCount)
    }

    private func deriveKey() -> Bool {
        let cipher = current + Self.nameCount
        // The name is a digest cut short: written first, the cipher's key then covers the rest of it.
        return digest("evy ticket name", into: current) && digest("evy ticket cipher", into: cipher)
            && digest("evy ticket mac", into: cipher + Self.secretCount)
    }

    /// SHA-256 of a label and the secret, 32 bytes; `target` may be the secret itself.
    private func digest(_ label: StaticString, into target: UnsafeMutablePointer<UInt8>) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1
            && EVP_DigestUpdate(context, label.utf8Start, label.utf8CodeUnitCount) == 1
            && EVP_DigestUpdate(context, memory, Self.secretCount) == 1
            && EVP_DigestFinal_ex(context, target, nil) == 1
    }
}
