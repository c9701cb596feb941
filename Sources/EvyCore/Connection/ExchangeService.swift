// SPDX-License-Identifier: MIT
// ExchangeService - runs the host's code for an exchange, and decides what comes after it.
// Room: Connection. Why: docs/architecture.md, "Threads".

internal import CSystem
internal import Synchronization

enum RunOutcome {
    case done  // host code has returned
    case passedOn  // and the exchange with it, answered and over
    case queued  // another thread will run it
    case lost  // the thread has lost the loop
}

extension UnsafeMutablePointer<Reactor> {
    /// Runs host code on this thread under the lease, or leaves it to another where all are busy.
    func run(_ exchange: ExchangeRef, _ job: Exchange.Job) -> RunOutcome {
        let mustQueue =
            pointee.settings.mayMove && (loop.pointee.habit.leavesLoop || pointee.delegate.mustQueue())
        if mustQueue {
            prepare(exchange, job, isQueued: true)
            if pointee.delegate.enqueue(exchange) { return .queued }
        }
        prepare(exchange, job, isQueued: false)
        let worker = pointee.worker
        worker.pointee.exchange = exchange
        let hostLock = pointee.settings.hostLock
        enterHost(worker)
        // Under the lease, because another thread of the host may be long in giving it.
        worker.takeHostLock(hostLock)
        exchange.perform(job)
        // It may have blocked long, and nobody else has read the clock meanwhile.
        if !pointee.settings.mayMove { loop.pointee.now = Clock.monotonicNanoseconds }
        guard leaveHost(worker) else {
            if !pointee.isForked { exchange.endRun(rest: worker.pointee.rest) }
            return .lost
        }
        loop.pointee.habit.noteQuick()
        worker.pointee.exchange = nil
        exchange.pointee.lock.lock()
        exchange.pointee.isRunning = false
        exchange.pointee.isAttended = false
        exchange.pointee.runner = 0
        let isPlain = takeIfPlain(exchange)
        exchange.pointee.lock.unlock()
        guard isPlain else { return .done }
        passOnTaken(exchange)
        return .passedOn
    }

    @inline(__always)
    private func prepare(_ exchange: ExchangeRef, _ job: Exchange.Job, isQueued: Bool) {
        // Of a request whose handler has not begun no other thread knows.
        if job != .handler { exchange.pointee.lock.lock() }
        exchange.pointee.isRunning = true
        exchange.pointee.job = job
        exchange.pointee.isAttended = !isQueued
        exchange.pointee.runner = isQueued ? 0 : Thread.current
        exchange.pointee.worker = pointee.worker
        if job != .handler { exchange.pointee.lock.unlock() }
    }

    /// Something about the exchange changed. False: the loop was lost.
    func attend(_ exchange: ExchangeRef) -> Bool {
        if exchange.pointee.stage == .finished {
            if exchange.withLock({ exchange.pointee.hostReferences }) == 0 { recycle(exchange) }
            return true
        }
        let connection = exchange.pointee.connection
        // Answered, and others are served behind it: its bytes and its end are the connection's to see to.
        if let connection, connection.pointee.current != exchange { return true }
        let worker = pointee.worker
        worker.pointee.rest = UnsafeRawBufferPointer(start: nil, count: 0)
        worker.pointee.connection = connection
        switch advance(exchange) {
        case .lost: return false
        case .gone: return true
        case .next:
            guard let connection else { return true }
            return resume(connection)
        case .wait:
            guard let connection else { return true }
            return flushAndSettle(connection)
        }
    }

    /// What the exchange needs next: a body callback, output, its hooks, its end.
    func advance(_ exchange: ExchangeRef) -> Step {
        guard exchange.pointee.stage == .serving else {
            return exchange.pointee.stage == .hooking ? hooksReturned(exchange) : .wait
        }
        let isPlain = exchange.withLock {
            takeLeftover(exchange)
            return takeIfPlain(exchange)
        }
        if isPlain {
            passOnTaken(exchange)
            return .next
        }
        while true {
            exchange.pointee.lock.lock()
            takeLeftover(exchange)
            let isRunning = exchange.pointee.isRunning
            if !isRunning { exchange.answerWhereNobodyWill() }
            let isEnded = exchange.pointee.response == .ended
            let isAborted = exchange.pointee.isAborted
            let takeover = exchange.pointee.takeover
            let callback = isRunning || isEnded ? nil : exchange.callbackDue
            exchange.pointee.lock.unlock()
            if isAborted, let connection = exchange.pointee.connection {
                // What was handed over before the cut is on its way; other requests' answers are not cut.
                let flushed = push(exchange, connection)
                guard flushed != .dead else { return .gone }
                if flushed == .blocked, connection.pointee.owesEarlier { return .wait }
                fail(connection, exchange.pointee.end == .complete ? .aborted : exchange.pointee.end)
                return .gone
            }
            // Without a connection too: the callback is owed the end of the body, and the host may hold the
            // request until it has it.
            if let callback {
                switch run(exchange, callback) {
                case .done: continue
                case .passedOn: return .next
                case .queued: return .wait
                case .lost: return .lost
                }
            }
            guard let connection = exchange.pointee.connection else {
                return isRunning ? .wait : complete(exchange)
            }
            if takeover != .none {
                // What was read behind the request lies with the thread that runs the handler.
                if takeover == .asked, isRunning { return .wait }
                guard takeover.isPending else { return taken(exchange, takeover, isRunning) }
                give(exchange, connection)
                continue
            }
            guard isEnded, !isRunning else {
                guard push(exchange, connection) != .dead else { return .gone }
                postIfWritable(exchange)
                return .wait
            }
            return answered(exchange, connection)
        }
    }

