// SPDX-License-Identifier: MIT
// Handles - the opaque pointers of evy.h and the objects behind them.
// Room: ABI. Ownership: a handle holds one reference; *_free gives it back (rule R1).

internal import CEvy
internal import Glibc

final class ConfigHandle {
    var configuration = Configuration()
    let error = ErrorText()
    /// What evy_config_get has lent, by key.
    var lent: [String: LentText] = [:]
}

/// Thread: any, behind `gate`, because evy_tls_reload may come from any.
final class TLSHandle {
    let gate = ForkGate()
    var policy = TLSPolicy()
    /// Made from the policy when a listener first needs it, then shared by all listeners.
    var provider: TLSProvider?
    /// The policy was changed since the provider got its context.
    var isChanged = false
    let error = ErrorText()
}

/// An object that handles of evy.h stand for.
protocol HandledObject: AnyObject {
    static var kind: HandleKind { get }
}

extension ConfigHandle: HandledObject { static var kind: HandleKind { .config } }
extension TLSHandle: HandledObject { static var kind: HandleKind { .tls } }
extension Server: HandledObject { static var kind: HandleKind { .server } }

enum Handle {
    static func make<T: HandledObject>(_ object: T) -> OpaquePointer? { HandleTable.make(object, T.kind) }

    /// nil: NULL, freed and gone, or a handle of another kind.
    static func object<T: HandledObject>(_ handle: OpaquePointer?, _ type: T.Type) -> T? {
        // SAFETY: the table keeps each kind apart.
        HandleTable.find(handle, T.kind).map { unsafeDowncast($0, to: T.self) }
    }

    /// The host's reference, to be released; nil: it was given back before.
    static func give<T: HandledObject>(_ handle: OpaquePointer?, _ type: T.Type) -> Unmanaged<T>? {
        HandleTable.give(handle, T.kind).map { Unmanaged.passUnretained(unsafeDowncast($0, to: T.self)) }
    }

    static func free<T: HandledObject>(_ handle: OpaquePointer?, _ type: T.Type) {
        give(handle, type)?.release()
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

/// No object of a process is longer: what claims to be is a mistake, and nobody may walk it.
let hostBytesMax = 1 << 47

/// A text or block of the host: NUL-terminated when the length is EVY_NUL. nil: NULL with a length, or a
/// length that cannot be.
func hostBytes(_ start: UnsafeRawPointer?, _ count: Int) -> UnsafeRawBufferPointer? {
    guard let start else {
        return count == 0 || count == -1 ? UnsafeRawBufferPointer(start: nil, count: 0) : nil
    }
    if count == -1 {
        return UnsafeRawBufferPointer(start: start, count: strlen(start.assumingMemoryBound(to: CChar.self)))
    }
    return count < 0 || count > hostBytesMax ? nil : UnsafeRawBufferPointer(start: start, count: count)
}

func server(of exchange: ExchangeRef) -> Server? {
    exchange.pointee.reactor.pointee.delegate.owner as? Server
}
