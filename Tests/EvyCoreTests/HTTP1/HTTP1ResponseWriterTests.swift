// SPDX-License-Identifier: MIT
// HTTP1ResponseWriterTests - heads byte by byte, and what an application cannot make the writer do.
// Room: tests.

import Testing

@testable import EvyCore

@Suite struct HTTP1ResponseWriterTests {
    private struct Call {
        var status = 200
        var reason: String?
        var fields = ""
        var length: UInt64?
        var facts = ResponseRequestFacts(
            minorVersion: 1, isHead: false, keepAlive: true, echoesKeepAlive: false, maxMinorVersion: 1)
        var server: String?
        var before = ""

        /// The bytes of the head, and the plan. An error must leave the buffer as it was; and what is
        /// remembered of the fields must come out as what was written the first time.
        func write() throws -> (text: String, plan: ResponsePlan) {
            var memo = FieldsMemo()
            let first = try write(&memo)
            let second = try write(&memo)
            #expect(first == second)
            return second
        }

        func write(_ memo: inout FieldsMemo) throws -> (text: String, plan: ResponsePlan) {
            var out = ByteBuffer()
            for byte in before.utf8 { out.append(byte) }
            let reasonBytes = reason.map { Array($0.utf8) }
            let serverBytes = server.map { Array($0.utf8) }
            let block = Array(fields.utf8)
            let date = Array("DATE".utf8)
            let plan: ResponsePlan
            do {
                plan = try block.withUnsafeBytes { block in
                    try date.withUnsafeBytes { date in
                        try withOptionalBytes(reasonBytes) { reason in
                            try withOptionalBytes(serverBytes) { server in
                                try HTTP1ResponseWriter.writeHead(
                                    status: status, reason: reason, fields: block, bodyLength: length,
                                    facts: facts, date: date, server: server, memo: &memo, into: &out)
                            }
                        }
                    }
                }
            } catch {
                #expect(text(out) == before, "an error left bytes behind")
                throw error
            }
            return (text(out), plan)
        }

        private func withOptionalBytes<R>(
            _ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> R
        ) rethrows -> R {
            guard let bytes else { return try body(nil) }
            return try bytes.withUnsafeBytes { try body($0) }
        }
    }

