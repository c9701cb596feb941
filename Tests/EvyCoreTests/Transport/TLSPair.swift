// SPDX-License-Identifier: MIT
// TLSPair - turns a plain OpenSSL client and a TLSSession into two ends that talk through arrays.
// Room: tests of Transport. Spec: none.

internal import COpenSSL
internal import Testing

@testable import EvyCore

/// An OpenSSL client on memory BIOs: what the other side of the wire would be.
final class TLSTestClient {
    let ssl: OpaquePointer
    private let context: OpaquePointer
    private let received: OpaquePointer
    private let sending: OpaquePointer

    init(minVersion: Int32 = 0, maxVersion: Int32 = 0, alpn: [String] = [], verifies: Bool = false) throws {
        context = try #require(SSL_CTX_new(TLS_client_method()))
        if maxVersion != 0 && maxVersion < 0x0303 { SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0") }
        _ = evyssl_ctx_set_min_version(context, minVersion)
        _ = evyssl_ctx_set_max_version(context, maxVersion)
        if verifies { SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil) }
        ssl = try #require(SSL_new(context))
        received = try #require(BIO_new(BIO_s_mem()))
        sending = try #require(BIO_new(BIO_s_mem()))
        SSL_set_bio(ssl, received, sending)
        SSL_set_connect_state(ssl)
        if !alpn.isEmpty {
            let list = alpn.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
            try #require(SSL_set_alpn_protos(ssl, list, UInt32(list.count)) == 0)
        }
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
        ERR_clear_error()
    }

    func feed(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        if !bytes.isEmpty { BIO_write(received, bytes, Int32(bytes.count)) }
    }

    func takeOutput() -> [UInt8] {
        let waiting = BIO_ctrl_pending(sending)
        guard waiting > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: waiting)
        let count = BIO_read(sending, &bytes, Int32(waiting))
        return Array(bytes[..<max(0, Int(count))])
    }

    @discardableResult
    func handshake() -> Int32 {
        ERR_clear_error()
        return SSL_get_error(ssl, SSL_do_handshake(ssl))
    }

    func write(_ bytes: [UInt8]) throws {
        ERR_clear_error()
        try #require(SSL_write(ssl, bytes, Int32(bytes.count)) == Int32(bytes.count))
    }

    /// All plain bytes there are, and why there are no more (SSL_ERROR_*).
    func read() -> (bytes: [UInt8], ending: Int32) {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while true {
            ERR_clear_error()
            let count = SSL_read(ssl, &piece, Int32(piece.count))
            if count <= 0 { return (all, SSL_get_error(ssl, count)) }
            all += piece[..<Int(count)]
        }
    }

    var isEstablished: Bool { SSL_is_init_finished(ssl) != 0 }
}

/// The server's end as a connection would drive it: windows lent for one call, the unused rest of the
/// input given again, output sent on before the next call.
final class TLSPair {
    var session: TLSSession
    let client: TLSTestClient
    /// Size of the output room.
    var roomSize = 16_384 + 256
    /// How many cipher bytes reach the server at once.
    var pieceSize = Int.max
    /// Cipher bytes the server has been given and not used.
    private var backlog: [UInt8] = []
    /// Cipher bytes the server has sent, in total.
    private(set) var sentCount = 0
    private(set) var wantsWriteCount = 0

    init(_ context: TLSContext, _ client: TLSTestClient) throws {
        guard let session = TLSSession(context: context) else { throw TestFailure.noSession }
        self.session = session
        self.client = client
    }

    enum TestFailure: Error { case noSession }

    // Copies of the facts: #expect cannot look through a noncopyable value.
    var isEstablished: Bool { session.isEstablished }
    var isResumed: Bool { session.isResumed }
    var holdsInput: Bool { session.holdsInput }
    var owedPlainCount: Int { session.owedPlainCount }
    var applicationProtocol: String { String(decoding: session.applicationProtocol, as: UTF8.self) }
    var protocolName: String? { session.protocolName.map { String(cString: $0) } }
    var cipherName: String? { session.cipherName.map { String(cString: $0) } }
    var serverName: String? { session.serverName.map { String(cString: $0) } }

