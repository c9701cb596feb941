// SPDX-License-Identifier: MIT
// ByteBufferTests - the queue keeps its bytes in order, whatever is appended and consumed.
// Room: tests.

import Testing

@testable import EvyCore

/// A copy of what is readable.
func text(_ buffer: borrowing ByteBuffer) -> String {
    String(decoding: buffer.readable, as: UTF8.self)
}

@Suite struct ByteBufferTests {
    @Test func aNewBufferOwnsNoMemory() {
        let buffer = ByteBuffer()
        #expect(buffer.count == 0)
        #expect(buffer.capacity == 0)
        #expect(buffer.readable.count == 0)
        #expect(MemoryLayout<ByteBuffer>.size <= 32)
    }

    @Test func everyKindOfAppendAppends() {
        var buffer = ByteBuffer()
        buffer.append(UInt8(ascii: "a"))
        buffer.append("bc")
        [UInt8]("de".utf8).withUnsafeBytes { buffer.append($0) }
        let span = [UInt8]("fg".utf8)
        buffer.append(span.span.bytes)
        #expect(text(buffer) == "abcdefg")
    }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 12345, UInt64.max])
    func decimalsAreWrittenWithoutLeadingZeros(_ number: UInt64) {
        var buffer = ByteBuffer()
        buffer.append(decimal: number)
        #expect(text(buffer) == String(number))
    }

    @Test(arguments: [0, -1, 7, Int64.min, Int64.max])
    func signedDecimalsAreWrittenWithTheirSign(_ number: Int64) {
        var buffer = ByteBuffer()
        buffer.append(decimal: number)
        #expect(text(buffer) == String(number))
    }

    @Test(arguments: [0, 1, 9, 10, 15, 16, 255, 256, 0xdead_beef, UInt64.max])
    func hexadecimalsAreLowerCaseWithoutLeadingZeros(_ number: UInt64) {
        var buffer = ByteBuffer()
        buffer.append(hex: number)
        #expect(text(buffer) == String(number, radix: 16))
    }

    @Test func consumingMoreThanThereIsEmptiesTheBuffer() {
        var buffer = ByteBuffer()
        buffer.append("abc")
        buffer.consume(1)
        #expect(text(buffer) == "bc")
        buffer.consume(-1)
        #expect(text(buffer) == "bc")
        buffer.consume(.max)
        #expect(buffer.count == 0)
    }

    @Test func aQueueThatIsConsumedDoesNotGrow() {
        var buffer = ByteBuffer()
        for round in 0..<10_000 {
            buffer.append("0123456789")
            #expect(text(buffer) == "0123456789", "round \(round)")
            buffer.consume(5)
            buffer.append("")
            buffer.consume(5)
        }
        #expect(buffer.capacity <= 128)
    }

    @Test func bytesSurviveGrowthAndMoves() {
        var buffer = ByteBuffer()
        var expected: [UInt8] = []
        var next: UInt8 = 0
        for round in 1...500 {
            for _ in 0..<(round * 7) % 61 {
                buffer.append(next)
                expected.append(next)
                next &+= 1
            }
            let drop = min((round * 5) % 47, expected.count)
            buffer.consume(drop)
            expected.removeFirst(drop)
            #expect(Array(buffer.readable) == expected)
        }
    }

    @Test func growLendsRoomForWriting() {
        var buffer = ByteBuffer()
        buffer.append("a")
        let room = buffer.grow(by: 2)
        #expect(room.count == 2)
        room[0] = UInt8(ascii: "b")
        room[1] = UInt8(ascii: "c")
        #expect(text(buffer) == "abc")
        #expect(buffer.grow(by: 0).count == 0)
        #expect(buffer.grow(by: -1).count == 0)
        #expect(text(buffer) == "abc")
    }

    @Test func truncateDropsFromTheEnd() {
        var buffer = ByteBuffer()
        buffer.append("abcdef")
        buffer.consume(1)
        buffer.truncate(to: 2)
        #expect(text(buffer) == "bc")
        buffer.truncate(to: 9)
        buffer.truncate(to: -1)
        #expect(text(buffer) == "bc")
    }

    @Test func clearKeepsASmallStorageAndFreesALargeOne() {
        var buffer = ByteBuffer()
        buffer.append("abc")
        buffer.clear(keepingCapacity: 1024)
        #expect(buffer.count == 0)
        #expect(buffer.capacity > 0)
        buffer.reserve(4096)
        buffer.clear(keepingCapacity: 1024)
        #expect(buffer.capacity == 0)
    }

    @Test func aSizeThatCannotBeFailsUntilClearedAndKeepsWhatWasThere() {
        var buffer = ByteBuffer()
        buffer.append("abc")
        buffer.reserve(.max)
        #expect(buffer.failed == true)
        buffer.append("def")
        buffer.append(UInt8(0))
        buffer.append(decimal: UInt64(12))
        #expect(buffer.grow(by: 1).count == 0)
        #expect(text(buffer) == "abc")
        buffer.consume(1)
        #expect(text(buffer) == "bc")
        buffer.clear(keepingCapacity: 1024)
        #expect(buffer.failed == false)
        #expect(buffer.count == 0)
        buffer.append("ghi")
        #expect(text(buffer) == "ghi")
    }

    @Test func withSpanLendsWhatIsReadable() {
        var buffer = ByteBuffer()
        buffer.append("abc")
        buffer.consume(1)
        let found = buffer.withSpan { span in [span.byte(0), span.byte(1), span.byte(2), span.byte(-1)] }
        #expect(found == [0x62, 0x63, 0, 0])
    }
}
