// SPDX-License-Identifier: MIT
// ScannerTests - every scan finds the same byte as a plain loop, at every length and place.
// Room: tests.

import Testing

@testable import EvyCore

@Suite struct ScannerTests {
    private static let tokenPunctuation = Set("!#$%&'*+-.^_`|~".utf8)

    private static func isToken(_ byte: UInt8) -> Bool {
        ASCII.isDigit(byte) || ASCII.isLetter(byte) || tokenPunctuation.contains(byte)
    }

    private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != 9 || byte == 0x7f }

    private static func isTargetStop(_ byte: UInt8) -> Bool {
        byte <= 0x20 || byte == 0x7f || "#%?".utf8.contains(byte)
    }

    private static func isHost(_ byte: UInt8) -> Bool {
        ASCII.isDigit(byte) || ASCII.isLetter(byte) || "-._~!$&'()*+,;=".utf8.contains(byte)
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        ASCII.isDigit(byte) || ASCII.isLetter(byte) || byte == 0x2d
    }

    @Test func theClassesOfBytesAreThoseOfTheGrammar() {
        for byte in UInt8.min...UInt8.max {
            #expect(ASCII.isTokenChar(byte) == Self.isToken(byte), "\(byte)")
            #expect(ASCII.isFieldValueByte(byte) == !Self.isControl(byte), "\(byte)")
            let scalar = Character(Unicode.Scalar(byte))
            #expect(ASCII.isHexDigit(byte) == (byte < 0x80 && scalar.isHexDigit), "\(byte)")
            if let value = scalar.hexDigitValue, byte < 0x80 { #expect(ASCII.hexValue(byte) == UInt8(value)) }
        }
    }

    @Test(arguments: [0, 1, 3, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65])
    func everyByteStopsEveryScanWhereAPlainLoopStops(_ count: Int) {
        for place in 0..<max(count, 1) {
            for byte in UInt8.min...UInt8.max {
                var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: count)
                if count > 0 { bytes[place] = byte }
                let from = min(place, count) / 2
                func expected(_ isStop: (UInt8) -> Bool) -> Int {
                    bytes[from...].firstIndex(where: isStop) ?? count
                }
                let span = bytes.span.bytes
                let found = [
                    Scanner.control(span, from, count), Scanner.tokenEnd(span, from, count),
                    Scanner.targetStop(span, from, count), Scanner.plainEnd(span, from, count),
                    Scanner.hostEnd(span, from, count),
                ]
                let wanted = [
                    expected(Self.isControl), expected { !Self.isToken($0) }, expected(Self.isTargetStop),
                    expected { !Self.isPlain($0) }, expected { !Self.isHost($0) },
                ]
                if found != wanted {
                    Issue.record("byte \(byte) at \(place) of \(count): \(found), not \(wanted)")
                }
            }
        }
    }

    @Test func aScanNeverLooksBehindItsEnd() {
        let bytes = [UInt8]("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r".utf8)
        for end in 0..<bytes.count {
            #expect(Scanner.control(bytes.span.bytes, 0, end) == end)
        }
        #expect(Scanner.control(bytes.span.bytes, 0, bytes.count + 5) == bytes.count - 1)
        #expect(Scanner.control(bytes.span.bytes, 9, 3) == 3)
        #expect(Scanner.control([UInt8]().span.bytes, 0, 0) == 0)
    }

    @Test func wordsOutsideTheBytesAreZero() {
        let bytes = [UInt8]("GET / HTTP".utf8)
        let span = bytes.span.bytes
        #expect(span.word64(0) == Word.of8("GET / HT"))
        #expect(span.word64(2) == Word.of8("T / HTTP"))
        #expect(span.word64(3) == 0)
        #expect(span.word64(-1) == 0)
        #expect(span.word32(6) == Word.of4("HTTP"))
        #expect(span.word32(7) == 0)
    }

    @Test func textIsComparedWithoutCase() {
        let bytes = [UInt8]("xChUnKeD".utf8)
        #expect(ASCII.equalsIgnoringCase(bytes.span.bytes, ByteRange(1, 8), "chunked") == true)
        #expect(ASCII.equalsIgnoringCase(bytes.span.bytes, ByteRange(0, 8), "chunked") == false)
        #expect(ASCII.equalsIgnoringCase(bytes.span.bytes, ByteRange(1, 7), "chunked") == false)
    }

    @Test func aRangeTurnedRoundIsEmpty() {
        #expect(ByteRange(5, 3).isEmpty)
        #expect(ByteRange(3, 5) == ByteRange(start: 3, count: 2))
        #expect(ByteRange(3, 5).end == 5)
    }
}
