// SPDX-License-Identifier: MIT
// HTTP1BodyReader - finds the body's own bytes among what follows a head: by length, or out of chunks.
// Room: HTTP1 (pure: no sockets, no clock). Spec: RFC 9112 section 6-7. Cases: Tests/Conformance/http1.

/// Every transition of one request body lives in this file. The reader keeps no bytes: it says where in the
/// caller's bytes the body is, and takes them cut in any way.
///
/// Chunk framing has no lax mode: each wrong size, extension or line end that one side forgives is a place
/// where two sides part (RFC 9112 section 7.1, 11.2).
struct HTTP1BodyReader: BitwiseCopyable {
    enum Event: Equatable, BitwiseCopyable {
        /// Body bytes at bytes[start..<start+count]; go on at `next`.
        case data(start: Int, count: Int, next: Int)
        /// Checked bytes of trailer lines (name, colon, value, CR LF) at bytes[start..<start+count].
        case trailer(start: Int, count: Int, next: Int)
        /// All of it was taken, up to `next`.
        case needMore(next: Int)
        /// The body ended before `next`; what is there belongs to the next request.
        case end(next: Int)
    }

    private enum State: UInt8, BitwiseCopyable {
        case fixedLength
        case chunkSize
        case chunkSizeBlank
        case chunkExtension
        case chunkSizeLineFeed
        case chunkData
        case chunkDataReturn
        case chunkDataLineFeed
        case trailerStart
        case trailerName
        case trailerValue
        case trailerLineFeed
        case lastLineFeed
        case ended
        case failed
    }

    /// Where in an extension the reader is: BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ].
    private enum ExtensionPart: UInt8, BitwiseCopyable {
        case beforeName
        case name
        case behindName
        case beforeValue
        case value
        case quoted
        case escaped
        case quoteEnd
        case behindValue
    }

    private var state: State
    private var extensionPart: ExtensionPart = .beforeName
    private var failure: HTTPError = .malformedChunkSize
    private var sizeDigits: UInt8 = 0
    private var extensionBytes: UInt32 = 0
    private var extensionBytesTotal: UInt32 = 0
    private var trailerBytes: UInt32 = 0
    private let extensionMax: UInt32
    private let extensionTotalMax: UInt32
    private let trailerMax: UInt32
    /// Of the length, or of the chunk at hand.
    private var remaining: UInt64 = 0
    private let bodyBytesMax: UInt64
    /// Body bytes so far, without framing.
    private(set) var received: UInt64 = 0

    private static let sizeDigitsMax: UInt8 = 16

    /// bodyBytesMax 0: no limit.
    init(framing: BodyFraming, bodyBytesMax: UInt64) {
        var limits = HTTPLimits()
        limits.bodyBytesMax = bodyBytesMax
        self.init(framing: framing, limits: limits)
    }

    init(framing: BodyFraming, limits: HTTPLimits) {
        bodyBytesMax = limits.bodyBytesMax > 0 ? limits.bodyBytesMax : UInt64(Int64.max)
        extensionMax = UInt32(clamping: limits.chunkExtensionMax)
        extensionTotalMax = UInt32(clamping: limits.chunkExtensionTotalMax)
        trailerMax = UInt32(clamping: limits.trailerBytesMax)
        switch framing {
        case .none: state = .ended
        case .chunked: state = .chunkSize
        case .length(let length):
            remaining = length
            state = length > 0 ? .fixedLength : .ended
            if length > bodyBytesMax {
                state = .failed
                failure = .contentTooLarge
            }
        }
    }

    /// True as soon as the last byte was read, before `read` says so.
    var isEnded: Bool { state == .ended }

