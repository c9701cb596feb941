// SPDX-License-Identifier: MIT
// TLSFixtures - turns a few words into keys and certificates, made anew for every test run.
// Room: tests of Transport. Spec: RFC 5280.

internal import COpenSSL
internal import Glibc
internal import Testing

/// A private key (EVP_PKEY), owned.
final class TLSTestKey: @unchecked Sendable {
    let handle: OpaquePointer

    init(rsaBits: Int32) throws {
        handle = try TLSTestKey.generate("RSA") { EVP_PKEY_CTX_set_rsa_keygen_bits($0, rsaBits) }
    }

    init(curve: String = "P-256") throws {
        handle = try TLSTestKey.generate("EC") { EVP_PKEY_CTX_set_group_name($0, curve) }
    }

    deinit { EVP_PKEY_free(handle) }

    private static func generate(_ kind: String, _ tune: (OpaquePointer?) -> Int32) throws -> OpaquePointer {
        let context = EVP_PKEY_CTX_new_from_name(nil, kind, nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        try #require(EVP_PKEY_keygen_init(context) == 1)
        try #require(tune(context) == 1)
        try #require(EVP_PKEY_generate(context, &key) == 1)
        return try #require(key)
    }

    func pem(pass: String? = nil) throws -> String {
        try pemText { bio in
            guard let pass else { return PEM_write_bio_PKCS8PrivateKey(bio, handle, nil, nil, 0, nil, nil) }
            return PEM_write_bio_PKCS8PrivateKey(
                bio, handle, EVP_aes_256_cbc(), pass, Int32(pass.utf8.count), nil, nil)
        }
    }

    /// The older form: a DEK-Info header around the key's own format.
    func traditionalPEM(pass: String) throws -> String {
        try pemText { bio in
            let bytes = Array(pass.utf8)
            return PEM_write_bio_PrivateKey_traditional(
                bio, handle, EVP_aes_128_cbc(), bytes, Int32(bytes.count), nil, nil)
        }
    }
}

/// A certificate (X509) and the key in it.
final class TLSTestCertificate: @unchecked Sendable {
    let handle: OpaquePointer
    let key: TLSTestKey

    /// Issued by `issuer`, or by itself.
    init(
        _ name: String, key: TLSTestKey, issuer: TLSTestCertificate? = nil, isCA: Bool = false, days: Int = 2
    ) throws {
        let certificate = try #require(X509_new())
        handle = certificate
        self.key = key
        X509_set_version(certificate, 2)
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), Int.random(in: 1...Int(Int32.max)))
        X509_gmtime_adj(X509_getm_notBefore(certificate), -86_400 * 10)
        X509_gmtime_adj(X509_getm_notAfter(certificate), 86_400 * days)
        X509_set_pubkey(certificate, key.handle)
        let subject = X509_get_subject_name(certificate)
        X509_NAME_add_entry_by_txt(subject, "CN", 0x1001, name, -1, -1, 0)
        X509_set_issuer_name(certificate, X509_get_subject_name(issuer?.handle ?? certificate))
        if isCA { try add(NID_basic_constraints, "critical,CA:TRUE") }
        try #require(X509_sign(certificate, (issuer?.key ?? key).handle, EVP_sha256()) > 0)
    }

    deinit { X509_free(handle) }

    private func add(_ nid: Int32, _ value: String) throws {
        let addition = try #require(X509V3_EXT_conf_nid(nil, nil, nid, value))
        defer { X509_EXTENSION_free(addition) }
        try #require(X509_add_ext(handle, addition, -1) == 1)
    }

    func pem() throws -> String { try pemText { PEM_write_bio_X509($0, handle) } }

    /// Certificate and key in one text.
    func pairPEM() throws -> String { try pem() + key.pem() }
}

private func pemText(_ write: (OpaquePointer?) -> Int32) throws -> String {
    let bio = BIO_new(BIO_s_mem())
    defer { BIO_free(bio) }
    try #require(write(bio) == 1)
    var bytes = [UInt8](repeating: 0, count: 65_536)
    let count = BIO_read(bio, &bytes, Int32(bytes.count))
    try #require(count > 0)
    return String(decoding: bytes[..<Int(count)], as: UTF8.self)
}

/// A directory of its own for the files of one test; removed with it.
final class TLSTestFolder {
    let path: String
    private var names: [String] = []

    init() throws {
        var template = Array("/tmp/evy-tls-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }

    func file(_ name: String, _ text: String) throws -> String {
        let full = path + "/" + name
        let descriptor = open(full, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        names.append(name)
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        return full
    }
}
