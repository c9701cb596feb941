// SPDX-License-Identifier: MIT
// ConformanceCases - reads the cases of Tests/Conformance/http1 (its README has the form).
// Room: tests.

import Glibc

@testable import EvyCore

struct ConformanceCase: CustomStringConvertible, Sendable {
    /// "valid/chunks.http"
    let file: String
    let title: String
    /// The comment above it, which names the section of an RFC, or a row of the behaviour table.
    let rule: String
    var settings: [String] = []
    var bytes: [UInt8] = []
    /// Where the bytes may be cut: everywhere but in the midst of a repetition.
    var cuts: [Int] = []
    var expected: [String] = []

    var description: String { "\(file): \(title)" }

    static let directory = #filePath.parent(4) + "/Tests/Conformance/http1"

    static func all() -> [ConformanceCase] {
        ["valid", "invalid"].flatMap { folder in
            fileNames(folder).flatMap { name in cases(name, readFile("\(directory)/\(name)")) }
        }
    }

    private static func cases(_ file: String, _ text: String) -> [ConformanceCase] {
        var cases: [ConformanceCase] = []
        var rule = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
            if line.hasPrefix("# ") {
                rule = String(line)
            } else if line.hasPrefix("== ") {
                cases.append(ConformanceCase(file: file, title: String(line.dropFirst(3)), rule: rule))
            } else if line.hasPrefix("set ") {
                cases[cases.count - 1].settings = line.dropFirst(4).split(separator: " ").map(String.init)
            } else if line.hasPrefix("--> ") {
                cases[cases.count - 1].expected.append(String(line.dropFirst(4)))
            } else {
                cases[cases.count - 1].add(line)
            }
        }
        return cases
    }

    /// One line of bytes, with \r \n \t \\ \xNN and \*N{...} for N times what the braces hold.
    private mutating func add(_ line: Substring) {
        var rest = line
        while let start = rest.firstRange(of: "\\*"),
            let brace = rest[start.upperBound...].firstIndex(of: "{"),
            let end = rest[brace...].firstIndex(of: "}"), let count = Int(rest[start.upperBound..<brace])
        {
            append(Self.unescaped(rest[..<start.lowerBound]))
            let lower = bytes.count
            for _ in 0..<count { bytes += Self.unescaped(rest[rest.index(after: brace)..<end]) }
            let inner = Set([0, 1, 2].flatMap { [lower + $0, bytes.count - $0] })
            cuts += inner.filter { $0 >= lower && $0 < bytes.count }.sorted()
            rest = rest[rest.index(after: end)...]
        }
        append(Self.unescaped(rest))
    }

    private mutating func append(_ piece: [UInt8]) {
        cuts += bytes.count..<bytes.count + piece.count
        bytes += piece
    }

    /// The bytes of a text, with \r \n \t \\ and \xNN.
    static func unescaped(_ line: some StringProtocol) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(line.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let mark = rest.popFirst() else {
                bytes.append(byte)
                continue
            }
            switch mark {
            case UInt8(ascii: "r"): bytes.append(0x0d)
            case UInt8(ascii: "n"): bytes.append(0x0a)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "x"):
                let digits = rest.prefix(2).map { ASCII.hexValue($0) }
                rest = rest.dropFirst(2)
                bytes.append(digits.reduce(0) { $0 &* 16 &+ $1 })
            default: bytes.append(mark)
            }
        }
        return bytes
    }

    /// The feed this case asks for.
    func feed() -> HTTP1Feed {
        var feed = HTTP1Feed()
        for setting in settings {
            let parts = setting.split(separator: "=")
            let number = parts.count > 1 ? Int(parts[1]) ?? -1 : -1
            switch parts[0] {
            case "allow_bare_lf": feed.laxness.insert(.allowBareLF)
            case "allow_obs_fold": feed.laxness.insert(.allowObsFold)
            case "allow_missing_host": feed.laxness.insert(.allowMissingHost)
            case "allow_unknown_expect": feed.laxness.insert(.allowUnknownExpect)
            case "allow_encoded_nul": feed.laxness.insert(.allowEncodedNUL)
            case "lenient_content_length": feed.laxness.insert(.lenientContentLength)
            case "underscore_headers": feed.laxness.insert(.underscoreRefuse)
            case "max_request_line": feed.limits.requestLineMax = number
            case "max_header_line": feed.limits.headerLineMax = number
            case "max_header_size": feed.limits.headerBytesMax = number
            case "max_headers": feed.limits.headerCountMax = number
            case "max_body_size": feed.limits.bodyBytesMax = UInt64(number)
            default: fatalError("unknown setting \(setting) in \(self)")
            }
        }
        return feed
    }

    private static func fileNames(_ folder: String) -> [String] {
        guard let stream = opendir("\(directory)/\(folder)") else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".http") { names.append("\(folder)/\(name)") }
        }
        return names.sorted()
    }

    private static func readFile(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    /// The path without its last `count` components.
    func parent(_ count: Int) -> String {
        split(separator: "/").dropLast(count).reduce("") { "\($0)/\($1)" }
    }
}
