// SPDX-License-Identifier: MIT
// AccessFormat - turns a format string once into segments, and then each AccessRecord into one log line.
// Room: Server (pure but for the local zone). Spec: Python's % formatting with named fields.

/// A compiled access_log_format: the literal bytes end to end, and for each field the literal ahead of it.
///
/// `%(name)s`, `%(name)d`, `%(name)f` with the flags, width and precision of Python; `%%`. Values that are
/// absent print `-`. In text values the bytes `"`, `\`, below 0x20 and from 0x7f on are written `\xNN`, so
/// that no client can forge or break a line. A precision of text counts the value's own bytes, a width
/// counts what is printed.
///
/// Ownership: owns its arrays; not copyable, so that formatting never retains them.
/// Thread:    any number at once.
struct AccessFormat: ~Copyable, Sendable {
    static let ancestors: StaticString =
        """
        %(client_ip)s - - [%(date_time)s] "%(request_line)s" \
        %(status_code)s %(body_length)s %(wall_seconds).6f
        """

    /// What Apache and nginx call these; the user's name is never known here.
    static let common: StaticString =
        "%(client_ip)s - - [%(time_local)s] \"%(request_line)s\" %(status_code)s %(body_bytes)s"
    static let combined: StaticString =
        """
        %(client_ip)s - - [%(time_local)s] "%(request_line)s" %(status_code)s %(body_bytes)s \
        "%(referer)s" "%(user_agent)s"
        """

    private let literals: [UInt8]
    private let segments: [AccessSegment]
    private let tailStart: Int
    private let showsForwardedFor: Bool
    private let zone = LocalZone()
    /// Not empty: the line is a JSON object of these.
    private let jsonFields: [AccessField]
    let showsHeaderID: Bool

    /// showsForwardedFor: option log_x_forwarded_for. The error names the field or conversion that is wrong.
    init(_ text: String, showsForwardedFor: Bool = false) throws(OptionError) {
        var compiler = AccessFormatCompiler(Self.meaning(text))
        if let fault = compiler.run() { throw OptionError(option: "access_log_format", fault) }
        literals = compiler.literals
        segments = compiler.segments
        tailStart = compiler.literalStart
        self.showsForwardedFor = showsForwardedFor
        jsonFields = text == "json" ? AccessJSON.fields : []
        showsHeaderID = text == "json" || segments.contains { $0.field == .headerID }
    }

    /// The format behind the name of a preset; else the text itself.
    private static func meaning(_ text: String) -> String {
        switch text {
        case "common": return "\(common)"
        case "combined": return "\(combined)"
        case "json": return ""
        default: return text
        }
    }

    /// What is wrong with a format, nil if nothing is.
    @Sendable static func fault(_ text: String) -> String? {
        var compiler = AccessFormatCompiler(text)
        return compiler.run()
    }

    /// Appends the line without a line end. Allocates nothing but the buffer's own growth.
    func write(_ record: AccessRecord, into out: inout ByteBuffer) {
        if !jsonFields.isEmpty {
            return AccessJSON.write(record, jsonFields, showsForwardedFor: showsForwardedFor, into: &out)
        }
        literals.withUnsafeBytes { literals in
            for index in segments.indices {
                let segment = segments[index]
                // SAFETY: the compiler took both ends from the array it built.
                out.append(UnsafeRawBufferPointer(rebasing: literals[segment.literal]))
                write(segment, record, into: &out)
            }
            out.append(UnsafeRawBufferPointer(rebasing: literals[tailStart...]))
        }
    }

    private func write(_ segment: AccessSegment, _ record: AccessRecord, into out: inout ByteBuffer) {
        let spec = segment.spec
        switch record.value(of: segment.field, showsForwardedFor: showsForwardedFor) {
        case .absent:
            spec.put("-", into: &out)
        case .text(let bytes):
            if bytes.isEmpty { spec.put("-", into: &out) } else { spec.put(bytes, into: &out) }
        case .fixed(let text):
            text.withUTF8Buffer { spec.put(UnsafeRawBufferPointer($0), into: &out) }
        case .number(let number):
            spec.put(number, into: &out)
        case .micros(let micros):
            spec.put(micros: micros, into: &out)
        case .forwardedClient:
            spec.put(forwarded: record.forwardedFor, client: record.clientIP, into: &out)
        case .dateTime:
            let seconds = record.wallSeconds
            let offset = zone.offset(at: seconds)
            spec.put(count: LocalTimeText.dateTimeCount, into: &out) {
                LocalTimeText.dateTime(seconds, offset: offset, into: $0)
            }
        case .zone:
            let offset = zone.offset(at: record.wallSeconds)
            spec.put(count: LocalTimeText.zoneCount, into: &out) {
                LocalTimeText.zone(offset: offset, into: $0)
            }
        case .timeLocal:
            let offset = zone.offset(at: record.wallSeconds)
            spec.put(count: LocalTimeText.bothCount, into: &out) {
                LocalTimeText.both(record.wallSeconds, offset: offset, into: $0)
            }
        case .utc:
            spec.put(count: UTCText.count, into: &out) { UTCText.write(record.wallSeconds, into: $0) }
        }
    }
}

