// SPDX-License-Identifier: MIT
// ServerLending - threads that the host lends, and when it should lend one more.
// Room: Server.

internal import Synchronization

extension Server {
    /// The calling thread is one of the server's until it has stopped: for a loop that is short of them, or
    /// the one that has fewest.
    func lend() throws(ServerError) {
        let loop = try gate.withLock { () throws(ServerError) -> ServerLoop in
            guard !isStepped else {
                throw ServerError(kind: .state, text: "the host steps this server: it needs no threads")
            }
            guard !isMember else {
                throw ServerError(kind: .state, text: "a handler's thread is the server's already")
            }
            // Who comes behind a stop ends a loop that nobody else has come to.
            let needs = loops.map { ($0.crew.hasEnded ? 1 : 0, -$0.crew.need, $0.lentCount, $0) }
            let neediest = needs.min { ($0.0, $0.1, $0.2) < ($1.0, $1.1, $1.2) }?.3 ?? loops[0]
            neediest.lentCount += 1
            neediest.isManned.store(true, ordering: .relaxed)
            return neediest
        }
        defer { gate.withLock { loop.lentCount -= 1 } }
        // Never the first of its loop, whose worker was made with the server: the loop stays manned.
        guard loop.crew.lend() else { throw ServerError(kind: .noMemory, text: "out of memory") }
    }

    var isAskedForShort: Bool { shortAskers.load(ordering: .relaxed) > 0 }

    /// Whoever waits shall look again.
    func noteShort() { shortEvent.pointee.signal() }
    private var shortEvent: UnsafeMutablePointer<FutexEvent> { loops[0].crew.shortEvent }

    /// Waits until requests lack a lent thread. false: the time has passed. nil: the server has stopped.
    func waitUntilShort(milliseconds: Int64) throws(ServerError) -> Bool? {
        guard loops.allSatisfy({ !$0.crew.makesThreads }) else {
            throw ServerError(
                kind: .state, text: "no thread is lent to this server: option lent_threads is off")
        }
        guard !isMember else {
            throw ServerError(kind: .state, text: "a handler cannot wait for the server that runs it")
        }
        let deadline =
            milliseconds < 0
            ? Int64.max : Clock.monotonicNanoseconds &+ min(milliseconds, 1 << 40) * 1_000_000
        shortAskers.wrappingAdd(1, ordering: .relaxed)
        defer { shortAskers.wrappingSubtract(1, ordering: .relaxed) }
        while true {
            let ticket = shortEvent.pointee.ticket
            if loops.contains(where: { $0.crew.isShort() }) { return true }
            if loops.allSatisfy({ $0.crew.hasEnded }) { return nil }
            let left = deadline == Int64.max ? -1 : deadline - Clock.monotonicNanoseconds
            if deadline != Int64.max, left <= 0 { return false }
            shortEvent.pointee.wait(since: ticket, nanoseconds: left)
        }
    }
}
