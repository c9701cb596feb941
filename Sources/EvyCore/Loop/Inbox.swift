// SPDX-License-Identifier: MIT
// Inbox - objects that other threads want the loop to look at; many push, the holder takes all.
// Room: Loop. A Treiber stack, reversed when taken, so order is first in, first out.

internal import Synchronization

/// Ownership: belongs to `owner`, at a fixed address for as long as that may be posted.
struct InboxNode: ~Copyable {
    fileprivate var next: UnsafeMutablePointer<InboxNode>?
    fileprivate let posted = Atomic<Bool>(false)
    let owner: UnsafeMutableRawPointer

    init(owner: UnsafeMutableRawPointer) { self.owner = owner }
}

struct Inbox: ~Copyable {
    private let head = Atomic<UInt>(0)

    /// True when the inbox was empty: the loop has to be woken. A node that is in already stays once.
    func post(_ node: UnsafeMutablePointer<InboxNode>) -> Bool {
        if node.pointee.posted.exchange(true, ordering: .acquiringAndReleasing) { return false }
        return push(node)
    }

    /// Taken nodes that could not be looked at go back; they count as posted all the time.
    func putBack(_ first: UnsafeMutablePointer<InboxNode>?) -> Bool {
        var rest = first
        var wakes = false
        while let node = rest {
            rest = node.pointee.next
            if push(node) { wakes = true }
        }
        return wakes
    }

    /// A node in an inbox, or taken and not yet released, may not be freed.
    static func isPosted(_ node: UnsafeMutablePointer<InboxNode>) -> Bool {
        node.pointee.posted.load(ordering: .acquiring)
    }

    private func push(_ node: UnsafeMutablePointer<InboxNode>) -> Bool {
        var seen = head.load(ordering: .relaxed)
        while true {
            node.pointee.next = UnsafeMutablePointer(bitPattern: seen)
            let (exchanged, now) = head.weakCompareExchange(
                expected: seen, desired: UInt(bitPattern: node), ordering: .sequentiallyConsistent)
            if exchanged { return seen == 0 }
            seen = now
        }
    }

    @inline(__always)
    var isEmpty: Bool { head.load(ordering: .acquiring) == 0 }

    /// All nodes in order of arrival, linked; walk them with `next(after:)`.
    func takeAll() -> UnsafeMutablePointer<InboxNode>? {
        var rest = UnsafeMutablePointer<InboxNode>(
            bitPattern: head.exchange(0, ordering: .sequentiallyConsistent))
        var ordered: UnsafeMutablePointer<InboxNode>?
        while let node = rest {
            rest = node.pointee.next
            node.pointee.next = ordered
            ordered = node
        }
        return ordered
    }

    /// Gives the node free for the next post, and returns the one behind it.
    static func release(_ node: UnsafeMutablePointer<InboxNode>) -> UnsafeMutablePointer<InboxNode>? {
        let next = node.pointee.next
        node.pointee.next = nil
        node.pointee.posted.store(false, ordering: .releasing)
        return next
    }
}
