// SPDX-License-Identifier: MIT
// Tunnel - pumps bytes between a client and a host that has taken its connection over.
// Room: Connection. Towards the client the exchange's own output is used, with its books and its deadline.

internal import CSystem
internal import Glibc

typealias TunnelRef = UnsafeMutablePointer<Tunnel>

/// Ownership: owns its end of the pair. Thread: the holder of the loop.
struct Tunnel: ~Copyable {
    let descriptor: Int32
    var interest: EventSet = [.readable]
    /// Bytes of the client that the host's end has no room for.
    var toHost = ByteBuffer()
    /// The client has said its last byte, and the host was or will be told so.
    var isPeerDone = false
    /// The host has.
    var isHostDone = false
    /// It has closed its end: it will read no more either.
    var isHostGone = false
    /// The client's socket is shut both ways. It would be told again and again, so it is not watched any
    /// more, and what is left in it is read as the host takes it.
    var isPeerHungUp = false

    init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { SystemCalls.close(descriptor) }
}

extension UnsafeMutablePointer<Reactor> {
    /// Beside the connection's own token: events of the host's end.
    static var tunnelToken: UInt64 { 1 << 62 }

    /// The host's end, or -errno. What was read already is the first it gets.
    func beginTunnel(_ connection: ConnectionRef) -> Int32 {
        var own: Int32 = -1
        var lent: Int32 = -1
        let error = SystemCalls.socketPair(loopEnd: &own, lentEnd: &lent)
        guard error == 0 else { return error }
        guard let room = malloc(MemoryLayout<Tunnel>.stride) else {
            SystemCalls.close(own)
            SystemCalls.close(lent)
            return -ENOMEM
        }
        let tunnel = room.bindMemory(to: Tunnel.self, capacity: 1)
        tunnel.initialize(to: Tunnel(descriptor: own))
        guard loop.pointee.poll.add(own, [.readable], token: connection.pointee.token | Self.tunnelToken) == 0
        else {
            tunnel.deinitialize(count: 1)
            free(tunnel)
            SystemCalls.close(lent)
            return -ENOMEM
        }
        let worker = pointee.worker
        swap(&tunnel.pointee.toHost, &connection.pointee.input)
        tunnel.pointee.toHost.append(worker.pointee.rest)
        guard !tunnel.pointee.toHost.failed else {
            swap(&tunnel.pointee.toHost, &connection.pointee.input)
            loop.pointee.poll.remove(own)
            tunnel.deinitialize(count: 1)
            free(tunnel)
            SystemCalls.close(lent)
            return -ENOMEM
        }
        worker.pointee.rest = UnsafeRawBufferPointer(start: nil, count: 0)
        connection.pointee.tunnel = tunnel
        if connection.pointee.wait != .write { wait(connection, .nothing) }
        sendToHost(tunnel, connection)
        _ = settleTunnel(tunnel, connection)
        return lent
    }

    @inline(never)
    func endTunnel(_ connection: ConnectionRef) {
        guard let tunnel = connection.pointee.tunnel else { return }
        connection.pointee.tunnel = nil
        loop.pointee.poll.remove(tunnel.pointee.descriptor)
        tunnel.deinitialize(count: 1)
        free(tunnel)
    }

    // MARK: From the client

    /// Events of the client's socket. False: the loop was lost.
    @inline(never)
    func peerReady(_ connection: ConnectionRef, _ events: EventSet) -> Bool {
        guard let tunnel = connection.pointee.tunnel else { return true }
        pointee.worker.pointee.connection = connection
        if events.contains(.error), events.isDisjoint(with: [.readable, .hangUp]) {
            fail(connection, .clientReset)
            return true
        }
        // Who has hung up gives no room any more: an answer that waits for some fails here.
        let isOver = events.contains(.hangUp)
        if events.contains(.writable) || isOver && connection.pointee.interest.contains(.writable) {
            switch flush(connection) {
            case .dead: return true
            case .blocked: break
            case .drained:
                guard let exchange = connection.pointee.current, push(exchange, connection) != .dead
                else { return true }
            }
        }
        // Where its share of the turn alone kept the answer from failing, it fails in the next.
        if isOver, !connection.pointee.interest.contains(.writable) {
            tunnel.pointee.isPeerHungUp = true
            unwatch(connection)
        }
        if events.contains(.readable) || tunnel.pointee.isPeerHungUp {
            guard readPeer(tunnel, connection) else { return true }
        }
        return settleTunnel(tunnel, connection)
    }

