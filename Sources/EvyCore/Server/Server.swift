// SPDX-License-Identifier: MIT
// Server - one server from its sockets to its last log line: what evy_server points to.
// Room: Server.

internal import CSystem
internal import Glibc
internal import Synchronization

struct ServerError: Error {
    enum Kind { case argument, value, bind, noMemory, state, io }
    var kind: Kind
    var text: String
}

/// Ownership: shared by its handle, its threads while they run, and requests the host keeps.
/// Thread:    any; what changes is atomic, behind `gate`, or the reactor's own.
final class Server: @unchecked Sendable {
    enum State { case new, running, joined }

    /// Of each listener: its text, lent to the host, and its real port.
    let addresses: [LentText]
    let ports: [UInt16]
    private let schemes: [String]
    /// Of the last failed call on the handle.
    let errorText = ErrorText()
    /// What the host knows it by; set before anybody else knows the server.
    var handle: OpaquePointer?
    private let configuration: Configuration
    private let texts = SettingTexts()
    /// At least one; complete before the server is anybody's.
    private(set) var loops: [ServerLoop] = []
    /// Access lines come to the host one at a time, whichever loop they are from; nil: from one alone.
    let accessGate: Condition?
    let eventLog: EventLog
    /// Somebody will look at the lines that wait.
    let isLogTimed = Atomic<Bool>(false)
    let gate = Condition()
    /// Under the gate.
    var state = State.new
    /// The host turns the loop itself. Under the gate.
    var isStepped = false
    /// The handle was freed inside a step, which has to bring all to an end.
    let isGivenUp = Atomic<Bool>(false)
    /// The thread that is inside a step, and the one that was last.
    let stepper = Atomic<UInt>(0)
    let lastStepper = Atomic<UInt>(0)
    /// Requests that wait for evy_server_next; nil where a handler gets them.
    let pullQueue: PullQueue?
    /// Threads that wait to be told that one more should be lent.
    let shortAskers = Atomic<Int>(0)
    private let process = evy_process()

    /// Opens, binds and listens: from here on clients can connect, and wait.
    init(_ configuration: Configuration) throws(ServerError) {
        ForkWatch.begin()
        let isPulled = configuration.options.pull
        guard isPulled != (configuration.handler != nil) else {
            let text = isPulled ? "option pull excludes a request handler" : "no request handler was given"
            throw ServerError(kind: .argument, text: text)
        }
        pullQueue = isPulled ? PullQueue() : nil
        guard !configuration.listeners.isEmpty else {
            throw ServerError(kind: .argument, text: "no address to listen on was given")
        }
        // Only the callbacks are needed on. A duplicate of an adopted socket that lived on here would keep
        // its backlog open after the listener was closed.
        var kept = configuration
        kept.listeners = []
        self.configuration = kept
        do throws(OptionError) {
            try configuration.options.check()
            eventLog = try EventLog(configuration)
        } catch {
            throw ServerError(kind: .value, text: error.text)
        }
        let loopCount = configuration.options.loops == 0 ? Thread.processorCount : configuration.options.loops
        accessGate = loopCount > 1 && configuration.access != nil ? Condition() : nil
        let listeners = try ListenerGroup.open(configuration, loopCount: loopCount)
        addresses = listeners[0].map { listener in
            let text = LentText()
            text.set(listener.text)
            return text
        }
        ports = listeners[0].map(\.local.port)
        schemes = listeners[0].map { $0.tls == nil ? "http" : "https" }
        var settings = Settings(configuration, texts: texts)
        settings.connectionsMax = (settings.connectionsMax + loopCount - 1) / loopCount
        settings.sharesListeners = loopCount > 1
        if let pullQueue {
            settings.handler = PullQueue.handler
            settings.handlerUser = pullQueue.pointer
        }
        for own in listeners {
            loops.append(try ServerLoop(self, settings, own, configuration))
        }
    }

    deinit { beginEndOfLogs() }

    var isForked: Bool { evy_process() != process }
    /// Is the calling thread one of the server's?
    var isMember: Bool {
        loops.contains { $0.crew.isMember } || stepper.load(ordering: .relaxed) == Thread.current
    }
    /// Does the calling thread step the server, now or between two steps? While it waits nobody would.
    var isStepper: Bool { lastStepper.load(ordering: .relaxed) == Thread.current }

    // MARK: Life

    func start() throws(ServerError) {
        try begin(onCaller: false)
    }

    /// The calling thread serves until the end.
    func run() throws(ServerError) {
        try begin(onCaller: true)
        // As if lent: whoever waits for the end waits for this thread too.
        loops[0].crew.lend()
        if isForked { return }
        _ = join(until: nil)
        gate.withLock { state = .joined }
    }

