// SPDX-License-Identifier: MIT
// HostTests - scenario 2: a program goes on with its own work while servers in it come, serve and go.
internal import Evy
internal import Glibc
internal import Synchronization
internal import Testing

@Test func aHostKeepsItsTicksAndGetsItsProcessBack() async {
    // In a process of its own: threads and descriptors of the tests side by side would count too.
    await #expect(processExitsWith: .success) {
        // The runtime of async tests opens descriptors for its timers when one is first used: now.
        try await Task.sleep(for: .milliseconds(1))
        do { try hostTwoServers() } catch { Issue.record("\(error)") }
    }
}

private func hostTwoServers() throws {
    let (threads, descriptors) = (ProcessState.threads, ProcessState.descriptors)
    let dispositions = ProcessState.signalDispositions
    var machine: Machine? = try Machine()
    let ticker = try Ticker()
    var servers = try [0, 1].map { number in
        var options = Options()
        options.onLog = { _, _ in }
        options.onAccess = { _, _ in }
        let server = try Server(on: .tcp("127.0.0.1", port: 0), options: options) { request in
            // A handler that takes its time, so that the requests last for many ticks.
            usleep(5000)
            try request.respond(.ok, body: "\(number)")
        }
        return server
    }
    try servers[0].start()
    // The other in a loop of the program's own.
    let stepper = try Stepper(servers[1])
    let loads = try servers.enumerated().map { try Load(port: $1.port, expecting: "\($0)") }
    #expect(ProcessState.threads.count > threads.count && ProcessState.descriptors.count > descriptors.count)
    try eventually("200 answers of each") { loads.allSatisfy { $0.answers >= 200 || $0.hasFailed } }

    loads[0].end()
    servers[0].stop(grace: .seconds(1))
    try servers[0].wait(upTo: .seconds(20))
    let refused = #expect(throws: RawClientError.self) { try RawClient(port: servers[0].port) }
    #expect(refused?.text == "Connection refused")
    let answered = loads[1].answers
    try eventually("more answers") { loads[1].answers >= answered + 20 || loads[1].hasFailed }

    loads[1].end()
    servers[1].stop(grace: .seconds(1))
    try stepper.end()
    let failures = loads.flatMap(\.failures)
    #expect(failures.isEmpty, "\(failures)")
    let gaps = ticker.end()
    let delay = try #require(try machine?.worstDelay())
    machine = nil
    let longest = .milliseconds(150) * timeFactor + delay
    #expect(gaps.count >= 5 && gaps.allSatisfy { $0 <= longest }, "\(gaps), allowed \(longest)")

    // A joined thread stays in /proc for a moment.
    try eventually("the threads' end") { ProcessState.threads.isSubset(of: threads) }
    servers.removeAll()
    let left = ProcessState.descriptors
    #expect(left == descriptors, "\(left) instead of \(descriptors)")
    let changed = Set(ProcessState.signalDispositions).subtracting(dispositions)
    #expect(changed.isEmpty, "\(changed)")
}

/// A poll loop that turns a server until it has stopped.
private final class Stepper: Sendable {
    private let failure = Collector<String>()
    private let thread = Mutex<pthread_t>(0)

    init(_ server: Server) throws {
        // Before anybody asks: who starts it otherwise is told.
        let descriptor = try server.descriptor
        #expect(throws: EvyError.self) { try server.start() }
        let started = try spawnThread { [failure] in
            do {
                while try server.step() {
                    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                    poll(&watched, 1, server.nextDeadline.map { Int32(clamping: $0.milliseconds) } ?? -1)
                }
                if try server.step() || server.nextDeadline != nil { failure.add("not over") }
            } catch { failure.add("\(error)") }
        }
        thread.withLock { $0 = started }
    }

    func end() throws {
        pthread_join(thread.withLock { $0 }, nil)
        try #require(failure.all.isEmpty, "\(failure.all)")
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}

/// The host's own work: a tick every 100 ms.
private final class Ticker: Sendable {
    private struct Tick: Sendable {
        let instant = ContinuousClock.now
        /// How long this thread has been ready to run, in all, and had no processor.
        let queued = ProcessState.queuedTime
    }

    private let isOver = Atomic<Bool>(false)
    private let ticks = Collector<Tick>()
    private let thread = Mutex<pthread_t>(0)

    init() throws {
        let started = try spawnThread { [self] in
            var next = timespec()
            clock_gettime(CLOCK_MONOTONIC, &next)
            while !isOver.load(ordering: .relaxed) {
                ticks.add(Tick())
                next.tv_nsec += 100_000_000
                if next.tv_nsec >= 1_000_000_000 {
                    next.tv_sec += 1
                    next.tv_nsec -= 1_000_000_000
                }
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nil)
            }
            ticks.add(Tick())
        }
        thread.withLock { $0 = started }
    }

    /// The times from each tick to the next, but those in which the processors were others'.
    func end() -> [Duration] {
        isOver.store(true, ordering: .relaxed)
        pthread_join(thread.withLock { $0 }, nil)
        return zip(ticks.all, ticks.all.dropFirst()).map {
            $0.instant.duration(to: $1.instant) - ($1.queued - $0.queued)
        }
    }
}

/// How late the machine itself wakes up a process that has nothing to do with evy: a virtual one may stand
/// still for a moment, which is no fault of a server.
private final class Machine {
    private let program: Program

    init() throws {
        program = try Program(["python3", "-c", sleeperProgram])
        try #require(program.firstLine() == "ready")
    }

    func worstDelay() throws -> Duration {
        let done = program.finish()
        let worst = done.text.split(separator: "\n").last.flatMap { Int64($0) }
        return try .microseconds(#require(worst, "\(done.text)"))
    }
}

private let sleeperProgram = """
    import select, sys, time

    print("ready", flush=True)
    worst, ended = 0, False
    while not ended:
        since = time.monotonic()
        ended = select.select([sys.stdin], [], [], 0.01)[0]
        worst = max(worst, time.monotonic() - since - 0.01)
    print(int(worst * 1e6))
    """

/// A client that asks one server until it is told to end, every 20 requests over a new connection.
private final class Load: Sendable {
    private let isOver = Atomic<Bool>(false)
    private let count = Atomic<Int>(0)
    private let wrong = Collector<String>()
    private let thread = Mutex<pthread_t>(0)

    var answers: Int { count.load(ordering: .relaxed) }
    var failures: [String] { wrong.all }
    var hasFailed: Bool { !wrong.all.isEmpty }

    init(port: Int, expecting text: String) throws {
        let started = try spawnThread { [self] in
            do {
                while !isOver.load(ordering: .relaxed) { try ask(RawClient(port: port), text) }
            } catch { wrong.add("\(error)") }
        }
        thread.withLock { $0 = started }
    }

    private func ask(_ client: RawClient, _ text: String) throws {
        for _ in 0..<20 {
            let answer = try client.get("/")
            if answer.text != text || !answer.statusLine.contains(" 200 ") { wrong.add(answer.head) }
            count.add(1, ordering: .relaxed)
        }
    }

    func end() {
        isOver.store(true, ordering: .relaxed)
        pthread_join(thread.withLock { $0 }, nil)
    }
}
