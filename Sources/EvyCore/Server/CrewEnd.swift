// SPDX-License-Identifier: MIT
// CrewEnd - how many the threads of a server are, and how they end.
// Room: Server.

internal import Synchronization

extension Crew {
    // MARK: Figures

    /// Threads that serve, those of them in host code, and callbacks that wait for one.
    var census: (threads: Int, busy: Int, queued: Int) {
        gate.withLock {
            let isInline = reactor.map { Lease.isInHostCode($0.loop.pointee.lease.observed) } ?? false
            let busy = offLoop.load(ordering: .relaxed) + (isInline ? 1 : 0)
            return (members.count, min(busy, members.count), queue.count)
        }
    }

    // MARK: The end

    var hasEnded: Bool { gate.withLock { isOver } }
    var hasMembers: Bool { gate.withLock { liveCount > 0 || !members.isEmpty } }

    var isMember: Bool { gate.withLock { members.contains(Thread.current) } }

    /// Waits for the end of all threads. False: the moment (monotonic nanoseconds, nil: none) has passed.
    func join(until moment: Int64?) -> Bool {
        while true {
            let ticket = endEvent.pointee.ticket
            if gate.withLock({ isOver && liveCount == 0 && lentCount == 0 }) { break }
            let left = moment.map { $0 - Clock.monotonicNanoseconds } ?? -1
            if moment != nil, left <= 0 { return false }
            endEvent.pointee.wait(since: ticket, nanoseconds: left)
        }
        gate.lock()
        let joined = threads + retired + (watcher.map { [$0] } ?? [])
        threads = []
        retired = []
        watcher = nil
        server = nil
        gate.unlock()
        for thread in joined { thread.join() }
        return true
    }

    /// The handle was freed by one of our own threads.
    func abandon() {
        gate.withLock {
            for thread in threads + retired { thread.detach() }
            watcher?.detach()
            threads = []
            retired = []
            watcher = nil
            isAbandoned = true
        }
    }
}
