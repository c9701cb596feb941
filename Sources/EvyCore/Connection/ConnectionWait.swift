// SPDX-License-Identifier: MIT
// ConnectionWait - the one deadline a connection has at a time, and what happens when it passes.
// Room: Connection. Spec: docs/limits.md.

extension UnsafeMutablePointer<Reactor> {
    func wait(_ connection: ConnectionRef, _ wait: Connection.Wait) {
        if connection.pointee.wait == .body, wait == .write {
            connection.pointee.windowLeft = timeLeft(connection)
        }
        connection.pointee.wait = wait
        let settings = pointee.settings
        let milliseconds: Int64
        switch wait {
        case .nothing: milliseconds = DeadlineWheel.never
        case .handshake: milliseconds = settings.handshakeTimeout
        case .head: milliseconds = settings.headerTimeout
        case .idle:
            milliseconds = settings.idleTimeout
            connection.pointee.waitMark = -1
        case .body:
            let left = connection.pointee.windowLeft
            milliseconds = left > 0 ? left : settings.bodyTimeout
            if left == 0 { connection.pointee.windowMark = 0 }
        case .write:
            milliseconds = settings.writeLookMilliseconds
            connection.pointee.waitMark = SystemCalls.takenMark(connection.pointee.descriptor)
            connection.pointee.stalledSince = nowMilliseconds
        case .linger, .unreadBody: milliseconds = settings.lingerTimeout
        }
        var deadline =
            milliseconds < 0 || milliseconds == DeadlineWheel.never
            ? DeadlineWheel.never : nowMilliseconds &+ milliseconds
        switch wait {
        case .head:
            if connection.pointee.headDeadline == 0 { connection.pointee.headDeadline = deadline }
            deadline = connection.pointee.headDeadline
        case .idle:
            connection.pointee.headDeadline = 0
            if connection.pointee.idleDeadline == 0 { connection.pointee.idleDeadline = deadline }
            deadline = connection.pointee.idleDeadline
        case .write: break
        case .nothing, .handshake, .body, .unreadBody, .linger: connection.pointee.headDeadline = 0
        }
        if wait != .write { connection.pointee.windowLeft = 0 }
        loop.pointee.deadlines.set(connection.pointee.index, deadline: deadline)
    }

    /// Milliseconds to its deadline, at least 1; 0: it has none.
    private func timeLeft(_ connection: ConnectionRef) -> Int64 {
        let deadline = loop.pointee.deadlines.deadline(of: connection.pointee.index)
        return deadline == DeadlineWheel.never ? 0 : max(deadline &- nowMilliseconds, 1)
    }

    /// Puts the deadline and the interest right for what the connection now waits for. Called when its turn
    /// ends.
    func settle(_ connection: ConnectionRef) {
        guard connection.pointee.descriptor >= 0, !connection.pointee.flags.contains(.lingering) else {
            return
        }
        // The deadline of a write stall is renewed by progress alone.
        if connection.pointee.interest.contains(.writable) { return }
        let due: Connection.Wait
        if connection.pointee.flags.contains(.proxyHeader) {
            due = .head
        } else if connection.pointee.flags.contains(.handshaking) {
            due = .handshake
        } else if let exchange = connection.pointee.current {
            switch exchange.pointee.stage {
            case .readingHead: due = .head
            case .readingBody: due = .body
            case .serving: due = exchange.bodyWait
            case .hooking, .finished: due = .nothing
            }
        } else {
            due = connection.pointee.requests == 0 || connection.pointee.holdsRecord ? .head : .idle
        }
        // A head must be complete in its time however often a byte of it comes; a body goes by windows.
        let isRunning: Bool
        switch due {
        case .head, .body, .unreadBody, .handshake: isRunning = due == connection.pointee.wait
        case .nothing, .idle, .write, .linger: isRunning = false
        }
        if !isRunning { wait(connection, due) }
        if due == .idle, pointee.isAcceptPaused { offerPlace(of: connection) }
        // While a request is served, reading is stopped only when something comes that has to wait.
        if let exchange = connection.pointee.current, exchange.pointee.stage != .readingHead,
            due != .body, due != .unreadBody
        {
            return
        }
        watchReading(connection, true)
    }

    func watchReading(_ connection: ConnectionRef, _ watch: Bool) {
        var interest = connection.pointee.interest
        if watch {
            // After a FIN too: requests may stand in the socket ahead of it, and the end is read like they
            // are.
            interest.insert(.readable)
            if !connection.pointee.flags.contains(.peerClosed) { interest.insert(.peerClosed) }
        } else {
            interest.remove(.readable)
        }
        setInterest(connection, interest)
    }

    func watchWriting(_ connection: ConnectionRef, _ watch: Bool) {
        var interest = connection.pointee.interest
        if watch { interest.insert(.writable) } else { interest.remove(.writable) }
        setInterest(connection, interest)
    }

    func setInterest(_ connection: ConnectionRef, _ interest: EventSet) {
        guard interest != connection.pointee.interest else { return }
        connection.pointee.interest = interest
        loop.pointee.poll.change(connection.pointee.descriptor, interest, token: connection.pointee.token)
    }

