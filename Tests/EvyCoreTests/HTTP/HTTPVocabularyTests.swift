// SPDX-License-Identifier: MIT
// HTTPVocabularyTests - methods, field names, phrases, dates and errors are what the registries say.
// Room: tests.

import Testing

@testable import EvyCore

@Suite struct HTTPVocabularyTests {
    private static let fields: [(String, KnownField)] = [
        ("content-length", .contentLength), ("transfer-encoding", .transferEncoding),
        ("connection", .connection), ("host", .host), ("expect", .expect), ("upgrade", .upgrade),
        ("content-type", .contentType), ("cookie", .cookie), ("authorization", .authorization),
        ("date", .date), ("keep-alive", .keepAlive), ("te", .te), ("trailer", .trailer),
        ("proxy-connection", .proxyConnection), ("user-agent", .userAgent), ("referer", .referer),
        ("x-forwarded-for", .xForwardedFor), ("server", .server),
    ]

    private func known(_ name: [UInt8]) -> KnownField {
        KnownField.named(name.span.bytes, ByteRange(0, name.count))
    }

    @Test func everyKnownNameIsKnownInEveryCase() {
        for (name, field) in Self.fields {
            #expect(known(Array(name.utf8)) == field, "\(name)")
            #expect(known(Array(name.uppercased().utf8)) == field, "\(name)")
        }
    }

    /// A name that differs in one byte must never pass for Content-Length or another one.
    @Test func noOtherTokenPassesForAKnownName() {
        for (name, field) in Self.fields {
            let bytes = Array(name.utf8)
            for index in bytes.indices {
                for byte in UInt8.min...UInt8.max where ASCII.isTokenChar(byte) {
                    guard ASCII.lowercased(byte) != bytes[index] else { continue }
                    var other = bytes
                    other[index] = byte
                    if known(other) == field {
                        Issue.record("\(String(decoding: other, as: UTF8.self)) is \(field)")
                    }
                }
            }
            #expect(known(bytes + [0x61]) != field)
            #expect(known(Array(bytes.dropLast())) != field)
        }
    }

    @Test func methodsAreToldApartByCaseAndLength() {
        let methods: [(String, Method)] = [
            ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete),
            ("OPTIONS", .options), ("PATCH", .patch), ("TRACE", .trace), ("CONNECT", .connect),
            ("get", .other), ("GE", .other), ("GETT", .other), ("PROPFIND", .other), ("X", .other),
        ]
        for (name, method) in methods {
            let line = Array("\(name) / HTTP/1.1".utf8)
            #expect(Method.named(line.span.bytes, 0, count: name.utf8.count) == method, "\(name)")
        }
    }

    @Test func phrasesAreThoseOfTheRegistry() {
        #expect(StatusPhrase.text(200).description == "OK")
        #expect(StatusPhrase.text(404).description == "Not Found")
        #expect(StatusPhrase.text(431).description == "Request Header Fields Too Large")
        #expect(StatusPhrase.text(503).description == "Service Unavailable")
        for unknown in [-1, 0, 99, 199, 299, 306, 418, 499, 599, 600, 999] {
            #expect(StatusPhrase.text(unknown).utf8CodeUnitCount == 0, "\(unknown)")
        }
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"), (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        (-1, "Thu, 01 Jan 1970 00:00:00 GMT"), (Int64.min, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ])
    func aDateHasItsFixedForm(_ seconds: Int64, _ expected: String) {
        var buffer = ByteBuffer()
        HTTPDate.write(secondsSinceEpoch: seconds, into: &buffer)
        #expect(text(buffer) == expected)
        #expect(buffer.count == HTTPDate.byteCount)
    }

    @Test func daysFollowOneAnother() {
        var previous = HTTPDate.civilDate(daysSinceEpoch: 0)
        for day in 1...200_000 {
            let date = HTTPDate.civilDate(daysSinceEpoch: Int64(day))
            let isNextDay = date == (previous.year, previous.month, previous.day + 1)
            let isNextMonth = date == (previous.year, previous.month + 1, 1) && previous.day >= 28
            let isNextYear = date == (previous.year + 1, 1, 1) && previous.month == 12 && previous.day == 31
            if !(isNextDay || isNextMonth || isNextYear) { Issue.record("day \(day): \(previous), \(date)") }
            previous = date
        }
        #expect(previous == (2517, 8, 1))
    }

    @Test func everyErrorHasAStatusAndAReasonThatFitsAStatusLine() {
        var count = 0
        while let error = HTTPError(rawValue: UInt8(count)) {
            #expect([400, 408, 413, 414, 417, 431, 501, 505].contains(error.status), "\(error)")
            let reason = error.reason.description
            #expect(!reason.isEmpty && reason.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }, "\(error)")
            #expect((error.status == 408) == (error.kind == .timeout), "\(error)")
            count += 1
        }
        #expect(count == 41)
    }
}
