// SPDX-License-Identifier: MIT
// Request - one request: what the client asked for, typed, and the environ behind it.
// Room: Evy (the Swift face). Spec: evy.h, chapter "request: environ".
internal import CEvy

/// One request and the way to its answer.
///
/// Ownership: lent to handlers, hooks and callbacks, so it cannot be copied or kept; what has to
///            outlive them is made with `retain()` or `begin()`.
/// Lifetime:  until the request ends. Texts and bytes it returns are copies; what a closure gets is lent.
/// Thread:    any; the library serialises calls on one request.
public struct Request: ~Copyable, @unchecked Sendable {
    /// nil: refused before it had an environ. Every call of evy.h takes that.
    let handle: OpaquePointer?

    init(_ handle: OpaquePointer?) { self.handle = handle }

    // MARK: The request line

    public var method: Method { Method(rawValue: text("REQUEST_METHOD")) }
    /// The path behind `Options.scriptName`, percent-decoded; bytes that are not UTF-8 become U+FFFD.
    public var path: String { text("PATH_INFO") }
    /// The same as bytes, for paths that are no text.
    public var pathBytes: [UInt8] { bytes("PATH_INFO") ?? [] }
    /// The path as it was sent, percent signs and all.
    public var rawPath: String { text("RAW_PATH_INFO") }
    /// What stood behind the "?", not decoded; "" where there was none.
    public var query: String { text("QUERY_STRING") }
    /// The whole target as it was sent.
    public var target: String { text("REQUEST_URI") }
    public var version: HTTPVersion { HTTPVersion(rawValue: text("SERVER_PROTOCOL")) ?? .http11 }
    /// "http" or "https".
    public var scheme: String { text("wsgi.url_scheme") }
    /// True when the request came over TLS.
    public var isSecure: Bool { evy_req_stat(handle, Int32(EVY_STAT_TLS)) == 1 }

    // MARK: Who

    /// The client's address, "127.0.0.1" or "::1"; "unix" on a unix socket.
    public var remoteAddress: String { text("REMOTE_ADDR") }
    /// nil on a unix socket.
    public var remotePort: UInt16? { self["REMOTE_PORT"].flatMap { UInt16($0) } }
    /// True once the client is known to have gone away.
    public var isGone: Bool { evy_req_gone(handle) == 1 }
    /// Unique in this process, greater than 0.
    public var id: UInt64 { evy_req_id(handle) }
    /// Only in `Options.onAccess`: refused before it had an environ, so there is nothing to read.
    public var isRefused: Bool { handle == nil }

    // MARK: Header fields

    /// The fields as they came: order and case kept, repeats apart.
    public var headers: Headers {
        var count = 0
        guard let block = evy_req_headers(handle, &count) else { return Headers() }
        return Headers(block: UnsafeRawBufferPointer(start: block, count: count))
    }

    // MARK: The environ

    /// A key of the environ ("REMOTE_ADDR", "HTTP_ACCEPT", "my.key"), nil where absent.
    ///
    /// Setting adds or replaces a key for hooks and logs; the server's own view does not change. nil stands
    /// for an empty text there, and what cannot be set (a name that is empty or holds a NUL, no memory) is
    /// left out.
    public subscript(name: String) -> String? {
        get {
            var count = 0
            guard !name.utf8.contains(0), let start = evy_env_get(handle, name, &count) else { return nil }
            return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
        }
        nonmutating set {
            if name.utf8.contains(0) { return }
            var value = newValue ?? ""
            _ = value.withUTF8 { evy_env_set(handle, name, $0.baseAddress, $0.count) }
        }
    }

    /// A value as bytes, nil where the key is absent.
    public func bytes(_ name: String) -> [UInt8]? {
        var count = 0
        guard !name.utf8.contains(0), let start = evy_env_get(handle, name, &count) else { return nil }
        return Array(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// All pairs, in order.
    public var environ: [(name: String, value: String)] {
        (0..<evy_env_count(handle)).compactMap { index in
            var name: UnsafePointer<CChar>?
            var count = 0
            guard let start = evy_env_at(handle, index, &name, &count), let name else { return nil }
            let bytes = UnsafeRawBufferPointer(start: start, count: count)
            return (String(cString: name), String(decoding: bytes, as: UTF8.self))
        }
    }

    private func text(_ name: String) -> String { self[name] ?? "" }

    // MARK: The server

    /// Ends the server that got this request, as `Server.stop` does; a handler may do so.
    public func stopServer(grace: Duration = .zero) {
        _ = evy_server_stop(evy_req_server(handle), grace.evyMilliseconds)
    }

    // MARK: Beyond the handler

    /// Keeps the request, to answer it later and from any thread.
    public func retain() -> PendingRequest { PendingRequest(self) }

    /// Adds a post hook: it runs exactly once, in the order added, after the last byte of the answer was
    /// taken by the kernel, or when the client left early, a deadline passed, the answer was aborted or the
    /// server stopped. A hook may block, and may add further hooks.
    ///
    /// Errors: `.wrongState` when the request is over, `.outOfMemory`; then the hook never runs.
    public func onComplete(
        _ hook: @escaping @Sendable (_ request: borrowing Request, _ outcome: Outcome) -> Void
    ) throws(EvyError) {
        try checked(
            evy_posthook_add(
                handle,
                { user, handle in
                    let request = Request(handle)
                    Box<Hook>.lent(user)?.value(request, request.outcome)
                }, Box<Hook>.hand(hook), dropBox))
    }

    private typealias Hook = @Sendable (borrowing Request, Outcome) -> Void
}

/// A request kept beyond its handler.
///
/// Ownership: one reference to the request, given back in deinit. When the last one goes and no answer was
///            finished, the library answers 500, or cuts an answer that had begun.
/// Thread:    any.
public final class PendingRequest: Sendable {
    public let request: Request

    init(_ request: borrowing Request) {
        evy_req_retain(request.handle)
        self.request = Request(request.handle)
    }

    deinit { evy_req_release(request.handle) }
}
