// SPDX-License-Identifier: MIT
// HTTP1HeadParser - turns the bytes of one HTTP/1.x request head into a RequestHead.
// Room: HTTP1 (pure: no sockets, no clock). Spec: RFC 9112 section 2-5. Cases: Tests/Conformance/http1.

/// Contract: parse gets everything received since the head's first byte, the same prefix each time and
/// longer. It gives true when the head is complete, false when bytes are missing, and throws as soon as a
/// fault is certain. The outcome never depends on how the bytes were cut into pieces.
///
/// How that is kept cheap: lines are checked once, as they become complete, and `scanned` remembers how far
/// the search for the next line end has come, so a client that sends byte by byte costs no more than one who
/// sends all at once. Nothing but this struct has to survive between calls: a head that came in pieces is
/// read once more, from its start, when its last line is there, and only that pass fills `fields` and `head`
/// for the caller.
struct HTTP1HeadParser: BitwiseCopyable {
    private enum Phase: UInt8, BitwiseCopyable {
        case beforeRequestLine
        case methodUnread
        case requestLine
        case fields
    }

    private var phase: Phase = .beforeRequestLine
    private var blankLines: UInt8 = 0
    private let blankLineBytes: UInt8
    private var isResumed = false
    /// May the next line be a folded continuation of the field before it?
    private var canFold = false
    private var requestLineStart = 0
    private var requestLineEnd = 0
    private var methodEnd = 0
    private var lineStart = 0
    /// No byte of the current line before this one ends the line.
    private var scanned = 0
    private var fieldCount = 0
    /// Of the last field.
    private var fieldStart = 0
    private var rules = HeadRules()

    /// RFC 9112 section 2.2: a server should ignore at least one empty line before the request line.
    private static let blankLinesMax: UInt8 = 2

    /// An empty line of so many bytes came ahead of the first byte that parse will get; 0: none.
    init(blankLineBytes: UInt8 = 0) {
        self.blankLineBytes = blankLineBytes
        blankLines = blankLineBytes > 0 ? 1 : 0
    }

    /// What is known of the request line, for the log line of a refusal. Hostile bytes are still in it.
    var requestLineSoFar: ByteRange {
        ByteRange(requestLineStart, phase == .fields ? requestLineEnd : scanned)
    }

    mutating func parse(
        _ bytes: RawSpan, limits: HTTPLimits, laxness: HTTPLaxness,
        fields: inout MutableSpan<FieldSlot>, head: inout RequestHead
    ) throws(HTTPError) -> Bool {
        let wasResumed = isResumed
        isResumed = true
        guard try run(bytes, limits, laxness, &fields, &head) else { return false }
        if wasResumed {
            self = HTTP1HeadParser(blankLineBytes: blankLineBytes)
            guard try run(bytes, limits, laxness, &fields, &head) else { return false }
        }
        try rules.decide(into: &head, limits: limits, laxness: laxness)
        return true
    }

    /// Goes on line by line from where the last call stopped.
    @inline(never)
    private mutating func run(
        _ bytes: RawSpan, _ limits: HTTPLimits, _ laxness: HTTPLaxness,
        _ fields: inout MutableSpan<FieldSlot>, _ head: inout RequestHead
    ) throws(HTTPError) -> Bool {
        if phase != .fields {
            guard try readRequestLine(bytes, limits, laxness, &head) else { return false }
        }
        while let line = try nextLine(bytes, limits.headerLineMax, .headerLineTooLong, limits, laxness) {
            if line.isEmpty {
                head.fieldCount = fieldCount
                head.byteCount = lineStart
                return true
            }
            try readField(bytes, line, limits, laxness, &fields)
        }
        return false
    }
}

// MARK: - The request line

extension HTTP1HeadParser {
    private mutating func readRequestLine(
        _ bytes: RawSpan, _ limits: HTTPLimits, _ laxness: HTTPLaxness, _ head: inout RequestHead
    ) throws(HTTPError) -> Bool {
        if phase == .beforeRequestLine {
            guard try skipBlankLines(bytes, laxness) else { return false }
            phase = .methodUnread
        }
        if phase == .methodUnread {
            // Refuse rubbish by its first wrong byte, without waiting for a line end that may never come.
            let bound = min(bytes.byteCount, lineStart &+ limits.requestLineMax &- 2, headMax(limits))
            methodEnd = Scanner.tokenEnd(bytes, scanned, bound)
            if methodEnd < bound {
                guard methodEnd > lineStart, bytes.byte(methodEnd) == ASCII.space else {
                    scanned = Scanner.control(bytes, methodEnd, bound)
                    throw .malformedRequestLine
                }
                phase = .requestLine
            }
        }
        guard
            let line = try nextLine(bytes, limits.requestLineMax, .requestLineTooLong, limits, laxness)
        else { return false }
        requestLineEnd = line.upper
        phase = .fields
        head = RequestHead()
        head.requestLine = line
        try Self.splitRequestLine(bytes, line, methodEnd, laxness, &head)
        return true
    }

