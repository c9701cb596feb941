// SPDX-License-Identifier: MIT
// Shortage - when to say that something has run out, and that it is back: once, and not in turns.
// Room: Loop (pure: time is an argument, in milliseconds).

/// A shortage is told when it begins and when it ends. Where shortages follow each other closely, only the
/// first is, and one that goes on for so long.
struct Shortage {
    static let quietMilliseconds: Int64 = 10_000

    private var since: Int64 = -1
    private var isTold = false
    private var quietUntil = Int64.min

    var isOn: Bool { since >= 0 }

    /// Something was not to be had, perhaps again. True: say so.
    mutating func met(now: Int64) -> Bool {
        if since < 0 {
            since = now
            isTold = now >= quietUntil
            quietUntil = now &+ Self.quietMilliseconds
            return isTold
        }
        guard !isTold, now &- since >= Self.quietMilliseconds else { return false }
        isTold = true
        return true
    }

    /// It is to be had again. How long it was not, where that was told: say so as well.
    mutating func ended(now: Int64) -> Int64? {
        guard since >= 0 else { return nil }
        let length = now &- since
        since = -1
        quietUntil = now &+ Self.quietMilliseconds
        return isTold ? length : nil
    }
}
