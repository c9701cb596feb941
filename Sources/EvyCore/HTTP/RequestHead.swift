// SPDX-License-Identifier: MIT
// RequestHead - what one request head says, as ranges of its own bytes.
// Room: HTTP (pure). Spec: RFC 9112 section 2-3.

/// One header field. Ranges are offsets from the first byte given to the parser.
struct FieldSlot: BitwiseCopyable {
    var name: ByteRange
    /// Without SP and HT at its ends. Holds CR LF in its midst when isFolded.
    var value: ByteRange
    var known: KnownField
    /// The name holds `_`: as an environ name it could pass for another field (option underscore_headers).
    var hasUnderscore: Bool
    /// Only with allowObsFold: every CR and LF inside the value stands for a space.
    var isFolded: Bool

    static var empty: FieldSlot {
        FieldSlot(name: .empty, value: .empty, known: .other, hasUnderscore: false, isFolded: false)
    }
}

/// How the end of the request body is found.
enum BodyFraming: Equatable, BitwiseCopyable {
    case none
    case length(UInt64)
    case chunked
}

struct RequestHead: BitwiseCopyable {
    var method: Method = .other
    var methodName: ByteRange = .empty
    /// The request target as sent.
    var target: ByteRange = .empty
    /// Raw path of an origin-form or absolute-form target, "*" of `OPTIONS *`. Never empty: an absolute-form
    /// target without a path gets a "/" out of its own "//".
    var path: ByteRange = .empty
    /// Without the "?"; may be empty though there was one.
    var query: ByteRange = .empty
    var hasQuery = false
    /// Host and port of an absolute-form target, else the value of Host. May be empty.
    var authority: ByteRange = .empty
    /// Without line end.
    var requestLine: ByteRange = .empty
    /// 0 or 1; every 1.x above 1.0 is spoken to as 1.1.
    var minorVersion: UInt8 = 1
    var fieldCount = 0
    /// The whole head: blank lines skipped before it, request line, fields, blank line.
    var byteCount = 0
    var framing: BodyFraming = .none
    /// What the client wants, by its version and its Connection options.
    var keepAlive = false
    /// It sent `Connection: keep-alive`.
    var echoesKeepAlive = false
    /// It sent `Connection: close`.
    var closes = false
    /// It waits for 100 Continue before it sends the body.
    var expectsContinue = false
    /// It sent Upgrade, and named it in Connection.
    var upgrade = false

    init() {}
}
