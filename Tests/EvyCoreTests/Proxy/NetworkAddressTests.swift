// SPDX-License-Identifier: MIT
// NetworkAddressTests - addresses as text, compared with inet_pton, and the rules that match them.
internal import Glibc
internal import Testing

@testable internal import EvyCore

private func address(_ text: String) -> NetworkAddress? {
    let bytes = Array(text.utf8)
    return NetworkAddress(bytes.span.bytes, ByteRange(0, bytes.count))
}

private func node(_ text: String) -> NetworkAddress? {
    let bytes = Array(text.utf8)
    return NetworkAddress.node(bytes.span.bytes, ByteRange(0, bytes.count))
}

private func rule(_ text: String) -> AddressRule? {
    let bytes = Array(text.utf8)
    return AddressRule(bytes.span.bytes, ByteRange(0, bytes.count))
}

/// What the C library makes of the text.
private func reference(_ text: String) -> NetworkAddress? {
    var room = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, text, &room) == 1 {
        return NetworkAddress(.ipv4, bits: room[..<4].reduce(0) { $0 << 8 | UInt128($1) })
    }
    guard inet_pton(AF_INET6, text, &room) == 1 else { return nil }
    return NetworkAddress(ipv6: room.reduce(0) { $0 << 8 | UInt128($1) })
}

@Test(arguments: [
    "0.0.0.0", "255.255.255.255", "192.0.2.1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2.3", "1.2.3.4.",
    ".1.2.3.4", "01.2.3.4", "1.2.3.00", "1.2.3.4 ", "+1.2.3.4", "1.2.3.-4", "1.2.3.0x4", "", ".", "1",
    "::", "::1", "1::", "1::2", "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9", "1::2::3", ":::", ":", ":1", "1:", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7:8", "12345::",
    "g::", "::ffff:192.0.2.1", "::192.0.2.1", "1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1",
    "::192.0.2", "::192.0.2.256", "192.0.2.1::", "1::2:192.0.2.1", "fe80::1%eth0", "1:2:3:4:5:6:7::",
    "::1:2:3:4:5:6:7", "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "0:0:0:0:0:0:0:0:0:0", "ffff::ffff", "[::1]",
    "::ffff:1:2", "1:2:3:4:5:6:7:8::", "::00001",
])
func addressesAreReadAsTheCLibraryReadsThem(text: String) {
    // "::" for no group at all: the C library takes it, RFC 4291 has it stand for one or more.
    let isFull = text == "1:2:3:4::5:6:7:8" || text == "1:2:3:4:5:6:7:8::"
    #expect(address(text) == (isFull ? nil : reference(text)))
}

@Test func aNodeMayHaveAPort() throws {
    #expect(node("192.0.2.1") == address("192.0.2.1"))
    #expect(node("192.0.2.1:80")?.port == 80 && node("192.0.2.1:80")?.bits == address("192.0.2.1")?.bits)
    #expect(node("2001:db8::1") == address("2001:db8::1"))
    #expect(node("[2001:db8::1]") == address("2001:db8::1"))
    #expect(node("[2001:db8::1]:65535")?.port == 65535)
    for text in [
        "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1:080", "[::1", "[::1]80", "[::1]:", "[]",
        "[192.0.2.1]", "unknown", "_hidden", "example.org", "", ":80", "[::1]:80:80", "\"192.0.2.1\"",
    ] {
        #expect(node(text) == nil, "\(text)")
    }
}

@Test func rulesMatchTheirNetworkAndNothingElse() throws {
    func matches(_ text: String, _ peer: String) throws -> Bool {
        try #require(rule(text)).matches(try #require(address(peer)))
    }
    #expect(try matches("10.0.0.0/8", "10.255.0.1") && !matches("10.0.0.0/8", "11.0.0.1"))
    #expect(try matches("10.1.2.3/8", "10.9.9.9"))
    #expect(try matches("192.0.2.1", "192.0.2.1") && !matches("192.0.2.1", "192.0.2.2"))
    #expect(try matches("192.0.2.1/32", "192.0.2.1") && !matches("192.0.2.0/31", "192.0.2.2"))
    #expect(try matches("0.0.0.0/0", "203.0.113.9") && !matches("0.0.0.0/0", "::1"))
    #expect(try matches("::/0", "2001:db8::1") && !matches("::/0", "203.0.113.9"))
    #expect(try matches("2001:db8::/32", "2001:db8:ffff::1") && !matches("2001:db8::/32", "2001:db9::"))
    #expect(try matches("::1/128", "::1") && !matches("::1", "::2"))
    #expect(try matches("192.0.2.1", "::ffff:192.0.2.1") && matches("::ffff:192.0.2.1", "192.0.2.1"))
    #expect(try matches("*", "192.0.2.1") && matches("*", "::1"))
    let everybody = try #require(rule("*"))
    let unix = try #require(rule("unix"))
    #expect(everybody.matches(.unix) && unix.matches(.unix))
    #expect(try !unix.matches(#require(address("::"))) && !#require(rule("::/0")).matches(.unix))
}

@Test(arguments: [
    "", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/08", "10.0.0/8",
    "localhost", "[::1]", "::ffff:10.0.0.0/104", "**", "10.0.0.1:80",
])
func whatIsNoRuleIsRefused(text: String) {
    #expect(rule(text) == nil)
}
