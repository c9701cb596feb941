// SPDX-License-Identifier: MIT
// ByteBuffer - a queue of bytes: grows at its end, is consumed from its front.
// Room: Bytes (pure, apart from the allocator).

internal import Glibc

/// Ownership: owns its storage, frees it in deinit; not copyable, so there is one owner.
/// Lifetime:  readable, withSpan and grow lend memory that is good until the next mutation.
/// Thread:    one at a time.
/// Errors:    an allocation that fails, or a size that overflows, sets `failed` until the buffer is cleared;
///            what was in it stays readable and later appends do nothing, so a caller may check at the end.
@safe struct ByteBuffer: ~Copyable {
    private var storage: UnsafeMutableRawPointer?
    private var start = 0
    private var end = 0
    /// Size of storage; complemented (negative) once the buffer has failed.
    private var sizeOrFailure = 0

    /// Below this an allocation is not worth its header.
    private static let capacityMin = 64
    /// From here on capacity grows by steps, not by doubling: a large body must not cost twice its size.
    private static let doublingMax = 16 << 20

    init() {
        unsafe storage = nil
    }

    deinit {
        unsafe free(storage)
    }

    var count: Int { end &- start }
    var isEmpty: Bool { end == start }
    var failed: Bool { sizeOrFailure < 0 }
    var capacity: Int { sizeOrFailure < 0 ? ~sizeOrFailure : sizeOrFailure }

    // MARK: Appending

    /// Makes room for `extra` more bytes, so that appending them allocates nothing.
    mutating func reserve(_ extra: Int) {
        _ = makeRoom(extra)
    }

    mutating func append(_ byte: UInt8) {
        guard makeRoom(1) else { return }
        // SAFETY: makeRoom left at least one byte behind end.
        unsafe storage?.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
        end &+= 1
    }

    /// Inlined, so that the copy of a literal becomes a few stores of known width.
    @inline(__always)
    mutating func append(_ text: StaticString) {
        // SAFETY: a StaticString's bytes live as long as the program.
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// `bytes` must not lie in this buffer.
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0, makeRoom(bytes.count),
            let storage = unsafe storage
        else { return }
        // SAFETY: makeRoom left bytes.count bytes behind end; source is elsewhere by contract.
        unsafe (storage + end).copyMemory(from: source, byteCount: bytes.count)
        end &+= bytes.count
    }

    mutating func append(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { buffer in unsafe append(buffer) }
    }

    mutating func append(decimal value: UInt64) {
        var digits = 1
        var bound: UInt64 = 10
        // 20 digits hold any value, and the bound of the 20th would overflow.
        while digits < 20, value >= bound {
            digits &+= 1
            bound &*= 10
        }
        appendDigits(value, count: digits, base: 10)
    }

    mutating func append(decimal value: Int64) {
        if value < 0 { append(0x2d) }
        append(decimal: value.magnitude)
    }

    /// Lower case, no leading zeros.
    mutating func append(hex value: UInt64) {
        let digits = max(1, (67 &- value.leadingZeroBitCount) >> 2)
        appendDigits(value, count: digits, base: 16)
    }

    /// Appends `byteCount` bytes of whatever was there and lends them for writing; empty on failure.
    mutating func grow(by byteCount: Int) -> UnsafeMutableRawBufferPointer {
        guard byteCount > 0, makeRoom(byteCount), let storage = unsafe storage else {
            return unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        let first = end
        end &+= byteCount
        return unsafe UnsafeMutableRawBufferPointer(start: storage + first, count: byteCount)
    }

    // MARK: Reading and consuming

    /// The bytes in the queue, valid until the next mutation.
    var readable: UnsafeRawBufferPointer {
        guard let storage = unsafe storage else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        // SAFETY: 0 <= start <= end <= capacity.
        return unsafe UnsafeRawBufferPointer(start: storage + start, count: end &- start)
    }

    func withSpan<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        // SAFETY: readable is valid for the call, and a RawSpan cannot escape it.
        try unsafe body(readable.bytes)
    }

    /// Drops bytes from the front; asking for more than there is empties the buffer.
    mutating func consume(_ byteCount: Int) {
        guard byteCount > 0 else { return }
        start = byteCount < end &- start ? start &+ byteCount : end
        if start == end {
            start = 0
            end = 0
        }
    }

    /// Drops bytes from the end until `byteCount` are left.
    mutating func truncate(to byteCount: Int) {
        guard byteCount >= 0, byteCount < count else { return }
        end = start &+ byteCount
    }

    /// Empties the buffer, and gives its storage back when that is larger than `limit`. A failure is over.
    mutating func clear(keepingCapacity limit: Int) {
        start = 0
        end = 0
        sizeOrFailure = capacity
        guard capacity > limit else { return }
        unsafe free(storage)
        unsafe storage = nil
        sizeOrFailure = 0
    }

    // MARK: Inside

    /// Inlined, so that the base is a constant and nothing is divided by it.
    @inline(__always)
    private mutating func appendDigits(_ value: UInt64, count: Int, base: UInt64) {
        let room = unsafe grow(by: count)
        guard room.count == count else { return }
        var rest = value
        for index in stride(from: count &- 1, through: 0, by: -1) {
            let digit = UInt8(truncatingIfNeeded: rest % base)
            // SAFETY: 0 <= index < count, the size of the room.
            unsafe room[index] = digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
            rest /= base
        }
    }

    @inline(__always)
    private mutating func makeRoom(_ extra: Int) -> Bool {
        // A failed buffer has a negative size, so it never passes this test.
        if extra <= sizeOrFailure &- end { return extra >= 0 }
        return makeRoomSlowly(extra)
    }

    @inline(never)
    private mutating func makeRoomSlowly(_ extra: Int) -> Bool {
        guard extra > 0, !failed else { return !failed && extra == 0 }
        let held = end &- start
        let (needed, overflow) = held.addingReportingOverflow(extra)
        guard !overflow, needed <= Int.max / 2 else { return fail() }
        // Moving down is cheaper than growing as long as what is moved is at most what was consumed.
        if needed <= capacity, held <= start, let storage = unsafe storage {
            unsafe storage.copyMemory(from: storage + start, byteCount: held)
            start = 0
            end = held
            return true
        }
        let grown = capacity < Self.doublingMax ? capacity &* 2 : capacity &+ Self.doublingMax
        let size = max(needed, grown, Self.capacityMin)
        guard let fresh = unsafe malloc(size) else { return fail() }
        if let storage = unsafe storage {
            // SAFETY: held <= needed <= size, and the two allocations are distinct.
            unsafe fresh.copyMemory(from: storage + start, byteCount: held)
            unsafe free(storage)
        }
        unsafe storage = fresh
        start = 0
        end = held
        sizeOrFailure = size
        return true
    }

    private mutating func fail() -> Bool {
        sizeOrFailure = ~capacity
        return false
    }
}

extension UnsafeRawBufferPointer {
    func equals(_ text: StaticString) -> Bool {
        unsafe equals(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func equals(_ other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count, let mine = baseAddress, let theirs = other.baseAddress else {
            return count == other.count
        }
        // SAFETY: both have count bytes.
        return unsafe memcmp(mine, theirs, count) == 0
    }
}

extension StaticString {
    /// SAFETY: literals are NUL-terminated and live as long as the program.
    var cString: UnsafePointer<CChar> {
        unsafe UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
