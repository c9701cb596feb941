// SPDX-License-Identifier: MIT
// HTTP1BodyReaderTests - what the conformance cases cannot say: offsets, ends and repeated calls.
// Room: tests.

import Testing

@testable import EvyCore

@Suite struct HTTP1BodyReaderTests {
    private let chunked = Array("3\r\nabc\r\n0\r\n\r\nGET".utf8)

    @Test func noBodyEndsAtOnce() throws {
        for framing in [BodyFraming.none, .length(0)] {
            var reader = HTTP1BodyReader(framing: framing, bodyBytesMax: 0)
            #expect(reader.isEnded)
            #expect(try reader.read(chunked.span.bytes, from: 2) == .end(next: 2))
        }
    }

    @Test func aLengthTakesItsBytesAndLeavesTheRest() throws {
        var reader = HTTP1BodyReader(framing: .length(5), bodyBytesMax: 0)
        #expect(
            try reader.read(chunked.span.bytes, from: chunked.count - 2)
                == .data(start: 14, count: 2, next: 16))
        #expect(try reader.read(chunked.span.bytes, from: 16) == .needMore(next: 16))
        #expect(!reader.isEnded)
        #expect(try reader.read(chunked.span.bytes, from: 0) == .data(start: 0, count: 3, next: 3))
        #expect(reader.isEnded)
        #expect(reader.received == 5)
        #expect(try reader.read(chunked.span.bytes, from: 3) == .end(next: 3))
        #expect(try reader.read(chunked.span.bytes, from: 3) == .end(next: 3))
    }

    @Test func chunksTellWhereTheirDataIs() throws {
        var reader = HTTP1BodyReader(framing: .chunked, bodyBytesMax: 0)
        #expect(try reader.read(chunked.span.bytes, from: 0) == .data(start: 3, count: 3, next: 6))
        #expect(reader.received == 3)
        #expect(try reader.read(chunked.span.bytes, from: 6) == .end(next: 13))
        #expect(reader.isEnded)
    }

    @Test func anErrorStaysAnError() throws {
        let bytes = Array("x3\r\nabc\r\n0\r\n\r\n".utf8)
        var reader = HTTP1BodyReader(framing: .chunked, bodyBytesMax: 0)
        for from in 0..<4 {
            #expect(throws: HTTPError.malformedChunkSize) { try reader.read(bytes.span.bytes, from: from) }
        }
        #expect(!reader.isEnded)
    }

    @Test func aLengthOverTheLimitIsRefusedWithoutAByte() {
        var reader = HTTP1BodyReader(framing: .length(11), bodyBytesMax: 10)
        #expect(throws: HTTPError.contentTooLarge) { try reader.read([UInt8]().span.bytes, from: 0) }
    }

    @Test(arguments: [-5, 99, Int.max, Int.min])
    func aPlaceOutsideTheBytesIsBroughtInside(_ from: Int) throws {
        var reader = HTTP1BodyReader(framing: .length(1000), bodyBytesMax: 0)
        switch try reader.read(chunked.span.bytes, from: from) {
        case .data(let start, let count, let next): #expect(start == 0 && count == 16 && next == 16)
        case .needMore(let next): #expect(next == 16)
        case .trailer, .end: Issue.record("ended")
        }
    }

    @Test func manySmallChunksAreFineButNotManyExtensions() throws {
        let plain = Array((String(repeating: "1\r\na\r\n", count: 70_000) + "0\r\n\r\n").utf8)
        #expect(try total(plain) == 70_000)
        let extended = Array((String(repeating: "1;x\r\na\r\n", count: 70_000) + "0\r\n\r\n").utf8)
        #expect(throws: HTTPError.chunkExtensionTooLarge) { try total(extended) }
    }

    private func total(_ bytes: [UInt8]) throws(HTTPError) -> Int {
        var reader = HTTP1BodyReader(framing: .chunked, bodyBytesMax: 0)
        var index = 0
        var total = 0
        while case .data(_, let count, let next) = try reader.read(bytes.span.bytes, from: index) {
            total += count
            index = next
        }
        return total
    }
}
