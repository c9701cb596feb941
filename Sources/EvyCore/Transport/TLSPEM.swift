// SPDX-License-Identifier: MIT
// TLSPEM - turns PEM bytes, from a file or from memory, into OpenSSL's certificates and keys.
// Room: Transport (reads files through OpenSSL). Spec: RFC 7468; OpenSSL 3 PEM_read_bio_X509(3).

internal import COpenSSL

/// PEM text and the name it goes by in error messages.
///
/// Ownership: owns the bytes when they came from a file and wipes them in deinit, they may be a key;
///            bytes from memory are lent.
/// Thread:    one at a time.
struct TLSPEM: ~Copyable {
    /// "certificate c.pem", "private key in memory".
    let name: String
    private let bytes: UnsafeRawBufferPointer
    private let isOwned: Bool

    /// Far above any chain; keeps a wrong path (a log, /dev/zero) from filling the memory.
    private static let byteCountMax = 1 << 20

    init(_ what: String, memory: UnsafeRawBufferPointer) throws(TLSError) {
        let name = what + " in memory"
        try TLSPEM.checkSize(memory.count, name)
        self.name = name
        bytes = memory
        isOwned = false
    }

    init(_ what: String, file path: UnsafePointer<CChar>) throws(TLSError) {
        let name = what + " " + String(cString: path)
        bytes = try TLSPEM.slurp(path, name)
        self.name = name
        isOwned = true
    }

    deinit {
        guard isOwned else { return }
        CRYPTO_clear_free(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count, nil, 0)
    }

    /// Lends the bytes as they are.
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { body(bytes) }

    private static func checkSize(_ byteCount: Int, _ name: String) throws(TLSError) {
        if byteCount == 0 { throw .tls(name + " is empty") }
        if byteCount > byteCountMax { throw .tls(name + " is larger than 1 MiB") }
    }

    /// Reads the whole file, in the worst case one byte more than the limit.
    private static func slurp(
        _ path: UnsafePointer<CChar>, _ name: String
    ) throws(TLSError) -> UnsafeRawBufferPointer {
        ERR_clear_error()
        guard let file = BIO_new_file(path, "r") else {
            throw .tls("cannot open \(name): \(TLSErrorQueue.drainCause())")
        }
        defer { BIO_free(file) }
        var room = 0
        var byteCount = 0
        var memory: UnsafeMutableRawPointer?
        do throws(TLSError) {
            while byteCount <= byteCountMax {
                if byteCount == room {
                    let larger = min(max(2 * room, 8 << 10), byteCountMax + 1)
                    // Wipes what it leaves behind.
                    guard let place = CRYPTO_clear_realloc(memory, room, larger, nil, 0) else {
                        throw .tls("out of memory for " + name)
                    }
                    memory = place
                    room = larger
                }
                let got = BIO_read(file, memory.map { $0 + byteCount }, Int32(room - byteCount))
                if got <= 0 { break }
                byteCount += Int(got)
            }
            // End of file and failure look alike but for the queue: a directory opens, then fails here.
            if ERR_peek_error() != 0 { throw .tls("cannot read \(name): \(TLSErrorQueue.drainCause())") }
            try checkSize(byteCount, name)
        } catch {
            CRYPTO_clear_free(memory, byteCount, nil, 0)
            throw error
        }
        return UnsafeRawBufferPointer(start: memory, count: byteCount)
    }

    // MARK: Certificates

    /// Every certificate in the order of the text, at least one. The caller frees the chain.
    func certificates() throws(TLSError) -> OpaquePointer {
        let source = try reader()
        defer { BIO_free(source) }
        guard let chain = evyssl_chain_new() else { throw .tls("out of memory for " + name) }
        while let certificate = PEM_read_bio_X509_AUX(source, nil, TLSPassphrase.callback, nil) {
            if evyssl_chain_append(chain, certificate) == 0 {
                X509_free(certificate)
                evyssl_chain_free(chain)
                throw .tls("out of memory for " + name)
            }
        }
        let count = evyssl_chain_count(chain)
        if endedCleanly(), count > 0 { return chain }
        evyssl_chain_free(chain)
        throw complaint(readSoFar: Int(count))
    }

