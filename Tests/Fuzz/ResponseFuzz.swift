// SPDX-License-Identifier: MIT
// ResponseFuzz - looks for a status, reason or field of an application that makes more than one response.
// Room: fuzzing. What was written is read again here, line by line, as RFC 9112 tells a client to.

private typealias Field = (name: [UInt8], value: [UInt8])

private struct Call {
    var status = 0
    var reason: [UInt8]?
    var server: [UInt8]?
    var block: [UInt8]
    var length: UInt64?
    var facts: ResponseRequestFacts

    init(_ input: inout Input) {
        let choice = input.byte()
        facts = ResponseRequestFacts(
            minorVersion: choice & 1, isHead: choice & 2 != 0, keepAlive: choice & 4 != 0,
            echoesKeepAlive: choice & 8 != 0, maxMinorVersion: choice >> 4 & 1)
        status = Int(input.byte()) * 4 + Int(input.byte() & 3)
        if choice & 0x20 != 0 { reason = input.bytes() }
        if choice & 0x40 != 0 { server = input.bytes().filter(isFieldByte) }
        if choice & 0x80 != 0 { length = UInt64(input.byte()) }
        block = input.bytes()
    }

    var hasBadStatus: Bool { !(100...599).contains(status) }
    var rule: ResponseBodyRule { ResponseBodyRule(status: status, isHead: facts.isHead) }

    func write(_ memo: inout FieldsMemo, into out: inout ByteBuffer) throws(ResponseError) -> ResponsePlan {
        // A failure is carried out by hand: closures that take bytes throw what they like.
        let result = block.withUnsafeBytes { block in
            lend(reason) { reason in
                lend(server) { server in
                    Array("Sun, 06 Nov 1994 08:49:37 GMT".utf8).withUnsafeBytes { date in
                        Result { () throws(ResponseError) in
                            try HTTP1ResponseWriter.writeHead(
                                status: status, reason: reason, fields: block, bodyLength: length,
                                facts: facts, date: date, server: server, memo: &memo, into: &out)
                        }
                    }
                }
            }
        }
        return try result.get()
    }
}

private func lend<Value>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Value) -> Value {
    guard let bytes else { return body(nil) }
    return bytes.withUnsafeBytes { body($0) }
}

/// The lines of exactly one head: CR LF ends each, and an empty one the last.
private func lines(_ head: [UInt8]) -> [ArraySlice<UInt8>] {
    var found: [ArraySlice<UInt8>] = []
    var rest = head[...]
    while let end = rest.firstIndex(where: { !isFieldByte($0) }) {
        require(rest[end...].starts(with: [0x0d, 0x0a]), "a control byte in a line")
        found.append(rest[..<end])
        rest = rest[end...].dropFirst(2)
    }
    require(rest.isEmpty && found.last?.isEmpty == true, "bytes behind the head")
    found.removeLast()
    require(found.allSatisfy { !$0.isEmpty }, "two heads")
    return found
}

private func field(_ line: ArraySlice<UInt8>) -> Field {
    let colon = line.firstIndex(of: 0x3a) ?? line.endIndex
    require(isToken(line[..<colon]) && line[colon...].starts(with: [0x3a, 0x20]), "a line that is no field")
    return (Array(line[..<colon]), Array(line[(colon + 2)...]))
}

private let hopByHop = [
    "connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade",
]

private func isSame(_ one: Field, _ other: Field) -> Bool {
    one.name == other.name && one.value == other.value
}

private func number(_ bytes: [UInt8]) -> UInt64? {
    let digits = trimmed(bytes)
    guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return UInt64(String(decoding: digits, as: UTF8.self)).flatMap { $0 <= UInt64(Int64.max) ? $0 : nil }
}

/// What the writer may keep of the application's fields; nil: it must refuse them.
private func kept(_ call: Call) -> [Field]? {
    guard let pairs = plainPairs(call.block) else { return nil }
    let lengths = pairs.filter { lowered($0.name) == "content-length" }.map { number($0.value) }
    guard !lengths.contains(nil) else { return nil }
    let dropsLength = call.rule == .nothing || call.rule == .zeroLength
    if !dropsLength, lengths.count > 1 { return nil }
    let isBound = call.rule == .body || call.rule == .lengthOnly && call.length != 0
    if isBound, let given = lengths.first, let length = call.length, given != length { return nil }
    return pairs.filter { pair in
        let name = lowered(pair.name)
        return !hopByHop.contains(name) && !(name == "content-length" && dropsLength)
    }
}

/// Where a client finds the end of the body (RFC 9112 section 6.3).
private func framing(_ call: Call, _ fields: [Field]) -> ResponsePlan.Body {
    if call.facts.isHead || call.status < 200 || [204, 304].contains(call.status) { return .none }
    let codings = fields.filter { lowered($0.name) == "transfer-encoding" }
    let lengths = fields.filter { lowered($0.name) == "content-length" }
    require(codings.count + lengths.count <= 1, "framed twice")
    if let coding = codings.first {
        require(lowered(coding.value) == "chunked" && call.facts.allowsChunked, "another coding")
        return .chunked
    }
    guard let length = lengths.first else { return .untilClose }
    return .length(number(length.value) ?? .max)
}

