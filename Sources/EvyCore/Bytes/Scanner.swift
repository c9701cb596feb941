// SPDX-License-Identifier: MIT
// Scanner - looks at lent bytes: one, a word, or as many as a class of bytes goes on.
// Room: Bytes (pure).

internal import CSystem

/// Reading outside the span gives NUL, which no grammar of ours accepts anywhere: a wrong offset ends in a
/// refusal, never in a trap that would take the host program down, and never in foreign memory.
extension RawSpan {
    @inline(__always)
    func byte(_ index: Int) -> UInt8 {
        guard index >= 0, index < byteCount else { return 0 }
        // SAFETY: 0 <= index < byteCount.
        return unsafe unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
    }

    /// Eight bytes, the first in the lowest bits on every machine.
    @inline(__always)
    func word64(_ index: Int) -> UInt64 {
        guard index >= 0, index <= byteCount &- 8 else { return 0 }
        // SAFETY: 0 <= index and index + 8 <= byteCount.
        return UInt64(
            littleEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
    }

    @inline(__always)
    func word32(_ index: Int) -> UInt32 {
        guard index >= 0, index <= byteCount &- 4 else { return 0 }
        // SAFETY: 0 <= index and index + 4 <= byteCount.
        return UInt32(
            littleEndian: unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt32.self))
    }
}

/// Each function looks at bytes[from..<to] and returns the offset of the first byte that stops it, or `to`.
enum Scanner {
    /// First control byte other than HT: the end of the line, or a byte that must be refused.
    @inline(__always)
    static func control(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Int {
        unsafe scan(bytes, from, to) { base, from, to in unsafe evy_scan_control(base, from, to) }
    }

    /// First byte that is no tchar.
    @inline(__always)
    static func tokenEnd(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Int {
        unsafe scan(bytes, from, to) { base, from, to in unsafe evy_scan_token(base, from, to) }
    }

    /// First byte that is not a letter, a digit or '-': the end of nearly every name.
    @inline(__always)
    static func plainEnd(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Int {
        unsafe scan(bytes, from, to) { base, from, to in unsafe evy_scan_plain(base, from, to) }
    }

    /// First byte at which a request target ends, is refused, or has a part beginning: SP, CTL, # % ?.
    @inline(__always)
    static func targetStop(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Int {
        unsafe scan(bytes, from, to) { base, from, to in unsafe evy_scan_target(base, from, to) }
    }

    /// First byte that is neither unreserved nor a sub-delim: the end of a registered name, or a percent
    /// sign.
    @inline(__always)
    static func hostEnd(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Int {
        unsafe scan(bytes, from, to) { base, from, to in unsafe evy_scan_host(base, from, to) }
    }

    /// The number, up to 65535, whose digits these bytes are; 0 for none at all, -1 for anything else.
    @inline(__always)
    static func portNumber(_ bytes: RawSpan, _ from: Int, _ to: Int) -> Int {
        guard from < to else { return 0 }
        guard from >= 0, to <= bytes.byteCount else { return -1 }
        return unsafe scan(bytes, from, to) { base, from, to in
            Int(unsafe evy_port_number(base, from, to))
        }
    }

    @inline(__always)
    private static func scan(
        _ bytes: RawSpan, _ from: Int, _ to: Int,
        _ body: (UnsafePointer<UInt8>, Int, Int) -> Int
    ) -> Int {
        let upper = min(to, bytes.byteCount)
        guard from >= 0, from < upper else { return to }
        return unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return to }
            // SAFETY: 0 <= from < upper <= count of the buffer, and the C side stays inside 0..<upper.
            return unsafe body(base.assumingMemoryBound(to: UInt8.self), from, upper)
        }
    }
}

/// Short texts as words, to be compared with word64 and word32 in one instruction.
enum Word {
    /// The first eight (or four) bytes of `text`; the compiler folds this into a constant.
    @inline(__always)
    static func of8(_ text: StaticString) -> UInt64 {
        guard text.utf8CodeUnitCount >= 8 else { return 0 }
        // SAFETY: the text has at least eight bytes.
        return UInt64(littleEndian: unsafe UnsafeRawPointer(text.utf8Start).loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    static func of4(_ text: StaticString) -> UInt32 {
        guard text.utf8CodeUnitCount >= 4 else { return 0 }
        // SAFETY: the text has at least four bytes.
        return UInt32(littleEndian: unsafe UnsafeRawPointer(text.utf8Start).loadUnaligned(as: UInt32.self))
    }
}
