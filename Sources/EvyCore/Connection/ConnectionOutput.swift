// SPDX-License-Identifier: MIT
// ConnectionOutput - hands answers to the kernel: all answers to one receive leave in one send.
// Room: Connection. Order on the wire: backlog, the worker's batch, the current exchange's own output.

internal import CSystem
internal import Glibc

enum Flushed { case drained, blocked, dead }

extension UnsafeMutablePointer<Reactor> {
    /// Moves what the host produced behind what is already on its way.
    func pump(_ exchange: ExchangeRef) {
        // What is copied comes behind it.
        if exchange.pointee.segment != nil { return }
        let worker = pointee.worker
        exchange.pointee.lock.lock()
        // What lies behind a gap would mean something else: it is cut there.
        if exchange.pointee.isTorn { return exchange.pointee.lock.unlock() }
        let count = exchange.pointee.out.count
        if count > 0, exchange.pointee.sending.isEmpty {
            if exchange.pointee.account.firstByteAt < 0 {
                // Not the turn's time: the handler may have had this turn to itself.
                exchange.pointee.account.firstByteAt = Clock.monotonicNanoseconds
            }
            if worker.batchTakes(exchange.pointee.out.readable) {
                exchange.pointee.out.clear(keepingCapacity: 4096)
            } else {
                // Large output is sent from where it lies.
                swap(&exchange.pointee.out, &exchange.pointee.sending)
            }
        }
        if exchange.pointee.firstSegment != nil, exchange.pointee.out.isEmpty { exchange.takeSegment() }
        exchange.pointee.lock.unlock()
    }

    /// Pumps and sends until the exchange has nothing left, the socket is full, or the connection is dead.
    func push(_ exchange: ExchangeRef, _ connection: ConnectionRef) -> Flushed {
        while true {
            pump(exchange)
            let flushed = flush(connection)
            guard flushed == .drained else { return flushed }
            let isDone = exchange.withLock {
                exchange.pointee.isTorn
                    || exchange.pointee.out.isEmpty && exchange.pointee.firstSegment == nil
            }
            if isDone { return .drained }
        }
    }

    /// Sends what is ready. `.dead`: the connection was closed and its exchanges told.
    func flush(_ connection: ConnectionRef) -> Flushed {
        if connection.pointee.descriptor < 0 { return .dead }
        if connection.pointee.tls != nil { return flushTLS(connection) }
        let worker = pointee.worker
        let batchCount = worker.pointee.batch.count
        let sending = connection.pointee.current
        let sendingCount = sending?.pointee.sending.count ?? 0
        let hasSegment = sending?.pointee.segment != nil
        guard hasSegment || batchCount | sendingCount | connection.pointee.backlog.count != 0 else {
            if connection.pointee.interest.contains(.writable) { watchWriting(connection, false) }
            return .drained
        }
        if !connection.pointee.backlog.isEmpty { return flushBacklog(connection) }
        if hasSegment, sendingCount == 0 { return flushSegment(connection) }
        let sent: Int
        if sendingCount == 0 {
            sent = SystemCalls.send(connection.pointee.descriptor, worker.pointee.batch.readable)
        } else if let sending {
            sent = sendBatch(connection, behind: sending.pointee.sending.readable)
            if sent == 0 { return block(connection, progressed: true) }
        } else {
            sent = 0
        }
        guard sent >= 0 else { return sendFailed(connection, -sent) }
        let fromBatch = min(sent, batchCount)
        worker.pointee.batch.consume(fromBatch)
        if let sending, sent > fromBatch {
            sending.consumeSending(sent - fromBatch)
        }
        countSent(connection, sent)
        didSend(connection, UInt64(sent))
        if sent < batchCount + sendingCount { return block(connection, progressed: sent > 0) }
        if hasSegment { return flushSegment(connection) }
        if connection.pointee.interest.contains(.writable) { watchWriting(connection, false) }
        return .drained
    }

    private func flushBacklog(_ connection: ConnectionRef) -> Flushed {
        let sent = SystemCalls.send(connection.pointee.descriptor, connection.pointee.backlog.readable)
        guard sent >= 0 else { return sendFailed(connection, -sent) }
        connection.pointee.backlog.consume(sent)
        countSent(connection, sent)
        didSend(connection, UInt64(sent))
        guard connection.pointee.backlog.isEmpty else { return block(connection, progressed: sent > 0) }
        connection.pointee.backlog.clear(keepingCapacity: 0)
        // Progress: the next stall counts from its own beginning.
        if connection.pointee.wait == .write { connection.pointee.wait = .nothing }
        return flush(connection)
    }

    func sendFailed(_ connection: ConnectionRef, _ error: Int) -> Flushed {
        switch Int32(truncatingIfNeeded: error) {
        case EAGAIN: return block(connection, progressed: false)
        case EPIPE where silenceHost(connection), ECONNRESET where silenceHost(connection): return .drained
        case EPIPE: fail(connection, .clientClosed)
        case EPROTO where connection.pointee.tls != nil: fail(connection, .protocolError)
        case ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH: fail(connection, .clientReset)
        default: fail(connection, .io)
        }
        return .dead
    }

