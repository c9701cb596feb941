// SPDX-License-Identifier: MIT
// TLSWindow - turns OpenSSL's reads and writes into copies from and to memory lent by the caller.
// Room: Transport (no system calls). Spec: OpenSSL 3 BIO_meth_new(3).

internal import COpenSSL

/// What the BIO of one connection sees: cipher bytes that came in, and room for cipher bytes going out.
///
/// Ownership: allocated and freed by `TLSSession`; owns nothing, both windows are lent.
/// Lifetime:  the address is fixed while the session lives, because the BIO holds it.
/// Thread:    the loop thread of its connection.
struct TLSWindow {
    var input: UnsafeRawPointer?
    var inputCount = 0
    /// The peer's end of stream was seen: an empty input window then means "no more", not "later".
    var inputEnded = false

    var output: UnsafeMutableRawPointer?
    var outputRoom = 0
    var outputCount = 0

    /// The first four bytes the peer ever sent, big-endian: they tell clear-text HTTP from garbage.
    var opening: UInt32 = 0
    var openingCount: UInt8 = 0
    /// The handshake was finished once.
    var established = false
    /// Our close_notify has been put into an output window.
    var closeQueued = false

    /// Plain bytes of the record that did not fit into the output window. OpenSSL insists that the
    /// next SSL_write offers at least those again.
    var retryCount = 0
    /// Sticky: after a fatal error OpenSSL must not be called again on this SSL.
    var failure: TLSFailure?

    /// At most `room` cipher bytes are copied to `target`; returns how many.
    mutating func take(into target: UnsafeMutableRawPointer, room: Int) -> Int {
        let byteCount = min(room, inputCount)
        guard byteCount > 0, let source = input else { return 0 }
        if openingCount < 4 { noteOpening(source, byteCount) }
        target.copyMemory(from: source, byteCount: byteCount)
        input = source + byteCount
        inputCount &-= byteCount
        return byteCount
    }

    /// At most `byteCount` cipher bytes are put into the output window; returns how many.
    mutating func put(_ source: UnsafeRawPointer, byteCount: Int) -> Int {
        let fitting = min(byteCount, outputRoom &- outputCount)
        guard fitting > 0, let target = output else { return 0 }
        (target + outputCount).copyMemory(from: source, byteCount: fitting)
        outputCount &+= fitting
        return fitting
    }

    private mutating func noteOpening(_ source: UnsafeRawPointer, _ byteCount: Int) {
        var index = 0
        while index < byteCount, openingCount < 4 {
            opening = opening << 8 | UInt32(source.load(fromByteOffset: index, as: UInt8.self))
            openingCount &+= 1
            index &+= 1
        }
    }
}

/// The process-wide BIO method over a `TLSWindow`. Immutable once made; OpenSSL only reads it.
/// It is never freed: an SSL may outlive every context, and it points here.
enum TLSWindowBIO {
    /// SAFETY: made once, then only read.
    nonisolated(unsafe) static let method: OpaquePointer? = makeMethod()

    /// A BIO on `window`, which must outlive it. nil: out of memory.
    static func make(on window: UnsafeMutablePointer<TLSWindow>) -> OpaquePointer? {
        guard let method, let bio = BIO_new(method) else { return nil }
        BIO_set_data(bio, window)
        BIO_set_init(bio, 1)
        return bio
    }

    private static func makeMethod() -> OpaquePointer? {
        let index = BIO_get_new_index()
        guard index != -1, let method = BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "evy window") else {
            return nil
        }
        BIO_meth_set_read(method) { bio, target, room in
            guard let window = TLSWindowBIO.window(of: bio), let target else { return -1 }
            evyssl_bio_retry_clear(bio)
            let taken = window.pointee.take(into: target, room: Int(room))
            if taken > 0 { return Int32(truncatingIfNeeded: taken) }
            if window.pointee.inputEnded { return 0 }
            evyssl_bio_retry_read(bio)
            return -1
        }
        BIO_meth_set_write(method) { bio, source, byteCount in
            guard let window = TLSWindowBIO.window(of: bio), let source else { return -1 }
            evyssl_bio_retry_clear(bio)
            let put = window.pointee.put(source, byteCount: Int(byteCount))
            if put > 0 { return Int32(truncatingIfNeeded: put) }
            evyssl_bio_retry_write(bio)
            return -1
        }
        BIO_meth_set_ctrl(method) { bio, command, _, _ in
            switch command {
            case BIO_CTRL_FLUSH: return 1
            case BIO_CTRL_EOF:
                guard let window = TLSWindowBIO.window(of: bio) else { return 1 }
                return window.pointee.inputEnded && window.pointee.inputCount == 0 ? 1 : 0
            default: return 0
            }
        }
        return method
    }

    @inline(__always)
    private static func window(of bio: OpaquePointer?) -> UnsafeMutablePointer<TLSWindow>? {
        BIO_get_data(bio)?.assumingMemoryBound(to: TLSWindow.self)
    }
}
