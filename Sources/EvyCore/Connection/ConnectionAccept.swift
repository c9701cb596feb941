// SPDX-License-Identifier: MIT
// ConnectionAccept - turns waiting clients into connections, and survives every way in which that fails.
// Room: Connection. Spec: accept(2), "Error handling".

internal import CSystem
internal import Glibc
internal import Synchronization

extension UnsafeMutablePointer<Reactor> {
    static var listenerToken: UInt64 { 1 << 63 }
    private static var acceptsPerTurn: Int { 64 }
    /// Where other loops accept from the same socket: what the first to wake takes is not theirs.
    private static var sharedAcceptsPerTurn: Int { 4 }
    private static var acceptPause: Int64 { 100 }
    /// A handshake that was under way is over by then, but for clients on the far side of the world.
    private static var partingTime: Int64 { 100 }
    /// More than the kernel holds unless net.core.somaxconn was raised.
    private static var restMax: Int { 4096 }

    /// Watches the listeners, or ceases to.
    @inline(never)
    func watchListeners(_ watch: Bool) {
        guard pointee.isAccepting != watch else { return }
        pointee.isAccepting = watch
        var refusal: Int32 = 0
        for (index, listener) in pointee.listeners.enumerated() where listener.descriptor >= 0 {
            if watch {
                // Of those who watch exclusively the kernel wakes one. Who adopted the same socket elsewhere
                // could not be told that this one has no place.
                let isExclusive = pointee.settings.sharesListeners && !listener.isAdopted
                let interest: EventSet = isExclusive ? [.readable, .exclusive] : .readable
                let added = loop.pointee.poll.add(
                    listener.descriptor, interest, token: Self.listenerToken | UInt64(index))
                if added < 0 {
                    refusal = -added
                    break
                }
            } else {
                loop.pointee.poll.remove(listener.descriptor)
            }
        }
        // All or none: one left out would never be heard of again.
        if refusal != 0 { pauseAccept(because: refusal, pointee.listeners[0]) }
    }

    @inline(never)
    func acceptWaiting(on index: Int) {
        guard pointee.isAccepting, index < pointee.listeners.count else { return }
        accept(
            on: index,
            atMost: pointee.settings.sharesListeners ? Self.sharedAcceptsPerTurn : Self.acceptsPerTurn)
    }

    private func accept(on index: Int, atMost most: Int) {
        let listener = pointee.listeners[index]
        guard listener.descriptor >= 0 else { return }
        for _ in 0..<most {
            guard let berth = takePlace() ? Berth(home: self) : findPlace(for: listener) else { return }
            // Whether accept waits is a property of the socket, not of our descriptor: any of those who have
            // the socket may have changed it, and the loop would wait for the next client.
            if listener.isAdopted { SystemCalls.setNonBlocking(listener.descriptor) }
            var peer = evy_address()
            let descriptor = SystemCalls.accept(listener.descriptor, peer: &peer)
            if descriptor >= 0 {
                house(.init(descriptor: descriptor, peer: peer, listener: index), in: berth)
                continue
            }
            giveBack(berth)
            switch -descriptor {
            case EAGAIN:
                if pointee.shortage.isOn { endShortage(listener) }
                return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return pauseAccept(because: -descriptor, listener)
            case EBADF, EINVAL, ENOTSOCK: return abandon(listener, because: -descriptor)
            default: continue  // that client's own failure: ECONNABORTED, EPROTO, EPERM, ENETDOWN ...
            }
        }
    }

    /// Without a pause a level-triggered listener would spin until descriptors come back.
    private func pauseAccept(because error: Int32, _ listener: Listener) {
        if pointee.shortage.met(now: nowMilliseconds) {
            let reason = SystemCalls.text(of: error)
            pointee.delegate.log(
                .error, "cannot accept on \(listener.text): \(reason); trying again every 100 ms")
        }
        pointee.counters.add(.acceptPauses)
        watchListeners(false)
        acceptAgainLater()
    }

    func acceptAgainLater() {
        // The same deadline has another meaning then.
        guard !pointee.isDraining.load(ordering: .relaxed) else { return }
        loop.pointee.deadlines.set(Reactor.acceptIndex, deadline: nowMilliseconds + Self.acceptPause)
    }

    /// Nobody waits any more.
    @inline(never)
    private func endShortage(_ listener: Listener) {
        guard let milliseconds = pointee.shortage.ended(now: nowMilliseconds) else { return }
        pointee.delegate.log(.warn, "accepting again on \(listener.text) after \(milliseconds) ms")
    }

