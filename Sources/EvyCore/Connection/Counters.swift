// SPDX-License-Identifier: MIT
// Counters - turns what happens on one loop into numbers that any thread may read at any time.
// Room: Connection. Spec: evy.h, "counters".

internal import Synchronization

/// The raw values are EVY_N_* of evy.h.
enum Counter: Int, CaseIterable {
    case connectionsOpen = 0
    case connectionsTotal, connectionsRefused, connectionsEvicted, acceptPauses
    case requestsActive, requestsQueued, requestsTotal
    case statusNone, status1xx, status2xx, status3xx, status4xx, status5xx
    case endComplete, endClientReset, endClientClosed, endWriteTimeout, endReadTimeout, endHandlerError
    case endAborted, endShutdown, endLimit, endProtocol, endIO, endUpgraded
    case refusedMalformed, refusedLimit, refusedUnsupported, refusedTimeout
    case timeoutHandshake, timeoutHeader, timeoutIdle, timeoutBody, timeoutWrite, timeoutLinger
    case tlsHandshakes, tlsFailures
    case bytesIn, bytesOut
    case threadsBusy, threadsTotal
    case loopLag, loopLagMax, loopTurns, loopBusy

    init(end: ExchangeEnd) {
        switch end {
        case .complete: self = .endComplete
        case .clientReset: self = .endClientReset
        case .clientClosed: self = .endClientClosed
        case .writeTimeout: self = .endWriteTimeout
        case .readTimeout: self = .endReadTimeout
        case .handlerError: self = .endHandlerError
        case .aborted: self = .endAborted
        case .shutdown: self = .endShutdown
        case .limit: self = .endLimit
        case .protocolError: self = .endProtocol
        case .io: self = .endIO
        case .upgraded: self = .endUpgraded
        }
    }

    init(status: Int32) {
        switch status {
        case 100..<200: self = .status1xx
        case 200..<300: self = .status2xx
        case 300..<400: self = .status3xx
        case 400..<500: self = .status4xx
        case 500..<600: self = .status5xx
        default: self = .statusNone
        }
    }

    init(refusal error: HTTPError) {
        switch error.status {
        case 417, 501, 505: self = .refusedUnsupported
        default:
            switch error.kind {
            case .malformed: self = .refusedMalformed
            case .limit: self = .refusedLimit
            case .timeout: self = .refusedTimeout
            }
        }
    }

    static let ends = Counter.endComplete.rawValue...Counter.endUpgraded.rawValue
}

/// A cell for each counter, and a version around changes that belong together.
///
/// There is one writer at a time, so a change is a plain load and a plain store: no locked instruction.
///
/// Ownership: owns its cells; part of its reactor.
/// Thread:    writers: the holder of the loop. `read` is for all.
struct Counters: ~Copyable {
    /// Connections that have gone; the open ones are told from it.
    private static let closedIndex = Counter.allCases.count
    static let cellCount = Counter.allCases.count + 1

    private let cells: UnsafeMutablePointer<Atomic<Int64>>
    /// Odd while changes that belong together are being made.
    private let version = Atomic<UInt64>(0)

    init() {
        cells = .allocate(capacity: Self.cellCount)
        for index in 0..<Self.cellCount { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: Self.cellCount)
        cells.deallocate()
    }

    @inline(__always)
    func add(_ counter: Counter, _ amount: Int64 = 1) { add(at: counter.rawValue, amount) }

    func addClosedConnection() { add(at: Self.closedIndex, 1) }

