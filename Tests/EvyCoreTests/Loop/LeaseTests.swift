// SPDX-License-Identifier: MIT
// LeaseTests - exactly one side wins a lease that is stolen while its holder returns.
// Room under test: Loop/Lease, Loop/Inbox.

import Testing

@testable import EvyCore

@Suite struct LeaseTests {
    @Test func aHolderThatIsNotDisturbedKeepsTheLoop() {
        let lease = Lease()
        for _ in 0..<3 {
            let ticket = lease.enter()
            #expect(Lease.isInHostCode(lease.observed))
            #expect(lease.leave(ticket) == true)
            #expect(Lease.isInHostCode(lease.observed) == false)
        }
    }

    @Test func aStolenLeaseIsLostForItsHolder() {
        let lease = Lease()
        let ticket = lease.enter()
        #expect(lease.steal(lease.observed) == true)
        #expect(lease.leave(ticket) == false)
    }

    @Test func aLeaseThatWasGivenBackCannotBeStolen() {
        let lease = Lease()
        let ticket = lease.enter()
        let seen = lease.observed
        #expect(lease.leave(ticket) == true)
        #expect(lease.steal(seen) == false)
        // Nor with what was seen of an earlier callback.
        _ = lease.enter()
        #expect(lease.steal(seen) == false)
    }

    @Test func aLeaseOutsideHostCodeCannotBeStolen() {
        let lease = Lease()
        #expect(lease.steal(lease.observed) == false)
    }

    @Test func postsComeOutInTheOrderTheyCameAndOnlyOnce() {
        let inbox = Inbox()
        let nodes = UnsafeMutablePointer<InboxNode>.allocate(capacity: 3)
        defer { nodes.deallocate() }
        for index in 0..<3 {
            (nodes + index).initialize(to: InboxNode(owner: UnsafeMutableRawPointer(nodes + index)))
        }
        #expect(inbox.isEmpty == true)
        #expect(inbox.post(nodes) == true)  // the first wakes the loop
        #expect(inbox.post(nodes + 1) == false)
        #expect(inbox.post(nodes) == false)
        #expect(inbox.post(nodes + 2) == false)
        var order: [Int] = []
        var rest = inbox.takeAll()
        while let node = rest {
            order.append(node - nodes)
            rest = Inbox.release(node)
        }
        #expect(order == [0, 1, 2])
        #expect(inbox.isEmpty == true)
        #expect(Inbox.isPosted(nodes) == false)
        #expect(inbox.post(nodes) == true)
    }
}
