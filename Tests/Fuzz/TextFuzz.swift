// SPDX-License-Identifier: MIT
// TextFuzz - looks at every small reader of the core with a second one, written from its grammar.
// Room: fuzzing. The first byte of an input chooses what the rest is read as.

internal import Glibc

private func isHex(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
}

private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

private func checkTrace(_ bytes: [UInt8]) {
    let parts = bytes.split(separator: 0x2d, omittingEmptySubsequences: false)
    let isLower = { (part: ArraySlice<UInt8>) in part.allSatisfy { isHex($0) && !(0x41...0x46).contains($0) }
    }
    var isValid = parts.count >= 4 && parts.prefix(4).map(\.count) == [2, 32, 16, 2]
    if isValid {
        isValid =
            parts.prefix(4).allSatisfy(isLower) && parts[0] != [0x66, 0x66]
            && parts[1...2].allSatisfy { !$0.allSatisfy { $0 == 0x30 } }
            && (parts.count == 4 || parts[0] != [0x30, 0x30])
    }
    require((bytes.withUnsafeBytes { TraceParent($0) } != nil) == isValid, "a trace judged otherwise")
}

/// As the C library reads it, which knows no zone and no address of a future version.
private func isIPv6(_ text: ArraySlice<UInt8>) -> Bool {
    guard !text.contains(0) else { return false }
    var address = in6_addr()
    return inet_pton(AF_INET6, String(decoding: text, as: UTF8.self), &address) == 1
}

/// uri-host [ ":" port ] of RFC 3986, with what HostRules says about empty names.
private func isHost(_ bytes: [UInt8]) -> Bool {
    if bytes.isEmpty { return true }
    var rest = bytes[...]
    if bytes[0] == 0x5b {
        guard let end = bytes.firstIndex(of: 0x5d) else { return false }
        guard isIPv6(bytes[1..<end]) else { return false }
        rest = bytes[(end + 1)...]
    } else {
        while let byte = rest.first, byte != 0x3a {
            if byte == 0x25 {
                guard rest.count >= 3, rest.dropFirst().prefix(2).allSatisfy(isHex) else { return false }
                rest = rest.dropFirst(3)
            } else {
                let isAlphanumeric = isDigit(byte) || (0x61...0x7a).contains(byte | 0x20) && byte < 0x80
                guard isAlphanumeric || Array("-._~!$&'()*+,;=".utf8).contains(byte) else { return false }
                rest = rest.dropFirst()
            }
        }
        if rest.startIndex == 0 { return false }
    }
    guard let colon = rest.popFirst() else { return true }
    let port = String(decoding: rest, as: UTF8.self)
    guard colon == 0x3a, rest.allSatisfy(isDigit) else { return false }
    return rest.isEmpty || (Double(port) ?? .infinity) <= 65535
}

private func checkHost(_ bytes: [UInt8]) {
    let found = HostRules.isWellFormed(bytes.span.bytes, ByteRange(0, bytes.count))
    require(found == isHost(bytes), "a host judged otherwise")
}

private func checkDate(_ input: inout Input) {
    let shift = Int64(input.byte() & 63)
    let second = input.number() >> shift
    var out = ByteBuffer()
    HTTPDate.write(secondsSinceEpoch: second, into: &out)
    require(out.count == HTTPDate.byteCount)
    let text = String(decoding: out.readable, as: UTF8.self)
    let words = text.split(whereSeparator: { $0 == " " || $0 == ":" || $0 == "," }).map(String.init)
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    guard words.count == 8, let month = months.firstIndex(of: words[2]) else { fatalError(text) }
    let figures = [1, 3, 4, 5, 6].map { Int64(words[$0]) ?? -1 }
    let days = daysFromCivil(figures[1], Int64(month) + 1, figures[0])
    let read = days * 86400 + figures[2] * 3600 + figures[3] * 60 + figures[4]
    require(read == min(max(second, 0), 253_402_300_799), "another moment")
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    require(words[0] == weekdays[Int(days % 7)] && words[7] == "GMT", "another day")
}

/// Days since 1970 (the inverse of what HTTPDate does, counted in another way).
private func daysFromCivil(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let before = year - 1
    let leapDays = before / 4 - before / 100 + before / 400 - 477
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return (year - 1970) * 365 + leapDays + lengths[..<Int(month - 1)].reduce(0, +) + day - 1
}

private func decoded(_ bytes: [UInt8]) -> [UInt8] {
    Array(
        unsafeUninitializedCapacity: bytes.count,
        initializingWith: { room, count in
            count = 0
            guard let place = room.baseAddress, !bytes.isEmpty else { return }
            place.initialize(repeating: 0, count: bytes.count)
            count = bytes.withUnsafeBytes { PercentCoding.decode($0, into: place) }
        })
}

