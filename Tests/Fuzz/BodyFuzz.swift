// SPDX-License-Identifier: MIT
// BodyFuzz - looks for a body that traps, or ends in two places, or is read as two bodies.
// Room: fuzzing. The first three bytes of an input choose framing, limits and where the rest is cut.

private struct Outcome: Equatable {
    var error: HTTPError?
    var body: [UInt8] = []
    var trailers: [UInt8] = []
    var end: Int?
}

/// Feeds the bytes in pieces that end at `cuts`; each piece is memory of its own.
private func outcome(
    _ bytes: [UInt8], _ cuts: [Int], _ limits: HTTPLimits, _ framing: BodyFraming = .chunked
) -> Outcome {
    var reader = HTTP1BodyReader(framing: framing, limits: limits)
    var outcome = Outcome()
    var lower = 0
    for cut in cuts + [bytes.count] {
        let piece = Array(bytes[lower..<cut])
        var index = 0
        pieces: while true {
            do throws(HTTPError) {
                switch try reader.read(piece.span.bytes, from: index) {
                case .data(let start, let count, let next):
                    require(start == index || start > index, "went back")
                    require(count > 0 && next == start + count && next <= piece.count, "outside")
                    outcome.body += piece[start..<next]
                    index = next
                case .trailer(let start, let count, let next):
                    require(start >= index && count > 0 && start + count <= next, "went back")
                    require(next <= piece.count, "outside")
                    outcome.trailers += piece[start..<start + count]
                    index = next
                case .needMore(let next):
                    require(next == piece.count && !reader.isEnded, "left bytes behind")
                    break pieces
                case .end(let next):
                    require(next >= index && next <= piece.count && reader.isEnded)
                    outcome.end = lower + next
                    checkEnded(&reader, piece, next)
                    return outcome
                }
            } catch {
                outcome.error = error
                // Those of a broken section are nobody's; how many came depends on the cuts.
                outcome.trailers = []
                return outcome
            }
            require(reader.received == UInt64(outcome.body.count), "counted wrong")
        }
        lower = cut
    }
    return outcome
}

/// Never more than one body: an ended reader takes nothing more.
private func checkEnded(_ reader: inout HTTP1BodyReader, _ piece: [UInt8], _ next: Int) {
    do throws(HTTPError) {
        let again = try reader.read(piece.span.bytes, from: next)
        require(again == .end(next: next), "went on after the end")
    } catch {
        fatalError("an error after the end")
    }
}

/// *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) of RFC 9112 section 7.1.1.
private func areExtensions(_ text: ArraySlice<UInt8>) -> Bool {
    var rest = text
    func skipBlanks() { rest = rest.drop { $0 == 0x20 || $0 == 0x09 } }
    func takeToken() -> Bool {
        let token = rest.prefix { ASCII.isTokenChar($0) }
        rest = rest.dropFirst(token.count)
        return !token.isEmpty
    }
    func takeQuoted() -> Bool {
        while let byte = rest.popFirst() {
            if byte == 0x22 { return true }
            guard ASCII.isFieldValueByte(byte == 0x5c ? rest.popFirst() ?? 0 : byte) else { return false }
        }
        return false
    }
    while !rest.isEmpty {
        skipBlanks()
        guard rest.popFirst() == 0x3b else { return false }
        skipBlanks()
        guard takeToken() else { return false }
        let behindName = rest
        skipBlanks()
        guard rest.first == 0x3d else {
            rest = behindName
            continue
        }
        rest = rest.dropFirst()
        skipBlanks()
        let isQuoted = rest.first == 0x22
        if isQuoted { rest = rest.dropFirst() }
        guard isQuoted ? takeQuoted() : takeToken() else { return false }
    }
    return true
}