    /// The loop above stops at the end of the text or at a damaged block.
    private func endedCleanly() -> Bool {
        let code = ERR_peek_last_error()
        guard evyssl_err_library(code) == ERR_LIB_PEM,
            evyssl_err_reason(code) == PEM_R_NO_START_LINE
        else { return false }
        ERR_clear_error()
        return true
    }

    private func complaint(readSoFar count: Int) -> TLSError {
        if let mistake = shapeMistake() { return mistake }
        if ERR_peek_last_error() == 0 { return .tls("\(name) contains no certificate") }
        return .tls("\(name): certificate \(count + 1) cannot be read: \(TLSErrorQueue.drainReason())")
    }

    // MARK: Private key

    /// The first private key of the text. The caller frees it.
    func privateKey(pass: UnsafePointer<CChar>?) throws(TLSError) -> OpaquePointer {
        let source = try reader()
        defer { BIO_free(source) }
        var passphrase = TLSPassphrase(text: pass)
        let key = withUnsafeMutablePointer(to: &passphrase) {
            PEM_read_bio_PrivateKey(source, nil, TLSPassphrase.callback, $0)
        }
        if let key {
            ERR_clear_error()
            return key
        }
        if passphrase.wasTooLong {
            ERR_clear_error()
            throw .tls("the pass for \(name) is longer than OpenSSL takes")
        }
        if passphrase.wasAsked {
            ERR_clear_error()
            if pass == nil { throw .tls("\(name) is encrypted and no pass was given") }
            throw .tls("wrong pass for \(name)")
        }
        if let mistake = shapeMistake() { throw mistake }
        if !contains("PRIVATE KEY-----") {
            ERR_clear_error()
            throw .tls("\(name) contains no private key")
        }
        throw .tls("\(name) cannot be read: \(TLSErrorQueue.drainReason())")
    }

    // MARK: Inside

    private func reader() throws(TLSError) -> OpaquePointer {
        ERR_clear_error()
        guard let reader = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else {
            throw .tls("out of memory for " + name)
        }
        return reader
    }

    private func shapeMistake() -> TLSError? {
        if contains("-----BEGIN ") { return nil }
        ERR_clear_error()
        // 0x30 opens an ASN.1 SEQUENCE: every DER certificate, key and PKCS #12 file.
        if bytes.first == 0x30 { return .tls("\(name) is not PEM (it looks like DER)") }
        return .tls("\(name) is not PEM")
    }

    private func contains(_ wanted: StaticString) -> Bool {
        let length = wanted.utf8CodeUnitCount
        guard bytes.count >= length else { return false }
        let needle = UnsafeRawBufferPointer(start: wanted.utf8Start, count: length)
        for start in 0...(bytes.count - length)
        where bytes[start] == needle[0] && bytes[start..<start + length].elementsEqual(needle) {
            return true
        }
        return false
    }
}

/// What the password callback answers, and what it saw. There is always a callback: OpenSSL's own
/// would ask on the terminal of the host program.
private struct TLSPassphrase {
    let text: UnsafePointer<CChar>?
    var wasAsked = false
    var wasTooLong = false

    init(text: UnsafePointer<CChar>?) { self.text = text }

    typealias Callback =
        @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32

    static let callback: Callback = { target, room, _, user in
        guard let user, let target else { return -1 }
        let passphrase = user.assumingMemoryBound(to: TLSPassphrase.self)
        passphrase.pointee.wasAsked = true
        guard let text = passphrase.pointee.text else { return -1 }
        var count = 0
        while text[count] != 0 {
            guard count < Int(room) else {
                passphrase.pointee.wasTooLong = true
                return -1
            }
            target[count] = text[count]
            count += 1
        }
        return Int32(count)
    }
}
