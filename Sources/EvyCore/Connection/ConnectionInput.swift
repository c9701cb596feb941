// SPDX-License-Identifier: MIT
// ConnectionInput - receives, and walks the requests in what was received.
// Room: Connection. Spec: RFC 9112 section 9.3 (persistence), 9.3.2 (pipelining).

internal import CSystem
internal import Glibc
internal import Synchronization

/// What an exchange leaves for its connection to do.
enum Step {
    case next  // finished or sealed: the connection may read its next request
    case wait  // something is still to come: output room, body, the host's answer
    case gone  // the connection is closed, or only waits to be
    case lost  // the thread has lost the loop: return at once, touch nothing
}

extension UnsafeMutablePointer<Reactor> {
    /// The socket has something to read. False: the loop was lost.
    func readable(_ connection: ConnectionRef) -> Bool {
        if connection.pointee.flags.contains(.lingering) {
            discard(connection)
            return true
        }
        if connection.pointee.flags.contains(.proxyHeader) {
            readProxyHeader(connection)
            return true
        }
        if let exchange = connection.pointee.current, !exchange.takesInput {
            // The next request waits in the kernel; only a FIN is of interest until this one is answered.
            watchReading(connection, false)
            return true
        }
        if connection.pointee.interest.contains(.writable), !hasBodyToRead(connection) {
            // A client that asks on and on without reading may not fill our memory with answers.
            watchReading(connection, false)
            return true
        }
        let worker = pointee.worker
        let saved = connection.pointee.input.count
        let end = min(saved + receiveMax(connection), worker.pointee.input.count)
        let room = UnsafeMutableRawBufferPointer(rebasing: worker.pointee.input[saved..<end])
        let received = receive(connection, into: room)
        guard received > 0 else { return receivedNothing(connection, -received) }
        if saved > 0 {
            worker.pointee.input.copyMemory(from: connection.pointee.input.readable)
            connection.pointee.input.clear(keepingCapacity: 0)
        }
        connection.pointee.windowMark &+= Int64(received)
        return process(connection, count: saved + received)
    }

    /// A full receive can hold 1,500 requests, and their answers hold up everybody else. Only bodies need as
    /// much; what a client sends beyond its share stays in the kernel until others have had their turn, or,
    /// behind a body, with us (see yield).
    private func receiveMax(_ connection: ConnectionRef) -> Int {
        if hasBodyToRead(connection) { return Worker.receiveMax }
        let share = share(connection)
        return connection.pointee.tls == nil ? share : share + TLSSession.heldPlainMax
    }

    private func share(_ connection: ConnectionRef) -> Int {
        connection.pointee.flags.contains(.pipelines) ? Worker.pipelineReceiveMax : Worker.headReceiveMax
    }

    /// The rest of what was received is for the next turn: the socket has room, so epoll says so at once.
    private func yield(_ connection: ConnectionRef) {
        wait(connection, .write)
        setInterest(connection, connection.pointee.interest.subtracting(.readable).union(.writable))
    }

    /// Sees to the next turn's share.
    private func notePipeline(_ connection: ConnectionRef, served: UInt32) {
        if served > Worker.pipelinedMax {
            connection.pointee.flags.insert(.pipelines)
        } else if served == 0, connection.pointee.flags.contains(.pipelines) {
            connection.pointee.flags.remove(.pipelines)
        }
    }

    private func hasBodyToRead(_ connection: ConnectionRef) -> Bool {
        guard !connection.pointee.flags.contains(.handshaking) else { return true }
        guard let exchange = connection.pointee.current else { return false }
        return exchange.pointee.stage != .readingHead
    }

    /// Goes on with input that was kept while a request was served. False: the loop was lost.
    func resume(_ connection: ConnectionRef) -> Bool {
        let saved = connection.pointee.input.count
        guard saved > 0 else {
            settle(connection)
            return flushAndSettle(connection)
        }
        let worker = pointee.worker
        guard saved <= worker.pointee.input.count else {
            close(connection)
            return true
        }
        worker.pointee.input.copyMemory(from: connection.pointee.input.readable)
        connection.pointee.input.clear(keepingCapacity: 0)
        return process(connection, count: saved)
    }

    /// Bytes received, 0 at the end of the stream, or -errno.
    func receive(_ connection: ConnectionRef, into room: UnsafeMutableRawBufferPointer) -> Int {
        if connection.pointee.tls != nil { return receiveTLS(connection, into: room) }
        return countReceived(SystemCalls.receive(connection.pointee.descriptor, into: room))
    }

