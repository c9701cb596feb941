// SPDX-License-Identifier: MIT
// ForkGate - a lock of what survives a fork: a child finds it open, whoever held it in the parent.
// Room: System. Spec: pthread_atfork(3), pthread_mutex_init(3).

internal import CSystem
internal import Glibc
internal import Synchronization

/// For objects that parent and child both go on with (rule R8). The thread that held it at the fork does not
/// exist in the child, so there it is made anew when it is first used. What it guards must be right at any
/// moment of a change: work on a copy, and put it in place at the end.
///
/// Thread: any.
final class ForkGate: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    /// Of the process that it was made or renewed in; marked while a thread of that process sees to it.
    private let generation: Atomic<UInt32>

    init() {
        ForkWatch.begin()
        generation = Atomic(ForkWatch.generation)
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        lock()
        defer { unlock() }
        return try body()
    }

    func lock() {
        if generation.load(ordering: .acquiring) != ForkWatch.generation { renew() }
        pthread_mutex_lock(mutex)
    }

    func unlock() { pthread_mutex_unlock(mutex) }

    private func renew() {
        let wanted = ForkWatch.generation
        let marked = wanted | 1 << 31
        while true {
            let seen = generation.load(ordering: .acquiring)
            if seen == wanted { return }
            // Another mark is of a parent that forked in the midst of this.
            if seen != marked,
                generation.compareExchange(
                    expected: seen, desired: marked, ordering: .acquiringAndReleasing
                ).exchanged
            {
                pthread_mutex_init(mutex, nil)
                return generation.store(wanted, ordering: .releasing)
            }
            sched_yield()
        }
    }
}
