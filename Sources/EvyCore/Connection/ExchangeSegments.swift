// SPDX-License-Identifier: MIT
// ExchangeSegments - takes pieces of an answer that are not copied: memory lent by the host, parts of files.
// Room: Connection. Thread: any, under the exchange's lock; drop functions are called with the lock free.

extension UnsafeMutablePointer<Exchange> {
    /// Below this a copy costs less than the books of a segment.
    private static var worthwhileCount: Int { 4096 }

    /// What is lent with a piece, and how it is given back.
    struct Loan {
        var user: UnsafeMutableRawPointer?
        var drop: DropFunction?

        func end() { drop?(user) }
    }

    /// The whole answer in one call. The loan is ended sooner or later, whatever the result.
    func respond(_ start: ResponseStart, lent body: UnsafeRawBufferPointer, _ loan: Loan) -> HostResult {
        guard body.count >= Self.worthwhileCount else {
            let result = respond(start, body: body)
            loan.end()
            return result
        }
        guard let segment = SegmentRef.memory(body, loan.user, loan.drop) else {
            loan.end()
            return .outOfMemory
        }
        pointee.lock.lock()
        var result = writeStart(start, bodyLength: UInt64(body.count))
        let isTaken = result == .ok && pointee.plan.body != .none
        if isTaken {
            queue(segment)
            pointee.account.queueBody(body.count)
        }
        if result == .ok { result = finishOutput() }
        pointee.lock.unlock()
        if !isTaken { segment.release() }
        return result
    }

    /// A piece of a streamed answer. The loan is ended sooner or later, whatever the result.
    func write(lent data: UnsafeRawBufferPointer, _ loan: Loan) -> HostResult {
        guard data.count >= Self.worthwhileCount else {
            let result = write(data)
            loan.end()
            return result
        }
        guard let segment = SegmentRef.memory(data, loan.user, loan.drop) else {
            loan.end()
            return .outOfMemory
        }
        return write(segment, Int64(data.count))
    }

    /// Part of a regular file; length -1: to its end. The descriptor stays the host's.
    func write(file: Int32, offset: Int64, length: Int64) -> HostResult {
        guard file >= 0, offset >= 0, length >= -1 else { return .badArgument }
        var size: Int64 = 0
        let copy = SystemCalls.adoptFile(file, size: &size)
        guard copy >= 0 else { return SystemCalls.isShortage(copy) ? .outOfMemory : .badArgument }
        guard offset <= size, length <= size - offset else {
            SystemCalls.close(copy)
            return .badArgument
        }
        let count = length < 0 ? size - offset : length
        guard let segment = SegmentRef.file(copy, offset: offset, count: count) else { return .outOfMemory }
        return write(segment, count)
    }

    private func write(_ segment: SegmentRef, _ whole: Int64) -> HostResult {
        var count = whole
        pointee.lock.lock()
        let refusal = admit(&count)
        let isTaken = refusal == nil && count > 0 && pointee.plan.body != .none
        if isTaken {
            segment.pointee.cut(to: count)
            append(segment, Int(count))
        }
        let result = refusal ?? afterWrite()
        pointee.lock.unlock()
        if !isTaken { segment.release() }
        return result
    }

    /// Lock held.
    private func append(_ segment: SegmentRef, _ count: Int) {
        if case .chunked = pointee.plan.body {
            appendFraming { HTTP1ResponseWriter.writeChunkHeader(byteCount: count, into: &$0) }
            queue(segment)
            pointee.account.queueBody(count)
            appendFraming { $0.append("\r\n") }
        } else {
            queue(segment)
            pointee.account.queueBody(count)
        }
    }

    /// Several pieces as one, copied. nil: their lengths do not add up to a length.
    func write(_ pieces: some RandomAccessCollection<UnsafeRawBufferPointer>) -> HostResult? {
        var total: Int64 = 0
        for piece in pieces {
            let (sum, overflow) = total.addingReportingOverflow(Int64(piece.count))
            guard !overflow else { return nil }
            total = sum
        }
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        var count = total
        if let refusal = admit(&count) { return refusal }
        guard count > 0, pointee.plan.body != .none else { return afterWrite() }
        let isChunked = pointee.plan.body == .chunked
        if isChunked {
            appendFraming { HTTP1ResponseWriter.writeChunkHeader(byteCount: Int(count), into: &$0) }
        }
        for piece in pieces where count > 0 {
            let part = UnsafeRawBufferPointer(rebasing: piece.prefix(Int(count)))
            appendBody(part)
            count -= Int64(part.count)
        }
        if isChunked { appendFraming { $0.append("\r\n") } }
        return afterWrite()
    }
}
