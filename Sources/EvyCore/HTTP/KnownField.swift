// SPDX-License-Identifier: MIT
// KnownField - recognises the field names the core acts on, by length and two or three word compares.
// Room: HTTP (pure). Spec: RFC 9110 section 5.1 (names have no case).

enum KnownField: UInt8, BitwiseCopyable {
    case other
    case contentLength
    case transferEncoding
    case connection
    case host
    case expect
    case upgrade
    case contentType
    case cookie
    case authorization
    case date
    case keepAlive
    case te
    case trailer
    case proxyConnection
    case userAgent
    case referer
    case xForwardedFor
    case server

    /// Does it concern one connection only? An application's word on these is not passed on.
    var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .te, .trailer, .transferEncoding, .upgrade: true
        case .other, .contentLength, .host, .expect, .contentType, .cookie, .authorization, .date,
            .userAgent, .referer, .xForwardedFor, .server:
            false
        }
    }

    /// Does the core itself read the value (framing, routing, persistence)? Such a value is never folded.
    var isInterpreted: Bool {
        switch self {
        case .contentLength, .transferEncoding, .connection, .host, .expect, .upgrade, .keepAlive, .te,
            .trailer, .proxyConnection, .contentType, .authorization:
            true
        case .other, .cookie, .date, .userAgent, .referer, .xForwardedFor, .server: false
        }
    }

    /// The name bytes[name] must be a token: then setting bit 5 maps only upper-case letters onto lower-case
    /// ones, and no other token character onto a letter or '-'.
    static func named(_ bytes: RawSpan, _ name: ByteRange) -> KnownField {
        let lower = name.lower
        switch name.count {
        case 2:
            return bytes.byte(lower) | 0x20 == 0x74 && bytes.byte(lower &+ 1) | 0x20 == 0x65 ? .te : .other
        case 4: return named4(low(bytes.word32(lower)))
        case 6, 7: return named6(low(bytes.word32(lower)), low(bytes.word32(name.upper &- 4)), name.count)
        case 10...17: return namedLong(bytes, name)
        default: return .other
        }
    }

    @inline(__always)
    private static func named4(_ word: UInt32) -> KnownField {
        switch word {
        case Word.of4("host"): .host
        case Word.of4("date"): .date
        default: .other
        }
    }

    @inline(__always)
    private static func named6(_ first: UInt32, _ last: UInt32, _ count: UInt32) -> KnownField {
        switch (count, first, last) {
        case (6, Word.of4("cook"), Word.of4("okie")): .cookie
        case (6, Word.of4("expe"), Word.of4("pect")): .expect
        case (6, Word.of4("serv"), Word.of4("rver")): .server
        case (7, Word.of4("upgr"), Word.of4("rade")): .upgrade
        case (7, Word.of4("refe"), Word.of4("erer")): .referer
        case (7, Word.of4("trai"), Word.of4("iler")): .trailer
        default: .other
        }
    }

    @inline(__always)
    private static func namedLong(_ bytes: RawSpan, _ name: ByteRange) -> KnownField {
        let first = low(bytes.word64(name.lower))
        let last = low(bytes.word64(name.upper &- 8))
        switch (name.count, first, last) {
        case (10, Word.of8("connecti"), Word.of8("nnection")): return .connection
        case (10, Word.of8("user-age"), Word.of8("er-agent")): return .userAgent
        case (10, Word.of8("keep-ali"), Word.of8("ep-alive")): return .keepAlive
        case (12, Word.of8("content-"), Word.of8("ent-type")): return .contentType
        case (13, Word.of8("authoriz"), Word.of8("rization")): return .authorization
        case (14, Word.of8("content-"), Word.of8("t-length")): return .contentLength
        case (15, Word.of8("x-forwar"), Word.of8("rded-for")): return .xForwardedFor
        case (16, Word.of8("proxy-co"), Word.of8("nnection")): return .proxyConnection
        case (17, Word.of8("transfer"), Word.of8("encoding")):
            return bytes.byte(name.lower &+ 8) == 0x2d ? .transferEncoding : .other
        default: return .other
        }
    }

    @inline(__always)
    private static func low(_ word: UInt32) -> UInt32 { word | 0x2020_2020 }

    @inline(__always)
    private static func low(_ word: UInt64) -> UInt64 { word | 0x2020_2020_2020_2020 }
}
