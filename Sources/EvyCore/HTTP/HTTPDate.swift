// SPDX-License-Identifier: MIT
// HTTPDate - writes a moment as IMF-fixdate, "Sun, 06 Nov 1994 08:49:37 GMT".
// Room: HTTP (pure: the time is an argument). Spec: RFC 9110 section 5.6.7.

enum HTTPDate {
    /// Bytes of every date.
    static var byteCount: Int { 29 }

    private static let secondsPerDay: Int64 = 86_400
    /// The last second of the year 9999, the last one the form can say.
    private static let secondsMax: Int64 = 253_402_300_799

    /// Appends 29 bytes. A moment the form cannot say becomes the nearest one it can (from 1970 on).
    static func write(secondsSinceEpoch: Int64, into out: inout ByteBuffer) {
        let seconds = min(max(secondsSinceEpoch, 0), secondsMax)
        let days = seconds / secondsPerDay
        let secondOfDay = seconds % secondsPerDay
        let date = civilDate(daysSinceEpoch: days)
        out.append(weekdayName((days &+ 4) % 7))
        out.append(", ")
        appendTwoDigits(date.day, &out)
        out.append(monthName(date.month))
        appendTwoDigits(date.year / 100, &out)
        appendTwoDigits(date.year % 100, &out)
        out.append(ASCII.space)
        appendTwoDigits(secondOfDay / 3600, &out)
        out.append(ASCII.colon)
        appendTwoDigits(secondOfDay / 60 % 60, &out)
        out.append(ASCII.colon)
        appendTwoDigits(secondOfDay % 60, &out)
        out.append(" GMT")
    }

    /// Gregorian date of a day number: years are counted from March, so the leap day is the last of a year
    /// and a month's first day is a straight line (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    static func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let daysSinceEra = daysSinceEpoch &+ 719_468
        let era = daysSinceEra / 146_097
        let dayOfEra = daysSinceEra % 146_097
        let leapDays = dayOfEra / 1460 &- dayOfEra / 36_524 &+ dayOfEra / 146_096
        let yearOfEra = (dayOfEra &- leapDays) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let monthFromMarch = (5 &* dayOfYear &+ 2) / 153
        let day = dayOfYear &- (153 &* monthFromMarch &+ 2) / 5 &+ 1
        let month = monthFromMarch < 10 ? monthFromMarch &+ 3 : monthFromMarch &- 9
        let year = era &* 400 &+ yearOfEra &+ (month <= 2 ? 1 : 0)
        return (year, month, day)
    }

    private static func appendTwoDigits(_ number: Int64, _ out: inout ByteBuffer) {
        out.append(0x30 &+ UInt8(truncatingIfNeeded: number / 10))
        out.append(0x30 &+ UInt8(truncatingIfNeeded: number % 10))
    }

    private static func weekdayName(_ weekday: Int64) -> StaticString {
        switch weekday {
        case 0: "Sun"
        case 1: "Mon"
        case 2: "Tue"
        case 3: "Wed"
        case 4: "Thu"
        case 5: "Fri"
        default: "Sat"
        }
    }

    private static func monthName(_ month: Int64) -> StaticString {
        switch month {
        case 1: " Jan "
        case 2: " Feb "
        case 3: " Mar "
        case 4: " Apr "
        case 5: " May "
        case 6: " Jun "
        case 7: " Jul "
        case 8: " Aug "
        case 9: " Sep "
        case 10: " Oct "
        case 11: " Nov "
        default: " Dec "
        }
    }
}
