// SPDX-License-Identifier: MIT
// Crew - the threads of one server: one holds the loop, others run host code that blocks, spares wait.
// Room: Server. Why: docs/architecture.md, "Threads"; figures in Benchmarks/results.

internal import Glibc
internal import Synchronization

/// A handler runs where the loop runs. When it stays longer than the watcher likes, the loop is given to a
/// spare, and the handler goes on beside it. At most `limit` callbacks run off the loop at a time; all others
/// wait in `queue`, while the loop goes on with everything that needs no host code.
///
/// Ownership: owns the workers and the threads it started. Thread: any; state under `gate`.
final class Crew: @unchecked Sendable {
    private static let idleNanoseconds: Int64 = 10_000_000_000
    private static let lookNanoseconds: Int64 = 2_000_000
    private static let looksBeforeSleep = 100
    /// Where no handler has blocked for so many looks, the watcher looks at every fourth time only: its
    /// wake-ups were 1.6 % of the processor time of a busy server.
    private static let looksBeforeCalm = 500

    private let limit: Int
    private let headMax: Int
    /// False: only threads that the host lends run its code.
    let makesThreads: Bool
    let gate = Condition()
    var reactor: ReactorRef?
    var server: Server?
    /// The loop has no holder: whoever is free takes it. The worker is the thread that lost it, if any.
    private var isLeaderless = false
    private var victim: WorkerRef?
    var queue = Fifo<ExchangeRef>()
    private var idleCount = 0
    /// Of the idle ones, those that were signalled and have not come back from their wait yet.
    private var calledCount = 0
    var liveCount = 0
    var lentCount = 0
    var isOver = false
    /// Nobody will join: threads go by themselves.
    var isAbandoned = false
    var threads: [Thread] = []
    var retired: [Thread] = []
    var members: Set<UInt> = []
    private var workers: [WorkerRef] = []
    /// Those of threads that have gone, for the next ones.
    private var spareWorkers: [WorkerRef] = []
    var watcher: Thread?
    private let watchEvent = UnsafeMutablePointer<FutexEvent>.allocate(capacity: 1)
    /// For who waits for the end. Not the gate: its signals wake one thread, and must find a spare.
    let endEvent = UnsafeMutablePointer<FutexEvent>.allocate(capacity: 1)
    /// Callbacks that run, or are about to, on threads without the loop; and how many may. One thread more is
    /// needed for the loop, and lent ones are as many as there are.
    let offLoop = Atomic<Int>(0)
    private let slots: Atomic<Int>

    init(limit: Int, headMax: Int, makesThreads: Bool) {
        self.limit = limit
        self.headMax = headMax
        self.makesThreads = makesThreads
        slots = Atomic(makesThreads ? limit : 1)
        for event in [watchEvent, endEvent] { event.initialize(to: FutexEvent()) }
    }

    deinit {
        for worker in workers {
            worker.deinitialize(count: 1)
            worker.deallocate()
        }
        for event in [watchEvent, endEvent] {
            event.deinitialize(count: 1)
            event.deallocate()
        }
    }

    /// The first one is made with the server, so that its first thread cannot lack it.
    func makeFirstWorker() -> WorkerRef? {
        guard let worker = makeWorker() else { return nil }
        gate.withLock { spareWorkers.append(worker) }
        return worker
    }

    private func makeWorker() -> WorkerRef? {
        guard let worker = Worker(headMax: headMax) else { return nil }
        let place = WorkerRef.allocate(capacity: 1)
        place.initialize(to: worker)
        gate.withLock { workers.append(place) }
        return place
    }

    /// The reactor gets its first holder: a new thread, or the caller (who must call `join` next).
    /// False: no thread could be made.
    func start(_ reactor: ReactorRef, keeping server: Server, onCaller: Bool) -> Bool {
        gate.lock()
        defer { gate.unlock() }
        self.reactor = reactor
        self.server = server
        isLeaderless = true
        if !onCaller {
            if idleCount > 0 {
                wakeOrAddSpare()
            } else if makesThreads, !addThread() {
                self.server = nil
                return false
            }
        }
        if limit > 1 {
            // The reactor it looks at lives as long as the server.
            watcher = Thread.start(name: "evy-watch") { withExtendedLifetime(server) { self.watch() } }
        }
        return true
    }

    // MARK: What the reactor asks

