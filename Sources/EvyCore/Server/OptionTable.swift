// SPDX-License-Identifier: MIT
// OptionTable - turns the list of options into names, types, bounds, defaults and one line of help each.
// Room: Server (pure). Spec: evy.h, "options": the one table behind C, Python, Swift and command lines.

/// One option. The default's text and the member's initial value in Options are kept equal by a test.
struct OptionRow: Sendable {
    typealias Path<Value> = any (WritableKeyPath<Options, Value> & Sendable)

    /// Where the value lives and which values it takes.
    enum Slot: Sendable {
        case int(Path<Int>, ClosedRange<Int64>)
        case size(Path<Int>, ClosedRange<Int64>)
        case time(Path<Int64>, ClosedRange<Int64>, forever: Bool)
        case bool(Path<Bool>)
        case text(Path<String>, fault: @Sendable (String) -> String?)
        case log(Path<LogDestination>)
        case choice(Choice)
    }

    struct Choice: Sendable {
        let names: String
        let read: @Sendable (Options) -> String
        let write: @Sendable (inout Options, String) -> Bool

        init<Value>(_ path: Path<Value>)
        where Value: RawRepresentable & CaseIterable & SendableMetatype, Value.RawValue == String {
            names = Value.allCases.map(\.rawValue).joined(separator: ", ")
            read = { $0[keyPath: path].rawValue }
            write = { options, text in
                guard let value = Value(rawValue: text) else { return false }
                options[keyPath: path] = value
                return true
            }
        }
    }

    let name: StaticString
    let slot: Slot
    let `default`: StaticString
    let help: StaticString

    init(_ name: StaticString, _ slot: Slot, _ standard: StaticString, _ help: StaticString) {
        self.name = name
        self.slot = slot
        self.default = standard
        self.help = help
    }

    /// The type's name in evy.h.
    var type: StaticString {
        switch slot {
        case .int: return "int"
        case .size: return "size"
        case .time: return "time"
        case .bool: return "bool"
        case .text, .log: return "text"
        case .choice: return "choice"
        }
    }

    func hasName(_ key: String) -> Bool {
        name.withUTF8Buffer { $0.elementsEqual(key.utf8) }
    }

    func error(_ reason: String) -> OptionError { OptionError(option: name, reason) }

    func checked(_ number: Int64, _ bounds: ClosedRange<Int64>) throws(OptionError) -> Int64 {
        guard bounds.contains(number) else {
            throw error("\(number) is not between \(bounds.lowerBound) and \(bounds.upperBound)")
        }
        return number
    }

    func checkedTime(
        _ number: Int64, _ bounds: ClosedRange<Int64>, _ forever: Bool
    ) throws(OptionError) -> Int64 {
        if forever && number == OptionValue.forever { return number }
        guard bounds.contains(number) else {
            let least = OptionValue.timeText(bounds.lowerBound)
            let most = OptionValue.timeText(bounds.upperBound)
            let given = number < 0 ? "\(number)" : OptionValue.timeText(number)
            throw error("\(given) is not between \(least) and \(most)" + (forever ? ", nor -1" : ""))
        }
        return number
    }
}

// Bounds. Deadlines end at 24 days, where their milliseconds still fit the int of epoll_wait; a deadline of
// 0 would cut every connection, so 0 is taken only where "do not wait" means something. Head limits stay far
// below 4 GiB, because ranges inside a head are 32 bits.
private let deadlineBounds: ClosedRange<Int64> = 1...2_073_600_000
private let waitBounds: ClosedRange<Int64> = 0...2_073_600_000
private let lineBounds: ClosedRange<Int64> = 64...(1 << 20)
private let bufferBounds: ClosedRange<Int64> = 0...(1 << 30)
private let countBounds: ClosedRange<Int64> = 0...Int64(Int32.max)

extension Options {
    static let table: [OptionRow] =
        capacityRows + limitRows + timeRows + faceRows + proxyRows + logRows + laxRows

