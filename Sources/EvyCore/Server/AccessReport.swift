// SPDX-License-Identifier: MIT
// AccessReport - turns finished exchanges into access lines: batched to a destination, or for a callback.
// Room: Server. Thread: the holder of the loop.

internal import CSystem

final class AccessReport {
    private let format: AccessFormat
    private let sink: LogSink?
    private let givesHeaderID: Bool
    private let callback: HostCallback<AccessFunction>?
    private var line = ByteBuffer()
    private let showsForwardedFor: Bool
    /// Shared with the server's other loops, where there are any.
    private let gate: Condition?
    private let clientText: UnsafeMutableRawBufferPointer

    /// nil: nobody wants access lines.
    init?(_ configuration: Configuration, gate: Condition?) throws(OptionError) {
        self.gate = gate
        callback = configuration.access
        let options = configuration.options
        sink =
            callback == nil
            ? try LogSink.open(
                options.accessLog, option: "access_log", isJSON: options.accessLogFormat == "json") : nil
        givesHeaderID = !options.requestIDHeader.isEmpty
        if callback == nil, sink == nil { return nil }
        showsForwardedFor = options.logXForwardedFor
        format = try AccessFormat(
            options.accessLogFormat, showsForwardedFor: showsForwardedFor)
        // Last: deinit does not run for an object that was never complete.
        clientText = .allocate(byteCount: evy_address.textMax, alignment: 1)
    }

    deinit { clientText.deallocate() }

    func reopen() throws(OptionError) { try sink?.reopen(option: "access_log") }

    func write(_ exchange: ExchangeRef) {
        let record = record(of: exchange)
        guard let callback else {
            sink?.append(record, as: format)
            return
        }
        line.clear(keepingCapacity: 16384)
        format.write(record, into: &line)
        let count = line.count
        line.append(0)
        gate?.lock()
        defer { gate?.unlock() }
        callback.function(
            callback.user, exchange.pointee.environ.isRefused ? nil : OpaquePointer(exchange),
            line.readable.baseAddress?.assumingMemoryBound(to: CChar.self), count)
    }

    /// True: lines wait on, and need another call. Any thread.
    func flush() -> Bool { sink?.flush() ?? false }

    func beginEnd(by moment: Int64) { sink?.beginEnd(by: moment) }

    /// Lends memory of the exchange, and of this object for the client's address.
    private func record(of exchange: ExchangeRef) -> AccessRecord {
        var record = AccessRecord()
        let head = exchange.pointee.head
        // Behind X-Forwarded-For, as the ancestors show it, stands the peer itself.
        let client =
            showsForwardedFor ? exchange.pointee.peer : exchange.withLock { exchange.clientAddress() }
        let count = client.write(into: clientText)
        record.clientIP = UnsafeRawBufferPointer(rebasing: clientText[..<count])
        record.clientPort = client.isUnix || client.port == 0 ? -1 : Int64(client.port)
        record.requestLine = exchange.text(head.requestLine)
        record.method = exchange.text(head.methodName)
        record.path = exchange.text(head.path)
        record.query = exchange.text(head.query)
        if !record.method.isEmpty {
            record.protocol = Self.bytes(head.minorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1")
        }
        var traces = 0
        var trace = UnsafeRawBufferPointer(start: nil, count: 0)
        for index in exchange.fieldIndices {
            let slot = exchange.pointee.fields[index]
            switch slot.known {
            case .host: record.host = exchange.text(slot.value)
            case .userAgent: record.userAgent = exchange.text(slot.value)
            case .referer: record.referer = exchange.text(slot.value)
            case .xForwardedFor where record.forwardedFor.isEmpty && exchange.showsForwardedFor:
                // Several lines are one list, as in environ.
                record.forwardedFor = exchange.withLock { exchange.joinedValue(index) } ?? record.forwardedFor
            case .other where TraceParent.isName(exchange.text(slot.name)):
                traces += 1
                trace = exchange.text(slot.value)
            default: break
            }
        }
        // Two of them are as good as none (W3C Trace Context, section 4.3).
        if traces == 1, TraceParent(trace) != nil {
            record.traceID = UnsafeRawBufferPointer(rebasing: trace[TraceParent.traceID])
            record.parentID = UnsafeRawBufferPointer(rebasing: trace[TraceParent.parentID])
        }
        if format.showsHeaderID, givesHeaderID, !exchange.pointee.environ.isRefused {
            record.headerID = exchange.withLock { exchange.requestID() } ?? record.headerID
        }
        record.status = exchange.statistic(.status)
        record.headBytes = exchange.statistic(.headOut)
        record.bodyBytes = exchange.statistic(.bodyOut)
        record.wireBytes = exchange.statistic(.wireOut)
        record.interimBytes = Int64(clamping: exchange.pointee.interimBytes)
        record.ackedBytes = exchange.statistic(.acked)
        record.bytesReceived = exchange.statistic(.bodyIn)
        record.wireReceived = exchange.statistic(.wireIn)
        record.requestID = Int64(clamping: exchange.pointee.id)
        record.requestsOnConnection = Int64(exchange.pointee.requestNumber)
        record.microsTotal = exchange.statistic(.microsecondsTotal)
        record.microsFirstByte = exchange.statistic(.microsecondsFirstByte)
        record.wallSeconds = Clock.secondsSinceEpoch
        record.pid = Int64(evy_process())
        record.tls = exchange.pointee.isTLS
        record.end = exchange.pointee.end == .complete ? nil : exchange.pointee.end.name
        return record
    }

    private static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }
}
