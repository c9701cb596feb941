// SPDX-License-Identifier: MIT
// ProxyHeaderTests - both versions of the PROXY protocol, cut at every byte, and what must be refused.
internal import Testing

@testable internal import EvyCore

private let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

private func binary(
    _ command: UInt8, _ family: UInt8, _ payload: [UInt8], length: Int? = nil
) -> [UInt8] {
    let count = length ?? payload.count
    return signature + [command, family, UInt8(count >> 8), UInt8(count & 0xff)] + payload
}

private func parse(_ bytes: [UInt8]) throws(ProxyHeaderError) -> ProxyHeader? {
    try ProxyHeader.parse(bytes.span.bytes)
}

private func fault(_ bytes: [UInt8]) -> ProxyHeaderError.Kind? {
    do throws(ProxyHeaderError) {
        _ = try parse(bytes)
        return nil
    } catch { return error.kind }
}

private func told(_ text: String, _ port: UInt16) -> NetworkAddress {
    let bytes = Array(text.utf8)
    var address = NetworkAddress(bytes.span.bytes, ByteRange(0, bytes.count)) ?? .unix
    address.port = port
    return address
}

/// The header is complete at its last byte and not before, and what follows changes nothing.
private func expect(_ bytes: [UInt8], _ addresses: ProxyHeader.Addresses?) throws {
    for count in 0..<bytes.count {
        #expect(try parse(Array(bytes[..<count])) == nil, "complete after \(count) bytes")
    }
    let wanted = ProxyHeader(addresses: addresses, byteCount: bytes.count)
    #expect(try parse(bytes) == wanted)
    #expect(try parse(bytes + Array("GET / HTTP/1.1\r\n".utf8)) == wanted)
    #expect(try parse(bytes + signature) == wanted)
}

private let clientAndServer: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb]

@Test func aLineOfVersion1GivesBothAddresses() throws {
    try expect(
        Array("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n".utf8),
        .init(source: told("192.0.2.1", 56324), destination: told("198.51.100.2", 443)))
    try expect(
        Array("PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:2 1 65535\r\n".utf8),
        .init(source: told("2001:db8::1", 1), destination: told("2001:db8::2", 65535)))
    try expect(
        Array("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 80\r\n".utf8),
        .init(source: told("192.0.2.1", 0), destination: told("::1", 80)))
}

@Test func unknownKeepsTheAddressesOfTheSocket() throws {
    try expect(Array("PROXY UNKNOWN\r\n".utf8), nil)
    try expect(Array("PROXY UNKNOWN ffff:f:f 1 what ever\r\n".utf8), nil)
    let widest = "PROXY UNKNOWN " + String(repeating: "f", count: 91) + "\r\n"
    #expect(widest.utf8.count == ProxyHeader.lineMax)
    try expect(Array(widest.utf8), nil)
}

@Test(
    arguments: [
        ("GET / HTTP/1.1\r\n", ProxyHeaderError.Kind.absent), ("\u{16}\u{3}\u{1}", .absent), ("\0", .absent),
        ("PROXI", .absent), ("PROXY\r\n", .absent), ("proxy TCP4", .absent), (" PROXY", .absent),
        ("PROXY TCP4\r\n", .malformed), ("PROXY \r\n", .malformed), ("PROXY  TCP4 1.2.3.4", nil),
        ("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 99999999999 1\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 -1 1\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 1\r\n", .malformed),
        ("PROXY TCP4 192.0.2.256 192.0.2.2 1 1\r\n", .malformed),
        ("PROXY TCP4 192.0.2.010 192.0.2.2 1 1\r\n", .malformed),
        ("PROXY TCP4 ::1 ::1 1 1\r\n", .malformed), ("PROXY TCP6 1.2.3.4 ::1 1 1\r\n", .malformed),
        ("PROXY TCP5 ::1 ::1 1 1\r\n", .malformed), ("PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n", .malformed),
        ("PROXY unknown\r\n", .malformed), ("PROXY UNKNOWNS\r\n", .malformed),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", .malformed), ("PROXY UNKNOWN\rX", .malformed),
        ("PROXY UNKNOWN \t\r\n", .malformed), ("PROXY UNKNOWN \u{7f}", .malformed),
        ("PROXY UNKNOWN " + String(repeating: "f", count: 92), .tooLong),
        ("PROXY UNKNOWN " + String(repeating: "f", count: 92) + "\r\n", .tooLong),
    ] as [(String, ProxyHeaderError.Kind?)])
