// SPDX-License-Identifier: MIT
// LentThreadsTests - when a crew asks its host for threads, and which of several crews gets one.
// Room tested: Server/CrewPlaces.

import Testing

@testable import EvyCore

@Suite struct LentThreadsTests {
    /// So many of its threads wait for their clients, and so many callbacks for a thread.
    private func crew(lent: Int, waiting: Int, queued: Int) -> Crew {
        let crew = Crew(limit: 4, waitingLimit: 64, headMax: 1 << 14, makesThreads: false)
        crew.lentCount = lent
        crew.waitingCount = waiting
        // Nobody looks at them: no thread ever serves here.
        let exchange = ExchangeRef(bitPattern: MemoryLayout<Exchange>.alignment)
        for _ in 0..<queued {
            if let exchange { crew.queue.append(exchange) }
        }
        return crew
    }

    private func asks(_ crew: Crew) -> Int {
        var count = 0
        while count < 99, crew.isShort() { count += 1 }
        return count
    }

    @Test func aThreadIsAskedForOnceForEachCallbackThatWaits() {
        #expect(asks(crew(lent: 4, waiting: 3, queued: 2)) == 2)
        #expect(
            asks(crew(lent: 4, waiting: 3, queued: 9)) == 4, "all that may run or wait, and one for the loop")
        #expect(asks(crew(lent: 4, waiting: 0, queued: 2)) == 0, "its threads may just be slow")
    }

    @Test func aThreadThatDoesNotComeIsAskedForAgain() {
        let crew = crew(lent: 4, waiting: 3, queued: 1)
        #expect(asks(crew) == 1)
        for _ in 0..<2 { crew.gate.withLock { crew.noteShort() } }
        #expect(asks(crew) == 1, "seen twice by the watcher")
    }

    @Test func theCrewThatAskedNeedsItMost() {
        let asked = crew(lent: 4, waiting: 3, queued: 1)
        #expect(asked.need == 1)
        #expect(asks(asked) == 1)
        #expect(asked.need == 2)
        #expect(crew(lent: 4, waiting: 0, queued: 0).need == 0)
    }
}
