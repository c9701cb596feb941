// SPDX-License-Identifier: MIT
// ConnectionSegment - sends memory of the host and parts of files from where they lie.
// Room: Connection. Spec: sendfile(2). Order on the wire: see ConnectionOutput.

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<Reactor> {
    /// Several packets, whatever their size.
    private static var largeBody: Int { 64 << 10 }
    /// A piece to read and encrypt at a time.
    static var fileReadMax: Int { 32 << 10 }

    /// The batch, then the segment at the front of the current exchange; a plain socket.
    @inline(never)
    func flushSegment(_ connection: ConnectionRef) -> Flushed {
        guard let exchange = connection.pointee.current, let segment = exchange.pointee.segment else {
            return flush(connection)
        }
        if let stopped = sendHead(connection, ahead: segment) { return stopped }
        return segment.pointee.isFile
            ? flushFile(connection, exchange, segment) : flushMemory(connection, exchange, segment)
    }

    /// The batch ahead of a file, or of memory that is better sent without it; nil when it is gone.
    ///
    /// The kernel may wait for the file to fill the packet. Not so under bbr, see
    /// docs/decisions/0009-heads-and-bbr.md.
    private func sendHead(_ connection: ConnectionRef, ahead segment: SegmentRef) -> Flushed? {
        let worker = pointee.worker
        let batchCount = worker.pointee.batch.count
        let isPaced = connection.pointee.flags.contains(.headAhead)
        guard batchCount > 0,
            segment.pointee.isFile || isPaced && segment.pointee.bytes.count >= Self.largeBody
        else { return nil }
        let bytes = worker.pointee.batch.readable
        let sent =
            isPaced
            ? SystemCalls.send(connection.pointee.descriptor, bytes)
            : SystemCalls.sendMore(connection.pointee.descriptor, bytes)
        guard sent >= 0 else { return sendFailed(connection, -sent) }
        worker.pointee.batch.consume(sent)
        book(connection, sent)
        return sent < batchCount ? block(connection, progressed: sent > 0) : nil
    }

    private func flushMemory(
        _ connection: ConnectionRef, _ exchange: ExchangeRef, _ segment: SegmentRef
    ) -> Flushed {
        let worker = pointee.worker
        let batchCount = worker.pointee.batch.count
        let count = segment.pointee.bytes.count
        let sent = sendBatch(connection, behind: segment.pointee.bytes)
        if sent == 0 { return block(connection, progressed: true) }
        guard sent >= 0 else { return sendFailed(connection, -sent) }
        let fromBatch = min(sent, batchCount)
        worker.pointee.batch.consume(fromBatch)
        segment.pointee.advance(sent - fromBatch)
        book(connection, sent)
        if sent < batchCount + count { return block(connection, progressed: sent > 0) }
        exchange.finishSegment()
        return flush(connection)
    }

    private func flushFile(
        _ connection: ConnectionRef, _ exchange: ExchangeRef, _ segment: SegmentRef
    ) -> Flushed {
        var progressed = false
        while !segment.pointee.isTaken {
            let wanted = share(connection, of: Int(clamping: segment.pointee.left))
            guard wanted > 0 else { return block(connection, progressed: true) }
            let sent = SystemCalls.sendFile(
                connection.pointee.descriptor, segment.pointee.descriptor, segment.pointee.offset, wanted)
            if sent == -Int(EAGAIN) {
                return block(connection, progressed: progressed)
            }
            guard sent >= 0 else { return sendFailed(connection, -sent) }
            guard sent > 0 else { return fileEnded(connection, exchange, segment) }
            segment.pointee.advance(sent)
            progressed = true
            book(connection, sent)
        }
        exchange.finishSegment()
        return flush(connection)
    }

    /// It has become shorter since it was handed over: only a cut tells the client.
    @inline(never)
    func fileEnded(_ connection: ConnectionRef, _ exchange: ExchangeRef, _ segment: SegmentRef) -> Flushed {
        pointee.delegate.log(
            .warn,
            "the file of the answer to request \(exchange.pointee.id) ended \(segment.pointee.left) bytes "
                + "too early")
        fail(connection, .handlerError)
        return .dead
    }

    private func book(_ connection: ConnectionRef, _ count: Int) {
        countSent(connection, count)
        didSend(connection, UInt64(count))
    }

    /// A writer that was told to slow down may go on: its callback runs in the next turn, behind others.
    @inline(never)
    func postIfWritable(_ exchange: ExchangeRef) {
        if exchange.withLock({ exchange.isWritableDue && !exchange.pointee.isRunning }) { post(exchange) }
    }
}
