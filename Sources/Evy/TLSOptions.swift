// SPDX-License-Identifier: MIT
// TLSOptions - a certificate, its key and the TLS policy, as values.
// Room: Evy (the Swift face).

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

    /// A further certificate.
    public struct Certificate: Sendable, Hashable {
        /// The chain, leaf first.
        public var chain: PEM
        /// nil: the key is in `chain`. It has to be where the chain is, in a file or in memory.
        public var key: PEM?
        /// nil: the key is not encrypted.
        public var passphrase: String?

        public init(chain: PEM, key: PEM? = nil, passphrase: String? = nil) {
            self.chain = chain
            self.key = key
            self.passphrase = passphrase
        }
    }

    /// Certificates of clients. The environ of a request tells the outcome: "SSL_CLIENT_VERIFY" is "NONE",
    /// "SUCCESS" or "FAILED:reason", "SSL_CLIENT_S_DN" names the client, "SSL_CLIENT_CERT" is the PEM text.
    public enum Clients: Sendable, Hashable {
        case notAsked
        /// Asked for; who has none, or a bad one, is served all the same.
        case optional(PEM)
        /// Without a good one the handshake fails. The PEM holds the authorities that vouch for clients.
        case required(PEM)
    }

    /// The chain, leaf first. It serves clients that ask for no name, or for one that no other serves.
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
    /// Certificates by the host name that clients ask for: "a.org", or "*.a.org" for one label in front.
    public var named: [String: Certificate] = [:]
    /// Certificates for the names inside them.
    public var additional: [Certificate] = []
    public var clients = Clients.notAsked
    /// ALPN in order of preference ("http/1.1", "http/1.0"); empty: not answered; nil: both.
    public var protocols: [String]?
    /// Session tickets for each client; 0: no resumption; nil: one.
    public var tickets: Int?
    /// How long a ticket key is used; it opens tickets for one such time more. `.zero`: never changed.
    public var ticketRotation: Duration?
    /// Paths of OCSP responses (DER), each stapled to the certificate it is about.
    public var ocspFiles: [String] = []
    /// For debugging only: the secrets of every session are appended to this file.
    public var keyLogFile: String?

    var `default`: Certificate { Certificate(chain: certificate, key: key, passphrase: passphrase) }

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
