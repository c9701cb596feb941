// SPDX-License-Identifier: MIT
// ErrorText - what went wrong last on an object, for a host that may read it while other threads fail anew.
// Room: Server.

internal import Glibc

/// The text lies in one place for the life of its object, with a NUL at the end that never changes: who reads
/// it while it is replaced gets a mixture, and no memory of anybody else.
///
/// Ownership: owns the memory. Thread: any may read; `set` by one at a time.
final class ErrorText {
    private static let capacity = 1024
    private let storage = calloc(capacity, 1)?.bindMemory(to: CChar.self, capacity: capacity)

    deinit { free(storage) }

    /// Longer ones are cut, between two characters.
    func set(_ text: String) {
        guard let storage else { return }
        var text = text
        text.withUTF8 { bytes in
            var count = min(bytes.count, Self.capacity - 1)
            if count < bytes.count {
                while count > 0, bytes[count] & 0xc0 == 0x80 { count -= 1 }
            }
            if let start = bytes.baseAddress { memcpy(storage, start, count) }
            storage[count] = 0
        }
    }

    /// Never nil; "" when nothing was set.
    var pointer: UnsafePointer<CChar> { storage.map { UnsafePointer($0) } ?? ("" as StaticString).cString }
}
