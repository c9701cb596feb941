// SPDX-License-Identifier: MIT
// TLSFacts - what a finished handshake leaves for the environ: versions, names, the client's certificate.
// Room: Transport. Spec: RFC 2253 (names), RFC 7468 (PEM); evy.h, "request: environ".

internal import COpenSSL
internal import Glibc
internal import Synchronization

typealias TLSFactsRef = UnsafeMutablePointer<TLSFacts>

/// Taken once on the loop, because the SSL is the loop's; read by handlers on any thread. What costs
/// something (the texts of a client's certificate) is made when first asked for.
///
/// Ownership: counted by `retained` and `release`; its connection and each of its requests hold one.
/// Lifetime:  the texts it lends live as long as it.
/// Thread:    any.
struct TLSFacts: ~Copyable {
    /// First, and nobody else's: ThreadSanitizer books a change of any member as one of the first byte.
    private let anchor: UInt64 = 0
    private let references = Atomic<Int32>(1)
    private let lock = FutexLock()
    /// Static texts of OpenSSL.
    let protocolName: UnsafePointer<CChar>?
    let cipherName: UnsafePointer<CChar>?
    /// The name the client asked for, as it was sent.
    let serverName: UnsafeMutablePointer<CChar>?
    /// X509; nil: the client showed none.
    private let certificate: OpaquePointer?
    private let verdict: Int
    private var texts: (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?) = (nil, nil)
    private var pem: UnsafeMutablePointer<CChar>?
    private var failure: UnsafeMutablePointer<CChar>?

    fileprivate init(_ session: borrowing TLSSession) {
        protocolName = session.protocolName
        cipherName = session.cipherName
        serverName = session.serverName.flatMap { TLSFacts.isPlain($0) ? strdup($0) : nil }
        certificate = session.takeClientCertificate()
        verdict = certificate == nil ? Int(X509_V_OK) : session.clientVerdict
    }

    deinit {
        X509_free(certificate)
        for text in [serverName, texts.0, texts.1, pem, failure] { free(text) }
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

    /// "NONE", "SUCCESS" or "FAILED:reason".
    fileprivate mutating func verification() -> UnsafePointer<CChar>? {
        guard certificate != nil else { return TLSFacts.literal("NONE") }
        guard verdict != Int(X509_V_OK) else { return TLSFacts.literal("SUCCESS") }
        if failure == nil {
            failure = strdup("FAILED:" + String(cString: X509_verify_cert_error_string(verdict)))
        }
        // Out of memory: nil would read as "no TLS".
        return failure.map { UnsafePointer($0) } ?? TLSFacts.literal("FAILED:out of memory")
    }

    /// RFC 2253. Only of a certificate that stood the test: anybody can write any name into one.
    fileprivate mutating func subject() -> UnsafePointer<CChar>? {
        guard let certificate, verdict == Int(X509_V_OK) else { return nil }
        if texts.0 == nil { texts.0 = TLSFacts.distinguished(X509_get_subject_name(certificate)) }
        return texts.0.map { UnsafePointer($0) }
    }

    fileprivate mutating func issuer() -> UnsafePointer<CChar>? {
        guard let certificate, verdict == Int(X509_V_OK) else { return nil }
        if texts.1 == nil { texts.1 = TLSFacts.distinguished(X509_get_issuer_name(certificate)) }
        return texts.1.map { UnsafePointer($0) }
    }

    fileprivate mutating func certificateText() -> UnsafePointer<CChar>? {
        guard let certificate else { return nil }
        if pem == nil { pem = TLSFacts.written { PEM_write_bio_X509($0, certificate) == 1 } }
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

    /// SAFETY: literals are NUL-terminated and live as long as the program.
    private static func literal(_ text: StaticString) -> UnsafePointer<CChar> {
        UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
    }

    @inline(__always)
    fileprivate func addReference() { references.wrappingAdd(1, ordering: .relaxed) }

    /// True: that was the last one.
    @inline(__always)
    fileprivate func dropReference() -> Bool {
        references.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }

    fileprivate func enter() { lock.lock() }
    fileprivate func leave() { lock.unlock() }
}

extension UnsafeMutablePointer<TLSFacts> {
    /// Of a session whose handshake is done. nil: out of memory.
    static func make(_ session: borrowing TLSSession) -> TLSFactsRef? {
        guard let room = malloc(MemoryLayout<TLSFacts>.stride) else { return nil }
        let facts = room.bindMemory(to: TLSFacts.self, capacity: 1)
        facts.initialize(to: TLSFacts(session))
        return facts
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

    private func locked(
        _ body: (TLSFactsRef) -> UnsafePointer<CChar>?
    ) -> UnsafePointer<CChar>? {
        pointee.enter()
        defer { pointee.leave() }
        return body(self)
    }

    func clientVerification() -> UnsafePointer<CChar>? { locked { $0.pointee.verification() } }
    func clientSubject() -> UnsafePointer<CChar>? { locked { $0.pointee.subject() } }
    func clientIssuer() -> UnsafePointer<CChar>? { locked { $0.pointee.issuer() } }
    func clientCertificate() -> UnsafePointer<CChar>? { locked { $0.pointee.certificateText() } }
}
