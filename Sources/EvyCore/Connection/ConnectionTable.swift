// SPDX-License-Identifier: MIT
// ConnectionTable - the connections of one loop in slabs, found by a small index, never moved.
// Room: Connection.

internal import Glibc

/// Ownership: owns the slabs. Thread: the holder of the loop.
struct ConnectionTable: ~Copyable {
    static let slabSize = 128

    private var slabs: UnsafeMutablePointer<ConnectionRef>?
    private(set) var capacity = 0
    /// Indices that are free, as a stack.
    private var free: UnsafeMutablePointer<UInt32>?
    private var freeCount = 0
    /// Indices there is memory for: grown by doubling, because small steps leave holes in the heap behind.
    private var freeRoom = 0
    private(set) var count = 0

    deinit {
        for index in 0..<(capacity / Self.slabSize) {
            guard let slab = slabs?[index] else { continue }
            slab.deinitialize(count: Self.slabSize)
            Glibc.free(slab)
        }
        Glibc.free(slabs)
        Glibc.free(free)
    }

    /// The connection in a place, used or not; nil beyond the end.
    @inline(__always)
    subscript(index: UInt32) -> ConnectionRef? {
        guard let slabs, Int(index) < capacity else { return nil }
        return slabs[Int(index) / Self.slabSize] + Int(index) % Self.slabSize
    }

    /// A free place; nil: out of memory.
    mutating func take() -> ConnectionRef? {
        guard freeCount > 0 || grow(), let free else { return nil }
        freeCount -= 1
        count += 1
        return self[free[freeCount]]
    }

    mutating func giveBack(_ connection: ConnectionRef) {
        guard let free else { return }
        free[freeCount] = connection.pointee.index
        freeCount += 1
        count -= 1
    }

    /// The slab comes last: what is got ahead of it is kept, and serves the next try.
    private mutating func grow() -> Bool {
        let slabCount = capacity / Self.slabSize
        guard capacity < 1 << 30,
            let list = realloc(slabs, (slabCount + 1) * MemoryLayout<ConnectionRef>.stride)
        else { return false }
        slabs = list.assumingMemoryBound(to: ConnectionRef.self)
        if capacity + Self.slabSize > freeRoom {
            let wanted = max(capacity + Self.slabSize, 2 * freeRoom)
            guard let room = realloc(free, wanted * MemoryLayout<UInt32>.stride) else { return false }
            free = room.assumingMemoryBound(to: UInt32.self)
            freeRoom = wanted
        }
        guard let slab = malloc(Self.slabSize * MemoryLayout<Connection>.stride) else { return false }
        let first = slab.bindMemory(to: Connection.self, capacity: Self.slabSize)
        for offset in 0..<Self.slabSize {
            (first + offset).initialize(to: Connection(index: UInt32(truncatingIfNeeded: capacity + offset)))
        }
        slabs?[slabCount] = first
        guard let indices = free else { return false }
        for offset in 0..<Self.slabSize {
            // The lowest index on top: few connections stay together.
            indices[freeCount + offset] = UInt32(truncatingIfNeeded: capacity + Self.slabSize - 1 - offset)
        }
        freeCount += Self.slabSize
        capacity += Self.slabSize
        return true
    }
}
