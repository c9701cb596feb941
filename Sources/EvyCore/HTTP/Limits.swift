// SPDX-License-Identifier: MIT
// Limits - names every bound a message must keep, and every laxness an embedder may switch on.
// Room: HTTP (pure). Spec: RFC 9110 section 2.3, RFC 9112 section 3 and 11.

/// All sizes are bytes on the wire, line ends included. A line is refused when it reaches its limit (as the
/// ancestors did: with 8192 a line of 8191 bytes passes), everything else when it passes it.
struct HTTPLimits: BitwiseCopyable {
    var requestLineMax = 8192
    var headerLineMax = 8192
    /// The whole head: request line, fields, blank line, and blank lines skipped before it.
    var headerBytesMax = 65536
    var headerCountMax = 100
    /// Body without framing; 0: no limit.
    var bodyBytesMax: UInt64 = 16 << 20
    /// Extensions of one chunk.
    var chunkExtensionMax = HTTPLimits.defaultChunkExtensionMax
    /// Extensions of all chunks of one body: otherwise one-byte chunks could carry endless rubbish.
    var chunkExtensionTotalMax = HTTPLimits.defaultChunkExtensionTotalMax
    var trailerBytesMax = HTTPLimits.defaultTrailerBytesMax

    static var defaultChunkExtensionMax: Int { 4096 }
    static var defaultChunkExtensionTotalMax: Int { 64 << 10 }
    static var defaultTrailerBytesMax: Int { 8192 }
    /// Offsets into a head are 32 bits wide; no option can ask for more than this.
    static var headerBytesCeiling: Int { 1 << 30 }
}

/// What strict parsing refuses and an embedder may allow. Each one has let attacks through somewhere.
struct HTTPLaxness: OptionSet, BitwiseCopyable {
    let rawValue: UInt16

    /// LF alone ends a line of the head. Chunk framing stays strict.
    static var allowBareLF: HTTPLaxness { HTTPLaxness(rawValue: 1 << 0) }
    /// A value may go on in the next line (never a value that decides framing or routing).
    static var allowObsFold: HTTPLaxness { HTTPLaxness(rawValue: 1 << 1) }
    /// HTTP/1.1 without Host.
    static var allowMissingHost: HTTPLaxness { HTTPLaxness(rawValue: 1 << 2) }
    /// Content-Length repeated, in lines or in a list, with one and the same value.
    static var lenientContentLength: HTTPLaxness { HTTPLaxness(rawValue: 1 << 3) }
    /// `%00` in the path.
    static var allowEncodedNUL: HTTPLaxness { HTTPLaxness(rawValue: 1 << 4) }
    /// A field name with `_` is refused; without this and the next one it is kept out of the environ.
    static var underscoreRefuse: HTTPLaxness { HTTPLaxness(rawValue: 1 << 5) }
    /// A field name with `_` reaches the environ. The parser does not look at this one.
    static var underscoreAllow: HTTPLaxness { HTTPLaxness(rawValue: 1 << 6) }
    /// What is expected beside 100-continue is not promised, and not refused.
    static var allowUnknownExpect: HTTPLaxness { HTTPLaxness(rawValue: 1 << 7) }
}
