// SPDX-License-Identifier: MIT
// ChunkedFuzz - looks for a chunked body that traps, or ends in two places, or is read as two bodies.
// Room: fuzzing. The first three bytes of an input choose limits and where the rest is cut.

private struct Outcome: Equatable {
    var error: HTTPError?
    var body: [UInt8] = []
    var trailers: [UInt8] = []
    var end: Int?
}

/// Feeds the bytes in pieces that end at `cuts`; each piece is memory of its own.
private func outcome(_ bytes: [UInt8], _ cuts: [Int], _ limits: HTTPLimits) -> Outcome {
    var reader = HTTP1BodyReader(framing: .chunked, limits: limits)
    var outcome = Outcome()
    var lower = 0
    for cut in cuts + [bytes.count] {
        let piece = Array(bytes[lower..<cut])
        var index = 0
        pieces: while true {
            do throws(HTTPError) {
                switch try reader.read(piece.span.bytes, from: index) {
                case .data(let start, let count, let next):
                    precondition(start == index || start > index, "went back")
                    precondition(count > 0 && next == start + count && next <= piece.count, "outside")
                    outcome.body += piece[start..<next]
                    index = next
                case .trailer(let start, let count, let next):
                    precondition(start >= index && count > 0 && start + count <= next, "went back")
                    precondition(next <= piece.count, "outside")
                    outcome.trailers += piece[start..<start + count]
                    index = next
                case .needMore(let next):
                    precondition(next == piece.count && !reader.isEnded, "left bytes behind")
                    break pieces
                case .end(let next):
                    precondition(next >= index && next <= piece.count && reader.isEnded)
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
            precondition(reader.received == UInt64(outcome.body.count), "counted wrong")
        }
        lower = cut
    }
    return outcome
}

/// Never more than one body: an ended reader takes nothing more.
private func checkEnded(_ reader: inout HTTP1BodyReader, _ piece: [UInt8], _ next: Int) {
    do throws(HTTPError) {
        let again = try reader.read(piece.span.bytes, from: next)
        precondition(again == .end(next: next), "went on after the end")
    } catch {
        preconditionFailure("an error after the end")
    }
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
        guard !size.isEmpty, size.count <= 16, line.count == size.count || line[size.endIndex] == 0x3b,
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

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzChunked(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard input.count > 3 else { return 0 }
    let bytes = Array(input[3...])
    var limits = HTTPLimits()
    let isLimited = input[0] & 1 != 0
    if isLimited {
        limits.bodyBytesMax = UInt64(input[0] >> 1)
        limits.chunkExtensionMax = Int(input[0] >> 3)
        limits.chunkExtensionTotalMax = Int(input[0] >> 2)
        limits.trailerBytesMax = Int(input[0] >> 2)
    }
    let whole = outcome(bytes, [], limits)
    if limits.bodyBytesMax > 0 { precondition(whole.body.count <= limits.bodyBytesMax, "over the limit") }
    let first = Int(input[1]) * bytes.count / 256
    let second = first + Int(input[2]) * (bytes.count - first) / 256
    precondition(outcome(bytes, [first, second], limits) == whole, "two cuts change the outcome")
    precondition(outcome(bytes, Array(0..<bytes.count), limits) == whole, "byte by byte differs")
    let plain = plainDecode(bytes)
    if let end = whole.end {
        precondition(plain?.end == end && plain?.body == whole.body, "accepted what the grammar does not say")
    } else if !isLimited, bytes.count < 4096 {
        precondition(plain == nil, "refused what the grammar allows")
    }
    return 0
}
