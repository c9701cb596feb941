// SPDX-License-Identifier: MIT
// Crew - the threads of one server: one holds the loop, others run host code that blocks, spares wait.
// Room: Server. Why: docs/architecture.md, "Threads"; figures in Benchmarks/results.

internal import Glibc
internal import Synchronization

/// A handler runs where the loop runs. When it stays longer than the watcher likes, the loop is given to a
/// spare, and the handler goes on beside it. At most `limit` callbacks run off the loop at a time, those that
/// wait for their clients aside (CrewPlaces); all others wait in `queue`, while the loop goes on with
/// everything that needs no host code.
///
/// Ownership: owns the workers and the threads it started. Thread: any; state under `gate`.
final class Crew: @unchecked Sendable {
    /// Between attempts to make a thread where the last one failed.
    private static let attemptMilliseconds: Int64 = 10
    static let idleNanoseconds: Int64 = 10_000_000_000

    let limit: Int
    /// Most callbacks that wait for their clients beside them.
    let waitingLimit: Int
    private let headMax: Int
    /// False: only threads that the host lends run its code.
    let makesThreads: Bool
    let gate = Condition()
    var reactor: ReactorRef?
    var server: Server?
    /// The loop has no holder: whoever is free takes it. The worker is the thread that lost it, if any.
    var isLeaderless = false
    /// Until the next holder has adopted what it did; its thread stays as long.
    var victim: WorkerRef?
    var queue = Fifo<ExchangeRef>()
    var idleCount = 0
    private var idle = IdleThreads()
    /// Of the idle ones, those that were signalled and have not come back from their wait yet.
    private var calledCount = 0
    var waitingCount = 0
    var shortLooks = 0
    /// Lent threads that the host was asked for and that have not come yet.
    var askedCount = 0
    var liveCount = 0
    var lentCount = 0
    var isOver = false
    /// A start has failed: its watcher goes again.
    var isCalledOff = false
    private var shortage = Shortage()
    private var nextAttempt = Int64.min
    /// What the watcher has to put into the log.
    var news: [ThreadNews] = []
    /// Nobody will join: threads go by themselves.
    var isAbandoned = false
    var threads: [Thread] = []
    var retired: [Thread] = []
    var members: Set<UInt> = []
    private var workers: [WorkerRef] = []
    /// Of threads that have gone: one for the next, and at the end all.
    private var spareWorkers: [WorkerRef] = []
    var watcher: Thread?
    let watchEvent = UnsafeMutablePointer<FutexEvent>.allocate(capacity: 1)
    /// For who waits for the end. Not the gate: its signals wake one thread, and must find a spare.
    let endEvent = UnsafeMutablePointer<FutexEvent>.allocate(capacity: 1)
    /// For who waits to lend the server one more thread; of the first loop's crew alone.
    let shortEvent = UnsafeMutablePointer<FutexEvent>.allocate(capacity: 1)
    /// Callbacks that run, or are about to, on threads without the loop; and how many may. One thread more is
    /// needed for the loop, and lent ones are as many as there are.
    let offLoop = Atomic<Int>(0)
    let slots: Atomic<Int>

    init(limit: Int, waitingLimit: Int, headMax: Int, makesThreads: Bool) {
        self.limit = limit
        self.waitingLimit = waitingLimit
        self.headMax = headMax
        self.makesThreads = makesThreads
        slots = Atomic(makesThreads ? limit : 1)
        for event in [watchEvent, endEvent, shortEvent] { event.initialize(to: FutexEvent()) }
    }

