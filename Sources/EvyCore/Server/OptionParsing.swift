// SPDX-License-Identifier: MIT
// OptionParsing - turns the text of a number, size, time or switch into its value, and back.
// Room: Server (pure). Spec: evy.h, "options".

/// What every option's text means. nil: the text does not say such a value. Nothing here traps.
enum OptionValue {
    /// Times: -1 in every unit.
    static let forever: Int64 = -1

    static func wholeNumber(_ text: String) -> Int64? {
        let (number, unit) = split(text)
        return unit.isEmpty ? number : nil
    }

    /// "65536", "64k", "16m", "1g" (powers of 1024, either case).
    static func size(_ text: String) -> Int64? {
        let (number, unit) = split(text)
        switch unit {
        case "": return number
        case "k", "K": return scaled(number, by: 1 << 10)
        case "m", "M": return scaled(number, by: 1 << 20)
        case "g", "G": return scaled(number, by: 1 << 30)
        default: return nil
        }
    }

    /// "500ms", "30s", "2m", "1h", "-1"; a bare number is milliseconds (rule R5 of evy.h).
    static func time(_ text: String) -> Int64? {
        let (number, unit) = split(text)
        switch unit {
        case "": return number
        case "ms": return scaled(number, by: 1)
        case "s": return scaled(number, by: 1000)
        case "m": return scaled(number, by: 60_000)
        case "h": return scaled(number, by: 3_600_000)
        default: return nil
        }
    }

    static func flag(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "on", "yes", "1": return true
        case "false", "off", "no", "0": return false
        default: return nil
        }
    }

    static func sizeText(_ bytes: Int64) -> String {
        for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] where bytes != 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }

    static func timeText(_ milliseconds: Int64) -> String {
        if milliseconds == forever { return "-1" }
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    /// A value as it appears in an error text: quoted, and short even when somebody passes a whole file.
    static func quoted(_ text: String) -> String {
        let head = text.unicodeScalars.prefix(60)
        var shown = "\""
        for scalar in head {
            let isPlain = scalar.value >= 0x20 && scalar.value != 0x7f
            shown.unicodeScalars.append(isPlain ? scalar : "?")
        }
        return shown + (head.count < text.unicodeScalars.count ? "...\"" : "\"")
    }

    /// Leading decimal number and what follows it. Only "-" and digits: no "+", no spaces, no underscores.
    private static func split(_ text: String) -> (number: Int64?, unit: Substring) {
        var rest = text.utf8[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        var number: Int64? = nil
        while let byte = rest.first, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            let digit = Int64(byte &- UInt8(ascii: "0"))
            let (tens, tooLarge) = (number ?? 0).multipliedReportingOverflow(by: 10)
            let (sum, carried) = tens.addingReportingOverflow(digit)
            if tooLarge || carried { return (nil, "") }
            number = sum
            rest = rest.dropFirst()
        }
        return (isNegative ? number.map { 0 - $0 } : number, Substring(rest))
    }

    private static func scaled(_ number: Int64?, by factor: Int64) -> Int64? {
        guard let number, number >= 0 else { return nil }  // "-1s" is not for ever
        let (product, tooLarge) = number.multipliedReportingOverflow(by: factor)
        return tooLarge ? nil : product
    }
}
