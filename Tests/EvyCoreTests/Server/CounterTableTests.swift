// SPDX-License-Identifier: MIT
// CounterTableTests - the table, the enum of the core and EVY_N_* of evy.h are one list.
// Rooms tested: Server/CounterTable, Connection/Counters.

import CEvy
import Testing

@testable import EvyCore

private func name(_ counter: Counter) -> String { "\(Counter.table[counter.rawValue].name)" }

@Suite struct CounterTableTests {
    @Test func everyCounterHasOneRow() {
        #expect(Counter.table.count == Counter.allCases.count)
        #expect(Counter.allCases.last?.rawValue == EVY_N_LOOP_BUSY_US)
        #expect(Set(Counter.allCases.map(name)).count == Counter.allCases.count)
    }

    @Test func theRawValuesAreThoseOfTheHeader() {
        let pairs: [(Counter, Int)] = [
            (.connectionsOpen, EVY_N_CONNECTIONS_OPEN),
            (.acceptPauses, EVY_N_ACCEPT_PAUSES),
            (.requestsTotal, EVY_N_REQUESTS_TOTAL), (.statusNone, EVY_N_STATUS_NONE),
            (.status5xx, EVY_N_STATUS_5XX), (.endComplete, EVY_N_END_COMPLETE),
            (.endIO, EVY_N_END_IO), (.endUpgraded, EVY_N_END_UPGRADED),
            (.refusedMalformed, EVY_N_REFUSED_MALFORMED),
            (.refusedTimeout, EVY_N_REFUSED_TIMEOUT),
            (.timeoutHandshake, EVY_N_TIMEOUT_HANDSHAKE),
            (.timeoutLinger, EVY_N_TIMEOUT_LINGER), (.tlsFailures, EVY_N_TLS_FAILURES),
            (.bytesIn, EVY_N_BYTES_IN), (.bytesOut, EVY_N_BYTES_OUT),
            (.threadsTotal, EVY_N_THREADS_TOTAL), (.loopLag, EVY_N_LOOP_LAG_US),
        ]
        for (counter, number) in pairs { #expect(counter.rawValue == number) }
    }

    @Test func endsStatusesAndRefusalsReachTheRowOfTheirName() {
        for raw in Int32(0)...10 {
            guard let end = ExchangeEnd(rawValue: raw) else { continue }
            #expect(name(Counter(end: end)) == "evy_requests_ended_total{end=\"\(end.name)\"}")
        }
        for (status, shown) in [
            (0, "none"), (101, "1xx"), (204, "2xx"), (304, "3xx"), (499, "4xx"), (599, "5xx"),
        ] {
            #expect(name(Counter(status: Int32(status))) == "evy_responses_total{status=\"\(shown)\"}")
        }
        #expect(Counter(refusal: .malformedHost) == .refusedMalformed)
        #expect(Counter(refusal: .contentTooLarge) == .refusedLimit)
        #expect(Counter(refusal: .versionNotSupported) == .refusedUnsupported)
        #expect(Counter(refusal: .bodyTimeout) == .refusedTimeout)
    }

    @Test func openAndActiveAreWhatHasBegunAndNotEnded() {
        let counters = Counters()
        counters.add(.requestsTotal, 5)
        counters.add(.endComplete, 2)
        counters.add(.endIO)
        counters.add(.connectionsTotal, 3)
        counters.addClosedConnection()
        counters.raise(.loopLagMax, to: 7)
        counters.raise(.loopLagMax, to: 3)
        var found = [Int64](repeating: 0, count: Counter.allCases.count)
        found.withUnsafeMutableBufferPointer { counters.read(into: $0) }
        #expect(found[Counter.requestsActive.rawValue] == 2)
        #expect(found[Counter.connectionsOpen.rawValue] == 2)
        #expect(found[Counter.loopLagMax.rawValue] == 7)
        // Of two loops: sums, and the greater lag.
        found.withUnsafeMutableBufferPointer { counters.read(into: $0) }
        #expect(found[Counter.requestsTotal.rawValue] == 10)
        #expect(found[Counter.loopLagMax.rawValue] == 7)
    }

    @Test func theTextStaysBelowItsPromise() {
        let values = [Int64](repeating: .max, count: Counter.allCases.count)
        var text = ByteBuffer()
        values.withUnsafeBufferPointer { MetricsText.write($0, into: &text) }
        #expect(text.count < MetricsText.byteCountMax)
    }
}
