// SPDX-License-Identifier: MIT
// FifoTests - order, emptiness and what is taken out of the midst of a queue.
// Room under test: System/Fifo.

import Testing

@testable import EvyCore

@Suite struct FifoTests {
    @Test func elementsComeInTheirOrderAlsoBetweenFurtherOnes() {
        var queue = Fifo<Int>()
        #expect(queue.isEmpty && queue.popFirst() == nil)
        var given: [Int] = []
        for number in 0..<1000 {
            queue.append(2 * number)
            queue.append(2 * number + 1)
            if let element = queue.popFirst() { given.append(element) }
        }
        #expect(queue.count == 1000)
        while let element = queue.popFirst() { given.append(element) }
        #expect(given == Array(0..<2000))
        #expect(queue.isEmpty && queue.count == 0)
    }

    @Test func oneThatNeverRunsEmptyKeepsLittle() {
        var queue = Fifo<Int>()
        queue.append(0)
        var most = 0
        for number in 1..<100_000 {
            queue.append(number)
            #expect(queue.popFirst() == number - 1)
            most = max(most, queue.elements.count)
        }
        #expect(queue.count == 1 && most < 10_000)
    }

    @Test func whatIsTakenOutIsGivenBackAndTheRestKeepsItsOrder() {
        var queue = Fifo<Int>()
        for number in 0..<10 { queue.append(number) }
        _ = queue.popFirst()
        #expect(queue.removeAll { $0.isMultiple(of: 3) } == [3, 6, 9])
        #expect(queue.count == 6 && queue.popFirst() == 1)
        #expect(queue.removeAll() == [2, 4, 5, 7, 8])
        #expect(queue.isEmpty)
    }
}
