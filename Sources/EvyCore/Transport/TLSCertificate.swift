// SPDX-License-Identifier: MIT
// TLSCertificate - one certificate of a policy: the names it serves, and where it can be read again.
// Room: Transport (reads files through OpenSSL). Spec: RFC 5280 section 4.2.1.6, RFC 6125.

internal import COpenSSL

/// Ownership: a value; copies share the immutable identity.
struct TLSCertificate {
    private enum Source {
        case memory
        case file(certificate: TLSKeptText, key: TLSKeptText?, pass: TLSKeptText?)
    }

    let identity: TLSIdentity
    /// What it serves: the name that was given, or the names inside the certificate.
    let names: [TLSName]
    /// The host gave the name.
    let isNameGiven: Bool
    private let source: Source

    /// `name` nil: the names are taken from the certificate, now and whenever it is read again.
    init(
        _ name: TLSName?, file: UnsafePointer<CChar>, key: UnsafePointer<CChar>?,
        pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        let certificate = try TLSPEM("certificate", file: file)
        let keySource = try TLSPEM("private key", file: key ?? file)
        let identity = try TLSIdentity(certificate: certificate, key: keySource, pass: pass)
        guard let path = TLSKeptText(file) else { throw .tls("out of memory for " + certificate.name) }
        self.init(
            name, identity,
            .file(certificate: path, key: try .keep(key), pass: try .keep(pass)))
    }

    init(
        _ name: TLSName?, memory: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer?,
        pass: UnsafePointer<CChar>?
    ) throws(TLSError) {
        let certificate = try TLSPEM("certificate", memory: memory)
        let keySource = try TLSPEM("private key", memory: key ?? memory)
        self.init(name, try TLSIdentity(certificate: certificate, key: keySource, pass: pass), .memory)
    }

    private init(_ name: TLSName?, _ identity: TLSIdentity, _ source: Source) {
        self.identity = identity
        self.source = source
        isNameGiven = name != nil
        names = name.map { [$0] } ?? identity.hostNames
    }

    /// The same from its files as they are now; what came from memory stays.
    func readAgain() throws(TLSError) -> TLSCertificate {
        guard case .file(let certificate, let key, let pass) = source else { return self }
        return try TLSCertificate(
            isNameGiven ? names.first : nil, file: certificate.pointer, key: key?.pointer,
            pass: pass?.pointer)
    }

    /// A later call with the same name, or a certificate with the same names, takes this one's place.
    func isReplaced(by other: TLSCertificate) -> Bool {
        isNameGiven == other.isNameGiven && Set(names) == Set(other.names)
    }
}

extension TLSIdentity {
    /// The DNS names of the subjectAltName extension; without one the common name.
    var hostNames: [TLSName] {
        defer { ERR_clear_error() }
        guard let found = X509_get_ext_d2i(leaf, NID_subject_alt_name, nil, nil) else {
            return commonName.map { [$0] } ?? []
        }
        let list = OpaquePointer(found)
        defer { GENERAL_NAMES_free(list) }
        var names: [TLSName] = []
        for index in 0..<max(0, OPENSSL_sk_num(list)) {
            guard let value = OPENSSL_sk_value(list, index) else { continue }
            var kind: Int32 = 0
            let entry = GENERAL_NAME_get0_value(value.assumingMemoryBound(to: GENERAL_NAME.self), &kind)
            guard kind == GEN_DNS, let entry else { continue }
            if let name = name(of: entry.assumingMemoryBound(to: ASN1_STRING.self)), !names.contains(name) {
                names.append(name)
            }
        }
        return names
    }

    private var commonName: TLSName? {
        guard let subject = X509_get_subject_name(leaf) else { return nil }
        let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        guard index >= 0, let entry = X509_NAME_get_entry(subject, index) else { return nil }
        return X509_NAME_ENTRY_get_data(entry).flatMap { name(of: $0) }
    }

    private func name(of text: UnsafePointer<ASN1_STRING>) -> TLSName? {
        guard let start = ASN1_STRING_get0_data(text) else { return nil }
        return TLSName(UnsafeBufferPointer(start: start, count: Int(max(0, ASN1_STRING_length(text)))))
    }
}
