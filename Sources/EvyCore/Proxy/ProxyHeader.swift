// SPDX-License-Identifier: MIT
// ProxyHeader - turns the first bytes of a connection behind a load balancer into the client's addresses.
// Room: Proxy (pure). Spec: the PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt).

/// What is wrong with the first bytes of a connection.
struct ProxyHeaderError: Error, Equatable {
    enum Kind: Equatable { case absent, malformed, tooLong, unsupported }

    var kind: Kind

    var reason: StaticString {
        switch kind {
        case .absent: return "no PROXY protocol header"
        case .malformed: return "malformed PROXY protocol header"
        case .tooLong: return "PROXY protocol header too long"
        case .unsupported: return "unsupported PROXY protocol header"
        }
    }
}

struct ProxyHeader: Equatable, BitwiseCopyable {
    struct Addresses: Equatable, BitwiseCopyable {
        var source: NetworkAddress
        var destination: NetworkAddress
    }

    /// nil: the balancer speaks for itself (LOCAL, its health checks), or does not know (UNKNOWN).
    var addresses: Addresses?
    /// Bytes of the header; what follows belongs to TLS or HTTP.
    var byteCount: Int

    /// The longest line of version 1, CR LF included.
    static var lineMax: Int { 107 }
    /// Version 2 could announce 64 KiB of extensions; those in use (TLS names, ids) need a few hundred bytes.
    static var byteCountMax: Int { 4096 }

    /// The header that `bytes` begin with; nil: more bytes are needed. A header is never optional: whoever
    /// could leave it out could also forge one.
    static func parse(_ bytes: RawSpan) throws(ProxyHeaderError) -> ProxyHeader? {
        guard bytes.byteCount > 0 else { return nil }
        switch bytes.byte(0) {
        case 0x50: return try parseLine(bytes)
        case 0x0d: return try parseBinary(bytes)
        default: throw ProxyHeaderError(kind: .absent)
        }
    }

    /// True: the text is there; false: it may still come.
    private static func begins(_ bytes: RawSpan, _ text: StaticString) throws(ProxyHeaderError) -> Bool {
        let count = min(bytes.byteCount, text.utf8CodeUnitCount)
        let isEqual = text.withUTF8Buffer { wanted in
            for index in 0..<count {
                // SAFETY: index < count, which is not above the length of the text.
                if unsafe wanted[index] != bytes.byte(index) { return false }
            }
            return true
        }
        guard isEqual else { throw ProxyHeaderError(kind: .absent) }
        return count == text.utf8CodeUnitCount
    }
}

// MARK: - Version 1: a line of text

extension ProxyHeader {
    private static func parseLine(_ bytes: RawSpan) throws(ProxyHeaderError) -> ProxyHeader? {
        guard try begins(bytes, "PROXY ") else { return nil }
        let upper = min(bytes.byteCount, lineMax)
        var end = 6
        while end < upper, bytes.byte(end) >= 0x20, bytes.byte(end) < 0x7f { end &+= 1 }
        guard end < lineMax &- 1 else { throw ProxyHeaderError(kind: .tooLong) }
        if end == bytes.byteCount { return nil }
        guard bytes.byte(end) == ASCII.carriageReturn else { throw ProxyHeaderError(kind: .malformed) }
        if end &+ 1 == bytes.byteCount { return nil }
        guard bytes.byte(end &+ 1) == ASCII.lineFeed else { throw ProxyHeaderError(kind: .malformed) }
        var words = Words(next: 6, end: end)
        let family = words.take(bytes)
        if family.count == 7, bytes.word32(6) == Word.of4("UNKN"), bytes.word32(9) == Word.of4("NOWN") {
            // What else the line says is to be ignored.
            return ProxyHeader(addresses: nil, byteCount: end &+ 2)
        }
        let addresses = try lineAddresses(bytes, family, &words)
        return ProxyHeader(addresses: addresses, byteCount: end &+ 2)
    }

