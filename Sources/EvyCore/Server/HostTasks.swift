// SPDX-License-Identifier: MIT
// HostTasks - functions and timers of the host on the server's loops.
// Room: Server. Thread: any.

internal import Synchronization

extension Server {
    private var firstReactor: ReactorRef { loops[0].reactor }

    /// On the loop of the request, or on the first one.
    func post(_ task: HostTask, _ exchange: ExchangeRef?) throws(ServerError) {
        let target = exchange?.pointee.reactor ?? firstReactor
        _ = try accept(target.loop.pointee.board.post(task), target)
    }

    /// The timer's id.
    func startTimer(_ task: HostTask, first: Int64, every: Int64) throws(ServerError) -> Int64 {
        // Ages, and far from any overflow.
        let deadline = Clock.monotonicMilliseconds + min(first, 1 << 50)
        let started = firstReactor.loop.pointee.board.start(
            task, deadline: deadline, period: min(every, 1 << 50))
        return try accept(started, firstReactor)
    }

    func stopTimer(_ id: Int64) -> Bool { firstReactor.loop.pointee.board.stop(id) }

    private func accept(_ accepted: TaskBoard.Accepted, _ reactor: ReactorRef) throws(ServerError) -> Int64 {
        switch accepted {
        case .refused: throw ServerError(kind: .state, text: "the server has ended")
        case .inTime(let id): return id
        case .mustWake(let id):
            reactor.wake()
            return id
        }
    }

    /// Ends waits for events and steps. Safe in a signal handler.
    func wake() {
        for loop in loops { loop.reactor.wake() }
        pullQueue?.wake()
    }
}
