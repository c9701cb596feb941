// SPDX-License-Identifier: MIT
// EventLog - the server's own lines: to the host's callback, or to the destination of option error_log.
// Room: Server.

internal import Synchronization

final class EventLog: Sendable {
    private let sink: LogSink?
    private let callback: HostCallback<LogFunction>?
    private let levelMax: Atomic<Int32>
    /// The host is promised one line at a time.
    private let order = Locked<Void>(())
    /// The thread in the host's callback, 0: none.
    private let speaker = Atomic<UInt>(0)

    init(_ configuration: Configuration) throws(OptionError) {
        callback = configuration.log
        levelMax = Atomic(configuration.options.logLevel.code)
        sink = callback == nil ? try LogSink.open(configuration.options.errorLog, option: "error_log") : nil
    }

    func reopen() throws(OptionError) { try sink?.reopen(option: "error_log") }

    /// The least important level that is taken.
    var level: Int32 { levelMax.load(ordering: .relaxed) }

    func setLevel(_ level: LogLevel) { levelMax.store(level.rawValue, ordering: .relaxed) }

    func wants(_ level: LogLevel) -> Bool { level.rawValue <= self.level }

    /// Is the calling thread in the host's callback? A line of its own would wait for itself.
    var isInCallback: Bool { speaker.load(ordering: .relaxed) == Thread.current }

    /// Text of the host or of its clients as one line: bytes that could end or forge one are escaped.
    func write(_ level: LogLevel, foreign bytes: UnsafeRawBufferPointer) {
        guard wants(level) else { return }
        var line = ByteBuffer()
        for byte in bytes {
            if byte >= 0x20 && byte != 0x7f || byte == 0x09 {
                line.append(byte)
            } else {
                line.append("\\x")
                if byte < 0x10 { line.append("0") }
                line.append(hex: UInt64(byte))
            }
        }
        if !line.failed { write(level, String(decoding: line.readable, as: UTF8.self)) }
    }

    func write(_ level: LogLevel, _ text: String) {
        guard wants(level) else { return }
        if isInCallback { return }
        // Swift strings end without a NUL; the host is promised one behind the text.
        var terminated = text + "\0"
        terminated.withUTF8 { all in
            let bytes = UnsafeBufferPointer(rebasing: all.dropLast())
            if let callback {
                order.withLock { _ in
                    speaker.store(Thread.current, ordering: .relaxed)
                    defer { speaker.store(0, ordering: .relaxed) }
                    bytes.withMemoryRebound(to: CChar.self) {
                        callback.function(callback.user, level.rawValue, $0.baseAddress, $0.count)
                    }
                }
            } else if let sink {
                sink.append(UnsafeRawBufferPointer(bytes))
                sink.flush()
            }
        }
    }
}
