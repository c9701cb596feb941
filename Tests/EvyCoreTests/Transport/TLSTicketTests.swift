// SPDX-License-Identifier: MIT
// TLSTicketTests - ticket keys change with the period, and the last one still opens.
// Room: tests of Transport. Spec: RFC 5077 section 4.

internal import Testing

@testable import EvyCore

@Suite struct TLSTicketRingTests {
    private func bytes(_ start: UnsafePointer<UInt8>, _ count: Int) -> [UInt8] {
        Array(UnsafeBufferPointer(start: start, count: count))
    }

    /// Name, cipher key and MAC key.
    private func key(_ ring: borrowing TLSTicketRing) -> [[UInt8]] {
        let key = ring.newest
        return [bytes(key.name, 16), bytes(key.cipher, 32), bytes(key.mac, 32)]
    }

    private func find(_ ring: borrowing TLSTicketRing, _ name: [UInt8]) -> (cipher: [UInt8], isNewest: Bool)?
    {
        name.withUnsafeBufferPointer { name in
            guard let start = name.baseAddress, let found = ring.find(start) else { return nil }
            return (bytes(found.key.cipher, 32), found.isNewest)
        }
    }

    @Test func aKeyHasThreeDifferentParts() throws {
        guard let ring = TLSTicketRing.make(period: 0) else {
            Issue.record("no ring")
            return
        }
        let parts = key(ring)
        #expect(Set(parts.map { Array($0.prefix(16)) }).count == 3)
        #expect(parts.allSatisfy { part in part.contains { $0 != 0 } })
    }

    @Test func theKeyBeforeIsFoundForOnePeriodMore() throws {
        guard var ring = TLSTicketRing.make(period: 7) else {
            Issue.record("no ring")
            return
        }
        let first = key(ring)
        #expect(ring.advance(to: 7) && key(ring) == first)
        #expect(find(ring, first[0])?.isNewest == true)
        #expect(ring.advance(to: 8))
        let second = key(ring)
        #expect(zip(first, second).allSatisfy { $0 != $1 })
        #expect(find(ring, first[0])?.isNewest == false)
        #expect(find(ring, first[0])?.cipher == first[1])
        #expect(find(ring, second[0])?.isNewest == true)
        #expect(ring.advance(to: 9))
        #expect(find(ring, first[0]) == nil)
        #expect(find(ring, second[0])?.cipher == second[1])
    }

    @Test func aClockThatGoesBackChangesNothing() throws {
        guard var ring = TLSTicketRing.make(period: 7) else {
            Issue.record("no ring")
            return
        }
        let before = key(ring)
        #expect(ring.advance(to: 3) && key(ring) == before)
        #expect(ring.advance(to: .min) && key(ring) == before)
    }

    @Test func aLongSleepEndsInAReasonableTimeAndForgetsTheKey() throws {
        guard var ring = TLSTicketRing.make(period: 0) else {
            Issue.record("no ring")
            return
        }
        let before = key(ring)
        #expect(ring.advance(to: 1 << 40))
        #expect(find(ring, before[0]) == nil && key(ring) != before)
    }

    @Test func processesWithTheSameSecretMeetWhateverStepsTheyTook() throws {
        let secret = [UInt8](1...32)
        guard var steady = TLSTicketRing.make(period: 0, secret: secret),
            var sleeper = TLSTicketRing.make(period: 0, secret: secret)
        else {
            Issue.record("no ring")
            return
        }
        #expect(key(steady) == key(sleeper))
        for period: Int64 in 1...9 { #expect(steady.advance(to: period)) }
        #expect(sleeper.advance(to: 9))
        #expect(key(steady) == key(sleeper))
        #expect(steady.advance(to: 10) && find(steady, key(sleeper)[0])?.isNewest == false)
    }
}
