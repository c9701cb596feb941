// SPDX-License-Identifier: MIT
// PullQueue - requests that wait for threads of the host to take them, for hosts that want no callbacks.
// Room: Server. Thread: any.

internal import Synchronization

/// Ownership: of its server. Each entry holds a reference to its request, which goes over to who takes it.
final class PullQueue: @unchecked Sendable {
    enum Kind: Int32 { case request = 1, done = 2 }

    enum Taken {
        case event(Kind, ExchangeRef)
        case nothing
        case ended
    }

    private struct Entry {
        let kind: Kind
        let exchange: ExchangeRef
    }

    private struct State: ~Copyable {
        /// First, and nobody else's: ThreadSanitizer books a change of any member as one of the first byte.
        let anchor: UInt64 = 0
        let lock = FutexLock()
        let changed = FutexEvent()
        let wakes = Atomic<UInt32>(0)
        /// A wake-up that has ended no wait yet.
        let isWoken = Atomic<Bool>(false)
        var entries = Fifo<Entry>()
        var isClosed = false
    }

    private let state = UnsafeMutablePointer<State>.allocate(capacity: 1)

    init() { state.initialize(to: State()) }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// What the functions below get as `user`; good for as long as the server is.
    var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    /// In the place of a handler of the host.
    static let handler: HandlerFunction = { user, request in push(user, request, .request) }
    /// In the place of a post hook of the host.
    static let hook: HandlerFunction = { user, request in push(user, request, .done) }

    private static func push(_ user: UnsafeMutableRawPointer?, _ request: OpaquePointer?, _ kind: Kind) {
        guard let user, let request else { return }
        let exchange = ExchangeRef(request)
        exchange.retain()
        let isTaken = Unmanaged<PullQueue>.fromOpaque(user).takeUnretainedValue().add(
            Entry(kind: kind, exchange: exchange))
        if !isTaken { exchange.release() }
    }

    private func add(_ entry: Entry) -> Bool {
        state.pointee.lock.lock()
        let isOpen = !state.pointee.isClosed
        if isOpen { state.pointee.entries.append(entry) }
        state.pointee.lock.unlock()
        if isOpen { state.pointee.changed.signalOne() }
        return isOpen
    }

    /// The next event; its reference is the caller's now.
    func take(milliseconds: Int64, isOver: () -> Bool) -> Taken {
        let deadline =
            milliseconds < 0
            ? Int64.max : Clock.monotonicNanoseconds &+ min(milliseconds, 1 << 40) * 1_000_000
        let wakes = state.pointee.wakes.load(ordering: .acquiring)
        while true {
            let ticket = state.pointee.changed.ticket
            if let entry = pop() { return .event(entry.kind, entry.exchange) }
            if isOver() || isClosed { return .ended }
            let left = deadline == Int64.max ? -1 : deadline - Clock.monotonicNanoseconds
            if deadline != Int64.max, left <= 0 { return .nothing }
            let isWoken = state.pointee.isWoken.exchange(false, ordering: .acquiringAndReleasing)
            if isWoken || state.pointee.wakes.load(ordering: .acquiring) != wakes { return .nothing }
            state.pointee.changed.wait(since: ticket, nanoseconds: left)
        }
    }

    /// Ends all waits, or the next one. Safe in a signal handler.
    func wake() {
        state.pointee.isWoken.store(true, ordering: .releasing)
        state.pointee.wakes.wrappingAdd(1, ordering: .releasing)
        state.pointee.changed.signal()
    }

    /// Whoever waits shall see that the server is over.
    func noteEnd() { state.pointee.changed.signal() }

    /// What nobody has taken by the end of the grace goes unanswered.
    func releaseRequests() { release { $0.kind == .request } }

    func close() {
        state.pointee.lock.lock()
        state.pointee.isClosed = true
        state.pointee.lock.unlock()
        state.pointee.changed.signal()
        release { _ in true }
    }

    private var isClosed: Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return state.pointee.isClosed
    }

    private func pop() -> Entry? {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return state.pointee.entries.popFirst()
    }

    private func release(_ isUnwanted: (Entry) -> Bool) {
        state.pointee.lock.lock()
        let unwanted = state.pointee.entries.removeAll(where: isUnwanted)
        state.pointee.lock.unlock()
        for entry in unwanted { entry.exchange.release() }
    }
}
