// SPDX-License-Identifier: MIT
// RequestTarget - splits a request target into authority, path and query.
// Room: HTTP (pure). Spec: RFC 9112 section 3.2, RFC 3986. Cases: Tests/Conformance/http1/target-*.

/// Raw bytes from 0x80 on are taken as they are (old clients send them), and a bad percent sign is left
/// alone; what could cut the line or the path in two (SP, CTL, `#`, an encoded NUL) is refused.
struct RequestTarget: BitwiseCopyable {
    var path: ByteRange = .empty
    var query: ByteRange = .empty
    var hasQuery = false
    /// Of absolute-form only.
    var authority: ByteRange = .empty
    var isAbsolute = false

    init(_ bytes: RawSpan, _ target: ByteRange, method: Method, laxness: HTTPLaxness) throws(HTTPError) {
        guard method != .connect else { throw .connectNotImplemented }
        let first = bytes.byte(target.lower)
        if first == 0x2f {
            try splitPath(bytes, target.lower, target.upper, laxness)
        } else if first == 0x2a, target.count == 1 {
            guard method == .options else { throw .malformedTarget }
            path = target
        } else {
            try splitAbsolute(bytes, target, laxness)
        }
    }

    private mutating func splitPath(
        _ bytes: RawSpan, _ lower: Int, _ upper: Int, _ laxness: HTTPLaxness
    ) throws(HTTPError) {
        var pathEnd = upper
        var index = lower
        while true {
            index = Scanner.targetStop(bytes, index, upper)
            if index >= upper { break }
            switch bytes.byte(index) {
            case 0x3f:
                if !hasQuery { pathEnd = index }
                hasQuery = true
            case 0x25:
                if !hasQuery, bytes.byte(index &+ 1) == 0x30, bytes.byte(index &+ 2) == 0x30,
                    index &+ 2 < upper, !laxness.contains(.allowEncodedNUL)
                {
                    throw .encodedNUL
                }
            default: throw .malformedTarget
            }
            index &+= 1
        }
        path = ByteRange(lower, pathEnd)
        if hasQuery { query = ByteRange(pathEnd &+ 1, upper) }
    }

    /// scheme "://" authority path-abempty [ "?" query ], for http and https. The path and authority count,
    /// the scheme does not: whether the connection is secure is not the client's to say.
    private mutating func splitAbsolute(
        _ bytes: RawSpan, _ target: ByteRange, _ laxness: HTTPLaxness
    ) throws(HTTPError) {
        var colon = target.lower
        while colon < target.upper, ASCII.isLetter(bytes.byte(colon)) { colon &+= 1 }
        let scheme = ByteRange(target.lower, colon)
        guard
            ASCII.equalsIgnoringCase(bytes, scheme, "http")
                || ASCII.equalsIgnoringCase(bytes, scheme, "https"),
            target.upper &- colon > 3, bytes.byte(colon) == ASCII.colon,
            bytes.byte(colon &+ 1) == 0x2f, bytes.byte(colon &+ 2) == 0x2f
        else { throw .malformedTarget }
        let lower = colon &+ 3
        var upper = lower
        while upper < target.upper, bytes.byte(upper) != 0x2f, bytes.byte(upper) != 0x3f { upper &+= 1 }
        authority = ByteRange(lower, upper)
        isAbsolute = true
        guard !authority.isEmpty, HostRules.isWellFormed(bytes, authority) else { throw .malformedTarget }
        try splitPath(bytes, upper, target.upper, laxness)
        // "http://h" and "http://h?q" mean the path "/": lend it the second slash of the "//".
        if path.isEmpty { path = ByteRange(colon &+ 2, colon &+ 3) }
    }
}
