// SPDX-License-Identifier: MIT
// ConnectionShare - what one connection may hand to the kernel in a turn of the loop while others wait.
// Room: Connection. Case: Tests/behaviour/test_turns.py. Figures: docs/reliability.md.

extension UnsafeMutablePointer<Reactor> {
    /// Bytes. The rest comes in the next turn: the socket has room, so epoll says so at once.
    private static var share: Int { 1 << 20 }
    /// A turn that has sent so much is a crowded one: others wait for it, so who comes now gets less.
    private static var crowdedTurn: Int { 8 << 20 }
    private static var shareOfCrowdedTurn: Int { 64 << 10 }
    /// Not worth a turn of its own.
    private static var tailMax: Int { 16 << 10 }

    @inline(__always)
    func noteShare(_ connection: ConnectionRef, _ count: Int) {
        if connection.pointee.turn != pointee.turn {
            connection.pointee.turn = pointee.turn
            connection.pointee.turnSent = 0
        }
        connection.pointee.turnSent &+= count
        pointee.turnSent &+= count
    }

    /// How many of `count` more bytes the connection may send in this turn.
    func share(_ connection: ConnectionRef, of count: Int) -> Int {
        let sent = connection.pointee.turn == pointee.turn ? connection.pointee.turnSent : 0
        let share = pointee.turnSent < Self.crowdedTurn ? Self.share : Self.shareOfCrowdedTurn
        let left = share &- sent
        if left > 0, count <= left &+ Self.tailMax { return count }
        // What was said before the cut that the host asks for goes out now or never.
        if let exchange = connection.pointee.current, exchange.withLock({ exchange.pointee.isAborted }) {
            return count
        }
        return max(left, 0)
    }

    /// Sends the batch and as much of `bytes` as the connection may. 0: it had its share, and no batch.
    func sendBatch(_ connection: ConnectionRef, behind bytes: UnsafeRawBufferPointer) -> Int {
        let descriptor = connection.pointee.descriptor
        let batch = pointee.worker.pointee.batch.readable
        let part = UnsafeRawBufferPointer(rebasing: bytes.prefix(share(connection, of: bytes.count)))
        if part.isEmpty { return batch.isEmpty ? 0 : SystemCalls.send(descriptor, batch) }
        return batch.isEmpty
            ? SystemCalls.send(descriptor, part) : SystemCalls.send(descriptor, batch, part)
    }
}
