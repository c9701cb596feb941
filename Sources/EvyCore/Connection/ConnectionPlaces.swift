// SPDX-License-Identifier: MIT
// ConnectionPlaces - how many connections a loop may have, and who makes room for a newcomer.
// Room: Connection. Spec: docs/threat-model.md, "max_connections".

internal import Synchronization

/// A place that was found for whoever is accepted next.
struct Berth {
    /// The loop that has it.
    let home: ReactorRef
    /// Its place it is, until somebody came indeed.
    var victim: ConnectionRef?
}

extension UnsafeMutablePointer<Reactor> {
    private static var looksForIdle: UInt32 { 256 }

    // MARK: Any thread

    /// False: the limit is reached.
    @inline(__always)
    func takePlace() -> Bool {
        var count = pointee.placesTaken.load(ordering: .relaxed)
        while count < pointee.settings.connectionsMax {
            let result = pointee.placesTaken.compareExchange(
                expected: count, desired: count + 1, ordering: .relaxed)
            if result.exchanged { return true }
            count = result.original
        }
        return false
    }

    private func takePlaceBeyondLimit() { pointee.placesTaken.wrappingAdd(1, ordering: .relaxed) }
    private func freePlace() { pointee.placesTaken.wrappingSubtract(1, ordering: .relaxed) }

    /// Somebody waits whom another loop has no place for, and this one may not have heard of.
    func askToAccept() {
        if !pointee.isAskedToAccept.exchange(true, ordering: .acquiringAndReleasing) { wake() }
    }

    // MARK: The holder

    /// At the limit: a place in another loop, or that of an idle connection. nil: nobody waits for it, or
    /// whoever does is served when a connection ends or idles (see offerPlace).
    @inline(never)
    func findPlace(for listener: Listener) -> Berth? {
        let hasLooked = pointee.looksAgain
        pointee.looksAgain = false
        guard SystemCalls.hasNewcomer(listener.descriptor) else { return nil }
        let hasOthers = pointee.settings.sharesListeners
        if hasOthers, let other = pointee.delegate.loopWithPlace() { return Berth(home: other) }
        var isOwed = false
        if let victim = idleOne(&isOwed) {
            takePlaceBeyondLimit()
            return Berth(home: self, victim: victim)
        }
        pointee.isAcceptPaused = true
        if !hasLooked { pointee.counters.add(.acceptPauses) }
        watchListeners(false)
        // Nothing tells when the kernel has sent the last of an answer, nor of an idle one further on.
        pointee.looksAgain = isOwed || pointee.table.capacity > Int(Self.looksForIdle)
        if pointee.looksAgain { acceptAgainLater() }
        if hasOthers { pointee.delegate.askOthersToAccept() }
        return nil
    }

    /// Nobody came.
    func giveBack(_ berth: Berth) {
        berth.home.freePlace()
        // It may have thought itself full meanwhile.
        if berth.home != self {
            berth.home.pointee.isAskedToAccept.store(true, ordering: .releasing)
            berth.home.wake()
        }
    }

    /// Which loop accepts is chance: the newcomer goes to the one that has its place, or to one that has
    /// clearly fewer.
    func house(_ arrival: Doorstep.Arrival, in berth: Berth) {
        if let victim = berth.victim {
            evict(victim)
            return open(arrival)
        }
        var home = berth.home
        if home == self, pointee.settings.sharesListeners, let lighter = pointee.delegate.lighterLoop() {
            freePlace()
            home = lighter
        }
        if home == self { return open(arrival) }
        if home.pointee.doorstep.put(arrival) { return home.wake() }
        // It has ended. Nobody is turned away for that.
        takePlaceBeyondLimit()
        open(arrival)
    }

    /// The place of a connection that is no more.
    func leavePlace() {
        freePlace()
        if pointee.isAcceptPaused { offerPlace() }
    }

    /// Another loop has no place for somebody, and the kernel may have woken none but it for them. Watching
    /// anew tells.
    @inline(never)
    func acceptForOthers() {
        if pointee.isAcceptPaused {
            let hasPlace =
                pointee.placesTaken.load(ordering: .relaxed) < pointee.settings.connectionsMax
            if hasPlace { offerPlace() }
            return
        }
        pointee.isAskedToAccept.store(false, ordering: .relaxed)
        // Else accepting pauses for another reason, or is over.
        guard pointee.isAccepting else { return }
        watchListeners(false)
        watchListeners(true)
    }

    // MARK: Making room

    /// Of some connections looked at, the idle one that would expire first. `isOwed`: another was idle, but
    /// for an answer that is still on its way.
    private func idleOne(_ isOwed: inout Bool) -> ConnectionRef? {
        let capacity = UInt32(truncatingIfNeeded: pointee.table.capacity)
        guard capacity > 0 else { return nil }
        var found: ConnectionRef?
        var earliest = Int64.max
        var index = pointee.idlingIndex % capacity
        defer { pointee.idlingIndex = index }
        for _ in 0..<min(capacity, Self.looksForIdle) {
            if let connection = pointee.table[index], connection.pointee.descriptor >= 0,
                connection.pointee.isIdle, connection.pointee.requests > 0
            {
                let deadline = loop.pointee.deadlines.deadline(of: index)
                // A request that is already here is still answered, and an answer still sent.
                if found == nil || deadline < earliest,
                    !SystemCalls.hasInput(connection.pointee.descriptor)
                {
                    if isTaking(connection) {
                        isOwed = true
                    } else {
                        earliest = deadline
                        found = connection
                    }
                }
            }
            index = (index + 1) % capacity
        }
        return found
    }

    /// The kernel has yet to send what the client goes on to take, or has not refused for write_timeout.
    private func isTaking(_ connection: ConnectionRef) -> Bool {
        guard SystemCalls.hasUnsent(connection.pointee.descriptor) else { return false }
        let mark = SystemCalls.takenMark(connection.pointee.descriptor)
        if mark > connection.pointee.waitMark {
            connection.pointee.waitMark = mark
            connection.pointee.stalledSince = nowMilliseconds
        }
        let timeout = pointee.settings.writeTimeout
        return timeout < 0 || nowMilliseconds < connection.pointee.stalledSince &+ timeout
    }

    private func evict(_ victim: ConnectionRef) {
        pointee.counters.add(.connectionsEvicted)
        let isStalled = SystemCalls.hasUnsent(victim.pointee.descriptor)
        if isStalled { countTimeout(.write) } else { sayGoodbye(victim) }
        close(victim, hard: isStalled)
    }
}