    private func receivedNothing(_ connection: ConnectionRef, _ error: Int) -> Bool {
        switch Int32(truncatingIfNeeded: error) {
        case 0: return peerClosed(connection)
        case EAGAIN:
            // A handshake that ended without a request, or a record of one that came in part: from here on a
            // head is waited for.
            let isFresh =
                connection.pointee.wait == .handshake && !connection.pointee.flags.contains(.handshaking)
            let isBegun = connection.pointee.wait == .idle && connection.pointee.holdsRecord
            // Or that record is whole now, and has carried none.
            let isOver =
                connection.pointee.wait == .head && connection.pointee.current == nil
                && !connection.pointee.holdsRecord
            if isFresh || isOver, closesIdle {
                closeIfIdle(connection)
            } else if isFresh || isBegun || isOver {
                settle(connection)
            }
            // Something came that was no request, and it looked busy as long.
            if pointee.isAcceptPaused, connection.pointee.isIdle { offerPlace(of: connection) }
            return true
        case EPIPE: fail(connection, .clientClosed)
        case EPROTO: fail(connection, .protocolError)
        case ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH: fail(connection, .clientReset)
        default: fail(connection, .io)
        }
        return true
    }

    /// Serves what is in the worker's input. False: the loop was lost.
    func process(_ connection: ConnectionRef, count: Int) -> Bool {
        let worker = pointee.worker
        let window = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(worker.pointee.input)[..<count])
        var position = 0
        var end = count
        let before = connection.pointee.requests
        worker.pointee.connection = connection
        while true {
            if connection.pointee.current == nil {
                if position >= end || connection.pointee.flags.contains(.closing) { break }
                // A client may send bodies before it reads, and would fill our memory with the answers to
                // what comes behind each.
                if connection.pointee.interest.contains(.writable) { break }
                guard takeExchange(for: connection) != nil else {
                    close(connection)
                    return true
                }
            }
            guard let exchange = connection.pointee.current else { break }
            if exchange.pointee.stage == .readingHead {
                guard let isComplete = readHead(exchange, window, &position) else {
                    return finishRefusal(exchange)
                }
                if !isComplete {
                    if passOver(exchange, window[position...]) { position = count }
                    break
                }
            }
            // Also right behind its head: nothing more may come to wake the connection. Of a request without
            // a body nothing is taken: what follows is the next one.
            if position < count, exchange.pointee.bodyEnd == .open, exchange.takesInput {
                guard feed(exchange, window, &position) else { return finishRefusal(exchange) }
            }
            if exchange.pointee.stage == .readingBody, exchange.pointee.bodyMode == .buffer,
                exchange.pointee.bodyEnd == .open
            {
                askForBody(exchange)
                break
            }
            worker.pointee.rest = UnsafeRawBufferPointer(rebasing: window[position...])
            switch serve(exchange) {
            case .next:
                // Behind the first one, which may have been a body.
                if end == count { end = min(position + share(connection), count) }
                continue
            case .wait: break
            case .gone: return true
            case .lost: return false
            }
            break
        }
        // The handler met the end of its connection in a call, and its hooks are still to run elsewhere: the
        // place may be another's next.
        if connection.pointee.descriptor < 0 { return true }
        guard keepRest(connection, window[position...]) else { return true }
        notePipeline(connection, served: connection.pointee.requests &- before)
        return flushAndSettle(connection)
    }

    /// Input for later. False: there is no memory, and the connection has ended: without these bytes what
    /// follows would mean something else.
    private func keepRest(_ connection: ConnectionRef, _ rest: Slice<UnsafeRawBufferPointer>) -> Bool {
        if rest.isEmpty { return true }
        connection.pointee.input.append(UnsafeRawBufferPointer(rebasing: rest))
        if connection.pointee.input.failed { fail(connection, .io) }
        return connection.pointee.descriptor >= 0
    }

    /// Old clients send a line end behind a body, for which a server should have no answer (RFC 9112 section
    /// 2.2): the connection stays idle. Once; after that it is the begin of a head, which has its time.
    private func passOver(_ exchange: ExchangeRef, _ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard let connection = exchange.pointee.connection, connection.pointee.requests > 0,
            connection.pointee.passedOver == 0, isBlankLine(bytes)
        else { return false }
        connection.pointee.passedOver = UInt8(truncatingIfNeeded: bytes.count)
        connection.pointee.current = nil
        letGo(exchange)
        return true
    }

    private func isBlankLine(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard bytes.last == 0x0a else { return false }
        return bytes.count == 2 ? bytes.first == 0x0d : bytes.count == 1
    }

    /// Starts the handler where it has not run yet, then sees what the exchange needs.
    private func serve(_ exchange: ExchangeRef) -> Step {
        if exchange.pointee.stage == .readingBody {
            exchange.pointee.stage = .serving
            // The end was seen while an earlier request was served: nobody else would tell this one of it.
            if exchange.pointee.connection?.pointee.flags.contains(.peerClosed) == true {
                exchange.noteGone()
            }
            switch run(exchange, .handler) {
            case .done: break
            case .passedOn: return .next
            case .queued: return .wait
            case .lost: return .lost
            }
        }
        return advance(exchange)
    }

    func flushAndSettle(_ connection: ConnectionRef) -> Bool {
        // Who waits for room is served when epoll says there is some. A further try could succeed here, where
        // nobody would see to what the exchange needs next, and epoll would have nothing more to say.
        if connection.pointee.interest.contains(.writable), connection.pointee.current != nil {
            if block(connection, progressed: false) == .blocked, hasBodyToRead(connection),
                connection.pointee.current?.takesInput == true
            {
                // A client may want to send all of its body before it reads.
                watchReading(connection, true)
            }
            return true
        }
        switch flush(connection) {
        case .drained:
            if connection.pointee.flags.contains(.closing), connection.pointee.current == nil {
                closeGently(connection)
            } else if connection.pointee.current == nil, !connection.pointee.input.isEmpty {
                yield(connection)
            } else if closesIdle {
                closeIfIdle(connection)
            } else {
                settle(connection)
            }
        case .blocked, .dead: break
        }
        return true
    }

    /// The client will send no more. False: the loop was lost.
    private func peerClosed(_ connection: ConnectionRef) -> Bool {
        connection.pointee.flags.insert(.peerClosed)
        guard let exchange = connection.pointee.current else {
            if connection.pointee.isDrained {
                // Gently: a client that said close_notify is owed ours.
                closeGently(connection)
                return true
            } else {
                connection.pointee.flags.insert(.closing)
            }
            setInterest(connection, connection.pointee.interest.subtracting([.readable, .peerClosed]))
            return true
        }
        switch exchange.pointee.stage {
        case .readingHead, .readingBody:
            // Answers to earlier requests are sent first; then the end is read once more (see settle).
            if connection.pointee.owesEarlier {
                setInterest(connection, connection.pointee.interest.subtracting([.readable, .peerClosed]))
                // That of a TLS session alone would not be told a second time.
                if connection.pointee.tls != nil {
                    SystemCalls.shutdownReading(connection.pointee.descriptor)
                }
            } else {
                fail(connection, .clientClosed)
            }
            return true
        case .serving, .hooking, .finished:
            setInterest(connection, connection.pointee.interest.subtracting([.readable, .peerClosed]))
            exchange.noteGone()
            return exchange.takesInput ? failBody(exchange, .gone) : true
        }
    }

    /// The peer's FIN, seen while nothing is read. It may only have closed its sending side: answers still go
    /// out.
    func noticePeerClosed(_ connection: ConnectionRef) {
        connection.pointee.flags.insert(.peerClosed)
        if connection.pointee.interest.contains(.readable) {
            // The room that came with it let reading begin: the end is read in its turn, behind what stands
            // ahead of it. Nothing else would end an idle connection before its time.
            setInterest(connection, connection.pointee.interest.subtracting([.peerClosed]))
            let isServing = connection.pointee.current?.pointee.stage != .readingHead
            if isServing { connection.pointee.current?.noteGone() }
            return
        }
        setInterest(connection, connection.pointee.interest.subtracting([.readable, .peerClosed]))
        connection.pointee.current?.noteGone()
    }

    /// Lingering: what the client still sends is thrown away, so that our answer is not reset under its eyes.
    private func discard(_ connection: ConnectionRef) {
        let room = UnsafeMutableRawBufferPointer(
            rebasing: pointee.worker.pointee.input.prefix(Worker.receiveMax))
        let received = countReceived(SystemCalls.receive(connection.pointee.descriptor, into: room))
        if received == Int(-EAGAIN) { return }
        // A cut waits on: the reset would come ahead of what the client still reads.
        if received == 0, connection.pointee.interest.contains(.writable) {
            return setInterest(connection, [.writable])
        }
        guard received > 0 else { return endLinger(connection) }
        connection.pointee.waitMark &+= Int64(received)
        if connection.pointee.waitMark > pointee.settings.lingerBytes { endLinger(connection) }
    }
}
