// SPDX-License-Identifier: MIT
// ForwardedTests - which address of X-Forwarded-For and Forwarded counts, and how lists are picked from.
internal import Testing

@testable internal import EvyCore

private func address(_ text: String) -> NetworkAddress? {
    let bytes = Array(text.utf8)
    return NetworkAddress.node(bytes.span.bytes, ByteRange(0, bytes.count))
}

/// 10.0.0.0/8 is trusted.
private func isTrusted(_ address: NetworkAddress) -> Bool {
    address.family == .ipv4 && address.bits >> 24 == 10
}

private func path(_ list: String) -> ForwardedPath {
    Forwarded.path(Array(list.utf8).span.bytes, trusts: isTrusted)
}

private func entry(_ list: String, _ hopCount: Int) -> String {
    let bytes = Array(list.utf8)
    let range = Forwarded.entry(bytes.span.bytes, hopCount: hopCount)
    return String(decoding: bytes[range.lower..<range.upper], as: UTF8.self)
}

@Test(
    arguments: [
        ("192.0.2.1", "192.0.2.1", 1),
        ("203.0.113.9, 192.0.2.1", "192.0.2.1", 1),
        ("203.0.113.9, 192.0.2.1, 10.0.0.1", "192.0.2.1", 2),
        ("192.0.2.1,10.0.0.1 ,\t10.0.0.2", "192.0.2.1", 3),
        ("10.0.0.1, 192.0.2.1", "192.0.2.1", 1),
        ("10.0.0.1, 192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1", 3),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1", 2),
        ("unknown, 10.0.0.1", "10.0.0.1", 1),
        ("192.0.2.1, unknown, 10.0.0.1, 10.0.0.2", "10.0.0.1", 2),
        ("192.0.2.1, unknown", nil, 1),
        ("10.0.0.1, 10.0.0.2, <script>", nil, 1),
        ("192.0.2.1:4711, 10.0.0.1", "192.0.2.1:4711", 2),
        ("[2001:db8::1]:4711", "[2001:db8::1]:4711", 1),
        ("2001:db8::1", "2001:db8::1", 1),
        (",, 192.0.2.1, ,", "192.0.2.1", 1),
        ("", nil, 1), (" , ,", nil, 1),
    ] as [(String, String?, Int)])
func theFirstUntrustedAddressFromTheRightCounts(list: String, client: String?, hopCount: Int) {
    #expect(path(list) == ForwardedPath(client: client.flatMap(address), hopCount: hopCount))
}

/// The client may have written thousands of entries, and each rule is asked about each that is looked at.
@Test func nothingBeyondTheFirstUntrustedAddressIsLookedAt() {
    var looked = 0
    let list = String(repeating: "10.0.0.1,", count: 1000) + "192.0.2.1,10.0.0.2"
    let path = Forwarded.path(Array(list.utf8).span.bytes) {
        looked += 1
        return isTrusted($0)
    }
    #expect(path == ForwardedPath(client: address("192.0.2.1"), hopCount: 2))
    #expect(looked == 2)
}

@Test func anEntryIsPickedByTheNumberOfTrustedProxies() {
    #expect(entry("a, b, c", 1) == "c" && entry("a, b, c", 2) == "b" && entry("a, b, c", 3) == "a")
    #expect(entry("a, b, c", 9) == "a" && entry("https", 2) == "https" && entry("", 1) == "")
    #expect(entry(" , a ,, b, ", 2) == "a")
}

@Test func schemesAreThoseOfTheWeb() {
    func isSecure(_ text: String) -> Bool? {
        let bytes = Array(text.utf8)
        return Forwarded.isSecure(bytes.span.bytes, ByteRange(0, bytes.count))
    }
    #expect(isSecure("https") == true && isSecure("HTTPS") == true && isSecure("wss") == true)
    #expect(isSecure("http") == false && isSecure("ws") == false)
    #expect(isSecure("ftp") == nil && isSecure("") == nil && isSecure("https ") == nil)
}

private struct Told: Equatable {
    var client: NetworkAddress?
    var hopCount: Int
    var scheme: String
    var host: String
}

private func standard(_ list: String) -> Told? {
    let bytes = Array(list.utf8)
    guard let result = Forwarded.standard(bytes.span.bytes, trusts: isTrusted) else { return nil }
    func text(_ range: ByteRange) -> String {
        String(decoding: bytes[range.lower..<range.upper], as: UTF8.self)
    }
    return Told(
        client: result.path.client, hopCount: result.path.hopCount, scheme: text(result.element.scheme),
        host: text(result.element.host))
}

@Test(
    arguments: [
        ("for=192.0.2.1", "192.0.2.1", 1, "", ""),
        (
            "For=\"[2001:db8::1]:4711\";Proto=https;HOST=example.org",
            "[2001:db8::1]:4711", 1, "https", "example.org"
        ),
        ("for=192.0.2.1;proto=http, for=10.0.0.1;proto=https", "192.0.2.1", 2, "http", ""),
        (
            "for=1.1.1.1;proto=https;host=evil, for=192.0.2.1;proto=http;host=\"a:80\"",
            "192.0.2.1", 1, "http", "a:80"
        ),
        ("for=192.0.2.1;proto=https;by=_x, for=unknown;proto=http", nil, 1, "http", ""),
        ("for=192.0.2.1, by=203.0.113.4", nil, 1, "", ""),
        ("for=192.0.2.1, proto=https", nil, 1, "https", ""),
        ("for=_hidden, for=10.0.0.1;host=x", "10.0.0.1", 1, "", "x"),
        ("  for = x", "bad", 0, "", ""),
        (", for=192.0.2.1 ; proto=https ,;, ", "192.0.2.1", 1, "https", ""),
        ("for=192.0.2.1:80", "192.0.2.1:80", 1, "", ""),
        ("for=\"192.0.2.1\\\", for=10.0.0.9\"", nil, 1, "", ""),
        ("", nil, 1, "", ""),
        ("for=1.1.1.1;for=2.2.2.2", "bad", 0, "", ""),
        ("for=1.1.1.1;FOR=\"\"", "bad", 0, "", ""),
        ("for=\"192.0.2.1", "bad", 0, "", ""), ("for=\"192.0.2.1\\", "bad", 0, "", ""),
        ("for=", "bad", 0, "", ""), ("for", "bad", 0, "", ""), ("=x", "bad", 0, "", ""),
        ("for=192.0.2.1 x", "bad", 0, "", ""), ("for=1.1.1.1 for=2.2.2.2", "bad", 0, "", ""),
        ("192.0.2.1", "bad", 0, "", ""),
        ("for=9.9.9.9" + String(repeating: ",for=10.0.0.1", count: 63), "9.9.9.9", 64, "", ""),
        ("for=9.9.9.9" + String(repeating: ",for=10.0.0.1", count: 64), "bad", 0, "", ""),
    ] as [(String, String?, Int, String, String)])
func forwardedIsReadElementByElement(
    list: String, client: String?, hopCount: Int, scheme: String, host: String
) {
    let wanted = Told(client: client.flatMap(address), hopCount: hopCount, scheme: scheme, host: host)
    #expect(standard(list) == (client == "bad" ? nil : wanted))
}
