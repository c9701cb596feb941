// SPDX-License-Identifier: MIT
// TraceParentTests - which traceparent values count, and where their ids lie.
// Room tested: HTTP/TraceParent. Spec: W3C Trace Context, section 3.2.

import Testing

@testable import EvyCore

private func parsed(_ text: String) -> TraceParent? {
    Array(text.utf8).withUnsafeBytes { TraceParent($0) }
}

private let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
private let parent = "00f067aa0ba902b7"

@Suite struct TraceParentTests {
    @Test func aValidValueHasItsIDsWhereTheRangesSay() {
        let text = "00-\(trace)-\(parent)-01"
        #expect(parsed(text)?.isSampled == true && parsed("00-\(trace)-\(parent)-00")?.isSampled == false)
        let all = Array(text.utf8)
        #expect(String(decoding: all[TraceParent.traceID], as: UTF8.self) == trace)
        #expect(String(decoding: all[TraceParent.parentID], as: UTF8.self) == parent)
    }

    @Test func laterVersionsMayGoOn() {
        #expect(parsed("01-\(trace)-\(parent)-01") != nil && parsed("cc-\(trace)-\(parent)-01-what") != nil)
        #expect(parsed("cc-\(trace)-\(parent)-01what") == nil)
    }

    @Test(arguments: [
        "", "00", "00-\(trace)-\(parent)", "00-\(trace)-\(parent)-0", "00-\(trace)-\(parent)-01-",
        "ff-\(trace)-\(parent)-01", "00-\(String(repeating: "0", count: 32))-\(parent)-01",
        "00-\(trace)-0000000000000000-01", "00-\(trace.uppercased())-\(parent)-01",
        "0g-\(trace)-\(parent)-01",
        "00-\(trace)-\(parent)-0x", "00_\(trace)-\(parent)-01", "00-\(trace)_\(parent)-01",
        "00-\(trace)-\(parent)_01", "00-\(trace.dropLast())g-\(parent)-01", " 00-\(trace)-\(parent)-01",
    ])
    func everythingElseIsIgnored(_ text: String) {
        #expect(parsed(text) == nil)
    }

    @Test func theNameHasNoCase() {
        for (name, expected) in [
            ("traceparent", true), ("TraceParent", true), ("tracestate", false), ("", false),
        ] {
            #expect(Array(name.utf8).withUnsafeBytes { TraceParent.isName($0) } == expected)
        }
    }
}
