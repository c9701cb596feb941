// SPDX-License-Identifier: MIT
// RequestID - the id of a request as its clients, its application and its logs share it.
// Room: Connection. Spec: option request_id_header of evy.h. Thread: under the lock of the exchange.

internal import CSystem

extension UnsafeMutablePointer<Exchange> {
    private static var sentMax: Int { 128 }

    /// `name` without HTTP_. Never, where the option is not set.
    @inline(__always)
    func isRequestIDKey(_ name: UnsafeRawBufferPointer) -> Bool {
        let key = pointee.reactor.pointee.settings.requestIDKey
        return !key.isEmpty && name.count == key.count - 5
            && name.equals(UnsafeRawBufferPointer(rebasing: key.dropFirst(5)))
    }

    /// What the client sent where that is an id, else one made at the first look; nil: out of memory.
    func requestID() -> EnvironText? {
        if let known = pointee.environ.requestID { return known }
        let key = pointee.reactor.pointee.settings.requestIDKey
        var id = headerValue(UnsafeRawBufferPointer(rebasing: key.dropFirst(5)))
        if let sent = id, !Self.isAcceptable(sent) { id = nil }
        pointee.environ.requestID = id ?? made()
        return pointee.environ.requestID
    }

    /// Bytes that need no quoting in a log, a URL or a header, and not too many.
    static func isAcceptable(_ id: UnsafeRawBufferPointer) -> Bool {
        guard !id.isEmpty, id.count <= sentMax else { return false }
        return id.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: return true
            case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"),
                UInt8(ascii: "+"),
                UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
                return true
            default: return false
            }
        }
    }

    /// 128 random bits as 32 digits.
    private func made() -> EnvironText? {
        var bits: (UInt64, UInt64) = (0, 0)
        let isRandom = withUnsafeMutableBytes(of: &bits) { evy_random($0.baseAddress, $0.count) == 0 }
        if !isRandom {
            // Early in the boot of a machine: unique all the same.
            bits = (UInt64(truncatingIfNeeded: Clock.monotonicNanoseconds), pointee.id)
        }
        guard let place = pointee.arena.allocate(33) else { return nil }
        let room = place.assumingMemoryBound(to: UInt8.self)
        for index in 0..<32 {
            let word = index < 16 ? bits.0 : bits.1
            let digit = UInt8(truncatingIfNeeded: word >> UInt64(4 * (15 - index % 16))) & 15
            room[index] = digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
        }
        room[32] = 0
        return EnvironText(start: place, count: 32)
    }
}
