// SPDX-License-Identifier: MIT
// TLSPolicyOptions - the options of evy_tls_set: names, values, and what is wrong with them.
// Room: Transport (no system calls of its own). Spec: evy.h, chapter TLS.

extension TLSPolicy {
    private enum Option: String, CaseIterable {
        case minVersion = "min_version"
        case maxVersion = "max_version"
        case ciphers, ciphersuites, groups, alpn, tickets
        case ticketRotation = "ticket_rotation"
        case stapleFile = "ocsp_file"
        case keyLogFile = "keylog_file"
    }

    private static let ticketsMax = 16
    private static let rotationMin: Int64 = 1_000
    /// A century: far from any overflow.
    private static let rotationMax: Int64 = 100 * 366 * 86_400_000

    /// `text` is nil where the value is no UTF-8.
    mutating func set(_ key: String, _ text: String?) throws(TLSError) {
        guard let option = Option(rawValue: key) else {
            let known = Option.allCases.map(\.rawValue).joined(separator: ", ")
            throw TLSError(kind: .option, text: "no TLS option \"\(key)\" (\(known))")
        }
        guard let value = text else {
            throw TLSError(kind: .value, text: "option \(key): the value is not UTF-8")
        }
        var trial = self
        switch option {
        case .minVersion: trial.minVersion = try TLSPolicy.version(key, value)
        case .maxVersion: trial.maxVersion = try TLSPolicy.version(key, value)
        case .ciphers: trial.ciphers = try TLSPolicy.list(key, value)
        case .ciphersuites: trial.ciphersuites = try TLSPolicy.list(key, value)
        case .groups: trial.groups = try TLSPolicy.list(key, value)
        case .alpn: trial.protocols = try TLSProtocolList(option: key, value)
        case .tickets: trial.tickets = try TLSPolicy.count(key, value)
        case .ticketRotation: trial.ticketRotation = try TLSPolicy.period(key, value)
        case .stapleFile: try trial.setStaples(value)
        case .keyLogFile: trial.keyLog = value.isEmpty ? nil : try TLSKeyLog(path: value)
        }
        if let low = trial.minVersion, let high = trial.maxVersion, low.rawValue > high.rawValue {
            let complaint =
                option == .minVersion
                ? "is above max_version \"\(high.text)\"" : "is below min_version \"\(low.text)\""
            throw .value(key, value, complaint)
        }
        do throws(TLSError) {
            try trial.tryOut()
        } catch {
            // A stricter level in `ciphers` may refuse the certificate set before: still this value's fault.
            throw error.kind == .tls ? .value(key, value, "does not go: " + error.text) : error
        }
        self = trial
    }

    private static func version(_ key: String, _ value: String) throws(TLSError) -> Version {
        if let version = Version(value) { return version }
        if ["1.0", "1.1", "1", "3.0"].contains(value) {
            throw .value(key, value, "is a version evy never speaks; it must be 1.2 or 1.3")
        }
        throw .value(key, value, "is not 1.2 or 1.3")
    }

    private static func list(_ key: String, _ value: String) throws(TLSError) -> String {
        if value.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x3A }) { throw .value(key, value, "names nothing") }
        return value
    }

    private static func count(_ key: String, _ value: String) throws(TLSError) -> Int {
        if value == "off" { return 0 }
        guard let count = Int(value), count >= 0, count <= ticketsMax, !value.hasPrefix("+") else {
            throw .value(key, value, "is not off or a number from 0 to \(ticketsMax)")
        }
        return count
    }

    /// "12h", "30m", "90s", "5000ms" or "5000"; "off" or "0": never.
    private static func period(_ key: String, _ value: String) throws(TLSError) -> Int64 {
        if value == "off" { return 0 }
        let digits = value.prefix { $0.isASCII && $0.isNumber }
        let units: [Substring: Int64] = ["": 1, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000]
        guard let number = Int64(digits), let unit = units[value[digits.endIndex...]] else {
            throw .value(key, value, "is not off or a time (\"12h\", \"30m\", \"90s\")")
        }
        let (period, isTooLarge) = number.multipliedReportingOverflow(by: unit)
        guard !isTooLarge, period <= rotationMax, period == 0 || period >= rotationMin else {
            throw .value(key, value, "is not between 1s and a century")
        }
        return period
    }

    /// Paths with commas between them, one for each certificate that has a response; "": none.
    private mutating func setStaples(_ value: String) throws(TLSError) {
        staplePaths = value.split(separator: ",").map(String.init)
        staples = []
        do throws(TLSError) {
            for path in staplePaths { staples.append(try TLSStaple(path: path)) }
        } catch {
            throw .value("ocsp_file", value, "does not go: " + error.text)
        }
    }
}