    /// Nothing while the host has no room. False: the connection is closed.
    private func readPeer(_ tunnel: TunnelRef, _ connection: ConnectionRef) -> Bool {
        while tunnel.pointee.toHost.isEmpty, !tunnel.pointee.isPeerDone {
            let room = UnsafeMutableRawBufferPointer(
                rebasing: pointee.worker.pointee.input.prefix(2 * Worker.receiveMax))
            let received = receive(connection, into: room)
            if received > 0 {
                takeFromPeer(tunnel, connection, UnsafeRawBufferPointer(rebasing: room[..<received]))
                // With a gap in them the host's bytes would mean something else.
                if tunnel.pointee.toHost.failed {
                    fail(connection, .io)
                    return false
                }
            } else if received == 0 {
                tunnel.pointee.isPeerDone = true
                connection.pointee.flags.insert(.peerClosed)
            } else if received != -Int(EAGAIN) {
                fail(connection, .clientReset)
                return false
            }
            // Otherwise the poll tells of more.
            if !tunnel.pointee.isPeerHungUp { return true }
        }
        return true
    }

    private func takeFromPeer(
        _ tunnel: TunnelRef, _ connection: ConnectionRef, _ bytes: UnsafeRawBufferPointer
    ) {
        if let exchange = connection.pointee.current {
            exchange.withLock {
                exchange.pointee.wireReceived &+= UInt64(bytes.count)
                exchange.pointee.bodyReceived &+= UInt64(bytes.count)
            }
        }
        tunnel.pointee.toHost.append(bytes)
        sendToHost(tunnel, connection)
    }

    private func sendToHost(_ tunnel: TunnelRef, _ connection: ConnectionRef) {
        guard !tunnel.pointee.toHost.isEmpty else { return }
        let sent = SystemCalls.send(tunnel.pointee.descriptor, tunnel.pointee.toHost.readable)
        if sent >= 0 {
            tunnel.pointee.toHost.consume(sent)
        } else if sent != -Int(EAGAIN) {
            // It has closed its end: nobody will read the rest.
            tunnel.pointee.isHostGone = true
            tunnel.pointee.toHost.clear(keepingCapacity: 0)
        }
    }

    // MARK: From the host

    /// Events of the host's end. False: the loop was lost.
    @inline(never)
    func hostReady(_ connection: ConnectionRef, _ events: EventSet) -> Bool {
        guard let tunnel = connection.pointee.tunnel, let exchange = connection.pointee.current else {
            return true
        }
        pointee.worker.pointee.connection = connection
        if events.contains(.writable) {
            sendToHost(tunnel, connection)
            if tunnel.pointee.isPeerHungUp, !readPeer(tunnel, connection) { return true }
        }
        if !events.isDisjoint(with: [.readable, .error, .hangUp]), !tunnel.pointee.isHostDone {
            let room = UnsafeMutableRawBufferPointer(
                rebasing: pointee.worker.pointee.input.prefix(Worker.receiveMax))
            let received = SystemCalls.receive(tunnel.pointee.descriptor, into: room)
            if received > 0 {
                let bytes = UnsafeRawBufferPointer(rebasing: room[..<received])
                let isTorn = exchange.withLock {
                    exchange.appendBody(bytes)
                    return exchange.withTail { $0.failed }
                }
                if isTorn {
                    fail(connection, .io)
                    return true
                }
                if push(exchange, connection) == .dead { return true }
            } else if received != -Int(EAGAIN) {
                tunnel.pointee.isHostDone = true
                if received < 0 { tunnel.pointee.isHostGone = true }
            }
        }
        // Both directions of the pair are shut, so the host's end is closed, or as good as that.
        if events.contains(.hangUp), tunnel.pointee.isHostDone {
            tunnel.pointee.isHostGone = true
            loop.pointee.poll.remove(tunnel.pointee.descriptor)
        }
        return settleTunnel(tunnel, connection)
    }

