// SPDX-License-Identifier: MIT
// FutexLock - a four-byte mutual exclusion lock and a four-byte event, both usable inside pooled memory.
// Room: System. Spec: futex(2); the three states are those of Drepper, "Futexes Are Tricky", mutex 2.

internal import CSystem
internal import Synchronization

/// Ownership: lives inside the object it protects, at a fixed address.
/// Thread:    any.
struct FutexLock: ~Copyable {
    private let word = Atomic<UInt32>(0)  // 0 free, 1 held, 2 held and somebody waits

    @inline(__always)
    func lock() {
        if word.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged { return }
        lockSlowly()
    }

    /// False: somebody else holds it.
    func tryLock() -> Bool {
        word.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
    }

    @inline(never)
    private func lockSlowly() {
        while word.exchange(2, ordering: .acquiring) != 0 {
            withAddress(of: word) { _ = evy_futex_wait($0, 2, -1) }
        }
    }

    @inline(__always)
    func unlock() {
        if word.exchange(0, ordering: .releasing) == 2 {
            withAddress(of: word) { evy_futex_wake($0, 1) }
        }
    }
}

/// Something threads can wait for: read `ticket`, test the condition, `wait(since:)`; whoever changes the
/// condition calls `signal`. No wake is lost because a signal in between changes the ticket.
struct FutexEvent: ~Copyable {
    private let word = Atomic<UInt32>(0)
    private let waiters = Atomic<UInt32>(0)

    var ticket: UInt32 { word.load(ordering: .acquiring) }

    /// False when the time has passed. Negative nanoseconds: for ever.
    @discardableResult
    func wait(since ticket: UInt32, nanoseconds: Int64) -> Bool {
        waiters.wrappingAdd(1, ordering: .sequentiallyConsistent)
        var result: Int32 = 0
        withAddress(of: word) { result = evy_futex_wait($0, ticket, nanoseconds) }
        waiters.wrappingSubtract(1, ordering: .relaxed)
        return result != -ETIMEDOUT
    }

    @inline(__always)
    func signal() {
        word.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if waiters.load(ordering: .sequentiallyConsistent) != 0 { wake() }
    }

    /// Where any one of those who wait will do.
    @inline(__always)
    func signalOne() {
        word.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if waiters.load(ordering: .sequentiallyConsistent) != 0 {
            withAddress(of: word) { evy_futex_wake($0, 1) }
        }
    }

    @inline(never)
    private func wake() {
        withAddress(of: word) { evy_futex_wake($0, Int32.max) }
    }
}

/// SAFETY: the atomics above are stored properties of objects in malloc'd memory that never move, so the
/// address that the borrow shows is the address every other thread uses.
@inline(__always)
private func withAddress(of word: borrowing Atomic<UInt32>, _ body: (UnsafeRawPointer) -> Void) {
    withUnsafePointer(to: word) { body(UnsafeRawPointer($0)) }
}
