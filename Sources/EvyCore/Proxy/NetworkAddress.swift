// SPDX-License-Identifier: MIT
// NetworkAddress - turns the text of an IPv4 or IPv6 address, with or without a port, into its bits.
// Room: Proxy (pure). Spec: RFC 4291 section 2.2, RFC 7239 section 6, inet_pton(3).

/// An address that somebody else has told.
struct NetworkAddress: Equatable, BitwiseCopyable {
    enum Family: UInt8 { case ipv4, ipv6, unix }

    var family: Family
    /// 32 bits of an IPv4 address, 128 of an IPv6 one, 0 of a unix one.
    var bits: UInt128
    /// 0: not told.
    var port: UInt16

    static var unix: NetworkAddress { NetworkAddress(.unix, bits: 0) }

    init(_ family: Family, bits: UInt128, port: UInt16 = 0) {
        self.family = family
        self.bits = bits
        self.port = port
    }

    /// ::ffff:192.0.2.1 is 192.0.2.1: a rule for one must hold for the other.
    init(ipv6 bits: UInt128, port: UInt16 = 0) {
        let isMapped = bits >> 32 == 0xffff
        self.init(isMapped ? .ipv4 : .ipv6, bits: isMapped ? bits & 0xffff_ffff : bits, port: port)
    }

    /// bytes[range] as "192.0.2.1" or "2001:db8::1"; nil: neither.
    init?(_ bytes: RawSpan, _ range: ByteRange) {
        if let bits = Self.ipv4(bytes, range) {
            self.init(.ipv4, bits: UInt128(bits))
        } else if let bits = Self.ipv6(bytes, range) {
            self.init(ipv6: bits)
        } else {
            return nil
        }
    }

    /// bytes[range] as an address, or as "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80".
    static func node(_ bytes: RawSpan, _ range: ByteRange) -> NetworkAddress? {
        if bytes.byte(range.lower) == 0x5b {
            var close = range.lower
            while close < range.upper, bytes.byte(close) != 0x5d { close &+= 1 }
            guard close < range.upper, let bits = ipv6(bytes, ByteRange(range.lower &+ 1, close)),
                let port = portBehind(bytes, close &+ 1, range.upper)
            else { return nil }
            return NetworkAddress(ipv6: bits, port: port)
        }
        if let address = NetworkAddress(bytes, range) { return address }
        var colon = range.lower
        while colon < range.upper, bytes.byte(colon) != ASCII.colon { colon &+= 1 }
        guard let bits = ipv4(bytes, ByteRange(range.lower, colon)),
            let port = portBehind(bytes, colon, range.upper)
        else { return nil }
        return NetworkAddress(.ipv4, bits: UInt128(bits), port: port)
    }

    /// Nothing, or ":" and a port; nil: something else.
    private static func portBehind(_ bytes: RawSpan, _ from: Int, _ to: Int) -> UInt16? {
        if from == to { return 0 }
        guard bytes.byte(from) == ASCII.colon, let port = decimal(bytes, ByteRange(from &+ 1, to)) else {
            return nil
        }
        return UInt16(exactly: port)
    }

    /// One to five digits without a needless zero; the value may pass 65535.
    static func decimal(_ bytes: RawSpan, _ range: ByteRange) -> UInt32? {
        guard range.count >= 1, range.count <= 5 else { return nil }
        guard range.count == 1 || bytes.byte(range.lower) != 0x30 else { return nil }
        var value: UInt32 = 0
        for index in range.lower..<range.upper {
            let byte = bytes.byte(index)
            guard ASCII.isDigit(byte) else { return nil }
            value = value &* 10 &+ UInt32(byte &- 0x30)
        }
        return value
    }

    /// Four decimal groups. No leading zeros: other readers take those for octal, and see another host.
    static func ipv4(_ bytes: RawSpan, _ range: ByteRange) -> UInt32? {
        guard range.count >= 7, range.count <= 15 else { return nil }
        var value: UInt32 = 0
        var groups = 0
        var start = range.lower
        for index in range.lower...range.upper where index == range.upper || bytes.byte(index) == 0x2e {
            guard let group = decimal(bytes, ByteRange(start, index)), group <= 255 else { return nil }
            value = value << 8 | group
            groups &+= 1
            start = index &+ 1
        }
        return groups == 4 ? value : nil
    }

    /// Groups of hexadecimal digits, "::" once, and perhaps an IPv4 address at the end. No zone.
    static func ipv6(_ bytes: RawSpan, _ range: ByteRange) -> UInt128? {
        guard range.count >= 2, range.count <= 45 else { return nil }
        var value: UInt128 = 0
        var count = 0
        var gap = -1
        var index = range.lower
        if bytes.byte(index) == ASCII.colon {
            guard bytes.byte(index &+ 1) == ASCII.colon else { return nil }
            gap = 0
            index &+= 2
        }
        while index < range.upper {
            let start = index
            var group: UInt128 = 0
            while index < range.upper, index &- start < 5, ASCII.isHexDigit(bytes.byte(index)) {
                group = group << 4 | UInt128(ASCII.hexValue(bytes.byte(index)))
                index &+= 1
            }
            if index < range.upper, bytes.byte(index) == 0x2e {
                guard count <= 6, let bits = ipv4(bytes, ByteRange(start, range.upper)) else { return nil }
                value = value << 32 | UInt128(bits)
                count &+= 2
                break
            }
            guard index > start, index &- start <= 4, count < 8 else { return nil }
            value = value << 16 | group
            count &+= 1
            if index == range.upper { break }
            guard bytes.byte(index) == ASCII.colon, index &+ 1 < range.upper else { return nil }
            index &+= 1
            if bytes.byte(index) == ASCII.colon {
                guard gap < 0 else { return nil }
                gap = count
                index &+= 1
            }
        }
        return spread(value, count, gap)
    }

    /// Puts the zero groups that "::" stands for behind the first `gap` groups.
    private static func spread(_ value: UInt128, _ count: Int, _ gap: Int) -> UInt128? {
        guard gap >= 0 else { return count == 8 ? value : nil }
        guard count < 8 else { return nil }
        let tailBits = 16 &* (count &- gap)
        let tail = value & ((1 << tailBits) &- 1)
        return (value >> tailBits) << (16 &* (8 &- gap)) | tail
    }
}
