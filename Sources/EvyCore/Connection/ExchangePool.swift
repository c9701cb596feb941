// SPDX-License-Identifier: MIT
// ExchangePool - exchanges that are done with and serve again.
// Room: Connection.

/// A few keep their buffers and are taken first, so that steady work allocates nothing; those that only a
/// rush needs keep the bare exchange, or the most that ever happened at once would be held for ever.
///
/// Ownership: owns what is in it. Thread: the holder of the loop.
struct ExchangePool: ~Copyable {
    private static let readyMax = 16
    private static let bareMax = 496

    private var ready: ExchangeRef?
    private var readyCount = 0
    private var bare: ExchangeRef?
    private var bareCount = 0

    deinit {
        for first in [ready, bare] {
            var rest = first
            while let exchange = rest {
                rest = exchange.pointee.nextUnsent
                exchange.destroy()
            }
        }
    }

    /// The next one pushed may keep its buffers.
    @inline(__always)
    var wantsReady: Bool { readyCount < Self.readyMax }

    @inline(__always)
    mutating func pop() -> ExchangeRef? {
        guard let exchange = ready else { return popBare() }
        ready = exchange.pointee.nextUnsent
        readyCount &-= 1
        return exchange
    }

    private mutating func popBare() -> ExchangeRef? {
        guard let exchange = bare else { return nil }
        bare = exchange.pointee.nextUnsent
        bareCount &-= 1
        return exchange
    }

    /// False: there is no room, and it stays the caller's; never with `force`.
    mutating func push(_ exchange: ExchangeRef, force: Bool) -> Bool {
        if wantsReady {
            exchange.pointee.nextUnsent = ready
            ready = exchange
            readyCount &+= 1
            return true
        }
        guard bareCount < Self.bareMax || force else { return false }
        exchange.pointee.nextUnsent = bare
        bare = exchange
        bareCount &+= 1
        return true
    }
}
