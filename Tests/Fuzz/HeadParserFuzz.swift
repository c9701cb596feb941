// SPDX-License-Identifier: MIT
// HeadParserFuzz - looks for a request head that traps, reads outside its bytes, or means two things.
// Room: fuzzing. The first four bytes of an input choose limits, laxness and where the rest is cut.

private struct Outcome: Equatable {
    var error: HTTPError?
    var isComplete = false
    var head = RequestHead()
    var fields: [FieldSlot] = []

    static func == (left: Outcome, right: Outcome) -> Bool {
        guard left.error == right.error, left.isComplete == right.isComplete else { return false }
        guard left.isComplete else { return true }
        return left.head.byteCount == right.head.byteCount && left.head.framing == right.head.framing
            && left.head.path == right.head.path && left.head.query == right.head.query
            && left.head.authority == right.head.authority && left.head.keepAlive == right.head.keepAlive
            && left.head.minorVersion == right.head.minorVersion && left.head.method == right.head.method
            && left.head.expectsContinue == right.head.expectsContinue
            && left.fields.elementsEqual(right.fields) { one, other in
                one.name == other.name && one.value == other.value && one.known == other.known
                    && one.isFolded == other.isFolded && one.hasUnderscore == other.hasUnderscore
            }
    }
}

private struct Settings {
    var limits = HTTPLimits()
    var laxness: HTTPLaxness

    init(_ choice: UInt8, _ laxChoice: UInt8) {
        laxness = HTTPLaxness(rawValue: UInt16(laxChoice) & 0x7f)
        if choice & 1 != 0 { limits.requestLineMax = 3 + Int(choice >> 3) }
        if choice & 2 != 0 { limits.headerLineMax = 3 + Int(choice >> 3) }
        if choice & 4 != 0 { limits.headerBytesMax = 32 + Int(choice >> 3) * 4 }
        limits.headerCountMax = 8
    }
}

/// Feeds the bytes in pieces that end at `cuts`, each time in memory of exactly their size and with slots
/// and head the parser has not seen before.
private func outcome(_ bytes: [UInt8], _ cuts: [Int], _ settings: Settings) -> Outcome {
    var parser = HTTP1HeadParser()
    var outcome = Outcome()
    for cut in cuts + [bytes.count] {
        let piece = Array(bytes[..<cut])
        var slots = [FieldSlot](repeating: .empty, count: settings.limits.headerCountMax)
        var head = RequestHead()
        do throws(HTTPError) {
            var span = slots.mutableSpan
            outcome.isComplete = try parser.parse(
                piece.span.bytes, limits: settings.limits, laxness: settings.laxness, fields: &span,
                head: &head)
        } catch {
            outcome.error = error
            check(parser.requestLineSoFar, piece.count)
            return outcome
        }
        if outcome.isComplete {
            outcome.head = head
            outcome.fields = Array(slots[..<head.fieldCount])
            return outcome
        }
    }
    return outcome
}

private func check(_ range: ByteRange, _ count: Int) {
    require(range.lower <= range.upper && range.upper <= count, "a range outside the bytes")
}

private func checkAccepted(_ outcome: Outcome, _ bytes: [UInt8], _ settings: Settings) {
    let head = outcome.head
    let count = head.byteCount
    require(count <= bytes.count && count <= settings.limits.headerBytesMax)
    for range in [head.requestLine, head.methodName, head.target, head.path, head.query, head.authority] {
        check(range, count)
    }
    require(!head.methodName.isEmpty && !head.path.isEmpty && head.minorVersion <= 1)
    require(
        bytes[head.requestLine.lower..<head.requestLine.upper].allSatisfy { $0 >= 0x20 && $0 != 0x7f })
    var lengths = 0
    var codings = 0
    for field in outcome.fields {
        check(field.name, count)
        check(field.value, count)
        require(!field.name.isEmpty && field.value.upper <= count)
        require(bytes[field.name.lower..<field.name.upper].allSatisfy { ASCII.isTokenChar($0) })
        let value = bytes[field.value.lower..<field.value.upper]
        require(field.isFolded || value.allSatisfy { ASCII.isFieldValueByte($0) }, "a split value")
        if field.known == .contentLength { lengths += 1 }
        if field.known == .transferEncoding { codings += 1 }
        require(!field.isFolded || !field.known.isInterpreted, "a folded value that was acted on")
    }
    switch head.framing {
    case .none: require(lengths == 0 && codings == 0)
    case .length(let length):
        require(codings == 0 && length <= UInt64(Int64.max))
        require(lengths == 1 || settings.laxness.contains(.lenientContentLength))
    case .chunked: require(lengths == 0 && codings == 1 && head.minorVersion == 1)
    }
}

@Sendable func fuzzHeadParser(_ input: [UInt8]) {
    guard input.count > 4 else { return }
    let bytes = Array(input[4...])
    let settings = Settings(input[0], input[1])
    let whole = outcome(bytes, [], settings)
    if whole.isComplete { checkAccepted(whole, bytes, settings) }
    let first = Int(input[2]) * bytes.count / 256
    let second = first + Int(input[3]) * (bytes.count - first) / 256
    require(outcome(bytes, [first, second], settings) == whole, "two cuts change the outcome")
    if bytes.count <= 256 {
        require(outcome(bytes, Array(0..<bytes.count), settings) == whole, "byte by byte differs")
    }
}
