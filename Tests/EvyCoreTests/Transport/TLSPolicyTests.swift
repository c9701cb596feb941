// SPDX-License-Identifier: MIT
// TLSPolicyTests - every mistake in certificates, keys and options has a text that names it.
// Room: tests of Transport. Spec: evy.h, chapter TLS.

internal import COpenSSL
internal import Testing

@testable import EvyCore

private func complaint(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch let error as TLSError {
        #expect(ERR_peek_error() == 0)
        return error.text
    } catch {
        return "another error: \(error)"
    }
}

@Suite struct TLSCertificateFileTests {
    private let folder: TLSTestFolder
    private let certificate: TLSTestCertificate
    private let certificatePath: String
    private let keyPath: String

    init() throws {
        folder = try TLSTestFolder()
        certificate = try TLSTestServer.certificate.get()
        certificatePath = try folder.file("c.pem", certificate.pem())
        keyPath = try folder.file("k.pem", certificate.key.pem())
    }

    private func load(_ certificate: String, _ key: String? = nil, pass: String? = nil) -> String {
        complaint {
            var policy = TLSPolicy()
            try policy.setCertificate(file: certificate, key: key, pass: pass)
            _ = try policy.makeContext()
        }
    }

    @Test func goodPairsAreTaken() throws {
        #expect(load(certificatePath, keyPath) == "no error")
        #expect(load(certificatePath, keyPath, pass: "not needed") == "no error")
        #expect(load(try folder.file("both.pem", certificate.pairPEM())) == "no error")
        let keyFirst = try certificate.key.pem() + certificate.pem()
        #expect(load(try folder.file("first.pem", "some words\n" + keyFirst)) == "no error")
        let rsa = try TLSTestServer.rsaCertificate.get()
        #expect(load(try folder.file("rsa.pem", rsa.pairPEM())) == "no error")
        let expired = try TLSTestCertificate("old.test", key: certificate.key, days: -1)
        #expect(load(try folder.file("old.pem", expired.pem()), keyPath) == "no error")
    }

