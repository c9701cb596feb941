// SPDX-License-Identifier: MIT
// Answers - further ways to answer: hints, shared bytes, files, trailers, notices, the socket itself.
// Room: Evy (the Swift face). Spec: evy.h, chapters "response, more ways" and "taking the connection over".
internal import CEvy

/// Bytes that many answers share: they are sent from where they lie, never copied.
///
/// Ownership: owns one copy of what it was made from; every answer under way keeps it.
/// Thread:    any; immutable.
public final class SharedBytes: @unchecked Sendable {
    private let room: UnsafeMutableRawBufferPointer

    public init(_ payload: some Payload) {
        room = payload.withBytes { bytes in
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            room.copyMemory(from: bytes)
            return room
        }
    }

    deinit { room.deallocate() }

    public var count: Int { room.count }

    /// Lends the bytes.
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try body(UnsafeRawBufferPointer(room))
    }
}

extension Request {
    /// An informational answer (100, 102, 103 ...) ahead of the real one; any number. Clients of HTTP/1.0 get
    /// none. `flush()` sends it while the handler goes on.
    ///
    /// Errors: `.badArgument` (status not 100, 102...199), `.badField`, `.wrongState` (the answer has begun),
    /// `.gone`, `.outOfMemory`.
    public func inform(_ status: Status, headers: Headers = [:]) throws(EvyError) {
        let result = try start(status, headers) { code, _, block, count in
            evy_inform(handle, code, block, count)
        }
        try checked(result)
    }

    /// Sends what is queued now instead of when the handler returns, waits, or has run for some milliseconds.
    ///
    /// Errors: `.wrongState` (the request is over), `.gone`.
    public func flush() throws(EvyError) { try checked(evy_resp_flush(handle)) }

    /// Answers in one call with bytes that are not copied. Errors as `respond(_:headers:body:)`.
    public func respond(
        _ status: Status, headers: Headers = [:], sharing body: SharedBytes
    ) throws(EvyError) {
        let result = try body.withBytes { (bytes) throws(EvyError) in
            try start(status, headers) { code, reason, block, count in
                evy_respond_ref(
                    handle, code, reason, block, count, bytes.baseAddress, bytes.count,
                    Box<SharedBytes>.hand(body), dropBox)
            }
        }
        try checked(result)
    }

    /// The trailer fields behind a chunked body, once its end has been read; they are never among `headers`.
    public var trailers: Headers {
        var count = 0
        guard let block = evy_body_trailers(handle, &count) else { return Headers() }
        return Headers(block: UnsafeRawBufferPointer(start: block, count: count))
    }

    /// Called once when the client leaves before the answer was ended, to stop work nobody waits for.
    ///
    /// Thread: the loop's, also while the handler runs on another one; it must not block.
    /// Errors: `.wrongState` (registered before, or answered), `.gone` (left already).
    public func onGone(
        _ notice: @escaping @Sendable (_ request: borrowing Request) -> Void
    ) throws(EvyError) {
        try checked(evy_req_on_gone(handle, callNotice, Box<Notice>.hand(notice), dropBox))
    }

    /// The connection becomes the program's: a blocking stream socket to read, write and close, for protocols
    /// evy does not speak. What the client sent behind its request comes first. With one thread do no I/O on
    /// it inside a handler.
    ///
    /// Errors: `.wrongState` (answered or begun, or the body was not read to its end), `.gone`,
    /// `.outOfMemory`.
    public func takeSocket() throws(EvyError) -> Int32 {
        var descriptor: Int32 = -1
        try checked(evy_req_take_socket(handle, &descriptor))
        return descriptor
    }
}

extension ResponseWriter {
    /// Hands over bytes that are not copied. Never waits: after `.full` see `onWritable`. Errors as `write`.
    @discardableResult
    public func write(sharing piece: SharedBytes) throws(EvyError) -> Flow {
        let result = piece.withBytes {
            evy_resp_write_ref(
                request.handle, $0.baseAddress, $0.count, Box<SharedBytes>.hand(piece), dropBox)
        }
        return try checked(result) == evy_status(EVY_FULL) ? .full : .ready
    }

    /// Hands over a part of a regular file, `length` nil: to its end. The descriptor may be closed at once,
    /// its position is neither used nor moved. Never waits.
    ///
    /// Errors: `.badArgument` (no regular file, or the part is not inside it), and those of `write`.
    @discardableResult
    public func write(file: Int32, offset: Int64 = 0, length: Int64? = nil) throws(EvyError) -> Flow {
        let result = evy_resp_file(request.handle, file, offset, length ?? -1)
        return try checked(result) == evy_status(EVY_FULL) ? .full : .ready
    }

    /// Called after each `.full`, as soon as at most `Options.writeLowWater` bytes wait; where handlers run,
    /// and never beside the request's handler.
    ///
    /// Errors: `.wrongState` (registered before, or ended), `.gone`.
    public func onWritable(
        _ notice: @escaping @Sendable (_ request: borrowing Request) -> Void
    ) throws(EvyError) {
        try checked(evy_resp_on_writable(request.handle, callNotice, Box<Notice>.hand(notice), dropBox))
    }

    /// Ends the answer with trailer fields, which go out where it is chunked. What frames, routes,
    /// authenticates or decodes a message may not stand there.
    ///
    /// Errors: `.badField` (the answer can still be ended), `.wrongState`, `.gone`.
    public func end(trailers: Headers) throws(EvyError) {
        guard !trailers.holdsNUL else { throw EvyError(.badField, "a trailer field holds a NUL byte") }
        let result = trailers.block.withUnsafeBytes { block in
            evy_resp_end(
                request.handle, block.baseAddress?.assumingMemoryBound(to: CChar.self), block.count)
        }
        try checked(result)
    }
}

private typealias Notice = @Sendable (borrowing Request) -> Void

private let callNotice: evy_handler_fn = { user, handle in
    Box<Notice>.lent(user)?.value(Request(handle))
}
