// SPDX-License-Identifier: MIT
// LentText - a text an object keeps for its host, valid until it is replaced.
// Room: Server.

internal import Glibc

/// Ownership: owns the copy; `pointer` lends it until the next `set`.
final class LentText {
    private var storage: UnsafeMutablePointer<CChar>?

    deinit { free(storage) }

    func set(_ text: String) {
        free(storage)
        storage = strdup(text)
    }

    var string: String { String(cString: pointer) }

    /// Never nil; "" when nothing was set.
    var pointer: UnsafePointer<CChar> {
        if let storage { return UnsafePointer(storage) }
        // SAFETY: a literal is NUL-terminated and lives as long as the program.
        return UnsafeRawPointer(("" as StaticString).utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