    /// The host has shut its socket: nobody will come through this door any more. The others stay open.
    private func abandon(_ listener: Listener, because error: Int32) {
        pointee.delegate.log(
            .error, "gave up listening on \(listener.text): \(SystemCalls.text(of: error))")
        loop.pointee.poll.remove(listener.descriptor)
        listener.close()
    }

    /// Whoever waits may get a place now: one that was given up, or that of an idle connection.
    @inline(never)
    func offerPlace(of connection: ConnectionRef? = nil) {
        pointee.looksAgain = false
        if let connection { pointee.idlingIndex = connection.pointee.index }
        acceptAgain()
    }

    /// Whether there is a place is seen when somebody has come.
    @inline(never)
    func acceptAgain() {
        pointee.isAcceptPaused = false
        pointee.isAskedToAccept.store(false, ordering: .relaxed)
        if !pointee.isDraining.load(ordering: .relaxed) { watchListeners(true) }
    }

    /// The drain begins: who has connected by now is served, as far as there is room; `isCut`: nobody is.
    func partListeners(isCut: Bool) {
        var shares = false
        for listener in pointee.listeners where listener.descriptor >= 0 && !isCut {
            guard listener.parting == .takeRestOfShared else { continue }
            if SystemCalls.ignoreNewcomers(listener.descriptor) == 0 { shares = true }
        }
        if !isCut { acceptRest() }
        guard shares else { return closeListeners() }
        watchListeners(true)
        loop.pointee.deadlines.set(Reactor.partingIndex, deadline: nowMilliseconds + Self.partingTime)
    }

    /// The last look at what the kernel holds for listeners that nobody else has.
    func acceptRest() {
        for (index, listener) in pointee.listeners.enumerated() where listener.parting != .leave {
            accept(on: index, atMost: Self.restMax)
        }
    }

    func closeListeners() {
        watchListeners(false)
        for listener in pointee.listeners { listener.close() }
        pointee.isParted = true
        loop.pointee.deadlines.remove(Reactor.partingIndex)
    }

    /// What other loops have accepted for this one, also while it drains: they did not know.
    @inline(never)
    func letIn() {
        for arrival in pointee.doorstep.takeAll() where arrival.listener < pointee.listeners.count {
            open(arrival)
        }
        if closesIdle { closeIdle() }
    }

    /// It has its place.
    func open(_ arrival: Doorstep.Arrival) {
        let (descriptor, peer) = (arrival.descriptor, arrival.peer)
        let listener = pointee.listeners[arrival.listener]
        guard let connection = pointee.table.take() else { return turnAway(descriptor) }
        guard loop.pointee.deadlines.reserve(pointee.table.capacity) else {
            pointee.table.giveBack(connection)
            return turnAway(descriptor)
        }
        pointee.counters.add(.connectionsTotal)
        connection.pointee.descriptor = descriptor
        connection.pointee.generation = (connection.pointee.generation &+ 1) & 0x3fff_ffff
        connection.pointee.listener = UInt16(truncatingIfNeeded: arrival.listener)
        connection.pointee.peer = peer
        connection.pointee.local =
            listener.local.isWildcard ? SystemCalls.localAddress(descriptor) : listener.local
        connection.pointee.flags = []
        connection.pointee.input.clear(keepingCapacity: 0)
        connection.pointee.requests = 0
        connection.pointee.silentBytes = 0
        connection.pointee.silentAnswers = 0
        connection.pointee.socketSent = 0
        connection.pointee.interest = [.readable, .peerClosed]
        if !peer.isUnix { SystemCalls.setNoDelay(descriptor) }
        if let provider = listener.tls, !beginTLS(connection, provider) {
            pointee.counters.add(.connectionsRefused)
            return close(connection)
        }
        if listener.takesProxyHeader { connection.pointee.flags.insert(.proxyHeader) }
        if listener.pacesByBBR { connection.pointee.flags.insert(.headAhead) }
        guard
            loop.pointee.poll.add(descriptor, connection.pointee.interest, token: connection.pointee.token)
                == 0
        else {
            pointee.counters.add(.connectionsRefused)
            return close(connection)
        }
        let isHandshake = connection.pointee.flags.contains(.handshaking) && !listener.takesProxyHeader
        wait(connection, isHandshake ? .handshake : .head)
    }

    /// No memory for one more.
    private func turnAway(_ descriptor: Int32) {
        pointee.counters.together {
            pointee.counters.add(.connectionsTotal)
            pointee.counters.add(.connectionsRefused)
            pointee.counters.addClosedConnection()
        }
        SystemCalls.close(descriptor)
        leavePlace()
    }
}
