// SPDX-License-Identifier: MIT
// ResponseFields - copies an application's header block into a response head, checked pair by pair.
// Room: HTTP1 (pure). Spec: RFC 9110 section 5, 7.6.1; RFC 9112 section 11.1 (response splitting).

/// What the application's own fields said about what is otherwise ours.
struct GivenFields: BitwiseCopyable {
    var contentLength: UInt64?
    var hasDate = false
    var hasServer = false
    var closes = false
    /// It tells what to upgrade to, which only 426 may.
    var tellsUpgrade = false
}

/// Applications send the same fields again and again: what the last block became, to be copied when the next
/// one is the same byte for byte. Small enough to be kept with every exchange.
struct FieldsMemo: ~Copyable {
    private static let blockMax = 512

    private var block = ByteBuffer()
    private var text = ByteBuffer()
    private var rule = ResponseBodyRule.body
    private var given = GivenFields()

    /// Appends what `block` became the last time; nil: it has not been seen.
    @inline(__always)
    fileprivate func recall(
        _ block: UnsafeRawBufferPointer, _ rule: ResponseBodyRule, into out: inout ByteBuffer
    ) -> GivenFields? {
        guard block.count > 0, rule == self.rule, unsafe self.block.readable.equals(block) else { return nil }
        unsafe out.append(text.readable)
        return given
    }

    fileprivate mutating func keep(
        _ block: UnsafeRawBufferPointer, _ rule: ResponseBodyRule, _ given: GivenFields,
        _ text: UnsafeRawBufferPointer
    ) {
        self.block.clear(keepingCapacity: 2 &* Self.blockMax)
        self.text.clear(keepingCapacity: 4 &* Self.blockMax)
        guard block.count <= Self.blockMax else { return }
        unsafe self.block.append(block)
        unsafe self.text.append(text)
        self.rule = rule
        self.given = given
        // Half a memory would lie.
        if self.text.failed { self.block.clear(keepingCapacity: 0) }
    }
}

extension HTTP1ResponseWriter {
    /// As below, with a short way for a block that was written before.
    static func writeFields(
        _ block: UnsafeRawBufferPointer, status: Int, rule: ResponseBodyRule, memo: inout FieldsMemo,
        into out: inout ByteBuffer
    ) throws(ResponseError) -> GivenFields {
        // The only status whose head depends on more than the rule (RFC 9110 section 15.5.22).
        if status == 426 {
            return try unsafe writeFields(block.bytes, rule: rule, keepsUpgrade: true, into: &out)
        }
        if let given = unsafe memo.recall(block, rule, into: &out) { return given }
        let before = out.count
        let given = try unsafe writeFields(block.bytes, rule: rule, into: &out)
        if !out.failed {
            unsafe memo.keep(
                block, rule, given, UnsafeRawBufferPointer(rebasing: out.readable.dropFirst(before)))
        }
        return given
    }

    /// block: name NUL value NUL ...; the last NUL may be absent.
    static func writeFields(
        _ block: RawSpan, rule: ResponseBodyRule, keepsUpgrade: Bool = false, into out: inout ByteBuffer
    ) throws(ResponseError) -> GivenFields {
        var given = GivenFields()
        var index = 0
        while index < block.byteCount {
            let (name, value) = try takePair(block, &index)
            if try keeps(block, name, value, rule, &given) {
                write(block, name, value, &out)
            } else if keepsUpgrade, KnownField.named(block, name) == .upgrade {
                write(block, name, value, &out)
                given.tellsUpgrade = true
            }
        }
        return given
    }

    /// The pair at `index`, which goes on behind it.
    @inline(__always)
    static func takePair(
        _ block: RawSpan, _ index: inout Int
    ) throws(ResponseError) -> (name: ByteRange, value: ByteRange) {
        let nameEnd = Scanner.tokenEnd(block, index, block.byteCount)
        guard nameEnd > index, nameEnd < block.byteCount, block.byte(nameEnd) == 0 else { throw .badField }
        let valueEnd = Scanner.control(block, nameEnd &+ 1, block.byteCount)
        guard valueEnd >= block.byteCount || block.byte(valueEnd) == 0 else { throw .badField }
        let name = ByteRange(index, nameEnd)
        index = valueEnd &+ 1
        return (name, ByteRange(nameEnd &+ 1, valueEnd))
    }

    /// Notes what a field says to us, and tells whether it goes into the head.
    private static func keeps(
        _ block: RawSpan, _ name: ByteRange, _ value: ByteRange, _ rule: ResponseBodyRule,
        _ given: inout GivenFields
    ) throws(ResponseError) -> Bool {
        switch KnownField.named(block, name) {
        case .contentLength:
            guard given.contentLength == nil else { throw .badContentLength }
            let length = try decimal(block, value)
            // 1xx, 204 and 205 must not carry the application's idea of a length.
            guard rule != .nothing, rule != .zeroLength else { return false }
            given.contentLength = length
        case .date: given.hasDate = true
        case .server: given.hasServer = true
        case .connection:
            given.closes = given.closes || hasClose(block, value)
            return false
        case .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade: return false
        case .other, .trailer, .host, .expect, .contentType, .cookie, .authorization, .userAgent, .referer,
            .xForwardedFor:
            break
        }
        return true
    }

    /// The pair as a line.
    static func write(
        _ block: RawSpan, _ name: ByteRange, _ value: ByteRange, _ out: inout ByteBuffer
    ) {
        // tokenEnd and control gave ends inside the block, so these pieces lie in it.
        out.append(block.extracting(name.lower..<name.upper))
        out.append(": ")
        out.append(block.extracting(value.lower..<value.upper))
        out.append("\r\n")
    }

    private static func decimal(_ block: RawSpan, _ value: ByteRange) throws(ResponseError) -> UInt64 {
        let digits = ASCII.trimmed(block, value.lower, value.upper)
        do throws(HTTPError) {
            let (number, next) = try BodyFramingRules.decimal(block, digits.lower, digits.upper)
            guard next == digits.upper else { throw .malformedContentLength }
            return number
        } catch {
            throw .badContentLength
        }
    }

    private static func hasClose(_ block: RawSpan, _ value: ByteRange) -> Bool {
        var lower = value.lower
        while lower < value.upper {
            var upper = lower
            while upper < value.upper, block.byte(upper) != 0x2c { upper &+= 1 }
            if ASCII.equalsIgnoringCase(block, ASCII.trimmed(block, lower, upper), "close") { return true }
            lower = upper &+ 1
        }
        return false
    }
}