    /// A hang-up is told again and again: not until something is waited for anew (see setInterest).
    func unwatch(_ connection: ConnectionRef) {
        connection.pointee.interest = []
        loop.pointee.poll.remove(connection.pointee.descriptor)
    }

    /// False: the loop was lost.
    func expire(_ connection: ConnectionRef) -> Bool {
        guard connection.pointee.descriptor >= 0, !isBehindhand(connection) else { return true }
        switch connection.pointee.wait {
        case .body, .write, .linger: break  // see there: it may only begin anew
        case .nothing, .handshake, .head, .idle, .unreadBody: countTimeout(connection.pointee.wait)
        }
        switch connection.pointee.wait {
        case .nothing: return true
        case .handshake:
            logDebug { "TLS handshake timed out: \(connection.pointee.peer.text)" }
            close(connection)
        case .idle: closeGently(connection)
        case .linger: expireLinger(connection)
        case .unreadBody: return expireUnread(connection)
        case .head: return expireHead(connection)
        case .body: return expireBody(connection)
        case .write: expireWrite(connection)
        }
        return true
    }

    /// The kernel announces room only when a good part of its buffer, megabytes at times, is free: a client
    /// that reads slowly is told from one that does not by what it has acknowledged. That is looked at more
    /// often than the deadline passes, because what is still on its way when the socket is full would
    /// otherwise count as progress, and double the client's time.
    private func expireWrite(_ connection: ConnectionRef) {
        let settings = pointee.settings
        if SystemCalls.takenMark(connection.pointee.descriptor) > connection.pointee.waitMark {
            return wait(connection, .write)
        }
        let deadline = connection.pointee.stalledSince &+ settings.writeTimeout
        guard nowMilliseconds < deadline else {
            countTimeout(.write)
            // All but close_notify is with the kernel, and told as sent: it may still deliver it.
            let isSent =
                connection.pointee.flags.contains(.closing) && connection.pointee.current == nil
                && !connection.pointee.owesEarlier
            return isSent ? close(connection) : fail(connection, .writeTimeout)
        }
        let look = nowMilliseconds &+ settings.writeLookMilliseconds
        loop.pointee.deadlines.set(connection.pointee.index, deadline: min(deadline, look))
    }

    /// Who reads on, however slowly, still gets its answer.
    private func expireLinger(_ connection: ConnectionRef) {
        let mark = SystemCalls.takenMark(connection.pointee.descriptor)
        if mark > connection.pointee.stalledSince, SystemCalls.hasUnsent(connection.pointee.descriptor) {
            connection.pointee.stalledSince = mark
            return wait(connection, .linger)
        }
        countTimeout(.linger)
        endLinger(connection)
    }

    /// What was waited for is here, only the loop has not come round to it: after a standstill of the process
    /// more may be ready than one look shows. Whoever has sent too little has gained a tick.
    private func isBehindhand(_ connection: ConnectionRef) -> Bool {
        switch connection.pointee.wait {
        case .handshake, .head, .idle, .body:
            guard connection.pointee.interest.contains(.readable),
                SystemCalls.hasInput(connection.pointee.descriptor)
            else { return false }
            let deadline = nowMilliseconds + DeadlineWheel.tickMilliseconds
            loop.pointee.deadlines.set(connection.pointee.index, deadline: deadline)
            return true
        case .nothing, .write, .linger, .unreadBody: return false
        }
    }

    private func expireHead(_ connection: ConnectionRef) -> Bool {
        if connection.pointee.current == nil, !connection.pointee.flags.contains(.proxyHeader) {
            // A record of it has come in part at most, and the rest may get an earlier answer reset.
            closeGently(connection)
            return true
        }
        guard let exchange = connection.pointee.current, exchange.pointee.stage == .readingHead,
            !connection.pointee.input.isEmpty
        else {
            close(connection)
            return true
        }
        return refuse(exchange, .headerTimeout)
    }

    private func expireBody(_ connection: ConnectionRef) -> Bool {
        let settings = pointee.settings
        let (needed, overflow) = settings.bodyBytesPerSecondMin.multipliedReportingOverflow(
            by: settings.bodyTimeout)
        let enough = overflow ? Int64.max : max(needed / 1000, 1)
        guard let exchange = connection.pointee.current else { return true }
        if connection.pointee.windowMark >= enough {
            wait(connection, .body)
            return true
        }
        countTimeout(.body)
        if exchange.pointee.stage == .readingBody { return refuse(exchange, .bodyTimeout) }
        return failBody(exchange, .timeout)
    }

    /// Answered, but the rest of a body that nobody reads does not come: the connection ends, and all is
    /// well.
    private func expireUnread(_ connection: ConnectionRef) -> Bool {
        guard let exchange = connection.pointee.current else { return true }
        exchange.pointee.closesConnection = true
        return attend(exchange)
    }

    func logDebug(_ text: () -> String) {
        if pointee.delegate.wants(.debug) { pointee.delegate.log(.debug, text()) }
    }
}
