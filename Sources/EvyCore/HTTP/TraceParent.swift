// SPDX-License-Identifier: MIT
// TraceParent - turns a traceparent field value into the ids it carries, or into nothing.
// Room: HTTP (pure). Spec: W3C Trace Context, section 3.2 (2021).

/// Ranges within the value. Plain data.
struct TraceParent: Equatable {
    static let traceID = 3..<35
    static let parentID = 36..<52
    private static let version00Count = 55

    let isSampled: Bool

    /// Is this the name of the field? Names have no case.
    static func isName(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let name: StaticString = "traceparent"
        guard bytes.count == name.utf8CodeUnitCount else { return false }
        return ASCII.equalsIgnoringCase(bytes.bytes, ByteRange(0, bytes.count), name)
    }

    /// nil: not valid, and so to be ignored.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.version00Count,
            let version = Self.hexByte(bytes, 0), let flags = Self.hexByte(bytes, 53), version != 0xff,
            [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }),
            Self.isID(bytes, Self.traceID), Self.isID(bytes, Self.parentID)
        else { return nil }
        // Version 00 ends here; a later one may go on behind a further dash.
        if bytes.count > Self.version00Count {
            guard version > 0, bytes[Self.version00Count] == UInt8(ascii: "-") else { return nil }
        }
        isSampled = flags & 1 == 1
    }

    /// Lower-case digits alone, not all of them zero.
    private static func isID(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
        var isZero = true
        for index in range {
            guard digit(bytes[index]) != nil else { return false }
            if bytes[index] != UInt8(ascii: "0") { isZero = false }
        }
        return !isZero
    }

    private static func hexByte(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> UInt8? {
        guard let high = digit(bytes[index]), let low = digit(bytes[index + 1]) else { return nil }
        return high << 4 | low
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: return byte &- 0x30
        case 0x61...0x66: return byte &- 0x61 &+ 10
        default: return nil
        }
    }
}
