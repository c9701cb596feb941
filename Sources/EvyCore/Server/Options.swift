// SPDX-License-Identifier: MIT
// Options - turns option names and texts into the typed settings of one server.
// Room: Server (pure). Spec: evy.h, "options". Table: OptionTable.swift.

/// A refused option. `text` is complete: it names the option and what is wrong with the value.
struct OptionError: Error, Equatable {
    var isUnknown = false
    var text: String

    init(unknown key: String) {
        isUnknown = true
        text = "unknown option \(OptionValue.quoted(key))"
    }
    init(option: StaticString, _ reason: String) {
        text = "option \(option): \(reason)"
    }
}

/// Every setting of a server, at its default until set. Times are milliseconds (-1 for ever), sizes bytes.
/// A value type: the snapshot a server takes is simply a copy.
struct Options: Sendable {
    enum HttpVersion: String, CaseIterable { case http10 = "1.0", http11 = "1.1" }
    enum LogLevel: String, CaseIterable { case error, warn, info, debug }
    enum UnderscoreHeaders: String, CaseIterable { case drop, refuse, allow }
    enum HeaderJoin: String, CaseIterable { case commaSpace = "comma-space", comma }

    var loops = 1
    var threads = 32
    var waitingThreads = 256
    var lentThreads = false
    var pull = false
    var backlog = 1024
    var maxConnections = 10000
    var keepAlive = true
    var maxRequestsPerConnection = 0
    var maxHttpVersion = HttpVersion.http11
    var maxRequestLine = 8 << 10
    var maxHeaderLine = 8 << 10
    var maxHeaderSize = 64 << 10
    var maxHeaders = 100
    var headerSizeStatus = 431
    var maxBodySize = 16 << 20
    var body = BodyDelivery.buffer
    var handshakeTimeout: Int64 = 10_000
    var headerTimeout: Int64 = 15_000
    var idleTimeout: Int64 = 75_000
    var bodyTimeout: Int64 = 30_000
    var bodyMinRate = 240
    var writeTimeout: Int64 = 60_000
    var lingerTimeout: Int64 = 2_000
    var drainDelay: Int64 = 0
    var lingerBytes = 1 << 30
    var writeHighWater = 256 << 10
    var writeLowWater = 64 << 10
    var reusePort = false
    var serverHeader = ""
    var scriptName = ""
    var requestIDHeader = ""
    var accessLog = LogDestination.off
    var accessLogFormat = "\(AccessFormat.ancestors)"
    var logXForwardedFor = false
    var errorLog = LogDestination.stderr
    var logLevel = LogLevel.info
    var underscoreHeaders = UnderscoreHeaders.drop
    var headerJoin = HeaderJoin.commaSpace
    var allowMissingHost = false
    var allowUnknownExpect = false
    var allowBareLf = false
    var allowObsFold = false
    var lenientContentLength = false
    var allowEncodedNul = false
    var serverProtocolFixed = false
    var proxyProtocol = ProxyProtocol.off
    var trustedProxies = ""
    var forwardedHeaders = "x-forwarded-for x-forwarded-proto"

    /// Sets an option from text. On an error nothing has changed.
    mutating func set(_ key: String, _ value: String) throws(OptionError) {
        let row = try Options.row(key)
        // A NUL would cut the value short at the next C call.
        guard !value.utf8.contains(0) else { throw row.error("the value holds a NUL byte") }
        switch row.slot {
        case .int(let path, let bounds):
            guard let number = OptionValue.wholeNumber(value) else {
                throw row.error("\(OptionValue.quoted(value)) is not a whole number")
            }
            self[keyPath: path] = Int(try row.checked(number, bounds))
        case .size(let path, let bounds):
            guard let number = OptionValue.size(value) else {
                throw row.error("\(OptionValue.quoted(value)) is not a size such as 512, 64k, 16m or 1g")
            }
            self[keyPath: path] = Int(try row.checked(number, bounds))
        case .time(let path, let bounds, let forever):
            guard let number = OptionValue.time(value) else {
                throw row.error("\(OptionValue.quoted(value)) is not a time such as 500ms, 30s, 2m or -1")
            }
            self[keyPath: path] = try row.checkedTime(number, bounds, forever)
        case .bool(let path):
            guard let flag = OptionValue.flag(value) else {
                throw row.error("\(OptionValue.quoted(value)) is neither true nor false")
            }
            self[keyPath: path] = flag
        case .text(let path, let fault):
            if let reason = fault(value) { throw row.error(reason) }
            self[keyPath: path] = value
        case .log(let path):
            guard let destination = LogDestination(value) else {
                throw row.error(LogDestination.fault(value))
            }
            self[keyPath: path] = destination
        case .choice(let choice):
            guard choice.write(&self, value) else {
                throw row.error("\(OptionValue.quoted(value)) is not one of \(choice.names)")
            }
        }
    }

    /// Sets an option from a number: counts and switches as such, sizes in bytes, times in milliseconds.
    mutating func set(_ key: String, number: Int64) throws(OptionError) {
        let row = try Options.row(key)
        switch row.slot {
        case .int(let path, let bounds), .size(let path, let bounds):
            self[keyPath: path] = Int(try row.checked(number, bounds))
        case .time(let path, let bounds, let forever):
            self[keyPath: path] = try row.checkedTime(number, bounds, forever)
        case .bool(let path):
            guard number == 0 || number == 1 else { throw row.error("\(number) is neither 0 nor 1") }
            self[keyPath: path] = number == 1
        case .text, .log, .choice:
            throw row.error("takes text, not a number")
        }
    }

    /// The value in its canonical text, which `set` takes back unchanged. nil: no such option.
    func get(_ key: String) -> String? {
        guard let row = Options.find(key) else { return nil }
        switch row.slot {
        case .int(let path, _): return "\(self[keyPath: path])"
        case .size(let path, _): return OptionValue.sizeText(Int64(self[keyPath: path]))
        case .time(let path, _, _): return OptionValue.timeText(self[keyPath: path])
        case .bool(let path): return self[keyPath: path] ? "true" : "false"
        case .text(let path, _): return self[keyPath: path]
        case .log(let path): return self[keyPath: path].text
        case .choice(let choice): return choice.read(self)
        }
    }

    /// What no single option can know. Called when a server takes its snapshot, because options may be set
    /// in any order.
    func check() throws(OptionError) {
        guard writeLowWater <= writeHighWater else {
            let high = OptionValue.sizeText(Int64(writeHighWater))
            let low = OptionValue.sizeText(Int64(writeLowWater))
            throw OptionError(option: "write_low_water", "\(low) is above write_high_water, \(high)")
        }
    }

    /// Bytes that are no text: to mend them would be to set something else, a file of another name.
    static func notUTF8(_ key: String) -> OptionError {
        find(key)?.error("the value is not UTF-8") ?? OptionError(unknown: key)
    }

    static func find(_ key: String) -> OptionRow? {
        table.first { $0.hasName(key) }
    }

    private static func row(_ key: String) throws(OptionError) -> OptionRow {
        guard let row = find(key) else { throw OptionError(unknown: key) }
        return row
    }
}

extension Options.LogLevel {
    /// EVY_LOG_ERROR ... EVY_LOG_DEBUG of evy.h.
    var code: Int32 {
        switch self {
        case .error: return 1
        case .warn: return 2
        case .info: return 3
        case .debug: return 4
        }
    }
}
