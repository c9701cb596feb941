// SPDX-License-Identifier: MIT
// ServerLoop - one loop of a server: its listeners, its reactor, its threads and its access lines.
// Room: Server.

internal import Synchronization

/// Ownership: of its server, which outlives it. Thread: any, as far as its parts are.
final class ServerLoop: ReactorDelegate, @unchecked Sendable {
    let crew: Crew
    let reactor: ReactorRef
    /// SAFETY: the server owns its loops and frees them last; a counted reference would be a cycle.
    private unowned(unsafe) let server: Server
    private let accessReport: AccessReport?
    /// Threads of the host that chose this loop; under the server's gate.
    var lentCount = 0
    /// A thread is here, or on its way: others may send clients here. Where only lent threads serve, none may
    /// ever come.
    let isManned: Atomic<Bool>

    init(_ server: Server, _ settings: Settings, _ listeners: [Listener], _ configuration: Configuration)
        throws(ServerError)
    {
        do throws(OptionError) {
            accessReport = try AccessReport(configuration, gate: server.accessGate)
        } catch {
            throw ServerError(kind: .value, text: error.text)
        }
        self.server = server
        crew = Crew(
            limit: configuration.options.threads,
            waitingLimit: configuration.options.waitingThreads, headMax: settings.limits.headerBytesMax,
            makesThreads: !configuration.options.lentThreads)
        isManned = Atomic(crew.makesThreads)
        var error: Int32 = 0
        // Before all members are set: a deinit would else find a reactor that was never made.
        guard let worker = crew.makeFirstWorker(), let loop = EventLoop(error: &error) else {
            let why = error == 0 ? "out of memory" : SystemCalls.text(of: error)
            throw ServerError(kind: .noMemory, text: "cannot make an event loop: \(why)")
        }
        reactor = .allocate(capacity: 1)
        reactor.initialize(
            to: Reactor(
                loop: loop, settings: settings, listeners: listeners, worker: worker, delegate: self))
    }

    deinit {
        reactor.deinitialize(count: 1)
        reactor.deallocate()
    }

    var isStopping: Bool { reactor.pointee.stopRequest.load(ordering: .relaxed) != 0 }

    /// `wanted` as Reactor.stopRequest has it. A second call may shorten the grace, never lengthen it.
    func stop(_ wanted: Int64) {
        var seen = reactor.pointee.stopRequest.load(ordering: .relaxed)
        while seen == 0 || seen == 1 || (wanted != 1 && wanted < seen) {
            if seen == 1, wanted == 1 { break }
            let result = reactor.pointee.stopRequest.compareExchange(
                expected: seen, desired: wanted, ordering: .acquiringAndReleasing)
            if result.exchanged { break }
            seen = result.original
        }
        reactor.wake()
        crew.noteStop()
    }

    func reopenLog() throws(OptionError) { try accessReport?.reopen() }
    func flushLog() -> Bool { accessReport?.flush() ?? false }
    func beginEndOfLog(by moment: Int64) { accessReport?.beginEnd(by: moment) }

    /// Connections it has, or is about to have.
    private var load: Int { reactor.pointee.placesTaken.load(ordering: .relaxed) }

    // MARK: What the reactor asks

    /// Which loop accepts is chance, and often the same one again; connections stay where they are for long.
    func lighterLoop() -> ReactorRef? {
        let lightest = lightestOther
        // The newcomer has its place here by now.
        guard let lightest, load > lightest.load &+ 2 &+ lightest.load / 16 else { return nil }
        return lightest.reactor.takePlace() ? lightest.reactor : nil
    }

    func loopWithPlace() -> ReactorRef? {
        others.first { $0.reactor.takePlace() }?.reactor
    }

    private var others: some Sequence<ServerLoop> {
        server.loops.lazy.filter { $0 !== self && $0.isManned.load(ordering: .relaxed) }
    }

    private var lightestOther: ServerLoop? { others.min { $0.load < $1.load } }

    func askOthersToAccept() {
        for loop in others { loop.reactor.askToAccept() }
    }

    var owner: AnyObject { server }
    var isMember: Bool { server.isMember || server.isStepper }
    func mustQueue() -> Bool { crew.mustQueue }
    func enqueue(_ exchange: ExchangeRef) -> Bool { crew.enqueue(exchange) }
    func handOver(_ worker: WorkerRef, ticket: UInt64) -> Bool { crew.handOver(worker, ticket: ticket) }
    func givePlace() -> Bool { crew.givePlace() }
    func takePlace() { crew.takePlace() }
    func wakeWatcher() { crew.wakeWatcher() }
    func finished(_ exchange: ExchangeRef) {
        // Another loop may be in the callback, and wait for the lock.
        if server.accessGate != nil { giveHostLock() }
        accessReport?.write(exchange)
    }
    func turnEnded() { if flushLog() { server.linesWait() } }
    func wasCut() { server.pullQueue?.releaseRequests() }
    func ended() {
        server.pullQueue?.noteEnd()
        server.noteShort()
        if server.loops[0] !== self { server.loops[0].reactor.wake() }
    }
    /// The first loop has the timers and what is posted to no request: it outlives the others, whose requests
    /// may wait for either. A loop that no thread was lent to does not count: it may never end.
    var mayEnd: Bool {
        guard server.loops[0] === self else { return true }
        return server.loops.dropFirst().allSatisfy { $0.crew.hasEnded || !$0.crew.hasMembers }
    }
    func wants(_ level: LogLevel) -> Bool { server.eventLog.wants(level) }
    func log(_ level: LogLevel, _ text: String) {
        if server.eventLog.wants(level) { giveHostLock() }
        server.log(level, text)
    }

    /// Before the holder waits for somebody who may be waiting for the host's lock.
    private func giveHostLock() { reactor.pointee.worker.giveHostLock(reactor.pointee.settings.hostLock) }
}
