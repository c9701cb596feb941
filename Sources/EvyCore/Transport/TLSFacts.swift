// SPDX-License-Identifier: MIT
// TLSFacts - what a finished handshake leaves for the environ: version, cipher, names, the client.
// Room: Transport. Spec: evy.h, "request: environ".

internal import COpenSSL
internal import Glibc
internal import Synchronization

typealias TLSFactsRef = UnsafeMutablePointer<TLSFacts>

/// Taken once on the loop, because the SSL is the loop's; read by handlers on any thread. Small: every
/// idle TLS connection has one.
///
/// Ownership: counted by `retained` and `release`; its connection and each of its requests hold one.
/// Lifetime:  the texts it lends live as long as it.
/// Thread:    any; nothing in it changes but what the lock protects.
struct TLSFacts: ~Copyable {
    private let references = Atomic<Int32>(1)
    private let lock = FutexLock()
    /// Static texts of OpenSSL.
    let protocolName: UnsafePointer<CChar>?
    let cipherName: UnsafePointer<CChar>?
    /// The name the client asked for, as it was sent; it lies behind this structure.
    let serverName: UnsafePointer<CChar>?
    /// nil: the client showed no certificate. Under the lock.
    private let client: UnsafeMutablePointer<TLSClient>?

    fileprivate init(
        _ session: borrowing TLSSession, serverName: UnsafePointer<CChar>?,
        client: UnsafeMutablePointer<TLSClient>?
    ) {
        protocolName = session.protocolName
        cipherName = session.cipherName
        self.serverName = serverName
        self.client = client
    }

    deinit {
        guard let client else { return }
        client.deinitialize(count: 1)
        free(client)
    }

    @inline(__always)
    fileprivate func addReference() { references.wrappingAdd(1, ordering: .relaxed) }

    /// True: that was the last one.
    @inline(__always)
    fileprivate func dropReference() -> Bool {
        references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }

    fileprivate func withClient(
        _ body: (UnsafeMutablePointer<TLSClient>) -> UnsafePointer<CChar>?
    ) -> UnsafePointer<CChar>? {
        guard let client else { return nil }
        lock.lock()
        defer { lock.unlock() }
        return body(client)
    }

    fileprivate var hasClient: Bool { client != nil }
}

extension UnsafeMutablePointer<TLSFacts> {
    /// Of a session whose handshake is done. nil: out of memory.
    static func make(_ session: borrowing TLSSession) -> TLSFactsRef? {
        let name = session.serverName.flatMap { isPlain($0) ? $0 : nil }
        let nameCount = name.map { strlen($0) + 1 } ?? 0
        guard let room = malloc(MemoryLayout<TLSFacts>.stride + nameCount) else { return nil }
        var client: UnsafeMutablePointer<TLSClient>?
        if let certificate = session.takeClientCertificate() {
            // Without room for the client its requests must not pass for ones without a certificate.
            guard let place = malloc(MemoryLayout<TLSClient>.stride) else {
                X509_free(certificate)
                free(room)
                return nil
            }
            let made = place.bindMemory(to: TLSClient.self, capacity: 1)
            made.initialize(to: TLSClient(certificate: certificate, verdict: session.clientVerdict))
            client = made
        }
        let facts = room.bindMemory(to: TLSFacts.self, capacity: 1)
        var copy: UnsafePointer<CChar>?
        if let name {
            let place = room + MemoryLayout<TLSFacts>.stride
            place.copyMemory(from: name, byteCount: nameCount)
            copy = UnsafePointer(place.assumingMemoryBound(to: CChar.self))
        }
        facts.initialize(to: TLSFacts(session, serverName: copy, client: client))
        return facts
    }

    /// What goes into environs and logs is printable.
    private static func isPlain(_ name: UnsafePointer<CChar>) -> Bool {
        var place = name
        while place.pointee != 0 {
            guard place.pointee > 0x20, place.pointee < 0x7F else { return false }
            place += 1
        }
        return place != name
    }

    @inline(__always)
    func retained() -> TLSFactsRef {
        pointee.addReference()
        return self
    }

    @inline(__always)
    func release() {
        if pointee.dropReference() { destroy() }
    }

    @inline(never)
    private func destroy() {
        deinitialize(count: 1)
        free(self)
    }

    /// "NONE", "SUCCESS" or "FAILED:reason".
    func clientVerification() -> UnsafePointer<CChar>? {
        guard pointee.hasClient else { return ("NONE" as StaticString).cString }
        return pointee.withClient { $0.pointee.verification() }
    }
    func clientSubject() -> UnsafePointer<CChar>? { pointee.withClient { $0.pointee.subject() } }
    func clientIssuer() -> UnsafePointer<CChar>? { pointee.withClient { $0.pointee.issuer() } }
    func clientCertificate() -> UnsafePointer<CChar>? { pointee.withClient { $0.pointee.certificateText() } }
}
