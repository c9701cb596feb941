// SPDX-License-Identifier: MIT
// ConnectionTLS - carries cipher bytes between the socket and the connection's TLS session.
// Room: Connection. Spec: design of Transport/TLSSession: windows are lent for one call.

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<Reactor> {
    /// False: out of memory.
    func beginTLS(_ connection: ConnectionRef, _ provider: TLSProvider) -> Bool {
        guard let session = TLSSession(context: provider.current),
            let room = malloc(MemoryLayout<TLSState>.stride)
        else {
            return false
        }
        let state = room.bindMemory(to: TLSState.self, capacity: 1)
        state.initialize(to: TLSState(session: session))
        connection.pointee.tls = state
        connection.pointee.flags.insert(.handshaking)
        return true
    }

    func endTLS(_ connection: ConnectionRef) {
        guard let state = connection.pointee.tls else { return }
        connection.pointee.tls = nil
        if connection.pointee.flags.contains(.handshaking) { pointee.counters.add(.tlsFailures) }
        state.deinitialize(count: 1)
        free(state)
    }

    /// Plain bytes received, 0 at the end of the stream, or -errno: as a plain receive would.
    func receiveTLS(_ connection: ConnectionRef, into room: UnsafeMutableRawBufferPointer) -> Int {
        guard let state = connection.pointee.tls, let rooms = pointee.worker.pointee.cipherRooms() else {
            return -Int(ENOMEM)
        }
        // OpenSSL may still hold a record of earlier input: room for its plain bytes as well.
        // A receive full of messages that carry nothing costs more than one full of data.
        let share = state.pointee.isSparse ? Self.sparseReceiveMax : rooms.input.count
        let bound = min(share, max(room.count - TLSSession.heldPlainMax, 1))
        let received = countReceived(
            SystemCalls.receive(
                connection.pointee.descriptor,
                into: UnsafeMutableRawBufferPointer(rebasing: rooms.input[..<bound])))
        guard received >= 0 else { return received }
        defer { state.pointee.session.releaseWindows() }
        if received == 0 { state.pointee.session.endInput() }
        state.pointee.session.setInput(UnsafeRawBufferPointer(rebasing: rooms.input[..<received]))
        state.pointee.session.setOutput(rooms.output)
        if connection.pointee.flags.contains(.handshaking) {
            var progress = state.pointee.session.handshake()
            while progress == .wantsWrite {
                let sent = sendCipher(connection, state, rooms.output)
                guard sent >= 0 else { return sent }
                state.pointee.session.setOutput(rooms.output)
                progress = state.pointee.session.handshake()
            }
            guard progress == .done else {
                // What it has to say (or its alert) goes out first.
                let sent = sendCipher(connection, state, rooms.output)
                return sent < 0 ? sent : handshakeStep(connection, progress)
            }
            connection.pointee.flags.remove(.handshaking)
            state.pointee.facts = TLSFactsRef.make(state.pointee.session)
            pointee.counters.add(.tlsHandshakes)
        }
        var count = 0
        let progress = state.pointee.session.read(into: room, count: &count)
        state.pointee.isSparse = received >= Self.sparseReceiveMax && count < received / 8
        let sent = sendCipher(connection, state, rooms.output)
        guard sent >= 0 else { return sent }
        if count > 0 {
            // The end came behind the data. The socket would say nothing more of it, so that the connection
            // would wait for its deadline, and a client for our close_notify.
            if progress.isEnd { SystemCalls.shutdownReading(connection.pointee.descriptor) }
            return count
        }
        switch progress {
        case .done, .wantsRead, .wantsWrite: return -Int(EAGAIN)
        case .closed: return 0
        case .failed(let failure):
            logDebug { "\(connection.pointee.peer.text) \(failure.text)" }
            switch failure.kind {
            case .truncated, .abandoned: return 0
            case .ours: return -Int(EIO)
            default: return -Int(EPROTO)
            }
        }
    }

    private func handshakeStep(_ connection: ConnectionRef, _ progress: TLSSession.Progress) -> Int {
        switch progress {
        case .done, .wantsRead, .wantsWrite: return -Int(EAGAIN)
        case .closed: return 0
        case .failed(let failure):
            // A wrong scheme is a wrong configuration somewhere, so it is worth more than a debug line.
            if failure.kind == .plainHTTP {
                pointee.delegate.log(.info, "\(connection.pointee.peer.text) \(failure.text)")
            } else {
                logDebug { "\(connection.pointee.peer.text) \(failure.text)" }
            }
            return -Int(EIO)
        }
    }

    /// While a receive brings so little: 4.75 us for each key update of 27 bytes.
    private static var sparseReceiveMax: Int { 4 << 10 }
    /// Of answers to messages that a client sends on and on without reading. What is our own to say is never
    /// more than two rooms.
    private static var cipherBacklogMax: Int { 256 << 10 }

    /// Sends the session's output; what the socket does not take is kept. How much that is, or -errno.
    private func sendCipher(
        _ connection: ConnectionRef, _ state: UnsafeMutablePointer<TLSState>,
        _ room: UnsafeMutableRawBufferPointer
    ) -> Int {
        let cipher = UnsafeRawBufferPointer(rebasing: room[..<state.pointee.session.outputCount])
        guard !cipher.isEmpty else { return state.pointee.backlog.count }
        var sent = 0
        if state.pointee.backlog.isEmpty {
            sent = SystemCalls.send(connection.pointee.descriptor, cipher)
            if sent == -Int(EAGAIN) { sent = 0 }
            guard sent >= 0 else { return sent }
            countSent(connection, sent)
            guard sent < cipher.count else { return 0 }
            watchWriting(connection, true)
        } else if state.pointee.backlog.count > Self.cipherBacklogMax {
            logDebug { "\(connection.pointee.peer.text) makes TLS answer on and on, and does not read" }
            return -Int(EPROTO)
        }
        state.pointee.backlog.append(UnsafeRawBufferPointer(rebasing: cipher[sent...]))
        return state.pointee.backlog.failed ? -Int(ENOMEM) : state.pointee.backlog.count
    }

    func flushTLS(_ connection: ConnectionRef) -> Flushed {
        guard let state = connection.pointee.tls else { return .dead }
        let worker = pointee.worker
        let sentBefore = connection.pointee.socketSent
        while true {
            if !state.pointee.backlog.isEmpty {
                let flushed = flushCipherBacklog(connection, state)
                guard flushed == .drained else { return flushed }
            }
            let source = plainSource(connection)
            guard source != .none else { break }
            if source == .exchange || source == .segment, share(connection, of: .max) == 0 {
                return block(connection, progressed: true)
            }
            guard let rooms = worker.pointee.cipherRooms() else { return sendFailed(connection, Int(ENOMEM)) }
            state.pointee.session.setOutput(rooms.output)
            let taken =
                source == .segment
                ? encryptSegment(connection, state, rooms.input) : encrypt(connection, state, source)
            if taken == Self.endOfFile, let exchange = connection.pointee.current,
                let segment = exchange.pointee.segment
            {
                state.pointee.session.releaseWindows()
                return fileEnded(connection, exchange, segment)
            }
            let isStuck = taken == 0 && state.pointee.session.outputCount == 0
            let left = sendCipher(connection, state, rooms.output)
            state.pointee.session.releaseWindows()
            if isStuck {
                // OpenSSL writes nothing until the rest has come, which no client lets us wait for.
                logDebug { "\(connection.pointee.peer.text) asks in the midst of a TLS message" }
                return sendFailed(connection, Int(EPROTO))
            }
            guard left >= 0, taken >= 0 else { return sendFailed(connection, -min(left, taken)) }
            state.pointee.plainInFlight &+= UInt64(taken)
            if left > 0 {
                return block(connection, progressed: connection.pointee.socketSent != sentBefore)
            }
            bookFlight(connection, state)
        }
        if connection.pointee.interest.contains(.writable) { watchWriting(connection, false) }
        return .drained
    }

    /// Plain bytes count as sent once their cipher bytes are all with the kernel.
    private func bookFlight(_ connection: ConnectionRef, _ state: UnsafeMutablePointer<TLSState>) {
        let plain = state.pointee.plainInFlight
        state.pointee.plainInFlight = 0
        didSend(connection, plain)
    }

    private func flushCipherBacklog(
        _ connection: ConnectionRef, _ state: UnsafeMutablePointer<TLSState>
    ) -> Flushed {
        let sent = SystemCalls.send(connection.pointee.descriptor, state.pointee.backlog.readable)
        guard sent >= 0 else { return sendFailed(connection, -sent) }
        countSent(connection, sent)
        state.pointee.backlog.consume(sent)
        guard state.pointee.backlog.isEmpty else { return block(connection, progressed: sent > 0) }
        state.pointee.backlog.clear(keepingCapacity: 0)
        bookFlight(connection, state)
        return .drained
    }

    private enum Source { case none, backlog, batch, exchange, segment }

    private func plainSource(_ connection: ConnectionRef) -> Source {
        if !connection.pointee.backlog.isEmpty { return .backlog }
        if !pointee.worker.pointee.batch.isEmpty { return .batch }
        guard let exchange = connection.pointee.current else { return .none }
        if !exchange.pointee.sending.isEmpty { return .exchange }
        return exchange.pointee.segment == nil ? .none : .segment
    }

    /// Plain bytes encrypted from the source, or -errno. Two records at a time: after a reset the books are
    /// then wrong by no more than what was not yet with the kernel.
    private func encrypt(
        _ connection: ConnectionRef, _ state: UnsafeMutablePointer<TLSState>, _ source: Source
    ) -> Int {
        let plain: UnsafeRawBufferPointer
        switch source {
        case .none, .segment: return 0
        case .backlog: plain = connection.pointee.backlog.readable
        case .batch: plain = pointee.worker.pointee.batch.readable
        case .exchange:
            plain =
                connection.pointee.current?.pointee.sending.readable ?? connection.pointee.backlog.readable
        }
        var count = 0
        let progress = state.pointee.session.write(
            UnsafeRawBufferPointer(rebasing: plain.prefix(32 << 10)), count: &count)
        switch source {
        case .none, .segment: break
        case .backlog: connection.pointee.backlog.consume(count)
        case .batch: pointee.worker.pointee.batch.consume(count)
        case .exchange:
            connection.pointee.current?.consumeSending(count)
        }
        return failed(connection, progress) ?? count
    }

    /// -errno where the session is at its end; what the peer breaks is mostly seen in reading.
    private func failed(_ connection: ConnectionRef, _ progress: TLSSession.Progress) -> Int? {
        guard case .failed(let failure) = progress else { return nil }
        logDebug { "\(connection.pointee.peer.text) \(failure.text)" }
        return -Int(EIO)
    }

    private static var endOfFile: Int { .min }

    /// The same from memory of the host, or from a file through `room`; also endOfFile.
    private func encryptSegment(
        _ connection: ConnectionRef, _ state: UnsafeMutablePointer<TLSState>,
        _ room: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard let exchange = connection.pointee.current, let segment = exchange.pointee.segment else {
            return -Int(EIO)
        }
        var plain = UnsafeRawBufferPointer(rebasing: segment.pointee.bytes.prefix(Self.fileReadMax))
        if segment.pointee.isFile {
            let wanted = min(Self.fileReadMax, room.count, Int(clamping: segment.pointee.left))
            let piece = UnsafeMutableRawBufferPointer(rebasing: room[..<wanted])
            let found = SystemCalls.read(
                segment.pointee.descriptor, into: piece, at: segment.pointee.offset)
            guard found > 0 else { return found == 0 ? Self.endOfFile : -Int(EIO) }
            plain = UnsafeRawBufferPointer(rebasing: piece[..<found])
        }
        var count = 0
        let progress = state.pointee.session.write(plain, count: &count)
        segment.pointee.advance(count)
        if let failed = failed(connection, progress) { return failed }
        if segment.pointee.isTaken { exchange.finishSegment() }
        return count
    }

    /// close_notify, once. False: a part of it waits for room, which is watched for.
    @discardableResult
    func sayGoodbye(_ connection: ConnectionRef) -> Bool {
        guard let state = connection.pointee.tls, let rooms = pointee.worker.pointee.cipherRooms() else {
            return true
        }
        state.pointee.session.setOutput(rooms.output)
        state.pointee.session.shutdown()
        let left = sendCipher(connection, state, rooms.output)
        state.pointee.session.releaseWindows()
        return left <= 0
    }
}