    private static let capacityRows: [OptionRow] = [
        OptionRow(
            "loops", .int(\.loops, 0...256), "1",
            "event loops, each on a thread of its own; 0: one for each processor it may use"),
        OptionRow(
            "threads", .int(\.threads, 1...1024), "32",
            "most threads of each loop that run handlers side by side; 1: the loop waits for each handler"),
        OptionRow(
            "waiting_threads", .int(\.waitingThreads, 0...10_000), "256",
            "most handlers of each loop that wait for their clients beside those"),
        OptionRow(
            "lent_threads", .bool(\.lentThreads), "false",
            "run handlers on threads lent by evy_server_work alone; the library makes none for them"),
        OptionRow(
            "pull", .bool(\.pull), "false",
            "no handler: threads of the host take requests with evy_server_next"),
        OptionRow(
            "backlog", .int(\.backlog, 1...65535), "1024",
            "connections that may wait to be accepted"),
        OptionRow(
            "max_connections", .int(\.maxConnections, 1...10_000_000), "10000",
            "open connections, idle ones included; further clients wait"),
        OptionRow(
            "keep_alive", .bool(\.keepAlive), "true",
            "keep connections open between requests"),
        OptionRow(
            "max_requests_per_connection", .int(\.maxRequestsPerConnection, countBounds), "0",
            "close a connection after so many requests; 0: no limit"),
        OptionRow(
            "max_http_version", .choice(.init(\.maxHttpVersion)), "1.1",
            "version on the status line; 1.0 also turns off chunked answers and unasked keep-alive"),
    ]

    private static let limitRows: [OptionRow] = [
        OptionRow(
            "max_request_line", .size(\.maxRequestLine, lineBounds), "8k",
            "a request line that reaches this, line end counted, is answered 414"),
        OptionRow(
            "max_header_line", .size(\.maxHeaderLine, lineBounds), "8k",
            "a header line that reaches this, line end counted, is answered 431"),
        OptionRow(
            "max_header_size", .size(\.maxHeaderSize, 64...(1 << 20)), "64k",
            "longest request head, else 431"),
        OptionRow(
            "max_headers", .int(\.maxHeaders, 1...10_000), "100",
            "most header lines of a request, else 431"),
        OptionRow(
            "header_size_status", .int(\.headerSizeStatus, 400...499), "431",
            "status in place of 431 where a header line or the request head is too long"),
        OptionRow(
            "max_body_size", .size(\.maxBodySize, 0...(1 << 60)), "16m",
            "longest request body, else 413; 0: no limit"),
        OptionRow(
            "body", .choice(.init(\.body)), "buffer",
            "buffer: a request is handed over with its whole body; stream: with its head; auto: see evy.h"),
    ]

    private static let timeRows: [OptionRow] = [
        OptionRow(
            "handshake_timeout", .time(\.handshakeTimeout, deadlineBounds, forever: true), "10s",
            "time for a TLS handshake"),
        OptionRow(
            "header_timeout", .time(\.headerTimeout, deadlineBounds, forever: true), "15s",
            "time from the first byte of a request head to its end, else 408"),
        OptionRow(
            "idle_timeout", .time(\.idleTimeout, waitBounds, forever: true), "75s",
            "time a kept connection may wait for its next request"),
        OptionRow(
            "body_timeout", .time(\.bodyTimeout, deadlineBounds, forever: true), "30s",
            "length of a window of a request body; each must bring body_min_rate, so a pause may span two"),
        OptionRow(
            "body_min_rate", .int(\.bodyMinRate, 0...(1 << 30)), "240",
            "bytes a second a request body must bring on average; 0: any"),
        OptionRow(
            "write_timeout", .time(\.writeTimeout, deadlineBounds, forever: true), "60s",
            "longest time in which a client takes no byte of its answer"),
        OptionRow(
            "linger_timeout", .time(\.lingerTimeout, waitBounds, forever: false), "2s",
            "time to read on after the last answer, so that the client can read it"),
        OptionRow(
            "drain_delay", .time(\.drainDelay, waitBounds, forever: false), "0s",
            "time in which a stopping server still takes a request from its idle connections"),
        OptionRow(
            "linger_bytes", .size(\.lingerBytes, bufferBounds), "1g",
            "bytes to read on after the last answer; fewer than both kernels hold may reset it"),
        OptionRow(
            "write_high_water", .size(\.writeHighWater, 1...(1 << 30)), "256k",
            "unsent bytes of an answer above which its writer is told to slow down"),
        OptionRow(
            "write_low_water", .size(\.writeLowWater, bufferBounds), "64k",
            "unsent bytes below which it may go on"),
    ]

    private static let faceRows: [OptionRow] = [
        OptionRow(
            "reuse_port", .bool(\.reusePort), "false",
            "set SO_REUSEPORT, so that several processes can listen on one address"),
        OptionRow(
            "server_header", .text(\.serverHeader, fault: headerFault), "",
            "value of a Server header in every answer; empty: none"),
        OptionRow(
            "script_name", .text(\.scriptName, fault: scriptNameFault), "",
            "SCRIPT_NAME of every request: where the application is mounted, not percent-encoded"),
        OptionRow(
            "request_id_header", .text(\.requestIDHeader, fault: requestIDHeaderFault), "",
            "header with a request's id, such as X-Request-ID: environ always has it, made here if need be"),
        OptionRow(
            "underscore_headers", .choice(.init(\.underscoreHeaders)), "drop",
            "headers whose name holds _: drop them from environ, refuse the request, or allow them"),
        OptionRow(
            "header_join", .choice(.init(\.headerJoin)), "comma-space",
            "what joins repeated headers in environ"),
        OptionRow(
            "server_protocol_fixed", .bool(\.serverProtocolFixed), "false",
            "SERVER_PROTOCOL is always HTTP/1.0, as in the ancestors"),
    ]

