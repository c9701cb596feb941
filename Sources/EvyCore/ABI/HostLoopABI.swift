// SPDX-License-Identifier: MIT
// HostLoopABI - chapters "loops and threads of the host" and "tasks and timers" of evy.h.
// Room: ABI.

public import CEvy

@implementation @_cdecl("evy_server_fd")
public func evy_server_fd(_ s: OpaquePointer?) -> Int32 {
    figure(s, else: -1) { (server) throws(ServerError) in try server.pollDescriptor() }
}

@implementation @_cdecl("evy_server_deadline")
public func evy_server_deadline(_ s: OpaquePointer?) -> Int64 {
    figure(s, else: -1) { (server) throws(ServerError) in try server.nextDeadline() }
}

@implementation @_cdecl("evy_server_step")
public func evy_server_step(_ s: OpaquePointer?, _ wait_ms: Int64) -> evy_status {
    call(s) { (server) throws(ServerError) in
        switch try server.step(milliseconds: wait_ms) {
        case .served: return Status.ok
        case .ended: return Status.end
        }
    }
}

@implementation @_cdecl("evy_server_work")
public func evy_server_work(_ s: OpaquePointer?) -> evy_status {
    call(s) { (server) throws(ServerError) in
        try server.lend()
        return Status.ok
    }
}

@implementation @_cdecl("evy_server_next")
public func evy_server_next(
    _ s: OpaquePointer?, _ wait_ms: Int64, _ event: UnsafeMutablePointer<Int32>?,
    _ req: UnsafeMutablePointer<OpaquePointer?>?
) -> evy_status {
    req?.pointee = nil
    event?.pointee = 0
    return call(s) { (server) throws(ServerError) in
        guard let event, let req else {
            throw ServerError(kind: .argument, text: "event or req is NULL")
        }
        guard let queue = server.pullQueue else {
            throw ServerError(kind: .state, text: "evy_server_next needs option pull")
        }
        switch queue.take(milliseconds: wait_ms, isOver: { server.hasEnded }) {
        case .event(let kind, let exchange):
            event.pointee = kind.rawValue
            req.pointee = OpaquePointer(exchange)
            return Status.ok
        case .nothing: return Status.again
        case .ended: return Status.end
        }
    }
}

@implementation @_cdecl("evy_wake")
public func evy_wake(_ s: OpaquePointer?) {
    // Nothing that allocates or locks: a signal handler may be the caller.
    Handle.object(s, Server.self)?.wake()
}

@implementation @_cdecl("evy_loop_post")
public func evy_loop_post(
    _ s: OpaquePointer?, _ req: OpaquePointer?, _ fn: evy_task_fn?, _ user: UnsafeMutableRawPointer?,
    _ drop: evy_drop_fn?
) -> evy_status {
    let result = withTask(s, fn, user, drop) { (server, task) throws(ServerError) in
        try server.post(task, Handle.exchange(req))
        return 0
    }
    return evy_status(truncatingIfNeeded: result)
}

@implementation @_cdecl("evy_timer_start")
public func evy_timer_start(
    _ s: OpaquePointer?, _ first_ms: Int64, _ every_ms: Int64, _ fn: evy_task_fn?,
    _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?
) -> Int64 {
    withTask(s, fn, user, drop) { (server, task) throws(ServerError) in
        guard first_ms >= 0, every_ms >= 0 else {
            throw ServerError(kind: .argument, text: "a timer's times cannot be negative")
        }
        return try server.startTimer(task, first: first_ms, every: every_ms)
    }
}

@implementation @_cdecl("evy_timer_stop")
public func evy_timer_stop(_ s: OpaquePointer?, _ id: Int64) -> evy_status {
    call(s) { (server) throws(ServerError) in
        guard server.stopTimer(id) else {
            throw ServerError(kind: .state, text: "timer \(id) is over, or never was")
        }
        return Status.ok
    }
}

/// A call that returns no status; what goes wrong stands in evy_server_error.
private func figure<Value>(
    _ s: OpaquePointer?, else failure: Value, _ body: (Server) throws(ServerError) -> Value
) -> Value {
    var value = failure
    _ = call(s) { (server) throws(ServerError) in
        value = try body(server)
        return Status.ok
    }
    return value
}

/// Whatever goes wrong, the drop function is called.
private func withTask(
    _ s: OpaquePointer?, _ fn: evy_task_fn?, _ user: UnsafeMutableRawPointer?, _ drop: evy_drop_fn?,
    _ body: (Server, HostTask) throws(ServerError) -> Int64
) -> Int64 {
    var result: Int64 = 0
    let code = call(s) { (server) throws(ServerError) in
        guard let fn else { throw ServerError(kind: .argument, text: "the function is NULL") }
        result = try body(server, HostTask(function: fn, user: user, drop: drop))
        return Status.ok
    }
    guard code == Status.ok else {
        drop?(user)
        return Int64(code)
    }
    return result
}
