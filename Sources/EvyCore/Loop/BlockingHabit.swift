// SPDX-License-Identifier: MIT
// BlockingHabit - remembers whether host code tends to block, so that the loop need not wait to see it again.
// Room: Loop (pure: time is an argument).

internal import Synchronization

/// A loop that is taken from a thread whose handler blocks has stood still for two milliseconds before.
/// Where most handlers block, that would be all the loop does; so after a few in a row host code goes to
/// other threads at once, until it has been quick for a while.
///
/// Elsewhere it may seem slow for another reason: under an interpreter lock, threads that compute wait for
/// each other. So now and then one stays on the loop all the same; several that were quick there end the
/// habit, one that was not makes such trials rarer.
///
/// Thread: any; a change that is lost in a race is one of many. `leavesLoop` and `noteQuick`: the loop's.
struct BlockingHabit: ~Copyable {
    /// Host code that ran shorter elsewhere would have been better off on the loop.
    static let quickNanoseconds: Int64 = 1_000_000
    private static let most = 64
    private static let threshold = 16
    private static let stolenWeight = 8
    private static let slowWeight = 4
    static let trialGaps = 64...4096
    static let trialsWanted = 4

    private let heat = Atomic<Int>(0)
    private let trialGap = Atomic<Int>(Self.trialGaps.lowerBound)
    private let untilTrial = Atomic<Int>(Self.trialGaps.lowerBound)
    private let quickTrials = Atomic<Int>(0)
    private let isTrial = Atomic<Bool>(false)

    @inline(__always)
    var isSet: Bool { heat.load(ordering: .relaxed) >= Self.threshold }

    /// Shall the next host code run elsewhere?
    @inline(__always)
    var leavesLoop: Bool { isSet && !tries() }

    @inline(never)
    private func tries() -> Bool {
        let left = untilTrial.load(ordering: .relaxed) &- 1
        guard left <= 0 else {
            untilTrial.store(left, ordering: .relaxed)
            return false
        }
        untilTrial.store(trialGap.load(ordering: .relaxed), ordering: .relaxed)
        isTrial.store(true, ordering: .relaxed)
        return true
    }

    /// Host code has blocked and lost the loop.
    func noteStolen() {
        if isTrial.exchange(false, ordering: .relaxed) {
            quickTrials.store(0, ordering: .relaxed)
            let gap = trialGap.load(ordering: .relaxed)
            trialGap.store(min(gap &* 2, Self.trialGaps.upperBound), ordering: .relaxed)
        }
        add(Self.stolenWeight)
    }

    /// Host code has returned on the loop.
    @inline(__always)
    func noteQuick() {
        if heat.load(ordering: .relaxed) > 0 { cool() }
    }

    @inline(never)
    private func cool() {
        guard isTrial.exchange(false, ordering: .relaxed) else { return add(-1) }
        trialGap.store(Self.trialGaps.lowerBound, ordering: .relaxed)
        let trials = quickTrials.load(ordering: .relaxed) &+ 1
        quickTrials.store(trials % Self.trialsWanted, ordering: .relaxed)
        if trials >= Self.trialsWanted { heat.store(0, ordering: .relaxed) }
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