    private static let logRows: [OptionRow] = [
        OptionRow(
            "access_log", .log(\.accessLog), "off",
            "where the access log goes: off, stderr, fd:N or a file"),
        OptionRow(
            "access_log_format", .text(\.accessLogFormat, fault: AccessFormat.fault), AccessFormat.ancestors,
            "common, combined, json, or a format of your own with %(field)s"),
        OptionRow(
            "log_x_forwarded_for", .bool(\.logXForwardedFor), "false",
            "put X-Forwarded-For ahead of client_ip in the access log; any client can send it"),
        OptionRow(
            "error_log", .log(\.errorLog), "stderr",
            "where the server's own log goes: off, stderr, fd:N or a file"),
        OptionRow(
            "log_level", .choice(.init(\.logLevel)), "info",
            "least important line the server's own log takes"),
    ]

    private static let laxRows: [OptionRow] = [
        OptionRow(
            "allow_missing_host", .bool(\.allowMissingHost), "false",
            "take HTTP/1.1 requests without a Host header"),
        OptionRow(
            "allow_unknown_expect", .bool(\.allowUnknownExpect), "false",
            "pass over what Expect asks for beside 100-continue, instead of 417"),
        OptionRow(
            "allow_bare_lf", .bool(\.allowBareLf), "false",
            "take LF alone as a line end in request heads"),
        OptionRow(
            "allow_obs_fold", .bool(\.allowObsFold), "false",
            "take header values continued on a further line"),
        OptionRow(
            "lenient_content_length", .bool(\.lenientContentLength), "false",
            "take a repeated Content-Length when all are equal"),
        OptionRow(
            "allow_encoded_nul", .bool(\.allowEncodedNul), "false",
            "take %00 in a path"),
    ]
}

// MARK: - Texts that are more than text

/// A field value of RFC 9110 section 5.5: no control bytes, so it cannot end the line it is put on.
@Sendable private func headerFault(_ value: String) -> String? {
    if value.utf8.contains(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7f }) {
        return "\(OptionValue.quoted(value)) holds a control byte"
    }
    let ends = [value.utf8.first, value.utf8.last]
    guard ends.contains(0x20) || ends.contains(0x09) else { return nil }
    return "\(OptionValue.quoted(value)) begins or ends with a space"
}

/// What the library reads in its own places, or the host's programs take for something else (HTTP_PROXY).
private let meaningfulHeaders: Set<String> = [
    "forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "proxy", "proxy-authorization",
    "range", "traceparent",
]

/// The name of a header that means nothing else to the library. An underscore would be dropped from environ.
@Sendable private func requestIDHeaderFault(_ value: String) -> String? {
    if value.isEmpty { return nil }
    let isName = value.utf8.count <= 64 && value.utf8.allSatisfy { ASCII.isTokenChar($0) && $0 != 0x5f }
    guard isName else { return "\(OptionValue.quoted(value)) is not the name of a header" }
    let bytes = Array(value.utf8)
    let known = KnownField.named(bytes.span.bytes, ByteRange(0, bytes.count))
    return known == .other && !meaningfulHeaders.contains(value.lowercased())
        ? nil : "\(OptionValue.quoted(value)) is a header with a meaning of its own"
}

/// SCRIPT_NAME is empty or begins with "/" and does not end with it: PATH_INFO brings the next one.
@Sendable private func scriptNameFault(_ value: String) -> String? {
    if value.isEmpty { return nil }
    if value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
        return "\(OptionValue.quoted(value)) holds a control byte"
    }
    guard value.hasPrefix("/") else { return "\(OptionValue.quoted(value)) does not begin with /" }
    if isEncoded(value.utf8) {
        return "\(OptionValue.quoted(value)) is percent-encoded: it is looked for in the decoded path"
    }
    return value.hasSuffix("/") ? "\(OptionValue.quoted(value)) ends with /" : nil
}

private func isEncoded(_ text: String.UTF8View) -> Bool {
    let digits = text.dropFirst().map(ASCII.isHexDigit)
    return zip(text, zip(digits, digits.dropFirst())).contains { $0 == 0x25 && $1.0 && $1.1 }
}