    @inline(__always)
    private func add(at index: Int, _ amount: Int64) {
        let cell = cells + index
        cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    func set(_ counter: Counter, _ value: Int64) {
        (cells + counter.rawValue).pointee.store(value, ordering: .relaxed)
    }

    func raise(_ counter: Counter, to value: Int64) {
        if (cells + counter.rawValue).pointee.load(ordering: .relaxed) < value { set(counter, value) }
    }

    /// What `body` changes is seen whole or not at all. It only changes counters.
    @inline(__always)
    func together(_ body: () -> Void) {
        let before = version.load(ordering: .relaxed)
        version.store(before &+ 1, ordering: .relaxed)
        atomicMemoryFence(ordering: .releasing)
        body()
        version.store(before &+ 2, ordering: .releasing)
    }

    /// Adds this loop's figures to `out`, which has a place for each counter. The gauges of threads are not
    /// known here.
    func read(into out: UnsafeMutableBufferPointer<Int64>) {
        withUnsafeTemporaryAllocation(of: Int64.self, capacity: Self.cellCount) { copy in
            while true {
                let before = version.load(ordering: .acquiring)
                for index in 0..<Self.cellCount {
                    copy[index] = (cells + index).pointee.load(ordering: .relaxed)
                }
                atomicMemoryFence(ordering: .acquiring)
                if before & 1 == 0, version.load(ordering: .relaxed) == before { break }
                // The writer was interrupted between two stores: it needs the processor more than we do.
                SystemCalls.yield()
            }
            var finished: Int64 = 0
            for index in Counter.ends { finished &+= copy[index] }
            copy[Counter.requestsActive.rawValue] = copy[Counter.requestsTotal.rawValue] &- finished
            copy[Counter.connectionsOpen.rawValue] =
                copy[Counter.connectionsTotal.rawValue] &- copy[Self.closedIndex]
            for index in 0..<min(out.count, Counter.allCases.count) {
                switch index {
                // Of several loops the one that lags most.
                case Counter.loopLag.rawValue, Counter.loopLagMax.rawValue:
                    out[index] = max(out[index], copy[index])
                default: out[index] &+= copy[index]
                }
            }
        }
    }
}

// MARK: - The places where the loop counts

extension UnsafeMutablePointer<Reactor> {
    /// The kernel took bytes of the connection; under TLS these are cipher bytes.
    @inline(__always)
    func countSent(_ connection: ConnectionRef, _ count: Int) {
        connection.pointee.socketSent &+= UInt64(truncatingIfNeeded: count)
        noteShare(connection, count)
        pointee.counters.add(.bytesOut, Int64(count))
    }

    /// What a receive has brought: bytes, 0, or -errno.
    @inline(__always)
    func countReceived(_ result: Int) -> Int {
        if result > 0 { pointee.counters.add(.bytesIn, Int64(result)) }
        return result
    }

    /// A request is over. Once for each.
    func countEnd(status: Int32, _ end: ExchangeEnd) {
        pointee.counters.together {
            pointee.counters.add(Counter(status: status))
            pointee.counters.add(Counter(end: end))
        }
    }

    /// Answers without observers are known by their number alone, 16 bits for each class of status.
    @inline(__always)
    static func silentAnswer(status: Int32) -> UInt64 {
        1 << (16 &* UInt64(truncatingIfNeeded: min(max(status / 100, 2), 5) &- 2))
    }

    /// The bytes of all the connection's silent answers were taken, or will never be.
    @inline(__always)
    func countSilent(_ connection: ConnectionRef, _ end: ExchangeEnd = .complete) {
        let answers = connection.pointee.silentAnswers
        guard answers != 0 else { return }
        connection.pointee.silentAnswers = 0
        let classes = (answers & 0xffff, answers >> 16 & 0xffff, answers >> 32 & 0xffff, answers >> 48)
        let all = classes.0 &+ classes.1 &+ classes.2 &+ classes.3
        pointee.counters.together {
            pointee.counters.add(.status2xx, Int64(truncatingIfNeeded: classes.0))
            if all != classes.0 {
                pointee.counters.add(.status3xx, Int64(truncatingIfNeeded: classes.1))
                pointee.counters.add(.status4xx, Int64(truncatingIfNeeded: classes.2))
                pointee.counters.add(.status5xx, Int64(truncatingIfNeeded: classes.3))
            }
            pointee.counters.add(Counter(end: end), Int64(truncatingIfNeeded: all))
        }
    }

    /// A turn is over, or its rest goes on under another holder: so long nothing else was looked at.
    func countTurn() {
        let lag = max(0, Clock.monotonicNanoseconds &- pointee.turnStartedAt) / 1000
        pointee.counters.together {
            pointee.counters.set(.loopLag, lag)
            pointee.counters.raise(.loopLagMax, to: lag)
            pointee.counters.add(.loopTurns)
            pointee.counters.add(.loopBusy, lag)
        }
    }

    /// A deadline has passed and ends what it was for.
    func countTimeout(_ wait: Connection.Wait) {
        switch wait {
        case .nothing: break
        case .handshake: pointee.counters.add(.timeoutHandshake)
        case .head: pointee.counters.add(.timeoutHeader)
        case .idle: pointee.counters.add(.timeoutIdle)
        case .body: pointee.counters.add(.timeoutBody)
        case .write: pointee.counters.add(.timeoutWrite)
        case .linger, .unreadBody: pointee.counters.add(.timeoutLinger)
        }
    }
}
