// SPDX-License-Identifier: MIT
// Locked - a value behind a lock, for objects that several threads share.
// Room: System.

internal import Synchronization

/// In the place of Synchronization's Mutex, which remembers the id of each thread: in a forked child that is
/// another thread's, and the first contended lock there ends the process.
///
/// Ownership: owns the value. Thread: any; the value is only touched under the lock.
final class Locked<Value: ~Copyable>: @unchecked Sendable {
    private let lock = FutexLock()
    private let value: UnsafeMutablePointer<Value>

    init(_ value: consuming Value) {
        self.value = .allocate(capacity: 1)
        self.value.initialize(to: value)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
    }

    func withLock<R>(_ body: (inout Value) -> R) -> R {
        lock.lock()
        defer { lock.unlock() }
        return body(&value.pointee)
    }

    /// nil: somebody else holds the lock.
    func withLockIfAvailable<R>(_ body: (inout Value) -> R) -> R? {
        guard lock.tryLock() else { return nil }
        defer { lock.unlock() }
        return body(&value.pointee)
    }
}
