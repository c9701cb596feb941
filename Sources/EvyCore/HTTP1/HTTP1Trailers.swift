// SPDX-License-Identifier: MIT
// HTTP1Trailers - writes trailer sections and informational heads, and cuts received trailers into pairs.
// Room: HTTP1 (pure: no sockets, no clock). Spec: RFC 9112 section 7.1.2, RFC 9110 section 6.5 and 15.2.

extension HTTP1ResponseWriter {
    /// A whole informational response; 101 is none, because it changes the protocol.
    /// On an error nothing has been appended.
    static func writeInterim(
        status: Int, fields: UnsafeRawBufferPointer, into out: inout ByteBuffer
    ) throws(ResponseError) {
        guard status >= 100, status <= 199, status != 101 else { throw .badStatus }
        guard fields.count <= fieldBytesMax else { throw .badField }
        let before = out.count
        do throws(ResponseError) {
            try unsafe writeStatusLine(status, nil, minorVersion: 1, &out)
            _ = try unsafe writeFields(fields.bytes, rule: .nothing, into: &out)
        } catch {
            out.truncate(to: before)
            throw error
        }
        out.append("\r\n")
    }

    /// Is the block one of pairs that may all stand in a trailer section?
    static func checkTrailers(_ block: UnsafeRawBufferPointer) throws(ResponseError) {
        guard block.count <= fieldBytesMax else { throw .badField }
        try unsafe walk(block.bytes) { _, _ in }
    }

    /// The last chunk and what follows it; the block must have been checked.
    static func writeLastChunk(trailers block: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        out.append("0\r\n")
        let fields = unsafe block.bytes
        // It was checked: what has become bad since then ends the section here.
        try? walk(fields) { name, value in
            write(fields, name, value, &out)
        }
        out.append("\r\n")
    }

    private static func walk(
        _ block: RawSpan, _ visit: (_ name: ByteRange, _ value: ByteRange) -> Void
    ) throws(ResponseError) {
        var index = 0
        while index < block.byteCount {
            let (name, value) = try takePair(block, &index)
            guard TrailerRules.allows(block, name) else { throw .badField }
            visit(name, value)
        }
    }
}

/// Trailer fields as they came, which HTTP1BodyReader has let through: name ":" value CR LF ...
enum HTTP1Trailers {
    /// Appends name NUL value NUL of each field that may stand in a trailer section; the others are dropped.
    static func writePairs(_ lines: RawSpan, into out: inout ByteBuffer) {
        var index = 0
        while index < lines.byteCount {
            let nameEnd = Scanner.tokenEnd(lines, index, lines.byteCount)
            var end = nameEnd
            while end < lines.byteCount, lines.byte(end) != ASCII.carriageReturn { end &+= 1 }
            let name = ByteRange(index, nameEnd)
            if nameEnd < end, TrailerRules.allows(lines, name) {
                let value = ASCII.trimmed(lines, nameEnd &+ 1, end)
                out.append(lines.extracting(name.lower..<name.upper))
                out.append(0)
                out.append(lines.extracting(value.lower..<value.upper))
                out.append(0)
            }
            index = end &+ 2
        }
    }
}
