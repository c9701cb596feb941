// SPDX-License-Identifier: MIT
// SeeingABI - chapter "seeing inside" of evy.h: counters, metrics, the server's own log.
// Room: ABI.

public import CEvy
internal import CSystem
internal import Glibc

private func row(_ index: UInt32) -> CounterRow? {
    let index = Int(index)
    return index < Counter.table.count ? Counter.table[index] : nil
}

@implementation @_cdecl("evy_server_counters")
public func evy_server_counters(_ s: OpaquePointer?, _ out: UnsafeMutablePointer<Int64>?, _ n: UInt32)
    -> UInt32
{
    guard let server = Handle.object(s, Server.self), !server.isForked else { return 0 }
    let all = Counter.allCases.count
    guard let out, n > 0 else { return UInt32(all) }
    withUnsafeTemporaryAllocation(of: Int64.self, capacity: all) { values in
        values.initialize(repeating: 0)
        server.readCounters(into: values)
        for index in 0..<min(all, Int(n)) { out[index] = values[index] }
    }
    return UInt32(all)
}

@implementation @_cdecl("evy_counter_name")
public func evy_counter_name(_ index: UInt32) -> UnsafePointer<CChar>? { row(index)?.name.cString }

@implementation @_cdecl("evy_counter_type")
public func evy_counter_type(_ index: UInt32) -> UnsafePointer<CChar>? { row(index)?.type.cString }

@implementation @_cdecl("evy_counter_help")
public func evy_counter_help(_ index: UInt32) -> UnsafePointer<CChar>? { row(index)?.help.cString }

@implementation @_cdecl("evy_server_metrics")
public func evy_server_metrics(_ s: OpaquePointer?, _ out: UnsafeMutablePointer<CChar>?, _ cap: Int) -> Int64
{
    var text = ByteBuffer()
    let status = call(s) { (server) throws(ServerError) in
        guard cap >= 0, out != nil || cap == 0 else {
            throw ServerError(kind: .argument, text: "no room for the metrics was given")
        }
        withUnsafeTemporaryAllocation(of: Int64.self, capacity: Counter.allCases.count) { values in
            values.initialize(repeating: 0)
            server.readCounters(into: values)
            MetricsText.write(UnsafeBufferPointer(values), into: &text)
        }
        guard !text.failed else { throw ServerError(kind: .noMemory, text: "out of memory") }
        return Status.ok
    }
    guard status == Status.ok else { return Int64(status) }
    if let out, cap > 0 {
        let count = text.count < cap ? text.count : 0  // half a text would pass for a whole one
        if let start = text.readable.baseAddress { memcpy(out, start, count) }
        out[count] = 0
    }
    return Int64(text.count)
}

// MARK: - The server's own log

private func log(
    _ s: OpaquePointer?, _ level: Int32, _ body: (Server, LogLevel) throws(ServerError) -> Void
) -> evy_status {
    call(s) { (server) throws(ServerError) in
        guard let known = LogLevel(rawValue: level) else {
            throw ServerError(kind: .argument, text: "\(level) is no EVY_LOG_*")
        }
        try body(server, known)
        return Status.ok
    }
}

@implementation @_cdecl("evy_server_log")
public func evy_server_log(
    _ s: OpaquePointer?, _ level: Int32, _ text: UnsafePointer<CChar>?, _ len: Int
) -> evy_status {
    log(s, level) { (server, level) throws(ServerError) in
        guard let text, let bytes = hostBytes(text, len) else {
            throw ServerError(kind: .argument, text: "the line is NULL, or its length cannot be")
        }
        if server.eventLog.isInCallback {
            throw ServerError(kind: .state, text: "the log's callback cannot write to the log")
        }
        server.log(level, foreign: bytes)
    }
}

@implementation @_cdecl("evy_server_reopen_logs")
public func evy_server_reopen_logs(_ s: OpaquePointer?) -> evy_status {
    call(s) { (server) throws(ServerError) in
        try server.reopenLogs()
        return Status.ok
    }
}

@implementation @_cdecl("evy_server_set_log_level")
public func evy_server_set_log_level(_ s: OpaquePointer?, _ level: Int32) -> evy_status {
    log(s, level) { server, level in server.eventLog.setLevel(level) }
}

@implementation @_cdecl("evy_server_log_level")
public func evy_server_log_level(_ s: OpaquePointer?) -> Int32 {
    Handle.object(s, Server.self)?.eventLog.level ?? 0
}
