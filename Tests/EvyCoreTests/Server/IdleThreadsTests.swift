// SPDX-License-Identifier: MIT
// IdleThreadsTests - how many threads a rush has left behind.
// Room tested: Server/CrewEnd.

import Testing

@testable import EvyCore

/// A rush has left threads behind, and there is always work for some of them.
@Suite struct IdleThreadsTests {
    private let length = Crew.idleNanoseconds

    @Test func thoseThatIdledAtTheBusiestMomentAreTooManyButOne() {
        var idle = IdleThreads()
        #expect(!idle.hasSurplus(now: 0))
        for others in [5, 3, 4] { idle.note(others: others) }
        #expect(!idle.hasSurplus(now: length - 1), "the while is not over")
        for _ in 0..<2 {
            #expect(idle.hasSurplus(now: length))
            idle.noteGone()
        }
        #expect(!idle.hasSurplus(now: length))
    }

    @Test func nobodyGoesWhereAllHadWorkOnce() {
        var idle = IdleThreads()
        #expect(!idle.hasSurplus(now: 0))
        for others in [5, 0, 5] { idle.note(others: others) }
        #expect(!idle.hasSurplus(now: length))
        idle.note(others: 2)
        #expect(!idle.hasSurplus(now: 2 * length - 1))
        #expect(idle.hasSurplus(now: 2 * length), "each while by itself")
    }

    @Test func aWhileInWhichNobodyWasWokenTellsNothing() {
        var idle = IdleThreads()
        #expect(!idle.hasSurplus(now: 0))
        #expect(!idle.hasSurplus(now: 5 * length))
    }
}
