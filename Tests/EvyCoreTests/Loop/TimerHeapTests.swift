// SPDX-License-Identifier: MIT
// TimerHeapTests - timers come in the order of their deadlines, once each, and not after they were stopped.
// Room: tests.

import Testing

@testable import EvyCore

@Suite struct TimerHeapTests {
    private let task = HostTask(function: { _ in }, user: nil, drop: nil)

    @Test func timersComeInOrderWhateverWasStopped() {
        var heap = TimerHeap()
        var generator = SystemRandomNumberGenerator()
        var expected: [Int64: Int64] = [:]
        for round in 0..<5000 {
            let deadline = Int64.random(in: 0..<1000, using: &generator)
            let id = heap.start(task, deadline: deadline, period: 0)
            #expect(id > 0 && expected[id] == nil)
            expected[id] = deadline
            if round % 3 == 0, let victim = expected.keys.randomElement(using: &generator) {
                guard case .ended = heap.stop(victim) else {
                    Issue.record("\(victim) could not be stopped")
                    continue
                }
                expected[victim] = nil
            }
        }
        #expect(heap.count == expected.count)
        var last: Int64 = -1
        while let due = heap.takeDue(now: 1000) {
            let deadline = expected.removeValue(forKey: due.id)
            #expect((deadline ?? -1) >= last)
            last = deadline ?? last
            #expect(heap.finish(due.id, now: 1000) != nil)
        }
        #expect(expected.isEmpty && heap.count == 0 && heap.earliest == Int64.max)
    }

    @Test func nothingComesBeforeItsTime() {
        var heap = TimerHeap()
        _ = heap.start(task, deadline: 10, period: 0)
        #expect(heap.takeDue(now: 9) == nil)
        #expect(heap.earliest == 10)
        #expect(heap.takeDue(now: 10) != nil)
    }

    @Test func aPeriodDoesNotDriftAndLeavesOutWhatWasMissed() {
        var heap = TimerHeap()
        let id = heap.start(task, deadline: 10, period: 10)
        for (now, next) in [(Int64(10), Int64(20)), (23, 30), (75, 80), (80, 90)] {
            #expect(heap.takeDue(now: now)?.id == id)
            #expect(heap.takeDue(now: now + 100) == nil, "it runs, so it cannot come again")
            #expect(heap.finish(id, now: now) == nil)
            #expect(heap.earliest == next)
        }
    }

    @Test func aTimerStoppedWhileItRunsEndsWithItsRun() {
        var heap = TimerHeap()
        let id = heap.start(task, deadline: 0, period: 5)
        #expect(heap.takeDue(now: 0) != nil)
        guard case .running = heap.stop(id) else {
            Issue.record("it runs")
            return
        }
        guard case .unknown = heap.stop(id) else {
            Issue.record("it was stopped before")
            return
        }
        #expect(heap.finish(id, now: 0) != nil)
        #expect(heap.count == 0)
    }

    @Test func anOldIdNamesNoNewTimer() {
        var heap = TimerHeap()
        let old = heap.start(task, deadline: 0, period: 0)
        _ = heap.stop(old)
        let new = heap.start(task, deadline: 0, period: 0)
        #expect(new != old)
        for id in [old, 0, -1, Int64.min, Int64.max, new &+ 1, new &<< 1] {
            guard case .unknown = heap.stop(id) else {
                Issue.record("\(id) stopped something")
                continue
            }
        }
        #expect(heap.count == 1)
    }

    @Test func removingAllLeavesTheRunningOneToItsRun() {
        var heap = TimerHeap()
        let running = heap.start(task, deadline: 0, period: 5)
        _ = heap.takeDue(now: 0)
        _ = heap.start(task, deadline: 1, period: 0)
        _ = heap.start(task, deadline: 2, period: 1)
        #expect(heap.removeAll().count == 2)
        #expect(heap.finish(running, now: 0) != nil)
        #expect(heap.count == 0)
    }
}
