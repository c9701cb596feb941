// SPDX-License-Identifier: MIT
// HTTP1TrailersTests - trailer sections and informational heads: what is written, refused and read.
@testable import EvyCore
import Testing

private func words(_ buffer: borrowing ByteBuffer) -> String {
    String(decoding: buffer.readable, as: UTF8.self)
}

private func interim(_ status: Int, _ block: String) throws(ResponseError) -> String {
    var out = ByteBuffer()
    out.append("before ")
    var failure: ResponseError?
    Array(block.utf8).withUnsafeBytes { bytes in
        do throws(ResponseError) {
            try HTTP1ResponseWriter.writeInterim(status: status, fields: bytes, into: &out)
        } catch { failure = error }
    }
    if let failure {
        #expect(words(out) == "before ")
        throw failure
    }
    return String(words(out).dropFirst(7))
}

private func trailers(_ block: String) throws(ResponseError) -> String {
    var out = ByteBuffer()
    var failure: ResponseError?
    Array(block.utf8).withUnsafeBytes { bytes in
        do throws(ResponseError) {
            try HTTP1ResponseWriter.checkTrailers(bytes)
            HTTP1ResponseWriter.writeLastChunk(trailers: bytes, into: &out)
        } catch { failure = error }
    }
    if let failure { throw failure }
    return words(out)
}

private func pairs(_ lines: String) -> String {
    var out = ByteBuffer()
    HTTP1Trailers.writePairs(Array(lines.utf8).span.bytes, into: &out)
    return words(out)
}

@Test func anInformationalHeadHasNoFieldsOfOurs() throws {
    #expect(
        try interim(103, "Link\0</a>\0Content-Length\u{0}5\0Connection\0close\0")
            == "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    #expect(try interim(100, "") == "HTTP/1.1 100 Continue\r\n\r\n")
}

@Test(arguments: [0, 99, 101, 200, -1]) func otherStatusesAreNotInformational(_ status: Int) {
    #expect(throws: ResponseError.badStatus) { try interim(status, "") }
}

@Test func aBadFieldLeavesNothingOfAnInformationalHead() {
    #expect(throws: ResponseError.badField) { try interim(103, "A\0b\r\nC: d\0") }
}

@Test func trailersFollowTheLastChunk() throws {
    #expect(try trailers("") == "0\r\n\r\n")
    #expect(
        try trailers("X-Sum\u{0}1\0Server-Timing\0db;dur=2")
            == "0\r\nX-Sum: 1\r\nServer-Timing: db;dur=2\r\n\r\n")
}

@Test(arguments: [
    "Content-Length\u{0}1", "HOST\0a", "te\0x", "A B\0c", "A", "A\0b\nc", "Set-Cookie\0a=b", "\0",
])
func whatMayNotTrailIsRefused(_ block: String) {
    #expect(throws: ResponseError.badField) { try trailers(block) }
}

@Test func receivedTrailersBecomePairs() {
    #expect(pairs("X-Sum: \t a b \r\nY:\r\n") == "X-Sum\0a b\0Y\0\0")
    #expect(pairs("Content-Length: 5\r\nX: 1\r\nAuthorization: me\r\n") == "X\u{0}1\0")
    #expect(pairs("") == "")
}

@Test func theBodyReaderShowsTrailersHoweverTheyAreCut() throws {
    let bytes = Array("1\r\na\r\n0\r\nX: 1\r\nYy: two\r\n\r\nnext".utf8)
    for cut in 0...bytes.count {
        var reader = HTTP1BodyReader(framing: .chunked, bodyBytesMax: 0)
        var found: [UInt8] = []
        var end: Int?
        for (offset, piece) in [(0, Array(bytes[..<cut])), (cut, Array(bytes[cut...]))] where end == nil {
            var index = 0
            reading: while true {
                switch try reader.read(piece.span.bytes, from: index) {
                case .data(_, _, let next): index = next
                case .trailer(let start, let count, let next):
                    found += piece[start..<start + count]
                    index = next
                case .needMore: break reading
                case .end(let next):
                    end = offset + next
                    break reading
                }
            }
        }
        #expect(String(decoding: found, as: UTF8.self) == "X: 1\r\nYy: two\r\n" && end == bytes.count - 4)
    }
}