    deinit {
        for worker in workers { Self.discard(worker) }
        for event in [watchEvent, endEvent, shortEvent] {
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

    private static func discard(_ worker: WorkerRef) {
        worker.deinitialize(count: 1)
        worker.deallocate()
    }

    /// The reactor gets its first holder: a new thread, or the caller (who must call `join` next).
    /// False: a thread could not be made, and nothing has begun.
    func start(_ reactor: ReactorRef, keeping server: Server, onCaller: Bool) -> Bool {
        gate.lock()
        self.reactor = reactor
        self.server = server
        if startThreads(server, onCaller: onCaller) {
            gate.unlock()
            return true
        }
        self.server = nil
        isLeaderless = false
        isCalledOff = true
        let unneeded = watcher
        watcher = nil
        watchEvent.pointee.signal()
        gate.unlock()
        unneeded?.join()
        gate.withLock { isCalledOff = false }
        return false
    }

    /// Lock held. The watcher comes first: without it a handler that blocks would hold up all others.
    private func startThreads(_ server: Server, onCaller: Bool) -> Bool {
        if limit > 1 {
            // The reactor it looks at lives as long as the server.
            watcher = Thread.start(name: "evy-watch") {
                withExtendedLifetime(server) { self.watch(server) }
            }
            guard watcher != nil else { return false }
        }
        isLeaderless = true
        if onCaller || !makesThreads && idleCount == 0 { return true }
        return secureSpare()
    }

    // MARK: What the reactor asks

    var mustQueue: Bool { offLoop.load(ordering: .relaxed) >= slots.load(ordering: .relaxed) }

    /// False: there is no thread for it, now or later. Never inlined: the hot path is without it.
    @inline(never)
    func enqueue(_ exchange: ExchangeRef) -> Bool {
        gate.withLock {
            nextAttempt = Int64.min
            // Those that run host code will come back for it.
            guard secureSpare() || offLoop.load(ordering: .relaxed) + waitingCount > 0 else { return false }
            queue.append(exchange)
            // Nobody but the watcher sees that the host should lend more.
            if !makesThreads {
                wakeWatcher()
                askForReplacement()
            }
            return true
        }
    }

    /// The caller is in host code and about to wait: somebody else takes the loop. False: nobody can.
    func handOver(_ worker: WorkerRef, ticket: UInt64) -> Bool {
        guard limit > 1 else { return false }
        gate.lock()
        defer { gate.unlock() }
        nextAttempt = Int64.min  // a request depends on it
        return takeLoop(from: worker, ticket: ticket)
    }

    func wakeWatcher() {
        guard let reactor else { return }
        reactor.pointee.isUnwatched.store(false, ordering: .sequentiallyConsistent)
        watchEvent.pointee.signal()
    }

    // MARK: Threads

    /// Lock held. A thread will come and see what there is to do: one that idles, or a new one. False: none.
    func secureSpare() -> Bool {
        if idleCount > calledCount {
            calledCount += 1
            gate.signal()
            return true
        }
        // Those that were called for something else see to the loop first, and to all of the queue.
        return addThread() || idleCount > 0
    }

    /// Lock held.
    private func addThread() -> Bool {
        guard makesThreads, liveCount <= limit + waitingCount else { return false }
        for thread in retired { thread.join() }
        retired = []
        let now = Clock.monotonicMilliseconds
        if shortage.isOn, now < nextAttempt { return false }
        guard let thread = Thread.start(name: "evy", { self.beMember() }) else {
            nextAttempt = now + Self.attemptMilliseconds
            if shortage.met(now: now) { news.append(.met) }
            return false
        }
        if let length = shortage.ended(now: now) { news.append(.ended(length)) }
        liveCount += 1
        if isAbandoned { thread.detach() } else { threads.append(thread) }
        return true
    }

    private func beMember() {
        work()
        if isForked { return }
        gate.lock()
        liveCount -= 1
        // Only now: who joins the retired holds the gate, and this thread will not need it again.
        if !isOver, let own = threads.firstIndex(where: \.isCurrent) {
            retired.append(threads.remove(at: own))
        }
        let released = releaseServer()
        endEvent.pointee.signal()
        gate.unlock()
        withExtendedLifetime(released) {}
    }

    /// Lock held, and to be given back before what is returned goes, which may be the server's end. Threads
    /// may all have gone before the server is over, while one of the host's has the loop.
    func releaseServer() -> Server? {
        guard isOver, liveCount == 0, lentCount == 0 else { return nil }
        defer { server = nil }
        return server
    }

    /// The host's thread is one of ours until the server has stopped, also one that is not started yet.
    /// False: out of memory.
    @discardableResult
    func lend() -> Bool {
        countLent(1)
        let isServed = work(isLent: true)
        if !isForked { countLent(-1) }
        return isServed
    }

    private func countLent(_ change: Int) {
        let released = gate.withLock {
            lentCount += change
            endEvent.pointee.signal()
            return releaseServer()
        }
        withExtendedLifetime(released) {}
    }

    /// Host code that forked has returned in the child. Nothing of the server is touched there, its locks
    /// may be held by threads that do not exist; the thread goes home, and the process with its last one.
    var isForked: Bool { reactor?.pointee.isForked ?? false }

    /// Takes the loop, or queued callbacks, or waits for either, until the server has stopped. False: out of
    /// memory.
    @discardableResult
    func work(isLent: Bool = false) -> Bool {
        guard let worker = gate.withLock({ spareWorkers.popLast() }) ?? makeWorker() else { return false }
        gate.lock()
        members.insert(Thread.current)
        if isLent, askedCount > 0 { askedCount -= 1 }
        countSlots()
        while true {
            if isLeaderless {
                isLeaderless = false
                let from = victim
                gate.unlock()
                let isLost = lead(worker, from: from)
                worker.giveHostLock(reactor?.pointee.settings.hostLock)
                if isForked { return true }
                gate.lock()
                // Under the gate, so that whoever counts finds this thread running or idle, never neither.
                if isLost { offLoop.wrappingSubtract(1, ordering: .relaxed) }
            } else if let exchange = popQueue() {
                gate.unlock()
                runElsewhere(exchange, worker)
                if isForked { return true }
                gate.lock()
                offLoop.wrappingSubtract(1, ordering: .relaxed)
            } else if isOver {
                break
            } else {
                let now = Clock.monotonicNanoseconds
                if idle.hasSurplus(now: now), idleCount > calledCount, mayRetire() {
                    idle.noteGone()
                    break
                }
                idleCount += 1
                let patience = queue.isEmpty ? Self.idleNanoseconds : Self.lookNanoseconds
                let isWoken = gate.wait(until: now + patience)
                idleCount -= 1
                idle.note(others: idleCount)
                if calledCount > 0 { calledCount -= 1 }
                if !isWoken, mayRetire() { break }
            }
        }
        members.remove(Thread.current)
        countSlots()
        let isNeeded = isOver || spareWorkers.isEmpty
        if isNeeded { spareWorkers.append(worker) } else { workers.removeAll { $0 == worker } }
        gate.unlock()
        if !isNeeded { Self.discard(worker) }
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
        if isForked { return }
        loop.pointee.habit.noteElsewhere(nanoseconds: Clock.monotonicNanoseconds - start)
        exchange.endRun(rest: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Lock held. Threads that were made for a rush go again; the first stays for the loop.
    func mayRetire() -> Bool {
        !isLeaderless && victim == nil && queue.isEmpty && !isOver && threads.contains(where: \.isCurrent)
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
        if let victim {
            reactor.adopt(from: victim, by: worker)
            gate.withLock { self.victim = nil }
        } else {
            reactor.begin(worker)
        }
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
}
