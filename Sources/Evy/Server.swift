// SPDX-License-Identifier: MIT
// Server - one HTTP server from its listeners to its end.
// Room: Evy (the Swift face). Spec: evy.h, chapter "server".
internal import CEvy

/// An HTTP server with a closure that answers requests.
///
/// ```swift
/// let server = try Server(on: .tcp(port: 8090)) { request in
///     try request.respond(.ok, headers: ["Content-Type": "text/plain"], body: "Hello, World!\r\n")
/// }
/// try server.run()
/// ```
///
/// Any number of servers may live in one process. None of them touches signal handlers.
///
/// Ownership: owns its sockets and threads. When the last reference goes, a running server is stopped
///            without grace and waited for.
/// Thread:    every call, any thread.
public final class Server: @unchecked Sendable {
    /// Answers one request. It may block: other requests go on, up to `Options.threads` side by side.
    ///
    /// A handler that throws, or returns without an answer and without having kept the request, is answered
    /// 500 by the library, and the outcome is `.handlerError`. What it threw goes to the server's own log,
    /// `Options.onLog` or option error_log, unless it only says that the client has gone.
    public typealias Handler = @Sendable (_ request: borrowing Request) throws -> Void

    let handle: OpaquePointer
    private let policies: [TLSPolicy]

    /// Opens the listeners: from here on clients can connect, and wait for `start` or `run`.
    ///
    /// Errors: the `EvyError` names the address, option or file that is wrong; then nothing stays open.
    public init(on listeners: [Listener], options: Options = Options(), handler: @escaping Handler)
        throws(EvyError)
    {
        let configuration = try Configuration()
        try configuration.apply(options)
        var policies: [TLSPolicy] = []
        for listener in listeners {
            if let policy = try configuration.listen(listener) { policies.append(policy) }
        }
        self.policies = policies
        try configuration.answer(with: Service(handler))
        handle = try configuration.makeServer()
    }

    public convenience init(
        on listeners: Listener..., options: Options = Options(), handler: @escaping Handler
    ) throws(EvyError) {
        try self.init(on: listeners, options: options, handler: handler)
    }

    deinit { evy_server_free(handle) }

    // MARK: Life

    /// Serves on threads of the library; returns once connections are accepted.
    /// Errors: `.wrongState` (started before), `.outOfMemory` (no thread).
    public func start() throws(EvyError) { try check(evy_server_start(handle)) }

    /// Serves on the calling thread too; returns after `stop` has ended the server.
    /// Errors: `.wrongState` (started before).
    public func run() throws(EvyError) { try check(evy_server_run(handle)) }

    /// Stops accepting, closes idle connections, lets requests finish for at most `grace`, then cuts them.
    /// Returns at once; a second call may shorten the grace. A handler that blocks is waited for.
    public func stop(grace: Duration = .zero) { _ = evy_server_stop(handle, grace.evyMilliseconds) }

    /// Waits until a started server has stopped and its threads have ended.
    /// Errors: `.timeout`, `.wrongState` (never started, or called by one of its handlers).
    public func wait(upTo time: Duration = .forever) throws(EvyError) {
        try check(evy_server_wait(handle, time.evyMilliseconds))
    }

    /// Reads the TLS files of every listener again: certificates, keys, client authorities, OCSP responses.
    /// New handshakes get the new ones, open connections stay. A listener takes all of its files or none.
    /// Errors: `.tls` names the file that does not go; then that listener keeps what it has, and those
    /// behind it are not touched.
    public func reloadTLS() throws(EvyError) {
        for policy in policies { try policy.reload() }
    }

    // MARK: Where

    /// The real port of the first listener; 0 for a unix socket.
    public var port: Int { port(of: 0) }

    /// The real port of a listener, by its place in the list; 0: a unix socket, or no such listener.
    public func port(of listener: Int) -> Int { Int(evy_server_port(handle, UInt32(clamping: listener))) }

    /// Of each listener: "127.0.0.1:8080", "[::1]:8443" or "unix:/run/a.sock".
    public var addresses: [String] {
        var found: [String] = []
        while let text = evy_server_address(handle, UInt32(found.count)) {
            found.append(String(cString: text))
        }
        return found
    }

    func check(_ status: evy_status) throws(EvyError) {
        try checked(status, evy_server_error(handle))
    }
}