    /// The connection gets back its input that a thread had when it lost the loop. Lock held, and in one go
    /// with the look whether host code still runs: as soon as it does not, the exchange may end.
    private func takeLeftover(_ exchange: ExchangeRef) {
        let isLost = exchange.pointee.leftover.failed
        guard !exchange.pointee.leftover.isEmpty || isLost,
            let connection = exchange.pointee.connection
        else { return }
        connection.pointee.input.append(exchange.pointee.leftover.readable)
        if isLost || connection.pointee.input.failed {
            // Without these bytes what follows would mean something else: this request is the last.
            exchange.pointee.closesConnection = true
            connection.pointee.flags.insert(.inputLost)
            connection.pointee.input.clear(keepingCapacity: 0)
        }
        exchange.pointee.leftover.clear(keepingCapacity: 0)
    }

    /// The usual end: answered by a handler that has returned, nobody wants to hear more of it, and the batch
    /// has room, where its bytes are now. Lock held.
    private func takeIfPlain(_ exchange: ExchangeRef) -> Bool {
        guard exchange.pointee.response == .ended, !exchange.pointee.isRunning, !exchange.pointee.isAborted,
            exchange.pointee.hostReferences == 0, exchange.pointee.hooks.isEmpty,
            exchange.pointee.plan.keepAlive, !exchange.pointee.isOverlong, exchange.pointee.stage == .serving,
            !pointee.settings.observesAll, exchange.pointee.connection != nil,
            exchange.pointee.bodyEnd == .complete, exchange.pointee.sending.isEmpty,
            exchange.pointee.firstSegment == nil, exchange.pointee.segment == nil,
            !exchange.pointee.closesConnection
        else { return false }
        return pointee.worker.batchTakes(exchange.pointee.out.readable)
    }

    private func passOnTaken(_ exchange: ExchangeRef) {
        if let connection = exchange.pointee.connection {
            connection.pointee.current = nil
            forget(connection, exchange)
        }
        pointee.unfinished -= 1
        recycle(exchange)
    }

    /// The host has answered and its code has returned.
    private func answered(_ exchange: ExchangeRef, _ connection: ConnectionRef) -> Step {
        // A FIN alone does not close: requests that came ahead of it are still answered.
        if !exchange.pointee.plan.keepAlive || exchange.hasBrokenBody {
            exchange.pointee.closesConnection = true
        }
        pump(exchange)
        let isPumped = exchange.pointee.sending.isEmpty && exchange.pointee.segment == nil
        if !exchange.pointee.closesConnection, exchange.pointee.bodyEnd == .complete, isPumped,
            exchange.sealWithoutHooks()
        {
            return passOn(exchange, connection)
        }
        switch push(exchange, connection) {
        case .dead: return .gone
        case .blocked: return .wait
        case .drained: break
        }
        if !exchange.pointee.closesConnection, exchange.pointee.bodyEnd == .open { return .wait }
        return complete(exchange)
    }

    /// Answered, no hooks: its bytes are in the batch, and the connection may go on.
    private func passOn(_ exchange: ExchangeRef, _ connection: ConnectionRef) -> Step {
        warnOfBrokenPromise(exchange)
        connection.pointee.current = nil
        if pointee.settings.observesAll || exchange.withLock({ exchange.pointee.hostReferences }) > 0 {
            queueUnsent(connection, exchange)
            // Drained already when it was pushed piece by piece before its end.
            if exchange.pointee.account.isDrained { didFinishEarly(connection, exchange) }
        } else {
            forget(connection, exchange)
            letGo(exchange)
        }
        return .next
    }

