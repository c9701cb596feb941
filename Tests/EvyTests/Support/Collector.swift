// SPDX-License-Identifier: MIT
// Collector - what closures on server threads saw, for the test's own thread.
internal import Glibc
internal import Synchronization
internal import Testing

final class Collector<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])

    var all: [Value] { values.withLock { $0 } }

    func add(_ value: Value) { values.withLock { $0.append(value) } }

    /// Waits until there are that many.
    func wait(for count: Int) throws -> [Value] {
        try eventually("\(count) values") { all.count >= count }
        return all
    }
}

/// Polls a condition for at most 20 seconds.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
    for _ in 0..<4000 {
        if try condition() { return }
        usleep(5000)
    }
    throw RawClientError(text: "waited in vain for \(what)")
}
