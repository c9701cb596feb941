// SPDX-License-Identifier: MIT
// AccessText - turns one value of an access line into bytes: escaped, padded, cut, counted in decimals.
// Room: Server (pure). Spec: Python's % formatting with named fields; escapes as AccessFormat says.

/// Flags, width, precision and conversion of one %(field). Plain data.
struct AccessSpec {
    enum Conversion { case text, integer, float }

    struct Flags: OptionSet {
        var rawValue: UInt8
        static let left = Flags(rawValue: 1)
        static let zero = Flags(rawValue: 2)
        static let plus = Flags(rawValue: 4)
        static let space = Flags(rawValue: 8)

        init(rawValue: UInt8) { self.rawValue = rawValue }

        init?(_ byte: UInt8) {
            switch byte {
            case UInt8(ascii: "-"): self = .left
            case UInt8(ascii: "0"): self = .zero
            case UInt8(ascii: "+"): self = .plus
            case UInt8(ascii: " "): self = .space
            case UInt8(ascii: "#"): self = []  // means nothing to s, d and f
            default: return nil
            }
        }
    }

    var conversion = Conversion.text
    var flags: Flags = []
    var width: Int32 = 0
    /// -1: none given
    var precision: Int32 = -1

    // MARK: - Text

    /// For texts of our own: nothing to escape, never cut.
    func put(_ text: StaticString, into out: inout ByteBuffer) {
        padBefore(text.utf8CodeUnitCount, &out)
        out.append(text)
        padAfter(text.utf8CodeUnitCount, &out)
    }

