// SPDX-License-Identifier: MIT
// TimerHeap - the host's timers by deadline: start and stop cost a few comparisons, however many there are.
// Room: Loop (pure: time is an argument). Spec: a binary heap whose members know their places.

/// A function of the host, to be called on a loop's thread.
struct HostTask {
    let function: @convention(c) (UnsafeMutableRawPointer?) -> Void
    let user: UnsafeMutableRawPointer?
    let drop: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?

    func run() { function(user) }
    func end() { drop?(user) }
}

/// Unlike the connections' deadlines, which nearly always move later and may be a tick late, these are exact
/// to the millisecond. An id names one timer for ever: its place is reused under another one.
///
/// Thread: one at a time.
struct TimerHeap: ~Copyable {
    private struct Timer {
        var task: HostTask?
        var deadline: Int64 = 0
        var period: Int64 = 0
        var generation: UInt32 = 0
        var place: Int = -1  // in the heap; -1: in none
        var isRunning = false
    }

    struct Due {
        let id: Int64
        let task: HostTask
    }

    private var timers: [Timer] = []
    private var free: [Int] = []
    private var heap: [Int] = []

    var count: Int { timers.count - free.count }
    /// Int64.max: none.
    var earliest: Int64 { heap.first.map { timers[$0].deadline } ?? Int64.max }

    /// period 0: once.
    mutating func start(_ task: HostTask, deadline: Int64, period: Int64) -> Int64 {
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            index = timers.count
            timers.append(Timer())
        }
        timers[index].task = task
        timers[index].deadline = deadline
        timers[index].period = period
        timers[index].generation = (timers[index].generation &+ 1) & 0x7fff_ffff
        insert(index)
        return Int64(timers[index].generation) << 32 | Int64(index + 1)
    }

    enum Stopped {
        case unknown
        /// It will not run; its drop function is owed.
        case ended(HostTask)
        /// It is being run; finish() will see that it was stopped.
        case running
    }

    mutating func stop(_ id: Int64) -> Stopped {
        guard let index = find(id) else { return .unknown }
        if timers[index].isRunning {
            guard timers[index].period != -1 else { return .unknown }
            timers[index].period = -1
            return .running
        }
        guard let task = timers[index].task else { return .unknown }
        remove(index)
        release(index)
        return .ended(task)
    }

    /// The next timer whose deadline has passed; it counts as running until finish().
    mutating func takeDue(now: Int64) -> Due? {
        guard let index = heap.first, timers[index].deadline <= now, let task = timers[index].task else {
            return nil
        }
        remove(index)
        timers[index].isRunning = true
        return Due(id: Int64(timers[index].generation) << 32 | Int64(index + 1), task: task)
    }

    /// Its function has returned. A task: the timer is over, and its drop function owed.
    mutating func finish(_ id: Int64, now: Int64) -> HostTask? {
        guard let index = find(id), timers[index].isRunning else { return nil }
        timers[index].isRunning = false
        let period = timers[index].period
        guard period <= 0 else {
            // From the deadline, not from now: a timer does not drift. What was missed is left out.
            let late = max(0, now - timers[index].deadline)
            timers[index].deadline &+= period &* (late / period + 1)
            insert(index)
            return nil
        }
        let task = timers[index].task
        release(index)
        return task
    }

    /// Takes all that are not running, for their drop functions.
    mutating func removeAll() -> [HostTask] {
        let tasks = heap.compactMap { timers[$0].task }
        for index in heap {
            timers[index].place = -1
            release(index)
        }
        heap.removeAll()
        for index in timers.indices where timers[index].isRunning { timers[index].period = -1 }
        return tasks
    }

    // MARK: Inside

    private func find(_ id: Int64) -> Int? {
        let index = Int(id & 0xffff_ffff) - 1
        guard id > 0, index >= 0, index < timers.count, Int64(timers[index].generation) == id >> 32,
            timers[index].task != nil
        else { return nil }
        return index
    }

    private mutating func release(_ index: Int) {
        timers[index].task = nil
        free.append(index)
    }

    private mutating func insert(_ index: Int) {
        timers[index].place = heap.count
        heap.append(index)
        rise(heap.count - 1)
    }

    private mutating func remove(_ index: Int) {
        let place = timers[index].place
        guard place >= 0, let last = heap.popLast() else { return }
        timers[index].place = -1
        guard last != index else { return }
        put(last, at: place)
        rise(place)
        sink(place)
    }

    private mutating func put(_ index: Int, at place: Int) {
        heap[place] = index
        timers[index].place = place
    }

    private mutating func rise(_ start: Int) {
        var place = start
        let index = heap[place]
        while place > 0 {
            let parent = (place - 1) / 2
            guard timers[index].deadline < timers[heap[parent]].deadline else { break }
            put(heap[parent], at: place)
            place = parent
        }
        put(index, at: place)
    }

    private mutating func sink(_ start: Int) {
        var place = start
        let index = heap[place]
        while true {
            var child = 2 * place + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, timers[heap[child + 1]].deadline < timers[heap[child]].deadline {
                child += 1
            }
            guard timers[heap[child]].deadline < timers[index].deadline else { break }
            put(heap[child], at: place)
            place = child
        }
        put(index, at: place)
    }
}