func aBrokenLineOfVersion1IsRefused(text: String, kind: ProxyHeaderError.Kind?) {
    #expect(fault(Array(text.utf8)) == kind)
}

@Test func aHeaderOfVersion2GivesBothAddresses() throws {
    try expect(
        binary(0x21, 0x11, clientAndServer),
        .init(source: told("192.0.2.1", 56324), destination: told("198.51.100.2", 443)))
    let one = [UInt8]([0x20, 0x01, 0x0d, 0xb8]) + [UInt8](repeating: 0, count: 11) + [1]
    let two = [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 192, 0, 2, 9]
    try expect(
        binary(0x21, 0x21, one + two + [0, 1, 0xff, 0xff]),
        .init(source: told("2001:db8::1", 1), destination: told("192.0.2.9", 65535)))
    try expect(
        binary(0x21, 0x31, [UInt8](repeating: 0x2f, count: 216)), .init(source: .unix, destination: .unix))
}

@Test func extensionsOfVersion2AreSkipped() throws {
    let extensions: [UInt8] = [0x03, 0, 4, 1, 2, 3, 4, 0x20, 0, 200] + [UInt8](repeating: 7, count: 200)
    try expect(
        binary(0x21, 0x11, clientAndServer + extensions),
        .init(source: told("192.0.2.1", 56324), destination: told("198.51.100.2", 443)))
    let widest = clientAndServer + [UInt8](repeating: 0, count: ProxyHeader.byteCountMax - 16 - 12)
    #expect(try parse(binary(0x21, 0x11, widest))?.byteCount == ProxyHeader.byteCountMax)
}

@Test func localAndUnspecifiedKeepTheAddressesOfTheSocket() throws {
    try expect(binary(0x20, 0x00, []), nil)
    // A balancer's own check may say anything in these fields.
    try expect(binary(0x20, 0xff, [1, 2, 3]), nil)
    try expect(binary(0x20, 0x11, clientAndServer), nil)
    try expect(binary(0x21, 0x00, [9, 9]), nil)
}

@Test func aBrokenHeaderOfVersion2IsRefused() {
    #expect(fault(binary(0x21, 0x11, Array(clientAndServer[..<11]))) == .malformed)
    #expect(fault(binary(0x21, 0x21, clientAndServer)) == .malformed)
    #expect(fault(binary(0x21, 0x31, [UInt8](repeating: 1, count: 215))) == .malformed)
    // Refused at its sixteenth byte: nobody waits for the rest.
    #expect(fault(binary(0x21, 0x11, [], length: 11)) == .malformed)
    #expect(fault(binary(0x21, 0x11, [], length: 65535)) == .tooLong)
    #expect(fault(binary(0x20, 0x00, [], length: ProxyHeader.byteCountMax - 15)) == .tooLong)
    for command in UInt8.min...UInt8.max where command != 0x20 && command != 0x21 {
        #expect(fault(binary(command, 0x11, clientAndServer)) == .unsupported)
    }
    for family in UInt8.min...UInt8.max where ![0x00, 0x11, 0x21, 0x31].contains(family) {
        #expect(fault(binary(0x21, family, clientAndServer)) == .unsupported)
    }
    for index in signature.indices {
        var bytes = binary(0x21, 0x11, clientAndServer)
        bytes[index] ^= 1
        #expect(fault(bytes) == .absent)
        #expect(fault(Array(bytes[...index])) == .absent)
    }
}
