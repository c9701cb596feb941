// SPDX-License-Identifier: MIT
// ASCII - sorts single bytes into the classes of HTTP's grammar and compares without case.
// Room: Bytes (pure). Spec: RFC 5234 appendix B, RFC 9110 section 5.5-5.6.

internal import CSystem

enum ASCII {
    static let horizontalTab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0a
    static let carriageReturn: UInt8 = 0x0d
    static let space: UInt8 = 0x20
    static let colon: UInt8 = 0x3a

    /// tchar: what method names and field names are made of.
    @inline(__always)
    static func isTokenChar(_ byte: UInt8) -> Bool { evy_is_token(byte) != 0 }

    /// field-vchar, SP and HT: everything but control bytes; bytes from 0x80 on are opaque and allowed.
    @inline(__always)
    static func isFieldValueByte(_ byte: UInt8) -> Bool { evy_is_control(byte) == 0 }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

    /// OWS of RFC 9110 section 5.6.3.
    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == horizontalTab }

    /// 0...15, or 0xff for a byte that is no hexadecimal digit.
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt8 {
        let digit = byte &- 0x30
        if digit < 10 { return digit }
        let letter = (byte | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : 0xff
    }

    @inline(__always)
    static func isHexDigit(_ byte: UInt8) -> Bool { hexValue(byte) != 0xff }

    @inline(__always)
    static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    @inline(__always)
    static func uppercased(_ byte: UInt8) -> UInt8 { byte &- 0x61 < 26 ? byte & 0xdf : byte }

    /// Are bytes[range] the text, letters compared without case? `text` must be given in lower case.
    static func equalsIgnoringCase(_ bytes: RawSpan, _ range: ByteRange, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard Int(range.count) == count else { return false }
        return text.withUTF8Buffer { wanted in
            for index in 0..<count {
                // SAFETY: index < count, the length of the text.
                let expected = unsafe wanted[index]
                if lowercased(bytes.byte(range.lower &+ index)) != expected { return false }
            }
            return true
        }
    }

    /// bytes[range] without SP and HT at its ends.
    @inline(__always)
    static func trimmed(_ bytes: RawSpan, _ lower: Int, _ upper: Int) -> ByteRange {
        var first = lower
        var last = upper
        while first < last, isBlank(bytes.byte(first)) { first &+= 1 }
        while last > first, isBlank(bytes.byte(last &- 1)) { last &-= 1 }
        return ByteRange(first, last)
    }
}
