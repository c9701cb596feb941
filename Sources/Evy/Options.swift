// SPDX-License-Identifier: MIT
// Options - what a server is like: the options of evy.h as typed members, and every one of them by name.
// Room: Evy (the Swift face).

/// The options of a server. What is nil, or was never set, has the library's default.
///
/// Values are checked when a `Server` is made; it throws an `EvyError` that names the option.
/// `Library.options` lists all of them with type, default and meaning.
///
/// ```swift
/// var options = Options()
/// options.maxBodySize = 1 << 20
/// options.idleTimeout = .seconds(30)
/// options["max_headers"] = "200"
/// ```
public struct Options: Sendable {
    /// Whether handlers get a request with its whole body, or at once with a body to be read.
    public enum BodyMode: String, Sendable { case buffer, stream, auto }

    /// Where lines of a log go.
    public enum LogTarget: Sendable, Hashable {
        case off
        case standardError
        case descriptor(Int32)
        case file(String)
    }

    public enum LogLevel: Int32, Sendable, Comparable {
        case error = 1
        case warn, info, debug

        public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
    }

    private(set) var texts: [String: String] = [:]

    /// Pairs that every request's environ gets ahead of its own.
    public var environ: [String: String] = [:]

    /// The server's own lines, errors of handlers among them, without line ends, instead of option error_log.
    ///
    /// Thread: any of the library's, one at a time. Must not block.
    public var onLog: (@Sendable (_ level: LogLevel, _ text: String) -> Void)?

    /// Once per finished request, after its hooks: the formatted access line, without a line end, and the
    /// request, which may be read but no longer answered. Instead of option access_log. The request has no
    /// environ (`isRefused`) where it was refused before it could reach a handler.
    ///
    /// Thread: a thread of the library. Must not block.
    public var onAccess: (@Sendable (_ request: borrowing Request, _ line: String) -> Void)?

    public init() {}

    /// Any option by its name in evy.h, as text: "8", "64k", "30s", "true". nil: the default.
    public subscript(name: String) -> String? {
        get { texts[name] }
        set { texts[name] = newValue }
    }

    // MARK: Capacity

    /// Event loops, each on a thread of its own (1...256); 0: one for each processor the process may use.
    public var loops: Int? {
        get { number("loops") }
        set { set("loops", newValue) }
    }

    /// Most threads of each loop that run handlers side by side (1...1024). With 1 the loop waits for each
    /// handler.
    public var threads: Int? {
        get { number("threads") }
        set { set("threads", newValue) }
    }
    /// Connections that may wait to be accepted.
    public var backlog: Int? {
        get { number("backlog") }
        set { set("backlog", newValue) }
    }
    /// Open connections, idle ones included; further clients wait.
    public var maxConnections: Int? {
        get { number("max_connections") }
        set { set("max_connections", newValue) }
    }
    /// Whether connections stay open between requests.
    public var keepAlive: Bool? {
        get { flag("keep_alive") }
        set { set("keep_alive", newValue) }
    }
    /// 0: no limit.
    public var maxRequestsPerConnection: Int? {
        get { number("max_requests_per_connection") }
        set { set("max_requests_per_connection", newValue) }
    }
    /// Lets several processes listen on one address.
    public var reusePort: Bool? {
        get { flag("reuse_port") }
        set { set("reuse_port", newValue) }
    }

    // MARK: Limits, in bytes

    /// Longest request head.
    public var maxHeaderSize: Int? {
        get { number("max_header_size") }
        set { set("max_header_size", newValue) }
    }
    /// Longest request body; 0: no limit.
    public var maxBodySize: Int? {
        get { number("max_body_size") }
        set { set("max_body_size", newValue) }
    }
    /// Unsent bytes of an answer above which its writer is held up, or told `Flow.full`.
    public var writeHighWater: Int? {
        get { number("write_high_water") }
        set { set("write_high_water", newValue) }
    }
    /// Unsent bytes below which it may go on.
    public var writeLowWater: Int? {
        get { number("write_low_water") }
        set { set("write_low_water", newValue) }
    }

    // MARK: Requests

