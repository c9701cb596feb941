// SPDX-License-Identifier: MIT
// HTTPError - everything a peer can do wrong, with the status and the reason it gets for that.
// Room: HTTP (pure). Spec: RFC 9110 section 15, RFC 9112; some reasons are the ancestors' own.

enum HTTPError: UInt8, Error, Equatable {
    // The request line.
    case malformedRequestLine
    case malformedTarget
    case encodedNUL
    case malformedVersion
    case versionNotSupported
    case connectNotImplemented
    case requestLineTooLong
    case tlsOnPlainPort
    // Lines and fields of the head.
    case bareLineFeed
    case bareCarriageReturn
    case controlByte
    case missingColon
    case spaceBeforeColon
    case malformedFieldName
    case underscoreInFieldName
    case foldedLine
    case repeatedField
    case headerLineTooLong
    case headerTooLarge
    case tooManyHeaders
    // Routing and expectations.
    case missingHost
    case repeatedHost
    case malformedHost
    case malformedForwarded
    case expectationFailed
    // Framing.
    case malformedContentLength
    case repeatedContentLength
    case malformedTransferEncoding
    case transferEncodingNotImplemented
    case transferEncodingOnHTTP10
    case contentLengthWithTransferEncoding
    // The body.
    case contentTooLarge
    case malformedChunkSize
    case malformedChunkEnd
    case malformedChunkExtension
    case chunkExtensionTooLarge
    case malformedTrailer
    case trailerTooLarge
    case bodyTruncated
    // Time.
    case headerTimeout
    case bodyTimeout

    /// What sort of fault it is, for callers that tell an embedder rather than the peer.
    enum Kind {
        case malformed
        case limit
        case timeout
    }

    var status: Int {
        switch self {
        case .versionNotSupported: 505
        case .connectNotImplemented, .transferEncodingNotImplemented: 501
        case .requestLineTooLong: 414
        case .headerLineTooLong, .headerTooLarge, .tooManyHeaders, .trailerTooLarge: 431
        case .expectationFailed: 417
        case .contentTooLarge: 413
        case .headerTimeout, .bodyTimeout: 408
        case .malformedRequestLine, .malformedTarget, .encodedNUL, .malformedVersion, .tlsOnPlainPort,
            .bareLineFeed, .bareCarriageReturn, .controlByte, .missingColon, .spaceBeforeColon,
            .malformedFieldName, .underscoreInFieldName, .foldedLine, .repeatedField, .missingHost,
            .repeatedHost, .malformedHost, .malformedForwarded, .malformedContentLength,
            .repeatedContentLength, .malformedTransferEncoding, .transferEncodingOnHTTP10,
            .contentLengthWithTransferEncoding, .malformedChunkSize, .malformedChunkEnd,
            .malformedChunkExtension, .chunkExtensionTooLarge, .malformedTrailer, .bodyTruncated:
            400
        }
    }

    var kind: Kind {
        switch status {
        case 408: .timeout
        case 413, 414, 431: .limit
        default: self == .chunkExtensionTooLarge ? .limit : .malformed
        }
    }

    /// Can this only happen once the head was accepted, so that a request and its body exist?
    var endsBody: Bool {
        switch self {
        case .malformedChunkSize, .malformedChunkEnd, .malformedChunkExtension, .chunkExtensionTooLarge,
            .malformedTrailer, .trailerTooLarge, .bodyTruncated, .bodyTimeout:
            true
        // A declared length over the limit is refused with its head, a chunked body in its midst.
        case .contentTooLarge: true
        default: false
        }
    }
}

extension HTTPError {
    /// Stands on the status line and, with a line end, is the body of the refusal.
    var reason: StaticString {
        switch self {
        case .malformedRequestLine: "Malformed Request Line"
        case .malformedTarget: "Malformed Request Target"
        case .encodedNUL: "Encoded NUL In Request Target"
        case .malformedVersion: "Malformed HTTP Version"
        case .versionNotSupported: "HTTP Version Not Supported"
        case .connectNotImplemented: "Method Not Implemented"
        case .requestLineTooLong: "Request URI Too Long"
        case .tlsOnPlainPort: "TLS On A Plain HTTP Port"
        case .bareLineFeed: "Bare LF In Header"
        case .bareCarriageReturn: "Bare CR In Header"
        case .controlByte: "Control Byte In Header"
        case .missingColon: "Header Line Without Colon"
        case .spaceBeforeColon: "Space Before Colon In Header"
        case .malformedFieldName: "Malformed Header Name"
        case .underscoreInFieldName: "Underscore In Header Name"
        case .foldedLine: "Folded Header Line"
        case .repeatedField: "Repeated Header"
        case .headerLineTooLong: "Header Line Too Long"
        case .headerTooLarge: "Headers Too Large"
        case .tooManyHeaders: "Too Many Headers"
        case .missingHost: "Host Is Missing"
        case .repeatedHost: "Repeated Host"
        case .malformedHost: "Malformed Host"
        case .malformedForwarded: "Malformed Forwarded"
        case .expectationFailed: "Expectation Failed"
        case .malformedContentLength: "Malformed Content-Length"
        case .repeatedContentLength: "Repeated Content-Length"
        case .malformedTransferEncoding: "Malformed Transfer-Encoding"
        case .transferEncodingNotImplemented: "Transfer-Encoding Not Implemented"
        case .transferEncodingOnHTTP10: "Transfer-Encoding Is Not Allowed In HTTP/1.0"
        case .contentLengthWithTransferEncoding:
            "Content-Length and Transfer-Encoding are not allowed together"
        case .contentTooLarge: "Content Too Large"
        case .malformedChunkSize: "Malformed Chunk Size"
        case .malformedChunkEnd: "Malformed Chunk End"
        case .malformedChunkExtension: "Malformed Chunk Extension"
        case .chunkExtensionTooLarge: "Chunk Extension Too Large"
        case .malformedTrailer: "Malformed Trailer"
        case .trailerTooLarge: "Trailers Too Large"
        case .bodyTruncated: "Body Truncated"
        case .headerTimeout, .bodyTimeout: "Request Timeout"
        }
    }
}
