// SPDX-License-Identifier: MIT
// TLSTicketTests - ticket keys change with the period, and the last one still opens.
// Room: tests of Transport. Spec: RFC 5077 section 4.

internal import Testing

@testable import EvyCore

/// A ring that #expect can look at: it cannot look through a noncopyable value.
private final class Ring {
    private var ring: TLSTicketRing

    init(period: Int64, secret: [UInt8]? = nil) throws {
        guard let made = TLSTicketRing.make(period: period, secret: secret) else { throw NoRing() }
        ring = made
    }

    struct NoRing: Error {}

    func advance(to period: Int64) -> Bool { ring.advance(to: period) }

    /// Name, cipher key and MAC key.
    var key: [[UInt8]] {
        let key = ring.newest
        return [Ring.bytes(key.name, 16), Ring.bytes(key.cipher, 32), Ring.bytes(key.mac, 32)]
    }

    /// The cipher key of that name.
    func find(_ name: [UInt8]) -> (cipher: [UInt8], isNewest: Bool)? {
        name.withUnsafeBufferPointer { name in
            guard let start = name.baseAddress, let found = ring.find(start) else { return nil }
            return (Ring.bytes(found.key.cipher, 32), found.isNewest)
        }
    }

    private static func bytes(_ start: UnsafePointer<UInt8>, _ count: Int) -> [UInt8] {
        Array(UnsafeBufferPointer(start: start, count: count))
    }
}

@Suite struct TLSTicketRingTests {
    @Test func aKeyHasThreeDifferentParts() throws {
        let parts = try Ring(period: 0).key
        #expect(Set(parts.map { Array($0.prefix(16)) }).count == 3)
        #expect(parts.allSatisfy { part in part.contains { $0 != 0 } })
        #expect(try Ring(period: 0).key != parts)
    }

    @Test func theKeyBeforeIsFoundForOnePeriodMore() throws {
        let ring = try Ring(period: 7)
        let first = ring.key
        #expect(ring.advance(to: 7) && ring.key == first)
        #expect(ring.find(first[0])?.isNewest == true)
        #expect(ring.advance(to: 8))
        let second = ring.key
        #expect(zip(first, second).allSatisfy { $0 != $1 })
        #expect(ring.find(first[0])?.isNewest == false)
        #expect(ring.find(first[0])?.cipher == first[1])
        #expect(ring.find(second[0])?.isNewest == true)
        #expect(ring.advance(to: 9))
        #expect(ring.find(first[0]) == nil)
        #expect(ring.find(second[0])?.cipher == second[1])
    }

    @Test func aClockThatGoesBackChangesNothing() throws {
        let ring = try Ring(period: 7)
        let before = ring.key
        #expect(ring.advance(to: 3) && ring.key == before)
        #expect(ring.advance(to: .min) && ring.key == before)
    }

    @Test func aLongSleepEndsAndForgetsTheKey() throws {
        let ring = try Ring(period: 0)
        let before = ring.key
        #expect(ring.advance(to: 1 << 40))
        #expect(ring.find(before[0]) == nil && ring.key != before)
    }

    @Test func processesWithTheSameSecretMeetWhateverStepsTheyTook() throws {
        let secret = [UInt8](1...32)
        let (steady, sleeper) = (try Ring(period: 0, secret: secret), try Ring(period: 0, secret: secret))
        #expect(steady.key == sleeper.key)
        for period: Int64 in 1...9 { #expect(steady.advance(to: period)) }
        #expect(sleeper.advance(to: 9))
        #expect(steady.key == sleeper.key)
        #expect(steady.advance(to: 10))
        #expect(steady.find(sleeper.key[0])?.isNewest == false)
    }
}
