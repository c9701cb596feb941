// SPDX-License-Identifier: MIT
// EnvironABI - chapter "request: environ" of evy.h.
// Room: ABI. Every call takes the lock of the exchange, so any thread may make it, and a forked child too.

public import CEvy
internal import Glibc

/// Lends a text: its start, and its length where the host wants it.
@inline(__always)
private func lend(_ text: EnvironText?, _ len: UnsafeMutablePointer<Int>?) -> UnsafePointer<CChar>? {
    len?.pointee = text?.count ?? 0
    return text?.baseAddress?.assumingMemoryBound(to: CChar.self)
}

/// nil for NULL and for requests that never had an environ.
private func readable(_ req: OpaquePointer?) -> ExchangeRef? {
    guard let exchange = Handle.exchange(req), !exchange.pointee.environ.isRefused else { return nil }
    return exchange
}

@implementation @_cdecl("evy_env_get")
public func evy_env_get(
    _ req: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ len: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
    guard let exchange = readable(req), let name else { return lend(nil, len) }
    let key = UnsafeRawBufferPointer(start: name, count: strlen(name))
    return lend(exchange.withLockUnlessForked { exchange.environValue(key) }, len)
}

@implementation @_cdecl("evy_env_count")
public func evy_env_count(_ req: OpaquePointer?) -> UInt32 {
    guard let exchange = readable(req) else { return 0 }
    return UInt32(clamping: exchange.withLockUnlessForked { exchange.environEntries()?.count ?? 0 })
}

@implementation @_cdecl("evy_env_at")
public func evy_env_at(
    _ req: OpaquePointer?, _ index: UInt32, _ name: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
    _ len: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
    name?.pointee = nil
    guard let exchange = readable(req) else { return lend(nil, len) }
    let entry = exchange.withLockUnlessForked { () -> EnvironEntry? in
        guard let entries = exchange.environEntries(), Int(index) < entries.count else { return nil }
        return entries[Int(index)]
    }
    name?.pointee = lend(entry?.name, nil)
    return lend(entry?.value, len)
}

@implementation @_cdecl("evy_env_block")
public func evy_env_block(_ req: OpaquePointer?, _ len: UnsafeMutablePointer<Int>?) -> UnsafePointer<CChar>? {
    guard let exchange = readable(req) else { return lend(nil, len) }
    return lend(exchange.withLockUnlessForked { exchange.environBlock() }, len)
}

@implementation @_cdecl("evy_env_set")
public func evy_env_set(
    _ req: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?, _ len: Int
) -> evy_status {
    guard let exchange = readable(req), let name, name.pointee != 0, let value,
        let bytes = hostBytes(value, len)
    else {
        return Status.badArgument
    }
    let key = UnsafeRawBufferPointer(start: name, count: strlen(name))
    return exchange.withLockUnlessForked { exchange.setEnviron(key, bytes) } ? Status.ok : Status.outOfMemory
}

@implementation @_cdecl("evy_req_headers")
public func evy_req_headers(_ req: OpaquePointer?, _ len: UnsafeMutablePointer<Int>?) -> UnsafePointer<CChar>?
{
    guard let exchange = readable(req) else { return lend(nil, len) }
    return lend(exchange.withLockUnlessForked { exchange.headerBlock() }, len)
}

// MARK: The request itself

@implementation @_cdecl("evy_req_server")
public func evy_req_server(_ req: OpaquePointer?) -> OpaquePointer? {
    Handle.exchange(req).flatMap { server(of: $0)?.handle }
}

@implementation @_cdecl("evy_req_id")
public func evy_req_id(_ req: OpaquePointer?) -> UInt64 { Handle.exchange(req)?.pointee.id ?? 0 }

@implementation @_cdecl("evy_req_set_user")
public func evy_req_set_user(_ req: OpaquePointer?, _ user: UnsafeMutableRawPointer?) {
    guard let exchange = Handle.exchange(req) else { return }
    exchange.withLockUnlessForked { exchange.pointee.user = user }
}

@implementation @_cdecl("evy_req_user")
public func evy_req_user(_ req: OpaquePointer?) -> UnsafeMutableRawPointer? {
    guard let exchange = Handle.exchange(req) else { return nil }
    return exchange.withLockUnlessForked { exchange.pointee.user }
}

@implementation @_cdecl("evy_req_retain")
public func evy_req_retain(_ req: OpaquePointer?) { Handle.serving(req)?.retain() }

@implementation @_cdecl("evy_req_release")
public func evy_req_release(_ req: OpaquePointer?) { Handle.serving(req)?.release() }

@implementation @_cdecl("evy_req_gone")
public func evy_req_gone(_ req: OpaquePointer?) -> Int32 {
    guard let exchange = Handle.exchange(req) else { return 0 }
    return exchange.withLockUnlessForked { exchange.pointee.isGone } ? 1 : 0
}