    private func didFinishEarly(_ connection: ConnectionRef, _ exchange: ExchangeRef) {
        guard connection.pointee.firstUnsent == exchange else { return }
        connection.pointee.firstUnsent = nil
        connection.pointee.lastUnsent = nil
        exchange.noteEnded(at: loop.pointee.now)
        report(exchange)
    }

    /// The connection is the host's: what happens on it does not end the exchange, its end does.
    @inline(never)
    private func taken(_ exchange: ExchangeRef, _ takeover: Exchange.Takeover, _ isRunning: Bool) -> Step {
        // It could not be given: it lives on, with what was read behind the request, and waits for an answer.
        if takeover == .failed { return .wait }
        guard takeover == .over, !isRunning else { return .gone }
        return complete(exchange)
    }

    /// The response's end is known: hooks, access line, then the connection's next request or its end.
    private func complete(_ exchange: ExchangeRef) -> Step {
        let hasHooks = exchange.withLock {
            exchange.pointee.stage = .hooking
            exchange.pointee.account.endedAt = Clock.monotonicNanoseconds
            if exchange.pointee.hooks.isEmpty { exchange.pointee.hooks.isSealed = true }
            return !exchange.pointee.hooks.isEmpty
        }
        if hasHooks {
            switch run(exchange, .hooks) {
            case .done, .passedOn: break
            case .queued: return .wait
            case .lost: return .lost
            }
        }
        return hooksReturned(exchange)
    }

    private func hooksReturned(_ exchange: ExchangeRef) -> Step {
        let isRunning = exchange.withLock {
            takeLeftover(exchange)
            return exchange.pointee.isRunning
        }
        if isRunning { return .wait }
        let connection = exchange.pointee.connection
        let closes = exchange.pointee.closesConnection
        let isUnread = exchange.pointee.bodyEnd == .open
        warnOfBrokenPromise(exchange)
        connection?.pointee.current = nil
        report(exchange)
        guard let connection else { return .gone }
        guard closes else { return .next }
        // What the client still sends, or sent behind this request, must not get the answer reset.
        if isUnread || !pointee.worker.pointee.rest.isEmpty { connection.pointee.flags.insert(.inputLost) }
        closeGently(connection)
        return .gone
    }

    /// Outside the lock, because the log may be the host's.
    private func warnOfBrokenPromise(_ exchange: ExchangeRef) {
        guard exchange.pointee.promisedLeft >= 0 else { return }
        let name = "answer to request \(exchange.pointee.id)"
        if exchange.pointee.isOverlong {
            pointee.delegate.log(.warn, "\(name) is longer than its Content-Length; the rest was dropped")
        } else if exchange.pointee.end == .handlerError, exchange.pointee.promisedLeft > 0 {
            pointee.delegate.log(
                .warn, "\(name) is \(exchange.pointee.promisedLeft) bytes short of its Content-Length")
        }
    }

    /// The access log, then the reactor is done with it.
    func report(_ exchange: ExchangeRef) {
        if pointee.settings.observesAll { pointee.delegate.finished(exchange) }
        let status = exchange.withLock {
            exchange.pointee.connection = nil
            exchange.pointee.descriptor = -1
            return exchange.sentStatus
        }
        // Nobody changes the end of what has ended.
        countEnd(status: status, exchange.pointee.end)
        letGo(exchange)
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// On a thread that may block, with the lock free.
    func perform(_ job: Exchange.Job) {
        switch job {
        case .handler:
            let settings = pointee.reactor
            settings.pointee.settings.handler?(settings.pointee.settings.handlerUser, OpaquePointer(self))
        case .body: deliverBody()
        case .writable: deliverWritable()
        case .hooks: runPosthooks()
        }
    }

    /// Host code that had to queue begins on this thread, which holds no loop and has read nothing ahead.
    func beginElsewhere() {
        withLock {
            pointee.runner = Thread.current
            pointee.worker = nil
        }
    }

    /// Host code returned on a thread that does not hold the loop: the holder takes it from here.
    func endRun(rest: UnsafeRawBufferPointer) {
        pointee.lock.lock()
        pointee.isRunning = false
        pointee.isAttended = false
        pointee.runner = 0
        pointee.leftover.append(rest)
        // Inside the lock: the exchange cannot be freed between the two.
        pointee.reactor.post(self)
        pointee.lock.unlock()
    }

    /// The request is answered completely once its bytes are sent; nobody can add a hook from here on.
    func sealWithoutHooks() -> Bool {
        withLock {
            guard pointee.hooks.isEmpty else { return false }
            pointee.hooks.isSealed = true
            return true
        }
    }
}
