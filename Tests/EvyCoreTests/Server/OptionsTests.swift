// SPDX-License-Identifier: MIT
// OptionsTests - every option right, wrong and at its bounds, from text and from a number.
// Room tested: Server/Options, OptionTable, OptionParsing. Spec: evy.h, "options".

import Testing

@testable import EvyCore

@Suite struct OptionsTests {
    private func text(_ text: StaticString) -> String { "\(text)" }

    private func refusal(_ key: String, _ value: String) -> String? {
        var options = Options()
        do throws(OptionError) { try options.set(key, value) } catch { return error.text }
        return nil
    }

    private func refusal(_ key: String, number: Int64) -> String? {
        var options = Options()
        do throws(OptionError) { try options.set(key, number: number) } catch { return error.text }
        return nil
    }

    private func value(_ key: String, after value: String) throws -> String? {
        var options = Options()
        try options.set(key, value)
        return options.get(key)
    }

    // MARK: - The table

    @Test func namesAreUniqueAndEveryRowHasHelp() {
        let names = Options.table.map { text($0.name) }
        #expect(Set(names).count == names.count)
        for row in Options.table {
            #expect(!text(row.help).isEmpty && !text(row.help).contains("\n"))
            #expect(["int", "size", "time", "bool", "text", "choice"].contains(text(row.type)))
        }
    }

    @Test func theDefaultOfTheTableIsTheInitialValue() throws {
        for row in Options.table {
            let key = text(row.name)
            #expect(Options().get(key) == text(row.default), "\(key)")
            #expect(try value(key, after: text(row.default)) == text(row.default), "\(key)")
        }
    }

    @Test func whatGetReturnsSetTakesBack() throws {
        var options = Options()
        for (key, value) in samples {
            try options.set(key, value)
            let canonical = try #require(options.get(key))
            var again = Options()
            try again.set(key, canonical)
            #expect(again.get(key) == canonical, "\(key)")
        }
    }

    @Test func everyOptionReachesItsOwnMember() throws {
        #expect(Set(samples.map(\.0)) == Set(Options.table.map { text($0.name) }))
        for (key, value) in samples {
            var options = Options()
            try options.set(key, value)
            for row in Options.table {
                let name = text(row.name)
                #expect((options.get(name) != text(row.default)) == (name == key), "\(key) changed \(name)")
            }
        }
    }

    /// One value other than the default for each option.
    private let samples: [(String, String)] = [
        ("lent_threads", "on"), ("pull", "yes"),
        ("loops", "2"), ("drain_delay", "1s"),
        ("threads", "8"), ("waiting_threads", "9"), ("backlog", "50"), ("max_connections", "1024"),
        ("keep_alive", "off"),
        ("max_requests_per_connection", "1000"), ("max_http_version", "1.0"), ("max_request_line", "4096"),
        ("max_header_line", "16k"), ("max_header_size", "128K"), ("max_headers", "64"),
        ("header_size_status", "400"),
        ("max_body_size", "2g"), ("body", "stream"), ("handshake_timeout", "5s"),
        ("header_timeout", "1500ms"), ("idle_timeout", "0"), ("body_timeout", "2m"),
        ("body_min_rate", "0"), ("write_timeout", "1h"), ("linger_timeout", "250"),
        ("linger_bytes", "0"), ("write_high_water", "1m"), ("write_low_water", "1000"),
        ("reuse_port", "yes"), ("server_header", "evy"), ("script_name", "/app"),
        ("request_id_header", "X-Request-ID"),
        ("access_log", "fd:3"), ("access_log_format", "%(method)s"), ("log_x_forwarded_for", "1"),
        ("error_log", "/var/log/evy.log"), ("log_level", "debug"), ("underscore_headers", "refuse"),
        ("header_join", "comma"), ("allow_missing_host", "true"), ("allow_bare_lf", "true"),
        ("allow_unknown_expect", "true"),
        ("allow_obs_fold", "true"), ("lenient_content_length", "true"), ("allow_encoded_nul", "true"),
        ("server_protocol_fixed", "TRUE"),
        ("proxy_protocol", "require"), ("trusted_proxies", "10.0.0.0/8, unix"),
        ("forwarded_headers", "forwarded"),
        ("log_x_forwarded_for", "on"), ("max_body_size", "0"),
    ]

    @Test func typedMembersHoldWhatWasSet() throws {
        var options = Options()
        try options.set("threads", "8")
        try options.set("max_body_size", "2g")
        try options.set("idle_timeout", "2m")
        try options.set("write_timeout", "-1")
        try options.set("max_http_version", "1.0")
        try options.set("body", "stream")
        try options.set("underscore_headers", "allow")
        try options.set("header_join", "comma")
        try options.set("log_level", "warn")
        try options.set("access_log", "stderr")
        #expect(options.threads == 8)
        #expect(options.maxBodySize == 2 << 30)
        #expect(options.idleTimeout == 120_000)
        #expect(options.writeTimeout == -1)
        #expect(options.maxHttpVersion == .http10)
        #expect(options.body == .stream)
        #expect(options.underscoreHeaders == .allow)
        #expect(options.headerJoin == .comma)
        #expect(options.logLevel.code == 2)
        #expect(options.accessLog == .stderr)
    }