private func check(_ call: Call, _ head: [UInt8], _ plan: ResponsePlan) {
    guard let kept = kept(call) else { fatalError("took what it must refuse") }
    var lines = lines(head)
    let statusLine = "HTTP/1.\(call.facts.maxMinorVersion >= 1 ? 1 : 0) \(call.status) "
    let reason = call.reason ?? Array("\(StatusPhrase.text(call.status))".utf8)
    require(lines.removeFirst().elementsEqual(Array(statusLine.utf8) + reason), "another status line")
    let fields = lines.map(field)
    require(fields.prefix(kept.count).elementsEqual(kept, by: isSame), "not the fields that were given")
    let own = fields.dropFirst(kept.count)
    for field in own {
        let name = lowered(field.name)
        require(
            ["content-length", "date", "server", "transfer-encoding", "connection"].contains(name)
                && own.filter { lowered($0.name) == name }.count == 1
                && !kept.contains { lowered($0.name) == name }, "a field from nowhere")
    }
    let framing = framing(call, fields)
    let isEmpty = call.rule == .zeroLength && framing == (call.facts.isHead ? .none : .length(0))
    require(framing == plan.body || isEmpty && plan.body == .none, "the plan is not what the head says")
    let length = fields.first { lowered($0.name) == "content-length" }.map { number($0.value) ?? 0 }
    require(plan.declaredLength == length.map { Int64($0) } ?? -1, "another length is planned")
    guard call.status >= 200 else { return }
    let connection = own.first { lowered($0.name) == "connection" }.map { lowered($0.value) }
    let goesOn = connection != "close" && (call.facts.maxMinorVersion >= 1 || connection == "keep-alive")
    require(plan.keepAlive == goesOn, "the end of the connection is not told")
    require(!plan.keepAlive || call.facts.keepAlive && framing != .untilClose, "goes on against all rules")
    require(fields.contains { lowered($0.name) == "date" }, "no date")
}

/// Body and trailers in chunks are, read again, what they were.
private func checkChunks(_ body: [UInt8], _ trailers: [UInt8], _ step: Int) {
    let pairs = plainPairs(trailers)
    let allowed = pairs?.allSatisfy {
        TrailerRules.allows($0.name.span.bytes, ByteRange(0, $0.name.count))
    }
    var out = ByteBuffer()
    for start in stride(from: 0, to: body.count, by: step) {
        let piece = body[start..<min(start + step, body.count)]
        HTTP1ResponseWriter.writeChunkHeader(byteCount: piece.count, into: &out)
        out.append(Array(piece).span.bytes)
        out.append("\r\n")
    }
    let isChecked = trailers.withUnsafeBytes { block in
        guard (try? HTTP1ResponseWriter.checkTrailers(block)) != nil else { return false }
        HTTP1ResponseWriter.writeLastChunk(trailers: block, into: &out)
        return true
    }
    require(isChecked == (allowed == true), "trailers that were judged otherwise")
    guard isChecked, let pairs else { return }
    let (read, lines) = readChunks(Array(out.readable))
    require(read == body, "another body")
    var again = ByteBuffer()
    HTTP1Trailers.writePairs(lines.span.bytes, into: &again)
    let wanted = pairs.map { (name: $0.name, value: trimmed($0.value)) }
    require(plainPairs(Array(again.readable))?.elementsEqual(wanted, by: isSame) == true, "other trailers")
}

private func readChunks(_ bytes: [UInt8]) -> (body: [UInt8], trailers: [UInt8]) {
    var reader = HTTP1BodyReader(framing: .chunked, limits: HTTPLimits())
    var (body, trailers, index): ([UInt8], [UInt8], Int) = ([], [], 0)
    while true {
        guard let event = try? reader.read(bytes.span.bytes, from: index) else { fatalError("malformed") }
        switch event {
        case .data(let start, let count, let next):
            body += bytes[start..<start + count]
            index = next
        case .trailer(let start, let count, let next):
            trailers += bytes[start..<start + count]
            index = next
        case .needMore: fatalError("the body has no end")
        case .end(let next):
            require(next == bytes.count, "bytes behind the body")
            return (body, trailers)
        }
    }
}

private func checkInterim(_ call: Call) {
    var out = ByteBuffer()
    let isWritten = call.block.withUnsafeBytes { block in
        (try? HTTP1ResponseWriter.writeInterim(status: call.status, fields: block, into: &out)) != nil
    }
    guard isWritten else { return require(out.isEmpty, "an error left bytes behind") }
    var lines = lines(Array(out.readable))
    require(call.status != 101 && (100...199).contains(call.status), "no interim status")
    require(lines.removeFirst().starts(with: Array("HTTP/1.1 \(call.status) ".utf8)), "another status line")
    let wanted = plainPairs(call.block)?.filter {
        !hopByHop.contains(lowered($0.name)) && lowered($0.name) != "content-length"
    }
    require(wanted?.elementsEqual(lines.map(field), by: isSame) == true, "not the fields that were given")
}

@Sendable func fuzzResponse(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let call = Call(&input)
    var memo = FieldsMemo()
    var out = ByteBuffer()
    out.append("before")
    do throws(ResponseError) {
        let plan = try call.write(&memo, into: &out)
        let head = Array(out.readable.dropFirst(6))
        check(call, head, plan)
        out.clear(keepingCapacity: 0)
        let again = try call.write(&memo, into: &out)
        require(again == plan && Array(out.readable) == head, "what is remembered is not what was written")
    } catch {
        require(Array(out.readable) == Array("before".utf8), "an error left bytes behind")
        let hasBadReason = call.reason?.allSatisfy(isFieldByte) == false
        require(call.hasBadStatus || hasBadReason || kept(call) == nil, "refused without a reason")
    }
    checkInterim(call)
    let step = 1 + Int(input.byte())
    let trailers = input.bytes()
    checkChunks(input.all(), trailers, step)
}
