// SPDX-License-Identifier: MIT
// IdleThreadsTests - how many threads a rush has left behind.
// Room tested: Server/CrewEnd.

import Testing

@testable import EvyCore

/// A rush has left threads behind, and there is always work for some of them.
@Suite struct IdleThreadsTests {
    private let length = Crew.idleNanoseconds

    /// After a while in which so many others idled at each wake-up.
    private func idle(after others: Int...) -> IdleThreads {
        var idle = IdleThreads()
        let hasBegun = idle.hasSurplus(now: 0)
        #expect(!hasBegun)
        for count in others { idle.note(others: count) }
        return idle
    }

    @Test func thoseThatIdledAtTheBusiestMomentAreTooManyButOne() {
        var idle = idle(after: 5, 3, 4)
        let isEarly = idle.hasSurplus(now: length - 1)
        #expect(!isEarly, "the while is not over")
        var gone = 0
        while gone < 9, idle.hasSurplus(now: length) {
            idle.noteGone()
            gone += 1
        }
        #expect(gone == 2)
    }

    @Test func nobodyGoesWhereAllHadWorkOnce() {
        var idle = idle(after: 5, 0, 5)
        let first = idle.hasSurplus(now: length)
        idle.note(others: 2)
        let early = idle.hasSurplus(now: 2 * length - 1)
        let second = idle.hasSurplus(now: 2 * length)
        #expect([first, early, second] == [false, false, true], "each while by itself")
    }

    @Test func aWhileInWhichNobodyWasWokenTellsNothing() {
        var idle = idle()
        let isTold = idle.hasSurplus(now: 5 * length)
        #expect(!isTold)
    }
}
