// SPDX-License-Identifier: MIT
// Forwarded - reads what proxies say of a client, as far as they are trusted: X-Forwarded-* and Forwarded.
// Room: Proxy (pure). Spec: RFC 7239; X-Forwarded-For as in nginx ngx_http_realip_module and waitress.

/// Which fields of a trusted peer count. A proxy passes on what it does not know, so a field that it does
/// not write itself is the client's own word.
struct ForwardedFields: OptionSet, BitwiseCopyable {
    let rawValue: UInt8

    static var client: ForwardedFields { ForwardedFields(rawValue: 1) }  // X-Forwarded-For
    static var scheme: ForwardedFields { ForwardedFields(rawValue: 2) }  // X-Forwarded-Proto
    static var host: ForwardedFields { ForwardedFields(rawValue: 4) }  // X-Forwarded-Host
    static var port: ForwardedFields { ForwardedFields(rawValue: 8) }  // X-Forwarded-Port
    static var standard: ForwardedFields { ForwardedFields(rawValue: 16) }  // Forwarded
}

/// The way of a request through its proxies. Each proxy has added, at the end of the list, the address it
/// was asked from; so the list is believed from its right end, up to the first address that is not trusted.
struct ForwardedPath: Equatable {
    /// nil: no address is known beyond the peer's own.
    var client: NetworkAddress?
    /// Entries from the client's to the end, never 0: so many proxies are trusted.
    var hopCount = 1

    /// Goes one proxy on towards the client. False: there the trust ends. What is no address ends it as well:
    /// the one to its right counts then.
    fileprivate mutating func step(_ address: NetworkAddress?, _ trusts: (NetworkAddress) -> Bool) -> Bool {
        guard let address else { return false }
        if client != nil { hopCount &+= 1 }
        client = address
        return trusts(address)
    }
}

enum Forwarded {
    /// X-Forwarded-For, its lines joined with commas.
    static func path(_ list: RawSpan, trusts: (NetworkAddress) -> Bool) -> ForwardedPath {
        var path = ForwardedPath()
        var end = list.byteCount
        while end >= 0 {
            var start = end
            while start > 0, list.byte(start &- 1) != 0x2c { start &-= 1 }
            let entry = ASCII.trimmed(list, start, end)
            end = start &- 1
            if !entry.isEmpty, !path.step(NetworkAddress.node(list, entry), trusts) { break }
        }
        return path
    }

    /// The entry that the first of the trusted proxies wrote: the hopCount-th from the right, or the first
    /// where the list is shorter, as it is when proxies replace instead of append.
    static func entry(_ list: RawSpan, hopCount: Int) -> ByteRange {
        var count = 0
        var start = 0
        while start <= list.byteCount {
            if !nextEntry(list, &start).isEmpty { count &+= 1 }
        }
        var skip = max(count &- hopCount, 0)
        start = 0
        while start <= list.byteCount {
            let entry = nextEntry(list, &start)
            if entry.isEmpty { continue }
            if skip == 0 { return entry }
            skip &-= 1
        }
        return .empty
    }

    private static func nextEntry(_ list: RawSpan, _ start: inout Int) -> ByteRange {
        let from = start
        while start < list.byteCount, list.byte(start) != 0x2c { start &+= 1 }
        let entry = ASCII.trimmed(list, from, start)
        start &+= 1
        return entry
    }

    /// nil: no scheme of the web.
    static func isSecure(_ bytes: RawSpan, _ scheme: ByteRange) -> Bool? {
        if ASCII.equalsIgnoringCase(bytes, scheme, "https") { return true }
        if ASCII.equalsIgnoringCase(bytes, scheme, "http") { return false }
        if ASCII.equalsIgnoringCase(bytes, scheme, "wss") { return true }
        return ASCII.equalsIgnoringCase(bytes, scheme, "ws") ? false : nil
    }
}

// MARK: - Forwarded, RFC 7239

/// What one element of Forwarded says. Ranges are of the list, without quotes.
struct ForwardedElement: Equatable, BitwiseCopyable {
    var node: ByteRange = .empty
    var scheme: ByteRange = .empty
    var host: ByteRange = .empty
    fileprivate var seen: UInt8 = 0
}

