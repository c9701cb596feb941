// SPDX-License-Identifier: MIT
// AsyncServer - a server whose handlers are tasks: they suspend instead of blocking a thread.
// Room: Evy (the Swift face).
internal import CEvy
internal import Glibc

extension Server {
    /// Answers one request in a task of its own.
    ///
    /// The task is cancelled when the client has gone, or the request is over for another reason. A closure
    /// `onCancel` of `withTaskCancellationHandler` runs on the loop's thread then, and must not block. The
    /// library's notice of a client that leaves is in use for that: `Request.onGone` throws `.wrongState`.
    ///
    /// A handler that throws, or returns without an answer, is answered 500 by the library, and the outcome
    /// is `.handlerError`. What it threw goes to the server's own log, `Options.onLog` or option error_log,
    /// unless it only says that the client has gone.
    public typealias AsyncHandler = @Sendable (_ request: AsyncRequest) async throws -> Void

    /// Opens the listeners, as `init(on:options:handler:)`; each request gets a task.
    ///
    /// With `Options.body` at `.stream` the task begins when the head is there, and reads the body while it
    /// comes.
    public convenience init(
        taskPerRequestOn listeners: Listener..., options: Options = Options(), handler: @escaping AsyncHandler
    ) throws(EvyError) {
        try self.init(on: listeners, options: options) { request in AsyncRequest.begin(request, handler) }
    }

    /// Starts, and returns when the server has stopped. A cancelled task stops it: requests get `grace` to
    /// finish, and their answers still go out.
    ///
    /// Errors: `.wrongState` (started before), `.outOfMemory` (no thread).
    public func serve(grace: Duration = .seconds(10)) async throws(EvyError) {
        try start()
        let isWaiting = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waiter = Waiter(server: self, continuation: continuation)
                if !waiter.start() { continuation.resume(returning: false) }
            }
        } onCancel: {
            stop(grace: grace)
        }
        guard isWaiting else {
            stop()
            throw EvyError(.outOfMemory, "no thread to wait on")
        }
    }
}

/// Waits on a thread of its own: evy_server_wait blocks, and a task must not.
private final class Waiter: Sendable {
    private let server: Server
    private let continuation: CheckedContinuation<Bool, Never>

    init(server: Server, continuation: CheckedContinuation<Bool, Never>) {
        self.server = server
        self.continuation = continuation
    }

    /// False: no thread could be made.
    func start() -> Bool {
        var thread = pthread_t()
        let reference = Unmanaged.passRetained(self)
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Waiter>.fromOpaque(argument).takeRetainedValue().wait()
                return nil
            }, reference.toOpaque())
        guard result == 0 else {
            reference.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private func wait() {
        try? server.wait()
        continuation.resume(returning: true)
    }
}

/// A request and its answer, for a task.
///
/// Ownership: keeps the request. Thread: any; calls are serialised.
public final class AsyncRequest: Sendable {
    private struct Progress {
        var task: Task<Void, Never>?
        var isOver = false
    }

    private let pending: PendingRequest
    private let progress = Locked(Progress())
    /// Opened when the answer's queue has run low, and for good when nobody will read it any more.
    private let room = Gate()

    private init(_ request: borrowing Request) { pending = request.retain() }

    /// Head, environ, body and everything else that does not wait.
    public var request: Request { _read { yield pending.request } }

    static func begin(_ request: borrowing Request, _ handler: @escaping Server.AsyncHandler) {
        let own = AsyncRequest(request)
        // A hook for every end; the notice comes earlier, while the task still holds the request. The handler
        // may have ended, and left its writer to another task, which waits for room.
        try? request.onComplete { [weak own, room = own.room] _, _ in
            own?.end()
            room.openForGood()
        }
        do throws(EvyError) {
            try request.onGone { [weak own, room = own.room] _ in
                own?.end()
                room.openForGood()
            }
        } catch {
            own.end()
        }
        let task = Task {
            do {
                try await handler(own)
            } catch let error as EvyError where error.code == .gone {
                // The client left; its outcome and the access line say so.
            } catch is CancellationError where own.request.isGone {
                // The same.
            } catch {
                own.request.logFailure(error)
            }
        }
        let isOver = own.progress.withLock { progress in
            progress.task = task
            return progress.isOver
        }
        if isOver { task.cancel() }
    }

    private func end() {
        let task = progress.withLock { progress in
            progress.isOver = true
            return progress.task
        }
        task?.cancel()
        room.openForGood()
    }

    // MARK: The answer

    /// Answers in one call, as `Request.respond`.
    public func respond(
        _ status: Status, headers: Headers = [:], body: some Payload = ""
    ) throws(EvyError) {
        try pending.request.respond(status, headers: headers, body: body)
    }

    /// Begins an answer that is written piece by piece, as `Request.begin`. Errors as there.
    public func begin(
        _ status: Status, headers: Headers = [:], length: Int64? = nil
    ) throws(EvyError) -> AsyncResponseWriter {
        let writer = try pending.request.begin(status, headers: headers, length: length)
        try writer.onWritable { [room] _ in room.open() }
        return AsyncResponseWriter(writer, room)
    }

    // MARK: The body

    /// The body in the pieces in which it arrives; a slow task makes the client wait. To be iterated once.
    ///
    /// Its iterator throws `EvyError`: `.gone`, `.timeout`, `.limit`, `.brokenProtocol`, `.wrongState` (read
    /// before), or a `CancellationError`.
    public var body: AsyncBody { AsyncBody(pending) }
}

/// Writes a streamed answer; suspends while too many bytes wait to be sent.
///
/// Ownership: keeps the request, as `ResponseWriter` does. For one task at a time.
public final class AsyncResponseWriter: Sendable {
    private let writer: ResponseWriter
    private let room: Gate

    init(_ writer: ResponseWriter, _ room: Gate) {
        self.writer = writer
        self.room = room
    }

    /// Hands over a piece, copied; above `Options.writeHighWater` it returns when no more than
    /// `Options.writeLowWater` bytes wait, or the client has gone.
    /// Errors: `.gone`, `.timeout`, `.wrongState` (ended), `.outOfMemory`.
    public func write(_ piece: some Payload) async throws(EvyError) {
        room.close()
        if try writer.write(piece, wait: .zero) == .full { await room.pass() }
    }

    /// The same without a copy.
    public func write(sharing piece: SharedBytes) async throws(EvyError) {
        room.close()
        if try writer.write(sharing: piece) == .full { await room.pass() }
    }

    /// Ends the answer. Errors: `.wrongState` (ended before), `.gone`.
    public func end() throws(EvyError) { try writer.end() }

    /// Ends it with trailer fields, as `ResponseWriter.end(trailers:)`.
    public func end(trailers: Headers) throws(EvyError) { try writer.end(trailers: trailers) }

    /// Cuts the connection, so that the client sees an error.
    public func abort() throws(EvyError) { try writer.abort() }
}

/// What one task waits at and callbacks open. An opening ahead of the wait counts.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var isOpenForGood = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Locked(State())

    func close() { state.withLock { $0.isOpen = false } }

    func open() { open(forGood: false) }

    func openForGood() { open(forGood: true) }

    private func open(forGood: Bool) {
        let waiter = state.withLock { state in
            state.isOpen = true
            if forGood { state.isOpenForGood = true }
            let waiter = state.waiter
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.isOpen || state.isOpenForGood { return true }
                state.waiter = continuation
                return false
            }
            if isOpen { continuation.resume() }
        }
    }
}
