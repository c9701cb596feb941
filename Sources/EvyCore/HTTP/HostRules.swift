// SPDX-License-Identifier: MIT
// HostRules - checks the form of a Host value or of the authority in an absolute target.
// Room: HTTP (pure). Spec: RFC 9110 section 4.2 and 7.2, RFC 3986 section 3.2.2.

/// A host that is read in two ways routes a request to two places; so its form is checked to the letter.
enum HostRules {
    /// uri-host [ ":" port ], or nothing at all. User information ("user@") is an attack in http (RFC 9110
    /// section 4.2.4) and no part of the form.
    static func isWellFormed(_ bytes: RawSpan, _ range: ByteRange) -> Bool {
        if range.isEmpty { return true }
        let hostEnd: Int
        if bytes.byte(range.lower) == 0x5b {
            guard let end = endOfAddress(bytes, range) else { return false }
            hostEnd = end
        } else {
            guard let end = endOfName(bytes, range) else { return false }
            hostEnd = end
        }
        return isPort(bytes, hostEnd, range.upper)
    }

    /// reg-name and IPv4address: unreserved, sub-delims and well-formed percent signs.
    private static func endOfName(_ bytes: RawSpan, _ range: ByteRange) -> Int? {
        var index = range.lower
        while true {
            index = Scanner.hostEnd(bytes, index, range.upper)
            if index >= range.upper { break }
            let byte = bytes.byte(index)
            if byte == ASCII.colon { break }
            guard byte == 0x25, index &+ 2 < range.upper, ASCII.isHexDigit(bytes.byte(index &+ 1)),
                ASCII.isHexDigit(bytes.byte(index &+ 2))
            else { return nil }
            index &+= 3
        }
        // ":80" has a port of nobody.
        return index > range.lower ? index : nil
    }

    /// "[" IPv6address "]": eight groups, or fewer around one "::"; the last two may be an IPv4address.
    /// An address of a later version (IPvFuture) is none that anybody has.
    private static func endOfAddress(_ bytes: RawSpan, _ range: ByteRange) -> Int? {
        var index = range.lower &+ 1
        var groups = 0
        var hasGap = false
        if isGap(bytes, index) {
            hasGap = true
            index &+= 2
            if bytes.byte(index) == 0x5d { return endOfBrackets(index, range) }
        }
        while true {
            let end = endOfGroup(bytes, index)
            if bytes.byte(end) == 0x2e {
                guard let end = endOfIPv4(bytes, index) else { return nil }
                groups &+= 2
                guard bytes.byte(end) == 0x5d, hasGap ? groups < 8 : groups == 8 else { return nil }
                return endOfBrackets(end, range)
            }
            guard end > index else { return nil }
            groups &+= 1
            index = end
            if bytes.byte(index) == 0x5d { break }
            guard groups < 8, bytes.byte(index) == ASCII.colon else { return nil }
            if isGap(bytes, index) {
                guard !hasGap else { return nil }
                hasGap = true
                index &+= 1
                if bytes.byte(index &+ 1) == 0x5d {
                    index &+= 1
                    break
                }
            }
            index &+= 1
        }
        guard bytes.byte(index) == 0x5d, hasGap ? groups < 8 : groups == 8 else { return nil }
        return endOfBrackets(index, range)
    }

    private static func isGap(_ bytes: RawSpan, _ index: Int) -> Bool {
        bytes.byte(index) == ASCII.colon && bytes.byte(index &+ 1) == ASCII.colon
    }

    /// The bytes behind `range` may hold a bracket as well.
    private static func endOfBrackets(_ index: Int, _ range: ByteRange) -> Int? {
        index < range.upper ? index &+ 1 : nil
    }

    /// Behind one to four hexadecimal digits; the fifth is left over, and no byte that may follow.
    private static func endOfGroup(_ bytes: RawSpan, _ lower: Int) -> Int {
        var index = lower
        while index < lower &+ 4, ASCII.isHexDigit(bytes.byte(index)) { index &+= 1 }
        return index
    }

    /// Four numbers up to 255 without zeros in front, parted by dots.
    private static func endOfIPv4(_ bytes: RawSpan, _ lower: Int) -> Int? {
        var index = lower
        for part in 0..<4 {
            if part > 0 {
                guard bytes.byte(index) == 0x2e else { return nil }
                index &+= 1
            }
            let first = index
            var number = 0
            while index < first &+ 3, ASCII.isDigit(bytes.byte(index)) {
                number = number &* 10 &+ Int(bytes.byte(index) &- 0x30)
                index &+= 1
            }
            guard index > first, number < 256, index == first &+ 1 || bytes.byte(first) != 0x30 else {
                return nil
            }
        }
        return index
    }

    /// Nothing, or ":" *DIGIT up to 65535.
    private static func isPort(_ bytes: RawSpan, _ lower: Int, _ upper: Int) -> Bool {
        if lower == upper { return true }
        guard bytes.byte(lower) == ASCII.colon else { return false }
        return Scanner.portNumber(bytes, lower &+ 1, upper) >= 0
    }
}
