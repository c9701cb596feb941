// SPDX-License-Identifier: MIT
// LocalZone - turns seconds since the epoch into the ancestors' local date_time and its zone.
// Room: Server (asks System for the zone). Spec: field date_time, "22/Nov/2026 16:10:56".

internal import Synchronization

/// How far local time is ahead of UTC, asked from the C library once per second.
///
/// Second and offset share one atomic word: readers on any thread see a pair that belongs together, and
/// nobody waits. The rest of a date is arithmetic and costs less than looking a cached text up.
///
/// Thread: any.
final class LocalZone: Sendable {
    private static let bias: Int64 = 1 << 17  // offsets are within a day, 86400 < 2^17
    private static let mask: Int64 = (1 << 18) - 1
    private let pair = Atomic<Int64>(.min)

    func offset(at seconds: Int64) -> Int64 {
        let known = pair.load(ordering: .relaxed)
        if known >> 18 == seconds { return known & Self.mask - Self.bias }
        let offset = max(-86_400, min(86_400, LogCalls.utcOffset(at: seconds)))
        pair.store(seconds << 18 | (offset + Self.bias), ordering: .relaxed)
        return offset
    }
}

/// The texts themselves, into room of exactly the right size.
enum LocalTimeText {
    static let dateTimeCount = 20
    static let zoneCount = 5

    /// "22/Nov/2026 16:10:56"; `room` holds dateTimeCount bytes.
    static func dateTime(_ seconds: Int64, offset: Int64, into room: UnsafeMutableRawBufferPointer) {
        guard room.count == dateTimeCount else { return }
        let local = seconds &+ offset
        let second = ((local % 86_400) &+ 86_400) % 86_400
        let date = date(ofDay: (local &- second) / 86_400)
        putPair(UInt32(truncatingIfNeeded: date.day), room, 0, "/")
        let name = monthName(date.month)
        for index in 0..<3 { room[3 + index] = UInt8(truncatingIfNeeded: name >> UInt32(8 * index)) }
        room[6] = UInt8(ascii: "/")
        let year = UInt32(truncatingIfNeeded: ((date.year % 10_000) &+ 10_000) % 10_000)
        putPair(year / 100, room, 7)
        putPair(year % 100, room, 9, " ")
        let clock = UInt32(truncatingIfNeeded: second)
        putPair(clock / 3600, room, 12, ":")
        putPair(clock / 60 % 60, room, 15, ":")
        putPair(clock % 60, room, 18)
    }

    static let bothCount = dateTimeCount + 1 + zoneCount

    /// "22/Nov/2026:16:10:56 +0100", as Apache and nginx write it; `room` holds bothCount bytes.
    static func both(_ seconds: Int64, offset: Int64, into room: UnsafeMutableRawBufferPointer) {
        guard room.count == bothCount else { return }
        dateTime(
            seconds, offset: offset, into: UnsafeMutableRawBufferPointer(rebasing: room[..<dateTimeCount]))
        room[11] = UInt8(ascii: ":")
        room[dateTimeCount] = UInt8(ascii: " ")
        zone(offset: offset, into: UnsafeMutableRawBufferPointer(rebasing: room[(dateTimeCount + 1)...]))
    }

    /// "+0100"; `room` holds zoneCount bytes.
    static func zone(offset: Int64, into room: UnsafeMutableRawBufferPointer) {
        guard room.count == zoneCount else { return }
        room[0] = offset < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+")
        let minutes = UInt32(truncatingIfNeeded: offset.magnitude / 60)
        putPair(minutes / 60, room, 1)
        putPair(minutes % 60, room, 3)
    }

    /// Days since 1970-01-01 to a date of the Gregorian calendar, by eras of 400 years that begin in March,
    /// so that the leap day is an era's last.
    fileprivate static func date(ofDay days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days &+ 719_468
        let era = (shifted >= 0 ? shifted : shifted &- 146_096) / 146_097
        let dayOfEra = shifted &- era &* 146_097
        let leaps = dayOfEra / 1460 &- dayOfEra / 36_524 &+ dayOfEra / 146_096
        let yearOfEra = (dayOfEra &- leaps) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let march = (5 &* dayOfYear &+ 2) / 153
        let day = dayOfYear &- (153 &* march &+ 2) / 5 &+ 1
        let month = march < 10 ? march &+ 3 : march &- 9
        return (yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0), month, day)
    }

    /// Three letters, the first in the lowest byte.
    private static func monthName(_ month: Int64) -> UInt32 {
        switch month {
        case 1: return letters("J", "a", "n")
        case 2: return letters("F", "e", "b")
        case 3: return letters("M", "a", "r")
        case 4: return letters("A", "p", "r")
        case 5: return letters("M", "a", "y")
        case 6: return letters("J", "u", "n")
        case 7: return letters("J", "u", "l")
        case 8: return letters("A", "u", "g")
        case 9: return letters("S", "e", "p")
        case 10: return letters("O", "c", "t")
        case 11: return letters("N", "o", "v")
        default: return letters("D", "e", "c")
        }
    }

    private static func letters(_ a: Unicode.Scalar, _ b: Unicode.Scalar, _ c: Unicode.Scalar) -> UInt32 {
        a.value | b.value << 8 | c.value << 16
    }

    /// Two digits at `index`, which with `after` stays inside the room by the callers' own constants.
    fileprivate static func putPair(
        _ number: UInt32, _ room: UnsafeMutableRawBufferPointer, _ index: Int, _ after: Unicode.Scalar? = nil
    ) {
        room[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / 10 % 10)
        room[index + 1] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number % 10)
        if let after { room[index + 2] = UInt8(ascii: after) }
    }
}

/// The time of day everywhere, as programs read it.
enum UTCText {
    static let count = 20

    /// "2026-11-22T16:10:56Z" (RFC 3339); `room` holds `count` bytes.
    static func write(_ seconds: Int64, into room: UnsafeMutableRawBufferPointer) {
        guard room.count == count else { return }
        let second = ((seconds % 86_400) &+ 86_400) % 86_400
        let date = LocalTimeText.date(ofDay: (seconds &- second) / 86_400)
        let year = UInt32(truncatingIfNeeded: ((date.year % 10_000) &+ 10_000) % 10_000)
        let clock = UInt32(truncatingIfNeeded: second)
        LocalTimeText.putPair(year / 100, room, 0)
        LocalTimeText.putPair(year % 100, room, 2, "-")
        LocalTimeText.putPair(UInt32(truncatingIfNeeded: date.month), room, 5, "-")
        LocalTimeText.putPair(UInt32(truncatingIfNeeded: date.day), room, 8, "T")
        LocalTimeText.putPair(clock / 3600, room, 11, ":")
        LocalTimeText.putPair(clock / 60 % 60, room, 14, ":")
        LocalTimeText.putPair(clock % 60, room, 17, "Z")
    }
}
