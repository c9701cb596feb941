// SPDX-License-Identifier: MIT
// TLSSession - turns cipher bytes into plain bytes and back for one connection.
// Room: Transport (no system calls). Spec: RFC 8446, RFC 5246; OpenSSL 3 SSL_read(3), SSL_write(3).

internal import COpenSSL

/// One connection's TLS. It never touches a socket: the caller lends a window of cipher bytes that
/// came in (`setInput`) and room for cipher bytes going out (`setOutput`), calls one verb, and sends
/// the first `outputCount` bytes of the room. Whatever a verb returns, even `.failed`, the output is
/// to be sent: it may hold handshake messages, a ticket, a key update, or the alert that says why.
///
/// Ownership: owns the SSL (which owns its BIO and a reference to the SSL_CTX) and the malloc'd
///            TLSWindow the BIO points at; frees both in deinit. Not copyable, so one owner. The memory
///            of both windows stays the caller's.
/// Lifetime:  outlives the TLSContext it was made from, if need be.
/// Thread:    one at a time; it may move between threads, OpenSSL's per-thread error queue is empty
///            again when a verb returns.
struct TLSSession: ~Copyable {
    /// What the caller must do next. `count` results are valid with every case: use them first.
    enum Progress: Equatable, Sendable {
        /// The verb did all it was asked.
        case done
        /// Every byte of the input is used up and more are needed.
        case wantsRead
        /// The output room is full: send it, `setOutput` again, repeat the call.
        case wantsWrite
        /// The peer sent close_notify: no more bytes will come, ours may still go.
        case closed
        /// The end. Send what is in the output (the alert), then close.
        case failed(TLSFailure)

        /// Nothing more will be read.
        var isEnd: Bool {
            switch self {
            case .done, .wantsRead, .wantsWrite: false
            case .closed, .failed: true
            }
        }
    }

    private let ssl: OpaquePointer
    private let window: UnsafeMutablePointer<TLSWindow>

    /// A server side that waits for a ClientHello. nil: out of memory.
    init?(context: TLSContext) {
        guard let memory = CRYPTO_malloc(MemoryLayout<TLSWindow>.stride, nil, 0) else { return nil }
        let window = memory.bindMemory(to: TLSWindow.self, capacity: 1)
        window.initialize(to: TLSWindow())
        let ssl = SSL_new(context.handle)
        guard let ssl, let bio = TLSWindowBIO.make(on: window) else {
            SSL_free(ssl)
            ERR_clear_error()
            CRYPTO_free(memory, nil, 0)
            return nil
        }
        // One BIO for both directions: SSL_set_bio takes a single reference then.
        SSL_set_bio(ssl, bio, bio)
        SSL_set_accept_state(ssl)
        self.ssl = ssl
        self.window = window
    }

    deinit {
        SSL_free(ssl)
        CRYPTO_free(window, nil, 0)
    }

    // MARK: Windows

    /// Lends cipher bytes that came in. They must stay valid until used up (`pendingInput` is 0) or
    /// replaced; what is left is dropped by the next call, so give it again in front of what follows.
    mutating func setInput(_ bytes: UnsafeRawBufferPointer) {
        window.pointee.input = bytes.baseAddress
        window.pointee.inputCount = bytes.baseAddress == nil ? 0 : bytes.count
    }

    /// Says that the peer's stream has ended. What is in the input window is still read; after it
    /// comes `.closed` when the peer had said close_notify, else `.failed(truncated)` or `(abandoned)`.
    mutating func endInput() {
        window.pointee.inputEnded = true
    }

    /// Lends room for cipher bytes and resets `outputCount`. Any size works; 16 KiB + 256 or more
    /// spares OpenSSL from keeping a half-sent record. Valid until replaced.
    mutating func setOutput(_ room: UnsafeMutableRawBufferPointer) {
        window.pointee.output = room.baseAddress
        window.pointee.outputRoom = room.baseAddress == nil ? 0 : room.count
        window.pointee.outputCount = 0
    }

