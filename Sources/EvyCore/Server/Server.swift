// SPDX-License-Identifier: MIT
// Server - one server from its sockets to its last log line: what evy_server points to.
// Room: Server.

internal import CSystem
internal import Glibc
internal import Synchronization

struct ServerError: Error {
    enum Kind { case argument, value, bind, noMemory, state }
    var kind: Kind
    var text: String
}

/// Ownership: shared by its handle, its threads while they run, and requests the host keeps.
/// Thread:    any; what changes is atomic, behind `gate`, or the reactor's own.
final class Server: ReactorDelegate, @unchecked Sendable {
    enum State { case new, running, joined }

    let listeners: [Listener]
    /// The listeners' texts, lent to the host.
    let addresses: [LentText]
    /// Of the last failed call on the handle.
    let errorText = LentText()
    private let configuration: Configuration
    private let texts = SettingTexts()
    let crew: Crew
    let reactor: ReactorRef
    private let accessReport: AccessReport?
    let eventLog: EventLog
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
    private let process = evy_process()
    private var isMade = false

    /// Opens, binds and listens: from here on clients can connect, and wait.
    init(_ configuration: Configuration) throws(ServerError) {
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
            accessReport = try AccessReport(configuration)
        } catch {
            throw ServerError(kind: .value, text: error.text)
        }
        listeners = try Server.open(configuration)
        addresses = listeners.map { listener in
            let text = LentText()
            text.set(listener.text)
            return text
        }
        var settings = Settings(configuration, texts: texts)
        if let pullQueue {
            settings.handler = PullQueue.handler
            settings.handlerUser = pullQueue.pointer
        }
        crew = Crew(
            limit: configuration.options.threads, headMax: settings.limits.headerBytesMax,
            makesThreads: !configuration.options.lentThreads)
        reactor = .allocate(capacity: 1)
        var error: Int32 = 0
        guard let worker = crew.makeFirstWorker(),
            let made = Reactor(
                settings: settings, listeners: listeners, worker: worker, delegate: self, error: &error)
        else {
            let why = error == 0 ? "out of memory" : SystemCalls.text(of: error)
            throw ServerError(kind: .noMemory, text: "cannot make an event loop: \(why)")
        }
        reactor.initialize(to: made)
        isMade = true
    }

    deinit {
        if isMade { reactor.deinitialize(count: 1) }
        reactor.deallocate()
    }

    private static func open(_ configuration: Configuration) throws(ServerError) -> [Listener] {
        let backlog = Int32(clamping: configuration.options.backlog)
        let requiresProxy = configuration.options.proxyProtocol == .require
        var opened: [Listener] = []
        for listener in configuration.listeners {
            do throws(SocketError) {
                switch listener.source {
                case .address(let address):
                    let socket = try Sockets.listen(
                        address, backlog: backlog, reusePort: configuration.options.reusePort)
                    opened.append(
                        Listener(
                            socket, isAdopted: false, tls: listener.tls,
                            takesProxyHeader: address.traits.takesProxyHeader ?? requiresProxy))
                case .descriptor(let adopted):
                    let fd = try Sockets.adopt(
                        adopted.descriptor, backlog: adopted.traits.backlog ?? backlog)
                    opened.append(
                        Listener(
                            BoundSocket(descriptor: fd), isAdopted: true, tls: listener.tls,
                            takesProxyHeader: adopted.traits.takesProxyHeader ?? requiresProxy))
                }
            } catch {
                throw ServerError(kind: .bind, text: error.text)
            }
        }
        return opened
    }

    var isForked: Bool { evy_process() != process }
    var isMember: Bool { crew.isMember || stepper.load(ordering: .relaxed) == Thread.current }

    // MARK: Life

    func start() throws(ServerError) {
        try begin(onCaller: false)
    }

    /// The calling thread serves until the end.
    func run() throws(ServerError) {
        try begin(onCaller: true)
        crew.work()
        _ = crew.join(until: nil)
        gate.withLock { state = .joined }
    }

    private func begin(onCaller: Bool) throws(ServerError) {
        let isFresh = gate.withLock {
            guard state == .new, reactor.pointee.stopRequest.load(ordering: .relaxed) == 0 else {
                return false
            }
            state = .running
            return true
        }
        guard isFresh else { throw Self.notFresh }
        announce()
        guard crew.start(reactor, keeping: self, onCaller: onCaller) else {
            gate.withLock { state = .new }
            throw ServerError(kind: .noMemory, text: "cannot start a thread")
        }
    }

    static var notFresh: ServerError {
        ServerError(kind: .state, text: "the server was started or stopped before")
    }

    func announce() {
        for listener in listeners {
            let scheme = listener.tls == nil ? "http" : "https"
            let shown =
                listener.text.hasPrefix("unix:")
                ? "http:" + listener.text.dropFirst(5) : "\(scheme)://\(shownAddress(listener, scheme))/"
            eventLog.write(.info, "(\(process)) wsgi starting up on \(shown)")
        }
    }

    /// The port is left out where the scheme implies it.
    private func shownAddress(_ listener: Listener, _ scheme: String) -> String {
        let standard: UInt16 = scheme == "http" ? 80 : 443
        guard listener.local.port == standard, let colon = listener.text.lastIndex(of: ":") else {
            return listener.text
        }
        return String(listener.text[..<colon])
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
        var seen = reactor.pointee.stopRequest.load(ordering: .relaxed)
        while seen == 0 || seen == 1 || (wanted != 1 && wanted < seen) {
            if seen == 1, wanted == 1 { break }
            let result = reactor.pointee.stopRequest.compareExchange(
                expected: seen, desired: wanted, ordering: .acquiringAndReleasing)
            if result.exchanged { break }
            seen = result.original
        }
        reactor.wake()
        // Threads lent to a server that will not start any more.
        if gate.withLock({ state == .new }) {
            crew.end()
            ended()
        }
    }

    /// The calling thread is one of the server's until it has stopped.
    func lend() throws(ServerError) {
        guard !gate.withLock({ isStepped }) else {
            throw ServerError(kind: .state, text: "the host steps this server: it needs no threads")
        }
        guard crew.lend() else { throw ServerError(kind: .noMemory, text: "out of memory") }
    }

    /// Fills `out`, which has a place for each counter.
    func readCounters(into out: UnsafeMutableBufferPointer<Int64>) {
        out.update(repeating: 0)
        reactor.pointee.counters.read(into: out)
        let census = crew.census
        for (counter, value) in [
            (Counter.threadsTotal, census.threads), (.threadsBusy, census.busy),
            (.requestsQueued, census.queued),
        ] where counter.rawValue < out.count {
            out[counter.rawValue] = Int64(value)
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
        guard lastStepper.load(ordering: .relaxed) != Thread.current else {
            throw ServerError(kind: .state, text: "who steps a server steps it until it has ended")
        }
        var moment: Int64?
        if milliseconds >= 0 {
            let limited = min(milliseconds, Int64.max / 4_000_000)
            moment = Clock.monotonicNanoseconds &+ limited * 1_000_000
        }
        guard crew.join(until: moment) else { return false }
        gate.withLock { state = .joined }
        return true
    }

    /// The handle is given up.
    func close() {
        // In a forked child the gate may be held for ever.
        guard !isForked else { return }
        let (state, isStepped) = gate.withLock { (self.state, self.isStepped) }
        if state == .new { crew.end() }
        if state == .running {
            stop(grace: 0)
            if isStepped {
                giveUp()
            } else if isMember {
                crew.abandon()
            } else {
                _ = try? wait(milliseconds: -1)
            }
        }
        pullQueue?.close()
    }

    // MARK: What the reactor asks

    func mustQueue() -> Bool { crew.mustQueue }
    func enqueue(_ exchange: ExchangeRef) { crew.enqueue(exchange) }
    func handOver(_ worker: WorkerRef, ticket: UInt64) -> Bool { crew.handOver(worker, ticket: ticket) }
    func wakeWatcher() { crew.wakeWatcher() }
    func finished(_ exchange: ExchangeRef) { accessReport?.write(exchange) }
    func turnEnded() { accessReport?.flush() }
    func wasCut() { pullQueue?.releaseRequests() }
    func ended() { pullQueue?.noteEnd() }
    func wants(_ level: LogLevel) -> Bool { eventLog.wants(level) }
    func log(_ level: LogLevel, _ text: String) { eventLog.write(level, text) }
}
