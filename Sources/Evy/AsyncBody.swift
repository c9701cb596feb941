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

/// Between the callback that brings pieces and the task that takes them. At most one piece waits: the body is
/// paused from its arrival until it is taken.
private final class BodyPipe: Sendable {
    private struct State {
        var piece: [UInt8]?
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<[UInt8]?, any Error>?
        var hasBegun = false
    }

    private let pending: PendingRequest
    private let state = Locked(State())

    init(_ pending: PendingRequest) { self.pending = pending }

    func next() async throws -> [UInt8]? {
        try begin()
        return try await withTaskCancellationHandler {
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
                // Nothing is paused any more once the body, or the request, is over.
                if case .success(.some) = answer { try? pending.request.pauseBody(false) }
                continuation.resume(with: answer)
            }
        } onCancel: {
            finish(.failure(CancellationError()))
        }
    }

    private func begin() throws(EvyError) {
        let isFirst = state.withLock { state in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
        guard isFirst else { return }
        // The request keeps the callback: a pipe that this kept would keep the request for ever.
        try pending.request.onBody { [weak self] request, event in
            guard let self else {
                // Nobody iterates any more.
                if case .piece = event { try? request.pauseBody() }
                return
            }
            switch event {
            case .piece(let bytes): take(Array(bytes), request)
            case .end: finish(.success(()))
            case .failed(let error): finish(.failure(error))
            }
        }
    }

    private func take(_ piece: [UInt8], _ request: borrowing Request) {
        let waiter = state.withLock { state in
            let waiter = state.waiter
            state.waiter = nil
            if waiter == nil { state.piece = piece }
            return waiter
        }
        if let waiter {
            waiter.resume(returning: piece)
        } else {
            try? request.pauseBody()
            // The task may have come in between, and found nothing to let flow.
            if state.withLock({ $0.piece == nil }) { try? request.pauseBody(false) }
        }
    }

    private func finish(_ end: Result<Void, any Error>) {
        let waiter = state.withLock { state in
            if state.end == nil { state.end = end }
            let waiter = state.waiter
            state.waiter = nil
            return waiter
        }
        waiter?.resume(with: end.map { nil })
    }
}
