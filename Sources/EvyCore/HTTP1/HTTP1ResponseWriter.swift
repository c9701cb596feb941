// SPDX-License-Identifier: MIT
// HTTP1ResponseWriter - turns status, fields and length into the bytes of a response head and its framing.
// Room: HTTP1 (pure: no sockets, the date is an argument). Spec: RFC 9112 section 4-7, 9; RFC 9110 section 6.

/// Framing and persistence are the library's: whatever the application says about them is checked, obeyed
/// where it may (Content-Length, Date, `Connection: close`), and otherwise dropped, so that no application
/// can desynchronise a connection or split a response.
enum HTTP1ResponseWriter {
    /// Offsets into a block of fields are 32 bits wide.
    static let fieldBytesMax = 1 << 30

    /// fields: name NUL value NUL ...; the last NUL may be absent. bodyLength: nil when not known yet.
    /// On an error nothing has been appended. A failed `out` shows in out.failed.
    static func writeHead(
        status: Int, reason: UnsafeRawBufferPointer?, fields: UnsafeRawBufferPointer, bodyLength: UInt64?,
        facts: ResponseRequestFacts, date: UnsafeRawBufferPointer, server: UnsafeRawBufferPointer?,
        memo: inout FieldsMemo, into out: inout ByteBuffer
    ) throws(ResponseError) -> ResponsePlan {
        guard status >= 100, status <= 599 else { throw .badStatus }
        guard fields.count <= fieldBytesMax else { throw .badField }
        let before = out.count
        // Each pair grows by two bytes at most, and takes two: one growth for the whole head.
        out.reserve(256 &+ 2 &* fields.count &+ (unsafe reason?.count ?? 0) &+ (unsafe server?.count ?? 0))
        do throws(ResponseError) {
            try unsafe writeStatusLine(status, reason, minorVersion: facts.maxMinorVersion, &out)
            let rule = ResponseBodyRule(status: status, isHead: facts.isHead)
            let given = try unsafe writeFields(fields, status: status, rule: rule, memo: &memo, into: &out)
            let length = try declaredLength(rule, given: given, bodyLength: bodyLength)
            if given.contentLength == nil, let length {
                out.append("Content-Length: ")
                out.append(decimal: length)
                out.append("\r\n")
            }
            if status >= 200 {
                unsafe writeOwnFields(given, date: date, server: server, into: &out)
            }
            let plan = plan(status, rule, length: length, closes: given.closes, facts)
            if plan.body == .chunked { out.append("Transfer-Encoding: chunked\r\n") }
            if status >= 200 { writeConnection(plan, facts, tellsUpgrade: given.tellsUpgrade, &out) }
            out.append("\r\n")
            return plan
        } catch {
            out.truncate(to: before)
            throw error
        }
    }

    /// A whole answer to a peer that broke the rules; the connection ends after it. Returns the length of
    /// its body, which an answer to HEAD has none of (RFC 9110 section 9.3.2).
    static func writeRefusal(
        _ error: HTTPError, status: Int, minorVersion: UInt8, toHead isToHead: Bool,
        date: UnsafeRawBufferPointer, into out: inout ByteBuffer
    ) -> Int {
        out.append(minorVersion >= 1 ? "HTTP/1.1 " : "HTTP/1.0 ")
        out.append(decimal: UInt64(status))
        out.append(ASCII.space)
        out.append(error.reason)
        out.append("\r\nContent-Type: text/plain\r\nContent-Length: ")
        out.append(decimal: UInt64(error.reason.utf8CodeUnitCount &+ 1))
        out.append("\r\nDate: ")
        unsafe out.append(date)
        out.append("\r\nConnection: close\r\n\r\n")
        if isToHead { return 0 }
        out.append(error.reason)
        out.append(ASCII.lineFeed)
        return error.reason.utf8CodeUnitCount &+ 1
    }

    /// Chunk data of `byteCount` bytes and a CR LF must follow. A count of 0 would end the body: it writes
    /// nothing.
    static func writeChunkHeader(byteCount: Int, into out: inout ByteBuffer) {
        guard byteCount > 0 else { return }
        out.append(hex: UInt64(byteCount))
        out.append("\r\n")
    }

