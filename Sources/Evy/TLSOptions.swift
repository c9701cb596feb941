// SPDX-License-Identifier: MIT
// TLSOptions - a certificate, its key and the TLS policy, as values.
// Room: Evy (the Swift face).
internal import CEvy

/// What an HTTPS listener needs. TLS 1.2 and 1.3 are spoken unless said otherwise.
public struct TLSOptions: Sendable, Hashable {
    /// PEM text and where it is.
    public enum PEM: Sendable, Hashable, ExpressibleByStringLiteral {
        /// The path of a file, read when the server is made.
        case file(String)
        /// The PEM text itself.
        case memory([UInt8])

        /// A plain string is the path of a file.
        public init(stringLiteral path: String) { self = .file(path) }
    }

    public enum Version: String, Sendable, Hashable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    /// The chain, leaf first.
    public var certificate: PEM
    /// nil: the key is in `certificate`. It has to be where the certificate is, in a file or in memory.
    public var key: PEM?
    /// nil: the key is not encrypted.
    public var passphrase: String?
    public var minVersion: Version?
    public var maxVersion: Version?
    /// For TLS 1.2, an OpenSSL list.
    public var ciphers: String?
    /// For TLS 1.3.
    public var ciphersuites: String?
    /// Key exchange groups, "X25519:P-256".
    public var groups: String?

    public init(
        certificate: PEM, key: PEM? = nil, passphrase: String? = nil, minVersion: Version? = nil,
        maxVersion: Version? = nil
    ) {
        self.certificate = certificate
        self.key = key
        self.passphrase = passphrase
        self.minVersion = minVersion
        self.maxVersion = maxVersion
    }
}

/// Ownership: owns one reference to an evy_tls, given back in deinit; listeners keep theirs.
struct TLSPolicy: ~Copyable {
    let handle: OpaquePointer

    init() throws(EvyError) {
        guard let handle = evy_tls_new() else { throw EvyError(.outOfMemory, "no memory for a TLS policy") }
        self.handle = handle
    }

    deinit { evy_tls_free(handle) }

    func apply(_ options: TLSOptions) throws(EvyError) {
        try load(options)
        try set("min_version", options.minVersion?.rawValue)
        try set("max_version", options.maxVersion?.rawValue)
        try set("ciphers", options.ciphers)
        try set("ciphersuites", options.ciphersuites)
        try set("groups", options.groups)
    }

    private func set(_ key: String, _ value: String?) throws(EvyError) {
        guard let value else { return }
        try checked(evy_tls_set(handle, key, value), evy_tls_error(handle))
    }

    private func load(_ options: TLSOptions) throws(EvyError) {
        let status: evy_status
        switch (options.certificate, options.key) {
        case (.file(let certificate), nil):
            status = evy_tls_cert_file(handle, certificate, nil, options.passphrase)
        case (.file(let certificate), .file(let key)):
            status = evy_tls_cert_file(handle, certificate, key, options.passphrase)
        case (.memory(let certificate), nil):
            status = evy_tls_cert_mem(handle, certificate, certificate.count, nil, 0, options.passphrase)
        case (.memory(let certificate), .memory(let key)):
            status = evy_tls_cert_mem(
                handle, certificate, certificate.count, key, key.count, options.passphrase)
        case (.file, .memory), (.memory, .file):
            throw EvyError(.badArgument, "certificate and key have to be both in files or both in memory")
        }
        try checked(status, evy_tls_error(handle))
    }
}
