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
        // Long heads at some points only: unoptimised they take minutes, and the live run cuts them all.
        let step = example.bytes.count < 1000 ? 1 : 8
        let cuts = stride(from: 0, to: example.cuts.count, by: step).map { example.cuts[$0] }
        let wrong = cuts.filter { feed.outcomes(of: example.bytes, cutAt: [$0]) != whole }
        #expect(wrong.isEmpty)
    }

    /// "400 Reason", or "ok ... and 400 Reason"; a reason may hold an "and" too.
    private static func isRefusal(_ expected: String) -> Bool {
        let part = expected.hasPrefix("ok") ? expected.split(separator: " and ").last ?? "" : expected[...]
        return part.prefix { $0 != " " }.allSatisfy(\.isNumber)
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
