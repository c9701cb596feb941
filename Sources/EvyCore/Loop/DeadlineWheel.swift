// SPDX-License-Identifier: MIT
// DeadlineWheel - one deadline for each connection: moving it later is a single store.
// Room: Loop (pure: time is an argument). Spec: Varghese and Lauck, hashed timing wheels.

internal import Glibc

/// A deadline that moves later stays where it is in the wheel and is put right when its old slot comes up, so
/// a kept-alive connection costs no list work at all. Accuracy: one tick late.
///
/// Ownership: owns its tables. Thread: the holder of the loop.
struct DeadlineWheel: ~Copyable {
    static let tickMilliseconds: Int64 = 64
    static let never = Int64.max
    private static let slotCount = 512  // 32 seconds; what lies beyond hops once in that time
    private static let none = UInt32.max

    private struct Entry {
        var deadline = DeadlineWheel.never
        var next = DeadlineWheel.none
        var previous = DeadlineWheel.none
        var slot = UInt16.max  // UInt16.max: in no list
    }

    private var entries: UnsafeMutablePointer<Entry>?
    private var capacity = 0
    /// Entries there is memory for: grown by doubling, because small steps leave holes in the heap behind.
    private var room = 0
    private let heads: UnsafeMutablePointer<UInt32>
    private let occupied: UnsafeMutablePointer<UInt64>  // a bit for each slot that is not empty
    private var tick: Int64
    private var linked = 0

    init(now: Int64) {
        tick = now / Self.tickMilliseconds
        heads = .allocate(capacity: Self.slotCount)
        heads.initialize(repeating: Self.none, count: Self.slotCount)
        occupied = .allocate(capacity: Self.slotCount / 64)
        occupied.initialize(repeating: 0, count: Self.slotCount / 64)
    }

    deinit {
        heads.deallocate()
        occupied.deallocate()
        free(entries)
    }

    /// Room for indices below `count`. False: out of memory.
    mutating func reserve(_ count: Int) -> Bool {
        guard count > capacity else { return true }
        if count > room {
            let wanted = max(count, 2 &* room)
            let bytes = wanted.multipliedReportingOverflow(by: MemoryLayout<Entry>.stride)
            guard !bytes.overflow, let grown = realloc(entries, bytes.partialValue) else { return false }
            entries = grown.assumingMemoryBound(to: Entry.self)
            room = wanted
        }
        guard let entries else { return false }
        (entries + capacity).initialize(repeating: Entry(), count: count - capacity)
        capacity = count
        return true
    }

    @inline(__always)
    mutating func set(_ index: UInt32, deadline: Int64) {
        guard let entries, Int(index) < capacity else { return }
        let entry = entries + Int(index)
        let earlier = deadline < entry.pointee.deadline
        entry.pointee.deadline = deadline
        if entry.pointee.slot == UInt16.max || earlier { relink(index) }
    }

    mutating func remove(_ index: UInt32) {
        guard let entries, Int(index) < capacity else { return }
        unlink(index)
        entries[Int(index)].deadline = Self.never
    }

    func deadline(of index: UInt32) -> Int64 {
        guard let entries, Int(index) < capacity else { return Self.never }
        return entries[Int(index)].deadline
    }

    /// Milliseconds until a slot with something in it comes up; -1 when there is none.
    func timeout(now: Int64) -> Int32 {
        guard linked > 0 else { return -1 }
        let ahead = Int64(slotsAhead())
        return Int32(clamping: max(0, (tick + ahead + 1) * Self.tickMilliseconds - now))
    }

    /// Distance from the current slot to the first one with something in it.
    private func slotsAhead() -> Int {
        let start = slot(of: tick)
        let words = Self.slotCount / 64
        for step in 0...words {
            let index = (start / 64 + step) % words
            var word = occupied[index]
            if step == 0 { word &= ~0 << UInt64(start % 64) }
            if word != 0 {
                return (index * 64 + word.trailingZeroBitCount - start) & (Self.slotCount - 1)
            }
        }
        return Self.slotCount - 1
    }

    /// The next index whose deadline has passed. Call until nil.
    mutating func popExpired(now: Int64) -> UInt32? {
        let current = now / Self.tickMilliseconds
        if linked == 0 { tick = max(tick, current) }
        guard let entries else { return nil }
        while tick < current {
            let head = heads[slot(of: tick)]
            if head == Self.none {
                tick += 1
                continue
            }
            unlink(head)
            if entries[Int(head)].deadline <= now {
                entries[Int(head)].deadline = Self.never
                return head
            }
            relink(head)
        }
        return nil
    }

    private func slot(of tick: Int64) -> Int { Int(truncatingIfNeeded: tick) & (Self.slotCount - 1) }

    private mutating func relink(_ index: UInt32) {
        guard let entries else { return }
        unlink(index)
        let deadline = entries[Int(index)].deadline
        guard deadline != Self.never else { return }
        // In the slot that ends after the deadline, and never in the one being emptied.
        let target = min(max(deadline / Self.tickMilliseconds, tick + 1), tick + Int64(Self.slotCount) - 1)
        let slot = slot(of: target)
        let head = heads[slot]
        entries[Int(index)].next = head
        entries[Int(index)].previous = Self.none
        entries[Int(index)].slot = UInt16(truncatingIfNeeded: slot)
        if head != Self.none { entries[Int(head)].previous = index }
        heads[slot] = index
        mark(slot, isOccupied: true)
        linked += 1
    }

    /// Written out: `|=` through a pointer's subscript is what ThreadSanitizer builds of Swift 6.3 cannot
    /// compile.
    private func mark(_ slot: Int, isOccupied: Bool) {
        let bit: UInt64 = 1 << UInt64(slot % 64)
        let word = occupied[slot / 64]
        occupied[slot / 64] = isOccupied ? word | bit : word & ~bit
    }

    private mutating func unlink(_ index: UInt32) {
        guard let entries else { return }
        let entry = entries[Int(index)]
        guard entry.slot != UInt16.max else { return }
        if entry.previous == Self.none {
            let slot = Int(entry.slot)
            heads[slot] = entry.next
            if entry.next == Self.none { mark(slot, isOccupied: false) }
        } else {
            entries[Int(entry.previous)].next = entry.next
        }
        if entry.next != Self.none { entries[Int(entry.next)].previous = entry.previous }
        entries[Int(index)].next = Self.none
        entries[Int(index)].previous = Self.none
        entries[Int(index)].slot = UInt16.max
        linked -= 1
    }
}
