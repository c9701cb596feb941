// SPDX-License-Identifier: MIT
// IdleThreadsTests - how many threads a rush has left behind, and when one of them may go.
// Rooms tested: Server/CrewEnd, Server/Crew.

import Synchronization
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

@Suite struct RetirementTests {
    /// Whether a thread of the crew may go.
    private func mayGo(_ crew: Crew) -> Bool {
        let answer = Atomic(false)
        let thread = crew.gate.withLock {
            let thread = Thread.start(name: "test") {
                crew.gate.withLock { answer.store(crew.mayRetire(), ordering: .relaxed) }
            }
            if let thread { crew.threads = [thread] }
            return thread
        }
        thread?.join()
        return answer.load(ordering: .relaxed)
    }

    private func crew() -> Crew { Crew(limit: 4, waitingLimit: 64, headMax: 1 << 14, makesThreads: true) }

    @Test func oneThatNobodyNeedsMayGo() {
        #expect(mayGo(crew()))
    }

    /// What it did with the loop lies in its buffers, and they would go with it.
    @Test func theOneThatLostTheLoopStaysUntilItIsAdopted() {
        let crew = crew()
        crew.victim = crew.makeFirstWorker()
        #expect(crew.victim != nil)
        #expect(!mayGo(crew))
    }

    @Test func theOneThatTheLoopWaitsForStays() {
        let crew = crew()
        crew.isLeaderless = true
        #expect(!mayGo(crew))
    }
}
