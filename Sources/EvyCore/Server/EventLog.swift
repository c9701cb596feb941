// SPDX-License-Identifier: MIT
// EventLog - the server's own lines: to the host's callback, or to the destination of option error_log.
// Room: Server.

internal import Synchronization

final class EventLog: Sendable {
    private let sink: LogSink?
    private let callback: HostCallback<LogFunction>?
    private let levelMax: Int32
    /// The host is promised one line at a time.
    private let order = Mutex<Void>(())

    init(_ configuration: Configuration) throws(OptionError) {
        callback = configuration.log
        levelMax = configuration.options.logLevel.code
        sink = callback == nil ? try LogSink.open(configuration.options.errorLog, option: "error_log") : nil
    }

    func wants(_ level: LogLevel) -> Bool { level.rawValue <= levelMax }

    func write(_ level: LogLevel, _ text: String) {
        guard wants(level) else { return }
        // Swift strings end without a NUL; the host is promised one behind the text.
        var terminated = text + "\0"
        terminated.withUTF8 { all in
            let bytes = UnsafeBufferPointer(rebasing: all.dropLast())
            if let callback {
                order.withLock { _ in
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