    /// The client hears no more. What it sent before is still the host's, which learns when it writes on: as
    /// from a socket of its own. False: no host has the connection.
    @inline(never)
    func silenceHost(_ connection: ConnectionRef) -> Bool {
        guard let tunnel = connection.pointee.tunnel, let exchange = connection.pointee.current,
            connection.pointee.firstUnsent == nil
        else { return false }
        exchange.withLock {
            exchange.pointee.out.clear(keepingCapacity: 0)
            exchange.pointee.sending.clear(keepingCapacity: 0)
        }
        connection.pointee.backlog.clear(keepingCapacity: 0)
        connection.pointee.tls?.pointee.backlog.clear(keepingCapacity: 0)
        connection.pointee.tls?.pointee.plainInFlight = 0
        pointee.worker.pointee.batch.clear(keepingCapacity: Worker.batchMax * 2)
        tunnel.pointee.isHostDone = true
        SystemCalls.shutdownReading(tunnel.pointee.descriptor)
        watchWriting(connection, false)
        return true
    }

    // MARK: What comes next

    /// Passes on the ends, and puts right what is waited for. False: the loop was lost.
    private func settleTunnel(_ tunnel: TunnelRef, _ connection: ConnectionRef) -> Bool {
        guard let exchange = connection.pointee.current else { return true }
        var isDrained = !connection.pointee.interest.contains(.writable)
        if isDrained, connection.pointee.wait == .write { wait(connection, .nothing) }
        if tunnel.pointee.isPeerDone, tunnel.pointee.toHost.isEmpty {
            SystemCalls.shutdownWriting(tunnel.pointee.descriptor)
        }
        if tunnel.pointee.isHostDone, isDrained {
            // A host that has only said its last byte still reads what is here for it.
            let isPeerHeard = tunnel.pointee.isPeerDone && tunnel.pointee.toHost.isEmpty
            if isPeerHeard || tunnel.pointee.isHostGone {
                return finishTunnel(connection, exchange)
            }
            isDrained = sayGoodbye(connection)
            if isDrained { SystemCalls.shutdownWriting(connection.pointee.descriptor) }
        }
        // What TLS itself had to say may be all that waits for room.
        if !isDrained, connection.pointee.wait != .write { wait(connection, .write) }
        var own: EventSet = []
        if isDrained, !tunnel.pointee.isHostDone { own.insert(.readable) }
        if !tunnel.pointee.toHost.isEmpty { own.insert(.writable) }
        if own != tunnel.pointee.interest {
            tunnel.pointee.interest = own
            loop.pointee.poll.change(
                tunnel.pointee.descriptor, own, token: connection.pointee.token | Self.tunnelToken)
        }
        var interest: EventSet = isDrained ? [] : [.writable]
        if tunnel.pointee.toHost.isEmpty, !tunnel.pointee.isPeerDone { interest.insert(.readable) }
        if !tunnel.pointee.isPeerHungUp { setInterest(connection, interest) }
        return true
    }

    private func finishTunnel(_ connection: ConnectionRef, _ exchange: ExchangeRef) -> Bool {
        if !(connection.pointee.tunnel?.pointee.isPeerDone ?? true) {
            connection.pointee.flags.insert(.inputLost)
        }
        endTunnel(connection)
        exchange.withLock { exchange.pointee.takeover = .over }
        exchange.pointee.closesConnection = true
        return attend(exchange)
    }
}
