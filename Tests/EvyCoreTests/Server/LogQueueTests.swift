// SPDX-License-Identifier: MIT
// LogQueueTests - portions for files and for pipes, half lines, and what is told of those that were lost.
// Room tested: Server/LogQueue. Spec: options access_log and error_log of evy.h.

import Glibc
import Testing

@testable import EvyCore

private let broken = LogCalls.Failure(code: EPIPE)

private func queue(_ kind: LogCalls.Kind, isJSON: Bool = false) -> LogQueue {
    LogQueue(LogCalls.Descriptor(number: -1, kind: kind), isJSON: isJSON)
}

extension LogQueue {
    fileprivate mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { bytes in add { $0.append(UnsafeRawBufferPointer(bytes)) } }
    }

    /// The next portion, taken as far as `most`.
    fileprivate mutating func take(_ most: Int = .max) -> String? {
        guard let portion = next() else { return nil }
        let count = min(most, portion.count)
        let text = String(decoding: portion.prefix(count), as: UTF8.self)
        wrote(count)
        return text
    }
}

@Suite struct LogQueueTests {
    private let long = String(repeating: "x", count: 3000)

    @Test func aFileTakesAllAtOnce() {
        var lines = queue(.file)
        for _ in 0..<3 { lines.add(long) }
        #expect(lines.take()?.utf8.count == 9003)
        #expect(lines.take() == nil)
    }

    @Test(arguments: [LogCalls.Kind.stream, .borrowedStream, .socket])
    func whatOthersWriteToTakesWholeLines(_ kind: LogCalls.Kind) {
        var lines = queue(kind)
        for text in ["one", long, "two", "three", long] { lines.add(text) }
        #expect(lines.take() == "one\n\(long)\ntwo\nthree\n")
        #expect(lines.take() == "\(long)\n")
        #expect(lines.take() == nil)
    }

    @Test func onlyALineLongerThanAPipeTakesAtOnceIsSplit() {
        var lines = queue(.stream)
        let longer = String(repeating: "y", count: 5000)
        lines.add(String(repeating: "x", count: 4095))
        lines.add(longer)
        lines.add("after")
        #expect(lines.take()?.utf8.count == 4096)
        #expect(lines.take() == String(longer.prefix(4096)))
        #expect(lines.take() == longer.dropFirst(4096) + "\nafter\n")
    }

    @Test func afterHalfALineThatIsLostTheNextBeginsOnItsOwn() {
        var lines = queue(.file)
        lines.add("one")
        lines.add("two")
        #expect(lines.take(5) == "one\nt")
        _ = lines.next()
        lines.refused(broken)
        lines.add("three")
        #expect(lines.take() == "\n")
        #expect(lines.take() == "three\n")
        #expect(lines.take() == "evy: 1 log line lost: Broken pipe\n")
        #expect(lines.take() == nil)
    }

    @Test func lossesAreToldOnceAndAgainWhereTheReportIsLostToo() {
        var lines = queue(.stream)
        for round in 1...3 {
            lines.add("one")
            lines.add("two")
            _ = lines.next()
            lines.refused(broken)
            let report = lines.next().map { String(decoding: $0, as: UTF8.self) }
            #expect(report == "evy: \(2 * round) log lines lost: Broken pipe\n")
            lines.refused(broken)
        }
        lines.add("after")
        #expect(lines.take() == "after\n")
        #expect(lines.take() == "evy: 6 log lines lost: Broken pipe\n")
        lines.add("after")
        lines.refused(broken)
        #expect(lines.take() == "evy: 1 log line lost: Broken pipe\n")
    }

    @Test func aLineThatLacksMemoryIsCountedAndThoseAheadOfItStay() {
        var lines = queue(.stream)
        lines.add("one")
        lines.add { $0.reserve(.max) }
        lines.add("two")
        #expect(lines.take() == "one\n")
        #expect(lines.take() == "evy: 2 log lines lost: Cannot allocate memory\n")
        lines.add { $0.reserve(.max) }
        #expect(lines.take() == "evy: 1 log line lost: Cannot allocate memory\n")
        lines.add("three")
        #expect(lines.take() == "three\n")
    }

    @Test func amongJSONLossesAreToldAsJSON() {
        var lines = queue(.stream, isJSON: true)
        lines.add("{}")
        lines.refused(broken)
        #expect(lines.take() == "{\"lost\":1,\"reason\":\"Broken pipe\"}\n")
    }

    @Test func aQueueWithAThreadOfItsOwnHasItsLimitToo() {
        var lines = queue(.borrowedStream)
        for _ in 0..<1000 { lines.add(String(repeating: "x", count: 99)) }
        var count = 0
        while let text = lines.take(), !text.hasPrefix("evy:") { count += text.utf8.count }
        #expect(count == 65_600)
    }
}