    /// `.buffer`: `Request.body` has it all. `.stream`: `Request.read` and `Request.onBody` bring it.
    public var body: BodyMode? {
        get { self["body"].flatMap(BodyMode.init) }
        set { self["body"] = newValue?.rawValue }
    }
    /// The path under which the program lives, "/app".
    public var scriptName: String? {
        get { self["script_name"] }
        set { self["script_name"] = newValue }
    }
    /// The value of a Server field; "" for none.
    public var serverHeader: String? {
        get { self["server_header"] }
        set { self["server_header"] = newValue }
    }
}

// MARK: Deadlines

extension Options {
    /// For a TLS handshake.
    public var handshakeTimeout: Duration? {
        get { time("handshake_timeout") }
        set { set("handshake_timeout", newValue) }
    }
    /// From the first byte of a request head to its end.
    public var headerTimeout: Duration? {
        get { time("header_timeout") }
        set { set("header_timeout", newValue) }
    }
    /// How long a kept connection may wait for its next request.
    public var idleTimeout: Duration? {
        get { time("idle_timeout") }
        set { set("idle_timeout", newValue) }
    }
    /// The length of a window of a request body. Each must bring `body_min_rate`, so a pause may span two.
    public var bodyTimeout: Duration? {
        get { time("body_timeout") }
        set { set("body_timeout", newValue) }
    }
    /// The longest time in which a client takes no byte of its answer.
    public var writeTimeout: Duration? {
        get { time("write_timeout") }
        set { set("write_timeout", newValue) }
    }
}

// MARK: Logs

extension Options {
    /// One line per request; off by default.
    public var accessLog: LogTarget? {
        get { target("access_log") }
        set { self["access_log"] = newValue?.text }
    }
    /// "common", "combined", "json", or with fields: `%(client_ip)s`, `%(wire_bytes)s`, `%(aborted)s`.
    public var accessLogFormat: String? {
        get { self["access_log_format"] }
        set { self["access_log_format"] = newValue }
    }
    /// The header that carries a request's id, such as "X-Request-ID": every request then has one.
    public var requestIDHeader: String? {
        get { self["request_id_header"] }
        set { self["request_id_header"] = newValue }
    }
    /// The server's own lines; standard error by default.
    public var errorLog: LogTarget? {
        get { target("error_log") }
        set { self["error_log"] = newValue?.text }
    }
    /// The chattiest level that is logged.
    public var logLevel: LogLevel? {
        get { self["log_level"].flatMap(LogLevel.init(text:)) }
        set { self["log_level"] = newValue.map { "\($0)" } }
    }
}

extension Options.LogLevel {
    fileprivate init?(text: String) {
        switch text {
        case "error": self = .error
        case "warn": self = .warn
        case "info": self = .info
        case "debug": self = .debug
        default: return nil
        }
    }
}

extension Options.LogTarget {
    fileprivate init(text: String) {
        if text == "off" {
            self = .off
        } else if text == "stderr" {
            self = .standardError
        } else if text.hasPrefix("fd:"), let number = Int32(text.dropFirst(3)) {
            self = .descriptor(number)
        } else {
            self = .file(text)
        }
    }

    fileprivate var text: String {
        switch self {
        case .off: return "off"
        case .standardError: return "stderr"
        case .descriptor(let number): return "fd:\(number)"
        case .file(let path): return path
        }
    }
}

// MARK: Values as text and back. What was set by name in another notation ("64k") reads as nil.

extension Options {
    private func number(_ name: String) -> Int? { self[name].flatMap { Int($0) } }
    private func flag(_ name: String) -> Bool? { self[name].flatMap(Bool.init) }
    private func target(_ name: String) -> LogTarget? { self[name].map(LogTarget.init(text:)) }

    private func time(_ name: String) -> Duration? {
        guard let text = self[name] else { return nil }
        if text == "-1" { return .forever }
        return text.hasSuffix("ms") ? Int64(text.dropLast(2)).map { .milliseconds($0) } : nil
    }

    private mutating func set(_ name: String, _ value: Int?) { self[name] = value.map { "\($0)" } }
    private mutating func set(_ name: String, _ value: Bool?) { self[name] = value.map { "\($0)" } }

    private mutating func set(_ name: String, _ value: Duration?) {
        self[name] = value.map { $0 >= .forever ? "-1" : "\($0.evyMilliseconds)ms" }
    }
}
