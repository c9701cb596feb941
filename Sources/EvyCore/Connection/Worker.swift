// SPDX-License-Identifier: MIT
// Worker - the scratch memory of one thread, and what it is doing with it.
// Room: Connection.

internal import Glibc

typealias WorkerRef = UnsafeMutablePointer<Worker>

/// Everything a handler may be running on while its thread loses the loop lies here or in the exchange, so
/// the
/// next holder never shares a buffer with it.
///
/// Ownership: one for each thread that may hold the loop; made and freed by the server.
/// Thread:    that thread; the next holder reads `batch` once when it takes over (see adopt).
struct Worker: ~Copyable {
    static let receiveMax = 64 << 10
    /// Where a head is expected.
    static let headReceiveMax = 8 << 10
    /// Of a client that has sent more than `pipelinedMax` requests at once: some 50, half a millisecond.
    static let pipelineReceiveMax = 2 << 10
    static let pipelinedMax: UInt32 = 32
    static let batchMax = 64 << 10
    static let cipherOutMax = 128 << 10

    /// Plain input: a saved rest of the connection, then what one receive brings.
    let input: UnsafeMutableRawBufferPointer
    /// Answers of the connection being processed, to leave in one send.
    var batch: ByteBuffer
    /// The exchange whose host code this thread runs while it holds the loop.
    var exchange: ExchangeRef?
    var connection: ConnectionRef?
    var ticket: UInt64 = 0
    /// What the host's lock said when it was taken; only while it is held.
    fileprivate(set) var holdsHostLock = false
    fileprivate var hostLockState: Int32 = 0
    /// Posts taken from the inbox and not yet looked at; who adopts the loop puts them back.
    var taken: UnsafeMutablePointer<InboxNode>?
    /// Input behind the exchange being served, in `input`.
    var rest = UnsafeRawBufferPointer(start: nil, count: 0)
    private var cipher = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    init?(headMax: Int) {
        // A saved rest is at most one earlier window: a partial head, or what one receive brought.
        let size = max(headMax, Self.receiveMax) + Self.receiveMax + 4096
        guard let room = malloc(size) else { return nil }
        var batch = ByteBuffer()
        batch.reserve(Self.batchMax)
        guard !batch.failed else {
            free(room)
            return nil
        }
        self.batch = batch
        input = UnsafeMutableRawBufferPointer(start: room, count: size)
    }

    deinit {
        free(input.baseAddress)
        free(cipher.baseAddress)
    }

    /// Room for cipher bytes in and out; made when the first TLS connection needs it.
    mutating func cipherRooms() -> (
        input: UnsafeMutableRawBufferPointer, output: UnsafeMutableRawBufferPointer
    )? {
        if cipher.baseAddress == nil {
            let size = Self.receiveMax + Self.cipherOutMax
            guard let room = malloc(size) else { return nil }
            cipher = UnsafeMutableRawBufferPointer(start: room, count: size)
        }
        return (
            UnsafeMutableRawBufferPointer(rebasing: cipher[..<Self.receiveMax]),
            UnsafeMutableRawBufferPointer(rebasing: cipher[Self.receiveMax...])
        )
    }
}

/// Thread: the worker's own.
extension UnsafeMutablePointer<Worker> {
    /// Copies an answer into the batch. False: it is too large for that, or there is no memory.
    @inline(__always)
    func batchTakes(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= Worker.batchMax / 4, pointee.batch.count + bytes.count <= Worker.batchMax else {
            return false
        }
        pointee.batch.append(bytes)
        return !pointee.batch.failed
    }

    @inline(__always)
    func takeHostLock(_ lock: HostLock?) {
        guard let lock, !pointee.holdsHostLock else { return }
        pointee.hostLockState = lock.take(lock.user)
        pointee.holdsHostLock = true
    }

    func giveHostLock(_ lock: HostLock?) {
        guard let lock, pointee.holdsHostLock else { return }
        pointee.holdsHostLock = false
        lock.give(lock.user, pointee.hostLockState)
    }

    /// For code that must not give back what this thread does not hold right now.
    func withoutHostLock(_ body: () -> Void) {
        let holds = pointee.holdsHostLock
        pointee.holdsHostLock = false
        body()
        pointee.holdsHostLock = holds
    }
}