    /// One verb of the server, repeated while its output is full.
    func call(
        adding input: some Collection<UInt8> = [], _ verb: (inout TLSSession) -> TLSSession.Progress
    ) -> TLSSession.Progress {
        backlog += input
        while true {
            var sent: [UInt8] = []
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: roomSize, alignment: 1)
            defer { room.deallocate() }
            let progress = backlog.withUnsafeBytes { bytes in
                session.setInput(bytes)
                session.setOutput(room)
                let progress = verb(&session)
                sent = Array(room[..<session.outputCount])
                return progress
            }
            backlog.removeFirst(backlog.count - session.pendingInput)
            session.releaseWindows()
            sentCount += sent.count
            client.feed(sent)
            guard case .wantsWrite = progress else { return progress }
            wantsWriteCount += 1
        }
    }

    /// Runs both handshakes until nothing moves any more; what the server said last.
    @discardableResult
    func handshake() -> TLSSession.Progress {
        var last = TLSSession.Progress.wantsRead
        while true {
            client.handshake()
            let bytes = client.takeOutput()
            if bytes.isEmpty { return last }
            for piece in pieces(bytes) {
                last = call(adding: piece) { $0.handshake() }
                if case .failed = last { return last }
            }
        }
    }

    /// Gives the server what the client sends and reads everything there is.
    func serverRead(_ bytes: [UInt8]? = nil, bufferSize: Int = 4_096) -> ([UInt8], TLSSession.Progress) {
        var all: [UInt8] = []
        var last = TLSSession.Progress.wantsRead
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 1)
        defer { buffer.deallocate() }
        for piece in pieces(bytes ?? client.takeOutput()) + [[]] {
            backlog += piece
            repeat {
                var count = 0
                last = call {
                    let progress = $0.read(into: buffer, count: &count)
                    all += buffer[..<count]
                    return progress
                }
            } while last == .done
        }
        return (all, last)
    }

    @discardableResult
    func serverWrite(_ bytes: [UInt8]) -> TLSSession.Progress {
        var offset = 0
        return call { session in
            bytes.withUnsafeBytes { all in
                var count = 0
                let progress = session.write(UnsafeRawBufferPointer(rebasing: all[offset...]), count: &count)
                offset += count
                return progress
            }
        }
    }

    private func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
        guard bytes.count > pieceSize else { return [bytes] }
        return stride(from: 0, to: bytes.count, by: pieceSize).map {
            Array(bytes[$0..<min($0 + pieceSize, bytes.count)])
        }
    }
}

/// Keys take time to make: one set for all tests.
enum TLSTestServer {
    static let certificate = Result { try TLSTestCertificate("evy.test", key: TLSTestKey()) }
    static let rsaCertificate = Result { try TLSTestCertificate("rsa.test", key: TLSTestKey(rsaBits: 2_048)) }

    static func policy() throws -> TLSPolicy {
        var policy = TLSPolicy()
        let pem = Array(try certificate.get().pairPEM().utf8)
        try pem.withUnsafeBytes { try policy.setCertificate(memory: $0, key: nil, pass: nil) }
        return policy
    }

    static func pair(
        _ client: TLSTestClient, _ options: [(String, String)] = []
    ) throws -> TLSPair {
        var policy = try policy()
        for (key, value) in options { try policy.set(key, value) }
        return try TLSPair(policy.makeContext(), client)
    }
}

/// Bytes that differ from place to place, the same every time.
func tlsPattern(_ count: Int) -> [UInt8] {
    var state: UInt32 = 7
    return (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return UInt8(truncatingIfNeeded: state >> 24)
    }
}

func tlsFailureKind(_ progress: TLSSession.Progress) -> TLSFailure.Kind? {
    guard case .failed(let failure) = progress else { return nil }
    return failure.kind
}
