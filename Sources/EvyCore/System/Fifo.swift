// SPDX-License-Identifier: MIT
// Fifo - a queue that gives its elements back in order, at the cost of an array.
// Room: System (pure). Thread: one at a time.

struct Fifo<Element> {
    /// Also those that were taken and lie ahead of `head`.
    private(set) var elements: [Element] = []
    private var head = 0
    /// A rush leaves no more memory behind than this.
    private static var keptMax: Int { 4096 }

    var count: Int { elements.count - head }
    var isEmpty: Bool { head == elements.count }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: head <= Self.keptMax)
            head = 0
        } else if head > Self.keptMax, head > elements.count / 2 {
            // One that never runs empty must not keep the places of all that ever were in it.
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool = { _ in true }) -> [Element] {
        let waiting = elements[head...]
        let removed = waiting.filter(isUnwanted)
        elements = waiting.filter { !isUnwanted($0) }
        head = 0
        return removed
    }
}
