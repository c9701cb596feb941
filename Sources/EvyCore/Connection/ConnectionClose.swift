// SPDX-License-Identifier: MIT
// ConnectionClose - the ends of a connection: gentle after a last answer, hard when something broke.
// Room: Connection. Spec: RFC 9112 section 9.6.

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<Reactor> {
    /// All is said. Where the client may still be sending, or much of the answer is still here, our side is
    /// shut first and the client's bytes are read away: whatever came behind a plain close would make the
    /// kernel reset the connection, and destroy the answer.
    func closeGently(_ connection: ConnectionRef) {
        guard sayGoodbye(connection) else {
            // Without it the answer would look cut. When it is sent, this is called again.
            connection.pointee.flags.insert(.closing)
            setInterest(connection, [.writable])
            return wait(connection, .write)
        }
        // The rest of a record that has come in part would get our answer reset as well.
        let mayFollow =
            connection.pointee.flags.contains(.inputLost) || !connection.pointee.input.isEmpty
            || connection.pointee.holdsRecord
        let mustLinger =
            mayFollow && !connection.pointee.flags.contains(.peerClosed)
            || SystemCalls.hasInput(connection.pointee.descriptor) || holdsAnswer(connection)
        if mustLinger { linger(connection) } else { close(connection) }
    }

    /// The kernel has yet to send what a client that goes on sending would get destroyed. It is not asked for
    /// what fits into the segment that every host takes (RFC 9293 section 3.7.1).
    private func holdsAnswer(_ connection: ConnectionRef) -> Bool {
        !connection.pointee.flags.contains(.peerClosed) && connection.pointee.socketSent > 536
            && SystemCalls.hasUnsent(connection.pointee.descriptor)
    }

    /// isCut: an answer that only the end of the connection ends has broken off. A reset tells it, as soon as
    /// it destroys nothing that was handed over before.
    private func linger(_ connection: ConnectionRef, isCut: Bool = false) {
        guard pointee.settings.lingerTimeout != 0 else { return close(connection, hard: isCut) }
        connection.pointee.flags.insert(.lingering)
        forgetRest(connection)
        connection.pointee.tls?.pointee.backlog.clear(keepingCapacity: 0)
        if isCut {
            SystemCalls.tellWhenSent(connection.pointee.descriptor)
        } else {
            SystemCalls.shutdownWriting(connection.pointee.descriptor)
        }
        setInterest(connection, isCut ? [.readable, .writable] : [.readable])
        connection.pointee.waitMark = 0
        connection.pointee.stalledSince = SystemCalls.takenMark(connection.pointee.descriptor)
        wait(connection, .linger)
    }

    /// The connection broke, or is cut: its exchanges learn why, and their hooks will run.
    func fail(_ connection: ConnectionRef, _ end: ExchangeEnd) {
        guard connection.pointee.descriptor >= 0 else { return }
        // Its exchanges know already; how it ends was decided with them.
        if connection.pointee.flags.contains(.lingering) { return endLinger(connection) }
        bookTornFlight(connection)
        let acked = SystemCalls.bytesAcked(connection.pointee.descriptor)
        let reason: ExchangeEnd =
            end == .clientReset && connection.pointee.flags.contains(.peerClosed) ? .clientClosed : end
        while let exchange = connection.pointee.firstUnsent {
            connection.pointee.firstUnsent = exchange.pointee.nextUnsent
            connection.pointee.silentAnswers &+= exchange.pointee.silentAnswersBehind
            orphan(exchange, reason, acked)
            exchange.noteEnded(at: Clock.monotonicNanoseconds)
            report(exchange)
        }
        connection.pointee.lastUnsent = nil
        countSilent(connection, reason)
        let current = connection.pointee.current
        connection.pointee.current = nil
        if let current { orphan(current, reason, acked) }
        // A body that only the end of the connection ends would look whole after a plain close, also where
        // close_notify is missing: not every client heeds that. Everywhere else it sees that something is
        // missing.
        let isCut = current?.pointee.plan.body == .untilClose
        // What a client has to fear from a plain close is what it sends itself; from a reset, all is lost.
        let isUnsent =
            isCut ? SystemCalls.hasUnsent(connection.pointee.descriptor) : holdsAnswer(connection)
        if end.isOurs, isUnsent {
            linger(connection, isCut: isCut)
        } else {
            close(connection, hard: isCut || end == .writeTimeout)
        }
        guard let current else { return }
        switch current.pointee.stage {
        case .readingHead: letGo(current)
        case .readingBody:
            // It never reached the application: a line in the access log is all it gets.
            current.pointee.environ.isRefused = true
            report(current)
        case .serving, .hooking, .finished: post(current)
        }
    }

    /// Of a flight of TLS records that broke off, what the kernel had taken.
    private func bookTornFlight(_ connection: ConnectionRef) {
        guard let state = connection.pointee.tls else { return }
        let kept = UInt64(state.pointee.backlog.count)
        let plain = state.pointee.plainInFlight
        state.pointee.plainInFlight = 0
        if plain > kept { didSend(connection, plain - kept) }
    }

    /// Parts an exchange from its dying connection.
    private func orphan(_ exchange: ExchangeRef, _ end: ExchangeEnd, _ acked: Int64) {
        exchange.withLock {
            exchange.pointee.connection = nil
            exchange.pointee.descriptor = -1
            exchange.pointee.account.noteAcked(acked)
            exchange.pointee.isGone = true
            if exchange.pointee.takeover.isPending { exchange.pointee.takeover = .failed }
            if exchange.pointee.bodyEnd == .open {
                exchange.pointee.bodyEnd = end == .readTimeout ? .timeout : .gone
            }
            let isWhole = exchange.pointee.response == .ended && exchange.pointee.account.isDrained
            if !isWhole, exchange.pointee.end == .complete || end == .aborted { exchange.pointee.end = end }
        }
        exchange.pointee.changed.signal()
        exchange.dropSegments()
        exchange.tellGone()
    }

    /// Nothing is left to wait for, or nobody.
    func endLinger(_ connection: ConnectionRef) {
        // Where the answer is whole our side is shut.
        close(connection, hard: connection.pointee.interest.contains(.writable))
    }

    /// Frees the connection's place. Its exchanges must have gone before.
    func close(_ connection: ConnectionRef, hard: Bool = false) {
        guard connection.pointee.descriptor >= 0 else { return }
        if connection.pointee.current != nil || connection.pointee.firstUnsent != nil {
            return fail(connection, .io)
        }
        if ForkWatch.hasForked {
            // With a copy in another process a close is no end: the client would hear of none, and the loop
            // go on hearing of the client.
            loop.pointee.poll.remove(connection.pointee.descriptor)
            SystemCalls.endForAll(connection.pointee.descriptor, hard: hard)
        }
        if hard {
            SystemCalls.closeHard(connection.pointee.descriptor)
        } else {
            SystemCalls.close(connection.pointee.descriptor)
        }
        giveUpPlace(connection)
    }

    /// Its socket is closed, or another's now.
    func giveUpPlace(_ connection: ConnectionRef) {
        connection.pointee.descriptor = -1
        pointee.counters.addClosedConnection()
        countSilent(connection, .io)
        endTLS(connection)
        forgetRest(connection)
        connection.pointee.flags = []
        connection.pointee.wait = .nothing
        connection.pointee.headDeadline = 0
        connection.pointee.idleDeadline = 0
        connection.pointee.passedOver = 0
        loop.pointee.deadlines.remove(connection.pointee.index)
        pointee.table.giveBack(connection)
        leavePlace()
    }

    /// Nothing more of it is read, and no answer of it sent.
    private func forgetRest(_ connection: ConnectionRef) {
        endTunnel(connection)
        connection.pointee.input.clear(keepingCapacity: 0)
        connection.pointee.backlog.clear(keepingCapacity: 0)
        if pointee.worker.pointee.connection == connection {
            pointee.worker.pointee.batch.clear(keepingCapacity: Worker.batchMax * 2)
        }
    }

    /// Every connection, at the end of the grace.
    func cutAll(_ end: ExchangeEnd) {
        for index in 0..<UInt32(truncatingIfNeeded: pointee.table.capacity) {
            guard let connection = pointee.table[index], connection.pointee.descriptor >= 0 else { continue }
            fail(connection, end)
        }
        pointee.delegate.wasCut()
    }

    /// Connections on which nothing happens.
    func closeIdle() {
        for index in 0..<UInt32(truncatingIfNeeded: pointee.table.capacity) {
            guard let connection = pointee.table[index], connection.pointee.descriptor >= 0 else { continue }
            closeIfIdle(connection)
        }
    }

    /// While the server drains. A request that is already here is still answered: closing over it would reset
    /// its client.
    func closeIfIdle(_ connection: ConnectionRef) {
        if connection.pointee.isIdle, !SystemCalls.hasInput(connection.pointee.descriptor) {
            closeGently(connection)
        } else {
            settle(connection)
        }
    }
}

extension Accounting {
    /// Which part of this response the peer's TCP had acknowledged when the socket had `socketAcked` in all.
    /// Under TLS the cipher bytes are mapped back by their share.
    mutating func noteAcked(_ socketAcked: Int64) {
        acked = ackedPart(socketAcked)
    }

    func ackedPart(_ socketAcked: Int64) -> Int64 {
        guard socketAcked >= 0 else { return -1 }
        let wire = Int64(clamping: wireSent)
        let span = Int64(clamping: socketEnd &- socketStart)
        let part = min(max(socketAcked - Int64(clamping: socketStart), 0), span)
        guard span > 0 else { return 0 }
        if span == wire { return part }
        return Int64(Double(part) / Double(span) * Double(wire))
    }
}