    var mustQueue: Bool { offLoop.load(ordering: .relaxed) >= slots.load(ordering: .relaxed) }

    func enqueue(_ exchange: ExchangeRef) {
        gate.lock()
        queue.append(exchange)
        wakeOrAddSpare()
        gate.unlock()
    }

    /// The caller is in host code and about to wait: somebody else takes the loop. False: nobody can.
    func handOver(_ worker: WorkerRef, ticket: UInt64) -> Bool {
        guard limit > 1 else { return false }
        gate.lock()
        defer { gate.unlock() }
        return takeLoop(from: worker, ticket: ticket)
    }

    func wakeWatcher() {
        guard let reactor else { return }
        reactor.pointee.isUnwatched.store(false, ordering: .sequentiallyConsistent)
        watchEvent.pointee.signal()
    }

    // MARK: Threads

    /// Lock held. A spare is there that is not called already, or could be made.
    private func wakeOrAddSpare() {
        if idleCount > calledCount {
            calledCount += 1
            gate.signal()
        } else {
            _ = addThread()
        }
    }

    /// Lock held.
    private func addThread() -> Bool {
        guard makesThreads, liveCount <= limit else { return false }
        for thread in retired { thread.join() }
        retired = []
        guard let thread = Thread.start(name: "evy", { self.beMember() }) else { return false }
        liveCount += 1
        if isAbandoned { thread.detach() } else { threads.append(thread) }
        return true
    }

    private func beMember() {
        work()
        gate.lock()
        liveCount -= 1
        // Only now: who joins the retired holds the gate, and this thread will not need it again.
        if !isOver, let own = threads.firstIndex(where: \.isCurrent) {
            retired.append(threads.remove(at: own))
        }
        let last = liveCount == 0 ? server : nil
        if last != nil { server = nil }
        endEvent.pointee.signal()
        gate.unlock()
        withExtendedLifetime(last) {}
    }

    /// The host's thread is one of ours until the server has stopped, also one that is not started yet.
    /// False: out of memory.
    func lend() -> Bool {
        countLent(1)
        let isServed = work()
        countLent(-1)
        return isServed
    }

    private func countLent(_ change: Int) {
        gate.withLock {
            lentCount += change
            if !makesThreads { slots.store(max(1, min(limit, lentCount - 1)), ordering: .relaxed) }
            endEvent.pointee.signal()
        }
    }

    /// Takes the loop, or queued callbacks, or waits for either, until the server has stopped. False: out of
    /// memory.
    @discardableResult
    func work() -> Bool {
        guard let worker = gate.withLock({ spareWorkers.popLast() }) ?? makeWorker() else { return false }
        gate.lock()
        members.insert(Thread.current)
        while true {
            if isLeaderless {
                isLeaderless = false
                let from = victim
                victim = nil
                gate.unlock()
                let isLost = lead(worker, from: from)
                worker.giveHostLock(reactor?.pointee.settings.hostLock)
                gate.lock()
                // Under the gate, so that whoever counts finds this thread running or idle, never neither.
                if isLost { offLoop.wrappingSubtract(1, ordering: .relaxed) }
            } else if let exchange = popQueue() {
                gate.unlock()
                runElsewhere(exchange, worker)
                gate.lock()
                offLoop.wrappingSubtract(1, ordering: .relaxed)
            } else if isOver {
                break
            } else {
                idleCount += 1
                let patience = queue.isEmpty ? Self.idleNanoseconds : Self.lookNanoseconds
                let isWoken = gate.wait(until: Clock.monotonicNanoseconds + patience)
                idleCount -= 1
                if calledCount > 0 { calledCount -= 1 }
                if !isWoken, mayRetire() { break }
            }
        }
        members.remove(Thread.current)
        spareWorkers.append(worker)
        gate.unlock()
        return true
    }

