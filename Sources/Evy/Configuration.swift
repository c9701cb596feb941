// SPDX-License-Identifier: MIT
// Configuration - turns options, listeners and closures into an evy_config, and that into a server.
// Room: Evy (the Swift face).
internal import CEvy

/// Ownership: owns an evy_config until deinit; servers made from it do not need it.
struct Configuration: ~Copyable {
    private let handle: OpaquePointer

    init() throws(EvyError) {
        guard let handle = evy_config_new() else { throw EvyError(.outOfMemory, "no memory for a server") }
        self.handle = handle
    }

    deinit { evy_config_free(handle) }

    private func check(_ status: evy_status) throws(EvyError) {
        try checked(status, evy_config_error(handle))
    }

    func apply(_ options: Options) throws(EvyError) {
        for (name, value) in options.texts {
            try refuseNUL(name, "option name \(name.debugDescription)")
            try refuseNUL(value, "option \(name)")
            try check(evy_config_set(handle, name, value))
        }
        for (name, value) in options.environ {
            try refuseNUL(name, "environ name \(name.debugDescription)")
            try refuseNUL(value, "environ value of \(name)")
            try check(evy_config_env(handle, name, value))
        }
        if let onLog = options.onLog {
            try check(evy_config_on_log(handle, forwardLog, Box<LogLine>.hand(onLog), dropBox))
        }
        if let onAccess = options.onAccess {
            try check(evy_config_on_access(handle, forwardAccess, Box<AccessLine>.hand(onAccess), dropBox))
        }
    }

    /// The TLS policy made for the listener, nil for clear text.
    func listen(_ listener: Listener) throws(EvyError) -> TLSPolicy? {
        let policy = try listener.tls.map { options throws(EvyError) in try TLSPolicy(options) }
        try listen(listener, policy?.handle)
        return policy
    }

    private func listen(_ listener: Listener, _ tls: OpaquePointer?) throws(EvyError) {
        switch listener.source {
        case .address(let address):
            try refuseNUL(address, "address \(address.debugDescription)")
            try check(evy_config_listen(handle, address, tls))
        case .refused(let error): throw error
        case .descriptor(let descriptor): try check(evy_config_listen_fd(handle, descriptor, tls))
        }
    }

    func answer(with service: Service) throws(EvyError) {
        try check(evy_config_on_request(handle, forwardRequest, Box<Service>.hand(service), dropBox))
    }

    func makeServer() throws(EvyError) -> OpaquePointer {
        var server: OpaquePointer?
        try check(evy_server_new(handle, &server))
        guard let server else { throw EvyError(.internalError, "no server was made") }
        return server
    }
}

/// The handler, and what becomes of its errors.
struct Service: Sendable {
    private let handler: Server.Handler

    init(_ handler: @escaping Server.Handler) { self.handler = handler }

    func answer(_ request: borrowing Request) {
        do {
            try handler(request)
        } catch let error as EvyError where error.code == .gone {
            // The client left; its outcome and the access line say so.
        } catch {
            request.logFailure(error)
        }
    }
}

extension Request {
    /// By the library: its log takes one line at a time, and nothing of a client can end or forge one.
    func logFailure(_ error: any Error) {
        var line = "handler of \(method) \(target) failed: \(error)"
        line.withUTF8 { bytes in
            _ = bytes.withMemoryRebound(to: CChar.self) {
                evy_server_log(
                    evy_req_server(handle), Options.LogLevel.error.rawValue, $0.baseAddress, $0.count)
            }
        }
    }
}

typealias LogLine = @Sendable (Options.LogLevel, String) -> Void
typealias AccessLine = @Sendable (borrowing Request, String) -> Void

private func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
}

private let forwardRequest: evy_handler_fn = { user, handle in
    Box<Service>.lent(user)?.value.answer(Request(handle))
}

private let forwardLog: evy_log_fn = { user, level, start, count in
    Box<LogLine>.lent(user)?.value(Options.LogLevel(rawValue: level) ?? .debug, text(start, count))
}

private let forwardAccess: evy_access_fn = { user, handle, start, count in
    Box<AccessLine>.lent(user)?.value(Request(handle), text(start, count))
}
