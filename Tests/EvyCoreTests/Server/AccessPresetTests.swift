// SPDX-License-Identifier: MIT
// AccessPresetTests - combined, common and json lines, and what a JSON string makes of any bytes.
// Rooms tested: Server/AccessFormat, AccessJSON, LocalZone.

import Testing

@testable import EvyCore

private let moment: Int64 = 1_795_363_856  // 2026-11-22 16:10:56 UTC

private func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}

private func line(_ format: String, _ record: AccessRecord, showsForwardedFor: Bool = false) throws -> String
{
    let compiled = try AccessFormat(format, showsForwardedFor: showsForwardedFor)
    var out = ByteBuffer()
    compiled.write(record, into: &out)
    return String(decoding: out.readable, as: UTF8.self)
}

private var sample: AccessRecord {
    var record = AccessRecord()
    record.clientIP = bytes("::1")
    record.requestLine = bytes("GET /a HTTP/1.1")
    record.userAgent = bytes("curl \"8\"")
    record.status = 200
    record.bodyBytes = 15
    record.wallSeconds = moment
    return record
}

private func escaped(_ raw: [UInt8]) -> String {
    var out = ByteBuffer()
    raw.withUnsafeBytes { JSONEscape.append($0, into: &out) }
    return String(decoding: out.readable, as: UTF8.self)
}

@Suite struct AccessPresetTests {
    @Test func combinedIsWhatApacheAndNginxWrite() throws {
        let offset = LogCalls.utcOffset(at: moment)
        var record = sample
        record.wallSeconds = moment - offset
        let zone = try line("%(tz)s", record)
        let expected = "::1 - - [22/Nov/2026:16:10:56 \(zone)] \"GET /a HTTP/1.1\" 200 15"
        #expect(try line("common", record) == expected)
        #expect(try line("combined", record) == expected + " \"-\" \"curl \\x228\\x22\"")
    }

    @Test func timesForProgramsAreUTC() throws {
        #expect(try line("%(time)s", sample) == "2026-11-22T16:10:56Z")
        #expect(try line("<%(time)22s>", sample) == "<  2026-11-22T16:10:56Z>")
        var record = sample
        record.wallSeconds = 951_782_400
        #expect(try line("%(time)s", record) == "2000-02-29T00:00:00Z")
    }

    @Test func jsonHasEveryFieldOnce() throws {
        let text = try line("json", sample)
        #expect(text.hasPrefix("{\"time\":\"2026-11-22T16:10:56Z\",\"client_ip\":\"::1\","))
        #expect(text.hasSuffix("}") && !text.contains("\n"))
        for field in AccessField.allCases {
            #expect(text.split(separator: "\"\(field.name)\":").count == (field.isInJSON ? 2 : 1), "\(field)")
        }
        #expect(text.contains("\"status_code\":200,") && text.contains("\"wall_seconds\":0.000000"))
        #expect(text.contains("\"user_agent\":\"curl \\\"8\\\"\"") && text.contains("\"referer\":null"))
    }

    @Test func jsonShowsForwardedClientsWhereTold() throws {
        var record = sample
        record.forwardedFor = bytes("1.2.3.4, \"x")
        #expect(
            try line("json", record, showsForwardedFor: true).contains("\"client_ip\":\"1.2.3.4,\\\"x,::1\""))
    }

    @Test(arguments: [
        ([0x61, 0x22, 0x5c, 0x2f], "a\\\"\\\\/"),
        ([0x00, 0x0a, 0x1f, 0x7f], "\\u0000\\u000a\\u001f\\u007f"),
        (Array("Grüße 日本 🎈".utf8), "Grüße 日本 🎈"),
        ([0xc2, 0x85, 0xe2, 0x80, 0xa8, 0xe2, 0x80, 0xa9], "\\u0085\\u2028\\u2029"),
        ([0xff, 0x61, 0x80], "\\ufffda\\ufffd"),  // never, and alone
        ([0xc0, 0xaf], "\\ufffd\\ufffd"),  // overlong
        ([0xed, 0xa0, 0x80], "\\ufffd\\ufffd\\ufffd"),  // a surrogate
        ([0xf4, 0x90, 0x80, 0x80], "\\ufffd\\ufffd\\ufffd\\ufffd"),  // above U+10FFFF
        ([0xf0, 0x9f, 0x8e], "\\ufffd"), ([0xe2, 0x80, 0x41], "\\ufffdA"),  // cut short
    ])
    func anyBytesBecomeAJSONString(_ raw: [UInt8], _ expected: String) {
        #expect(escaped(raw) == expected)
    }

    @Test func presetsAreNamesAndNothingElse() throws {
        #expect(try line("jsonl", sample) == "jsonl" && line("combined ", sample) == "combined ")
        #expect(AccessFormat.fault("json") == nil && AccessFormat.fault("combined") == nil)
    }
}