    /// Call again with `next` until it says needMore or end; after an error it throws the same one again.
    mutating func read(_ bytes: RawSpan, from: Int) throws(HTTPError) -> Event {
        var index = min(max(from, 0), bytes.byteCount)
        while true {
            switch state {
            case .ended: return .end(next: index)
            case .failed: throw failure
            case .fixedLength, .chunkData:
                guard index < bytes.byteCount else { return .needMore(next: index) }
                return takeData(index, bytes.byteCount)
            case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed:
                guard index < bytes.byteCount else { return .needMore(next: index) }
                let start = index
                while isInTrailer, index < bytes.byteCount {
                    try takeByte(bytes.byte(index))
                    index &+= 1
                }
                // The CR of the empty line is none of theirs.
                let end = state == .lastLineFeed ? index &- 1 : index
                if end > start { return .trailer(start: start, count: end &- start, next: index) }
            case .chunkSize, .chunkSizeBlank, .chunkExtension, .chunkSizeLineFeed, .chunkDataReturn,
                .chunkDataLineFeed, .lastLineFeed:
                guard index < bytes.byteCount else { return .needMore(next: index) }
                try takeByte(bytes.byte(index))
                index &+= 1
            }
        }
    }

    private var isInTrailer: Bool {
        switch state {
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed: true
        case .fixedLength, .chunkSize, .chunkSizeBlank, .chunkExtension, .chunkSizeLineFeed, .chunkData,
            .chunkDataReturn, .chunkDataLineFeed, .lastLineFeed, .ended, .failed:
            false
        }
    }

    private mutating func takeByte(_ byte: UInt8) throws(HTTPError) {
        do throws(HTTPError) {
            try takeFraming(byte)
        } catch {
            state = .failed
            failure = error
            throw error
        }
    }

    private mutating func takeData(_ index: Int, _ upper: Int) -> Event {
        let here = UInt64(upper &- index)
        let taken = min(here, remaining)
        remaining &-= taken
        received &+= taken
        if remaining == 0 { state = state == .chunkData ? .chunkDataReturn : .ended }
        // taken <= here, which came from an Int.
        let count = Int(truncatingIfNeeded: taken)
        return .data(start: index, count: count, next: index &+ count)
    }
}

// MARK: - Chunk framing, byte by byte

extension HTTP1BodyReader {
    private mutating func takeFraming(_ byte: UInt8) throws(HTTPError) {
        switch state {
        case .chunkSize: try takeSize(byte)
        case .chunkSizeBlank: try takeBlank(byte)
        case .chunkExtension: try takeExtension(byte)
        case .chunkSizeLineFeed:
            guard byte == ASCII.lineFeed else { throw .malformedChunkSize }
            try beginChunk()
        case .chunkDataReturn:
            guard byte == ASCII.carriageReturn else { throw .malformedChunkEnd }
            state = .chunkDataLineFeed
        case .chunkDataLineFeed:
            guard byte == ASCII.lineFeed else { throw .malformedChunkEnd }
            state = .chunkSize
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed, .lastLineFeed:
            try takeTrailer(byte)
        case .fixedLength, .chunkData, .ended, .failed: break
        }
    }

    /// 1*HEXDIG, at most sixteen of them, up to ";" or CR: no sign, no "0x", no blank but before ";".
    private mutating func takeSize(_ byte: UInt8) throws(HTTPError) {
        let digit = ASCII.hexValue(byte)
        if digit != 0xff {
            guard sizeDigits < Self.sizeDigitsMax else { throw .malformedChunkSize }
            sizeDigits &+= 1
            // Sixteen digits fit into 64 bits, so nothing is shifted out.
            remaining = remaining << 4 | UInt64(digit)
            return
        }
        guard sizeDigits > 0 else { throw .malformedChunkSize }
        if byte == ASCII.carriageReturn {
            state = .chunkSizeLineFeed
        } else if byte == 0x3b {
            state = .chunkExtension
            try countExtension()
        } else if ASCII.isBlank(byte) {
            state = .chunkSizeBlank
            try countExtension()
        } else {
            throw .malformedChunkSize
        }
    }

    /// Blanks may stand before the ";" of an extension (BWS, which a recipient must read past: RFC 9110
    /// section 5.6.3), and nowhere else: "3 " with a line end behind it is no size.
    private mutating func takeBlank(_ byte: UInt8) throws(HTTPError) {
        if byte == 0x3b {
            state = .chunkExtension
        } else if !ASCII.isBlank(byte) {
            throw .malformedChunkSize
        }
        try countExtension()
    }

