// SPDX-License-Identifier: MIT
// Lease - who holds the loop while host code runs, in one word: two atomic operations a callback.
// Room: Loop. Why: docs/architecture.md, "Threads".

internal import Synchronization

/// Even: the holder is in library code. Odd: it is in a callback of the host that may block. A monitor that
/// sees the same odd value too long steals the loop by making it even; the holder notices when it returns.
struct Lease: ~Copyable {
    private let word = Atomic<UInt64>(0)

    /// The holder goes into host code. Everything it wrote before is visible to who steals.
    @inline(__always)
    func enter() -> UInt64 {
        let ticket = word.load(ordering: .relaxed) &+ 1
        word.store(ticket, ordering: .releasing)
        return ticket
    }

    /// The holder is back. False: the loop has been taken away; nothing of it may be touched any more.
    @inline(__always)
    func leave(_ ticket: UInt64) -> Bool {
        word.compareExchange(expected: ticket, desired: ticket &+ 1, ordering: .acquiringAndReleasing)
            .exchanged
    }

    /// What a monitor compares from look to look.
    var observed: UInt64 { word.load(ordering: .sequentiallyConsistent) }

    static func isInHostCode(_ observed: UInt64) -> Bool { observed & 1 == 1 }

    /// True: the caller now decides who holds the loop.
    func steal(_ ticket: UInt64) -> Bool {
        Self.isInHostCode(ticket) && leave(ticket)
    }
}
