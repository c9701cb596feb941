// SPDX-License-Identifier: MIT
// HostCallback - a function of the host with its user pointer, dropped once when nobody needs it any more.
// Room: Server.

/// Thread:    any; immutable. The host answers for its function.
/// Ownership: shared by the configuration and the servers made from it; the last one gone calls `drop`.
final class HostCallback<Function>: @unchecked Sendable {
    let function: Function
    let user: UnsafeMutableRawPointer?
    private let drop: DropFunction?

    init(_ function: Function, _ user: UnsafeMutableRawPointer?, _ drop: DropFunction?) {
        self.function = function
        self.user = user
        self.drop = drop
    }

    deinit { drop?(user) }
}

typealias LogFunction = @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?, Int) -> Void
typealias AccessFunction =
    @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafePointer<CChar>?, Int) -> Void