    /// Extensions are read past, but bounded, and a line end in them is CR LF or nothing.
    /// They keep to their grammar: where a quoted value ends is nothing to have two opinions about.
    private mutating func takeExtension(_ byte: UInt8) throws(HTTPError) {
        if byte == ASCII.carriageReturn {
            switch extensionPart {
            case .name, .value, .quoteEnd: state = .chunkSizeLineFeed
            case .beforeName, .behindName, .beforeValue, .quoted, .escaped, .behindValue:
                throw .malformedChunkExtension
            }
            return
        }
        guard let next = Self.partBehind(extensionPart, byte) else { throw .malformedChunkExtension }
        extensionPart = next
        try countExtension()
    }

    /// The part that `byte` leads to; nil: it may not stand here.
    private static func partBehind(_ part: ExtensionPart, _ byte: UInt8) -> ExtensionPart? {
        let isBlank = ASCII.isBlank(byte)
        switch part {
        case .beforeName: return isBlank ? .beforeName : ASCII.isTokenChar(byte) ? .name : nil
        case .beforeValue:
            return isBlank ? .beforeValue : byte == 0x22 ? .quoted : ASCII.isTokenChar(byte) ? .value : nil
        case .quoted:
            if byte == 0x22 { return .quoteEnd }
            if byte == 0x5c { return .escaped }
            return ASCII.isFieldValueByte(byte) ? .quoted : nil
        case .escaped: return ASCII.isFieldValueByte(byte) ? .quoted : nil
        case .name, .behindName:
            if byte == 0x3b { return .beforeName }
            if byte == 0x3d { return .beforeValue }
            if isBlank { return .behindName }
            return part == .name && ASCII.isTokenChar(byte) ? .name : nil
        case .value, .quoteEnd, .behindValue:
            if byte == 0x3b { return .beforeName }
            if isBlank { return .behindValue }
            return part == .value && ASCII.isTokenChar(byte) ? .value : nil
        }
    }

    private mutating func countExtension() throws(HTTPError) {
        guard extensionBytes < extensionMax, extensionBytesTotal < extensionTotalMax else {
            throw .chunkExtensionTooLarge
        }
        extensionBytes &+= 1
        extensionBytesTotal &+= 1
    }

    private mutating func beginChunk() throws(HTTPError) {
        sizeDigits = 0
        extensionPart = .beforeName
        extensionBytes = 0
        if remaining == 0 {
            state = .trailerStart
            return
        }
        let (total, overflow) = received.addingReportingOverflow(remaining)
        guard !overflow, total <= bodyBytesMax else { throw .contentTooLarge }
        state = .chunkData
    }

    /// Trailer fields are checked like fields, bounded, and kept apart: nothing may turn into a header of the
    /// request after the application has decided by the headers it was shown (RFC 9110 section 6.5.1).
    private mutating func takeTrailer(_ byte: UInt8) throws(HTTPError) {
        switch state {
        case .trailerStart where byte == ASCII.carriageReturn:
            state = .lastLineFeed
            return
        case .lastLineFeed:
            guard byte == ASCII.lineFeed else { throw .malformedTrailer }
            state = .ended
            return
        case .trailerStart:
            guard ASCII.isTokenChar(byte) else { throw .malformedTrailer }
            state = .trailerName
        case .trailerName:
            if byte == ASCII.colon {
                state = .trailerValue
            } else if !ASCII.isTokenChar(byte) {
                throw .malformedTrailer
            }
        case .trailerValue:
            if byte == ASCII.carriageReturn {
                state = .trailerLineFeed
            } else if !ASCII.isFieldValueByte(byte) {
                throw .malformedTrailer
            }
        case .trailerLineFeed:
            guard byte == ASCII.lineFeed else { throw .malformedTrailer }
            state = .trailerStart
        case .fixedLength, .chunkSize, .chunkSizeBlank, .chunkExtension, .chunkSizeLineFeed, .chunkData,
            .chunkDataReturn, .chunkDataLineFeed, .ended, .failed:
            return
        }
        guard trailerBytes < trailerMax else { throw .trailerTooLarge }
        trailerBytes &+= 1
    }
}