    private func begin(onCaller: Bool) throws(ServerError) {
        let isFresh = gate.withLock {
            guard state == .new, !loops[0].isStopping else { return false }
            state = .running
            return true
        }
        guard isFresh else { throw Self.notFresh }
        announce()
        if onCaller { loops[0].isManned.store(true, ordering: .relaxed) }
        for (index, loop) in loops.enumerated() {
            let isOnCaller = onCaller && index == 0
            guard loop.crew.start(loop.reactor, keeping: self, onCaller: isOnCaller) else {
                giveUpStart(started: index)
                throw ServerError(kind: .noMemory, text: "cannot start a thread")
            }
        }
    }

    /// With one loop nothing has begun, and the host may try again; loops that run cannot be had back.
    private func giveUpStart(started: Int) {
        gate.withLock { state = started == 0 ? .new : .running }
        guard started > 0 else {
            if loops[0].isStopping { endUnstarted() }
            return
        }
        for loop in loops[started...] { loop.crew.end() }
        stop(grace: 0)
        // The first one may be meant for the caller, who has not begun.
        if !loops[0].crew.hasMembers { loops[0].crew.work() }
        _ = join(until: nil)
        gate.withLock { state = .joined }
    }

    /// False: the moment (monotonic nanoseconds, nil: none) has passed.
    func join(until moment: Int64?) -> Bool {
        // The first one ends last: a caller who has to serve it himself serves the others before.
        loops.reversed().allSatisfy { $0.crew.join(until: moment) }
    }

    var hasEnded: Bool { loops.allSatisfy { $0.crew.hasEnded } }

    static var notFresh: ServerError {
        ServerError(kind: .state, text: "the server was started or stopped before")
    }

    func announce() {
        for (index, address) in addresses.enumerated() {
            let text = address.string
            let scheme = schemes[index]
            let shown =
                text.hasPrefix("unix:")
                ? "http:" + text.dropFirst(5) : "\(scheme)://\(Self.shown(text, ports[index], scheme))/"
            log(.info, "(\(process)) wsgi starting up on \(shown)")
        }
    }

    /// The port is left out where the scheme implies it.
    private static func shown(_ address: String, _ port: UInt16, _ scheme: String) -> String {
        guard port == (scheme == "http" ? 80 : 443), let colon = address.lastIndex(of: ":") else {
            return address
        }
        return String(address[..<colon])
    }

    /// A second call may shorten the grace, never lengthen it.
    func stop(grace: Int64) {
        let wanted: Int64
        if grace < 0 {
            wanted = 1
        } else {
            // Ages, and far from any overflow.
            wanted = Clock.monotonicMilliseconds + min(grace, 1 << 50) + 2
        }
        for loop in loops { loop.stop(wanted) }
        if gate.withLock({ state == .new }) { endUnstarted() }
    }

    /// Sends threads home that were lent to a server which will not start any more.
    private func endUnstarted() {
        for loop in loops { loop.crew.end() }
        noteShort()
        pullQueue?.noteEnd()
    }

    /// Fills `out`, which has a place for each counter.
    func readCounters(into out: UnsafeMutableBufferPointer<Int64>) {
        out.update(repeating: 0)
        for loop in loops {
            loop.reactor.pointee.counters.read(into: out)
            let census = loop.crew.census
            for (counter, value) in [
                (Counter.threadsTotal, census.threads), (.threadsBusy, census.busy),
                (.requestsQueued, census.queued),
            ] where counter.rawValue < out.count {
                out[counter.rawValue] &+= Int64(value)
            }
        }
    }

    /// Keeps the text of a failed call, on whatever thread it failed.
    func note(_ error: ServerError) {
        gate.withLock { errorText.set(error.text) }
    }

    /// False: the time has passed.
    func wait(milliseconds: Int64) throws(ServerError) -> Bool {
        let isStarted = gate.withLock { state != .new }
        guard isStarted else { throw ServerError(kind: .state, text: "the server was not started") }
        guard !isMember else {
            throw ServerError(kind: .state, text: "a handler cannot wait for the server that runs it")
        }
        guard !isStepper || hasEnded else {
            throw ServerError(kind: .state, text: "who steps a server steps it until it has ended")
        }
        var moment: Int64?
        if milliseconds >= 0 {
            let limited = min(milliseconds, Int64.max / 4_000_000)
            moment = Clock.monotonicNanoseconds &+ limited * 1_000_000
        }
        guard join(until: moment) else { return false }
        gate.withLock { state = .joined }
        return true
    }

    /// The handle is given up.
    func close() {
        // In a forked child the gate may be held for ever.
        guard !isForked else { return }
        let (state, isStepped) = gate.withLock {
            // A thread that was lent to it keeps it alive on its way out: nobody may start it any more.
            defer { if self.state == .new { self.state = .joined } }
            return (self.state, self.isStepped)
        }
        if state == .new { for loop in loops { loop.crew.end() } }
        if state == .running {
            stop(grace: 0)
            if isStepped {
                giveUp()
            } else if isMember {
                for loop in loops { loop.crew.abandon() }
            } else {
                // Where only lent threads serve and none came, this one does what is left to do.
                for loop in loops.reversed() where !loop.crew.hasMembers { loop.crew.work() }
                _ = try? wait(milliseconds: -1)
            }
        }
        noteShort()
        pullQueue?.close()
    }
}
