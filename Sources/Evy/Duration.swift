// SPDX-License-Identifier: MIT
// Duration - turns Swift durations into the milliseconds of evy.h (-1: for ever).
// Room: Evy (the Swift face).

extension Duration {
    /// No limit, wherever evy takes a duration.
    public static var forever: Duration { .seconds(Int64.max) }

    /// Rounded up, so that a wait of half a millisecond waits; never negative but for `.forever`.
    var evyMilliseconds: Int64 {
        if self >= .forever { return -1 }
        if self <= .zero { return 0 }
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        let (sum, tooMuch) = whole.addingReportingOverflow(part)
        return overflow || tooMuch ? -1 : sum
    }
}
