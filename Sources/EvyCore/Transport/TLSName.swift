// SPDX-License-Identifier: MIT
// TLSName - turns host names of hosts, certificates and clients into the one form that compares.
// Room: Transport (pure). Spec: RFC 6066 section 3 (SNI), RFC 6125 section 6.4.3 (wildcards).

/// "a.org", or "*.a.org" for every name with one label in front of a.org. Lower case, no dot at the end.
struct TLSName: Hashable, Sendable {
    let text: String

    private static let byteCountMax = 253
    private static let labelMax = 63

    /// nil: no name that a client could ask for (an address, an empty label, a "*" elsewhere).
    init?(_ bytes: some Collection<UInt8>) {
        var name: [UInt8] = []
        guard bytes.count <= TLSName.byteCountMax + 1 else { return nil }
        for byte in bytes { name.append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte) }
        if name.last == 0x2E { name.removeLast() }
        var labels = name.split(separator: 0x2E, omittingEmptySubsequences: false)
        let text = String(decoding: name, as: UTF8.self)
        if labels.first?.elementsEqual([0x2A]) == true {
            labels.removeFirst()
            // "*.org" would claim a whole top-level domain.
            guard labels.count >= 2 else { return nil }
        }
        guard !name.isEmpty, name.count <= TLSName.byteCountMax, labels.allSatisfy(TLSName.isLabel) else {
            return nil
        }
        // RFC 6066: literal IPv4 and IPv6 addresses are not permitted. No top-level domain is a number.
        if labels.last?.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) == true { return nil }
        self.text = text
    }

    init?(_ text: String) { self.init(Array(text.utf8)) }

    private init(known text: String) { self.text = text }

    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        !label.isEmpty && label.count <= labelMax
            && label.allSatisfy {
                ($0 >= 0x61 && $0 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x2D || $0 == 0x5F
            }
    }

    /// "*.a.org" for "b.a.org"; nil where there is nothing in front of a dot.
    var wildcard: TLSName? {
        guard let dot = text.utf8.firstIndex(of: 0x2E), !text.hasPrefix("*.") else { return nil }
        return TLSName(known: "*" + String(text[dot...]))
    }
}

/// Which of several certificates serves a name. Names given by the host outrank names read from a
/// certificate; among equals the one added first wins.
struct TLSNameTable {
    private var places: [TLSName: Int] = [:]

    init(_ certificates: [(names: [TLSName], isGiven: Bool)]) {
        for wanted in [true, false] {
            for (place, certificate) in certificates.enumerated() where certificate.isGiven == wanted {
                for name in certificate.names where places[name] == nil { places[name] = place }
            }
        }
    }

    /// nil: the default serves it.
    func place(of name: TLSName) -> Int? {
        if let exact = places[name] { return exact }
        return name.wildcard.flatMap { places[$0] }
    }
}
