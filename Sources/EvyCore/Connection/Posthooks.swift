// SPDX-License-Identifier: MIT
// Posthooks - what the host wants done after a response was fully sent, or after the client left early.
// Room: Connection. Each hook runs exactly once, in the order added; its drop function right after it.

internal import Glibc

private struct Posthook {
    let function: HandlerFunction
    let user: UnsafeMutableRawPointer?
    let drop: DropFunction?
    var next: UnsafeMutablePointer<Posthook>?
}

/// Ownership: the nodes lie in the arena of the exchange. Thread: under its lock.
struct PosthookList {
    private var first: UnsafeMutablePointer<Posthook>?
    private var last: UnsafeMutablePointer<Posthook>?
    /// The request is over: no hook can be added any more.
    var isSealed = false

    var isEmpty: Bool { first == nil }

    /// False: out of memory.
    mutating func append(
        _ function: @escaping HandlerFunction, _ user: UnsafeMutableRawPointer?, _ drop: DropFunction?,
        arena: inout Arena
    ) -> Bool {
        guard let room = arena.allocate(MemoryLayout<Posthook>.stride) else { return false }
        let hook = room.bindMemory(to: Posthook.self, capacity: 1)
        hook.initialize(to: Posthook(function: function, user: user, drop: drop, next: nil))
        if let last { last.pointee.next = hook } else { first = hook }
        last = hook
        return true
    }

    fileprivate mutating func popFirst() -> UnsafeMutablePointer<Posthook>? {
        guard let hook = first else { return nil }
        first = hook.pointee.next
        if first == nil { last = nil }
        return hook
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// Runs hooks until none is left; hooks added by hooks run too. Seals the list.
    func runPosthooks() {
        while let hook = withLock({ () -> UnsafeMutablePointer<Posthook>? in
            let next = pointee.hooks.popFirst()
            if next == nil { pointee.hooks.isSealed = true }
            return next
        }) {
            hook.pointee.function(hook.pointee.user, OpaquePointer(self))
            hook.pointee.drop?(hook.pointee.user)
        }
    }
}
