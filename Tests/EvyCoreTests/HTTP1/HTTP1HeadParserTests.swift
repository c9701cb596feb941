// SPDX-License-Identifier: MIT
// HTTP1HeadParserTests - what the conformance cases cannot say: memory, cost and early refusal.
// Room: tests.

import Glibc
import Testing

@testable import EvyCore

@Suite struct HTTP1HeadParserTests {
    private func parse(_ text: String, slots count: Int = 100) throws(HTTPError) -> RequestHead? {
        let bytes = Array(text.utf8)
        var parser = HTTP1HeadParser()
        var slots = [FieldSlot](repeating: .empty, count: count)
        var head = RequestHead()
        var span = slots.mutableSpan
        let isComplete = try parser.parse(
            bytes.span.bytes, limits: HTTPLimits(), laxness: [], fields: &span, head: &head)
        return isComplete ? head : nil
    }

    @Test func whatTheParserKeepsIsSmallAndTrivial() {
        #expect(_isPOD(HTTP1HeadParser.self))
        #expect(_isPOD(HTTP1BodyReader.self))
        #expect(_isPOD(RequestHead.self))
        #expect(_isPOD(FieldSlot.self))
        #expect(MemoryLayout<FieldSlot>.stride <= 20)
        #expect(MemoryLayout<HTTP1HeadParser>.size <= 112)
        #expect(MemoryLayout<HTTP1BodyReader>.size <= 64)
    }

    @Test func fewerSlotsThanTheLimitAllowsIsAnErrorOfThePeerNotATrap() {
        #expect(throws: HTTPError.tooManyHeaders) {
            try parse("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n", slots: 1)
        }
        #expect(throws: HTTPError.tooManyHeaders) { try parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n", slots: 0) }
    }

    @Test func limitsOfNothingRefuseEverything() {
        var limits = HTTPLimits()
        limits.requestLineMax = 0
        limits.headerLineMax = 0
        limits.headerBytesMax = 0
        let feed = HTTP1Feed(limits: limits)
        #expect(
            feed.outcomes(of: Array("GET / HTTP/1.1\r\n\r\n".utf8), cutAt: []) == ["414 Request URI Too Long"]
        )
        limits.requestLineMax = .max / 2
        let other = HTTP1Feed(limits: limits)
        #expect(
            other.outcomes(of: Array("GET / HTTP/1.1\r\n\r\n".utf8), cutAt: []) == ["431 Headers Too Large"])
    }

    /// What this thread has computed, however busy the machine is.
    private static var threadSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// A client that sends byte by byte must not cost more than its bytes: quadratic reading of this head
    /// would look at two thousand million bytes and take seconds.
    @Test func aSlowClientCostsNoMoreThanAFastOne() throws {
        let bytes = Array("GET / HTTP/1.1\r\nX: \(String(repeating: "a", count: 60_000))".utf8)
        var limits = HTTPLimits()
        limits.headerLineMax = 65_536
        var parser = HTTP1HeadParser()
        var slots = [FieldSlot](repeating: .empty, count: 4)
        var head = RequestHead()
        let begin = Self.threadSeconds
        for count in 1...bytes.count {
            var span = slots.mutableSpan
            let prefix = bytes.span.bytes.extracting(first: count)
            _ = try parser.parse(prefix, limits: limits, laxness: [], fields: &span, head: &head)
        }
        #expect(Self.threadSeconds - begin < 1)
    }

    @Test func theRequestLineIsKnownForTheLogAfterARefusal() {
        let cases = [
            ("GET /a HTTP/1.1\r\nX y\r\n\r\n", "GET /a HTTP/1.1"),
            ("GET /a b HTTP/1.1\r\n", "GET /a b HTTP/1.1"),
            ("\r\nGET /a\u{1b}[ HTTP/1.1\r\n", "GET /a"), ("G{} x\r\n", "G{} x"), ("\u{16}\u{3}", ""),
        ]
        for (text, expected) in cases {
            let bytes = Array(text.utf8)
            var parser = HTTP1HeadParser()
            var slots = [FieldSlot](repeating: .empty, count: 4)
            var head = RequestHead()
            #expect(throws: HTTPError.self) {
                var span = slots.mutableSpan
                _ = try parser.parse(
                    bytes.span.bytes, limits: HTTPLimits(), laxness: [], fields: &span, head: &head)
            }
            let line = parser.requestLineSoFar
            #expect(String(decoding: bytes[line.lower..<line.upper], as: UTF8.self) == expected)
        }
    }

    @Test func aHundredHeadersPassAndAHundredAndOneDoNot() throws {
        let hundred = "Host: a\r\n" + String(repeating: "X: y\r\n", count: 99)
        #expect(try parse("GET / HTTP/1.1\r\n\(hundred)\r\n")?.fieldCount == 100)
        #expect(throws: HTTPError.tooManyHeaders) {
            try parse("GET / HTTP/1.1\r\n\(hundred)X: y\r\n\r\n", slots: 200)
        }
    }

    @Test func rangesPointAtTheirText() throws {
        let text = "PATCH /p?q HTTP/1.0\r\nHost: h:1\r\nA:  b \r\n\r\n"
        let head = try #require(try parse(text))
        func piece(_ range: ByteRange) -> String {
            String(decoding: Array(text.utf8)[range.lower..<range.upper], as: UTF8.self)
        }
        #expect(piece(head.requestLine) == "PATCH /p?q HTTP/1.0")
        #expect(piece(head.methodName) == "PATCH")
        #expect(piece(head.target) == "/p?q")
        #expect(piece(head.authority) == "h:1")
        #expect(head.byteCount == text.utf8.count)
    }
}
