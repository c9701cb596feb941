// SPDX-License-Identifier: MIT
// ExchangeHold - references of the host, and waiting without holding up the loop.
// Room: Connection. Thread: any.

internal import Synchronization

extension UnsafeMutablePointer<Exchange> {
    /// The first reference keeps the server alive as well: its memory is where the exchange lives.
    func retain() {
        withLock {
            pointee.hostReferences += 1
            guard !pointee.keepsServer else { return }
            pointee.keepsServer = true
            _ = Unmanaged.passRetained(pointee.reactor.pointee.delegate.owner)
        }
    }

    func release() {
        // A reference of our own: the post may let another thread give the last one back.
        let reactor = pointee.reactor
        let server = reactor.pointee.delegate.owner
        withLock {
            guard pointee.hostReferences > 0 else { return }
            pointee.hostReferences -= 1
            // Inside the lock: once it is free the loop may recycle the exchange.
            if pointee.hostReferences == 0 { postIfUnattended() }
        }
        // Outside the lock, which clearing takes.
        reactor.clearInboxIfClosed()
        withExtendedLifetime(server) {}
    }

    /// Nobody else would serve this exchange while the calling thread waits: its loop goes to another thread.
    /// False: it cannot, so the caller must not wait.
    func letLoopGo() -> Bool {
        if pointee.reactor.pointee.isForked { return false }
        pointee.lock.lock()
        let holdsLoop = pointee.isAttended && pointee.runner == Thread.current
        let runnerWorker = pointee.worker
        pointee.lock.unlock()
        guard holdsLoop, let worker = runnerWorker else {
            // A handler that waits for another request: nobody would serve that one, where no thread may
            // move.
            let reactor = pointee.reactor
            return reactor.pointee.settings.mayMove || !reactor.pointee.delegate.isMember
        }
        let ticket = worker.pointee.ticket
        if pointee.reactor.pointee.delegate.handOver(worker, ticket: ticket) { return true }
        // Lost to the watcher in between is as good; a server with one thread keeps its loop.
        return pointee.reactor.pointee.loop.pointee.lease.observed != ticket
    }

    /// Waits until `attempt` gives something, the client or the time has gone. nil: not so.
    func wait<R>(milliseconds: Int64, _ attempt: () -> R?) -> R? {
        let deadline =
            milliseconds < 0
            ? Int64.max : Clock.monotonicNanoseconds &+ min(milliseconds, 1 << 40) * 1_000_000
        var mayWait = false
        var hasGivenPlace = false
        defer { if hasGivenPlace { pointee.reactor.pointee.delegate.takePlace() } }
        while true {
            let ticket = pointee.changed.ticket
            if let result = attempt() { return result }
            if milliseconds == 0 { return nil }
            if !mayWait {
                guard letLoopGo() else { return nil }
                mayWait = true
            }
            let left = deadline == Int64.max ? -1 : deadline - Clock.monotonicNanoseconds
            if deadline != Int64.max, left <= 0 { return nil }
            if !hasGivenPlace { hasGivenPlace = pointee.reactor.pointee.delegate.givePlace() }
            pointee.changed.wait(since: ticket, nanoseconds: left)
        }
    }

    /// The client has gone: whoever waits, or asks, hears of it.
    func noteGone() {
        withLock { pointee.isGone = true }
        pointee.changed.signal()
        tellGone()
    }
}
