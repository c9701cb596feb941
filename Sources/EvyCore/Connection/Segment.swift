// SPDX-License-Identifier: MIT
// Segment - a piece of an answer that is sent from where it lies: memory of the host, or part of a file.
// Room: Connection. Why: a copied megabyte costs more than all the rest of its request.

internal import Glibc

typealias SegmentRef = UnsafeMutablePointer<Segment>

/// Memory or a part of a file, and the copied output that comes behind it.
///
/// Ownership: owns its descriptor; the memory stays the host's until `drop(user)`, which is called once and
///            never under a lock.
/// Thread:    under the lock of its exchange while queued, then the holder of the loop.
struct Segment: ~Copyable {
    /// What is left of the memory.
    var bytes: UnsafeRawBufferPointer
    fileprivate let user: UnsafeMutableRawPointer?
    fileprivate let drop: DropFunction?
    /// The file, -1: memory.
    let descriptor: Int32
    var offset: Int64 = 0
    /// Of the file.
    var left: Int64 = 0
    /// Copied output behind it, which moves to `out` when this one's turn comes.
    var behind = ByteBuffer()
    fileprivate var next: SegmentRef?

    fileprivate init(bytes: UnsafeRawBufferPointer, user: UnsafeMutableRawPointer?, drop: DropFunction?) {
        self.bytes = bytes
        self.user = user
        self.drop = drop
        descriptor = -1
    }

    fileprivate init(descriptor: Int32, offset: Int64, left: Int64) {
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        user = nil
        drop = nil
        self.descriptor = descriptor
        self.offset = offset
        self.left = left
    }

    var isFile: Bool { descriptor >= 0 }
    var isTaken: Bool { isFile ? left == 0 : bytes.isEmpty }

    /// A promised length may leave room for a part alone.
    mutating func cut(to count: Int64) {
        if isFile {
            left = min(left, count)
        } else {
            bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(clamping: count)))
        }
    }

    /// The kernel, or the TLS session, has taken `count` more bytes.
    mutating func advance(_ count: Int) {
        if isFile {
            offset &+= Int64(count)
            left -= min(left, Int64(count))
        } else {
            bytes = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(count))
        }
    }
}

extension SegmentRef {
    /// nil: out of memory; nothing is owed then.
    static func memory(
        _ bytes: UnsafeRawBufferPointer, _ user: UnsafeMutableRawPointer?, _ drop: DropFunction?
    ) -> SegmentRef? {
        guard let room = malloc(MemoryLayout<Segment>.stride) else { return nil }
        let segment = room.bindMemory(to: Segment.self, capacity: 1)
        segment.initialize(to: Segment(bytes: bytes, user: user, drop: drop))
        return segment
    }

    /// Takes the descriptor over. nil: out of memory, and the descriptor is closed.
    static func file(_ descriptor: Int32, offset: Int64, count: Int64) -> SegmentRef? {
        guard let room = malloc(MemoryLayout<Segment>.stride) else {
            SystemCalls.close(descriptor)
            return nil
        }
        let segment = room.bindMemory(to: Segment.self, capacity: 1)
        segment.initialize(to: Segment(descriptor: descriptor, offset: offset, left: count))
        return segment
    }

    /// Without a word to the host: the call that brought it has failed.
    func forget() {
        SystemCalls.close(pointee.descriptor)
        deinitialize(count: 1)
        free(self)
    }

    /// The host gets its memory back. No lock may be held.
    func release() {
        let drop = pointee.drop
        let user = pointee.user
        forget()
        drop?(user)
    }
}

extension UnsafeMutablePointer<Exchange> {
    /// Lock held. Where copied output goes: behind everything that is queued.
    @inline(__always)
    func withTail<R>(_ body: (inout ByteBuffer) -> R) -> R {
        if let last = pointee.lastSegment { return body(&last.pointee.behind) }
        return body(&pointee.out)
    }

    /// Lock held.
    func queue(_ segment: SegmentRef) {
        if withTail({ $0.failed }) { pointee.isTorn = true }
        if let last = pointee.lastSegment {
            last.pointee.next = segment
        } else {
            pointee.firstSegment = segment
        }
        pointee.lastSegment = segment
    }

    /// Lock held, on the loop, `out` empty: the first segment is the next to be sent.
    @inline(never)
    func takeSegment() {
        guard let segment = pointee.firstSegment else { return }
        pointee.firstSegment = segment.pointee.next
        if pointee.firstSegment == nil { pointee.lastSegment = nil }
        segment.pointee.next = nil
        swap(&segment.pointee.behind, &pointee.out)
        pointee.segment = segment
    }

    /// On the loop: all of it was taken.
    @inline(never)
    func finishSegment() {
        guard let segment = pointee.segment else { return }
        pointee.segment = nil
        segment.release()
    }

    /// On the loop, lock free: the connection is gone, and nothing of them will be needed.
    @inline(never)
    func dropSegments() {
        finishSegment()
        var rest = withLock { () -> SegmentRef? in
            let first = pointee.firstSegment
            pointee.firstSegment = nil
            pointee.lastSegment = nil
            return first
        }
        while let segment = rest {
            rest = segment.pointee.next
            segment.release()
        }
    }
}