    @Test func aHeadHasItsPartsInOrder() throws {
        var call = Call()
        call.fields = "Content-Type\0text/plain\0X-A\0b\0"
        call.length = 5
        call.server = "evy"
        let (text, plan) = try call.write()
        #expect(
            text == "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nContent-Length: 5\r\n"
                + "Date: DATE\r\nServer: evy\r\n\r\n")
        #expect(plan == ResponsePlan(body: .length(5), keepAlive: true, declaredLength: 5))
    }

    @Test func whatIsInTheBufferAlreadyStays() throws {
        var call = Call()
        call.before = "earlier answer"
        call.length = 0
        #expect(try call.write().text.hasPrefix("earlier answerHTTP/1.1 200 OK\r\n"))
    }

    @Test func theLastNULMayBeAbsent() throws {
        var call = Call()
        call.fields = "A\0b\0C\0d"
        #expect(try call.write().text.contains("A: b\r\nC: d\r\n"))
        call.fields = "A\0"
        #expect(try call.write().text.contains("A: \r\n"))
    }

    @Test func theHostsOwnDateServerAndLengthAreUsed() throws {
        var call = Call()
        call.fields = "date\0then\0server\0mine\0content-length\05"
        call.server = "evy"
        let (text, plan) = try call.write()
        #expect(text == "HTTP/1.1 200 OK\r\ndate: then\r\nserver: mine\r\ncontent-length: 5\r\n\r\n")
        #expect(plan.body == .length(5))
        #expect(plan.declaredLength == 5)
    }

    @Test func anUnknownLengthIsChunkedOrUntilClose() throws {
        var call = Call()
        var (text, plan) = try call.write()
        #expect(text.hasSuffix("Date: DATE\r\nTransfer-Encoding: chunked\r\n\r\n"))
        #expect(plan == ResponsePlan(body: .chunked, keepAlive: true, declaredLength: -1))
        call.facts.minorVersion = 0
        call.facts.echoesKeepAlive = true
        (text, plan) = try call.write()
        #expect(text == "HTTP/1.1 200 OK\r\nDate: DATE\r\nConnection: close\r\n\r\n")
        #expect(plan == ResponsePlan(body: .untilClose, keepAlive: false, declaredLength: -1))
    }

    @Test func aServerThatPlaysHTTP10SaysSo() throws {
        var call = Call()
        call.facts.maxMinorVersion = 0
        call.length = 1
        var (text, plan) = try call.write()
        #expect(text == "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nDate: DATE\r\nConnection: close\r\n\r\n")
        call.facts.echoesKeepAlive = true
        (text, plan) = try call.write()
        #expect(text.hasSuffix("Connection: keep-alive\r\n\r\n"))
        #expect(plan.keepAlive)
        call.length = nil
        #expect(
            try call.write().plan == ResponsePlan(body: .untilClose, keepAlive: false, declaredLength: -1))
    }

    @Test func keepAliveIsEchoedToThoseWhoSayIt() throws {
        var call = Call()
        call.length = 1
        #expect(try !call.write().text.contains("Connection"))
        call.facts.echoesKeepAlive = true
        #expect(try call.write().text.hasSuffix("Connection: keep-alive\r\n\r\n"))
        call.facts.keepAlive = false
        #expect(try call.write().text.hasSuffix("Connection: close\r\n\r\n"))
    }

    @Test func hopByHopFieldsAreDroppedButCloseIsObeyed() throws {
        var call = Call()
        call.length = 1
        call.fields =
            "Transfer-Encoding\0gzip\0Keep-Alive\0x\0TE\0x\0Upgrade\0x\0Proxy-Connection\0x\0"
        var (text, plan) = try call.write()
        #expect(text == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nDate: DATE\r\n\r\n")
        call.fields = "Connection\0x, Close\0"
        (text, plan) = try call.write()
        #expect(text.hasSuffix("Date: DATE\r\nConnection: close\r\n\r\n"))
        #expect(!plan.keepAlive)
    }

    @Test func aHeadAnswerKeepsItsLengthAndHasNoBody() throws {
        var call = Call()
        call.facts.isHead = true
        call.length = 7
        var (text, plan) = try call.write()
        #expect(text.contains("Content-Length: 7\r\n"))
        #expect(plan == ResponsePlan(body: .none, keepAlive: true, declaredLength: 7))
        call.length = 0
        call.fields = "Content-Length\0123"
        (text, plan) = try call.write()
        #expect(text.contains("Content-Length: 123\r\n"))
        #expect(plan.body == .none)
        call.fields = ""
        #expect(try !call.write().text.contains("Content-Length"))
        call.length = nil
        #expect(try call.write().text == "HTTP/1.1 200 OK\r\nDate: DATE\r\n\r\n")
    }

    @Test(arguments: [204, 304, 100, 103, 199])
    func statusesWithoutABodyHaveNone(_ status: Int) throws {
        var call = Call()
        call.status = status
        call.length = 5
        let (text, plan) = try call.write()
        #expect(!text.contains("Content-Length"))
        #expect(!text.contains("Transfer-Encoding"))
        #expect(plan == ResponsePlan(body: .none, keepAlive: true, declaredLength: -1))
        #expect(text.contains("Date") == (status >= 200))
        call.fields = "Content-Length\09"
        #expect(try call.write().text.contains("Content-Length: 9") == (status == 304))
    }

    @Test func resetContentHasALengthOfZero() throws {
        var call = Call()
        call.status = 205
        call.length = 5
        let (text, plan) = try call.write()
        #expect(text.contains("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n"))
        #expect(plan.body == .none)
    }

    @Test func reasonsAreGivenOrStandard() throws {
        var call = Call()
        call.status = 404
        call.length = 0
        #expect(try call.write().text.hasPrefix("HTTP/1.1 404 Not Found\r\n"))
        call.reason = "Gone fishing"
        #expect(try call.write().text.hasPrefix("HTTP/1.1 404 Gone fishing\r\n"))
        call.reason = ""
        #expect(try call.write().text.hasPrefix("HTTP/1.1 404 \r\n"))
        call.reason = nil
        call.status = 599
        #expect(try call.write().text.hasPrefix("HTTP/1.1 599 \r\n"))
    }

    @Test(arguments: ["a\r\nX: y", "a\nb", "\0", "\u{1b}", "a\r"])
    func aReasonCannotSplitTheResponse(_ reason: String) {
        var call = Call()
        call.before = "x"
        call.reason = reason
        #expect(throws: ResponseError.badReason) { try call.write() }
    }

    @Test(arguments: [
        "A\0b\r\nX: y\0", "A\0b\nc\0", "A\0b\rc\0", "A\0\u{7f}\0", "A B\0c\0", "A:\0c\0", "\0c\0",
        "A\r\n\0b\0", "A",
        "A\0b\0\0c\0", "A\0b\0C", "É\0b\0",
    ])
    func aFieldCannotSplitTheResponse(_ fields: String) {
        var call = Call()
        call.before = "x"
        call.fields = fields
        #expect(throws: ResponseError.badField) { try call.write() }
    }

    @Test(arguments: ["5, 5", "+5", "", "-1", "5x", "9223372036854775808", "5\0Content-Length\05"])
    func aBadContentLengthIsTheApplicationsFault(_ value: String) {
        var call = Call()
        call.fields = "Content-Length\0\(value)\0"
        #expect(throws: ResponseError.badContentLength) { try call.write() }
    }

    @Test func aLengthThatIsNotTheBodysIsRefused() {
        var call = Call()
        call.fields = "Content-Length\05\0"
        call.length = 6
        #expect(throws: ResponseError.contentLengthMismatch) { try call.write() }
        call.facts.isHead = true
        #expect(throws: ResponseError.contentLengthMismatch) { try call.write() }
    }

    @Test(arguments: [0, 99, 600, -200, Int.max, Int.min])
    func aStatusOutsideTheRangeIsRefused(_ status: Int) {
        var call = Call()
        call.status = status
        #expect(throws: ResponseError.badStatus) { try call.write() }
    }

    @Test func whatIsRememberedOfFieldsIsUsedForTheSameFieldsAndStatusAlone() throws {
        var memo = FieldsMemo()
        var call = Call()
        for (status, fields) in [
            (200, "Content-Length\00\0"), (204, "Content-Length\00\0"), (200, "Content-Length\00\0"),
            (200, "Content-Length\00"), (200, ""), (200, "X-A\0b\0"), (200, "X-A\0c\0"),
            (200, "X-Long\0" + String(repeating: "x", count: 600) + "\0"), (200, "X-A\0c\0"),
        ] {
            call.status = status
            call.fields = fields
            let (remembered, plan) = try call.write(&memo)
            var fresh = FieldsMemo()
            #expect(try call.write(&fresh) == (remembered, plan))
        }
    }

    @Test func trailersCanBeAnnounced() throws {
        var call = Call()
        call.fields = "Trailer\0X-Sum\0"
        var memo = FieldsMemo()
        #expect(try call.write(&memo).0.contains("\r\nTrailer: X-Sum\r\n"))
    }

    @Test(arguments: [false, true]) func aRefusalIsAWholeAnswer(toHead: Bool) {
        var out = ByteBuffer()
        let bodyCount = Array("DATE".utf8).withUnsafeBytes {
            HTTP1ResponseWriter.writeRefusal(
                .headerLineTooLong, status: 431, minorVersion: 1, toHead: toHead, date: $0, into: &out)
        }
        #expect(bodyCount == (toHead ? 0 : 21))
        #expect(
            text(out)
                == "HTTP/1.1 431 Header Line Too Long\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n"
                + "Date: DATE\r\nConnection: close\r\n\r\n" + (toHead ? "" : "Header Line Too Long\n"))
    }

    @Test func chunkFramingIsWritten() {
        var out = ByteBuffer()
        HTTP1ResponseWriter.writeChunkHeader(byteCount: 0x1f, into: &out)
        HTTP1ResponseWriter.writeChunkHeader(byteCount: 0, into: &out)
        HTTP1ResponseWriter.writeChunkHeader(byteCount: -1, into: &out)
        #expect(text(out) == "1f\r\n")
        out.clear(keepingCapacity: 100)
        HTTP1ResponseWriter.writeLastChunk(
            trailers: UnsafeRawBufferPointer(start: nil, count: 0), into: &out)
        HTTP1ResponseWriter.writeContinue(into: &out)
        #expect(text(out) == "0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    }
}
