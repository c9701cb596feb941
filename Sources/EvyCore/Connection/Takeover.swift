// SPDX-License-Identifier: MIT
// Takeover - hands a connection to the host: the socket itself, or one end of a pair the loop pumps.
// Room: Connection. Why a pair: under TLS, and where bytes were read already, plain I/O must still work.

internal import CSystem
internal import Synchronization

extension UnsafeMutablePointer<Exchange> {
    /// Any thread; where the handler runs on another one, its end is waited for. `.ok`: the descriptor is the
    /// host's.
    func takeSocket(_ descriptor: inout Int32) -> HostResult {
        pointee.lock.lock()
        let isOwn = pointee.runner == Thread.current
        guard pointee.stage == .serving, pointee.response == .none, !pointee.isAborted,
            pointee.bodyEnd == .complete, pointee.descriptor >= 0
        else {
            let result = pointee.isGone && pointee.descriptor < 0 ? goneResult : HostResult.wrongState
            pointee.lock.unlock()
            return result
        }
        pointee.response = .ended
        pointee.takeover = pointee.isRunning && !isOwn ? .asked : .wanted
        let holdsLoop = pointee.isAttended && isOwn
        let worker = pointee.worker
        pointee.lock.unlock()
        if !(holdsLoop && giveNow(worker)) { askLoop(isOwn ? worker : nil) }
        return collect(&descriptor)
    }

    /// In a handler on the loop: back in library code for a moment. False: the loop was lost.
    private func giveNow(_ worker: WorkerRef?) -> Bool {
        let reactor = pointee.reactor
        guard let worker else { return false }
        return reactor.interruptHost(worker) {
            if let connection = pointee.connection { reactor.give(self, connection) }
        }
    }

    /// Another thread holds the loop. What was read behind the request lies in the scratch of this one.
    private func askLoop(_ worker: WorkerRef?) {
        withLock {
            if let worker {
                pointee.leftover.append(worker.pointee.rest)
                worker.pointee.rest = UnsafeRawBufferPointer(start: nil, count: 0)
            }
            pointee.reactor.post(self)
        }
        _ = wait(milliseconds: -1) { withLock { pointee.takeover.isPending } ? nil : true }
    }

    private func collect(_ descriptor: inout Int32) -> HostResult {
        withLock {
            switch pointee.takeover {
            case .given, .pumped, .over:
                descriptor = pointee.takenDescriptor
                pointee.takenDescriptor = -1
                return .ok
            case .asked, .wanted, .none:
                // Nobody can serve it while this thread, which holds the only loop, waits.
                pointee.takeover = .none
                pointee.response = .none
                return .wrongState
            case .failed:
                if pointee.isGone, pointee.descriptor < 0 { return goneResult }
                pointee.takeover = .none
                pointee.response = .none
                return .outOfMemory
            }
        }
    }
}

extension UnsafeMutablePointer<Reactor> {
    /// The host wants the connection. What was queued for the client goes out ahead of it.
    @inline(never)
    func give(_ exchange: ExchangeRef, _ connection: ConnectionRef) {
        let worker = pointee.worker
        let flushed = push(exchange, connection)
        guard flushed != .dead else { return }
        let isReadAhead = !connection.pointee.input.isEmpty || !worker.pointee.rest.isEmpty
        if flushed == .drained, connection.pointee.tls == nil, !isReadAhead {
            giveSocket(exchange, connection)
        } else {
            givePair(exchange, connection)
        }
        exchange.pointee.changed.signal()
    }

    private func giveSocket(_ exchange: ExchangeRef, _ connection: ConnectionRef) {
        let descriptor = connection.pointee.descriptor
        loop.pointee.poll.remove(descriptor)
        SystemCalls.setBlocking(descriptor)
        let acked = SystemCalls.bytesAcked(descriptor)
        exchange.withLock {
            exchange.pointee.connection = nil
            exchange.pointee.descriptor = -1
            exchange.pointee.account.noteAcked(acked)
            exchange.pointee.takeover = .given
            exchange.pointee.takenDescriptor = descriptor
            exchange.pointee.end = .upgraded
        }
        connection.pointee.current = nil
        giveUpPlace(connection)
    }

    private func givePair(_ exchange: ExchangeRef, _ connection: ConnectionRef) {
        let early = UInt64(connection.pointee.input.count + pointee.worker.pointee.rest.count)
        let lent = beginTunnel(connection)
        exchange.withLock {
            if lent >= 0 {
                exchange.pointee.wireReceived &+= early
                exchange.pointee.bodyReceived &+= early
            }
            exchange.pointee.takeover = lent >= 0 ? .pumped : .failed
            exchange.pointee.takenDescriptor = lent
            if lent >= 0 { exchange.pointee.end = .upgraded }
        }
    }
}
