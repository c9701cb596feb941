// SPDX-License-Identifier: MIT
// ByteRange - names a piece of somebody else's bytes by offset and count.
// Room: Bytes (pure).

/// 32 bits each: a head is bounded far below 4 GiB, and a table of slots stays in few cache lines.
struct ByteRange: Equatable, BitwiseCopyable {
    var start: UInt32
    var count: UInt32

    static var empty: ByteRange { ByteRange(start: 0, count: 0) }

    init(start: UInt32, count: UInt32) {
        self.start = start
        self.count = count
    }

    /// The bytes lower..<upper. A range turned round is empty.
    init(_ lower: Int, _ upper: Int) {
        start = UInt32(truncatingIfNeeded: lower)
        count = upper > lower ? UInt32(truncatingIfNeeded: upper &- lower) : 0
    }

    var end: UInt32 { start &+ count }
    var isEmpty: Bool { count == 0 }
    /// The same bounds as Int, ready for a loop.
    var lower: Int { Int(start) }
    var upper: Int { Int(start) &+ Int(count) }
}
