// SPDX-License-Identifier: MIT
// CrewWatch - takes the loop from host code that blocks, and looks after requests that wait for a thread.
// Room: Server. Why: docs/architecture.md, "Threads".

internal import Synchronization

/// For the log.
enum ThreadNews {
    case met
    case ended(Int64)

    var text: String {
        switch self {
        case .met: return "cannot start a thread; requests share those there are"
        case .ended(let milliseconds): return "threads can be started again after \(milliseconds) ms"
        }
    }
}

extension Crew {
    static let lookNanoseconds: Int64 = 2_000_000
    private static let looksBeforeSleep = 100
    /// Where no handler has blocked for so many looks, the watcher looks at every fourth time only: its
    /// wake-ups were 1.6 % of the processor time of a busy server.
    private static let looksBeforeCalm = 500

    /// Samples the lease every two milliseconds while host code runs, every eight where it never blocks;
    /// sleeps when the server is idle.
    func watch(_ server: Server) {
        guard let reactor else { return }
        var seen = reactor.loop.pointee.lease.observed
        var looks = 0
        var calmLooks = 0
        while true {
            // Before the look at isOver: a signal in between must end the wait below.
            let ticket = watchEvent.pointee.ticket
            guard let mustStayAwake = lookAfterQueue(server) else { return }
            let now = reactor.loop.pointee.lease.observed
            if now != seen {
                seen = now
                looks = 0
            } else {
                looks += 1
            }
            if looks >= 1, Lease.isInHostCode(now) {
                // From here on the ticket is the next one, won or lost.
                if gate.withLock({ takeLoop(from: nil, ticket: now) }) {
                    reactor.loop.pointee.habit.noteStolen()
                }
                calmLooks = 0
            } else if looks >= Self.looksBeforeSleep, !mustStayAwake {
                guard reactor.pointee.isUnwatched.load(ordering: .relaxed) else {
                    reactor.pointee.isUnwatched.store(true, ordering: .sequentiallyConsistent)
                    watchEvent.pointee.wait(since: ticket, nanoseconds: Self.lookNanoseconds)
                    continue
                }
                // Since a whole look ago everybody who goes into host code sees the flag and signals.
                watchEvent.pointee.wait(since: ticket, nanoseconds: -1)
                looks = 0
                continue
            }
            calmLooks = min(calmLooks + 1, Self.looksBeforeCalm)
            let isCalm = calmLooks == Self.looksBeforeCalm && !mustStayAwake
            watchEvent.pointee.wait(since: ticket, nanoseconds: Self.lookNanoseconds * (isCalm ? 4 : 1))
        }
    }

    /// Requests get the threads that could not be had for them before, and the log what was seen meanwhile.
    /// Must the watcher look again? nil: it is over.
    private func lookAfterQueue(_ server: Server) -> Bool? {
        gate.lock()
        let isDone = isOver || isCalledOff
        let waits =
            !queue.isEmpty && offLoop.load(ordering: .relaxed) < slots.load(ordering: .relaxed)
            && idleCount == 0
        if waits, !isDone { _ = secureSpare() }
        noteShort()
        let mustLookAgain = waits || couldUseMore && server.isAskedForShort
        let lines = news
        news = []
        gate.unlock()
        // Outside the lock: the log may be the host's, who may ask for figures. And not by way of the loop,
        // which is not this thread's: it would give back a lock of the host's that another one holds.
        for line in lines { server.log(.warn, line.text) }
        return isDone ? nil : mustLookAgain
    }

    /// Lock held. Steals the loop and offers it to a spare.
    func takeLoop(from worker: WorkerRef?, ticket: UInt64) -> Bool {
        guard let reactor, !isLeaderless, !isForked, reactor.loop.pointee.lease.observed == ticket else {
            return false
        }
        // A thread first: a loop without a holder would stand still until host code returns, which may be
        // waiting for that very loop. One too many idles for a while.
        // Without the loop its worker field may not be read; with it, nobody else writes it.
        guard secureSpare(), reactor.loop.pointee.lease.steal(ticket) else { return false }
        offLoop.wrappingAdd(1, ordering: .relaxed)
        isLeaderless = true
        victim = worker ?? reactor.pointee.worker
        return true
    }
}
