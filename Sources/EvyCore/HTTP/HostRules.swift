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

    /// "[" IPv6address "]": eight groups of one to four digits, a "::" for one or more of them, the last two
    /// perhaps as IPv4. Neither a zone nor an address of a future version is one (RFC 3986 section 3.2.2).
    private static func endOfAddress(_ bytes: RawSpan, _ range: ByteRange) -> Int? {
        var index = range.lower &+ 1
        var groups = 0
        var hasGap = false
        if bytes.byte(index) == ASCII.colon {
            guard bytes.byte(index &+ 1) == ASCII.colon else { return nil }
            hasGap = true
            index &+= 2
        }
        while index < range.upper, bytes.byte(index) != 0x5d {
            guard groups < 8 else { return nil }
            let start = index
            while ASCII.isHexDigit(bytes.byte(index)) { index &+= 1 }
            if bytes.byte(index) == 0x2e {
                guard groups <= 6, let end = endOfIPv4(bytes, start) else { return nil }
                groups &+= 2
                index = end
                break
            }
            guard index > start, index &- start <= 4 else { return nil }
            groups &+= 1
            guard bytes.byte(index) == ASCII.colon else { break }
            index &+= 1
            if bytes.byte(index) == ASCII.colon {
                if hasGap { return nil }
                hasGap = true
                index &+= 1
            } else if bytes.byte(index) == 0x5d {
                return nil
            }
        }
        guard index < range.upper, bytes.byte(index) == 0x5d, hasGap ? groups <= 7 : groups == 8 else {
            return nil
        }
        return index &+ 1
    }

    /// Four numbers up to 255, without leading zeros.
    private static func endOfIPv4(_ bytes: RawSpan, _ lower: Int) -> Int? {
        var index = lower
        for part in 0..<4 {
            if part > 0 {
                guard bytes.byte(index) == 0x2e else { return nil }
                index &+= 1
            }
            let start = index
            var number = 0
            while ASCII.isDigit(bytes.byte(index)), index &- start < 3 {
                number = number &* 10 &+ Int(bytes.byte(index) &- 0x30)
                index &+= 1
            }
            guard index > start, number <= 255 else { return nil }
            if bytes.byte(start) == 0x30, index &- start > 1 { return nil }
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
