// SPDX-License-Identifier: MIT
// TLSEndTests - every way a TLS connection ends is told apart.
// Room: tests of Transport. Spec: RFC 8446 §6, RFC 5246 §7.2.

internal import COpenSSL
internal import Testing

@testable import EvyCore

private let tls12: Int32 = 0x0303
private let tls13: Int32 = 0x0304

@Suite struct TLSEndTests {
    @Test(arguments: [tls12, tls13])
    func closeNotifyOfTheClientComesBehindItsData(version: Int32) throws {
        let pair = try TLSTestServer.pair(TLSTestClient(minVersion: version, maxVersion: version))
        pair.handshake()
        try pair.client.write(tlsPattern(100))
        SSL_shutdown(pair.client.ssl)
        let (bytes, progress) = pair.serverRead()
        #expect(bytes == tlsPattern(100))
        #expect(progress == .closed)
        #expect(pair.serverRead([]).1 == .closed)
        // Half closed: ours may still go.
        #expect(pair.serverWrite([9, 9]) == .done)
        #expect(pair.call { $0.shutdown() } == .done)
        let (answer, ending) = pair.client.read()
        #expect(answer == [9, 9])
        #expect(ending == SSL_ERROR_ZERO_RETURN)
    }

    @Test func ourCloseNotifyReachesTheClientAndReadingGoesOn() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        pair.roomSize = 5
        #expect(pair.call { $0.shutdown() } == .done)
        #expect(pair.client.read().ending == SSL_ERROR_ZERO_RETURN)
        try pair.client.write([7])
        #expect(pair.serverRead().0 == [7])
        let sent = pair.sentCount
        #expect(pair.call { $0.shutdown() } == .done)
        #expect(pair.sentCount == sent)
    }

    @Test func streamEndWithoutCloseNotifyIsTruncation() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        try pair.client.write(tlsPattern(10))
        let bytes = pair.client.takeOutput()
        pair.session.endInput()
        let (got, progress) = pair.serverRead(bytes)
        #expect(got == tlsPattern(10))
        #expect(tlsFailureKind(progress) == .truncated)
        #expect(tlsFailureKind(pair.serverRead([]).1) == .truncated)
        #expect(pair.call { $0.shutdown() } == .done)
        #expect(ERR_peek_error() == 0)
    }

    @Test func streamEndBehindCloseNotifyIsAClose() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        SSL_shutdown(pair.client.ssl)
        pair.session.endInput()
        #expect(pair.serverRead().1 == .closed)
    }

    @Test(arguments: [0, 1, 5, 100])
    func streamEndInTheHandshakeIsAbandoned(byteCount: Int) throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.client.handshake()
        let hello = pair.client.takeOutput()
        pair.session.endInput()
        #expect(tlsFailureKind(pair.call(adding: hello[..<byteCount]) { $0.handshake() }) == .abandoned)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n\r\n", "POST /x HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "BREW /pot HTTP/1.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ])
    func clearTextHTTPIsRecognised(request: String) throws {
        for pieceSize in [1, 1_000] {
            let pair = try TLSTestServer.pair(TLSTestClient())
            var last = TLSSession.Progress.wantsRead
            for start in stride(from: 0, to: request.utf8.count, by: pieceSize) {
                last = pair.call(adding: Array(request.utf8)[start...].prefix(pieceSize)) { $0.handshake() }
                if case .failed = last { break }
            }
            #expect(tlsFailureKind(last) == .plainHTTP)
            #expect(ERR_peek_error() == 0)
        }
    }

    @Test(arguments: [
        [0, 0, 0, 0, 0, 0, 0, 0], [0x53, 0x53, 0x48, 0x2D, 0x32, 0x2E, 0x30], [0xFF, 0xFE, 1, 2, 3, 4, 5],
    ])
    func garbageIsNotTLS(bytes: [UInt8]) throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        #expect(tlsFailureKind(pair.call(adding: bytes) { $0.handshake() }) == .notTLS)
    }

    @Test func alertOfTheClientIsNamed() throws {
        let pair = try TLSTestServer.pair(TLSTestClient(verifies: true))
        let progress = pair.handshake()
        guard case .failed(let failure) = progress else {
            Issue.record("expected a failure, got \(progress)")
            return
        }
        #expect(failure.kind == .alert)
        #expect(failure.alertNumber == 48 || failure.alertNumber == 18)
        #expect(failure.text.hasPrefix("the client sent the TLS alert \""))
    }

    @Test(arguments: [tls12, tls13])
    func changedRecordEndsTheSessionForGood(version: Int32) throws {
        let pair = try TLSTestServer.pair(TLSTestClient(minVersion: version, maxVersion: version))
        pair.handshake()
        let sent = pair.sentCount
        try pair.client.write(tlsPattern(100))
        var bytes = pair.client.takeOutput()
        bytes[20] ^= 1
        #expect(tlsFailureKind(pair.serverRead(bytes).1) == .protocolBroken)
        #expect(pair.sentCount > sent)
        #expect(tlsFailureKind(pair.serverWrite([1])) == .protocolBroken)
        #expect(tlsFailureKind(pair.call { $0.handshake() }) == .protocolBroken)
    }

    /// Any one byte of a handshake flipped must end in a failure or a wait, never in a crash or a success
    /// with different data.
    @Test func flippedHandshakeBytesNeverCrash() throws {
        let context = try TLSTestServer.policy().makeContext()
        let client = try TLSTestClient()
        client.handshake()
        let hello = client.takeOutput()
        for index in hello.indices {
            let pair = try TLSPair(context, TLSTestClient())
            var bytes = hello
            bytes[index] ^= 0x81
            _ = pair.call(adding: bytes) { $0.handshake() }
            pair.session.endInput()
            #expect(tlsFailureKind(pair.call { $0.handshake() }) != nil)
            #expect(ERR_peek_error() == 0)
        }
    }

    @Test func everyFailureHasItsText() {
        var texts: Set<String> = []
        for kind in TLSFailure.Kind.allCases { texts.insert(TLSFailure(kind: kind).text) }
        #expect(texts.count == TLSFailure.Kind.allCases.count)
    }
}
