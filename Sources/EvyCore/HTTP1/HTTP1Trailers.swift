// SPDX-License-Identifier: MIT
// HTTP1Trailers - writes trailer sections and informational heads, and cuts received trailers into pairs.
// Room: HTTP1 (pure: no sockets, no clock). Spec: RFC 9112 section 7.1.2, RFC 9110 section 6.5 and 15.2.

extension HTTP1ResponseWriter {
    /// Offsets into a block of fields are 32 bits wide.
    private static var blockMax: Int { 1 << 30 }

    /// A whole informational response; 101 is none, because it changes the protocol.
    /// On an error nothing has been appended.
    static func writeInterim(
        status: Int, fields: UnsafeRawBufferPointer, into out: inout ByteBuffer
    ) throws(ResponseError) {
        guard status >= 100, status <= 199, status != 101 else { throw .badStatus }
        guard fields.count <= blockMax else { throw .badField }
        let before = out.count
        out.append("HTTP/1.1 ")
        out.append(decimal: UInt64(status))
        out.append(ASCII.space)
        out.append(StatusPhrase.text(status))
        out.append("\r\n")
        do throws(ResponseError) {
            _ = try unsafe writeFields(fields.bytes, rule: .nothing, into: &out)
        } catch {
            out.truncate(to: before)
            throw error
        }
        out.append("\r\n")
    }

    /// Is the block one of pairs that may all stand in a trailer section?
    static func checkTrailers(_ block: UnsafeRawBufferPointer) throws(ResponseError) {
        guard block.count <= blockMax else { throw .badField }
        try unsafe walk(block.bytes) { _, _ in }
    }

    /// The last chunk and what follows it; the block must have been checked.
    static func writeLastChunk(trailers block: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        out.append("0\r\n")
        let fields = unsafe block.bytes
        // It was checked: what has become bad since then ends the section here.
        try? walk(fields) { name, value in
            out.append(fields.extracting(name.lower..<name.upper))
            out.append(": ")
            out.append(fields.extracting(value.lower..<value.upper))
            out.append("\r\n")
        }
        out.append("\r\n")
    }

    /// block: name NUL value NUL ...; the last NUL may be absent.
    private static func walk(
        _ block: RawSpan, _ visit: (_ name: ByteRange, _ value: ByteRange) -> Void
    ) throws(ResponseError) {
        var index = 0
        while index < block.byteCount {
            let nameEnd = Scanner.tokenEnd(block, index, block.byteCount)
            guard nameEnd > index, nameEnd < block.byteCount, block.byte(nameEnd) == 0 else {
                throw .badField
            }
            let name = ByteRange(index, nameEnd)
            guard TrailerRules.allows(block, name) else { throw .badField }
            let valueEnd = Scanner.control(block, nameEnd &+ 1, block.byteCount)
            guard valueEnd >= block.byteCount || block.byte(valueEnd) == 0 else { throw .badField }
            visit(name, ByteRange(nameEnd &+ 1, valueEnd))
            index = valueEnd &+ 1
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
