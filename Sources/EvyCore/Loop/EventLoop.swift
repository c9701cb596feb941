// SPDX-License-Identifier: MIT
// EventLoop - waits, then hands events, passed deadlines and posts to its client. All of it is on this
// screen.
// Room: Loop. Spec: epoll(7), level-triggered.

/// What sits on the loop. Each call answers whether the thread still holds the loop: host code that ran in it
/// may
/// have blocked so long that another thread goes on; then nothing of the loop may be touched any more.
protocol LoopClient {
    /// Something is held that others may wait for while nothing happens here.
    var holdsOn: Bool { get }
    func letGo()
    func turnBegan()
    func isReady(_ token: UInt64, _ events: EventSet) -> Bool
    func deadlinePassed(_ index: UInt32) -> Bool
    func woken()
    func inboxFilled() -> Bool
    func tasksDue() -> Bool
    func turnEnded() -> Bool
}

/// Ownership: part of its reactor. Thread: the holder; `inbox` and `poll.wake()` are for all.
struct EventLoop: ~Copyable {
    /// Nanoseconds, monotonic, read once each turn. First, because no other thread reads it: ThreadSanitizer
    /// books a change of any member as one of the first byte.
    var now: Int64
    var deadlines: DeadlineWheel
    let poll: EventPoll
    let inbox = Inbox()
    let lease = Lease()
    let habit = BlockingHabit()
    let board: UnsafeMutablePointer<TaskBoard>

    var nowMilliseconds: Int64 { now / 1_000_000 }

    init?(error: inout Int32) {
        guard let poll = EventPoll(error: &error) else { return nil }
        self.poll = poll
        board = .allocate(capacity: 1)
        board.initialize(to: TaskBoard())
        now = Clock.monotonicNanoseconds
        deadlines = DeadlineWheel(now: now / 1_000_000)
    }

    deinit {
        board.close()
        board.deinitialize(count: 1)
        board.deallocate()
    }

    /// Milliseconds until the loop has something to do even if nothing comes; -1: for ever.
    func timeout(now: Int64) -> Int32 {
        guard inbox.isEmpty else { return 0 }
        return Self.sooner(deadlines.timeout(now: now), board.timeout(now: now))
    }

    /// Negative: for ever.
    @inline(__always)
    private static func sooner(_ one: Int32, _ other: Int32) -> Int32 {
        one < 0 ? other : other < 0 ? one : min(one, other)
    }

    /// Waits for at most `milliseconds` (-1: for as long as there is nothing to do). False: the calling
    /// thread has lost the loop.
    static func turn(
        _ loop: UnsafeMutablePointer<EventLoop>, _ client: some LoopClient, milliseconds: Int32 = -1
    ) -> Bool {
        let timeout = sooner(loop.pointee.timeout(now: loop.pointee.nowMilliseconds), milliseconds)
        var count = 0
        if client.holdsOn {
            count = loop.pointee.poll.wait(milliseconds: 0)
            if count == 0 { client.letGo() }
        }
        if count == 0 { count = loop.pointee.poll.wait(milliseconds: timeout) }
        loop.pointee.now = Clock.monotonicNanoseconds
        client.turnBegan()
        for index in 0..<count {
            let event = loop.pointee.poll.event(at: index)
            if event.token == EventPoll.wakeToken {
                loop.pointee.poll.acknowledgeWake()
                client.woken()
            } else if !client.isReady(event.token, event.events) {
                return false
            }
        }
        while let index = loop.pointee.deadlines.popExpired(now: loop.pointee.nowMilliseconds) {
            if !client.deadlinePassed(index) { return false }
        }
        if !loop.pointee.inbox.isEmpty, !client.inboxFilled() { return false }
        if loop.pointee.board.isDue(now: loop.pointee.nowMilliseconds), !client.tasksDue() {
            return false
        }
        return client.turnEnded()
    }
}