    // MARK: - Wrong values

    @Test func anUnknownOptionIsNamedAndToldApart() {
        var options = Options()
        #expect(throws: OptionError(unknown: "max_header")) { try options.set("max_header", "1") }
        #expect(throws: OptionError(unknown: "")) { try options.set("", number: 1) }
        #expect(OptionError(unknown: "max_header").isUnknown)
        #expect(OptionError(unknown: "max_header").text == "unknown option \"max_header\"")
        #expect(!OptionError(option: "threads", "x").isUnknown)
        #expect(options.get("max_header") == nil)
    }

    @Test(arguments: [
        ("max_headers", "many", "option max_headers: \"many\" is not a whole number"),
        ("max_headers", "", "option max_headers: \"\" is not a whole number"),
        ("max_headers", "8k", "option max_headers: \"8k\" is not a whole number"),
        ("max_headers", "+8", "option max_headers: \"+8\" is not a whole number"),
        ("max_headers", " 8", "option max_headers: \" 8\" is not a whole number"),
        ("max_headers", "1_0", "option max_headers: \"1_0\" is not a whole number"),
        ("max_headers", "0", "option max_headers: 0 is not between 1 and 10000"),
        ("threads", "99999999999999999999", "option threads: \"99999999999999999999\" is not a whole number"),
        ("threads", "-1", "option threads: -1 is not between 1 and 1024"),
        ("max_body_size", "16q", "option max_body_size: \"16q\" is not a size such as 512, 64k, 16m or 1g"),
        ("max_body_size", "k", "option max_body_size: \"k\" is not a size such as 512, 64k, 16m or 1g"),
        ("max_body_size", "-1k", "option max_body_size: \"-1k\" is not a size such as 512, 64k, 16m or 1g"),
        ("max_body_size", "1.5m", "option max_body_size: \"1.5m\" is not a size such as 512, 64k, 16m or 1g"),
        ("idle_timeout", "soon", "option idle_timeout: \"soon\" is not a time such as 500ms, 30s, 2m or -1"),
        ("idle_timeout", "-1s", "option idle_timeout: \"-1s\" is not a time such as 500ms, 30s, 2m or -1"),
        ("idle_timeout", "-2", "option idle_timeout: -2 is not between 0s and 2073600s, nor -1"),
        ("header_timeout", "0", "option header_timeout: 0s is not between 1ms and 2073600s, nor -1"),
        ("linger_timeout", "-1", "option linger_timeout: -1 is not between 0s and 2073600s"),
        ("keep_alive", "maybe", "option keep_alive: \"maybe\" is neither true nor false"),
        ("keep_alive", "", "option keep_alive: \"\" is neither true nor false"),
        ("body", "both", "option body: \"both\" is not one of buffer, stream, auto"),
        ("max_http_version", "2", "option max_http_version: \"2\" is not one of 1.0, 1.1"),
        ("log_level", "INFO", "option log_level: \"INFO\" is not one of error, warn, info, debug"),
        ("header_join", ",", "option header_join: \",\" is not one of comma-space, comma"),
        ("access_log", "", "option access_log: \"\" is not off, stderr, fd:N or a file"),
        ("access_log", "fd:", "option access_log: \"fd:\" is not off, stderr, fd:N or a file"),
        ("access_log", "fd:-1", "option access_log: \"fd:-1\" is not off, stderr, fd:N or a file"),
        (
            "error_log", "fd:9999999999",
            "option error_log: \"fd:9999999999\" is not off, stderr, fd:N or a file"
        ),
        (
            "error_log", "OFF",
            "option error_log: \"OFF\" is not off, stderr, fd:N or a file; fd:1 is stdout, ./NAME any file"
        ),
        ("error_log", "/a\0b", "option error_log: the value holds a NUL byte"),
        ("access_log_format", "%(ip)s", "option access_log_format: unknown field \"ip\""),
        ("server_header", "a\r\nX: y", "option server_header: \"a??X: y\" holds a control byte"),
        ("server_header", "evy ", "option server_header: \"evy \" begins or ends with a space"),
        ("script_name", "app", "option script_name: \"app\" does not begin with /"),
        ("script_name", "/app/", "option script_name: \"/app/\" ends with /"),
        (
            "script_name", "/caf%C3%a9",
            "option script_name: \"/caf%C3%a9\" is percent-encoded: it is looked for in the decoded path"
        ),
        ("script_name", "/a\nb", "option script_name: \"/a?b\" holds a control byte"),
    ])
    func aWrongValueIsNamed(_ key: String, _ value: String, _ text: String) {
        #expect(refusal(key, value) == text)
    }

