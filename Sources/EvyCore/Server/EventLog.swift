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

    /// True: lines wait on, and need another call.
    func flush() -> Bool { sink?.flush() ?? false }

    func beginEnd(by moment: Int64) { sink?.beginEnd(by: moment) }

    /// The least important level that is taken.
    var level: Int32 { levelMax.load(ordering: .relaxed) }

    func setLevel(_ level: LogLevel) { levelMax.store(level.rawValue, ordering: .relaxed) }

    func wants(_ level: LogLevel) -> Bool { level.rawValue <= self.level }

    /// Is the calling thread in the host's callback? A line of its own would wait for itself.
    var isInCallback: Bool { speaker.load(ordering: .relaxed) == Thread.current }

    /// Text of the host or of its clients as one line: bytes that could end or forge one, or steer a
    /// terminal, are escaped. True as for `write`.
    func write(_ level: LogLevel, foreign bytes: UnsafeRawBufferPointer) -> Bool {
        guard wants(level) else { return false }
        var line = ByteBuffer()
        var index = 0
        while index < bytes.count {
            let count = Self.controlCount(bytes, at: index)
            if count == 0 { line.append(bytes[index]) }
            for byte in bytes[index..<index + count] {
                line.append(byte < 0x10 ? "\\x0" : "\\x")
                line.append(hex: UInt64(byte))
            }
            index += max(1, count)
        }
        return line.failed ? false : write(level, String(decoding: line.readable, as: UTF8.self))
    }

    /// Bytes of a control character that begins here, or of a line end that only Unicode knows; 0: of none.
    private static func controlCount(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let byte = bytes[index]
        guard byte >= 0x20, byte != 0x7f else { return byte == 0x09 ? 0 : 1 }
        let second = index + 1 < bytes.count ? bytes[index + 1] : 0
        // U+0080 to U+009F, in UTF-8
        if byte == 0xc2, 0x80...0x9f ~= second { return 2 }
        // U+2028 and U+2029
        let isSeparator =
            byte == 0xe2 && second == 0x80 && index + 2 < bytes.count && bytes[index + 2] & 0xfe == 0xa8
        return isSeparator ? 3 : 0
    }

    /// True: lines wait on, and need a flush later.
    func write(_ level: LogLevel, _ text: String) -> Bool {
        guard wants(level), !isInCallback else { return false }
        // Swift strings end without a NUL; the host is promised one behind the text.
        var terminated = text + "\0"
        return terminated.withUTF8 { all in
            let bytes = UnsafeBufferPointer(rebasing: all.dropLast())
            if let callback {
                order.withLock { _ in
                    speaker.store(Thread.current, ordering: .relaxed)
                    defer { speaker.store(0, ordering: .relaxed) }
                    bytes.withMemoryRebound(to: CChar.self) {
                        callback.function(callback.user, level.rawValue, $0.baseAddress, $0.count)
                    }
                }
                return false
            }
            sink?.append(UnsafeRawBufferPointer(bytes))
            return flush()
        }
    }
}
