// SPDX-License-Identifier: MIT
// Clock - the two clocks the server reads, once per wake-up of the loop.
// Room: System. Spec: clock_gettime(2).

internal import CSystem

enum Clock {
    /// Never goes back; has nothing to do with the time of day.
    @inline(__always) static var monotonicNanoseconds: Int64 { evy_monotonic_ns() }
    @inline(__always) static var monotonicMilliseconds: Int64 { evy_monotonic_ns() / 1_000_000 }
    @inline(__always) static var secondsSinceEpoch: Int64 { evy_realtime_s() }
}
