// SPDX-License-Identifier: MIT
// BodyFraming - turns Content-Length and Transfer-Encoding into the one end of the body, or a refusal.
// Room: HTTP (pure). Spec: RFC 9112 section 6, RFC 9110 section 8.6. Cases: Tests/Conformance/http1.

/// The rules against request smuggling, all of them. Two parties that disagree about where a body ends let
/// an attacker put a request of his own between them; so whatever could be read in two ways is refused:
/// - a length is 1*DIGIT and at most 2^63-1, without sign, blank, list or unit;
/// - a second length is refused (or, when lenient, must be equal);
/// - the only coding is `chunked`, alone, once, and not in HTTP/1.0;
/// - a length beside a coding is refused.
struct BodyFramingRules: BitwiseCopyable {
    private enum Coding: UInt8, BitwiseCopyable {
        case none
        case chunked
        case malformed
        case unknown
    }

    private var hasLength = false
    private var length: UInt64 = 0
    private var coding: Coding = .none

    static var lengthMax: UInt64 { UInt64(Int64.max) }

    init() {}

    /// Takes in one Content-Length field; `value` is trimmed.
    mutating func noteContentLength(
        _ bytes: RawSpan, _ value: ByteRange, laxness: HTTPLaxness
    ) throws(HTTPError) {
        var index = value.lower
        while true {
            let (number, next) = try Self.decimal(bytes, index, value.upper)
            if hasLength {
                guard laxness.contains(.lenientContentLength) else { throw .repeatedContentLength }
                guard number == length else { throw .repeatedContentLength }
            }
            hasLength = true
            length = number
            if next == value.upper { return }
            // More than digits: only a list, and only when lenient.
            index = try Self.nextMember(bytes, next, value.upper)
            guard laxness.contains(.lenientContentLength) else { throw .malformedContentLength }
        }
    }

    /// Takes in one Transfer-Encoding field; `value` is trimmed.
    mutating func noteTransferEncoding(_ bytes: RawSpan, _ value: ByteRange) {
        guard coding == .none else {
            // A second line: `chunked` twice or not last is wrong in itself, anything else is unknown.
            coding = coding == .unknown ? .unknown : .malformed
            return
        }
        if ASCII.equalsIgnoringCase(bytes, value, "chunked") {
            coding = .chunked
        } else {
            coding = Self.isCodingList(bytes, value) ? .unknown : .malformed
        }
    }

    /// The verdict, once the whole head was read.
    func decide(minorVersion: UInt8) throws(HTTPError) -> BodyFraming {
        if coding != .none {
            if hasLength { throw .contentLengthWithTransferEncoding }
            if minorVersion == 0 { throw .transferEncodingOnHTTP10 }
        }
        switch coding {
        case .none: return hasLength ? .length(length) : .none
        case .chunked: return .chunked
        case .malformed: throw .malformedTransferEncoding
        case .unknown: throw .transferEncodingNotImplemented
        }
    }

    /// 1*DIGIT up to lengthMax from `lower`; also gives the offset behind the last digit.
    static func decimal(
        _ bytes: RawSpan, _ lower: Int, _ upper: Int
    ) throws(HTTPError) -> (number: UInt64, next: Int) {
        var index = lower
        var number: UInt64 = 0
        while index < upper, ASCII.isDigit(bytes.byte(index)) {
            let digit = UInt64(bytes.byte(index) &- 0x30)
            // lengthMax / 10 * 10 + 9 is far below 2^64, so this product and sum cannot wrap.
            guard number <= lengthMax / 10 else { throw .malformedContentLength }
            number = number &* 10 &+ digit
            guard number <= lengthMax else { throw .malformedContentLength }
            index &+= 1
        }
        guard index > lower else { throw .malformedContentLength }
        return (number, index)
    }

    private static func nextMember(_ bytes: RawSpan, _ lower: Int, _ upper: Int) throws(HTTPError) -> Int {
        var index = lower
        while index < upper, ASCII.isBlank(bytes.byte(index)) { index &+= 1 }
        guard index < upper, bytes.byte(index) == 0x2c else { throw .malformedContentLength }
        index &+= 1
        while index < upper, ASCII.isBlank(bytes.byte(index)) { index &+= 1 }
        return index
    }

    /// Is the value a list of codings that a better server might know (501), rather than nonsense (400)?
    /// `chunked` in such a list is nonsense unless it is the last member.
    private static func isCodingList(_ bytes: RawSpan, _ value: ByteRange) -> Bool {
        var lower = value.lower
        var sawChunked = false
        while true {
            var upper = lower
            while upper < value.upper, bytes.byte(upper) != 0x2c { upper &+= 1 }
            let member = ASCII.trimmed(bytes, lower, upper)
            var tokenEnd = Scanner.tokenEnd(bytes, member.lower, member.upper)
            let token = ByteRange(member.lower, tokenEnd)
            if token.isEmpty || sawChunked { return false }
            sawChunked = ASCII.equalsIgnoringCase(bytes, token, "chunked")
            while tokenEnd < member.upper, ASCII.isBlank(bytes.byte(tokenEnd)) { tokenEnd &+= 1 }
            // Parameters belong to other codings; chunked has none.
            if tokenEnd < member.upper, sawChunked || bytes.byte(tokenEnd) != 0x3b { return false }
            if upper == value.upper { return true }
            lower = upper &+ 1
        }
    }
}