    @Test func filesThatCannotBeReadAreNamed() throws {
        let missing = folder.path + "/none.pem"
        #expect(load(missing) == "cannot open certificate \(missing): No such file or directory")
        #expect(
            load(certificatePath, missing) == "cannot open private key \(missing): No such file or directory")
        #expect(load(folder.path) == "cannot read certificate \(folder.path): Is a directory")
        #expect(
            load(certificatePath, folder.path) == "cannot read private key \(folder.path): Is a directory")
        #expect(load("/dev/null") == "certificate /dev/null is empty")
        #expect(load("/dev/zero") == "certificate /dev/zero is larger than 1 MiB")
    }

    @Test func filesWithTheWrongThingInThemAreNamed() throws {
        let words = try folder.file("words.pem", "hello\n")
        #expect(load(words) == "certificate \(words) is not PEM")
        #expect(load(certificatePath, words) == "private key \(words) is not PEM")
        let der = try folder.file("der.pem", "0\u{1}\u{2}\u{3}")
        #expect(load(der) == "certificate \(der) is not PEM (it looks like DER)")
        #expect(load(keyPath) == "certificate \(keyPath) contains no certificate")
        #expect(load(certificatePath) == "private key \(certificatePath) contains no private key")
        let text = try certificate.pem()
        let broken = try folder.file("broken.pem", text + text.replacing("MII", with: "NJJ"))
        #expect(load(broken, keyPath).hasPrefix("certificate \(broken): certificate 2 cannot be read: "))
        let cut = try folder.file("cut.pem", String(text.dropLast(60)))
        #expect(load(cut, keyPath).hasPrefix("certificate \(cut): certificate 1 cannot be read: "))
        let badKey = try folder.file(
            "bad.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        #expect(load(certificatePath, badKey).hasPrefix("private key \(badKey) cannot be read: "))
    }

    @Test func encryptedKeysNeedTheirPassAndNeverAsk() throws {
        for text in [
            try certificate.key.pem(pass: "sesame"), try certificate.key.traditionalPEM(pass: "sesame"),
        ] {
            let path = try folder.file("locked.pem", text)
            #expect(load(certificatePath, path, pass: "sesame") == "no error")
            #expect(load(certificatePath, path) == "private key \(path) is encrypted and no pass was given")
            #expect(load(certificatePath, path, pass: "other") == "wrong pass for private key \(path)")
            #expect(load(certificatePath, path, pass: "") == "wrong pass for private key \(path)")
            let long = String(repeating: "x", count: 5_000)
            #expect(
                load(certificatePath, path, pass: long)
                    == "the pass for private key \(path) is longer than OpenSSL takes")
        }
    }

    @Test func keyOfAnotherCertificateIsNamed() throws {
        let other = try folder.file("other.pem", TLSTestKey().pem())
        #expect(
            load(certificatePath, other)
                == "private key \(other) does not match certificate \(certificatePath)")
        let rsa = try folder.file("rsa.pem", TLSTestServer.rsaCertificate.get().key.pem())
        #expect(
            load(certificatePath, rsa) == "private key \(rsa) does not match certificate \(certificatePath)")
    }

    @Test func weakKeyIsRefusedByTheSecurityLevel() throws {
        let weak = try TLSTestCertificate("weak.test", key: TLSTestKey(rsaBits: 1_024))
        let path = try folder.file("weak.pem", weak.pairPEM())
        #expect(load(path) == "certificate \(path) is refused at security level 2: ee key too small")
        var policy = TLSPolicy()
        try policy.set("ciphers", "DEFAULT@SECLEVEL=0")
        try policy.setCertificate(file: path, key: nil, pass: nil)
        #expect(
            complaint { try policy.set("ciphers", "DEFAULT@SECLEVEL=2") }
                == "option ciphers: \"DEFAULT@SECLEVEL=2\" does not go: certificate \(path) is refused at "
                + "security level 2: ee key too small")
        #expect(policy.ciphers == "DEFAULT@SECLEVEL=0")
    }

    @Test func chainMustRunFromTheLeafUp() throws {
        let root = try TLSTestCertificate("root", key: TLSTestKey(), isCA: true)
        let middle = try TLSTestCertificate("middle", key: TLSTestKey(), issuer: root, isCA: true)
        let leaf = try TLSTestCertificate("leaf", key: TLSTestKey(), issuer: middle)
        let key = try folder.file("leaf-key.pem", leaf.key.pem())
        let good = try folder.file("good.pem", leaf.pem() + middle.pem() + root.pem())
        #expect(load(good, key) == "no error")
        let swapped = try folder.file("swapped.pem", leaf.pem() + root.pem() + middle.pem())
        #expect(
            load(swapped, key)
                == "certificate \(swapped): the chain is out of order: certificate 2 (/CN=root) "
                + "did not issue certificate 1 (/CN=leaf)")
        let upside = try folder.file("upside.pem", root.pem() + middle.pem() + leaf.pem())
        #expect(
            load(upside, key)
                == "private key \(key) belongs to certificate 3 of certificate \(upside); "
                + "the leaf must come first")
    }

    @Test func wholeChainIsSent() throws {
        let root = try TLSTestCertificate("root", key: TLSTestKey(), isCA: true)
        let middle = try TLSTestCertificate("middle", key: TLSTestKey(), issuer: root, isCA: true)
        let leaf = try TLSTestCertificate("leaf", key: TLSTestKey(), issuer: middle)
        var policy = TLSPolicy()
        let path = try folder.file("chain.pem", leaf.pairPEM() + middle.pem())
        try policy.setCertificate(file: path, key: nil, pass: nil)
        let pair = try TLSPair(policy.makeContext(), TLSTestClient())
        #expect(pair.handshake() == .done)
        #expect(evyssl_chain_count(SSL_get_peer_cert_chain(pair.client.ssl)) == 2)
    }

    @Test func mistakeLeavesTheEarlierPair() throws {
        var policy = try TLSTestServer.policy()
        #expect(complaint { try policy.setCertificate(file: "/none", key: nil, pass: nil) } != "no error")
        #expect(policy.hasCertificate)
        #expect(try TLSPair(policy.makeContext(), TLSTestClient()).handshake() == .done)
    }

    @Test func memoryIsCalledMemory() throws {
        func load(_ certificate: String, _ key: String?) -> String {
            complaint {
                var policy = TLSPolicy()
                try Array(certificate.utf8).withUnsafeBytes { certificate in
                    guard let key else {
                        return try policy.setCertificate(memory: certificate, key: nil, pass: nil)
                    }
                    try Array(key.utf8).withUnsafeBytes {
                        try policy.setCertificate(memory: certificate, key: $0, pass: nil)
                    }
                }
            }
        }
        #expect(load(try certificate.pem(), try certificate.key.pem()) == "no error")
        #expect(load(try certificate.pairPEM(), nil) == "no error")
        #expect(load("", nil) == "certificate in memory is empty")
        #expect(load("x", nil) == "certificate in memory is not PEM")
        #expect(load(try certificate.pem(), nil) == "private key in memory contains no private key")
        #expect(
            load(try certificate.pem(), try TLSTestKey().pem())
                == "private key in memory does not match certificate in memory")
    }

    @Test func contextNeedsACertificate() {
        #expect(complaint { _ = try TLSPolicy().makeContext() } == "no certificate was given")
    }
}

