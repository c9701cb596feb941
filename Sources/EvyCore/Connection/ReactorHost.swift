// SPDX-License-Identifier: MIT
// ReactorHost - in and out of host code, where the thread may lose the loop to another.
// Room: Connection. Spec: docs/architecture.md, "Threads".

internal import Synchronization

extension UnsafeMutablePointer<Reactor> {
    /// A function of the host's that belongs to no exchange. False: the loop was lost.
    func run(_ taken: TaskBoard.Taken, of board: UnsafeMutablePointer<TaskBoard>) -> Bool {
        let worker = pointee.worker
        worker.pointee.connection = nil
        enterHost(worker)
        taken.task.run()
        let isHeld = leaveHost(worker)
        if pointee.isForked { return false }
        let now = Clock.monotonicNanoseconds
        // Where the loop waits for its tasks, what became due meanwhile waits no longer.
        if isHeld { loop.pointee.now = now }
        if board.finish(taken, now: now / 1_000_000), !isHeld { wake() }
        return isHeld
    }

    /// From here on the thread may block: the watcher looks.
    @inline(__always)
    func enterHost(_ worker: WorkerRef) {
        worker.pointee.ticket = loop.pointee.lease.enter()
        if pointee.isUnwatched.load(ordering: .relaxed), pointee.settings.mayMove {
            pointee.delegate.wakeWatcher()
        }
    }

    /// False: the loop was lost. Host code that forked may return in the child, whose loop this is not.
    @inline(__always)
    func leaveHost(_ worker: WorkerRef) -> Bool {
        loop.pointee.lease.leave(worker.pointee.ticket) && !pointee.isForked
    }

    /// In host code that holds the loop: back in library code for `body`. False: the loop was lost before.
    func interruptHost(_ worker: WorkerRef, _ body: () -> Void) -> Bool {
        guard leaveHost(worker) else { return false }
        // Host code that calls the library has let go of its own lock by itself.
        worker.withoutHostLock(body)
        enterHost(worker)
        return true
    }

    /// A new holder takes over from a thread that is still in host code.
    func adopt(from victim: WorkerRef, by worker: WorkerRef) {
        countTurn()
        pointee.worker = worker
        let taken = victim.pointee.taken
        victim.pointee.taken = nil
        if loop.pointee.inbox.putBack(taken) { wake() }
        // The turn in which it was lost has no end: who waits for one shall have it now.
        guard let exchange = victim.pointee.exchange else { return wake() }
        // The victim touches neither its batch nor its connection until it holds the loop again.
        worker.pointee.connection = victim.pointee.connection
        swap(&worker.pointee.batch, &victim.pointee.batch)
        victim.pointee.exchange = nil
        victim.pointee.connection = nil
        exchange.withLock { exchange.pointee.isAttended = false }
        if let connection = exchange.pointee.connection {
            _ = push(exchange, connection)
        }
        worker.pointee.batch.clear(keepingCapacity: Worker.batchMax * 2)
        // It may have ended between the theft and now, without a post because it still was attended.
        post(exchange)
    }
}
