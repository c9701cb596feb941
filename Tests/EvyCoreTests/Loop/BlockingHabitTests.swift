// SPDX-License-Identifier: MIT
// BlockingHabitTests - when host code leaves the loop at once, and when it comes back to it.
// Room under test: Loop/BlockingHabit.

import Testing

@testable import EvyCore

@Suite struct BlockingHabitTests {
    private static let slow: Int64 = 10_000_000
    private static let quick: Int64 = 10_000

    @Test func oneSlowHandlerAmongManyQuickOnesStaysOnTheLoop() {
        let habit = BlockingHabit()
        for _ in 0..<100 {
            habit.noteStolen()
            #expect(habit.isSet == false)
            for _ in 0..<20 { habit.noteQuick() }
        }
    }

    @Test func handlersThatAlwaysBlockLeaveTheLoop() {
        let habit = BlockingHabit()
        habit.noteStolen()
        habit.noteStolen()
        #expect(habit.isSet == true)
        for _ in 0..<1000 { habit.noteElsewhere(nanoseconds: Self.slow) }
        #expect(habit.isSet == true)
    }

    @Test func handlersThatHaveBecomeQuickComeBack() {
        let habit = BlockingHabit()
        for _ in 0..<1000 { habit.noteElsewhere(nanoseconds: Self.slow) }
        var runs = 0
        while habit.isSet, runs < 1000 {
            habit.noteElsewhere(nanoseconds: Self.quick)
            runs += 1
        }
        #expect((1...64).contains(runs))
    }

    @Test func aFifthOfSlowHandlersIsEnoughToStayAway() {
        let habit = BlockingHabit()
        habit.noteStolen()
        habit.noteStolen()
        for index in 0..<1000 {
            habit.noteElsewhere(nanoseconds: index % 4 == 0 ? Self.slow : Self.quick)
            #expect(habit.isSet == true)
        }
    }

    /// As threads that wait for an interpreter lock look: slow elsewhere, quick on the loop.
    @Test func whatIsQuickOnTheLoopComesBackThoughItIsSlowElsewhere() {
        let habit = BlockingHabit()
        habit.noteStolen()
        habit.noteStolen()
        var runs = 0
        while habit.isSet, runs < 1000 {
            runs += 1
            if habit.leavesLoop {
                habit.noteElsewhere(nanoseconds: Self.slow)
            } else {
                habit.noteQuick()
            }
        }
        #expect(runs == BlockingHabit.trialGaps.lowerBound * BlockingHabit.trialsWanted)
    }

    @Test func trialsThatBlockBecomeRare() {
        let habit = BlockingHabit()
        habit.noteStolen()
        habit.noteStolen()
        var trials = 0
        for _ in 0..<100_000 {
            if habit.leavesLoop {
                habit.noteElsewhere(nanoseconds: Self.slow)
            } else {
                trials += 1
                habit.noteStolen()
            }
        }
        #expect((20...40).contains(trials))
        #expect(habit.isSet == true)
    }
}
