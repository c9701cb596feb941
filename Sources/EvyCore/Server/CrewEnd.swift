// SPDX-License-Identifier: MIT
// CrewEnd - how many the threads of a server are, and how they end.
// Room: Server.

internal import Synchronization

/// Idle threads are woken in turn, so where there is always work none of them idles for long, however many a
/// rush has left behind. What counts is how few of them idled at the busiest moment of a while.
struct IdleThreads {
    private var fewest = Int.max
    private var whileEnds = Int64.min
    private var surplus = 0

    /// One of them got work, or gave up; so many idle on.
    mutating func note(others: Int) { fewest = min(fewest, others) }

    mutating func noteGone() { surplus -= 1 }

    /// Are they too many? One is kept for the loop. Clock: monotonic.
    mutating func hasSurplus(now: Int64) -> Bool {
        if now >= whileEnds {
            surplus = whileEnds == .min || fewest == .max ? 0 : max(0, fewest - 1)
            fewest = .max
            whileEnds = now + Crew.idleNanoseconds
        }
        return surplus > 0
    }
}

extension Crew {
    // MARK: Figures

    /// Does the holder run a callback right now?
    var isInHostCode: Bool {
        reactor.map { Lease.isInHostCode($0.loop.pointee.lease.observed) } ?? false
    }

    /// Threads that serve, those of them in host code, and callbacks that wait for one.
    var census: (threads: Int, busy: Int, queued: Int) {
        gate.withLock {
            let busy = offLoop.load(ordering: .relaxed) + waitingCount + (isInHostCode ? 1 : 0)
            return (members.count, min(busy, members.count), queue.count)
        }
    }

    // MARK: The end

    private var hasEmptied: Bool { gate.withLock { isOver && liveCount == 0 && lentCount == 0 } }
    var hasEnded: Bool { gate.withLock { isOver } }
    var hasMembers: Bool { gate.withLock { liveCount > 0 || !members.isEmpty } }

    var isMember: Bool { gate.withLock { members.contains(Thread.current) } }

    /// Who waits for the end may have to bring it about.
    func noteStop() { endEvent.pointee.signal() }

    /// A stop was asked for, and none of the threads that the host was to lend is there to see to it.
    private var isDeserted: Bool {
        gate.withLock {
            guard let reactor, !makesThreads, !isOver, lentCount == 0, members.isEmpty else { return false }
            return reactor.pointee.stopRequest.load(ordering: .relaxed) != 0
        }
    }

    /// Waits for the end of all threads. False: the moment (monotonic nanoseconds, nil: none) has passed.
    func join(until moment: Int64?) -> Bool {
        while true {
            let ticket = endEvent.pointee.ticket
            if hasEmptied { break }
            // Its time is not the caller's to choose, so not where there is a limit to it.
            if moment == nil, isDeserted, lend() { continue }
            let left = moment.map { $0 - Clock.monotonicNanoseconds } ?? -1
            if moment != nil, left <= 0 { return false }
            endEvent.pointee.wait(since: ticket, nanoseconds: left)
        }
        gate.lock()
        let joined = threads + retired + (watcher.map { [$0] } ?? [])
        (threads, retired, watcher, server) = ([], [], nil, nil)
        gate.unlock()
        for thread in joined { thread.join() }
        return true
    }

    /// The handle was freed by one of our own threads.
    func abandon() {
        let released = gate.withLock {
            for thread in threads + retired { thread.detach() }
            watcher?.detach()
            (threads, retired, watcher) = ([], [], nil)
            isAbandoned = true
            // Only lent threads would have served this loop, and none came. One that is on its way ends it.
            if members.isEmpty, liveCount == 0 { isOver = true }
            return releaseServer()
        }
        watchEvent.pointee.signal()
        withExtendedLifetime(released) {}
    }
}
