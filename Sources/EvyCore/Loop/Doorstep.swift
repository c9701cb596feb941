// SPDX-License-Identifier: MIT
// Doorstep - connections that another loop of the server has accepted for this one.
// Room: Loop. Thread: any; the holder of the loop takes them in when it is woken.

internal import CSystem
internal import Synchronization

/// Ownership: part of its reactor; owns the descriptors that wait, until they are taken or it is closed.
struct Doorstep: ~Copyable {
    struct Arrival {
        let descriptor: Int32
        let peer: evy_address
        let listener: Int
    }

    /// First, and nobody else's: ThreadSanitizer books a change of any member as one of the first byte.
    private let anchor: UInt64 = 0
    fileprivate let lock = FutexLock()
    /// How many wait; read by other loops, and by the holder to see that nobody does.
    fileprivate let count = Atomic<Int>(0)
    fileprivate var waiting: [Arrival] = []
    fileprivate var isClosed = false
}

/// Reached through a pointer, because many threads hold it at once.
extension UnsafeMutablePointer<Doorstep> {
    var waitingCount: Int { pointee.count.load(ordering: .relaxed) }

    /// False: nobody will take it in, so the descriptor stays the caller's. Else the loop must be woken.
    func put(_ arrival: Doorstep.Arrival) -> Bool {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard !pointee.isClosed else { return false }
        pointee.waiting.append(arrival)
        pointee.count.store(pointee.waiting.count, ordering: .relaxed)
        return true
    }

    func takeAll() -> [Doorstep.Arrival] {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        let all = pointee.waiting
        pointee.waiting = []
        pointee.count.store(0, ordering: .relaxed)
        return all
    }

    /// False: somebody waits, and must be let in first.
    func close() -> Bool {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard pointee.waiting.isEmpty else { return false }
        pointee.isClosed = true
        return true
    }
}