    private func runElsewhere(_ exchange: ExchangeRef, _ worker: WorkerRef) {
        let loop = exchange.pointee.reactor.loop
        let lock = exchange.pointee.reactor.pointee.settings.hostLock
        worker.takeHostLock(lock)
        let start = Clock.monotonicNanoseconds
        exchange.beginElsewhere()
        exchange.perform(exchange.pointee.job)
        worker.giveHostLock(lock)
        loop.pointee.habit.noteElsewhere(nanoseconds: Clock.monotonicNanoseconds - start)
        exchange.endRun(rest: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Lock held. Threads that were made for a rush go again; the first stays for the loop.
    private func mayRetire() -> Bool {
        !isLeaderless && queue.isEmpty && !isOver && threads.contains(where: \.isCurrent)
    }

    private func popQueue() -> ExchangeRef? {
        guard offLoop.load(ordering: .relaxed) < slots.load(ordering: .relaxed) else { return nil }
        // The holder may be in a handler, and about to need somebody to take the loop.
        if !makesThreads, idleCount == 0, lentCount > 1, isInHostCode { return nil }
        guard let exchange = queue.popFirst() else { return nil }
        offLoop.wrappingAdd(1, ordering: .relaxed)
        return exchange
    }

    /// Holds the loop until it is lost in host code (true), or nothing is left to serve.
    private func lead(_ worker: WorkerRef, from victim: WorkerRef?) -> Bool {
        guard let reactor else { return false }
        if let victim { reactor.adopt(from: victim, by: worker) } else { reactor.begin(worker) }
        let client = ReactorClient(reactor: reactor)
        while EventLoop.turn(reactor.loop, client) {
            if reactor.isFinished {
                finish(reactor)
                return false
            }
        }
        // Back from host code that somebody did not want to wait for.
        return true
    }

    private func finish(_ reactor: ReactorRef) {
        reactor.shut()
        end()
        reactor.pointee.delegate.ended()
    }

    /// Sends all threads home, also those that wait for a start that will not come.
    func end() {
        gate.lock()
        isOver = true
        gate.broadcast()
        gate.unlock()
        watchEvent.pointee.signal()
        endEvent.pointee.signal()
    }

    // MARK: A loop in the host's hands

    /// The host turns the loop itself; host code runs in its turns and never elsewhere.
    func beginSteps(_ reactor: ReactorRef) -> Bool {
        guard let worker = gate.withLock({ spareWorkers.popLast() }) else { return false }
        reactor.pointee.settings.mayMove = false
        reactor.begin(worker)
        return true
    }

    func endSteps(_ reactor: ReactorRef) {
        gate.withLock { spareWorkers.append(reactor.pointee.worker) }
        finish(reactor)
    }

    // MARK: The watcher

    /// Samples the lease every two milliseconds while host code runs, every eight where it never blocks;
    /// sleeps when the server is idle.
    private func watch() {
        guard let reactor else { return }
        var seen = reactor.loop.pointee.lease.observed
        var looks = 0
        var calmLooks = 0
        while true {
            // Before the look at isOver: a signal in between must end the wait below.
            let ticket = watchEvent.pointee.ticket
            if gate.withLock({ isOver }) { return }
            let now = reactor.loop.pointee.lease.observed
            looks = now == seen ? looks + 1 : 0
            seen = now
            if looks >= 1, Lease.isInHostCode(now) {
                // From here on the ticket is the next one, won or lost.
                if gate.withLock({ takeLoop(from: nil, ticket: now) }) {
                    reactor.loop.pointee.habit.noteStolen()
                }
                calmLooks = 0
            } else if looks == Self.looksBeforeSleep {
                reactor.pointee.isUnwatched.store(true, ordering: .sequentiallyConsistent)
            } else if looks > Self.looksBeforeSleep, reactor.pointee.isUnwatched.load(ordering: .relaxed) {
                // Since a whole look ago everybody who goes into host code sees the flag and signals.
                watchEvent.pointee.wait(since: ticket, nanoseconds: -1)
                looks = 0
                continue
            }
            calmLooks = min(calmLooks + 1, Self.looksBeforeCalm)
            let isCalm = calmLooks == Self.looksBeforeCalm
            watchEvent.pointee.wait(since: ticket, nanoseconds: Self.lookNanoseconds * (isCalm ? 4 : 1))
        }
    }

    /// Lock held. Steals the loop and offers it to a spare.
    private func takeLoop(from worker: WorkerRef?, ticket: UInt64) -> Bool {
        guard let reactor, !isLeaderless, idleCount > 0 || makesThreads && liveCount <= limit else {
            return false
        }
        // Without the loop its worker field may not be read; with it, nobody else writes it.
        guard reactor.loop.pointee.lease.steal(ticket) else { return false }
        offLoop.wrappingAdd(1, ordering: .relaxed)
        isLeaderless = true
        victim = worker ?? reactor.pointee.worker
        wakeOrAddSpare()
        return true
    }
}
