// SPDX-License-Identifier: MIT
// TLSKeptText - a path or a pass phrase of the host, kept byte for byte until files are read again.
// Room: Transport (no system calls).

internal import COpenSSL
internal import Glibc

/// Ownership: owns the copy and wipes it in deinit, it may be a pass phrase. Immutable.
/// Thread:    any.
final class TLSKeptText: @unchecked Sendable {
    /// A path need not be UTF-8, so it never becomes a String on its way back to the kernel.
    let pointer: UnsafePointer<CChar>
    private let byteCount: Int

    /// nil: out of memory.
    init?(_ text: UnsafePointer<CChar>) {
        byteCount = strlen(text) + 1
        guard let room = CRYPTO_malloc(byteCount, nil, 0) else { return nil }
        room.copyMemory(from: text, byteCount: byteCount)
        pointer = UnsafePointer(room.assumingMemoryBound(to: CChar.self))
    }

    deinit { CRYPTO_clear_free(UnsafeMutableRawPointer(mutating: pointer), byteCount, nil, 0) }

    static func keep(_ text: UnsafePointer<CChar>?) throws(TLSError) -> TLSKeptText? {
        guard let text else { return nil }
        guard let kept = TLSKeptText(text) else { throw .tls("out of memory") }
        return kept
    }
}
