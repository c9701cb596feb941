// SPDX-License-Identifier: MIT
// LogSink - takes log lines of any thread and hands them to one destination, many at a time.
// Room: Server (system calls through System/LogCalls). Spec: options access_log and error_log of evy.h.

/// One destination of log lines.
///
/// Lines gather until `flush` (once per turn of the loop) or until 64 KiB wait. A destination that takes
/// nothing for the moment (a slow reader, a full disk) keeps its lines up to that limit; later ones are
/// dropped whole and counted. One that is broken loses what waits. As soon as it takes bytes again, one line
/// tells how many were lost. Nothing here waits for a reader, raises a signal or fails a request.
///
/// Ownership: owns a descriptor of its own, closed in deinit after a last flush.
/// Thread:    any; a lock inside.
final class LogSink: Sendable {
    private let destination: LogDestination
    private let queue: Locked<LogQueue>
    private let writer: LogWriter?
    /// A forked child must not write the lines its parent is about to write.
    private let owner: Int32

    /// nil for "off". `option` is the option's name, for the error text.
    static func open(
        _ destination: LogDestination, option: StaticString, isJSON: Bool = false
    ) throws(OptionError) -> LogSink? {
        let descriptor: LogCalls.Descriptor
        do throws(LogCalls.Failure) {
            guard let opened = try destination.open() else { return nil }
            descriptor = opened
        } catch {
            throw Self.refusal(option, destination, LogCalls.errorText(error.code))
        }
        let queue = Locked(LogQueue(descriptor, isJSON: isJSON))
        guard descriptor.kind == .borrowedStream else { return LogSink(destination, queue, nil) }
        guard let writer = LogWriter(queue, descriptor) else {
            LogCalls.close(descriptor)
            throw Self.refusal(option, destination, "cannot start a thread, which it needs")
        }
        return LogSink(destination, queue, writer)
    }

    private static func refusal(
        _ option: StaticString, _ destination: LogDestination, _ reason: String
    ) -> OptionError {
        OptionError(option: option, "cannot open \(destination.text): \(reason)")
    }

    private init(_ destination: LogDestination, _ queue: Locked<LogQueue>, _ writer: LogWriter?) {
        self.destination = destination
        self.queue = queue
        self.writer = writer
        owner = LogCalls.processID()
    }

    deinit {
        let isOwner = owner == LogCalls.processID()
        if isOwner, let writer { return writer.end() }
        // In a forked child the lock may be held by a thread that does not exist there: never wait.
        _ = queue.withLockIfAvailable { queue in
            if isOwner { _ = queue.flush() }
            LogCalls.close(queue.descriptor)
        }
    }

    /// The sink is about to go, and others with it: all wait for their readers until the same moment.
    func beginEnd(by moment: Int64) { writer?.beginEnd(by: moment) }

    /// Appends one line; the line end is added. The line must not hold one.
    func append(_ line: UnsafeRawBufferPointer) { add { $0.append(line) } }

    /// Formats straight into the batch.
    func append(_ record: AccessRecord, as format: borrowing AccessFormat) {
        add { format.write(record, into: &$0) }
    }

    private func add(_ write: (inout ByteBuffer) -> Void) {
        let isDue = queue.withLock { queue in
            queue.add(write)
            return queue.isFull && !queue.isStalled
        }
        if isDue { flush() }
    }

    /// Hands everything that waits to the destination. Cheap when nothing does. True: something waits on, and
    /// needs another call, now or later.
    @discardableResult
    func flush() -> Bool {
        guard let writer else { return queue.withLock { $0.flush() } }
        if queue.withLock({ $0.hasLines }) { writer.ring() }
        return false
    }

    /// Opens a file anew, for log rotation; other destinations stay as they are. On failure the old file
    /// is kept.
    func reopen(option: StaticString) throws(OptionError) {
        guard case .path(let path) = destination else { return }
        do throws(LogCalls.Failure) {
            let fresh = try LogCalls.open(path: path)
            queue.withLock { queue in
                _ = queue.flush()
                LogCalls.close(queue.descriptor)
                queue.reopened(as: fresh)
            }
        } catch {
            throw Self.refusal(option, destination, LogCalls.errorText(error.code))
        }
    }
}
