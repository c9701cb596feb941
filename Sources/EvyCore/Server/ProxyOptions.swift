// SPDX-License-Identifier: MIT
// ProxyOptions - the options of a server behind proxies: whom it believes, and what.
// Room: Server (pure). Spec: evy.h, "options"; Proxy/Forwarded, Proxy/ProxyHeader.

extension Options {
    enum ProxyProtocol: String, CaseIterable { case off, require }

    static let proxyRows: [OptionRow] = [
        OptionRow(
            "proxy_protocol", .choice(.init(\.proxyProtocol)), "off",
            "require: every connection begins with a PROXY protocol header, version 1 or 2"),
        OptionRow(
            "trusted_proxies", .text(\.trustedProxies, fault: AddressList.fault), "",
            "peers whose forwarded headers count: addresses, networks (10.0.0.0/8), unix, * for all"),
        OptionRow(
            "forwarded_headers", .text(\.forwardedHeaders, fault: ForwardedFields.fault),
            "x-forwarded-for x-forwarded-proto",
            "headers taken from them: x-forwarded-for -proto -host -port, or forwarded; only those they set"),
    ]
}

/// Words parted by commas or spaces.
private func words(_ text: String) -> [Substring] {
    text.split { $0 == "," || $0 == " " || $0 == "\t" }
}

enum AddressList {
    private static func rule(_ word: Substring) -> AddressRule? {
        let bytes = Array(word.utf8)
        return AddressRule(bytes.span.bytes, ByteRange(0, bytes.count))
    }

    static func rules(_ text: String) -> [AddressRule] { words(text).compactMap(rule) }

    @Sendable static func fault(_ text: String) -> String? {
        guard let wrong = words(text).first(where: { rule($0) == nil }) else { return nil }
        let forms = "an address, a network such as 10.0.0.0/8, unix or *"
        return "\(OptionValue.quoted(String(wrong))) is not \(forms)"
    }
}

extension ForwardedFields {
    private static func field(_ word: Substring) -> ForwardedFields? {
        switch word.lowercased() {
        case "x-forwarded-for": return .client
        case "x-forwarded-proto": return .scheme
        case "x-forwarded-host": return .host
        case "x-forwarded-port": return .port
        case "forwarded": return .standard
        default: return nil
        }
    }

    init(_ text: String) {
        self = ForwardedFields(words(text).compactMap(Self.field))
    }

    @Sendable static func fault(_ text: String) -> String? {
        if let wrong = words(text).first(where: { field($0) == nil }) {
            return "\(OptionValue.quoted(String(wrong))) is not one of x-forwarded-for, x-forwarded-proto, "
                + "x-forwarded-host, x-forwarded-port and forwarded"
        }
        let fields = ForwardedFields(text)
        // A proxy writes the one and passes on the other, which then is the client's own word.
        guard fields.contains(.standard), fields != .standard else { return nil }
        return "\(OptionValue.quoted(text)): forwarded and x-forwarded-* exclude each other"
    }
}