    /// method SP request-target SP HTTP-version, with exactly these two spaces.
    private static func splitRequestLine(
        _ bytes: RawSpan, _ line: ByteRange, _ methodEnd: Int, _ laxness: HTTPLaxness,
        _ head: inout RequestHead
    ) throws(HTTPError) {
        let targetEnd = line.upper &- 9
        guard targetEnd > methodEnd &+ 1, bytes.byte(methodEnd) == ASCII.space,
            bytes.byte(targetEnd) == ASCII.space
        else { throw .malformedRequestLine }
        head.minorVersion = try minorVersion(bytes, targetEnd &+ 1)
        head.methodName = ByteRange(line.lower, methodEnd)
        head.method = Method.named(bytes, line.lower, count: methodEnd &- line.lower)
        head.target = ByteRange(methodEnd &+ 1, targetEnd)
        let target = try RequestTarget(bytes, head.target, method: head.method, laxness: laxness)
        head.path = target.path
        head.query = target.query
        head.hasQuery = target.hasQuery
        head.authority = target.authority
    }

    /// "HTTP/" DIGIT "." DIGIT. A higher minor version is one of us; a higher major version is not.
    private static func minorVersion(_ bytes: RawSpan, _ lower: Int) throws(HTTPError) -> UInt8 {
        let word = bytes.word64(lower)
        if word == Word.of8("HTTP/1.1") { return 1 }
        let name: UInt64 = 0x00ff_00ff_ffff_ffff
        let major = bytes.byte(lower &+ 5)
        let minor = bytes.byte(lower &+ 7)
        guard word & name == Word.of8("HTTP/\0.\0"), ASCII.isDigit(major), ASCII.isDigit(minor), major != 0x30
        else { throw .malformedVersion }
        guard major == 0x31 else { throw .versionNotSupported }
        return minor == 0x30 ? 0 : 1
    }

    /// True once the first byte of the request line is there.
    private mutating func skipBlankLines(_ bytes: RawSpan, _ laxness: HTTPLaxness) throws(HTTPError) -> Bool {
        while lineStart < bytes.byteCount {
            let byte = bytes.byte(lineStart)
            var next = lineStart &+ 1
            if byte == ASCII.carriageReturn {
                guard next < bytes.byteCount else { return false }
                guard bytes.byte(next) == ASCII.lineFeed else { throw .bareCarriageReturn }
                next &+= 1
            } else if byte == ASCII.lineFeed {
                guard laxness.contains(.allowBareLF) else { throw .bareLineFeed }
            } else {
                // 0x16 opens a TLS record with a handshake in it; no text begins so.
                if byte == 0x16 { throw .tlsOnPlainPort }
                return true
            }
            guard blankLines < Self.blankLinesMax else { throw .malformedRequestLine }
            blankLines &+= 1
            lineStart = next
            scanned = next
            requestLineStart = next
        }
        return false
    }
}

// MARK: - Lines and fields

extension HTTP1HeadParser {
    private func headMax(_ limits: HTTPLimits) -> Int {
        min(limits.headerBytesMax, HTTPLimits.headerBytesCeiling) &- Int(blankLineBytes)
    }

