// SPDX-License-Identifier: MIT
// AccessJSON - turns an AccessRecord into one JSON object on one line.
// Room: Server (pure). Spec: RFC 8259, RFC 3339 (time); option access_log_format "json".

extension AccessField {
    /// Local time has its place in formats for people; a line for programs has `time` alone.
    var isInJSON: Bool {
        switch self {
        case .dateTime, .tz, .timeLocal: return false
        default: return true
        }
    }
}

/// Every field under its own name: numbers as numbers, what is absent as null, always in the same order.
enum AccessJSON {
    static let fields = AccessField.allCases.filter(\.isInJSON)

    static func write(
        _ record: AccessRecord, _ fields: [AccessField], showsForwardedFor: Bool, into out: inout ByteBuffer
    ) {
        out.append(UInt8(ascii: "{"))
        for index in fields.indices {
            out.append(index == 0 ? "\"" : ",\"")
            out.append(fields[index].name)
            out.append("\":")
            write(record.value(of: fields[index], showsForwardedFor: showsForwardedFor), record, &out)
        }
        out.append(UInt8(ascii: "}"))
    }

    private static func write(_ value: AccessRecord.Value, _ record: AccessRecord, _ out: inout ByteBuffer) {
        switch value {
        case .absent, .dateTime, .zone, .timeLocal: out.append("null")
        case .number(let number): out.append(decimal: number)
        case .micros(let micros): AccessSpec().put(micros: micros, into: &out)
        case .text(let bytes):
            guard !bytes.isEmpty else { return out.append("null") }
            quote(&out) { JSONEscape.append(bytes, into: &$0) }
        case .fixed(let text): quote(&out) { $0.append(text) }
        case .forwardedClient:
            quote(&out) { out in
                var runs = ForwardedRuns(
                    forwarded: record.forwardedFor, client: record.clientIP, room: Int.max)
                while let run = runs.next() { JSONEscape.append(run, into: &out) }
            }
        case .utc:
            quote(&out) { UTCText.write(record.wallSeconds, into: $0.grow(by: UTCText.count)) }
        }
    }

    private static func quote(_ out: inout ByteBuffer, _ body: (inout ByteBuffer) -> Void) {
        out.append(UInt8(ascii: "\""))
        body(&out)
        out.append(UInt8(ascii: "\""))
    }
}

/// Bytes of anybody as the inside of a JSON string. What is no UTF-8 becomes U+FFFD; what could upset a
/// terminal or a reader of lines (controls, U+2028, U+2029) is escaped, all else stays as it is.
enum JSONEscape {
    static func append(_ bytes: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        var clean = 0
        var index = 0
        while index < bytes.count {
            let (length, scalar) = sequence(bytes, index)
            if !isPlain(scalar) {
                out.append(UnsafeRawBufferPointer(rebasing: bytes[clean..<index]))
                escape(scalar, &out)
                clean = index + length
            }
            index += length
        }
        out.append(UnsafeRawBufferPointer(rebasing: bytes[clean...]))
    }

    private static func isPlain(_ scalar: UInt32?) -> Bool {
        guard let scalar else { return false }
        switch scalar {
        case 0x22, 0x5c, 0x2028, 0x2029: return false
        default: return scalar >= 0x20 && !(0x7f...0x9f).contains(scalar)
        }
    }

    private static func escape(_ scalar: UInt32?, _ out: inout ByteBuffer) {
        switch scalar {
        case 0x22: out.append("\\\"")
        case 0x5c: out.append("\\\\")
        default:
            let code = scalar ?? 0xfffd
            out.append("\\u")
            for shift in stride(from: UInt32(12), through: 0, by: -4) {
                out.append(hex: UInt64(code >> shift & 15))
            }
        }
    }

    /// The sequence at `index`: its length, and its scalar or nil where it is not well-formed (Unicode table
    /// 3-7); then the length is that of the longest beginning of a well-formed one, at least 1.
    private static func sequence(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> (Int, UInt32?) {
        let first = bytes[index]
        let count: Int
        var second: ClosedRange<UInt8> = 0x80...0xbf
        switch first {
        case 0x00...0x7f: return (1, UInt32(first))
        case 0xc2...0xdf: count = 2
        case 0xe0...0xef:
            count = 3
            if first == 0xe0 { second = 0xa0...0xbf }
            if first == 0xed { second = 0x80...0x9f }
        case 0xf0...0xf4:
            count = 4
            if first == 0xf0 { second = 0x90...0xbf }
            if first == 0xf4 { second = 0x80...0x8f }
        default: return (1, nil)
        }
        var scalar = UInt32(first) & (count == 2 ? 0x1f : count == 3 ? 0x0f : 0x07)
        for offset in 1..<count {
            let allowed = offset == 1 ? second : 0x80...0xbf
            guard index + offset < bytes.count, allowed.contains(bytes[index + offset]) else {
                return (offset, nil)
            }
            scalar = scalar << 6 | UInt32(bytes[index + offset] & 0x3f)
        }
        return (count, scalar)
    }
}
