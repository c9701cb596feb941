// SPDX-License-Identifier: MIT
// AsyncBody - the body of a request as an asynchronous sequence with back pressure.
// Room: Evy (the Swift face).
internal import CEvy

/// Pieces of a request's body, in the order and size in which they arrive. To be iterated once.
public struct AsyncBody: AsyncSequence, Sendable {
    public typealias Element = [UInt8]

    private let pending: PendingRequest

    init(_ pending: PendingRequest) { self.pending = pending }

    public func makeAsyncIterator() -> Iterator { Iterator(pending) }

    /// All of it, at most `limit` bytes. Errors: `.limit`, and those of the iterator.
    public func collect(upTo limit: Int) async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await piece in self {
            guard piece.count <= limit - all.count else { throw EvyError(.limit, "the body is too long") }
            all += piece
        }
        return all
    }

    public struct Iterator: AsyncIteratorProtocol {
        private let pipe: BodyPipe

        init(_ pending: PendingRequest) { pipe = BodyPipe(pending) }

        /// nil at the end of the body.
        public func next() async throws -> [UInt8]? { try await pipe.next() }
    }
}

/// Between the callback that brings pieces and the task that takes them. The body is paused from the arrival
/// of a piece that nobody waits for until it is taken.
private final class BodyPipe: Sendable {
    private let pending: PendingRequest
    private let pieces = PieceQueue()
    private let hasBegun = Locked(false)

    init(_ pending: PendingRequest) { self.pending = pending }

    func next() async throws -> [UInt8]? {
        try begin()
        // Nothing is paused any more once the body, or the request, is over.
        return try await pieces.next { try? pending.request.pauseBody(false) }
    }

    private func begin() throws(EvyError) {
        let isFirst = hasBegun.withLock { hasBegun in
            defer { hasBegun = true }
            return !hasBegun
        }
        guard isFirst else { return }
        do throws(EvyError) { try listen() } catch {
            // Whoever asks again hears the same.
            pieces.end(.failure(error))
            throw error
        }
    }

    private func listen() throws(EvyError) {
        // An answer may come ahead of the body's end: then there is no further call of the other one.
        try pending.request.onComplete { [weak self] request, _ in
            let isGone = request.isGone
            let error = EvyError(
                isGone ? .gone : .wrongState, "the \(isGone ? "client has gone" : "request is over")")
            self?.pieces.end(.failure(error))
        }
        // The request keeps the callback: a pipe that this kept would keep the request for ever. Nor does it
        // keep the request itself: one whose task has ended without an answer is answered by the library.
        try pending.request.onBody(keeping: nil) { [weak self] request, event in
            guard let self else {
                // Nobody iterates any more.
                if case .piece = event { try? request.pauseBody() }
                return
            }
            switch event {
            case .piece(let bytes): take(Array(bytes), request)
            case .end: pieces.end(.success(()))
            case .failed(let error): pieces.end(.failure(error))
            }
        }
    }

    private func take(_ piece: [UInt8], _ request: borrowing Request) {
        if pieces.put(piece) { return }
        try? request.pauseBody()
        // The task may have come in between, and found nothing to let flow.
        if pieces.isEmpty { try? request.pauseBody(false) }
    }
}

/// The pieces that nobody has taken yet, their end, and the task that waits for more.
///
/// Thread: any. It knows of no request, so that each order of events can be tested.
final class PieceQueue: Sendable {
    private struct State {
        var piece: [UInt8]?
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<[UInt8]?, any Error>?
    }

    private let state = Locked(State())

    var isEmpty: Bool { state.withLock { $0.piece == nil } }

    /// True: a task was waiting for it. Else the piece is kept, and no more should come.
    func put(_ piece: [UInt8]) -> Bool {
        let waiter = state.withLock { state in
            let waiter = state.waiter
            state.waiter = nil
            // One may be here already: a task that was slow to let the body flow has let this one in.
            if waiter == nil { state.piece = state.piece.map { $0 + piece } ?? piece }
            return waiter
        }
        waiter?.resume(returning: piece)
        return waiter != nil
    }

    /// Nothing comes any more. The first end counts.
    func end(_ end: Result<Void, any Error>) {
        let waiter = state.withLock { state in
            if state.end == nil { state.end = end }
            let waiter = state.waiter
            state.waiter = nil
            return waiter
        }
        waiter?.resume(with: end.map { nil })
    }

    /// nil at the end. `makeRoom`: called where a piece that was kept is taken.
    func next(_ makeRoom: () -> Void) async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer = state.withLock { state -> Result<[UInt8]?, any Error>? in
                    if let piece = state.piece {
                        state.piece = nil
                        return .success(piece)
                    }
                    if let end = state.end { return end.map { nil } }
                    state.waiter = continuation
                    return nil
                }
                guard let answer else { return }
                if case .success(.some) = answer { makeRoom() }
                continuation.resume(with: answer)
            }
        } onCancel: {
            end(.failure(CancellationError()))
        }
    }
}
