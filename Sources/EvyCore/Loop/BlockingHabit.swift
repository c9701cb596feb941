// SPDX-License-Identifier: MIT
// BlockingHabit - remembers whether host code tends to block, so that the loop need not wait to see it again.
// Room: Loop (pure: time is an argument).

internal import Synchronization

/// A loop that is taken from a thread whose handler blocks has stood still for two milliseconds before. Where
/// most handlers block, that would be all the loop does; so after a few in a row host code goes to other
/// threads at once, until it has been quick for a while.
///
/// Thread: any; a change that is lost in a race is one of many.
struct BlockingHabit: ~Copyable {
    /// Host code that ran shorter elsewhere would have been better off on the loop.
    static let quickNanoseconds: Int64 = 1_000_000
    private static let most = 64
    private static let threshold = 16
    private static let stolenWeight = 8
    private static let slowWeight = 4

    private let heat = Atomic<Int>(0)

    /// Host code shall not run on the loop.
    @inline(__always)
    var isSet: Bool { heat.load(ordering: .relaxed) >= Self.threshold }

    /// Host code has blocked and lost the loop.
    func noteStolen() { add(Self.stolenWeight) }

    /// Host code has returned on the loop.
    @inline(__always)
    func noteQuick() {
        if heat.load(ordering: .relaxed) > 0 { add(-1) }
    }

    /// Host code has returned on a thread without the loop.
    func noteElsewhere(nanoseconds: Int64) {
        add(nanoseconds < Self.quickNanoseconds ? -1 : Self.slowWeight)
    }

    private func add(_ change: Int) {
        let now = heat.load(ordering: .relaxed)
        heat.store(min(max(now &+ change, 0), Self.most), ordering: .relaxed)
    }
}
