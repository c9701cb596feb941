// SPDX-License-Identifier: MIT
// ServerSeeing - a server's counters, its metrics as text, and its own log.
// Room: Evy (the Swift face). Spec: evy.h, chapter "seeing inside".
internal import CEvy

extension Server {
    /// What the server has done so far and is doing now, as one snapshot. Cheap; never waits for a request.
    public var counters: Counters { Counters(of: handle) }

    /// All counters in the text format of Prometheus, for a Content-Type of `text/plain; version=0.0.4`.
    public var metricsText: String {
        // evy.h: the text is always shorter.
        String(unsafeUninitializedCapacity: 16384) { room in
            let count = room.withMemoryRebound(to: CChar.self) {
                evy_server_metrics(handle, $0.baseAddress, $0.count)
            }
            return Swift.max(0, Int(count))
        }
    }

    /// One line in the server's own log: to `Options.onLog`, or to option error_log. Control bytes, line ends
    /// too, are written `\xNN`. Inside `onLog` it does nothing.
    public func log(_ level: Options.LogLevel, _ text: String) {
        var text = text
        text.withUTF8 { bytes in
            _ = bytes.withMemoryRebound(to: CChar.self) {
                evy_server_log(handle, level.rawValue, $0.baseAddress, $0.count)
            }
        }
    }

    /// Opens the files of options access_log and error_log anew, for log rotation.
    /// - Throws: ``EvyError`` `.io`, where a file cannot be opened; the old one is kept.
    public func reopenLogs() throws(EvyError) {
        try check(evy_server_reopen_logs(handle))
    }

    /// The least important level the server's own log takes; it can be set at any time.
    public var logLevel: Options.LogLevel {
        get { Options.LogLevel(rawValue: evy_server_log_level(handle)) ?? .info }
        set { _ = evy_server_set_log_level(handle, newValue.rawValue) }
    }
}
