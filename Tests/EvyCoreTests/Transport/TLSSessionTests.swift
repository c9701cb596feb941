// SPDX-License-Identifier: MIT
// TLSSessionTests - a plain OpenSSL client against TLSSession, without a socket.
// Room: tests of Transport. Spec: RFC 8446, RFC 5246.

internal import COpenSSL
internal import Testing

@testable import EvyCore

private let tls12: Int32 = 0x0303
private let tls13: Int32 = 0x0304

@Suite struct TLSHandshakeTests {
    @Test(arguments: [tls12, tls13], [Int.max, 1, 700])
    func handshakeSucceedsHoweverTheBytesArrive(version: Int32, pieceSize: Int) throws {
        for roomSize in [16_640, 300, 1] {
            let pair = try TLSTestServer.pair(TLSTestClient(minVersion: version, maxVersion: version))
            pair.pieceSize = pieceSize
            pair.roomSize = roomSize
            #expect(pair.handshake() == .done)
            #expect(pair.client.isEstablished)
            #expect(pair.isEstablished)
            #expect(pair.protocolName == (version == tls13 ? "TLSv1.3" : "TLSv1.2"))
            #expect(pair.cipherName?.hasPrefix(version == tls13 ? "TLS_" : "ECDHE") == true)
            #expect((pair.wantsWriteCount > 0) == (roomSize < 16_640))
        }
    }

    @Test func requestSentRightBehindFinishedIsKept() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.client.handshake()
        _ = pair.call(adding: pair.client.takeOutput()) { $0.handshake() }
        pair.client.handshake()
        try pair.client.write(Array("early bird".utf8))
        #expect(pair.call(adding: pair.client.takeOutput()) { $0.handshake() } == .done)
        let (bytes, progress) = pair.serverRead([])
        #expect(bytes == Array("early bird".utf8))
        #expect(progress == .wantsRead)
    }

    @Test func applicationProtocolIsAgreedOn() throws {
        let cases: [([String], String)] = [
            (["h2", "http/1.1"], "http/1.1"), (["http/1.0", "http/1.1"], "http/1.1"),
            (["http/1.0"], "http/1.0"),
            ([], ""),
        ]
        for (offer, expected) in cases {
            let pair = try TLSTestServer.pair(TLSTestClient(alpn: offer))
            #expect(pair.handshake() == .done)
            #expect(pair.applicationProtocol == expected)
        }
    }

    @Test(arguments: [tls12, tls13])
    func clientWithOtherProtocolsOnlyGetsAnAlert(version: Int32) throws {
        let pair = try TLSTestServer.pair(TLSTestClient(maxVersion: version, alpn: ["h2", "spdy/3"]))
        #expect(tlsFailureKind(pair.handshake()) == .applicationProtocol)
        #expect(pair.sentCount == 7)
        pair.client.handshake()
        #expect(SSL_get_state(pair.client.ssl) == TLS_ST_CW_CLNT_HELLO || !pair.client.isEstablished)
    }

    @Test func serverNameIsTold() throws {
        let client = try TLSTestClient()
        _ = SSL_ctrl(
            client.ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name),
            UnsafeMutableRawPointer(mutating: ("a.example" as StaticString).utf8Start))
        let pair = try TLSTestServer.pair(client)
        #expect(pair.handshake() == .done)
        #expect(pair.serverName == "a.example")
    }

    @Test func versionOneOneIsRefusedWithAnAlert() throws {
        let pair = try TLSTestServer.pair(
            TLSTestClient(minVersion: 0x0301, maxVersion: 0x0302), [("ciphers", "ALL:@SECLEVEL=0")])
        #expect(tlsFailureKind(pair.handshake()) == .version)
        #expect(pair.sentCount == 7)
    }

    @Test func versionBelowTheConfiguredOneIsRefused() throws {
        let pair = try TLSTestServer.pair(TLSTestClient(maxVersion: tls12), [("min_version", "1.3")])
        #expect(tlsFailureKind(pair.handshake()) == .version)
        let other = try TLSTestServer.pair(TLSTestClient(minVersion: tls13), [("max_version", "1.2")])
        #expect(tlsFailureKind(other.handshake()) == .version)
    }

    @Test func clientWithoutACommonCipherIsRefused() throws {
        let client = try TLSTestClient(maxVersion: tls12)
        SSL_set_cipher_list(client.ssl, "ECDHE-ECDSA-CHACHA20-POLY1305")
        let pair = try TLSTestServer.pair(client, [("ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256")])
        #expect(tlsFailureKind(pair.handshake()) == .nothingInCommon)
    }

    @Test(arguments: [tls12, tls13])
    func ticketResumesTheSession(version: Int32) throws {
        let context = try TLSTestServer.policy().makeContext()
        let first = try TLSPair(context, TLSTestClient(minVersion: version, maxVersion: version))
        #expect(first.handshake() == .done)
        _ = first.client.read()
        #expect(!first.isResumed)
        let ticket = try #require(SSL_get1_session(first.client.ssl))
        defer { SSL_SESSION_free(ticket) }
        #expect(SSL_SESSION_has_ticket(ticket) == 1)
        let second = try TLSPair(context, TLSTestClient(minVersion: version, maxVersion: version))
        SSL_set_session(second.client.ssl, ticket)
        #expect(second.handshake() == .done)
        #expect(second.isResumed)
    }

    @Test func sessionOutlivesItsContext() throws {
        var context: TLSContext? = try TLSTestServer.policy().makeContext()
        let pair = try TLSPair(#require(context), TLSTestClient())
        context = nil
        #expect(pair.handshake() == .done)
    }
}