    static func writeContinue(into out: inout ByteBuffer) {
        out.append("HTTP/1.1 100 Continue\r\n\r\n")
    }
}

// MARK: - Parts of the head

extension HTTP1ResponseWriter {
    static func writeStatusLine(
        _ status: Int, _ reason: UnsafeRawBufferPointer?, minorVersion: UInt8, _ out: inout ByteBuffer
    ) throws(ResponseError) {
        if status == 200, unsafe reason == nil {
            out.append(minorVersion >= 1 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.0 200 OK\r\n")
            return
        }
        out.append(minorVersion >= 1 ? "HTTP/1.1 " : "HTTP/1.0 ")
        out.append(decimal: UInt64(status))
        // The space stays even before an empty reason (RFC 9112 section 4).
        out.append(ASCII.space)
        if let reason = unsafe reason {
            guard unsafe isFieldValue(reason.bytes) else { throw .badReason }
            unsafe out.append(reason)
        } else {
            out.append(StatusPhrase.text(status))
        }
        out.append("\r\n")
    }

    private static func isFieldValue(_ bytes: RawSpan) -> Bool {
        Scanner.control(bytes, 0, bytes.byteCount) >= bytes.byteCount
    }

    /// The length the head tells, given by the application or added by us; nil: none.
    private static func declaredLength(
        _ rule: ResponseBodyRule, given: GivenFields, bodyLength: UInt64?
    ) throws(ResponseError) -> UInt64? {
        switch rule {
        case .nothing: return nil
        case .zeroLength: return 0
        // An empty answer to HEAD says nothing about the length of the answer to GET.
        case .lengthOnly: return try agreed(given, bodyLength == 0 ? nil : bodyLength)
        case .notModified: return given.contentLength
        case .body: return try agreed(given, bodyLength)
        }
    }

    private static func agreed(
        _ given: GivenFields, _ bodyLength: UInt64?
    ) throws(ResponseError) -> UInt64? {
        guard let length = given.contentLength else { return bodyLength }
        if let bodyLength, bodyLength != length { throw .contentLengthMismatch }
        return length
    }

    private static func plan(
        _ status: Int, _ rule: ResponseBodyRule, length: UInt64?, closes: Bool, _ facts: ResponseRequestFacts
    ) -> ResponsePlan {
        // A server that plays HTTP/1.0 goes on only with clients that asked for it by name.
        var keepAlive = facts.keepAlive && !closes && (facts.maxMinorVersion >= 1 || facts.echoesKeepAlive)
        let body: ResponsePlan.Body
        if rule != .body {
            body = .none
        } else if let length {
            body = .length(length)
        } else if facts.allowsChunked {
            body = .chunked
        } else {
            body = .untilClose
            keepAlive = false
        }
        return ResponsePlan(
            body: body, keepAlive: keepAlive, declaredLength: length.map { Int64(clamping: $0) } ?? -1)
    }

    private static func writeOwnFields(
        _ given: GivenFields, date: UnsafeRawBufferPointer, server: UnsafeRawBufferPointer?,
        into out: inout ByteBuffer
    ) {
        if !given.hasDate {
            out.append("Date: ")
            unsafe out.append(date)
            out.append("\r\n")
        }
        if !given.hasServer, let server = unsafe server {
            out.append("Server: ")
            unsafe out.append(server)
            out.append("\r\n")
        }
    }

    private static func writeConnection(
        _ plan: ResponsePlan, _ facts: ResponseRequestFacts, tellsUpgrade: Bool, _ out: inout ByteBuffer
    ) {
        // Upgrade is for the next hop alone, and has to be named (RFC 9110 section 7.8).
        if !plan.keepAlive {
            out.append(tellsUpgrade ? "Connection: upgrade, close\r\n" : "Connection: close\r\n")
        } else if facts.echoesKeepAlive {
            out.append(tellsUpgrade ? "Connection: upgrade, keep-alive\r\n" : "Connection: keep-alive\r\n")
        } else if tellsUpgrade {
            out.append("Connection: upgrade\r\n")
        }
    }
}
