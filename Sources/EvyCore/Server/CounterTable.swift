// SPDX-License-Identifier: MIT
// CounterTable - the name, the type and the meaning of each counter, as hosts and Prometheus see them.
// Room: Server (pure). Spec: the text format of Prometheus, version 0.0.4.

/// One counter. Rows of one family follow each other and share its type and help.
struct CounterRow: Sendable {
    /// "evy_responses_total{status=\"2xx\"}": the whole name of the series.
    let name: StaticString
    let isGauge: Bool
    let help: StaticString

    init(_ name: StaticString, gauge: Bool = false, _ help: StaticString) {
        self.name = name
        isGauge = gauge
        self.help = help
    }

    var type: StaticString { isGauge ? "gauge" : "counter" }

    /// The name up to its labels.
    var family: UnsafeRawBufferPointer {
        let all = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        return UnsafeRawBufferPointer(rebasing: all[..<(all.firstIndex(of: UInt8(ascii: "{")) ?? all.count)])
    }
}

extension Counter {
    /// In the order of the raw values; a test holds the two together.
    static let table: [CounterRow] =
        connectionRows + requestRows + statusRows + endRows + refusalRows + timeoutRows + tlsRows + byteRows
        + threadRows + loopRows

    private static let connectionRows = [
        CounterRow("evy_connections_open", gauge: true, "open connections, idle ones included"),
        CounterRow("evy_connections_total", "connections accepted"),
        CounterRow("evy_connections_refused_total", "connections closed at once for lack of memory"),
        CounterRow("evy_connections_evicted_total", "idle connections closed to make room for new ones"),
        CounterRow(
            "evy_accept_pauses_total",
            "times accepting stopped because of max_connections or a lack of descriptors"),
    ]

    private static let requestRows = [
        CounterRow("evy_requests_active", gauge: true, "requests begun and not yet over"),
        CounterRow("evy_requests_queued", gauge: true, "callbacks that wait for a thread"),
        CounterRow("evy_requests_total", "requests begun: their head was complete, or refused"),
    ]

    private static let statusHelp: StaticString = "requests over, by the class of the status sent"
    private static let statusRows = [
        CounterRow("evy_responses_total{status=\"none\"}", statusHelp),
        CounterRow("evy_responses_total{status=\"1xx\"}", statusHelp),
        CounterRow("evy_responses_total{status=\"2xx\"}", statusHelp),
        CounterRow("evy_responses_total{status=\"3xx\"}", statusHelp),
        CounterRow("evy_responses_total{status=\"4xx\"}", statusHelp),
        CounterRow("evy_responses_total{status=\"5xx\"}", statusHelp),
    ]

    private static let endHelp: StaticString = "requests over, by how they ended"
    private static let endRows = [
        CounterRow("evy_requests_ended_total{end=\"complete\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"client-reset\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"client-closed\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"write-timeout\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"read-timeout\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"handler-error\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"aborted\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"shutdown\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"limit\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"protocol\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"io\"}", endHelp),
        CounterRow("evy_requests_ended_total{end=\"upgraded\"}", endHelp),
    ]

    private static let refusalHelp: StaticString = "requests the library refused by itself"
    private static let refusalRows = [
        CounterRow("evy_requests_refused_total{reason=\"malformed\"}", refusalHelp),
        CounterRow("evy_requests_refused_total{reason=\"limit\"}", refusalHelp),
        CounterRow("evy_requests_refused_total{reason=\"unsupported\"}", refusalHelp),
        CounterRow("evy_requests_refused_total{reason=\"timeout\"}", refusalHelp),
    ]

    private static let timeoutHelp: StaticString = "deadlines that passed"
    private static let timeoutRows = [
        CounterRow("evy_timeouts_total{deadline=\"handshake\"}", timeoutHelp),
        CounterRow("evy_timeouts_total{deadline=\"header\"}", timeoutHelp),
        CounterRow("evy_timeouts_total{deadline=\"idle\"}", timeoutHelp),
        CounterRow("evy_timeouts_total{deadline=\"body\"}", timeoutHelp),
        CounterRow("evy_timeouts_total{deadline=\"write\"}", timeoutHelp),
        CounterRow("evy_timeouts_total{deadline=\"linger\"}", timeoutHelp),
    ]

    private static let tlsRows = [
        CounterRow("evy_tls_handshakes_total", "TLS handshakes completed"),
        CounterRow("evy_tls_failures_total", "TLS handshakes begun and never completed"),
    ]

    private static let byteRows = [
        CounterRow("evy_received_bytes_total", "bytes received from clients, TLS included"),
        CounterRow("evy_sent_bytes_total", "bytes of clients' sockets that the kernel took, TLS included"),
    ]

    private static let threadRows = [
        CounterRow("evy_threads_busy", gauge: true, "threads that run callbacks of the host"),
        CounterRow("evy_threads", gauge: true, "threads that serve: the loop's, busy ones and spares"),
    ]

    private static let loopRows = [
        CounterRow(
            "evy_loop_lag_microseconds", gauge: true,
            "how long the loop's last turn took: so long a new event may have waited"),
        CounterRow(
            "evy_loop_lag_max_microseconds", gauge: true, "the longest turn since the server was made"),
        CounterRow("evy_loop_turns_total", "turns of the loop"),
        CounterRow("evy_loop_busy_microseconds_total", "time in those turns; by turns it is the mean lag"),
    ]
}

/// The text of Prometheus: HELP and TYPE once a family, then its series.
enum MetricsText {
    /// evy.h promises that the text stays below this.
    static let byteCountMax = 16 << 10

    static func write(_ values: UnsafeBufferPointer<Int64>, into out: inout ByteBuffer) {
        var family = UnsafeRawBufferPointer(start: nil, count: 0)
        for (row, value) in zip(Counter.table, values) {
            if !row.family.elementsEqual(family) {
                family = row.family
                describe("# HELP ", family, row.help, &out)
                describe("# TYPE ", family, row.type, &out)
            }
            out.append(row.name)
            out.append(UInt8(ascii: " "))
            out.append(decimal: value)
            out.append(UInt8(ascii: "\n"))
        }
    }

    private static func describe(
        _ what: StaticString, _ family: UnsafeRawBufferPointer, _ text: StaticString, _ out: inout ByteBuffer
    ) {
        out.append(what)
        out.append(family)
        out.append(UInt8(ascii: " "))
        out.append(text)
        out.append(UInt8(ascii: "\n"))
    }
}
