// SPDX-License-Identifier: MIT
// Response - the answer to a request: whole, or written piece by piece with back pressure.
// Room: Evy (the Swift face). Spec: evy.h, chapter "response".
internal import CEvy

extension Request {
    /// Answers in one call; the bytes are copied.
    ///
    /// Date, Content-Length, Transfer-Encoding and Connection are the library's own; a Date, a
    /// Content-Length and a `Connection: close` given here are obeyed.
    ///
    /// Errors: `.badArgument` (status not 200...599), `.badField`, `.wrongState` (answered before), `.gone`
    /// (the client has left; hooks run all the same), `.outOfMemory`.
    public func respond(
        _ status: Status, headers: Headers = [:], body: some Payload = ""
    ) throws(EvyError) {
        let result = try body.withBytes { (bytes) throws(EvyError) in
            try start(status, headers) { code, reason, block, count in
                evy_respond(handle, code, reason, block, count, bytes.baseAddress, bytes.count)
            }
        }
        try checked(result)
    }

    /// Begins an answer that is written piece by piece.
    ///
    /// `length` nil: not known; the body is sent in chunks, or to an HTTP/1.0 client until the connection
    /// closes. A promised length is kept: too many bytes are dropped with a log line, too few cut the
    /// connection.
    ///
    /// Errors as `respond`.
    public func begin(
        _ status: Status, headers: Headers = [:], length: Int64? = nil
    ) throws(EvyError) -> ResponseWriter {
        let result = try start(status, headers) { code, reason, block, count in
            evy_resp_begin(handle, code, reason, block, count, length ?? -1)
        }
        try checked(result)
        return ResponseWriter(self)
    }

    /// Cuts the connection, so that the client sees an error. The outcome is `.aborted`.
    ///
    /// Errors: `.wrongState` (the answer is complete).
    public func abort() throws(EvyError) { try checked(evy_resp_abort(handle)) }

    func start(
        _ status: Status, _ headers: Headers,
        _ call: (Int32, UnsafePointer<CChar>?, UnsafePointer<CChar>?, Int) -> evy_status
    ) throws(EvyError) -> evy_status {
        guard !headers.holdsNUL else { throw EvyError(.badField, "a header field holds a NUL byte") }
        try refuseNUL(status.reason, "the reason of the status", .badField)
        let code = Int32(clamping: status.code)
        return headers.block.withUnsafeBytes { block in
            let start = block.baseAddress?.assumingMemoryBound(to: CChar.self)
            guard let reason = status.reason else { return call(code, nil, start, block.count) }
            return reason.withCString { call(code, $0, start, block.count) }
        }
    }
}

/// Writes a streamed answer.
///
/// Ownership: keeps the request. When it goes before `end()`, and nobody else keeps the request, the
///            connection is cut and the outcome is `.handlerError`.
/// Thread:    any; calls are serialised.
public final class ResponseWriter: Sendable {
    /// What a writer should do after a piece was taken.
    public enum Flow: Sendable {
        /// Go on.
        case ready
        /// More than `Options.writeHighWater` bytes wait: slow down.
        case full
    }

    /// The request that is answered.
    public let request: Request

    init(_ request: borrowing Request) {
        evy_req_retain(request.handle)
        self.request = Request(request.handle)
    }

    deinit { evy_req_release(request.handle) }

    /// Hands over a piece; the bytes are copied. While too many wait to be sent, it waits up to `wait` for
    /// room, and other requests go on meanwhile. Only with one thread a handler cannot wait: then, as after
    /// `wait`, the piece is taken and the result is `.full`.
    ///
    /// Errors: `.gone` (the client left: stop), `.timeout` (write_timeout has ended the connection),
    /// `.wrongState` (ended), `.outOfMemory`.
    @discardableResult
    public func write(_ piece: some Payload, wait: Duration = .forever) throws(EvyError) -> Flow {
        let result = piece.withBytes {
            evy_resp_write(request.handle, $0.baseAddress, $0.count, wait.evyMilliseconds)
        }
        return try checked(result) == evy_status(EVY_FULL) ? .full : .ready
    }

    /// Ends the answer. Errors: `.wrongState` (ended before), `.gone`.
    public func end() throws(EvyError) { try checked(evy_resp_end(request.handle, nil, 0)) }

    /// Cuts the connection, so that the client sees an error.
    public func abort() throws(EvyError) { try request.abort() }
}
