// SPDX-License-Identifier: MIT
// RequestBody - the body of a request: whole, pulled or pushed.
// Room: Evy (the Swift face). Spec: evy.h, chapter "request body".
internal import CEvy

/// What comes to a closure of `Request.onBody`.
public enum BodyEvent {
    /// Bytes, valid during the call.
    case piece(UnsafeRawBufferPointer)
    /// The body is complete.
    case end
    /// It never will be: `.gone`, `.timeout`, `.limit` or `.brokenProtocol`.
    case failed(EvyError)
}

extension Request {
    /// The declared length of the body in bytes; 0: no body; nil: not known before its end.
    public var contentLength: Int64? {
        let length = evy_body_length(handle)
        return length < 0 ? nil : length
    }

    /// The whole body, with the default `Options.body`, `.buffer`; empty with `.stream`.
    public var body: [UInt8] { withBody { Array($0) } }

    /// Lends the whole body without copying it.
    public func withBody<Value, Failure: Error>(
        _ use: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        var count = 0
        let start = evy_body_buffer(handle, &count)
        return try use(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    }

    /// The next piece of the body, at most `limit` bytes; nil at its end. Waits for the first byte.
    ///
    /// A client that asked for it gets `100 Continue` at the first read. While a handler waits, other
    /// requests go on; only with one thread, and inside `onBody`, nothing can wait: `.again`.
    ///
    /// Errors: `.timeout` (`wait` or the body's deadline), `.again` (`wait` was zero), `.gone`, `.limit`,
    /// `.brokenProtocol`, `.wrongState` (`onBody` is in use).
    public func read(upTo limit: Int = 65536, wait: Duration = .forever) throws(EvyError) -> [UInt8]? {
        var failure: EvyError?
        let piece = [UInt8](unsafeUninitializedCapacity: max(limit, 1)) { room, count in
            do throws(EvyError) {
                count = try read(into: UnsafeMutableRawBufferPointer(room), wait: wait)
            } catch {
                failure = error
                count = 0
            }
        }
        if let failure { throw failure }
        return piece.isEmpty ? nil : piece
    }

    /// The same into memory of the program: the number of bytes, 0 at the end of the body.
    public func read(into room: UnsafeMutableRawBufferPointer, wait: Duration = .forever) throws(EvyError)
        -> Int
    {
        let count = evy_body_read(handle, room.baseAddress, room.count, wait.evyMilliseconds)
        guard count >= 0 else { throw EvyError(status: evy_status(truncatingIfNeeded: count)) }
        return Int(count)
    }

    /// Hands over each piece of the body as it arrives, then its end or failure, which is the last call.
    ///
    /// The request stays alive until then, so it can be answered in that last call, or before.
    /// Thread: where handlers run, one call at a time.
    /// Errors: `.wrongState` (registered before, or reading has begun), `.outOfMemory`.
    public func onBody(
        _ next: @escaping @Sendable (_ request: borrowing Request, _ event: BodyEvent) -> Void
    ) throws(EvyError) {
        try onBody(keeping: retain(), next)
    }

    /// `hold` is let go with the body or the request; nil: whoever else keeps the request has to.
    func onBody(
        keeping hold: PendingRequest?,
        _ next: @escaping @Sendable (_ request: borrowing Request, _ event: BodyEvent) -> Void
    ) throws(EvyError) {
        let listener = BodyListener(next, hold)
        do throws(EvyError) {
            // The body may never reach its end, for example when the answer comes first: then the hook
            // lets go.
            if hold != nil { try onComplete { _, _ in listener.letGo() } }
            try checked(
                evy_body_on_data(
                    handle,
                    { user, handle, data, count, status in
                        let bytes = UnsafeRawBufferPointer(start: data, count: count)
                        Box<BodyListener>.lent(user)?.value.hear(Request(handle), bytes, status)
                    }, Box.hand(listener), dropBox))
        } catch {
            listener.letGo()
            throw error
        }
    }

    /// The same with a state of its own, as in `reduce(into:)`.
    ///
    /// ```swift
    /// try request.onBody(into: 0) { total, request, event in
    ///     switch event {
    ///     case .piece(let bytes): total += bytes.count
    ///     case .end: try? request.respond(.ok, body: "\(total) bytes\n")
    ///     case .failed: break
    ///     }
    /// }
    /// ```
    public func onBody<State: Sendable>(
        into state: State,
        _ next:
            @escaping @Sendable (_ state: inout State, _ request: borrowing Request, _ event: BodyEvent) ->
            Void
    ) throws(EvyError) {
        let kept = Kept(state)
        try onBody { request, event in next(&kept.state, request, event) }
    }

    /// Stops the pieces of `onBody`, and soon the client; `false` lets them flow again.
    public func pauseBody(_ isPaused: Bool = true) throws(EvyError) {
        try checked(evy_body_pause(handle, isPaused ? 1 : 0))
    }
}

/// Thread: one call of `onBody` at a time is the library's promise; nobody else has a reference.
private final class Kept<State>: @unchecked Sendable {
    var state: State

    init(_ state: State) { self.state = state }
}

/// Keeps the request, where it is to, until its body, or the request itself, is over.
private final class BodyListener: Sendable {
    private let next: @Sendable (borrowing Request, BodyEvent) -> Void
    private let hold: Locked<PendingRequest?>

    init(_ next: @escaping @Sendable (borrowing Request, BodyEvent) -> Void, _ hold: PendingRequest?) {
        self.next = next
        self.hold = Locked(hold)
    }

    func hear(_ request: borrowing Request, _ bytes: UnsafeRawBufferPointer, _ status: evy_status) {
        if !bytes.isEmpty {
            next(request, .piece(bytes))
            return
        }
        next(request, status < 0 ? .failed(EvyError(status: status)) : .end)
        letGo()
    }

    func letGo() {
        // Released outside the lock: it may be the last reference.
        let released = hold.withLock { hold in
            let held = hold
            hold = nil
            return held
        }
        _ = released
    }
}
