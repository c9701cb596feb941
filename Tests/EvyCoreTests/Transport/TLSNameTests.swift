// SPDX-License-Identifier: MIT
// TLSNameTests - which names there are, and which certificate a name chooses.
// Room: tests of Transport. Spec: RFC 6066 section 3, RFC 6125 section 6.4.3.

internal import Testing

@testable import EvyCore

@Suite struct TLSNameTests {
    @Test func namesCompareWithoutCaseAndWithoutTheLastDot() {
        #expect(TLSName("WWW.A.Org")?.text == "www.a.org")
        #expect(TLSName("a.org.") == TLSName("a.org"))
        #expect(TLSName("localhost")?.text == "localhost")
        #expect(TLSName("_dmarc.a-b.org")?.text == "_dmarc.a-b.org")
        #expect(TLSName("*.A.org")?.text == "*.a.org")
    }

    @Test(arguments: [
        "", ".", "..", "a..org", ".a.org", "*", "*.", "*.org", "a.*.org", "*a.org", "**.a.org", "a b.org",
        "1.2.3.4", "::1", "[::1]", "a.org:443", "a/b", "ä.org", "a\u{0}.org",
        String(repeating: "a", count: 64) + ".org", String(repeating: "a.", count: 127) + "org",
    ])
    func whatNobodyCanAskForIsNoName(_ text: String) { #expect(TLSName(text) == nil) }

    @Test func theLongestNameIsTaken() {
        let long = String(repeating: "a.", count: 125) + "org"
        #expect(long.utf8.count == 253 && TLSName(long)?.text == long)
        #expect(TLSName(long + ".")?.text == long)
    }

    @Test func theWildcardOfANameHasOneLabelLess() {
        #expect(TLSName("b.a.org")?.wildcard == TLSName("*.a.org"))
        #expect(TLSName("c.b.a.org")?.wildcard == TLSName("*.b.a.org"))
        #expect(TLSName("localhost")?.wildcard == nil)
        #expect(TLSName("*.a.org")?.wildcard == nil)
    }
}

@Suite struct TLSNameTableTests {
    private func place(_ name: String, _ rows: [([String], Bool)]) -> Int? {
        let table = TLSNameTable(rows.map { ($0.0.compactMap { TLSName($0) }, $0.1) })
        return TLSName(name).flatMap { table.place(of: $0) }
    }

    @Test func exactOutranksWildcardAndGivenOutranksRead() {
        let rows = [(["x.org", "*.a.org"], false), (["b.a.org"], false), (["x.org"], true)]
        #expect(place("c.a.org", rows) == 0)
        #expect(place("b.a.org", rows) == 1)
        #expect(place("x.org", rows) == 2)
        #expect(place("a.org", rows) == nil)
        #expect(place("d.c.a.org", rows) == nil)
    }

    @Test func amongEqualsTheFirstWins() {
        #expect(place("a.org", [(["a.org"], false), (["a.org"], false)]) == 0)
        #expect(place("a.org", [(["a.org"], true), (["a.org"], true)]) == 0)
        #expect(place("a.org", []) == nil)
    }
}
