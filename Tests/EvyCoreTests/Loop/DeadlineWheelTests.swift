// SPDX-License-Identifier: MIT
// DeadlineWheelTests - deadlines fire once, never early, at most one tick late, in any order of changes.
// Room under test: Loop/DeadlineWheel (time is an argument, so nothing here waits).

import Testing

@testable import EvyCore

@Suite struct DeadlineWheelTests {
    private static func makeWheel(places: Int, now: Int64) -> DeadlineWheel {
        var wheel = DeadlineWheel(now: now)
        let hasRoom = wheel.reserve(places)
        #expect(hasRoom)
        return wheel
    }

    /// Advances in steps and collects what fires, with the time it fired at.
    private static func run(
        _ wheel: inout DeadlineWheel, from start: Int64, to end: Int64, step: Int64
    ) -> [(index: UInt32, at: Int64)] {
        var fired: [(UInt32, Int64)] = []
        var now = start
        while now <= end {
            while let index = wheel.popExpired(now: now) { fired.append((index, now)) }
            now += step
        }
        return fired
    }

    @Test(arguments: [1, 63, 64, 65, 1_000, 32_767, 32_768, 75_000, 200_000] as [Int64])
    func aDeadlineFiresOnceAndNeverEarly(delay: Int64) {
        var wheel = Self.makeWheel(places: 8, now: 5)
        wheel.set(3, deadline: 5 + delay)
        let fired = Self.run(&wheel, from: 5, to: 5 + delay + 500, step: 7)
        #expect(fired.count == 1)
        #expect(fired.first?.index == 3)
        let late = (fired.first?.at ?? 0) - (5 + delay)
        #expect(late >= 0)
        #expect(late <= DeadlineWheel.tickMilliseconds * 2 + 7)
        #expect(wheel.timeout(now: 5 + delay + 600) == -1)
    }

    @Test func movingADeadlineLaterKeepsItFromFiringAtTheOldTime() {
        var wheel = Self.makeWheel(places: 1, now: 0)
        wheel.set(0, deadline: 1_000)
        wheel.set(0, deadline: 10_000)
        var fired = Self.run(&wheel, from: 0, to: 9_999, step: 50)
        #expect(fired.isEmpty)
        fired = Self.run(&wheel, from: 10_000, to: 10_300, step: 10)
        #expect(fired.count == 1)
    }

    @Test func movingADeadlineEarlierMakesItFireEarlier() {
        var wheel = Self.makeWheel(places: 1, now: 0)
        wheel.set(0, deadline: 75_000)
        wheel.set(0, deadline: 500)
        var fired = Self.run(&wheel, from: 0, to: 700, step: 10)
        #expect(fired.count == 1)
        fired = Self.run(&wheel, from: 700, to: 80_000, step: 500)
        #expect(fired.isEmpty)
    }

    @Test func aRemovedDeadlineNeverFires() {
        var wheel = Self.makeWheel(places: 2, now: 0)
        wheel.set(0, deadline: 300)
        wheel.set(1, deadline: 300)
        wheel.remove(0)
        let fired = Self.run(&wheel, from: 0, to: 1_000, step: 10)
        #expect(fired.map(\.index) == [1])
    }

    @Test func neverMeansNever() {
        var wheel = Self.makeWheel(places: 1, now: 0)
        wheel.set(0, deadline: 300)
        wheel.set(0, deadline: DeadlineWheel.never)
        let fired = Self.run(&wheel, from: 0, to: 100_000, step: 100)
        #expect(fired.isEmpty)
    }

    @Test func theTimeoutNeverSleepsPastADeadline() {
        var wheel = Self.makeWheel(places: 64, now: 1_000)
        for index in 0..<UInt32(64) { wheel.set(index, deadline: 1_000 + Int64(index) * 937) }
        var now: Int64 = 1_000
        var fired = 0
        while fired < 64, now < 200_000 {
            let sleep = Int64(wheel.timeout(now: now))
            #expect(sleep >= 0)
            now += max(sleep, 1)
            while let index = wheel.popExpired(now: now) {
                let due = 1_000 + Int64(index) * 937
                #expect(now >= due)
                #expect(now - due <= DeadlineWheel.tickMilliseconds * 2 + 1)
                fired += 1
            }
        }
        #expect(fired == 64)
    }

    @Test func growingKeepsWhatWasSet() {
        var wheel = Self.makeWheel(places: 1, now: 0)
        wheel.set(0, deadline: 200)
        let hasGrown = wheel.reserve(10_000)
        #expect(hasGrown)
        wheel.set(9_999, deadline: 200)
        let fired = Self.run(&wheel, from: 0, to: 500, step: 10)
        #expect(Set(fired.map(\.index)) == [0, 9_999])
    }

    @Test func anIndexBeyondTheTableIsIgnored() {
        var wheel = DeadlineWheel(now: 0)
        wheel.set(5, deadline: 10)
        wheel.remove(5)
        #expect(wheel.deadline(of: 5) == DeadlineWheel.never)
        #expect(wheel.popExpired(now: 1_000) == nil)
    }
}
