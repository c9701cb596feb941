// SPDX-License-Identifier: MIT
// ServerABI - chapter "server" of evy.h.
// Room: ABI.

public import CEvy
internal import CSystem

@implementation @_cdecl("evy_server_new")
public func evy_server_new(_ cfg: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?) -> evy_status
{
    out?.pointee = nil
    guard let config = Handle.object(cfg, ConfigHandle.self) else { return Status.badArgument }
    guard let out else {
        config.error.set("out is NULL")
        return Status.badArgument
    }
    do throws(ServerError) {
        let server = try Server(config.configuration)
        server.handle = Handle.make(server)
        guard server.handle != nil else {
            throw ServerError(kind: .noMemory, text: "out of memory, or of handles")
        }
        out.pointee = server.handle
        return Status.ok
    } catch {
        config.error.set(error.text)
        return status(of: error)
    }
}

private func status(of error: ServerError) -> evy_status {
    switch error.kind {
    case .argument: return Status.badArgument
    case .value: return Status.value
    case .bind: return Status.bind
    case .noMemory: return Status.outOfMemory
    case .state: return Status.wrongState
    case .io: return Status.io
    }
}

/// Checks the handle, and keeps the text of what went wrong.
func call(_ s: OpaquePointer?, _ body: (Server) throws(ServerError) -> evy_status) -> evy_status {
    guard let server = Handle.object(s, Server.self) else { return Status.badArgument }
    guard !server.isForked else { return Status.forked }
    do throws(ServerError) {
        let result = try body(server)
        // Host code that ran inside the call may have forked, and returned in the child.
        return server.isForked ? Status.forked : result
    } catch {
        server.note(error)
        return status(of: error)
    }
}

@implementation @_cdecl("evy_server_start")
public func evy_server_start(_ s: OpaquePointer?) -> evy_status {
    call(s) { (server) throws(ServerError) in
        try server.start()
        return Status.ok
    }
}

@implementation @_cdecl("evy_server_run")
public func evy_server_run(_ s: OpaquePointer?) -> evy_status {
    call(s) { (server) throws(ServerError) in
        try server.run()
        return Status.ok
    }
}

@implementation @_cdecl("evy_server_stop")
public func evy_server_stop(_ s: OpaquePointer?, _ grace_ms: Int64) -> evy_status {
    call(s) { (server) throws(ServerError) in
        server.stop(grace: grace_ms)
        return Status.ok
    }
}

@implementation @_cdecl("evy_server_wait")
public func evy_server_wait(_ s: OpaquePointer?, _ wait_ms: Int64) -> evy_status {
    call(s) { (server) throws(ServerError) in
        try server.wait(milliseconds: wait_ms) ? Status.ok : Status.timeout
    }
}

@implementation @_cdecl("evy_server_short")
public func evy_server_short(_ s: OpaquePointer?, _ wait_ms: Int64) -> evy_status {
    call(s) { (server) throws(ServerError) in
        switch try server.waitUntilShort(milliseconds: wait_ms) {
        case true?: Status.ok
        case false?: Status.timeout
        case nil: Status.end
        }
    }
}

@implementation @_cdecl("evy_server_free")
public func evy_server_free(_ s: OpaquePointer?) {
    guard let hold = Handle.give(s, Server.self) else { return }
    let server = hold.takeUnretainedValue()
    server.close()
    // In a forked child the reactor's locks may be held by threads that do not exist there: it is left alone.
    if !server.isForked { hold.release() }
}

@implementation @_cdecl("evy_server_error")
public func evy_server_error(_ s: OpaquePointer?) -> UnsafePointer<CChar>? {
    Handle.object(s, Server.self)?.errorText.pointer
}

@implementation @_cdecl("evy_server_port")
public func evy_server_port(_ s: OpaquePointer?, _ listener: UInt32) -> Int32 {
    guard let server = Handle.object(s, Server.self), Int(listener) < server.addresses.count else { return 0 }
    return Int32(server.ports[Int(listener)])
}

@implementation @_cdecl("evy_server_address")
public func evy_server_address(_ s: OpaquePointer?, _ listener: UInt32) -> UnsafePointer<CChar>? {
    guard let server = Handle.object(s, Server.self), Int(listener) < server.addresses.count else {
        return nil
    }
    return server.addresses[Int(listener)].pointer
}