@Suite struct TLSDataTests {
    @Test(arguments: [tls12, tls13], [(16_640, Int.max), (700, 5_000), (61, 1_000), (4_096, 37)])
    func oneMebibyteGoesBothWays(version: Int32, sizes: (room: Int, piece: Int)) throws {
        let pair = try TLSTestServer.pair(TLSTestClient(minVersion: version, maxVersion: version))
        pair.roomSize = sizes.room
        pair.pieceSize = sizes.piece
        #expect(pair.handshake() == .done)
        let bytes = tlsPattern(1 << 20)

        try pair.client.write(bytes)
        let (got, progress) = pair.serverRead(bufferSize: 10_000)
        #expect(got == bytes)
        #expect(progress == .wantsRead)

        #expect(pair.serverWrite(bytes) == .done)
        #expect(pair.wantsWriteCount > 10)
        #expect(pair.client.read().bytes == bytes)
    }

    @Test func manyRecordsInOneInputAreReadByOneCall() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        for number in 0..<50 { try pair.client.write(Array("message \(number);".utf8)) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        var count = 0
        let progress = pair.call(adding: pair.client.takeOutput()) { session in
            buffer.withUnsafeMutableBytes { session.read(into: $0, count: &count) }
        }
        #expect(progress == .wantsRead)
        #expect(String(decoding: buffer[..<count], as: UTF8.self).hasSuffix("message 49;"))
        #expect(!pair.holdsInput)
    }

    @Test func halfARecordIsHeldAndFinishedLater() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        try pair.client.write(tlsPattern(1_000))
        let bytes = pair.client.takeOutput()
        let (nothing, progress) = pair.serverRead(Array(bytes[..<500]))
        #expect(nothing.isEmpty)
        #expect(progress == .wantsRead)
        #expect(pair.holdsInput)
        #expect(pair.serverRead(Array(bytes[500...])).0 == tlsPattern(1_000))
    }

    @Test(arguments: [tls12, tls13])
    func roomOfInputAndOneRecordMoreIsNeverFull(version: Int32) throws {
        let pair = try TLSTestServer.pair(TLSTestClient(minVersion: version, maxVersion: version))
        pair.handshake()
        var room = [UInt8](repeating: 0, count: 40_000 + TLSSession.heldPlainMax)
        try pair.client.write(tlsPattern(1 << 20))
        var rest = pair.client.takeOutput()[...]
        var total: [UInt8] = []
        while !rest.isEmpty {
            var count = 0
            let progress = pair.call(adding: rest.prefix(40_000)) { session in
                room.withUnsafeMutableBytes { session.read(into: $0, count: &count) }
            }
            #expect(progress == .wantsRead)
            total += room[..<count]
            rest = rest.dropFirst(40_000)
        }
        #expect(total == tlsPattern(1 << 20))
    }

    @Test func roomTooSmallForARecordOwesItsBytes() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        let bytes = tlsPattern(5_000)
        var room = [UInt8](repeating: 0, count: 100)
        var count = 0
        let progress = room.withUnsafeMutableBytes { room in
            pair.session.setOutput(room)
            return bytes.withUnsafeBytes { pair.session.write($0, count: &count) }
        }
        pair.client.feed(room)
        #expect(progress == .wantsWrite)
        #expect(count == 0)
        #expect(pair.owedPlainCount == 5_000)
        pair.session.releaseWindows()
        #expect(pair.serverWrite(bytes + [1, 2, 3]) == .done)
        #expect(pair.owedPlainCount == 0)
        #expect(pair.client.read().bytes == bytes + [1, 2, 3])
    }

    @Test func offeringLessThanIsOwedIsAnErrorNotATrap() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        var room = [UInt8](repeating: 0, count: 100)
        var count = 0
        room.withUnsafeMutableBytes { room in
            pair.session.setOutput(room)
            _ = tlsPattern(5_000).withUnsafeBytes { pair.session.write($0, count: &count) }
        }
        pair.session.releaseWindows()
        #expect(tlsFailureKind(pair.serverWrite([1, 2, 3])) == .ours)
    }

    @Test func keyUpdatesOfTheClientAreAnswered() throws {
        let pair = try TLSTestServer.pair(TLSTestClient(minVersion: tls13))
        pair.handshake()
        for round in 0..<5 {
            #expect(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
            try pair.client.write(Array("round \(round)".utf8))
            #expect(pair.serverRead().0 == Array("round \(round)".utf8))
            pair.roomSize = [16_640, 1, 100, 1_024, 140][round]
            #expect(pair.serverWrite(tlsPattern(3_000)) == .done)
            #expect(pair.client.read().bytes == tlsPattern(3_000))
        }
    }

    @Test func renegotiationIsRefusedAndTheConnectionLives() throws {
        let pair = try TLSTestServer.pair(TLSTestClient(minVersion: tls12, maxVersion: tls12))
        pair.handshake()
        #expect(SSL_renegotiate(pair.client.ssl) == 1)
        pair.client.handshake()
        let (bytes, progress) = pair.serverRead()
        #expect(bytes.isEmpty)
        #expect(progress == .wantsRead)
        #expect(pair.serverWrite([1, 2, 3]) == .done)
    }

    @Test func errorsLeftByTheHostAreNotTakenForOurs() throws {
        let pair = try TLSTestServer.pair(TLSTestClient())
        pair.handshake()
        BIO_free(BIO_new_file("/nowhere/at/all", "r"))
        #expect(ERR_peek_error() != 0)
        var buffer = [UInt8](repeating: 0, count: 64)
        var count = 0
        let progress = buffer.withUnsafeMutableBytes { pair.session.read(into: $0, count: &count) }
        #expect(progress == .wantsRead)
        #expect(ERR_peek_error() == 0)
    }
}
