// SPDX-License-Identifier: MIT
// LogWriter - a thread that hands log lines to a destination whose writes may wait for its reader.
// Room: Server (system calls through System/LogCalls).

internal import Synchronization

/// A sink's thread, for a pipe or terminal whose description is the host's: a write to it may wait for as
/// long as nobody reads, and no loop may.
///
/// Ownership: the sink's, which must say when it ends. Thread: any.
struct LogWriter: Sendable {
    /// At its end a sink waits so long for a reader.
    static let patienceNanoseconds: Int64 = 2_000_000_000

    private let work: LogWork
    private let thread: Thread

    /// nil: there is no thread. The descriptor of the queue is the thread's from here on.
    init?(_ queue: Locked<LogQueue>, _ descriptor: LogCalls.Descriptor) {
        let work = LogWork(queue, descriptor)
        guard let thread = Thread.start(name: "evy-log", { work.run() }) else { return nil }
        self.work = work
        self.thread = thread
    }

    func ring() { work.bell.signal() }

    /// No line comes any more. Waits for those there are until `moment` (monotonic nanoseconds) of the first
    /// call; later they are no less written, by the thread alone.
    func beginEnd(by moment: Int64) {
        _ = work.endsBy.compareExchange(expected: 0, desired: moment, ordering: .acquiringAndReleasing)
        ring()
    }

    func end() {
        beginEnd(by: Clock.monotonicNanoseconds + Self.patienceNanoseconds)
        let moment = work.endsBy.load(ordering: .relaxed)
        while true {
            let ticket = work.end.ticket
            if work.hasEnded.load(ordering: .acquiring) { return thread.join() }
            let left = moment - Clock.monotonicNanoseconds
            guard left > 0 else { return thread.detach() }
            work.end.wait(since: ticket, nanoseconds: left)
        }
    }
}

/// What thread and sink share.
///
/// Ownership: whoever of the two leaves last frees it; the thread closes the descriptor.
/// Thread:    `run` on its own, the rest for any.
private final class LogWork: Sendable {
    private let queue: Locked<LogQueue>
    private let descriptor: LogCalls.Descriptor
    let bell = FutexEvent()
    /// 0: the sink lives.
    let endsBy = Atomic<Int64>(0)
    let hasEnded = Atomic<Bool>(false)
    let end = FutexEvent()

    /// A destination that is broken is asked again, for the sake of the report on what it lost.
    private static let pauseNanoseconds: Int64 = 1_000_000_000

    init(_ queue: Locked<LogQueue>, _ descriptor: LogCalls.Descriptor) {
        self.queue = queue
        self.descriptor = descriptor
    }

    func run() {
        while true {
            let ticket = bell.ticket
            let isLast = endsBy.load(ordering: .acquiring) != 0
            let isComplete = withUnsafeTemporaryAllocation(
                byteCount: LogCalls.pipeBytesMax, alignment: 1, { writeAll(through: $0) })
            if isLast { break }
            bell.wait(since: ticket, nanoseconds: isComplete ? -1 : Self.pauseNanoseconds)
        }
        LogCalls.close(descriptor)
        hasEnded.store(true, ordering: .releasing)
        end.signal()
    }

    /// Loops append meanwhile, so what is written is a copy. False: the destination is broken.
    private func writeAll(through room: UnsafeMutableRawBufferPointer) -> Bool {
        while true {
            // SAFETY: a portion for what is no file has at most pipeBytesMax bytes.
            let count = queue.withLock { queue in
                guard let portion = queue.next() else { return 0 }
                room.copyMemory(from: portion)
                return portion.count
            }
            if count == 0 { return true }
            do throws(LogCalls.Failure) {
                let taken = try LogCalls.write(
                    UnsafeRawBufferPointer(rebasing: room[..<count]), to: descriptor)
                queue.withLock { $0.wrote(taken) }
            } catch {
                queue.withLock { $0.refused(error) }
                return false
            }
        }
    }
}
