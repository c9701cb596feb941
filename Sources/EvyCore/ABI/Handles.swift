// SPDX-License-Identifier: MIT
// Handles - the opaque pointers of evy.h and the objects behind them.
// Room: ABI. Ownership: a handle holds one reference; *_free gives it back (rule R1).

internal import CEvy
internal import Glibc

final class ConfigHandle {
    var configuration = Configuration()
    let error = LentText()
    /// What evy_config_get has lent, by key.
    var lent: [String: LentText] = [:]
}

/// Thread: any, behind `gate`, because evy_tls_reload may come from any.
final class TLSHandle {
    let gate = Condition()
    var policy = TLSPolicy()
    /// Made from the policy when a listener first needs it, then shared by all listeners.
    var provider: TLSProvider?
    /// The policy was changed since the provider got its context.
    var isChanged = false
    let error = LentText()
}

enum Handle {
    static func make<T: AnyObject>(_ object: T) -> OpaquePointer {
        OpaquePointer(Unmanaged.passRetained(object).toOpaque())
    }

    /// SAFETY: the header gives each kind of handle a type of its own, and NULL is answered here.
    static func object<T: AnyObject>(_ handle: OpaquePointer?, _ type: T.Type) -> T? {
        guard let handle else { return nil }
        return Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).takeUnretainedValue()
    }

    static func free<T: AnyObject>(_ handle: OpaquePointer?, _ type: T.Type) {
        guard let handle else { return }
        Unmanaged<T>.fromOpaque(UnsafeRawPointer(handle)).release()
    }

    /// nil for NULL, and for memory that is no living request.
    @inline(__always)
    static func exchange(_ handle: OpaquePointer?) -> ExchangeRef? {
        guard let handle else { return nil }
        let exchange = ExchangeRef(handle)
        return exchange.pointee.magic == Exchange.magicAlive ? exchange : nil
    }
}

extension Handle {
    /// The same for calls that act on the request: nil also in a child of the process that serves it.
    @inline(__always)
    static func serving(_ handle: OpaquePointer?) -> ExchangeRef? {
        guard let exchange = exchange(handle), !exchange.pointee.reactor.pointee.isForked else { return nil }
        return exchange
    }

    /// What such a call answers where one of its arguments was of no use.
    static func refusal(_ handle: OpaquePointer?) -> evy_status {
        exchange(handle) != nil && serving(handle) == nil ? Status.forked : Status.badArgument
    }
}

enum Status {
    static let ok: evy_status = 0
    static let full: evy_status = 1
    static let end: evy_status = 2
    static let badArgument: evy_status = -1
    static let outOfMemory: evy_status = -2
    static let wrongState: evy_status = -3
    static let again: evy_status = -4
    static let timeout: evy_status = -5
    static let option: evy_status = -8
    static let value: evy_status = -9
    static let field: evy_status = -10
    static let bind: evy_status = -12
    static let tls: evy_status = -13
    static let io: evy_status = -14
    static let forked: evy_status = -15
    static let unsupported: evy_status = -16
}

/// A text or block of the host: NUL-terminated when the length is EVY_NUL. nil: NULL with a length.
func hostBytes(_ start: UnsafeRawPointer?, _ count: Int) -> UnsafeRawBufferPointer? {
    guard let start else {
        return count == 0 || count == -1 ? UnsafeRawBufferPointer(start: nil, count: 0) : nil
    }
    if count == -1 {
        return UnsafeRawBufferPointer(start: start, count: strlen(start.assumingMemoryBound(to: CChar.self)))
    }
    return count < 0 ? nil : UnsafeRawBufferPointer(start: start, count: count)
}

func server(of exchange: ExchangeRef) -> Server? {
    exchange.pointee.reactor.pointee.delegate.owner as? Server
}
