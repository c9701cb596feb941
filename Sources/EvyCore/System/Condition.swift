// SPDX-License-Identifier: MIT
// Condition - a mutex and a condition variable that always go together.
// Room: System. Spec: pthread_cond_timedwait(3), on the monotonic clock.

internal import CSystem
internal import Glibc

/// Ownership: owns both; at a fixed address of its own.
/// Thread:    any. wait must be called with the lock held.
final class Condition: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func withLock<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    func lock() { pthread_mutex_lock(mutex) }
    func unlock() { pthread_mutex_unlock(mutex) }
    func signal() { pthread_cond_signal(condition) }
    func broadcast() { pthread_cond_broadcast(condition) }

    /// False: the moment (monotonic nanoseconds) has passed. nil: for ever.
    @discardableResult
    func wait(until moment: Int64? = nil) -> Bool {
        guard let moment else {
            pthread_cond_wait(condition, mutex)
            return true
        }
        var time = evy_timespec(moment)
        return pthread_cond_timedwait(condition, mutex, &time) != ETIMEDOUT
    }
}