    /// The next complete line without its end, or nil when it is not complete yet. Refuses every byte no
    /// line of a head may hold. Which fault is reported depends on positions only, never on how many bytes
    /// have arrived: a limit that lies before a wrong byte wins.
    @inline(__always)
    private mutating func nextLine(
        _ bytes: RawSpan, _ lineMax: Int, _ tooLong: HTTPError, _ limits: HTTPLimits, _ laxness: HTTPLaxness
    ) throws(HTTPError) -> ByteRange? {
        // Content and the two bytes of its end must stay below lineMax.
        let lineBound = lineStart &+ max(lineMax, 2) &- 2
        let headBound = headMax(limits)
        let bound = min(lineBound, headBound)
        let end = Scanner.control(bytes, scanned, min(bound, bytes.byteCount))
        scanned = end
        if end >= bound { throw lineBound <= headBound ? tooLong : .headerTooLarge }
        if end >= bytes.byteCount { return nil }
        var next = end &+ 1
        switch bytes.byte(end) {
        case ASCII.carriageReturn:
            if next >= headBound { throw .headerTooLarge }
            guard next < bytes.byteCount else { return nil }
            guard bytes.byte(next) == ASCII.lineFeed else { throw .bareCarriageReturn }
            next &+= 1
        case ASCII.lineFeed:
            guard laxness.contains(.allowBareLF) else { throw .bareLineFeed }
        default: throw .controlByte
        }
        let line = ByteRange(lineStart, end)
        lineStart = next
        scanned = next
        return line
    }

    /// field-name ":" OWS field-value OWS
    @inline(__always)
    private mutating func readField(
        _ bytes: RawSpan, _ line: ByteRange, _ limits: HTTPLimits, _ laxness: HTTPLaxness,
        _ fields: inout MutableSpan<FieldSlot>
    ) throws(HTTPError) {
        var nameEnd = Scanner.plainEnd(bytes, line.lower, line.upper)
        var hasUnderscore = false
        if bytes.byte(nameEnd) != ASCII.colon {
            let plainEnd = nameEnd
            nameEnd = Scanner.tokenEnd(bytes, plainEnd, line.upper)
            hasUnderscore = Self.hasUnderscore(bytes, plainEnd, nameEnd)
        }
        guard nameEnd > line.lower, nameEnd < line.upper, bytes.byte(nameEnd) == ASCII.colon else {
            return try readOddLine(bytes, line, nameEnd, limits, laxness, &fields)
        }
        guard fieldCount < limits.headerCountMax, fieldCount < fields.count else { throw .tooManyHeaders }
        var field = FieldSlot.empty
        field.name = ByteRange(line.lower, nameEnd)
        field.value = ASCII.trimmed(bytes, nameEnd &+ 1, line.upper)
        field.known = KnownField.named(bytes, field.name)
        field.hasUnderscore = hasUnderscore
        if hasUnderscore, laxness.contains(.underscoreRefuse) { throw .underscoreInFieldName }
        try rules.note(bytes, field, laxness: laxness)
        fields[fieldCount] = field
        fieldCount &+= 1
        fieldStart = line.lower
        canFold = !field.known.isInterpreted
    }

    private static func hasUnderscore(_ bytes: RawSpan, _ lower: Int, _ upper: Int) -> Bool {
        var index = lower
        while index < upper {
            if bytes.byte(index) == 0x5f { return true }
            index &+= 1
        }
        return false
    }

    /// A line that is no field: folded, or wrong; says how it is wrong.
    @inline(never)
    private mutating func readOddLine(
        _ bytes: RawSpan, _ line: ByteRange, _ nameEnd: Int, _ limits: HTTPLimits, _ laxness: HTTPLaxness,
        _ fields: inout MutableSpan<FieldSlot>
    ) throws(HTTPError) {
        let byte = bytes.byte(nameEnd)
        if nameEnd == line.lower, ASCII.isBlank(byte) {
            guard laxness.contains(.allowObsFold), canFold, fieldCount > 0, fieldCount <= fields.count else {
                throw .foldedLine
            }
            // The value now reaches over the line end; the reader of isFolded turns that into spaces.
            let value = ASCII.trimmed(bytes, line.lower, line.upper)
            if value.isEmpty { return }
            // All its lines together are one.
            guard value.upper &- fieldStart < limits.headerLineMax &- 2 else { throw .headerLineTooLong }
            let field = fields[fieldCount &- 1]
            let isFirst = field.value.isEmpty
            fields[fieldCount &- 1].value = ByteRange(isFirst ? value.lower : field.value.lower, value.upper)
            fields[fieldCount &- 1].isFolded = !isFirst
            return
        }
        if nameEnd >= line.upper { throw .missingColon }
        if ASCII.isBlank(byte), nameEnd > line.lower {
            // "Name : value" read by one side as "Name" is the oldest smuggling trick there is.
            let rest = ASCII.trimmed(bytes, nameEnd, line.upper)
            throw !rest.isEmpty && bytes.byte(rest.lower) == ASCII.colon ? .spaceBeforeColon : .missingColon
        }
        throw .malformedFieldName
    }
}
