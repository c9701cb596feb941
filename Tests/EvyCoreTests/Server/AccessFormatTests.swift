// SPDX-License-Identifier: MIT
// AccessFormatTests - every field, every conversion, hostile bytes, and the ancestors' own line.
// Room tested: Server/AccessFormat, AccessFields, AccessText, LocalZone. Spec: Python's % formatting.

import Glibc
import Testing

@testable import EvyCore

/// 2026-11-22 16:10:56 UTC
private let moment: Int64 = 1_795_363_856

private func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}

private func string(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

private func line(
    _ format: String, _ record: AccessRecord = AccessRecord(), showsForwardedFor: Bool = false
) throws -> String {
    let compiled = try AccessFormat(format, showsForwardedFor: showsForwardedFor)
    var out = ByteBuffer()
    compiled.write(record, into: &out)
    return string(out.readable)
}

/// The same with one text field of arbitrary bytes.
private func escaped(_ format: String, _ raw: [UInt8]) throws -> String {
    try raw.withUnsafeBytes { raw in
        var record = AccessRecord()
        record.requestLine = raw
        return try line(format, record)
    }
}

private func fault(_ format: String) -> String? { AccessFormat.fault(format) }

private var sample: AccessRecord {
    var record = AccessRecord()
    record.clientIP = bytes("127.0.0.1")
    record.requestLine = bytes("GET /a?b=c HTTP/1.1")
    record.method = bytes("GET")
    record.path = bytes("/a")
    record.query = bytes("b=c")
    record.protocol = bytes("HTTP/1.1")
    record.host = bytes("example.org:8090")
    record.userAgent = bytes("curl/8.0")
    record.referer = bytes("http://example.org/")
    record.forwardedFor = bytes("1.2.3.4, 5.6.7.8")
    record.clientPort = 40312
    record.status = 200
    record.headBytes = 102
    record.bodyBytes = 15
    record.wireBytes = 117
    record.ackedBytes = 100
    record.bytesReceived = 78
    record.wireReceived = 178
    record.headerID = bytes("abc-1")
    record.traceID = bytes("4bf92f3577b34da6")
    record.parentID = bytes("00f067aa0ba902b7")
    record.requestID = 42
    record.requestsOnConnection = 3
    record.microsTotal = 109
    record.microsFirstByte = 1_000_050
    record.wallSeconds = moment - LogCalls.utcOffset(at: moment)
    record.pid = 4711
    return record
}

@Suite struct AccessFormatTests {
    @Test func theAncestorsLine() throws {
        var record = sample
        record.requestLine = bytes("GET / HTTP/1.1")
        #expect(
            try line("\(AccessFormat.ancestors)", record)
                == "127.0.0.1 - - [22/Nov/2026 16:10:56] \"GET / HTTP/1.1\" 200 117 0.000109")
        #expect(try line(Options().accessLogFormat, record).hasSuffix("200 117 0.000109"))
    }

    @Test(arguments: [
        ("client_ip", "127.0.0.1"), ("client_port", "40312"), ("date_time", "22/Nov/2026 16:10:56"),
        ("request_line", "GET /a?b=c HTTP/1.1"), ("status_code", "200"), ("body_length", "117"),
        ("wall_seconds", "0.000109"), ("body_bytes", "15"), ("head_bytes", "102"), ("wire_bytes", "117"),
        ("acked_bytes", "100"), ("aborted", "-"), ("user_agent", "curl/8.0"),
        ("referer", "http://example.org/"), ("request_id", "42"), ("ttfb", "1.000050"), ("method", "GET"),
        ("path", "/a"), ("query", "b=c"), ("protocol", "HTTP/1.1"), ("host", "example.org:8090"),
        ("bytes_received", "78"), ("requests_on_connection", "3"), ("scheme", "http"), ("pid", "4711"),
        ("x_forwarded_for", "1.2.3.4, 5.6.7.8"), ("wire_received", "178"), ("header_id", "abc-1"),
        ("trace_id", "4bf92f3577b34da6"), ("parent_id", "00f067aa0ba902b7"),
    ])
    func everyFieldPrintsItsValue(_ name: String, _ value: String) throws {
        #expect(try line("%(\(name))s", sample) == value)
        #expect(try line("<%(\(name))-30s>", sample).count == 32)
    }

    @Test func theTestAboveKnowsEveryField() throws {
        #expect(AccessField.allCases.count == 33)  // 30 above; tz, time, time_local elsewhere
        for field in AccessField.allCases { #expect(fault("%(\(field.name))s") == nil) }
    }

    @Test func absentValuesPrintADash() throws {
        for name in [
            "client_ip", "client_port", "request_line", "status_code", "acked_bytes", "aborted", "user_agent",
            "referer", "request_id", "ttfb", "method", "path", "query", "protocol", "host", "x_forwarded_for",
        ] {
            #expect(try line("%(\(name))s") == "-", "\(name)")
            #expect(try line("[%(\(name))3s|%(\(name))-3s]") == "[  -|-  ]", "\(name)")
        }
        #expect(try line("[%(acked_bytes)5d] [%(ttfb)8.3f]") == "[    -] [       -]")
    }

    @Test func theEndOfABrokenAnswerIsNamed() throws {
        var record = sample
        record.end = "client-reset"
        record.tls = true
        #expect(try line("%(aborted)s %(scheme)s", record) == "client-reset https")
        #expect(try line("%(aborted)14s|", record) == "  client-reset|")
    }

    @Test func bodyLengthLeavesOutInformationalAnswersThatLeft() throws {
        var record = sample
        record.wireBytes = 142
        record.interimBytes = 25
        #expect(try line("%(body_length)s %(wire_bytes)s", record) == "117 142")
        record.interimBytes = 1000
        #expect(try line("%(body_length)s %(wire_bytes)s", record) == "0 142")
    }

    // MARK: - Conversions

    @Test(arguments: [
        ("%(status_code)d", "200"), ("%(status_code)5d|", "  200|"), ("%(status_code)-5d|", "200  |"),
        ("%(status_code)05d", "00200"), ("%(status_code)+d", "+200"), ("%(status_code) d", " 200"),
        ("%(status_code)+06d", "+00200"), ("%(status_code).5d", "00200"), ("%(status_code)8.5d", "   00200"),
        ("%(status_code)-05d|", "200  |"), ("%(status_code)i%(status_code)u", "200200"),
        ("%(status_code)f", "200.000000"), ("%(status_code).0f", "200"), ("%(status_code).2f", "200.00"),
        ("%(status_code)5s|", "  200|"), ("%(status_code)-5s|", "200  |"), ("%(status_code).2s", "20"),
        ("%(status_code)05s", "  200"), ("%(wall_seconds)d", "0"), ("%(ttfb)d", "1"), ("%(ttfb)05d", "00001"),
        ("%(ttfb)f", "1.000050"), ("%(ttfb).6f", "1.000050"), ("%(ttfb).5f", "1.00005"),
        ("%(ttfb).4f", "1.0000"), ("%(ttfb).3f", "1.000"), ("%(ttfb).0f", "1"), ("%(ttfb).9f", "1.000050000"),
        ("%(ttfb)10.3f|", "     1.000|"), ("%(ttfb)-10.3f|", "1.000     |"), ("%(ttfb)010.3f", "000001.000"),
        ("%(ttfb)+.3f", "+1.000"), ("%(ttfb)#.3F", "1.000"), ("%(method)10s|", "       GET|"),
        ("%(method)-10s|", "GET       |"), ("%(method).2s", "GE"), ("%(method)5.2s|", "   GE|"),
        ("%(method).0s|", "|"), ("%(method)2s", "GET"), ("100%%", "100%"), ("%%(method)s", "%(method)s"),
        ("", ""), ("plain", "plain"), ("a%(method)sb%(method)sc", "aGETbGETc"),
        ("\u{e9}%(method)s", "\u{e9}GET"),
    ])
    func formatsAsPythonDoes(_ format: String, _ expected: String) throws {
        #expect(try line(format, sample) == expected)
    }

    @Test(arguments: [
        (0, "0.000000", "0.000", "0"), (499, "0.000499", "0.000", "0"), (500, "0.000500", "0.000", "0"),
        (501, "0.000501", "0.001", "0"), (1500, "0.001500", "0.002", "0"),
        (999_999, "0.999999", "1.000", "1"),
        (59_999_600, "59.999600", "60.000", "60"), (86_400_000_000, "86400.000000", "86400.000", "86400"),
        (Int64.max, "9223372036854.775807", "9223372036854.776", "9223372036855"),
    ])
    func secondsAreRounded(_ micros: Int64, _ six: String, _ three: String, _ none: String) throws {
        var record = AccessRecord()
        record.microsTotal = micros
        let printed = try line("%(wall_seconds).6f %(wall_seconds).3f %(wall_seconds).0f", record)
        #expect(printed == "\(six) \(three) \(none)")
    }

    @Test func extremeNumbersPrint() throws {
        var record = AccessRecord()
        record.wireBytes = .max
        record.bytesReceived = .min
        record.bodyBytes = -5
        record.wallSeconds = .max
        let text = try line("%(wire_bytes)s %(bytes_received)s %(bytes_received).3s %(body_bytes)05d", record)
        #expect(text == "9223372036854775807 -9223372036854775808 -92 -0005")
        #expect(try line("%(date_time)s", record).count == 20)
        record.wallSeconds = .min
        #expect(try line("%(date_time)s", record).count == 20)
    }

    @Test(arguments: [
        ("%(foo)s", "unknown field \"foo\""), ("%()s", "unknown field \"\""),
        ("%s", "a % must be followed by (field) or by another %"),
        ("%", "a % must be followed by (field) or by another %"),
        ("%(method", "a % must be followed by (field) or by another %"),
        ("%(method)", "nothing after %(method): s, d or f is missing"),
        ("%(method)-10", "nothing after %(method): s, d or f is missing"),
        ("%(method)d", "%(method) is text: use s"), ("%(date_time)f", "%(date_time) is text: use s"),
        ("%(status_code)x", "%(status_code) has conversion \"x\", not s, d or f"),
        ("%(status_code)*d", "%(status_code) has conversion \"*\", not s, d or f"),
        ("%(method)10000s", "%(method) has a width or precision above 9999"),
        ("%(method).99999999999999999999s", "%(method) has a width or precision above 9999"),
    ])
    func aWrongFormatIsExplained(_ format: String, _ text: String) {
        #expect(fault(format) == text)
        #expect(throws: OptionError(option: "access_log_format", text)) { _ = try AccessFormat(format) }
    }

    @Test func anEndlessFormatIsRefused() {
        #expect(fault(String(repeating: "x", count: 65_537)) == "longer than 65536 bytes")
    }

    // MARK: - Hostile bytes

    @Test func quotesBackslashesControlAndHighBytesAreEscaped() throws {
        let raw = Array("GET /\"\\\u{1b}[2J\r\n\u{7f}\u{e9} HTTP/1.1".utf8)
        #expect(
            try escaped("%(request_line)s", raw)
                == "GET /\\x22\\x5c\\x1b[2J\\x0d\\x0a\\x7f\\xc3\\xa9 HTTP/1.1")
    }

    @Test func everyByteAtEveryPlaceOfAWord() throws {
        for byte in UInt8.min...UInt8.max {
            let isDirty = byte < 0x20 || byte >= 0x7f || byte == 0x22 || byte == 0x5c
            let hex = (byte < 16 ? "0" : "") + String(byte, radix: 16)
            let printed = isDirty ? "\\x\(hex)" : String(UnicodeScalar(byte))
            for place in 0..<19 {
                var raw = [UInt8](repeating: 0x61, count: 19)
                raw[place] = byte
                let before = String(repeating: "a", count: place)
                let after = String(repeating: "a", count: 18 - place)
                #expect(try escaped("%(request_line)s", raw) == before + printed + after)
            }
        }
    }

    @Test func widthCountsPrintedAndPrecisionRawBytes() throws {
        #expect(try escaped("%(request_line)6s|", [0x22]) == "  \\x22|")
        #expect(try escaped("%(request_line)-6s|", [0x22]) == "\\x22  |")
        #expect(try escaped("%(request_line).2s|", [0x22, 0x22, 0x22]) == "\\x22\\x22|")
        #expect(try escaped("%(request_line)10.2s|", [0x22, 0x61, 0x22]) == "     \\x22a|")
    }

    @Test func aMegabyteOfHostileBytesIsLinear() throws {
        let text = try escaped("%(request_line)s", [UInt8](repeating: 0, count: 1 << 20))
        #expect(text.utf8.count == 4 << 20)
    }

    // MARK: - X-Forwarded-For

    @Test func clientIPCanShowWhatWasForwarded() throws {
        var record = sample
        #expect(try line("%(client_ip)s", record) == "127.0.0.1")
        #expect(try line("%(client_ip)s", record, showsForwardedFor: true) == "1.2.3.4,5.6.7.8,127.0.0.1")
        let right = try line("%(client_ip)27s|", record, showsForwardedFor: true)
        #expect(right == "  1.2.3.4,5.6.7.8,127.0.0.1|")
        let left = try line("%(client_ip)-27s|", record, showsForwardedFor: true)
        #expect(left == "1.2.3.4,5.6.7.8,127.0.0.1  |")
        #expect(try line("%(client_ip).10s|", record, showsForwardedFor: true) == "1.2.3.4,5.|")
        record.forwardedFor = bytes("  ")
        #expect(try line("%(client_ip)s", record, showsForwardedFor: true) == ",127.0.0.1")
        record.forwardedFor = bytes(" evil\"\n ")
        #expect(try line("%(client_ip)s", record, showsForwardedFor: true) == "evil\\x22\\x0a,127.0.0.1")
        record.forwardedFor = bytes("")
        #expect(try line("%(client_ip)s", record, showsForwardedFor: true) == "127.0.0.1")
    }

    // MARK: - Dates

    private func dateTime(_ seconds: Int64, _ offset: Int64) -> String {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { room in
            LocalTimeText.dateTime(seconds, offset: offset, into: room)
            return string(UnsafeRawBufferPointer(room))
        }
    }

    private func zone(_ offset: Int64) -> String {
        withUnsafeTemporaryAllocation(byteCount: 5, alignment: 1) { room in
            LocalTimeText.zone(offset: offset, into: room)
            return string(UnsafeRawBufferPointer(room))
        }
    }

    @Test func datesAreThoseOfTheCalendar() {
        #expect(dateTime(0, 0) == "01/Jan/1970 00:00:00")
        #expect(dateTime(-1, 0) == "31/Dec/1969 23:59:59")
        #expect(dateTime(moment, 3600) == "22/Nov/2026 17:10:56")
        #expect(dateTime(moment, -61_200) == "21/Nov/2026 23:10:56")
        #expect(dateTime(951_782_400, 0) == "29/Feb/2000 00:00:00")
        #expect(dateTime(4_107_542_400, 0) == "01/Mar/2100 00:00:00")
        #expect(dateTime(253_402_300_799, 0) == "31/Dec/9999 23:59:59")
    }

    @Test func datesAgreeWithTheCLibrary() {
        var seconds: Int64 = -2_000_000_000
        while seconds < 8_000_000_000 {
            var moment = time_t(seconds)
            var parts = tm()
            gmtime_r(&moment, &parts)
            var room = [UInt8](repeating: 0, count: 32)
            let count = room.withUnsafeMutableBytes {
                strftime($0.baseAddress, $0.count, "%d/%b/%Y %H:%M:%S", &parts)
            }
            #expect(dateTime(seconds, 0) == String(decoding: room[..<count], as: UTF8.self))
            seconds += 7_654_321
        }
    }

    @Test func zonesPrintTheirSign() {
        for (offset, expected) in [(0, "+0000"), (3600, "+0100"), (-12_600, "-0330"), (20_700, "+0545")] {
            #expect(zone(Int64(offset)) == expected)
        }
    }

    @Test func theZoneOfTheLineIsTheLocalOne() throws {
        var record = AccessRecord()
        record.wallSeconds = moment
        let local = zone(LogCalls.utcOffset(at: moment))
        #expect(try line("%(tz)s", record) == local)
        #expect(try line("%(tz)7s|", record) == "  \(local)|")
        #expect(try line("%(date_time).11s", sample) == "22/Nov/2026")
        #expect(try line("%(date_time)-22s|", sample) == "22/Nov/2026 16:10:56  |")
    }

    @Test func theZoneIsTheSameFromEveryThread() async {
        let zone = LocalZone()
        await withTaskGroup(of: Bool.self) { group in
            for start in 0..<4 {
                group.addTask {
                    (0..<20_000).allSatisfy { step in
                        let seconds = moment + Int64((step / 7 + start) % 50) * 86_400
                        return zone.offset(at: seconds) == LogCalls.utcOffset(at: seconds)
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
        #expect(zone.offset(at: -1) == LogCalls.utcOffset(at: -1))
    }
}
