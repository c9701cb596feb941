// SPDX-License-Identifier: MIT
// TLSPolicy - turns TLSOptions into an evy_tls, and reads its files again.
// Room: Evy (the Swift face). Spec: evy.h, chapter "TLS".
internal import CEvy

/// Ownership: owns one reference to an evy_tls, given back in deinit; listeners keep theirs.
/// Thread:    any; the library serialises calls on one evy_tls.
final class TLSPolicy: @unchecked Sendable {
    let handle: OpaquePointer

    init(_ options: TLSOptions) throws(EvyError) {
        guard let handle = evy_tls_new() else { throw EvyError(.outOfMemory, "no memory for a TLS policy") }
        self.handle = handle
        try load(options.default)
        for (name, certificate) in options.named.sorted(by: { $0.key < $1.key }) {
            try load(certificate, as: name)
        }
        for certificate in options.additional { try load(certificate) }
        try ask(options.clients)
        try set("min_version", options.minVersion?.rawValue)
        try set("max_version", options.maxVersion?.rawValue)
        try set("ciphers", options.ciphers)
        try set("ciphersuites", options.ciphersuites)
        try set("groups", options.groups)
        try set("alpn", options.protocols.map { $0.isEmpty ? "off" : $0.joined(separator: ",") })
        try set("tickets", options.tickets.map { "\($0)" })
        try set("ticket_rotation", options.ticketRotation.map { "\($0.evyMilliseconds)" })
        if !options.ocspFiles.isEmpty { try set("ocsp_file", options.ocspFiles.joined(separator: ",")) }
        try set("keylog_file", options.keyLogFile)
    }

    deinit { evy_tls_free(handle) }

    func reload() throws(EvyError) { try check(evy_tls_reload(handle)) }

    private func check(_ status: evy_status) throws(EvyError) {
        try checked(status, evy_tls_error(handle))
    }

    private func set(_ key: String, _ value: String?) throws(EvyError) {
        guard let value else { return }
        try refuseNUL(value, "TLS option \(key)")
        try check(evy_tls_set(handle, key, value))
    }

    private func ask(_ clients: TLSOptions.Clients) throws(EvyError) {
        let (mode, authority): (Int32, TLSOptions.PEM)
        switch clients {
        case .notAsked: return
        case .optional(let pem): (mode, authority) = (Int32(EVY_VERIFY_OPTIONAL), pem)
        case .required(let pem): (mode, authority) = (Int32(EVY_VERIFY_REQUIRE), pem)
        }
        switch authority {
        case .file(let path):
            try refuseNUL(path, "client CA file \(path.debugDescription)")
            try check(evy_tls_client_ca_file(handle, mode, path))
        case .memory(let bytes): try check(evy_tls_client_ca_mem(handle, mode, bytes, bytes.count))
        }
    }

    private func load(_ pair: TLSOptions.Certificate, as name: String? = nil) throws(EvyError) {
        let pass = pair.passphrase
        try refuseNUL(name, "host name \((name ?? "").debugDescription)")
        try refuseNUL(pass, "the passphrase of a key")
        for case .file(let path)? in [pair.chain, pair.key] {
            try refuseNUL(path, "file \(path.debugDescription)")
        }
        switch (pair.chain, pair.key) {
        case (.file(let chain), nil):
            try check(evy_tls_cert_file(handle, name, chain, nil, pass))
        case (.file(let chain), .file(let key)):
            try check(evy_tls_cert_file(handle, name, chain, key, pass))
        case (.memory(let chain), nil):
            try check(evy_tls_cert_mem(handle, name, chain, chain.count, nil, 0, pass))
        case (.memory(let chain), .memory(let key)):
            try check(evy_tls_cert_mem(handle, name, chain, chain.count, key, key.count, pass))
        case (.file, .memory), (.memory, .file):
            throw EvyError(.badArgument, "certificate and key have to be both in files or both in memory")
        }
    }
}
