// SPDX-License-Identifier: MIT
// ResponseABI - chapters "response" and "post hooks and the outcome" of evy.h.
// Room: ABI.

public import CEvy
internal import Glibc

func responseStart(
    _ status: Int32, _ reason: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?, _ headersCount: Int
) -> ResponseStart? {
    guard let fields = hostBytes(headers, headersCount) else { return nil }
    let text = reason.map { UnsafeRawBufferPointer(start: $0, count: strlen($0)) }
    return ResponseStart(status: status, reason: text, fields: fields)
}

@implementation @_cdecl("evy_respond")
public func evy_respond(
    _ req: OpaquePointer?, _ status: Int32, _ reason: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?,
    _ headers_len: Int, _ body: UnsafeRawPointer?, _ body_len: Int
) -> evy_status {
    guard let exchange = Handle.serving(req),
        let start = responseStart(status, reason, headers, headers_len),
        let bytes = hostBytes(body, body_len)
    else { return Handle.refusal(req) }
    return exchange.respond(start, body: bytes).rawValue
}

@implementation @_cdecl("evy_resp_begin")
public func evy_resp_begin(
    _ req: OpaquePointer?, _ status: Int32, _ reason: UnsafePointer<CChar>?, _ headers: UnsafePointer<CChar>?,
    _ headers_len: Int, _ length: Int64
) -> evy_status {
    guard let exchange = Handle.serving(req),
        let start = responseStart(status, reason, headers, headers_len),
        length >= -1
    else { return Handle.refusal(req) }
    return exchange.begin(start, length: length < 0 ? nil : UInt64(length)).rawValue
}

@implementation @_cdecl("evy_resp_write")
public func evy_resp_write(
    _ req: OpaquePointer?, _ data: UnsafeRawPointer?, _ len: Int, _ wait_ms: Int64
) -> evy_status {
    guard let exchange = Handle.serving(req), let bytes = hostBytes(data, len) else {
        return Handle.refusal(req)
    }
    return waitForRoom(exchange, exchange.write(bytes), wait_ms)
}

/// After a write above the high-water mark: waits for room as long as the host likes to.
func waitForRoom(_ exchange: ExchangeRef, _ result: HostResult, _ wait_ms: Int64) -> evy_status {
    guard result == .full, wait_ms != 0 else { return result.rawValue }
    let settled = exchange.wait(milliseconds: wait_ms) { exchange.roomAfterWrite() }
    return (settled ?? .full).rawValue
}

@implementation @_cdecl("evy_resp_end")
public func evy_resp_end(
    _ req: OpaquePointer?, _ trailers: UnsafePointer<CChar>?, _ trailers_len: Int
) -> evy_status {
    guard let exchange = Handle.serving(req), let fields = hostBytes(trailers, trailers_len) else {
        return Handle.refusal(req)
    }
    return exchange.finish(trailers: fields).rawValue
}

@implementation @_cdecl("evy_resp_abort")
public func evy_resp_abort(_ req: OpaquePointer?) -> evy_status {
    guard let exchange = Handle.serving(req) else { return Handle.refusal(req) }
    return exchange.abort().rawValue
}

@implementation @_cdecl("evy_posthook_add")
public func evy_posthook_add(
    _ req: OpaquePointer?, _ fn: evy_handler_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> evy_status {
    let exchange = Handle.serving(req)
    // Without a function the end comes as an event, where requests come as events.
    let queue = fn == nil ? exchange.flatMap { server(of: $0)?.pullQueue } : nil
    guard let exchange, let function = fn ?? (queue == nil ? nil : PullQueue.hook) else {
        drop?(user)
        return Handle.refusal(req)
    }
    let result = exchange.withLock { () -> HostResult in
        if exchange.pointee.hooks.isSealed { return .wrongState }
        let isAdded = exchange.pointee.hooks.append(
            function, queue?.pointer ?? user, queue == nil ? drop : nil, arena: &exchange.pointee.arena)
        return isAdded ? .ok : .outOfMemory
    }
    if result != .ok || queue != nil { drop?(user) }
    return result.rawValue
}

@implementation @_cdecl("evy_req_stat")
public func evy_req_stat(_ req: OpaquePointer?, _ what: Int32) -> Int64 {
    guard let exchange = Handle.exchange(req), let statistic = ExchangeStatistic(rawValue: what) else {
        return -1
    }
    return exchange.statistic(statistic)
}