    @Test func aRefusedValueChangesNothing() {
        var options = Options()
        #expect(throws: OptionError.self) { try options.set("threads", "0") }
        #expect(throws: OptionError.self) { try options.set("idle_timeout", number: -7) }
        #expect(options.threads == 32)
        #expect(options.idleTimeout == 75_000)
    }

    @Test func aLongOrHostileValueIsShortenedInTheText() throws {
        let long = String(repeating: "x", count: 100_000)
        let text = try #require(refusal("threads", long))
        #expect(text.utf8.count < 120)
        #expect(text.contains("...\""))
        #expect(refusal("threads", "a\u{1b}[2J") == "option threads: \"a?[2J\" is not a whole number")
    }

    // MARK: - Bounds

    @Test func boundsAreTakenAndWhatIsBesideThemIsNot() throws {
        for row in Options.table {
            let key = text(row.name)
            switch row.slot {
            case .int(_, let bounds), .size(_, let bounds), .time(_, let bounds, _):
                #expect(refusal(key, number: bounds.lowerBound) == nil)
                #expect(refusal(key, number: bounds.upperBound) == nil)
                #expect(refusal(key, "\(bounds.lowerBound)") == nil)
                #expect(refusal(key, "\(bounds.upperBound)") == nil)
                #expect(refusal(key, number: bounds.upperBound + 1) != nil)
                #expect(refusal(key, number: bounds.lowerBound - 3) != nil)
                #expect(refusal(key, number: .max) != nil)
                #expect(refusal(key, number: .min) != nil)
                #expect(refusal(key, "\(Int64.min)") != nil)
            case .bool:
                #expect(refusal(key, number: 0) == nil)
                #expect(refusal(key, number: 1) == nil)
                #expect(refusal(key, number: 2) == "option \(key): 2 is neither 0 nor 1")
                #expect(refusal(key, number: -1) != nil)
            case .text, .log, .choice:
                #expect(refusal(key, number: 1) == "option \(key): takes text, not a number")
            }
        }
    }

    @Test func foreverIsTakenWhereItMeansSomething() throws {
        for row in Options.table {
            guard case .time(_, _, let forever) = row.slot else { continue }
            let key = text(row.name)
            #expect((refusal(key, number: -1) == nil) == forever, "\(key)")
            #expect((refusal(key, "-1") == nil) == forever, "\(key)")
        }
    }

    @Test func sizesAndTimesSpeakTheirUnits() throws {
        #expect(OptionValue.size("64k") == 65536)
        #expect(OptionValue.size("64K") == 65536)
        #expect(OptionValue.size("16m") == 16 << 20)
        #expect(OptionValue.size("1g") == 1 << 30)
        #expect(OptionValue.size("9223372036854775807") == .max)
        #expect(OptionValue.size("9223372036854775807k") == nil)
        #expect(OptionValue.size("9223372036854775808") == nil)
        #expect(OptionValue.time("500ms") == 500)
        #expect(OptionValue.time("500") == 500)
        #expect(OptionValue.time("30s") == 30_000)
        #expect(OptionValue.time("2m") == 120_000)
        #expect(OptionValue.time("1h") == 3_600_000)
        #expect(OptionValue.time("-1") == -1)
        #expect(OptionValue.time("-1ms") == nil)
        #expect(OptionValue.time("9223372036854775807h") == nil)
        #expect(OptionValue.wholeNumber("-") == nil)
        #expect(OptionValue.sizeText(0) == "0")
        #expect(OptionValue.sizeText(1000) == "1000")
        #expect(OptionValue.sizeText(1 << 20) == "1m")
        #expect(OptionValue.timeText(1500) == "1500ms")
        #expect(OptionValue.timeText(120_000) == "120s")
    }

    @Test(arguments: ["true", "on", "yes", "1", "True", "ON"])
    func yes(_ text: String) { #expect(OptionValue.flag(text) == true) }

    @Test(arguments: ["false", "off", "no", "0", "False", "OFF"])
    func no(_ text: String) { #expect(OptionValue.flag(text) == false) }

    @Test func waterMarksMustNotCross() throws {
        var options = Options()
        try options.check()
        try options.set("write_high_water", "32k")
        #expect(
            throws: OptionError(option: "write_low_water", "64k is above write_high_water, 32k")
        ) { try options.check() }
        try options.set("write_low_water", "32k")
        try options.check()
    }

    @Test func destinationsAreReadAsTheyAreWritten() {
        #expect(LogDestination("off") == .off)
        #expect(LogDestination("stderr") == .stderr)
        #expect(LogDestination("fd:0") == .descriptor(0))
        #expect(LogDestination("fd:17")?.text == "fd:17")
        #expect(LogDestination("./off") == .path("./off"))
        #expect(LogDestination("fd:x") == nil)
        #expect(LogDestination("fd:-0") == nil)
        #expect(LogDestination("off.log") == .path("off.log"))
    }
}
