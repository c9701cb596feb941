// SPDX-License-Identifier: MIT
// AnswerABI - chapter "response, more ways" of evy.h.
// Room: ABI.

public import CEvy
internal import Glibc

@implementation @_cdecl("evy_inform")
public func evy_inform(
    _ req: OpaquePointer?, _ status: Int32, _ headers: UnsafePointer<CChar>?, _ headers_len: Int
) -> evy_status {
    guard let exchange = Handle.serving(req), let fields = hostBytes(headers, headers_len) else {
        return Handle.refusal(req)
    }
    return exchange.inform(status, fields).rawValue
}

@implementation @_cdecl("evy_resp_writev")
public func evy_resp_writev(
    _ req: OpaquePointer?, _ slices: UnsafePointer<evy_slice>?, _ count: Int, _ wait_ms: Int64
) -> evy_status {
    guard let exchange = Handle.serving(req), count >= 0,
        count <= hostBytesMax / MemoryLayout<evy_slice>.stride, slices != nil || count == 0
    else {
        return Handle.refusal(req)
    }
    let list = UnsafeBufferPointer(start: slices, count: count)
    guard list.allSatisfy({ hostBytes($0.data, $0.len) != nil }) else { return Handle.refusal(req) }
    let pieces = list.lazy.map { hostBytes($0.data, $0.len) ?? UnsafeRawBufferPointer(start: nil, count: 0) }
    guard let result = exchange.write(pieces) else { return Handle.refusal(req) }
    return waitForRoom(exchange, result, wait_ms)
}

@implementation @_cdecl("evy_respond_ref")
public func evy_respond_ref(
    _ req: OpaquePointer?, _ status: Int32, _ reason: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?,
    _ headers_len: Int, _ body: UnsafeRawPointer?, _ body_len: Int, _ user: UnsafeMutableRawPointer?,
    _ drop: evy_drop_fn?
) -> evy_status {
    guard let exchange = Handle.serving(req),
        let start = responseStart(status, reason, headers, headers_len),
        let bytes = hostBytes(body, body_len)
    else {
        drop?(user)
        return Handle.refusal(req)
    }
    return exchange.respond(start, lent: bytes, .init(user: user, drop: drop)).rawValue
}

@implementation @_cdecl("evy_resp_write_ref")
public func evy_resp_write_ref(
    _ req: OpaquePointer?, _ data: UnsafeRawPointer?, _ len: Int, _ user: UnsafeMutableRawPointer?,
    _ drop: evy_drop_fn?
) -> evy_status {
    guard let exchange = Handle.serving(req), let bytes = hostBytes(data, len) else {
        drop?(user)
        return Handle.refusal(req)
    }
    return exchange.write(lent: bytes, .init(user: user, drop: drop)).rawValue
}

@implementation @_cdecl("evy_resp_file")
public func evy_resp_file(
    _ req: OpaquePointer?, _ fd: Int32, _ offset: Int64, _ length: Int64
) -> evy_status {
    guard let exchange = Handle.serving(req) else { return Handle.refusal(req) }
    return exchange.write(file: fd, offset: offset, length: length).rawValue
}

@implementation @_cdecl("evy_resp_flush")
public func evy_resp_flush(_ req: OpaquePointer?) -> evy_status {
    guard let exchange = Handle.serving(req) else { return Handle.refusal(req) }
    return exchange.flushOutput().rawValue
}

@implementation @_cdecl("evy_resp_on_writable")
public func evy_resp_on_writable(
    _ req: OpaquePointer?, _ fn: evy_handler_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    listen(req, fn, user, drop) { $0.listenForRoom($1) }
}

@implementation @_cdecl("evy_req_on_gone")
public func evy_req_on_gone(
    _ req: OpaquePointer?, _ fn: evy_handler_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    listen(req, fn, user, drop) { $0.listenForLeaving($1) }
}

private func listen(
    _ req: OpaquePointer?, _ fn: evy_handler_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?,
    _ register: (ExchangeRef, HostNotice) -> HostResult
) -> evy_status {
    guard let exchange = Handle.serving(req), let fn else {
        drop?(user)
        return Handle.refusal(req)
    }
    let result = register(exchange, HostNotice(function: fn, user: user, drop: drop))
    if result != .ok { drop?(user) }
    return result.rawValue
}

@implementation @_cdecl("evy_body_trailers")
public func evy_body_trailers(
    _ req: OpaquePointer?, _ len: UnsafeMutablePointer<Int>?
) -> UnsafePointer<CChar>? {
    len?.pointee = 0
    guard let exchange = Handle.exchange(req),
        let pairs = exchange.withLockUnlessForked({ exchange.bodyTrailers })
    else {
        return nil
    }
    len?.pointee = pairs.count
    return pairs.baseAddress?.assumingMemoryBound(to: CChar.self)
}

@implementation @_cdecl("evy_req_take_socket")
public func evy_req_take_socket(_ req: OpaquePointer?, _ fd: UnsafeMutablePointer<Int32>?) -> evy_status {
    fd?.pointee = -1
    guard let exchange = Handle.serving(req), let fd else { return Handle.refusal(req) }
    return exchange.takeSocket(&fd.pointee).rawValue
}
