// SPDX-License-Identifier: MIT
// TaskBoard - what the host wants done on a loop: functions posted from any thread, and timers.
// Room: Loop. Thread: any; the holder of the loop takes, with `isDue` telling it at the cost of two loads.

internal import Synchronization

/// Ownership: part of its loop. Every task is given to its drop function exactly once: after its last run, or
///            when the board is closed.
struct TaskBoard: ~Copyable {
    /// First, and nobody else's: ThreadSanitizer books a change of any member as one of the first byte.
    private let anchor: UInt64 = 0
    fileprivate let lock = FutexLock()
    /// When the holder must look next, in milliseconds: 0 for posted functions, Int64.max for nothing at all.
    fileprivate let due = Atomic<Int64>(Int64.max)
    fileprivate var posted = Fifo<HostTask>()
    fileprivate var timers = TimerHeap()
    fileprivate var isClosed = false

    struct Taken {
        let task: HostTask
        let timer: Int64  // 0: a posted function
    }

    enum Accepted {
        /// The loop sleeps longer than that: it has to be woken.
        case mustWake(id: Int64)
        case inTime(id: Int64)
        /// The board is closed.
        case refused
    }
}

/// Reached through a pointer, because many threads hold it at once: each touches a member only under the
/// lock.
extension UnsafeMutablePointer<TaskBoard> {
    func isDue(now: Int64) -> Bool { pointee.due.load(ordering: .relaxed) <= now }

    /// Milliseconds until the holder must look; -1: not for the sake of this board.
    func timeout(now: Int64) -> Int32 {
        let moment = pointee.due.load(ordering: .sequentiallyConsistent)
        return moment == Int64.max ? -1 : Int32(clamping: max(0, moment &- now))
    }

    func post(_ task: HostTask) -> TaskBoard.Accepted {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard !pointee.isClosed else { return .refused }
        pointee.posted.append(task)
        return publish(id: 0)
    }

    func start(_ task: HostTask, deadline: Int64, period: Int64) -> TaskBoard.Accepted {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard !pointee.isClosed else { return .refused }
        return publish(id: pointee.timers.start(task, deadline: deadline, period: period))
    }

    /// Calls the drop function of a timer that is not running just now. False: there is no such timer.
    func stop(_ id: Int64) -> Bool {
        pointee.lock.lock()
        let stopped = pointee.timers.stop(id)
        pointee.lock.unlock()
        switch stopped {
        case .unknown: return false
        case .running: return true
        case .ended(let task):
            task.end()
            return true
        }
    }

    /// How many posted functions one look may take: a function that posts itself must not keep the loop.
    var postedCount: Int {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        return pointee.posted.count
    }

    func takePosted() -> TaskBoard.Taken? {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard let task = pointee.posted.popFirst() else { return nil }
        _ = publish(id: 0)
        return TaskBoard.Taken(task: task, timer: 0)
    }

    func takeTimer(now: Int64) -> TaskBoard.Taken? {
        pointee.lock.lock()
        defer { pointee.lock.unlock() }
        guard let next = pointee.timers.takeDue(now: now) else { return nil }
        _ = publish(id: 0)
        return TaskBoard.Taken(task: next.task, timer: next.id)
    }

    /// The function has returned; its thread may have lost the loop. True: a timer goes on that the loop, if
    /// it sleeps, does not know of.
    func finish(_ taken: TaskBoard.Taken, now: Int64) -> Bool {
        if taken.timer == 0 {
            taken.task.end()
            return false
        }
        pointee.lock.lock()
        let over = pointee.timers.finish(taken.timer, now: now)
        let accepted = publish(id: 0)
        pointee.lock.unlock()
        over?.end()
        if case .mustWake = accepted { return true }
        return false
    }

    /// Nothing runs any more; what is left is dropped.
    func close() {
        pointee.lock.lock()
        pointee.isClosed = true
        let left = pointee.posted.removeAll() + pointee.timers.removeAll()
        pointee.due.store(Int64.max, ordering: .relaxed)
        pointee.lock.unlock()
        for task in left { task.end() }
    }

    /// Lock held.
    private func publish(id: Int64) -> TaskBoard.Accepted {
        let next = pointee.posted.isEmpty ? pointee.timers.earliest : 0
        let before = pointee.due.load(ordering: .relaxed)
        pointee.due.store(next, ordering: .sequentiallyConsistent)
        return next < before ? .mustWake(id: id) : .inTime(id: id)
    }
}
