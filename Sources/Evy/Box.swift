// SPDX-License-Identifier: MIT
// Box - puts a Swift closure behind the `void *user` and the drop function of evy.h.
// Room: Evy (the Swift face).
internal import CEvy

/// What every box has in common: dropBox need not know what is inside.
class AnyBox {}

/// Ownership: `hand` gives one reference to the library, dropBox takes it back, once.
final class Box<Value>: AnyBox {
    let value: Value

    private init(_ value: Value) { self.value = value }

    static func hand(_ value: Value) -> UnsafeMutableRawPointer {
        Unmanaged<AnyBox>.passRetained(Box(value)).toOpaque()
    }

    /// Inside a callback: the box the library was given.
    static func lent(_ user: UnsafeMutableRawPointer?) -> Box? {
        guard let user else { return nil }
        // SAFETY: evy passes back what `hand` gave it, with the same Value, and drops it only later.
        return unsafeDowncast(Unmanaged<AnyBox>.fromOpaque(user).takeUnretainedValue(), to: Box.self)
    }
}

let dropBox: evy_drop_fn = { user in
    if let user { Unmanaged<AnyBox>.fromOpaque(user).release() }
}