extension Forwarded {
    /// The path, and what the first of the trusted proxies says of the request; nil: the list is malformed,
    /// and nothing in it can be believed: a quote that a client has left open swallows what proxies add.
    static func standard(
        _ list: RawSpan, trusts: (NetworkAddress) -> Bool
    ) -> (path: ForwardedPath, element: ForwardedElement)? {
        var elements = InlineArray<64, ForwardedElement>(repeating: ForwardedElement())
        var count = 0
        var index = 0
        while index < list.byteCount {
            guard let element = nextElement(list, &index) else { return nil }
            if element.seen == 0 { continue }
            // No chain of proxies is as long.
            guard count < elements.count else { return nil }
            elements[count] = element
            count &+= 1
        }
        var path = ForwardedPath()
        var chosen = ForwardedElement()
        while count > 0 {
            count &-= 1
            let node = NetworkAddress.node(list, elements[count].node)
            if node != nil || path.client == nil { chosen = elements[count] }
            if !path.step(node, trusts) { break }
        }
        return (path, chosen)
    }

    /// Pairs up to a comma; nil: malformed. Not inlined, nor is note: Swift 6.3 then loses the writes to the
    /// element (seen with -O only; the cases of test_forwarded.py run against the optimised library).
    @inline(never)
    private static func nextElement(_ list: RawSpan, _ index: inout Int) -> ForwardedElement? {
        var element = ForwardedElement()
        while true {
            skipBlanks(list, &index)
            let nameStart = index
            index = Scanner.tokenEnd(list, index, list.byteCount)
            let name = ByteRange(nameStart, index)
            if !name.isEmpty {
                guard list.byte(index) == 0x3d else { return nil }
                index &+= 1
                guard let value = value(list, &index), note(list, name, value, &element) else { return nil }
            }
            skipBlanks(list, &index)
            if index >= list.byteCount { return element }
            let separator = list.byte(index)
            index &+= 1
            if separator == 0x2c { return element }
            guard separator == 0x3b else { return nil }
        }
    }

    /// False: the parameter comes twice, so that two readers could take two values.
    @inline(never)
    private static func note(
        _ list: RawSpan, _ name: ByteRange, _ value: ByteRange, _ element: inout ForwardedElement
    ) -> Bool {
        var mark: UInt8 = 8  // some other parameter
        if ASCII.equalsIgnoringCase(list, name, "for") {
            mark = 1
            element.node = value
        } else if ASCII.equalsIgnoringCase(list, name, "proto") {
            mark = 2
            element.scheme = value
        } else if ASCII.equalsIgnoringCase(list, name, "host") {
            mark = 4
            element.host = value
        }
        guard mark == 8 || element.seen & mark == 0 else { return false }
        element.seen |= mark
        return true
    }

    /// A token, or what stands between quotes: no address and no host needs an escape, so one with a
    /// backslash in it is kept as it is and means nothing later.
    private static func value(_ list: RawSpan, _ index: inout Int) -> ByteRange? {
        let start = index
        guard list.byte(start) == 0x22 else {
            index = Scanner.tokenEnd(list, start, list.byteCount)
            // Seen in the wild without quotes: for=192.0.2.1:80 and for=[2001:db8::1].
            while index < list.byteCount, isBare(list.byte(index)) { index &+= 1 }
            return index > start ? ByteRange(start, index) : nil
        }
        index &+= 1
        while index < list.byteCount, list.byte(index) != 0x22 {
            index &+= list.byte(index) == 0x5c ? 2 : 1
        }
        guard index < list.byteCount else { return nil }
        index &+= 1
        return ByteRange(start &+ 1, index &- 1)
    }

    private static func isBare(_ byte: UInt8) -> Bool {
        byte == ASCII.colon || byte == 0x5b || byte == 0x5d || ASCII.isTokenChar(byte)
    }

    private static func skipBlanks(_ list: RawSpan, _ index: inout Int) {
        while index < list.byteCount, ASCII.isBlank(list.byte(index)) { index &+= 1 }
    }
}
