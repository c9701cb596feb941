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

    /// "[" IPv6address "]". The counts of groups are not checked: nothing of ours is routed by them.
    private static func endOfAddress(_ bytes: RawSpan, _ range: ByteRange) -> Int? {
        var index = range.lower &+ 1
        var colons = 0
        while index < range.upper {
            let byte = bytes.byte(index)
            if byte == 0x5d { return colons >= 2 ? index &+ 1 : nil }
            guard byte == ASCII.colon || byte == 0x2e || ASCII.isHexDigit(byte) else { return nil }
            if byte == ASCII.colon { colons &+= 1 }
            index &+= 1
        }
        return nil
    }

    /// Nothing, or ":" *DIGIT up to 65535.
    private static func isPort(_ bytes: RawSpan, _ lower: Int, _ upper: Int) -> Bool {
        if lower == upper { return true }
        guard bytes.byte(lower) == ASCII.colon else { return false }
        return Scanner.portNumber(bytes, lower &+ 1, upper) >= 0
    }
}
