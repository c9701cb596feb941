// SPDX-License-Identifier: MIT
// BodyABI - chapter "request body" of evy.h.
// Room: ABI.

public import CEvy

@implementation @_cdecl("evy_body_length")
public func evy_body_length(_ req: OpaquePointer?) -> Int64 { Handle.exchange(req)?.declaredBodyLength ?? -1 }

@implementation @_cdecl("evy_body_buffer")
public func evy_body_buffer(_ req: OpaquePointer?, _ len: UnsafeMutablePointer<Int>?) -> UnsafeRawPointer? {
    len?.pointee = 0
    guard let exchange = Handle.exchange(req) else { return nil }
    let body = exchange.withLockUnlessForked { exchange.lendWholeBody() }
    len?.pointee = body?.count ?? 0
    return body?.baseAddress
}

@implementation @_cdecl("evy_body_read")
public func evy_body_read(
    _ req: OpaquePointer?, _ buf: UnsafeMutableRawPointer?, _ cap: Int, _ wait_ms: Int64
) -> Int64 {
    guard let exchange = Handle.serving(req), let buf, cap > 0 else { return Int64(Handle.refusal(req)) }
    let room = UnsafeMutableRawBufferPointer(start: buf, count: cap)
    let result = exchange.wait(milliseconds: wait_ms) { () -> Int64? in
        switch exchange.takeBody(into: room) {
        case .bytes(let count): return Int64(count)
        case .end: return 0
        case .failed(let result): return Int64(result.rawValue)
        case .nothingYet: return nil
        }
    }
    if let result { return result }
    return Int64(wait_ms == 0 || !exchange.letLoopGo() ? Status.again : Status.timeout)
}

@implementation @_cdecl("evy_body_on_data")
public func evy_body_on_data(
    _ req: OpaquePointer?, _ fn: evy_body_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    guard let exchange = Handle.serving(req), let fn else {
        drop?(user)
        return Handle.refusal(req)
    }
    let result = exchange.listenToBody(fn, user, drop)
    if result != .ok { drop?(user) }
    return result.rawValue
}

@implementation @_cdecl("evy_body_pause")
public func evy_body_pause(_ req: OpaquePointer?, _ paused: Int32) -> evy_status {
    guard let exchange = Handle.serving(req) else { return Handle.refusal(req) }
    return exchange.pauseBody(paused != 0).rawValue
}