/// A second reader, slow and plain, straight from the grammar of RFC 9112 section 7.1; nil: not valid.
private func plainDecode(_ bytes: [UInt8]) -> (body: [UInt8], end: Int)? {
    var body: [UInt8] = []
    var rest = bytes[...]
    func takeLine() -> ArraySlice<UInt8>? {
        guard let end = rest.firstIndex(where: { !ASCII.isFieldValueByte($0) }) else { return nil }
        guard end + 1 < rest.endIndex, rest[end] == 0x0d, rest[end + 1] == 0x0a else { return nil }
        defer { rest = rest[(end + 2)...] }
        return rest[..<end]
    }
    while true {
        guard let line = takeLine() else { return nil }
        let size = line.prefix { ASCII.isHexDigit($0) }
        guard !size.isEmpty, size.count <= 16, areExtensions(line[size.endIndex...]),
            let count = UInt64(String(decoding: size, as: UTF8.self), radix: 16)
        else { return nil }
        if count == 0 { break }
        guard count < UInt64(rest.count) else { return nil }
        body += rest.prefix(Int(count))
        rest = rest.dropFirst(Int(count))
        guard let empty = takeLine(), empty.isEmpty else { return nil }
    }
    while let line = takeLine() {
        if line.isEmpty { return (body, rest.startIndex) }
        let name = line.prefix { ASCII.isTokenChar($0) }
        guard !name.isEmpty, name.count < line.count, line[name.endIndex] == 0x3a else { return nil }
    }
    return nil
}

/// The fields of a trailer section as pairs are those of its lines that may stand there, in their order.
private func checkTrailers(_ lines: [UInt8]) {
    var out = ByteBuffer()
    HTTP1Trailers.writePairs(lines.span.bytes, into: &out)
    let pairs = plainPairs(Array(out.readable))
    var wanted: [(name: [UInt8], value: [UInt8])] = []
    for line in split(lines) {
        let colon = line.firstIndex(of: 0x3a) ?? line.endIndex
        require(colon < line.endIndex && isToken(line[..<colon]), "a line that is no field")
        let name = ByteRange(0, colon - line.startIndex)
        guard TrailerRules.allows(Array(line).span.bytes, name) else { continue }
        wanted.append((Array(line[..<colon]), trimmed(Array(line[(colon + 1)...]))))
    }
    let isSame = pairs?.elementsEqual(wanted) { $0.name == $1.name && $0.value == $1.value }
    require(isSame == true, "other pairs")
}

/// Lines that each end with CR LF.
private func split(_ lines: [UInt8]) -> [ArraySlice<UInt8>] {
    var found: [ArraySlice<UInt8>] = []
    var rest = lines[...]
    while let end = rest.firstIndex(of: 0x0d) {
        found.append(rest[..<end])
        rest = rest[end...].dropFirst(2)
    }
    require(rest.isEmpty, "a line without an end")
    return found
}

private func checkLength(_ bytes: [UInt8], _ length: UInt64, _ first: Int, _ limits: HTTPLimits) {
    let whole = outcome(bytes, [], limits, .length(length))
    require(outcome(bytes, [first], limits, .length(length)) == whole, "a cut changes the outcome")
    if limits.bodyBytesMax > 0, length > limits.bodyBytesMax {
        require(whole.error == .contentTooLarge && whole.body.isEmpty, "taken over the limit")
    } else {
        require(whole.error == nil && whole.body == Array(bytes.prefix(Int(length))), "another body")
        require((whole.end == Int(length)) == (length <= UInt64(bytes.count)), "another end")
    }
}

@Sendable func fuzzBody(_ input: [UInt8]) {
    guard input.count > 3 else { return }
    let bytes = Array(input[3...])
    var limits = HTTPLimits()
    let isLimited = input[0] & 1 != 0
    if isLimited {
        limits.bodyBytesMax = UInt64(input[0] >> 1)
        limits.chunkExtensionMax = Int(input[0] >> 3)
        limits.chunkExtensionTotalMax = Int(input[0] >> 2)
        limits.trailerBytesMax = Int(input[0] >> 2)
    }
    let first = Int(input[1]) * bytes.count / 256
    let second = first + Int(input[2]) * (bytes.count - first) / 256
    if input[0] & 2 != 0 { return checkLength(bytes, UInt64(input[2]), first, limits) }
    let whole = outcome(bytes, [], limits)
    if limits.bodyBytesMax > 0 { require(whole.body.count <= limits.bodyBytesMax, "over the limit") }
    require(outcome(bytes, [first, second], limits) == whole, "two cuts change the outcome")
    if bytes.count <= 512 {
        require(outcome(bytes, Array(0..<bytes.count), limits) == whole, "byte by byte differs")
    }
    let plain = plainDecode(bytes)
    if let end = whole.end {
        require(plain?.end == end && plain?.body == whole.body, "accepted what the grammar does not say")
        checkTrailers(whole.trailers)
    } else if !isLimited, bytes.count < 4096 {
        require(plain == nil, "refused what the grammar allows")
    }
}
