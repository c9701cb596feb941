// SPDX-License-Identifier: MIT
// ServerLogs - all logs of one server: writes what waits, opens files anew, waits at the end.
// Room: Server. Thread: any.

internal import Synchronization

extension Server {
    private static let retryMilliseconds: Int64 = 1000

    /// A line of the server's own log.
    func log(_ level: LogLevel, _ text: String) {
        if eventLog.write(level, text) { linesWait() }
    }

    func log(_ level: LogLevel, foreign bytes: UnsafeRawBufferPointer) {
        if eventLog.write(level, foreign: bytes) { linesWait() }
    }

    /// A destination takes nothing for the moment, or has lost lines and was not told how many. No line may
    /// come for hours that would see to it, so the first loop, which ends last, does.
    func linesWait() {
        if isLogTimed.exchange(true, ordering: .acquiringAndReleasing) { return }
        // SAFETY: tasks run in turns of a loop, and whoever turns it holds the server.
        let task = HostTask(
            function: { user in
                guard let user else { return }
                Unmanaged<Server>.fromOpaque(user).takeUnretainedValue().flushLogs()
            }, user: Unmanaged.passUnretained(self).toOpaque(), drop: nil)
        // Refused: the server has ended, and its logs make their last attempt when it goes.
        _ = try? startTimer(task, first: Self.retryMilliseconds, every: 0)
    }

    private func flushLogs() {
        isLogTimed.store(false, ordering: .sequentiallyConsistent)
        var waits = eventLog.flush()
        for loop in loops where loop.flushLog() { waits = true }
        if waits { linesWait() }
    }

    /// For log rotation: all that can be opened are.
    func reopenLogs() throws(ServerError) {
        var failures: [OptionError] = []
        func attempt(_ reopen: () throws(OptionError) -> Void) {
            do throws(OptionError) { try reopen() } catch { failures.append(error) }
        }
        for loop in loops { attempt(loop.reopenLog) }
        attempt(eventLog.reopen)
        if let first = failures.first { throw ServerError(kind: .io, text: first.text) }
    }

    /// Where nobody reads, the server's end waits for all its logs together, not for one after the other.
    func beginEndOfLogs() {
        let moment = Clock.monotonicNanoseconds + LogWriter.patienceNanoseconds
        for loop in loops { loop.beginEndOfLog(by: moment) }
        eventLog.beginEnd(by: moment)
    }
}
