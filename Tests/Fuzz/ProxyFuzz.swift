// SPDX-License-Identifier: MIT
// ProxyFuzz - looks for a PROXY header or forwarded list that traps, or means two things when it is cut.
// Room: fuzzing. The first byte of an input chooses what the rest is read as.

private struct Outcome: Equatable {
    var header: ProxyHeader?
    var error: ProxyHeaderError?
}

private func outcome(_ bytes: [UInt8], _ count: Int) -> Outcome {
    do throws(ProxyHeaderError) {
        // In memory of exactly its size.
        return Outcome(header: try ProxyHeader.parse(Array(bytes[..<count]).span.bytes), error: nil)
    } catch { return Outcome(header: nil, error: error) }
}

/// Byte by byte: nothing, until a header or a refusal that then stays the same.
private func checkHeader(_ bytes: [UInt8]) {
    var decided: Outcome?
    for count in 0...min(bytes.count, ProxyHeader.byteCountMax + 1) {
        let now = outcome(bytes, count)
        if let decided {
            require(now == decided, "more bytes change what was decided")
        } else if now != Outcome() {
            decided = now
        }
        if let header = now.header {
            require(header.byteCount <= count && header.byteCount <= ProxyHeader.byteCountMax)
        }
    }
    let isLong = bytes.count > ProxyHeader.byteCountMax
    require(!isLong || decided != nil, "a header without an end")
}

private func isTrusted(_ address: NetworkAddress) -> Bool { address.bits & 1 == 0 }

private func check(_ range: ByteRange, _ count: Int) {
    require(range.lower <= range.upper && range.upper <= count, "a range outside the bytes")
}

private func checkLists(_ bytes: [UInt8]) {
    let span = bytes.span.bytes
    let path = Forwarded.path(span, trusts: isTrusted)
    require(path.hopCount >= 1)
    for hopCount in [1, 2, path.hopCount] {
        let entry = Forwarded.entry(span, hopCount: hopCount)
        check(entry, bytes.count)
        require(!bytes[entry.lower..<entry.upper].contains(0x2c), "two entries in one")
        _ = Forwarded.isSecure(span, entry)
    }
    if let (path, element) = Forwarded.standard(span, trusts: isTrusted) {
        require(path.hopCount >= 1)
        for range in [element.node, element.host, element.scheme] { check(range, bytes.count) }
        if let client = path.client, path.hopCount == 1 {
            require(NetworkAddress.node(span, element.node) == client, "another's words")
        }
    }
    let whole = ByteRange(0, bytes.count)
    if let address = NetworkAddress(span, whole) {
        require(AddressRule(span, whole)?.matches(address) == true, "an address that is not itself")
        require(NetworkAddress.node(span, whole) == address)
    }
    _ = AddressRule(span, whole)
}

@Sendable func fuzzProxy(_ input: [UInt8]) {
    guard let choice = input.first else { return }
    if choice & 1 == 0 { checkHeader(Array(input[1...])) } else { checkLists(Array(input[1...])) }
}
