// SPDX-License-Identifier: MIT
// Arena - memory that lives exactly as long as one request: environ values, hooks, joined headers.
// Room: Connection. Pointers into it never move; all of it goes at once.

internal import Glibc

/// Ownership: owns its chunks. Kept for the next request up to one chunk.
/// Thread:    under the lock of its exchange.
struct Arena: ~Copyable {
    private static let chunkSize = 4096 - 32

    private struct Chunk {
        var next: UnsafeMutablePointer<Chunk>?
        var size: Int
    }

    private var chunks: UnsafeMutablePointer<Chunk>?
    private var used = 0
    /// Since the last reset there was no memory for something: what is missing is not absent.
    private(set) var hasFailed = false

    deinit {
        var rest = chunks
        while let chunk = rest {
            rest = chunk.pointee.next
            free(chunk)
        }
    }

    /// Aligned for any C type. nil: out of memory, or an absurd size.
    mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount >= 0, byteCount < 1 << 31 else { return nil }
        let needed = (byteCount + 15) & ~15
        if chunks == nil || used + needed > (chunks?.pointee.size ?? 0) {
            guard addChunk(atLeast: needed) else {
                hasFailed = true
                return nil
            }
        }
        guard let chunk = chunks else { return nil }
        let place = UnsafeMutableRawPointer(chunk) + MemoryLayout<Chunk>.stride + used
        used += needed
        return place
    }

    /// A NUL-terminated copy.
    mutating func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawPointer? {
        guard let place = allocate(bytes.count &+ 1) else { return nil }
        if let base = bytes.baseAddress { place.copyMemory(from: base, byteCount: bytes.count) }
        place.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
        return place
    }

    /// There was no memory for what would have been copied here.
    mutating func fail() { hasFailed = true }

    /// Everything lent becomes invalid.
    @inline(__always)
    mutating func reset(keepsChunk: Bool) {
        hasFailed = false
        if used != 0 || !keepsChunk { dropChunks(butOne: keepsChunk) }
    }

    private mutating func addChunk(atLeast needed: Int) -> Bool {
        let size = max(Self.chunkSize, needed)
        guard let room = malloc(MemoryLayout<Chunk>.stride + size) else { return false }
        let chunk = room.bindMemory(to: Chunk.self, capacity: 1)
        chunk.initialize(to: Chunk(next: chunks, size: size))
        chunks = chunk
        used = 0
        return true
    }

    private mutating func dropChunks(butOne keepsOne: Bool) {
        while let chunk = chunks,
            !keepsOne || chunk.pointee.next != nil || chunk.pointee.size > Self.chunkSize
        {
            chunks = chunk.pointee.next
            free(chunk)
        }
        used = 0
    }
}
