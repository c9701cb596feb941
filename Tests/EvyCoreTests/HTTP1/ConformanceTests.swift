// SPDX-License-Identifier: MIT
// ConformanceTests - runs every case of Tests/Conformance/http1, cut in every way.
// Room: tests.

import Testing

@testable import EvyCore

@Suite struct ConformanceTests {
    @Test func theCasesAreFoundEachWithItsRuleAndInItsFolder() {
        let all = ConformanceCase.all()
        #expect(all.count >= 300)
        for example in all {
            #expect(example.rule.contains("RFC 9") || example.rule.contains("row "), "\(example)")
            let isRefused = example.expected.last.map(Self.isRefusal) ?? false
            #expect(example.file.hasPrefix(isRefused ? "invalid/" : "valid/"), "\(example)")
        }
    }

    @Test(arguments: ConformanceCase.all())
    func aRequestHasTheExpectedOutcomeHoweverItIsCut(_ example: ConformanceCase) {
        let feed = example.feed()
        let whole = feed.outcomes(of: example.bytes, cutAt: [])
        #expect(whole.count == example.expected.count, "\(whole)")
        for (outcome, expected) in zip(whole, example.expected) {
            #expect(Self.matches(outcome, expected), "\(outcome)")
        }
        #expect(feed.outcomes(of: example.bytes, cutAt: example.cuts) == whole)
        for cut in example.cuts {
            #expect(feed.outcomes(of: example.bytes, cutAt: [cut]) == whole, "cut at \(cut)")
        }
    }

    private static func isRefusal(_ expected: String) -> Bool {
        let words = (expected.split(separator: " and ").last ?? "").split(separator: " ")
        return words.first.flatMap { Int($0) } != nil
    }

    /// A refusal must be the same text; of a good request, every expected word must be there.
    private static func matches(_ outcome: String, _ expected: String) -> Bool {
        guard expected.hasPrefix("ok") else { return outcome == expected }
        // What stands behind "and" is compared as it is, the words before it one by one.
        let parts = expected.split(separator: " and ", maxSplits: 1)
        if parts.count == 2, !outcome.hasSuffix(" and \(parts[1])") { return false }
        if parts.count == 1, outcome.contains(" and ") { return false }
        let words = Set(outcome.split(separator: " ").map(String.init))
        return parts[0].split(separator: " ").allSatisfy { word in
            words.contains(HTTP1Feed.escaped(ConformanceCase.unescaped(word)))
        }
    }
}
