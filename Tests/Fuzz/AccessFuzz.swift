// SPDX-License-Identifier: MIT
// AccessFuzz - looks for a client that breaks or forges an access line, and for JSON that is none.
// Room: fuzzing.

/// What a client and a host can bring into a line.
private struct Facts {
    private static let textCount = 13
    private static let lastSecond: Int64 = 253_402_300_799

    var texts: [[UInt8]] = []
    var numbers: [Int64] = []
    var second: Int64 = 0
    var hasEnded = false

    init(_ input: inout Input) {
        hasEnded = input.flag()
        second = input.number() & Int64.max % (Self.lastSecond + 1)
        for _ in 0..<4 { numbers.append(input.number()) }
        for _ in 0..<Self.textCount { texts.append(input.bytes()) }
    }

    func withRecord(_ body: (AccessRecord) -> Void) {
        withRecord(AccessRecord(), 0, body)
    }

    private static func place(_ index: Int) -> WritableKeyPath<AccessRecord, UnsafeRawBufferPointer> {
        switch index {
        case 0: \.clientIP
        case 1: \.requestLine
        case 2: \.method
        case 3: \.path
        case 4: \.query
        case 5: \.protocol
        case 6: \.host
        case 7: \.userAgent
        case 8: \.referer
        case 9: \.forwardedFor
        case 10: \.headerID
        case 11: \.traceID
        default: \.parentID
        }
    }

    private func withRecord(_ record: AccessRecord, _ index: Int, _ body: (AccessRecord) -> Void) {
        var record = record
        if index < texts.count {
            return texts[index].withUnsafeBytes { bytes in
                record[keyPath: Self.place(index)] = bytes
                withRecord(record, index + 1, body)
            }
        }
        record.clientPort = numbers[0]
        record.status = numbers[1]
        record.wireBytes = numbers[2]
        record.interimBytes = numbers[3]
        record.microsTotal = numbers[0]
        record.microsFirstByte = numbers[1]
        record.ackedBytes = numbers[2]
        record.requestID = numbers[3]
        record.wallSeconds = second
        record.tls = hasEnded
        record.end = hasEnded ? "client-reset" : nil
        body(record)
    }
}

/// Compiled once: what is fuzzed here is the writing.
private let json = known("json")
private let jsonForwarded = known("json", showsForwardedFor: true)
private let requestLine = known("%(request_line)s")

private func known(_ text: String, showsForwardedFor: Bool = false) -> AccessFormat {
    do throws(OptionError) {
        return try AccessFormat(text, showsForwardedFor: showsForwardedFor)
    } catch { fatalError(error.text) }
}

private func line(_ format: borrowing AccessFormat, _ record: AccessRecord) -> [UInt8] {
    var out = ByteBuffer()
    format.write(record, into: &out)
    require(!out.failed, "out of memory")
    return Array(out.readable)
}

/// What \xNN stands for; nil: another backslash.
private func unescaped(_ bytes: [UInt8]) -> [UInt8]? {
    var found: [UInt8] = []
    var rest = bytes[...]
    while let byte = rest.popFirst() {
        if byte != 0x5c {
            found.append(byte)
            continue
        }
        let code = rest.prefix(3)
        rest = rest.dropFirst(3)
        guard code.count == 3, code.first == 0x78,
            let value = UInt8(String(decoding: code.dropFirst(), as: UTF8.self), radix: 16)
        else { return nil }
        found.append(value)
    }
    return found
}

/// What could end a line or a quoted text, in its order.
private func edges(_ line: [UInt8]) -> [UInt8] { line.filter { $0 < 0x20 || $0 >= 0x7f || $0 == 0x22 } }

private func checkText(_ text: String, _ facts: Facts, _ showsForwardedFor: Bool) {
    guard let format = try? AccessFormat(text, showsForwardedFor: showsForwardedFor) else {
        require(AccessFormat.fault(text) != nil || ["common", "combined", "json"].contains(text))
        return
    }
    let empty = line(format, AccessRecord())
    facts.withRecord { record in
        require(edges(line(format, record)) == edges(empty), "a value that breaks its line")
    }
}

/// Each text by itself can be read back.
private func checkEscapes(_ facts: Facts) {
    facts.withRecord { record in
        let written = line(requestLine, record)
        let wanted = record.requestLine.isEmpty ? Array("-".utf8) : Array(record.requestLine)
        require(unescaped(written) == wanted, "a text that is not what it was")
    }
}

private func checkJSON(_ facts: Facts, _ showsForwardedFor: Bool) {
    facts.withRecord { record in
        let written = showsForwardedFor ? line(jsonForwarded, record) : line(json, record)
        require(!written.contains { $0 < 0x20 || $0 == 0x7f }, "more than one line")
        guard let members = JSONReader.object(written) else { fatalError("no JSON") }
        require(members.count == AccessJSON.fields.count, "not all fields")
        for (member, field) in zip(members, AccessJSON.fields) {
            require(member.name == "\(field.name)", "another order")
            check(member.value, record.value(of: field, showsForwardedFor: showsForwardedFor))
        }
    }
}

private func check(_ found: JSONValue, _ value: AccessRecord.Value) {
    switch value {
    case .absent: require(found == .null, "not null")
    case .text(let bytes):
        let text = String(decoding: bytes, as: UTF8.self)
        guard case .text(let read) = found else { return require(found == .null && bytes.isEmpty) }
        require(read.unicodeScalars.elementsEqual(text.unicodeScalars), "another text")
    case .fixed(let text): require(found == .text("\(text)"))
    case .number(let number): require(found == .number("\(number)"), "another number")
    case .micros(let micros):
        guard case .number(let read) = found else { fatalError("no number") }
        let whole = read.split(separator: ".").joined()
        require(Int64(whole) == max(micros, 0), "another time")
    case .forwardedClient, .utc:
        guard case .text = found else { fatalError("no text") }
    case .dateTime, .zone, .timeLocal: fatalError("local time in JSON")
    }
}

@Sendable func fuzzAccess(_ bytes: [UInt8]) {
    var input = Input(bytes)
    let choice = input.byte()
    let text = input.bytes()
    let facts = Facts(&input)
    switch choice & 3 {
    case 0: checkJSON(facts, choice & 4 != 0)
    case 1: checkEscapes(facts)
    case 2:
        let preset = choice & 8 != 0 ? "combined" : choice & 16 != 0 ? "common" : "\(AccessFormat.ancestors)"
        checkText(preset, facts, choice & 4 != 0)
    default: checkText(String(decoding: text, as: UTF8.self), facts, choice & 4 != 0)
    }
}