    func put(_ bytes: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        let shown = precision < 0 ? bytes : UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(precision)))
        if width == 0 { return Escape.append(shown, into: &out) }
        let length = Escape.length(shown)
        padBefore(length, &out)
        Escape.append(shown, into: &out)
        padAfter(length, &out)
    }

    /// A clean text of known size, written by `fill`; straight into the buffer in the usual case.
    func put(count: Int, into out: inout ByteBuffer, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
        if width == 0 && precision < 0 { return fill(out.grow(by: count)) }
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { room in
            fill(room)
            put(UnsafeRawBufferPointer(room), into: &out)
        }
    }

    /// X-Forwarded-For with its spaces removed, a comma, and the address that really connected.
    func put(forwarded: UnsafeRawBufferPointer, client: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        let room = precision < 0 ? Int.max : Int(precision)
        let all = ForwardedRuns(forwarded: forwarded, client: client, room: room)
        var length = 0
        if width > 0 {
            var runs = all
            while let run = runs.next() { length &+= Escape.length(run) }
        }
        padBefore(length, &out)
        var runs = all
        while let run = runs.next() { Escape.append(run, into: &out) }
        padAfter(length, &out)
    }

    // MARK: - Numbers

    func put(_ number: Int64, into out: inout ByteBuffer) {
        if conversion == .float {
            // Whole: the decimals are zeros, whatever their number.
            return putNumber(isNegative: number < 0, number.magnitude, decimals: precisionOrSix, 0, &out)
        }
        if width == 0 && precision < 0 && flags.isEmpty { return out.append(decimal: number) }
        if conversion == .text && precision >= 0 {
            // "%.2s" cuts the digits as it cuts any text.
            var text = DecimalText(number)
            return text.withBytes { put($0, into: &out) }
        }
        putNumber(isNegative: number < 0, number.magnitude, decimals: -1, 0, &out)
    }

    /// Seconds with a fraction, from whole microseconds; not negative.
    func put(micros: Int64, into out: inout ByteBuffer) {
        let magnitude = UInt64(micros < 0 ? 0 : micros)
        if conversion == .integer {
            return putNumber(isNegative: false, magnitude / 1_000_000, decimals: -1, 0, &out)
        }
        let decimals = precisionOrSix
        // Rounded half to even, as Python prints it, to the decimals wanted when those are fewer than ours.
        let unit = decimals < 6 ? Self.powersOfTen(6 - decimals) : 1
        var (units, left) = magnitude.quotientAndRemainder(dividingBy: unit)
        if left * 2 > unit || (left * 2 == unit && units & 1 == 1) { units += 1 }
        let scale = 1_000_000 / unit
        putNumber(isNegative: false, units / scale, decimals: decimals, units % scale, &out)
    }

    private var precisionOrSix: Int { precision < 0 ? 6 : Int(precision) }

    private static func powersOfTen(_ exponent: Int) -> UInt64 {
        switch exponent {
        case 1: return 10
        case 2: return 100
        case 3: return 1000
        case 4: return 10_000
        case 5: return 100_000
        case 6: return 1_000_000
        default: return 1
        }
    }

    /// decimals -1: a whole number, whose precision is its least count of digits. `fraction` has
    /// min(decimals, 6) digits; zeros follow it.
    private func putNumber(
        isNegative: Bool, _ whole: UInt64, decimals: Int, _ fraction: UInt64, _ out: inout ByteBuffer
    ) {
        let digits = Self.digitCount(whole)
        let hasSign = isNegative || !flags.isDisjoint(with: [.plus, .space])
        var zeros = decimals < 0 && conversion == .integer ? max(0, Int(precision) - digits) : 0
        let tail = decimals > 0 ? 1 + decimals : 0
        let length = (hasSign ? 1 : 0) + zeros + digits + tail
        let padsWithZeros = flags.contains(.zero) && !flags.contains(.left) && conversion != .text
        if padsWithZeros { zeros += max(0, Int(width) - length) } else { padBefore(length, &out) }
        if isNegative {
            out.append(UInt8(ascii: "-"))
        } else if hasSign {
            out.append(flags.contains(.plus) ? UInt8(ascii: "+") : UInt8(ascii: " "))
        }
        Self.fill(zeros, UInt8(ascii: "0"), &out)
        out.append(decimal: whole)
        if decimals > 0 { putFraction(fraction, decimals, &out) }
        padAfter(length, &out)
    }

    private func putFraction(_ fraction: UInt64, _ decimals: Int, _ out: inout ByteBuffer) {
        let kept = min(decimals, 6)
        let room = out.grow(by: 1 + kept)
        if room.count == 1 + kept {
            var rest = fraction
            for index in stride(from: kept, through: 1, by: -1) {
                room[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            room[0] = UInt8(ascii: ".")
        }
        Self.fill(decimals - kept, UInt8(ascii: "0"), &out)
    }

    static func digitCount(_ number: UInt64) -> Int {
        var count = 1
        var rest = number / 10
        while rest != 0 {
            count += 1
            rest /= 10
        }
        return count
    }

    // MARK: - Padding

    private func padBefore(_ length: Int, _ out: inout ByteBuffer) {
        if width > 0 && !flags.contains(.left) { Self.fill(Int(width) - length, UInt8(ascii: " "), &out) }
    }

    private func padAfter(_ length: Int, _ out: inout ByteBuffer) {
        if width > 0 && flags.contains(.left) { Self.fill(Int(width) - length, UInt8(ascii: " "), &out) }
    }

    private static func fill(_ count: Int, _ byte: UInt8, _ out: inout ByteBuffer) {
        guard count > 0 else { return }
        let room = out.grow(by: count)
        for index in room.indices { room[index] = byte }
    }
}

/// The runs of X-Forwarded-For between its spaces, a comma, and the client; at most `room` bytes in all.
struct ForwardedRuns {
    private enum Part { case forwarded, comma, client, end }

    private var forwarded: UnsafeRawBufferPointer
    private let client: UnsafeRawBufferPointer
    private var room: Int
    private var part = Part.forwarded

    init(forwarded: UnsafeRawBufferPointer, client: UnsafeRawBufferPointer, room: Int) {
        self.forwarded = forwarded
        self.client = client
        self.room = room
    }

    /// nil at the end; a run may be empty.
    mutating func next() -> UnsafeRawBufferPointer? {
        switch part {
        case .forwarded:
            let end = forwarded.firstIndex(of: UInt8(ascii: " ")) ?? forwarded.count
            let run = UnsafeRawBufferPointer(rebasing: forwarded[..<end])
            if end == forwarded.count {
                part = .comma
            } else {
                forwarded = UnsafeRawBufferPointer(rebasing: forwarded[(end + 1)...])
            }
            return within(run)
        case .comma:
            part = .client
            let comma: StaticString = ","
            return within(UnsafeRawBufferPointer(start: comma.utf8Start, count: 1))
        case .client:
            part = .end
            return within(client)
        case .end:
            return nil
        }
    }

    private mutating func within(_ run: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let shown = UnsafeRawBufferPointer(rebasing: run.prefix(room))
        room -= shown.count
        return shown
    }
}

/// The bytes that could end a quoted field, a line or a terminal's patience, as \xNN (two lower-case digits).
enum Escape {
    static func append(_ bytes: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        var start = 0
        while start < bytes.count {
            let dirty = firstDirty(bytes, from: start)
            if dirty > start { out.append(UnsafeRawBufferPointer(rebasing: bytes[start..<dirty])) }
            start = dirty
            while start < bytes.count && isDirty(bytes[start]) { start += 1 }
            appendEscaped(UnsafeRawBufferPointer(rebasing: bytes[dirty..<start]), into: &out)
        }
    }

    private static func appendEscaped(_ bytes: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        let room = out.grow(by: bytes.count &* 4)
        guard room.count == bytes.count &* 4 else { return }  // also: none
        for index in bytes.indices {
            room[4 &* index] = UInt8(ascii: "\\")
            room[4 &* index &+ 1] = UInt8(ascii: "x")
            room[4 &* index &+ 2] = hexDigit(bytes[index] >> 4)
            room[4 &* index &+ 3] = hexDigit(bytes[index] & 15)
        }
    }

    /// How many bytes `append` adds.
    static func length(_ bytes: UnsafeRawBufferPointer) -> Int {
        var length = bytes.count
        var start = firstDirty(bytes, from: 0)
        while start < bytes.count {
            length += 3
            start = firstDirty(bytes, from: start + 1)
        }
        return length
    }

    /// Index of the first byte to escape, or the count. Eight bytes a step: each test sets the high bit of a
    /// byte that fails it; a borrow can only spoil bytes above a failing one, so the lowest bit set is true.
    private static func firstDirty(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highs: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while index + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let quote = word ^ (ones &* 0x22)
            let slash = word ^ (ones &* 0x5c)
            let delete = word ^ (ones &* 0x7f)
            let low = (word &- ones &* 0x20) & ~word
            let same = ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | ((delete &- ones) & ~delete)
            let found = (low | same | word) & highs
            if found != 0 { return index + found.trailingZeroBitCount >> 3 }
            index += 8
        }
        while index < bytes.count && !isDirty(bytes[index]) { index += 1 }
        return index
    }

    private static func isDirty(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte >= 0x7f || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ (value &- 10)
    }
}

/// The digits of one number, where they have to be cut like text.
struct DecimalText {
    private var room = InlineArray<20, UInt8>(repeating: UInt8(ascii: "0"))
    private var start = 20

    init(_ number: Int64) {
        var rest = number.magnitude
        repeat {
            start -= 1
            room[start] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest != 0
        if number < 0 {
            start -= 1
            room[start] = UInt8(ascii: "-")
        }
    }

    mutating func withBytes(_ body: (UnsafeRawBufferPointer) -> Void) {
        let from = start
        withUnsafeBytes(of: &room) { body(UnsafeRawBufferPointer(rebasing: $0[from..<20])) }
    }
}
