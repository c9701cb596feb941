// SPDX-License-Identifier: MIT
// TrailerRules - which fields may stand behind a body, in a trailer section.
// Room: HTTP (pure). Spec: RFC 9110 section 6.5.1 (and the list of RFC 7230 section 4.1.2).

/// A trailer comes when everybody has decided already by the head: what frames, routes, authenticates,
/// conditions or decodes a message would be obeyed by one side and not by the other.
enum TrailerRules {
    private static let forbidden: [StaticString] = [
        // framing and the connection
        "transfer-encoding", "content-length", "connection", "keep-alive", "proxy-connection", "te",
        "trailer", "upgrade",
        // routing, and what a request asks for
        "host", "expect", "max-forwards", "range", "cache-control", "pragma", "if-match", "if-none-match",
        "if-modified-since", "if-unmodified-since", "if-range",
        // who asks
        "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "cookie",
        "set-cookie",
        // what an answer controls
        "age", "date", "expires", "location", "retry-after", "vary", "warning",
        // how the body is to be read
        "content-encoding", "content-type", "content-range",
    ]

    /// bytes[name] must be a token.
    static func allows(_ bytes: RawSpan, _ name: ByteRange) -> Bool {
        for field in forbidden where ASCII.equalsIgnoringCase(bytes, name, field) { return false }
        return true
    }
}
