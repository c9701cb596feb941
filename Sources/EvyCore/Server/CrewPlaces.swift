// SPDX-License-Identifier: MIT
// CrewPlaces - how many callbacks may run beside the loop, and who does not count among them.
// Room: Server. Why: docs/decisions/0008-places.md.

internal import Synchronization

/// A callback that waits for its client needs no processor, and its client may let it wait for as long as the
/// deadlines allow. It gives its place among `limit` to another callback, and takes one again, beyond the
/// limit for a while if need be, when it goes on.
extension Crew {
    /// The calling thread is about to wait, in a callback and without the loop. False: its place stays taken;
    /// else `takePlace` is due.
    func givePlace() -> Bool {
        guard limit > 1 else { return false }
        gate.lock()
        defer { gate.unlock() }
        guard waitingCount < waitingLimit, members.contains(Thread.current) else { return false }
        waitingCount += 1
        offLoop.wrappingSubtract(1, ordering: .relaxed)
        countSlots()
        if !queue.isEmpty { _ = secureSpare() }
        askForReplacement()
        return true
    }

    func takePlace() {
        gate.lock()
        waitingCount -= 1
        offLoop.wrappingAdd(1, ordering: .relaxed)
        countSlots()
        gate.unlock()
    }

    /// Lock held. Lent threads are as many as there are, and one of them has to hold the loop. One that is on
    /// its way here could not take the loop from a handler yet, and does not count.
    func countSlots() {
        guard !makesThreads else { return }
        let free = members.count - waitingCount - 1
        slots.store(min(limit, max(waitingCount > 0 ? 0 : 1, free)), ordering: .relaxed)
    }

    // MARK: More lent threads

    /// Lock held. Callbacks wait that might run, were there a thread for them. Never more than all that may
    /// run or wait, one for the loop and a spare: on a busy machine those there are may just not have got a
    /// processor yet.
    var couldUseMore: Bool {
        guard !makesThreads, lentCount < limit + waitingCount + 2 else { return false }
        return !queue.isEmpty && offLoop.load(ordering: .relaxed) < limit
    }

    /// How much a thread is wanted here. 2: it was asked for; 1: there would be work for it.
    var need: Int {
        gate.withLock { couldUseMore ? (askedCount > 0 ? 2 : 1) : 0 }
    }

    /// Lock held. Handlers that wait for their clients keep threads that others want now: no look has to
    /// confirm it. Those that idle, or were asked for and are on their way, will take one request each.
    private var lacksReplacement: Bool {
        waitingCount > 0 && couldUseMore && idleCount + askedCount < queue.count
            && lentCount + askedCount <= limit + waitingCount
    }

    /// Lock held.
    func askForReplacement() {
        if !lacksReplacement {
            if couldUseMore { wakeSleepingWatcher() }
        } else if server?.isAskedForShort == true {
            server?.noteShort()
        }
    }

    /// It may have gone to sleep while nobody asked, or nobody could be asked for.
    private func wakeSleepingWatcher() {
        if reactor?.pointee.isUnwatched.load(ordering: .relaxed) == true { wakeWatcher() }
    }

    /// Lock held. At the second look in a row the host is asked for a thread.
    func noteShort() {
        shortLooks = couldUseMore ? shortLooks + 1 : 0
        if shortLooks == 2 { server?.noteShort() }
    }

    /// Answered once for each thread that is wanted.
    func isShort() -> Bool {
        gate.withLock {
            guard couldUseMore else { return false }
            if shortLooks >= 2 {
                // One more, or instead of one that has not come.
                askedCount = max(1, askedCount)
            } else if lacksReplacement {
                askedCount += 1
            } else {
                wakeSleepingWatcher()
                return false
            }
            shortLooks = 0
            return true
        }
    }
}
