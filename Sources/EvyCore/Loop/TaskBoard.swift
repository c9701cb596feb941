// SPDX-License-Identifier: MIT
// TaskBoard - what the host wants done on a loop: functions posted from any thread, and timers.
// Room: Loop. Thread: any; the holder of the loop takes, with `isDue` telling it at the cost of two loads.

internal import Synchronization

/// Ownership: part of its loop. Every task is given to its drop function exactly once: after its last run, or
///            when the board is closed.
struct TaskBoard: ~Copyable {
    private let lock = FutexLock()
    /// When the holder must look next, in milliseconds: 0 for posted functions, Int64.max for nothing at all.
    private let due = Atomic<Int64>(Int64.max)
    private var posted: [HostTask] = []
    private var postedHead = 0
    private var timers = TimerHeap()
    private var isClosed = false

    struct Taken {
        let task: HostTask
        let timer: Int64  // 0: a posted function
    }

    func isDue(now: Int64) -> Bool { due.load(ordering: .relaxed) <= now }

    /// Milliseconds until the holder must look; -1: not for the sake of this board.
    func timeout(now: Int64) -> Int32 {
        let moment = due.load(ordering: .sequentiallyConsistent)
        return moment == Int64.max ? -1 : Int32(clamping: max(0, moment &- now))
    }

    enum Accepted {
        /// The loop sleeps longer than that: it has to be woken.
        case mustWake(id: Int64)
        case inTime(id: Int64)
        /// The board is closed.
        case refused
    }

    mutating func post(_ task: HostTask) -> Accepted {
        lock.lock()
        defer { lock.unlock() }
        guard !isClosed else { return .refused }
        posted.append(task)
        return publish(id: 0)
    }

    mutating func start(_ task: HostTask, deadline: Int64, period: Int64) -> Accepted {
        lock.lock()
        defer { lock.unlock() }
        guard !isClosed else { return .refused }
        return publish(id: timers.start(task, deadline: deadline, period: period))
    }

    /// Calls the drop function of a timer that is not running just now. False: there is no such timer.
    mutating func stop(_ id: Int64) -> Bool {
        lock.lock()
        let stopped = timers.stop(id)
        lock.unlock()
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
        lock.lock()
        defer { lock.unlock() }
        return posted.count - postedHead
    }

    mutating func takePosted() -> Taken? {
        lock.lock()
        defer { lock.unlock() }
        guard postedHead < posted.count else { return nil }
        let task = posted[postedHead]
        postedHead += 1
        if postedHead == posted.count {
            posted.removeAll(keepingCapacity: posted.count <= 1024)
            postedHead = 0
        }
        _ = publish(id: 0)
        return Taken(task: task, timer: 0)
    }

    mutating func takeTimer(now: Int64) -> Taken? {
        lock.lock()
        defer { lock.unlock() }
        guard let next = timers.takeDue(now: now) else { return nil }
        _ = publish(id: 0)
        return Taken(task: next.task, timer: next.id)
    }

    /// The function has returned; its thread may have lost the loop. True: a timer goes on that the loop, if
    /// it sleeps, does not know of.
    mutating func finish(_ taken: Taken, now: Int64) -> Bool {
        if taken.timer == 0 {
            taken.task.end()
            return false
        }
        lock.lock()
        let over = timers.finish(taken.timer, now: now)
        let accepted = publish(id: 0)
        lock.unlock()
        over?.end()
        if case .mustWake = accepted { return true }
        return false
    }

    /// Nothing runs any more; what is left is dropped.
    mutating func close() {
        lock.lock()
        isClosed = true
        let left = posted[postedHead...] + timers.removeAll()
        posted = []
        postedHead = 0
        due.store(Int64.max, ordering: .relaxed)
        lock.unlock()
        for task in left { task.end() }
    }

    /// Lock held.
    private mutating func publish(id: Int64) -> Accepted {
        let next = postedHead < posted.count ? 0 : timers.earliest
        let before = due.load(ordering: .relaxed)
        due.store(next, ordering: .sequentiallyConsistent)
        return next < before ? .mustWake(id: id) : .inTime(id: id)
    }
}