    /// "TCP4 192.0.2.1 198.51.100.2 56324 443": exactly one space between two words.
    private static func lineAddresses(
        _ bytes: RawSpan, _ family: ByteRange, _ words: inout Words
    ) throws(ProxyHeaderError) -> Addresses {
        let isIPv6 = bytes.word32(6) == Word.of4("TCP6")
        guard family.count == 4, isIPv6 || bytes.word32(6) == Word.of4("TCP4"),
            var source = address(bytes, words.take(bytes), isIPv6),
            var destination = address(bytes, words.take(bytes), isIPv6),
            let sourcePort = NetworkAddress.decimal(bytes, words.take(bytes)),
            let destinationPort = NetworkAddress.decimal(bytes, words.take(bytes)),
            let from = UInt16(exactly: sourcePort), let to = UInt16(exactly: destinationPort), words.isDone
        else { throw ProxyHeaderError(kind: .malformed) }
        source.port = from
        destination.port = to
        return Addresses(source: source, destination: destination)
    }

    private static func address(_ bytes: RawSpan, _ range: ByteRange, _ isIPv6: Bool) -> NetworkAddress? {
        guard isIPv6 else {
            return NetworkAddress.ipv4(bytes, range).map { NetworkAddress(.ipv4, bits: UInt128($0)) }
        }
        return NetworkAddress.ipv6(bytes, range).map { NetworkAddress(ipv6: $0) }
    }

    /// Words of a line, parted by single spaces: two in a row give an empty word.
    private struct Words {
        var next: Int
        let end: Int
        var isDone: Bool { next > end }

        mutating func take(_ bytes: RawSpan) -> ByteRange {
            let start = next
            while next < end, bytes.byte(next) != ASCII.space { next &+= 1 }
            let word = ByteRange(start, next)
            next &+= 1
            return word
        }
    }
}

// MARK: - Version 2: bytes

extension ProxyHeader {
    private static func parseBinary(_ bytes: RawSpan) throws(ProxyHeaderError) -> ProxyHeader? {
        guard try begins(bytes, "\r\n\r\n\0\r\nQUIT\n"), bytes.byteCount >= 16 else { return nil }
        let command = bytes.byte(12)
        guard command == 0x20 || command == 0x21 else { throw ProxyHeaderError(kind: .unsupported) }
        let length = Int(bytes.byte(14)) << 8 | Int(bytes.byte(15))
        guard 16 &+ length <= byteCountMax else { throw ProxyHeaderError(kind: .tooLong) }
        let isLocal = command == 0x20
        let needed = isLocal ? 0 : try addressBytes(bytes.byte(13))
        guard needed <= length else { throw ProxyHeaderError(kind: .malformed) }
        guard bytes.byteCount >= 16 &+ length else { return nil }
        let addresses = isLocal ? nil : binaryAddresses(bytes)
        return ProxyHeader(addresses: addresses, byteCount: 16 &+ length)
    }

    /// How many bytes of addresses a family has; anything else than a stream cannot carry HTTP.
    private static func addressBytes(_ family: UInt8) throws(ProxyHeaderError) -> Int {
        switch family {
        case 0x00: return 0  // unspecified
        case 0x11: return 12
        case 0x21: return 36
        case 0x31: return 216
        default: throw ProxyHeaderError(kind: .unsupported)
        }
    }

    private static func binaryAddresses(_ bytes: RawSpan) -> Addresses? {
        func number(_ from: Int, _ count: Int) -> UInt128 {
            var value: UInt128 = 0
            for index in from..<(from &+ count) { value = value << 8 | UInt128(bytes.byte(index)) }
            return value
        }
        func port(_ from: Int) -> UInt16 { UInt16(truncatingIfNeeded: number(from, 2)) }
        switch bytes.byte(13) {
        case 0x11:
            return Addresses(
                source: NetworkAddress(.ipv4, bits: number(16, 4), port: port(24)),
                destination: NetworkAddress(.ipv4, bits: number(20, 4), port: port(26)))
        case 0x21:
            return Addresses(
                source: NetworkAddress(ipv6: number(16, 16), port: port(48)),
                destination: NetworkAddress(ipv6: number(32, 16), port: port(50)))
        case 0x31: return Addresses(source: .unix, destination: .unix)
        default: return nil
        }
    }
}