@Suite struct TLSOptionTests {
    private func set(_ options: (String, String)...) -> String {
        complaint {
            var policy = TLSPolicy()
            for (key, value) in options { try policy.set(key, value) }
        }
    }

    @Test func goodValuesAreTaken() {
        #expect(set(("min_version", "1.2"), ("max_version", "1.3")) == "no error")
        #expect(set(("min_version", "1.3"), ("max_version", "1.3")) == "no error")
        #expect(set(("ciphers", "ECDHE-RSA-AES128-GCM-SHA256:HIGH:!RC4:NO-SUCH-CIPHER")) == "no error")
        #expect(set(("ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256")) == "no error")
        #expect(set(("groups", "X25519:P-256")) == "no error")
    }

    @Test func mistakesNameOptionAndValue() {
        #expect(
            set(("max_verson", "1.3"))
                == "no TLS option \"max_verson\" (min_version, max_version, ciphers, ciphersuites, groups, "
                + "alpn, tickets, ticket_rotation, ocsp_file, keylog_file)")
        #expect(
            set(("min_version", "1.1"))
                == "option min_version: \"1.1\" is a version evy never speaks; it must be 1.2 or 1.3")
        #expect(set(("max_version", "TLSv1.3")) == "option max_version: \"TLSv1.3\" is not 1.2 or 1.3")
        #expect(
            set(("max_version", "1.2"), ("min_version", "1.3"))
                == "option min_version: \"1.3\" is above max_version \"1.2\"")
        #expect(
            set(("min_version", "1.3"), ("max_version", "1.2"))
                == "option max_version: \"1.2\" is below min_version \"1.3\"")
        for list in ["NONSENSE", "eNULL", "aNULL", "TLS_AES_128_GCM_SHA256"] {
            #expect(
                set(("ciphers", list))
                    == "option ciphers: \"\(list)\" names no TLS 1.2 cipher of this OpenSSL")
        }
        #expect(set(("ciphers", "")) == "option ciphers: \"\" names nothing")
        #expect(
            set(("ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_FOO"))
                == "option ciphersuites: \"TLS_AES_128_GCM_SHA256:TLS_FOO\" has \"TLS_FOO\", "
                + "no TLS 1.3 cipher suite of this OpenSSL")
        #expect(
            set(("groups", "X25519:P-999"))
                == "option groups: \"X25519:P-999\" has \"P-999\", no group of this OpenSSL")
    }

    @Test func kindsTellOptionFromValueFromCertificate() {
        func kind(_ body: (inout TLSPolicy) throws(TLSError) -> Void) -> TLSError.Kind? {
            var policy = TLSPolicy()
            do throws(TLSError) {
                try body(&policy)
                return nil
            } catch {
                return error.kind
            }
        }
        #expect(kind { policy throws(TLSError) in try policy.set("x", "y") } == .option)
        #expect(kind { policy throws(TLSError) in try policy.set("groups", "y") } == .value)
        #expect(kind { policy throws(TLSError) in _ = try policy.makeContext() } == .tls)
    }

    @Test func chosenSuiteAndGroupAreUsed() throws {
        let pair = try TLSTestServer.pair(
            TLSTestClient(), [("ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), ("groups", "P-384")])
        #expect(pair.handshake() == .done)
        #expect(pair.cipherName == "TLS_CHACHA20_POLY1305_SHA256")
    }
}
