// SPDX-License-Identifier: MIT
// TLSPolicy - turns certificates and options into the contexts that listeners use.
// Room: Transport (no system calls of its own). Spec: RFC 8446, RFC 5246; evy.h, chapter TLS.

internal import COpenSSL

/// Everything that may be chosen about TLS. Each change is tried out on a real SSL_CTX together with
/// what was set before, so a mistake is reported where it is made; on error the policy is unchanged.
///
/// Ownership: a value; copies share the immutable identities and the ticket keys.
/// Thread:    one at a time.
struct TLSPolicy {
    enum Version: Int32 {
        case tls12 = 0x0303
        case tls13 = 0x0304

        init?(_ text: String) {
            switch text {
            case "1.2": self = .tls12
            case "1.3": self = .tls13
            default: return nil
            }
        }

        var text: String { self == .tls12 ? "1.2" : "1.3" }
    }

    /// nil: TLS 1.2, or higher where the machine's OpenSSL configuration asks for it.
    var minVersion: Version?
    /// nil: the newest there is.
    var maxVersion: Version?
    var ciphers: String?
    var ciphersuites: String?
    var groups: String?
    var protocols = TLSProtocolList.all
    /// Sent after each full handshake; 0: sessions are not resumed.
    var tickets = 1
    /// Milliseconds; 0: the ticket keys stay.
    var ticketRotation: Int64 = 12 * 3_600_000
    var staples: [TLSStaple] = []
    var staplePaths: [String] = []
    var keyLog: TLSKeyLog?
    private(set) var clientCA: TLSClientCA?
    /// The first is the default.
    private(set) var certificates: [TLSCertificate] = []
    private let ticketKeys = TLSTicketKeys()

    init() {}

    var hasCertificate: Bool { !certificates.isEmpty }

    // MARK: Certificates

    /// `key` nil: the key is in the certificate's file. `pass` nil: the key is not encrypted. `name` nil: the
    /// names inside the certificate count.
    mutating func setCertificate(
        _ name: UnsafePointer<CChar>? = nil, file: UnsafePointer<CChar>, key: UnsafePointer<CChar>?,
        pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        try adopt(TLSCertificate(try TLSPolicy.hostName(name), file: file, key: key, pass: pass))
    }

    /// The same from memory, which is only read during the call.
    mutating func setCertificate(
        _ name: UnsafePointer<CChar>? = nil, memory: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer?,
        pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        try adopt(TLSCertificate(try TLSPolicy.hostName(name), memory: memory, key: key, pass: pass))
    }

    private static func hostName(_ text: UnsafePointer<CChar>?) throws(TLSError) -> TLSName? {
        guard let text else { return nil }
        let shown = String(cString: text)
        if let name = TLSName(shown) { return name }
        throw TLSError(
            kind: .value, text: "\"\(shown)\" is no name a client can ask for (\"a.org\" or \"*.a.org\")")
    }

    private mutating func adopt(_ certificate: TLSCertificate) throws(TLSError) {
        _ = try TLSContext(self, certificate.identity)
        if let place = certificates.firstIndex(where: { $0.isReplaced(by: certificate) }) {
            certificates[place] = certificate
            return
        }
        try append(certificate)
    }

    private mutating func append(_ certificate: TLSCertificate) throws(TLSError) {
        guard !certificate.names.isEmpty || certificates.isEmpty else {
            throw .tls("\(certificate.identity.name) holds no host name, and none was given")
        }
        certificates.append(certificate)
    }

    // MARK: Client certificates

    mutating func setClientCA(_ verify: TLSVerify, file: UnsafePointer<CChar>) throws(TLSError) {
        guard verify != .none else { return clientCA = nil }
        try adopt(TLSClientCA(verify, file: file))
    }

    mutating func setClientCA(_ verify: TLSVerify, memory: UnsafeRawBufferPointer) throws(TLSError) {
        guard verify != .none else { return clientCA = nil }
        try adopt(TLSClientCA(verify, memory: memory))
    }

    private mutating func adopt(_ authority: TLSClientCA) throws(TLSError) {
        var trial = self
        trial.clientCA = authority
        _ = try TLSContext(trial, nil)
        self = trial
    }

    // MARK: Contexts

    /// Finds what does not go together.
    func tryOut() throws(TLSError) {
        _ = try TLSContext(self, nil)
        for certificate in certificates { _ = try TLSContext(self, certificate.identity) }
        try checkStaples()
    }

    private func checkStaples() throws(TLSError) {
        guard hasCertificate else { return }
        for staple in staples where !certificates.contains(where: { staple.belongs(to: $0.identity) }) {
            throw .tls("\(staple.name) belongs to none of the certificates")
        }
    }

    /// What listeners use: the default certificate's context, which leads to the others. Changing the policy
    /// afterwards does not touch it.
    func makeContext() throws(TLSError) -> TLSContext {
        guard let first = certificates.first else { throw .tls("no certificate was given") }
        try checkStaples()
        try ticketKeys.prepare(rotation: ticketRotation)
        var contexts: [TLSContext?] = [nil]
        for certificate in certificates.dropFirst() {
            let attachment = attachment(for: certificate)
            contexts.append(try TLSContext(self, certificate.identity, attachment))
        }
        let names = TLSNameTable(certificates.map { ($0.names, $0.isNameGiven) })
        return try TLSContext(self, first.identity, attachment(for: first, names, contexts))
    }

    private func attachment(
        for certificate: TLSCertificate, _ names: TLSNameTable = TLSNameTable([]),
        _ contexts: [TLSContext?] = []
    ) -> TLSAttachment {
        TLSAttachment(
            tickets: ticketKeys, protocols: protocols,
            staple: staples.first { $0.belongs(to: certificate.identity) }, keyLog: keyLog, names: names,
            contexts: contexts)
    }

    // MARK: Reload

    /// The same policy with every file as it is now: all of them, or the error that names the first which
    /// does not go.
    func readAgain() throws(TLSError) -> TLSPolicy {
        var next = self
        next.certificates = []
        for certificate in certificates { try next.append(certificate.readAgain()) }
        next.clientCA = try clientCA?.readAgain()
        next.staples = []
        for path in staplePaths { next.staples.append(try TLSStaple(path: path)) }
        if let keyLog { next.keyLog = try TLSKeyLog(path: keyLog.path) }
        return next
    }
}
