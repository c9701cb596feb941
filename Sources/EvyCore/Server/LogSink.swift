// SPDX-License-Identifier: MIT
// LogSink - turns log lines of any thread into batches, each handed to its destination by one write.
// Room: Server (system calls through System/LogCalls). Spec: options access_log and error_log of evy.h.

/// Where a log goes, as the options say it.
enum LogDestination: Sendable, Equatable {
    case off
    case stderr
    case descriptor(Int32)
    case path(String)

    /// "off", "stderr", "fd:N" or a file path; nil: none of them.
    init?(_ text: String) {
        switch text {
        case "": return nil
        case "off": self = .off
        case "stderr": self = .stderr
        default:
            guard text.hasPrefix("fd:") else {
                self = .path(text)
                return
            }
            guard let number = OptionValue.wholeNumber(String(text.dropFirst(3))),
                let descriptor = Int32(exactly: number), descriptor >= 0
            else { return nil }
            self = .descriptor(descriptor)
        }
    }

    var text: String {
        switch self {
        case .off: return "off"
        case .stderr: return "stderr"
        case .descriptor(let number): return "fd:\(number)"
        case .path(let path): return path
        }
    }

    fileprivate func open() throws(LogCalls.Failure) -> LogCalls.Descriptor? {
        switch self {
        case .off: return nil
        case .stderr: return try LogCalls.duplicate(2)
        case .descriptor(let number): return try LogCalls.duplicate(number)
        case .path(let path): return try LogCalls.open(path: path)
        }
    }
}

/// One destination of log lines.
///
/// Lines gather until `flush` (once per turn of the loop) or until 64 KiB wait. A destination that takes
/// nothing for the moment (a slow reader, a full disk) keeps its lines up to that limit; later ones are
/// dropped whole and counted. One that is broken loses what waits. As soon as it takes bytes again, one line
/// tells how many were lost. Nothing here waits for a reader, raises SIGPIPE or fails a request.
///
/// Ownership: owns a descriptor of its own, closed in deinit after a last flush.
/// Thread:    any; a lock inside.
final class LogSink: Sendable {
    fileprivate struct State: ~Copyable, Sendable {
        var descriptor: LogCalls.Descriptor
        // SAFETY: one owner, and only reached through the lock. Said here because lines come as pointers,
        // which the compiler would else suspect to stay behind in the buffer.
        nonisolated(unsafe) var buffer = ByteBuffer()
        /// The last write was refused for the moment: `append` does not try again, `flush` does.
        var isStalled = false
        var lost: UInt64 = 0
        var reason = LogCalls.Failure(code: 0)
        /// Losses told by a line that still waits in the buffer.
        var lostInReport: UInt64 = 0
    }

    static let waitingBytesMax = 64 << 10

    private let destination: LogDestination
    private let state: Locked<State>
    /// A forked child must not write the lines its parent is about to write.
    private let owner: Int32

    /// nil for "off". `option` is the option's name, for the error text.
    static func open(_ destination: LogDestination, option: StaticString) throws(OptionError) -> LogSink? {
        do {
            guard let descriptor = try destination.open() else { return nil }
            return LogSink(destination, descriptor)
        } catch {
            let reason = LogCalls.errorText(error.code)
            throw OptionError(option: option, "cannot open \(destination.text): \(reason)")
        }
    }

    private init(_ destination: LogDestination, _ descriptor: LogCalls.Descriptor) {
        self.destination = destination
        state = Locked(State(descriptor: descriptor))
        owner = LogCalls.processID()
    }

    deinit {
        let isOwner = owner == LogCalls.processID()
        // In a forked child the lock may be held by a thread that does not exist there: never wait.
        _ = state.withLockIfAvailable { state in
            if isOwner { state.flush() }
            LogCalls.close(state.descriptor)
        }
    }

    /// Appends one line; the line end is added. The line must not hold one.
    func append(_ line: UnsafeRawBufferPointer) {
        state.withLock { state in
            guard state.isOpenForLine() else { return }
            state.buffer.append(line)
            state.endLine()
        }
    }

    /// Formats straight into the batch.
    func append(_ record: AccessRecord, as format: borrowing AccessFormat) {
        state.withLock { state in
            guard state.isOpenForLine() else { return }
            format.write(record, into: &state.buffer)
            state.endLine()
        }
    }

    /// Hands everything that waits to the destination. Cheap when nothing does.
    func flush() {
        state.withLock { $0.flush() }
    }

    /// Opens a file anew, for log rotation; other destinations stay as they are. On failure the old file
    /// is kept.
    func reopen(option: StaticString) throws(OptionError) {
        guard case .path(let path) = destination else { return }
        do {
            let fresh = try LogCalls.open(path: path)
            state.withLock { state in
                state.flush()
                LogCalls.close(state.descriptor)
                state.descriptor = fresh
                state.isStalled = false
            }
        } catch {
            throw OptionError(option: option, "cannot open \(path): \(LogCalls.errorText(error.code))")
        }
    }
}

extension LogSink.State {
    mutating func isOpenForLine() -> Bool {
        if isStalled && buffer.count >= LogSink.waitingBytesMax {
            lost += 1
            return false
        }
        return true
    }

    mutating func endLine() {
        buffer.append(UInt8(ascii: "\n"))
        if buffer.failed { discard(LogCalls.Failure.noMemory) }  // the line at hand is among the lost
        if buffer.count >= LogSink.waitingBytesMax && !isStalled { flush() }
    }

    mutating func flush() {
        guard buffer.count > 0 else { return }
        isStalled = false
        drain()
        guard buffer.count == 0, lost > 0 else { return }
        report()
        drain()
    }

    private mutating func drain() {
        while buffer.count > 0 {
            do {
                buffer.consume(try LogCalls.write(buffer.readable, to: descriptor))
            } catch {
                reason = error
                isStalled = error.isTemporary
                if !isStalled { discard(error) }
                return
            }
        }
        lostInReport = 0
        buffer.clear(keepingCapacity: 2 * LogSink.waitingBytesMax)
    }

    /// One line about the lines that are missing ahead of it.
    private mutating func report() {
        var text = "evy: \(lost) log \(lost == 1 ? "line" : "lines") lost: \(reason.text)\n"
        text.withUTF8 { buffer.append(UnsafeRawBufferPointer($0)) }
        lostInReport = lost
        lost = 0
    }

    private mutating func discard(_ failure: LogCalls.Failure) {
        reason = failure
        var lines: UInt64 = 0
        for byte in buffer.readable where byte == UInt8(ascii: "\n") { lines += 1 }
        // The report itself is no lost line; what it told is lost again.
        if lostInReport > 0 { lines = lostInReport + (lines > 0 ? lines - 1 : 0) }
        lost += lines
        lostInReport = 0
        buffer = ByteBuffer()
    }
}
