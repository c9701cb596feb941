// SPDX-License-Identifier: MIT
// Locked - a value behind a lock, for objects that several threads share.
// Room: Evy (the Swift face). Spec: pthread_mutex_lock(3).
internal import Glibc

/// In the place of Synchronization's Mutex, which remembers the id of each thread: in a forked child that is
/// another thread's, and the first contended lock there ends the process.
///
/// Ownership: owns the value. Thread: any; the value is only touched under the lock.
final class Locked<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    init(_ value: sending Value) {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        self.value = value
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&value)
    }
}
