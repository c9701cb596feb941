// SPDX-License-Identifier: MIT
// Counters - what a server has done and is doing, as one snapshot; its metrics; lines for its own log.
// Room: Evy (the Swift face). Spec: evy.h, chapter "seeing inside".
internal import CEvy

/// One snapshot of a server's counters.
///
/// ```swift
/// let counters = server.counters
/// print(counters[.requestsTotal], counters[.requestsActive])
/// for (counter, value) in counters { print(counter.name, value) }
/// ```
///
/// A request that is over is in all of its counters or in none.
public struct Counters: Sendable, Sequence {
    private let values: [Int64]

    init(of handle: OpaquePointer) {
        let count = Int(evy_server_counters(handle, nil, 0))
        values = [Int64](unsafeUninitializedCapacity: count) { room, filled in
            filled = Int(evy_server_counters(handle, room.baseAddress, UInt32(count)))
        }
    }

    public subscript(_ counter: Counter) -> Int64 {
        values.indices.contains(counter.rawValue) ? values[counter.rawValue] : 0
    }

    /// Every counter with its value, also those that this face has no name for yet.
    public func makeIterator() -> some IteratorProtocol<(counter: Counter, value: Int64)> {
        zip(values.indices.lazy.map { Counter(rawValue: $0) }, values).lazy
            .map { (counter: $0, value: $1) }.makeIterator()
    }
}

/// A counter by its number, EVY_N_* of evy.h.
public struct Counter: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// That of a Prometheus series: `evy_responses_total{status="2xx"}`.
    public var name: String { text(evy_counter_name) }
    /// One line.
    public var help: String { text(evy_counter_help) }
    /// A level that can fall; the others only grow.
    public var isGauge: Bool { text(evy_counter_type) == "gauge" }

    private func text(_ part: (UInt32) -> UnsafePointer<CChar>?) -> String {
        UInt32(exactly: rawValue).flatMap(part).map { String(cString: $0) } ?? ""
    }

    public static let connectionsOpen = Counter(rawValue: EVY_N_CONNECTIONS_OPEN)
    public static let connectionsTotal = Counter(rawValue: EVY_N_CONNECTIONS_TOTAL)
    public static let connectionsRefused = Counter(rawValue: EVY_N_CONNECTIONS_REFUSED)
    public static let connectionsEvicted = Counter(rawValue: EVY_N_CONNECTIONS_EVICTED)
    public static let acceptPauses = Counter(rawValue: EVY_N_ACCEPT_PAUSES)
    public static let requestsActive = Counter(rawValue: EVY_N_REQUESTS_ACTIVE)
    public static let requestsQueued = Counter(rawValue: EVY_N_REQUESTS_QUEUED)
    public static let requestsTotal = Counter(rawValue: EVY_N_REQUESTS_TOTAL)
    public static let tlsHandshakes = Counter(rawValue: EVY_N_TLS_HANDSHAKES)
    public static let tlsFailures = Counter(rawValue: EVY_N_TLS_FAILURES)
    public static let bytesIn = Counter(rawValue: EVY_N_BYTES_IN)
    public static let bytesOut = Counter(rawValue: EVY_N_BYTES_OUT)
    public static let threadsBusy = Counter(rawValue: EVY_N_THREADS_BUSY)
    public static let threadsTotal = Counter(rawValue: EVY_N_THREADS_TOTAL)
    /// Microseconds of the loop's last turn: so long a new event may have waited.
    public static let loopLag = Counter(rawValue: EVY_N_LOOP_LAG_US)
    public static let loopLagMax = Counter(rawValue: EVY_N_LOOP_LAG_MAX_US)

    /// Requests over by the class of their status, 1...5; 0: without an answer.
    public static func responses(class digit: Int) -> Counter {
        Counter(rawValue: EVY_N_STATUS_NONE + Swift.min(Swift.max(digit, 0), 5))
    }

    /// Requests over by how they ended.
    public static func ended(_ end: Outcome.End) -> Counter {
        Counter(rawValue: EVY_N_END_COMPLETE + Int(end.rawValue))
    }
}
