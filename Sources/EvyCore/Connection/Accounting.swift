// SPDX-License-Identifier: MIT
// Accounting - which bytes of a response the kernel has taken, framing and body told apart.
// Room: Connection (pure). Why: bandwidth logs must tell what really went out, not what was planned.

/// Bytes are queued in order as runs of framing and of body, and taken from the front as the kernel takes
/// them.
/// Invariant: headSent + bodySent == wireSent <= wireQueued.
struct Accounting: ~Copyable {
    private(set) var wireQueued: UInt64 = 0
    private(set) var wireSent: UInt64 = 0
    private(set) var bodySent: UInt64 = 0
    private(set) var bodyQueued: UInt64 = 0
    var headSent: UInt64 { wireSent &- bodySent }
    var isDrained: Bool { wireSent == wireQueued }

    /// Nearly every answer is one run of each; the rest stands in `more`, Int64s of turn about body, framing.
    private var framing: UInt64 = 0
    private var body: UInt64 = 0
    private var more = ByteBuffer()
    private var lastIsBody = false

    /// Where on the connection this response began, and what the kernel had of it when it ended.
    var firstByteAt: Int64 = -1
    var endedAt: Int64 = -1
    var socketStart: UInt64 = 0
    var socketEnd: UInt64 = 0
    var acked: Int64 = -1

    mutating func reset() {
        wireQueued = 0
        wireSent = 0
        bodySent = 0
        bodyQueued = 0
        framing = 0
        body = 0
        more.clear(keepingCapacity: 1024)
        lastIsBody = false
        firstByteAt = -1
        endedAt = -1
        socketStart = 0
        socketEnd = 0
        acked = -1
    }

    mutating func queueFraming(_ count: Int) {
        let bytes = UInt64(truncatingIfNeeded: count)
        guard bytes > 0 else { return }
        wireQueued &+= bytes
        if more.isEmpty, body == 0 { framing &+= bytes } else { push(bytes, isBody: false) }
    }

    mutating func queueBody(_ count: Int) {
        let bytes = UInt64(truncatingIfNeeded: count)
        guard bytes > 0 else { return }
        wireQueued &+= bytes
        bodyQueued &+= bytes
        if more.isEmpty { body &+= bytes } else { push(bytes, isBody: true) }
    }

    /// The kernel has taken `count` more bytes.
    mutating func take(_ count: UInt64) {
        var left = min(count, wireQueued &- wireSent)
        wireSent &+= left
        let head = min(left, framing)
        framing &-= head
        left &-= head
        let payload = min(left, body)
        body &-= payload
        bodySent &+= payload
        left &-= payload
        while left > 0, let run = popRun() {
            if run.isBody {
                body = run.count
                let part = min(left, body)
                body &-= part
                bodySent &+= part
                left &-= part
            } else {
                framing = run.count
                let part = min(left, framing)
                framing &-= part
                left &-= part
            }
        }
    }

    private mutating func push(_ count: UInt64, isBody: Bool) {
        if !more.isEmpty, lastIsBody == isBody {
            let place = more.count - 8
            let old = more.readable.loadUnaligned(fromByteOffset: place, as: Int64.self)
            more.truncate(to: place)
            store((old.magnitude &+ count), isBody)
        } else {
            store(count, isBody)
        }
        lastIsBody = isBody
    }

    private mutating func store(_ count: UInt64, _ isBody: Bool) {
        let value = Int64(truncatingIfNeeded: count & UInt64(Int64.max))
        withUnsafeBytes(of: isBody ? value : -value) { more.append($0) }
    }

    private mutating func popRun() -> (count: UInt64, isBody: Bool)? {
        guard more.count >= 8 else { return nil }
        let value = more.readable.loadUnaligned(as: Int64.self)
        more.consume(8)
        return (value.magnitude, value > 0)
    }
}