    /// Takes both windows back: the session keeps no pointer into the caller's memory.
    mutating func releaseWindows() {
        setInput(UnsafeRawBufferPointer(start: nil, count: 0))
        setOutput(UnsafeMutableRawBufferPointer(start: nil, count: 0))
    }

    /// Cipher bytes of the input not yet used.
    var pendingInput: Int { window.pointee.inputCount }
    /// Cipher bytes put into the output room since `setOutput`.
    var outputCount: Int { window.pointee.outputCount }
    /// OpenSSL itself holds received bytes: plain ones not yet read, or the start of a record.
    var holdsInput: Bool { SSL_has_pending(ssl) != 0 }
    /// A record did not fit into the output: the next `write` must offer at least this many plain
    /// bytes, the same ones first. 0 when the caller is free.
    var owedPlainCount: Int { window.pointee.retryCount }

    // MARK: Verbs

    /// Goes on with the handshake. `.done`: finished, and input that is left is application data.
    mutating func handshake() -> Progress {
        if let failure = window.pointee.failure { return .failed(failure) }
        clearErrors()
        let result = SSL_do_handshake(ssl)
        guard result == 1 else { return progress(result) }
        window.pointee.established = true
        // A stapled response has been sent; OpenSSL would keep its copy as long as the connection.
        _ = evyssl_set_status_response(ssl, nil, 0)
        return .done
    }

    /// Decrypts into `room`. `count` bytes are valid whatever is returned; `.done` means the room is
    /// full and there may be more, `.wantsRead` that everything which came has been delivered. A room
    /// of the input's size and `heldPlainMax` more is never full, so it takes a single call.
    mutating func read(into room: UnsafeMutableRawBufferPointer, count: inout Int) -> Progress {
        count = 0
        if let failure = window.pointee.failure { return .failed(failure) }
        guard let base = room.baseAddress else { return .done }
        while count < room.count {
            // Asking OpenSSL for what is not there costs it a 16 KiB malloc and free.
            if count > 0, window.pointee.inputCount == 0, !window.pointee.inputEnded, !holdsInput {
                return .wantsRead
            }
            if let end = endOfInput { return end }
            clearErrors()
            let asked = Int32(clamping: room.count &- count)
            let result = SSL_read(ssl, base + count, asked)
            guard result > 0 else { return progress(result) }
            window.pointee.established = true
            count &+= Int(result)
        }
        return .done
    }

    /// Encrypts from `bytes`; `count` plain bytes were taken. `.done`: all of them. `.wantsWrite`: send
    /// the output, then call again with the bytes after `count`. When `owedPlainCount` is not 0 those
    /// bytes may move in memory and grow in number, but not change or shrink.
    mutating func write(_ bytes: UnsafeRawBufferPointer, count: inout Int) -> Progress {
        count = 0
        if let failure = window.pointee.failure { return .failed(failure) }
        guard let base = bytes.baseAddress else { return .done }
        while count < bytes.count {
            let offered = recordSize(left: bytes.count &- count)
            guard offered > 0 else { return .wantsWrite }
            clearErrors()
            let result = SSL_write(ssl, base + count, Int32(clamping: offered))
            guard result > 0 else {
                window.pointee.retryCount = offered
                return progress(result)
            }
            window.pointee.established = true
            window.pointee.retryCount = 0
            count &+= Int(result)
        }
        return .done
    }

    /// Puts close_notify into the output room, once. `.done`: it is there, or there is nothing to say
    /// (unfinished handshake, failed session). Reading may go on afterwards.
    @discardableResult
    mutating func shutdown() -> Progress {
        // Once: a second SSL_shutdown would read, and throw away, what the peer still sends.
        guard window.pointee.failure == nil, isEstablished, !window.pointee.closeQueued else { return .done }
        clearErrors()
        if SSL_in_init(ssl) != 0 {
            // A key update waits for room; SSL_shutdown would refuse.
            let result = SSL_do_handshake(ssl)
            guard result == 1 else { return progress(result) }
        }
        // 0: ours is sent, the peer's has not come; 1: both. The peer's is read by `read`.
        let result = SSL_shutdown(ssl)
        guard result >= 0 else { return progress(result) }
        window.pointee.closeQueued = true
        return .done
    }

