// SPDX-License-Identifier: MIT
// ExchangeInterim - informational answers, output sent early, and the trailers of the request.
// Room: Connection. Spec: RFC 9110 section 15.2 and 6.5. Thread: any, under the exchange's lock.

internal import CSystem
internal import Synchronization

extension UnsafeMutablePointer<Exchange> {
    /// An informational answer ahead of the real one. Clients of HTTP/1.0 know none and get none.
    func inform(_ status: Int32, _ fields: UnsafeRawBufferPointer) -> HostResult {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard pointee.response == .none, !pointee.isAborted, pointee.stage == .serving else {
            return pointee.isGone ? goneResult : .wrongState
        }
        guard pointee.descriptor >= 0 else { return goneResult }
        let before = pointee.out.count
        do throws(ResponseError) {
            try HTTP1ResponseWriter.writeInterim(status: Int(status), fields: fields, into: &pointee.out)
        } catch {
            return error == .badStatus ? .badArgument : .badField
        }
        guard pointee.head.minorVersion >= 1, pointee.reactor.pointee.settings.maxMinorVersion >= 1 else {
            pointee.out.truncate(to: before)
            return .ok
        }
        if status == 100 { pointee.wantsContinue = false }
        let count = pointee.out.count - before
        pointee.account.queueFraming(count)
        pointee.interimBytes &+= UInt64(count)
        postIfUnattended()
        return pointee.out.failed ? .outOfMemory : .ok
    }

    /// What is queued goes to the kernel now. Elsewhere than in a handler on the loop it is on its way.
    func flushOutput() -> HostResult {
        pointee.lock.lock()
        let isServing = pointee.stage == .serving && !pointee.isAborted
        let isCut = pointee.isGone && pointee.descriptor < 0
        let holdsLoop = pointee.isAttended && pointee.runner == Thread.current
        let worker = pointee.worker
        pointee.lock.unlock()
        if isCut { return goneResult }
        guard isServing else { return .wrongState }
        guard holdsLoop, let worker else { return .ok }
        // Back in library code for a moment. Who has taken the loop away meanwhile has sent it.
        let reactor = pointee.reactor
        let isHeld = reactor.interruptHost(worker) {
            if let connection = pointee.connection { _ = reactor.push(self, connection) }
        }
        guard isHeld else { return .ok }
        return withLock { pointee.isGone && pointee.descriptor < 0 } ? goneResult : .ok
    }

    /// Lock held. The pairs that came behind a chunked body; nil: none, or not yet.
    var bodyTrailers: UnsafeRawBufferPointer? {
        guard pointee.bodyEnd == .complete, !pointee.trailers.isEmpty, !pointee.environ.isRefused else {
            return nil
        }
        if pointee.trailerPairs.isEmpty {
            pointee.trailers.withSpan { HTTP1Trailers.writePairs($0, into: &pointee.trailerPairs) }
            // One more, so that the block is followed by a NUL byte whatever its length.
            pointee.trailerPairs.append(0)
        }
        let pairs = pointee.trailerPairs.readable
        guard pairs.count > 1, !pointee.trailerPairs.failed else { return nil }
        return UnsafeRawBufferPointer(rebasing: pairs.dropLast())
    }
}
