// SPDX-License-Identifier: MIT
// ReactorEvents - what the loop calls: events, deadlines, posts; and the drain that ends it.
// Room: Connection.

internal import CSystem
internal import Synchronization

struct ReactorClient: LoopClient {
    let reactor: ReactorRef

    @inline(__always)
    var holdsOn: Bool { reactor.pointee.worker.pointee.holdsHostLock }

    @inline(never)
    func letGo() { reactor.pointee.worker.giveHostLock(reactor.pointee.settings.hostLock) }

    @inline(__always)
    func turnBegan() {
        reactor.pointee.turnStartedAt = reactor.loop.pointee.now
        reactor.pointee.turn &+= 1
        reactor.pointee.readClock()
    }

    @inline(never)
    func isReady(_ token: UInt64, _ events: EventSet) -> Bool {
        if token & UnsafeMutablePointer<Reactor>.listenerToken != 0 {
            reactor.acceptWaiting(on: Int(truncatingIfNeeded: token & 0xffff))
            return true
        }
        guard let connection = reactor.pointee.table[UInt32(truncatingIfNeeded: token)],
            connection.pointee.descriptor >= 0,
            connection.pointee.token == token & ~UnsafeMutablePointer<Reactor>.tunnelToken
        else { return true }  // an event of a connection that was closed in this very turn
        if connection.pointee.tunnel != nil {
            let isHost = token & UnsafeMutablePointer<Reactor>.tunnelToken != 0
            return isHost ? reactor.hostReady(connection, events) : reactor.peerReady(connection, events)
        }
        if events.contains(.readable) || events.isDisjoint(with: [.error, .hangUp]) {
            if events.contains(.writable), !reactor.writable(connection) { return false }
            guard connection.pointee.descriptor >= 0, connection.pointee.token == token else { return true }
            if events.contains(.readable) { return reactor.readable(connection) }
            if events.contains(.peerClosed) { reactor.noticePeerClosed(connection) }
            return true
        }
        reactor.pointee.worker.pointee.connection = connection
        reactor.hungUp(connection, isReset: events.contains(.error))
        return true
    }

    @inline(never)
    func deadlinePassed(_ index: UInt32) -> Bool {
        switch index {
        case Reactor.drainIndex:
            reactor.closeListeners()
            reactor.cutAll(.shutdown)
            return true
        case Reactor.partingIndex:
            reactor.acceptRest()
            reactor.closeListeners()
            return true
        case Reactor.acceptIndex:
            if reactor.pointee.isDrainDelayed { reactor.endDrainDelay() } else { reactor.acceptAgain() }
            return true
        default:
            guard let connection = reactor.pointee.table[index] else { return true }
            reactor.pointee.worker.pointee.connection = connection
            return reactor.expire(connection)
        }
    }

    func woken() {
        if reactor.pointee.doorstep.waitingCount > 0 { reactor.letIn() }
        if reactor.pointee.isAskedToAccept.load(ordering: .acquiring) { reactor.acceptForOthers() }
    }

    func inboxFilled() -> Bool {
        let worker = reactor.pointee.worker
        worker.pointee.taken = reactor.loop.pointee.inbox.takeAll()
        while let current = worker.pointee.taken {
            let exchange = current.pointee.owner.assumingMemoryBound(to: Exchange.self)
            worker.pointee.taken = Inbox.release(current)
            // Lost: whoever holds the loop now put the rest back long ago (see adopt).
            if !reactor.attend(exchange) { return false }
        }
        return true
    }

    /// Functions of the host run like handlers: one that blocks loses the loop, and the rest goes on
    /// elsewhere.
    func tasksDue() -> Bool {
        let board = reactor.loop.pointee.board
        for _ in 0..<board.postedCount {
            guard let taken = board.takePosted() else { break }
            if !reactor.run(taken, of: board) { return false }
        }
        // Those that were due by now: one that starts another would else keep the loop for ever.
        let now = reactor.nowMilliseconds
        while let taken = board.takeTimer(now: now) {
            if !reactor.run(taken, of: board) { return false }
        }
        return true
    }

    func turnEnded() -> Bool {
        reactor.pointee.turnSent = 0
        let request = reactor.pointee.stopRequest.load(ordering: .acquiring)
        if request != 0 { reactor.drain(request) }
        if reactor.pointee.settings.observesAll { flushLogs() }
        reactor.countTurn()
        return true
    }

    @inline(never)
    private func flushLogs() { reactor.pointee.delegate.turnEnded() }
}

extension UnsafeMutablePointer<Reactor> {
    /// A reset, or both directions are shut.
    @inline(never)
    fileprivate func hungUp(_ connection: ConnectionRef, isReset: Bool) {
        if connection.pointee.flags.contains(.lingering) { return close(connection) }
        // The client of a unix socket may have gone with all of its body sent: what the host has no room for
        // yet stands in the socket. An answer that waits for room has none to come, and ends it all.
        if !isReset, !connection.pointee.interest.contains(.writable),
            connection.pointee.current?.pointee.bodyEnd == .open,
            SystemCalls.hasInput(connection.pointee.descriptor)
        {
            noticePeerClosed(connection)
            if connection.pointee.descriptor >= 0 { unwatch(connection) }
            return
        }
        let isClosed = !isReset || connection.pointee.flags.contains(.peerClosed)
        fail(connection, isClosed ? .clientClosed : .clientReset)
    }

    /// Sees to a stop request, each turn: the first begins the drain, a later one may shorten its grace.
    @inline(never)
    fileprivate func drain(_ request: Int64) {
        if !pointee.isDraining.exchange(true, ordering: .acquiringAndReleasing) {
            partListeners(isCut: request >= 2 && request - 2 <= nowMilliseconds)
            if pointee.settings.drainDelay > 0 {
                pointee.isDrainDelayed = true
                let end = nowMilliseconds + pointee.settings.drainDelay
                loop.pointee.deadlines.set(Reactor.acceptIndex, deadline: end)
            } else {
                closeIdle()
            }
        }
        guard request >= 2 else { return }
        let deadline = request - 2
        if deadline < loop.pointee.deadlines.deadline(of: Reactor.drainIndex) {
            loop.pointee.deadlines.set(Reactor.drainIndex, deadline: deadline)
        }
        if deadline <= nowMilliseconds {
            closeListeners()
            cutAll(.shutdown)
        }
    }

    /// Whoever has not asked by now is not waited for.
    fileprivate func endDrainDelay() {
        pointee.isDrainDelayed = false
        closeIdle()
    }

    /// Connections on which nothing happens are closed from now on.
    var closesIdle: Bool { pointee.isDraining.load(ordering: .relaxed) && !pointee.isDrainDelayed }

    /// Nothing is left to serve.
    var isFinished: Bool {
        pointee.isDraining.load(ordering: .relaxed) && pointee.isParted
            && pointee.table.count == Reactor.reservedCount
            && pointee.unfinished == 0 && pointee.delegate.mayEnd && pointee.doorstep.close()
    }

    /// The first holder: watches the listeners.
    func begin(_ worker: WorkerRef) {
        pointee.worker = worker
        while pointee.table.count < Reactor.reservedCount, pointee.table.take() != nil {}
        _ = loop.pointee.deadlines.reserve(pointee.table.capacity)
        if !pointee.isDraining.load(ordering: .relaxed) { watchListeners(true) }
    }

    /// The last holder leaves.
    func shut() {
        pointee.isClosed.store(true, ordering: .sequentiallyConsistent)
        loop.pointee.board.close()
        clearInbox()
    }
}