/// One field and the literal ahead of it. Plain data.
struct AccessSegment {
    var literalStart: UInt32
    var literalEnd: UInt32
    var field: AccessField
    var spec: AccessSpec

    var literal: Range<Int> { Int(literalStart)..<Int(literalEnd) }
}

/// Reads a format string; used once per format, so plainness goes ahead of speed.
struct AccessFormatCompiler {
    private(set) var literals: [UInt8] = []
    private(set) var segments: [AccessSegment] = []
    /// Where the literal behind the last segment begins.
    private(set) var literalStart = 0
    private var rest: Substring.UTF8View

    private static let widthMax = 9999
    private static let textMax = 64 << 10

    init(_ text: String) { rest = text.utf8[...] }

    /// nil: the whole text was taken; else what is wrong with it.
    mutating func run() -> String? {
        if rest.count > Self.textMax { return "longer than \(Self.textMax) bytes" }
        while let byte = rest.popFirst() {
            if byte != UInt8(ascii: "%") {
                literals.append(byte)
            } else if rest.first == UInt8(ascii: "%") {
                rest.removeFirst()
                literals.append(byte)
            } else if let fault = takeField() {
                return fault
            }
        }
        return nil
    }

    private mutating func takeField() -> String? {
        guard rest.popFirst() == UInt8(ascii: "("), let close = rest.firstIndex(of: UInt8(ascii: ")")) else {
            return "a % must be followed by (field) or by another %"
        }
        let name = String(Substring(rest[..<close]))
        rest = rest[rest.index(after: close)...]
        guard let field = AccessField.allCases.first(where: { $0.hasName(name) }) else {
            return "unknown field \(OptionValue.quoted(name))"
        }
        var spec = AccessSpec()
        if let fault = takeSpec(&spec, name) { return fault }
        guard let conversion = rest.popFirst() else {
            return "nothing after %(\(name)): s, d or f is missing"
        }
        switch conversion {
        case UInt8(ascii: "s"): spec.conversion = field.kind == .seconds ? .float : .text
        case UInt8(ascii: "d"), UInt8(ascii: "i"), UInt8(ascii: "u"): spec.conversion = .integer
        case UInt8(ascii: "f"), UInt8(ascii: "F"): spec.conversion = .float
        default:
            let letter = OptionValue.quoted(String(UnicodeScalar(conversion)))
            return "%(\(name)) has conversion \(letter), not s, d or f"
        }
        if field.kind == .text, spec.conversion != .text { return "%(\(name)) is text: use s" }
        let literal = (start: UInt32(literalStart), end: UInt32(literals.count))
        segments.append(
            AccessSegment(literalStart: literal.start, literalEnd: literal.end, field: field, spec: spec))
        literalStart = literals.count
        return nil
    }

    private mutating func takeSpec(_ spec: inout AccessSpec, _ name: String) -> String? {
        while let byte = rest.first, let flag = AccessSpec.Flags(byte) {
            spec.flags.formUnion(flag)
            rest.removeFirst()
        }
        let width = takeNumber() ?? 0
        var precision = -1
        if rest.first == UInt8(ascii: ".") {
            rest.removeFirst()
            precision = takeNumber() ?? 0
        }
        guard width <= Self.widthMax, precision <= Self.widthMax else {
            return "%(\(name)) has a width or precision above \(Self.widthMax)"
        }
        spec.width = Int32(width)
        spec.precision = Int32(precision)
        return nil
    }

    /// Stops counting just above widthMax, so it cannot overflow.
    private mutating func takeNumber() -> Int? {
        var number: Int? = nil
        while let byte = rest.first, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            number = min((number ?? 0) * 10 + Int(byte &- UInt8(ascii: "0")), Self.widthMax + 1)
            rest.removeFirst()
        }
        return number
    }
}

extension AccessField {
    fileprivate func hasName(_ text: String) -> Bool {
        name.withUTF8Buffer { $0.elementsEqual(text.utf8) }
    }
}
