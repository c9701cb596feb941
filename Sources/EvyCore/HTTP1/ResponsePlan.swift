// SPDX-License-Identifier: MIT
// ResponsePlan - what a response must know of its request, and how its body will go over the wire.
// Room: HTTP1 (pure). Spec: RFC 9112 section 6.3, 9.3; RFC 9110 section 6.4, 8.6, 15.

struct ResponseRequestFacts: BitwiseCopyable {
    /// Of the request.
    var minorVersion: UInt8
    var isHead: Bool
    /// The client wants to go on and the server allows it.
    var keepAlive: Bool
    /// The client sent `Connection: keep-alive`, and so is told.
    var echoesKeepAlive: Bool
    /// On the status line: 1, or 0 for a server that plays HTTP/1.0.
    var maxMinorVersion: UInt8

    /// May the body be chunked? Both sides must speak HTTP/1.1.
    var allowsChunked: Bool { minorVersion >= 1 && maxMinorVersion >= 1 }
}

struct ResponsePlan: Equatable, BitwiseCopyable {
    enum Body: Equatable, BitwiseCopyable {
        /// No body goes over the wire, whatever the application produces.
        case none
        /// Exactly this many bytes.
        case length(UInt64)
        /// Chunks, and the last chunk at the end.
        case chunked
        /// Bytes until the connection is closed.
        case untilClose
    }

    var body: Body
    /// The connection goes on after this response.
    var keepAlive: Bool
    /// Content-Length in the head; -1: none.
    var declaredLength: Int64
}

/// The application's fault; nothing was written.
enum ResponseError: Error, Equatable {
    /// A status outside 100...599.
    case badStatus
    /// A control byte in the reason.
    case badReason
    /// A field name that is no token, a control byte in a value, or a block that does not hold pairs.
    case badField
    /// A Content-Length that is no number, or comes twice.
    case badContentLength
    /// A Content-Length other than the length of the body.
    case contentLengthMismatch
}

/// What a status and a method say about the body, whatever the application says.
enum ResponseBodyRule: BitwiseCopyable {
    case body
    /// HEAD: the head tells the length, no byte follows.
    case lengthOnly
    /// 304: the head tells the length if the application does, no byte follows.
    case notModified
    /// 1xx and 204: the head must not tell a length either.
    case nothing
    /// 205: no content, and the head must say so.
    case zeroLength

    init(status: Int, isHead: Bool) {
        switch status {
        case 100..<200, 204: self = .nothing
        case 304: self = .notModified
        case 205: self = .zeroLength
        default: self = isHead ? .lengthOnly : .body
        }
    }
}
