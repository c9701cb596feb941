// SPDX-License-Identifier: MIT
// Method - the methods the core treats in a way of their own; every other token is the application's.
// Room: HTTP (pure). Spec: RFC 9110 section 9, RFC 5789.

enum Method: UInt8, BitwiseCopyable {
    case get
    case head
    case post
    case put
    case delete
    case options
    case patch
    case trace
    case connect
    case other

    /// Case matters: `get` is a method of somebody else's. At least eight bytes of the line must follow
    /// `lower`, which holds for any line with a version in it.
    @inline(__always)
    static func named(_ bytes: RawSpan, _ lower: Int, count: Int) -> Method {
        guard count >= 3, count <= 7 else { return .other }
        let word = bytes.word64(lower) & (UInt64.max >> UInt64(truncatingIfNeeded: 64 &- 8 &* count))
        switch word {
        case Word.of8("GET\0\0\0\0\0"): return .get
        case Word.of8("POST\0\0\0\0"): return .post
        case Word.of8("HEAD\0\0\0\0"): return .head
        case Word.of8("PUT\0\0\0\0\0"): return .put
        case Word.of8("DELETE\0\0"): return .delete
        case Word.of8("OPTIONS\0"): return .options
        case Word.of8("PATCH\0\0\0"): return .patch
        case Word.of8("TRACE\0\0\0"): return .trace
        case Word.of8("CONNECT\0"): return .connect
        default: return .other
        }
    }
}