    // MARK: Inside

    /// What the end of the peer's stream means, once everything ahead of it has been read. Not asking OpenSSL
    /// keeps the session fit to send: who has only shut its sending side is still owed its answer. OpenSSL
    /// would send the alert decode_error instead and refuse to write.
    private var endOfInput: Progress? {
        guard window.pointee.inputEnded, window.pointee.inputCount == 0, window.pointee.established,
            SSL_pending(ssl) == 0
        else { return nil }
        let isSaid = SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0
        return isSaid ? .closed : .failed(TLSFailure(kind: .truncated))
    }

    /// How many plain bytes the next record takes, so that it fits into what is left of the output;
    /// 0: flush first. A record that does not fit would be kept by OpenSSL in 16 KiB of its own and
    /// would bind the caller's hands (see `owedPlainCount`), so that is only for rooms too small.
    private func recordSize(left: Int) -> Int {
        if window.pointee.retryCount > 0 { return min(left, window.pointee.retryCount) }
        let room = window.pointee.outputRoom &- window.pointee.outputCount
        if room >= TLSSession.worthwhileRoom {
            return min(left, TLSSession.recordPlainMax, room &- TLSSession.recordOverheadMax)
        }
        if left &+ TLSSession.recordOverheadMax <= room { return left }
        return window.pointee.outputCount > 0 ? 0 : min(left, TLSSession.recordPlainMax)
    }

    /// Plain bytes that an earlier input's unfinished record may add to those of this one.
    static let heldPlainMax = recordPlainMax
    /// RFC 8446 §5.1: 2^14 plain bytes a record.
    private static let recordPlainMax = 16_384
    /// Header 5, explicit nonce 16, MAC 48, padding 16, content type 1; a key update ahead of it 32.
    private static let recordOverheadMax = 128
    private static let worthwhileRoom = 1_024

    /// The host's own OpenSSL calls on this thread may have left errors behind, and SSL_get_error
    /// would take them for ours. Looking is cheaper than clearing.
    @inline(__always)
    private func clearErrors() {
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    private mutating func progress(_ result: Int32) -> Progress {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_NONE: return .done
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .closed
        default:
            var failure = TLSFailure.fromQueue(window.pointee)
            if failure.kind == .clientCertificate { failure.verdict = clientVerdict }
            window.pointee.failure = failure
            return .failed(failure)
        }
    }
}

// MARK: Facts

extension TLSSession {
    /// The handshake was finished once. (SSL_is_init_finished turns false again after a fatal error.)
    var isEstablished: Bool { window.pointee.established }
    /// "TLSv1.2" or "TLSv1.3". Static text.
    var protocolName: UnsafePointer<CChar>? { SSL_get_version(ssl) }
    /// OpenSSL's name of the cipher; nil before there is one. Static text.
    var cipherName: UnsafePointer<CChar>? {
        guard let cipher = SSL_get_current_cipher(ssl) else { return nil }
        return SSL_CIPHER_get_name(cipher)
    }
    /// The application protocol agreed on, empty when the client offered none. Lives as long as the session.
    var applicationProtocol: UnsafeRawBufferPointer {
        var start: UnsafePointer<UInt8>?
        var byteCount: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &start, &byteCount)
        return UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : Int(byteCount))
    }
    /// The name the client asked for (SNI); nil when it asked for none. Lives as long as the session.
    var serverName: UnsafePointer<CChar>? { SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) }
    /// The session was resumed from a ticket: no certificate was sent.
    var isResumed: Bool { SSL_session_reused(ssl) != 0 }
    /// The client's certificate (X509, the caller's to free); nil when it showed none.
    func takeClientCertificate() -> OpaquePointer? { SSL_get1_peer_certificate(ssl) }
    /// X509_V_*; says something only where there is a certificate.
    var clientVerdict: Int { SSL_get_verify_result(ssl) }
}
