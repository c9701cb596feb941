// SPDX-License-Identifier: MIT
// HostLoop - a server inside a loop of the host's: a descriptor to watch, a deadline, and a step.
// Room: Server. Thread: one at a time, not always the same; stop, wake and deferred answers from any.

internal import Synchronization

extension Server {
    enum Step { case served, ended }

    private var reactor: ReactorRef { loops[0].reactor }
    private var crew: Crew { loops[0].crew }

    /// What the host's poll loop watches for readability: the epoll set itself.
    func pollDescriptor() throws(ServerError) -> Int32 {
        try beginSteps()
        return reactor.loop.pointee.poll.descriptor
    }

    /// Milliseconds until a step is due even if the descriptor stays silent; -1: it is not.
    func nextDeadline() throws(ServerError) -> Int64 {
        try beginSteps()
        // Host code inside a step may ask as well. No other thread may: one that frees the server steps it.
        let isInside = stepper.load(ordering: .relaxed) == Thread.current
        if !isInside { try enterStep() }
        defer { if !isInside { leaveStep() } }
        guard gate.withLock({ state == .running }) else { return -1 }
        return Int64(reactor.loop.pointee.timeout(now: Clock.monotonicMilliseconds))
    }

    /// One turn of the loop: waits for at most so long, then serves what is there.
    func step(milliseconds: Int64) throws(ServerError) -> Step {
        try beginSteps()
        try enterStep()
        lastStepper.store(Thread.current, ordering: .relaxed)
        defer { leaveStep() }
        if gate.withLock({ state == .joined }) { return .ended }
        turn(Int32(clamping: max(-1, milliseconds)))
        while isGivenUp.load(ordering: .relaxed), !reactor.isFinished { turn(-1) }
        return finishIfOver() ? .ended : .served
    }

    /// The handle is given up: by the thread that steps, outside a step, or by host code inside one.
    func giveUp() {
        isGivenUp.store(true, ordering: .sequentiallyConsistent)
        guard !isMember else { return }
        do throws(ServerError) {
            _ = try step(milliseconds: 0)
        } catch {
            // Another thread is inside a step and brings it to the end.
            reactor.wake()
            _ = crew.join(until: nil)
        }
    }

    private func beginSteps() throws(ServerError) {
        let isFresh = try gate.withLock { () throws(ServerError) -> Bool in
            if isStepped { return false }
            guard state == .new, !loops[0].isStopping else {
                throw Self.notFresh
            }
            guard loops.count == 1 else {
                throw ServerError(kind: .state, text: "option loops must be 1 for a server that is stepped")
            }
            guard crew.beginSteps(reactor) else {
                throw ServerError(kind: .state, text: "threads were lent to the server: it cannot be stepped")
            }
            state = .running
            isStepped = true
            return true
        }
        if isFresh { announce() }
    }

    private func enterStep() throws(ServerError) {
        let entered = stepper.compareExchange(
            expected: 0, desired: Thread.current, ordering: .sequentiallyConsistent)
        guard entered.exchanged else {
            throw ServerError(kind: .state, text: "the server is being stepped already")
        }
    }

    /// Whoever has given the server up meanwhile could not enter, and waits for the end: it is ours to bring.
    private func leaveStep() {
        stepper.store(0, ordering: .sequentiallyConsistent)
        guard isGivenUp.load(ordering: .sequentiallyConsistent), gate.withLock({ state != .joined }) else {
            return
        }
        _ = try? step(milliseconds: 0)
    }

    private func turn(_ milliseconds: Int32) {
        // Since its last turn the host may have done anything, for however long.
        reactor.loop.pointee.now = Clock.monotonicNanoseconds
        // Nobody watches the lease of such a loop, so it cannot be lost.
        _ = EventLoop.turn(reactor.loop, ReactorClient(reactor: reactor), milliseconds: milliseconds)
        reactor.pointee.worker.giveHostLock(reactor.pointee.settings.hostLock)
    }

    private func finishIfOver() -> Bool {
        guard reactor.isFinished else { return false }
        crew.endSteps(reactor)
        gate.withLock { state = .joined }
        return true
    }
}