    /// The socket is full. The batch belongs to the thread, so its rest moves to the connection.
    func block(_ connection: ConnectionRef, progressed: Bool) -> Flushed {
        let worker = pointee.worker
        if !worker.pointee.batch.isEmpty {
            connection.pointee.backlog.append(worker.pointee.batch.readable)
            worker.pointee.batch.clear(keepingCapacity: Worker.batchMax * 2)
        }
        if connection.pointee.backlog.failed || connection.pointee.tls?.pointee.backlog.failed ?? false {
            fail(connection, .io)
            return .dead
        }
        if progressed || connection.pointee.wait != .write { wait(connection, .write) }
        watchWriting(connection, true)
        return .blocked
    }

    /// The socket has room again. False: the loop was lost.
    func writable(_ connection: ConnectionRef) -> Bool {
        pointee.worker.pointee.connection = connection
        if connection.pointee.flags.contains(.lingering) {
            endLinger(connection)
            return true
        }
        guard flush(connection) == .drained else {
            guard let exchange = connection.pointee.current else { return true }
            postIfWritable(exchange)
            // Its end need not wait for more than the answers ahead of it.
            return exchange.withLock({ exchange.pointee.isAborted }) ? attend(exchange) : true
        }
        if let exchange = connection.pointee.current { return attend(exchange) }
        return connection.pointee.input.isEmpty || connection.pointee.flags.contains(.closing)
            ? flushAndSettle(connection) : resume(connection)
    }

    /// The kernel took `count` more plain bytes: books them on the answers they belong to, oldest first.
    func didSend(_ connection: ConnectionRef, _ count: UInt64) {
        var left = count
        while left > 0 {
            if connection.pointee.silentBytes > 0 {
                let part = min(left, connection.pointee.silentBytes)
                connection.pointee.silentBytes &-= part
                left &-= part
                if connection.pointee.silentBytes == 0 { countSilent(connection) }
                continue
            }
            if let exchange = connection.pointee.firstUnsent {
                // The host may hold it and ask for the figures at this moment.
                exchange.pointee.lock.lock()
                left &-= book(connection, exchange, left)
                let isHeld = exchange.pointee.hostReferences > 0
                exchange.pointee.lock.unlock()
                // A writer may wait for room though another thread has ended the answer.
                if isHeld { exchange.pointee.changed.signal() }
                if exchange.pointee.account.isDrained { finishUnsent(connection, exchange) }
                continue
            }
            guard let exchange = connection.pointee.current else { return }
            exchange.pointee.lock.lock()
            let taken = book(connection, exchange, left)
            let wasFull = taken > 0
            exchange.pointee.lock.unlock()
            if wasFull { exchange.pointee.changed.signal() }
            return
        }
        // Answers without a byte of their own cannot exist, so nothing is left behind here.
    }

    private func book(_ connection: ConnectionRef, _ exchange: ExchangeRef, _ count: UInt64) -> UInt64 {
        let before = exchange.pointee.account.wireSent
        if before == 0 { exchange.pointee.account.socketStart = connection.pointee.socketSent &- count }
        exchange.pointee.account.take(count)
        exchange.pointee.account.socketEnd = connection.pointee.socketSent
        return exchange.pointee.account.wireSent &- before
    }

    private func finishUnsent(_ connection: ConnectionRef, _ exchange: ExchangeRef) {
        connection.pointee.firstUnsent = exchange.pointee.nextUnsent
        if connection.pointee.firstUnsent == nil { connection.pointee.lastUnsent = nil }
        connection.pointee.silentBytes &+= exchange.pointee.silentBytesBehind
        connection.pointee.silentAnswers &+= exchange.pointee.silentAnswersBehind
        exchange.pointee.nextUnsent = nil
        exchange.noteEnded(at: Clock.monotonicNanoseconds)
        report(exchange)
    }

    /// An answer that nobody will ask about any more lets the next request be read before it is sent.
    func queueUnsent(_ connection: ConnectionRef, _ exchange: ExchangeRef) {
        exchange.pointee.nextUnsent = nil
        if let last = connection.pointee.lastUnsent {
            last.pointee.nextUnsent = exchange
        } else {
            connection.pointee.firstUnsent = exchange
        }
        connection.pointee.lastUnsent = exchange
    }

    /// Its bytes are on their way and only their number matters.
    func forget(_ connection: ConnectionRef, _ exchange: ExchangeRef) {
        let left = exchange.pointee.account.wireQueued &- exchange.pointee.account.wireSent
        let answer = Self.silentAnswer(status: exchange.pointee.status)
        if let last = connection.pointee.lastUnsent {
            last.pointee.silentBytesBehind &+= left
            last.pointee.silentAnswersBehind &+= answer
        } else {
            connection.pointee.silentBytes &+= left
            connection.pointee.silentAnswers &+= answer
            // Sent already, piece by piece, before its end.
            if connection.pointee.silentBytes == 0 { countSilent(connection) }
        }
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// The socket, or its TLS session, took the front of what waits outside the lock.
    func consumeSending(_ count: Int) {
        withLock {
            pointee.sending.consume(count)
            if pointee.sending.isEmpty { pointee.sending.clear(keepingCapacity: 0) }
        }
    }
}