private func checkPercent(_ bytes: [UInt8]) {
    let digits = Array("0123456789abcdefABCDEF".utf8)
    let encoded = bytes.flatMap { [0x25, digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    require(decoded(encoded) == bytes, "not what was encoded")
    var wanted: [UInt8] = []
    var rest = bytes[...]
    while let byte = rest.popFirst() {
        let pair = rest.prefix(2)
        if byte == 0x25, pair.count == 2, pair.allSatisfy(isHex) {
            wanted.append(UInt8(String(decoding: pair, as: UTF8.self), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        } else {
            wanted.append(byte)
        }
    }
    require(decoded(bytes) == wanted, "decoded otherwise")
}

private func checkTarget(_ bytes: [UInt8], _ choice: UInt8) {
    guard !bytes.isEmpty else { return }
    let methods: [Method] = [.get, .options, .connect, .other]
    let method = methods[Int(choice & 3)]
    let laxness: HTTPLaxness = choice & 4 != 0 ? .allowEncodedNUL : []
    let whole = ByteRange(0, bytes.count)
    guard let target = try? RequestTarget(bytes.span.bytes, whole, method: method, laxness: laxness) else {
        return
    }
    let ranges = [target.path, target.query, target.authority]
    require(ranges.allSatisfy { $0.upper <= bytes.count } && !target.path.isEmpty && method != .connect)
    require(!bytes.contains { $0 <= 0x20 || $0 == 0x7f || $0 == 0x23 }, "a byte that cuts a target")
    let path = bytes[target.path.lower..<target.path.upper]
    let query = bytes[target.query.lower..<target.query.upper]
    require(!path.contains(0x3f) && (path.first == 0x2f || bytes == [0x2a] && method == .options))
    require(laxness.contains(.allowEncodedNUL) || !decoded(Array(path)).contains(0), "a NUL in a path")
    guard target.isAbsolute else {
        return require(Array(path) + (target.hasQuery ? [0x3f] : []) + Array(query) == bytes, "bytes lost")
    }
    let authority = Array(bytes[target.authority.lower..<target.authority.upper])
    require(isHost(authority) && !authority.isEmpty && !authority.contains(0x40), "a host with a user")
    require(["http://", "https://"].contains { lowered(bytes).hasPrefix($0) }, "another scheme")
}

private func checkName(_ bytes: [UInt8]) {
    if let name = TLSName(bytes) {
        require(TLSName(name.text) == name && !name.text.hasSuffix("."), "a name that is not itself")
        if let wildcard = name.wildcard {
            // "*.org" is no name that a certificate may claim.
            let isOwn = wildcard.text.split(separator: ".").count > 2
            require(TLSName(wildcard.text) == (isOwn ? wildcard : nil), "another wildcard")
        }
    }
    guard isToken(bytes[...]) else { return }
    let known = KnownField.named(bytes.span.bytes, ByteRange(0, bytes.count))
    let swapped = bytes.map { (0x41...0x5a).contains($0 & 0xdf) && $0 < 0x80 ? $0 ^ 0x20 : $0 }
    require(KnownField.named(swapped.span.bytes, ByteRange(0, bytes.count)) == known, "a name with a case")
    let isAllowed = TrailerRules.allows(bytes.span.bytes, ByteRange(0, bytes.count))
    require(TrailerRules.allows(swapped.span.bytes, ByteRange(0, bytes.count)) == isAllowed)
    require(!isAllowed || !known.isHopByHop && known != .contentLength, "a trailer that frames")
}

private func checkListen(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    let address: ListenAddress
    do throws(ListenAddressError) {
        address = try ListenAddress(text)
    } catch { return require(!error.reason.isEmpty) }
    switch address.form {
    case .internet(let host, let port):
        let place = text.split(separator: "?", omittingEmptySubsequences: false)[0]
        require(
            place.hasSuffix(":\(port)") || place.hasSuffix("0") || place.hasSuffix(":0\(port)")
                || place.contains(":0"), "another port")
        require(!host.isEmpty && address.traits.mode == nil && address.traits.user == nil)
    case .unix(let path): require(!path.isEmpty && path.utf8.count <= ListenAddress.unixNameMax)
    case .abstract(let name): require(!name.isEmpty && name.utf8.count < ListenAddress.unixNameMax)
    case .descriptor(let number): require(number >= 0)
    case .systemd(let name): require(name?.isEmpty != true)
    }
    if let mode = address.traits.mode { require(mode <= 0o777) }
    if let backlog = address.traits.backlog { require((1...65535).contains(backlog)) }
}

@Sendable func fuzzText(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let choice = input.byte()
    switch choice & 7 {
    case 0: checkTrace(input.all())
    case 1: checkHost(input.all())
    case 2: checkDate(&input)
    case 3: checkPercent(input.all())
    case 4: checkTarget(input.all(), choice >> 4)
    case 5: checkName(input.all())
    default: checkListen(input.all())
    }
}
