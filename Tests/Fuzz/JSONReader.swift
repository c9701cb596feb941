// SPDX-License-Identifier: MIT
// JSONReader - reads one flat JSON object, as strictly as RFC 8259 is written.
// Room: fuzzing.

enum JSONValue: Equatable {
    case null
    case text(String)
    /// As it was written.
    case number(String)
}

struct JSONReader {
    private var rest: ArraySlice<UInt8>

    /// The members in their order; nil: not one flat object and nothing else.
    static func object(_ bytes: [UInt8]) -> [(name: String, value: JSONValue)]? {
        var reader = JSONReader(rest: bytes[...])
        guard let members = reader.members(), reader.rest.isEmpty else { return nil }
        return members
    }

    private init(rest: ArraySlice<UInt8>) { self.rest = rest }

    private mutating func take(_ text: String) -> Bool {
        guard rest.starts(with: Array(text.utf8)) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    private mutating func members() -> [(name: String, value: JSONValue)]? {
        guard take("{") else { return nil }
        var found: [(name: String, value: JSONValue)] = []
        repeat {
            guard let name = string(), take(":"), let value = value() else { return nil }
            found.append((name, value))
        } while take(",")
        return take("}") ? found : nil
    }

    private mutating func value() -> JSONValue? {
        if take("null") { return .null }
        if rest.first == 0x22 { return string().map { .text($0) } }
        return number().map { .number($0) }
    }

    private mutating func digits() -> String? {
        let found = rest.prefix { (0x30...0x39).contains($0) }
        rest = rest.dropFirst(found.count)
        return found.isEmpty ? nil : String(decoding: found, as: UTF8.self)
    }

    private mutating func number() -> String? {
        let sign = take("-") ? "-" : ""
        guard let whole = digits(), whole == "0" || !whole.hasPrefix("0") else { return nil }
        guard take(".") else { return sign + whole }
        return digits().map { "\(sign)\(whole).\($0)" }
    }

    private mutating func string() -> String? {
        guard take("\"") else { return nil }
        var text: [UInt16] = []
        while let byte = rest.first, byte != 0x22 {
            guard byte >= 0x20 else { return nil }
            if byte == 0x5c {
                guard let unit = escape() else { return nil }
                text.append(unit)
            } else {
                let plain = rest.prefix { $0 != 0x22 && $0 != 0x5c && $0 >= 0x20 }
                guard let valid = String(validating: plain, as: UTF8.self) else { return nil }
                text += valid.utf16
                rest = rest.dropFirst(plain.count)
            }
        }
        guard take("\"") else { return nil }
        return String(validating: text, as: UTF16.self)
    }

    private mutating func escape() -> UInt16? {
        rest = rest.dropFirst()
        switch rest.popFirst() {
        case 0x22: return 0x22
        case 0x5c: return 0x5c
        case 0x75:
            let hex = rest.prefix(4)
            rest = rest.dropFirst(4)
            guard hex.count == 4, !hex.contains(0x2b), !hex.contains(0x2d) else { return nil }
            return UInt16(String(decoding: hex, as: UTF8.self), radix: 16)
        default: return nil
        }
    }
}
