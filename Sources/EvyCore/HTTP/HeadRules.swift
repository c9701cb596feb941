// SPDX-License-Identifier: MIT
// HeadRules - gathers what the fields of one head mean together, and gives the verdict at its end.
// Room: HTTP (pure). Spec: RFC 9110 section 7.2, 7.6.1, 7.8, 10.1.1; RFC 9112 section 3.2, 9.3.

struct HeadRules: BitwiseCopyable {
    private var framing = BodyFramingRules()
    private var host: ByteRange = .empty
    private var hasHost = false
    private var hasContentType = false
    private var hasAuthorization = false
    private var hasUpgrade = false
    private var wantsClose = false
    private var wantsKeepAlive = false
    private var wantsUpgrade = false
    private var expectsContinue = false
    private var expectsOther = false

    init() {}

    /// Takes in one field; refuses what is wrong in itself or in its repetition.
    @inline(__always)
    mutating func note(_ bytes: RawSpan, _ field: FieldSlot, laxness: HTTPLaxness) throws(HTTPError) {
        switch field.known {
        case .other, .cookie, .date, .keepAlive, .te, .trailer, .proxyConnection, .userAgent, .referer,
            .xForwardedFor, .server:
            return
        case .contentLength, .transferEncoding, .connection, .host, .expect, .upgrade, .contentType,
            .authorization:
            try noteInterpreted(bytes, field, laxness: laxness)
        }
    }

    private mutating func noteInterpreted(
        _ bytes: RawSpan, _ field: FieldSlot, laxness: HTTPLaxness
    ) throws(HTTPError) {
        switch field.known {
        case .contentLength: try framing.noteContentLength(bytes, field.value, laxness: laxness)
        case .transferEncoding: framing.noteTransferEncoding(bytes, field.value)
        case .connection: noteConnection(bytes, field.value)
        case .upgrade: hasUpgrade = true
        case .host:
            if hasHost { throw .repeatedHost }
            guard HostRules.isWellFormed(bytes, field.value) else { throw .malformedHost }
            hasHost = true
            host = field.value
        case .expect:
            noteExpect(bytes, field.value)
        case .contentType:
            if hasContentType { throw .repeatedField }
            hasContentType = true
        case .authorization:
            if hasAuthorization { throw .repeatedField }
            hasAuthorization = true
        case .other, .cookie, .date, .keepAlive, .te, .trailer, .proxyConnection, .userAgent, .referer,
            .xForwardedFor, .server:
            return
        }
    }

    /// A list of options; those we do not know ask nothing of us.
    private mutating func noteConnection(_ bytes: RawSpan, _ value: ByteRange) {
        var lower = value.lower
        while lower < value.upper {
            var upper = lower
            while upper < value.upper, bytes.byte(upper) != 0x2c { upper &+= 1 }
            let option = ASCII.trimmed(bytes, lower, upper)
            switch option.count {
            case 5: wantsClose = wantsClose || ASCII.equalsIgnoringCase(bytes, option, "close")
            case 7: wantsUpgrade = wantsUpgrade || ASCII.equalsIgnoringCase(bytes, option, "upgrade")
            case 10: wantsKeepAlive = wantsKeepAlive || ASCII.equalsIgnoringCase(bytes, option, "keep-alive")
            default: break
            }
            lower = upper &+ 1
        }
    }

    /// A list as well; one that names nothing is nothing that we know.
    private mutating func noteExpect(_ bytes: RawSpan, _ value: ByteRange) {
        var namesAny = false
        var lower = value.lower
        while lower < value.upper {
            var upper = lower
            while upper < value.upper, bytes.byte(upper) != 0x2c { upper &+= 1 }
            let expectation = ASCII.trimmed(bytes, lower, upper)
            lower = upper &+ 1
            if expectation.isEmpty { continue }
            namesAny = true
            if ASCII.equalsIgnoringCase(bytes, expectation, "100-continue") {
                expectsContinue = true
            } else {
                expectsOther = true
            }
        }
        if !namesAny { expectsOther = true }
    }

    /// The head is complete: what follows from its fields taken together. The request line has been put
    /// into `head` already.
    func decide(into head: inout RequestHead, limits: HTTPLimits, laxness: HTTPLaxness) throws(HTTPError) {
        let isHTTP11 = head.minorVersion >= 1
        if !hasHost, isHTTP11, !laxness.contains(.allowMissingHost) { throw .missingHost }
        // An absolute-form target outranks Host (RFC 9112 section 3.2.2).
        if head.authority.isEmpty { head.authority = host }
        head.framing = try framing.decide(minorVersion: head.minorVersion)
        // HTTP/1.0 knows no Expect: a proxy may have passed it on without understanding it.
        if expectsOther, isHTTP11, !laxness.contains(.allowUnknownExpect) { throw .expectationFailed }
        var hasBody = false
        switch head.framing {
        case .none: break
        case .chunked: hasBody = true
        case .length(let length):
            if limits.bodyBytesMax > 0, length > limits.bodyBytesMax { throw .contentTooLarge }
            hasBody = length > 0
        }
        head.expectsContinue = expectsContinue && isHTTP11 && hasBody
        head.closes = wantsClose
        head.echoesKeepAlive = wantsKeepAlive && !wantsClose
        head.keepAlive = !wantsClose && (isHTTP11 || wantsKeepAlive)
        head.upgrade = hasUpgrade && wantsUpgrade && isHTTP11
    }
}
