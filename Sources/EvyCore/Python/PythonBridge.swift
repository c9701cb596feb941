// SPDX-License-Identifier: MIT
// PythonBridge - calls a WSGI application for a request, and takes its answer, with no Python in between.
// Room: Python. Spec: PEP 3333; the stable ABI of CPython. Why: docs/decisions/0007-python.md.

internal import CSystem
internal import Glibc

typealias PyRef = UnsafeMutablePointer<evy_py>
typealias PythonBridgeRef = UnsafeMutablePointer<PythonBridge>

/// What the bridge needs of the Python package, read once from attributes of one object.
struct PythonParts {
    static let names: [StaticString] = [
        "application", "environ", "empty", "input", "serve", "respond", "finish", "failed", "answered",
        "resume", "file_wrapper", "already_handled", "local", "over",
    ]
    let application: PyRef
    /// The keys that every request has in common.
    let environ: PyRef
    /// wsgi.input where there is no body: empty(). It has no state but its attribute exchange.
    let empty: PyRef
    /// wsgi.input of a body that is here: input(bytes).
    let input: PyRef
    /// serve(request): all of a request, in Python.
    let serve: PyRef
    /// respond(request, environ, thread[, head]): the Python object that stands for the answer from then on,
    /// for the handler's thread, once start_response was called with what is in head.
    let respond: PyRef
    /// finish(request, environ, response, result): sends what the application returned.
    let finish: PyRef
    /// failed(request, environ, response, exception)
    let failed: PyRef
    /// answered(request, environ, response): sent already, but there are hooks.
    let answered: PyRef
    /// resume(request, environ, response, rest): the rest of an iterable, see PythonIterable.
    let resume: PyRef
    /// The type of wsgi.file_wrapper, which Python sends.
    let fileWrapper: PyRef
    /// What an application returns that has answered, or wants nobody to answer.
    let alreadyHandled: PyRef
    /// Of each thread: its attribute already_handled says the same, of the request at hand.
    let local: PyRef
}

/// The usual request (a small body or none, an answer of one piece) stays in here; everything else is handed
/// to the Python package, which does the same as without a bridge.
///
/// Ownership: one for each configuration; freed with it and its servers.
/// Thread:    whoever holds the interpreter lock; all state is guarded by that lock.
struct PythonBridge: ~Copyable {
    let py: UnsafeMutablePointer<evy_py_api>
    let parts: PythonParts
    let names: PythonNames
    let requestType: PyRef
    let functionType: PyRef
    let capitalizes: Bool
    /// Pieces of an iterable go out one by one, and a thread may wait for the client to take them.
    let streams: Bool
    /// What environ says of the gathering of pieces, where no application has changed it. Lent by `parts`.
    let pieceBytes: PyRef?
    var templates = PythonTemplates()
    let lastStart: UnsafeMutablePointer<evy_py_start>
    /// Objects of requests that are over, for the next ones.
    var kits: [PythonKitRef] = []
    static let kitsMax = 64
}

/// The keys and values that are always the same objects.
struct PythonNames {
    let posthooks: PyRef
    let input: PyRef
    let evyInput: PyRef
    let headersRaw: PyRef
    let exchange: PyRef
    let pieceBytes: PyRef
    let leave: PyRef
    let close: PyRef
    let length: PyRef
    let hasBegun: PyRef
    let start: PyRef
    let write: PyRef
    let alreadyHandled: PyRef
    /// Keys of environ for what is in a kit, in its order.
    let bound: [PyRef]
    /// Keys of environ, and the names of the functions behind them.
    let functions: [(key: PyRef, name: PyRef)]
    let standard: [PyRef]

    static let functionNames: [(StaticString, StaticString)] = [
        ("evy.client_disconnected", "client_disconnected"), ("evy.set_idle", "set_idle"),
        ("evy.take_socket", "take_socket"), ("wsgi.early_hints", "early_hints"),
    ]

    /// nil: out of memory.
    init?(_ py: UnsafeMutablePointer<evy_py_api>) {
        func interned(_ text: StaticString) -> PyRef? {
            evy_py_interned(py, text.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) { $0 })
        }
        let pairs = Self.functionNames.compactMap { key, name -> (key: PyRef, name: PyRef)? in
            guard let key = interned(key), let name = interned(name) else { return nil }
            return (key, name)
        }
        let keys = EnvironKey.allCases.compactMap { interned($0.name) }
        guard let posthooks = interned("evy.posthooks"), let input = interned("wsgi.input"),
            let evyInput = interned("evy.input"), let headersRaw = interned("evy.headers_raw"),
            let exchange = interned("exchange"), let leave = interned("leave"),
            let close = interned("close"), let length = interned("__len__"),
            let hasBegun = interned("has_begun"),
            let pieceBytes = interned("evy.minimum_write_chunk_size"), let start = interned("start"),
            let write = interned("write"), let alreadyHandled = interned("already_handled"),
            pairs.count == Self.functionNames.count, keys.count == EnvironKey.allCases.count
        else { return nil }
        self.posthooks = posthooks
        self.input = input
        self.evyInput = evyInput
        self.headersRaw = headersRaw
        self.exchange = exchange
        self.pieceBytes = pieceBytes
        self.leave = leave
        self.close = close
        self.length = length
        self.hasBegun = hasBegun
        self.start = start
        self.write = write
        self.alreadyHandled = alreadyHandled
        functions = pairs
        bound = [posthooks, input, evyInput] + pairs.map(\.key)
        standard = keys
    }

    func drop(_ py: UnsafeMutablePointer<evy_py_api>) {
        let single = [
            posthooks, input, evyInput, headersRaw, exchange, pieceBytes, leave, close, length, hasBegun,
            start, write, alreadyHandled,
        ]
        for name in single + functions.map(\.key) + functions.map(\.name) + standard {
            evy_py_decref(py, name)
        }
    }
}

extension UnsafeMutablePointer<PythonBridge> {
    var py: UnsafeMutablePointer<evy_py_api> { pointee.py }

    // MARK: One request

    /// The request handler. The interpreter lock is held.
    func handle(_ exchange: ExchangeRef) {
        guard isUsual(exchange), let kit = takeKit() else { return serve(exchange) }
        guard let environ = makeEnviron(exchange, kit) else {
            release(kit)
            return serve(exchange)
        }
        let request = kit.pointee.request.request
        request.pointee.bridge = UnsafeMutableRawPointer(self)
        request.pointee.exchange = UnsafeMutableRawPointer(exchange)
        request.pointee.thread = UnsafeMutableRawPointer(bitPattern: Thread.current)
        evy_py_incref(py, environ)
        request.pointee.environ = environ
        if exchange.pointee.body.isEmpty || setInput(environ, kit.pointee.request, exchange) {
            call(exchange, environ, kit)
        } else {
            reportUnraisable()
        }
        request.detach(py)
        evy_py_decref(py, environ)
        release(kit)
    }

    /// All of it in Python.
    private func serve(_ exchange: ExchangeRef) {
        evy_py_clear(py)
        discard(callPart(pointee.parts.serve, exchange, nil, nil, nil))
    }

    private func call(_ exchange: ExchangeRef, _ environ: PyRef, _ kit: PythonKitRef) {
        guard let request = kit.pointee.request, let hooks = kit.pointee.hooks else { return }
        // What an earlier request of the thread, a hook or a posted function has set is not of this one.
        if evy_py_set_attribute(py, pointee.parts.local, pointee.names.alreadyHandled, py.pointee.no) != 0 {
            evy_py_clear(py)
        }
        let result = evy_py_call(py, pointee.parts.application, environ, request, nil, nil)
        guard let result else { return fail(exchange, environ, request) }
        defer { evy_py_decref(py, result) }
        var isSent = answerAtOnce(exchange, request.request, result)
        if !isSent {
            switch answerIterable(exchange, environ, request, result) {
            case .untouched: break
            case .sent: isSent = true
            case .handed: return
            }
        }
        // A Python object that stands for the answer has to be told that the request is over.
        if isSent, request.request.pointee.response == nil, !hasHooks(environ, hooks) { return }
        guard let response = materialize(request) else { return reportUnraisable() }
        let part = isSent ? pointee.parts.answered : pointee.parts.finish
        hand(part, exchange, environ, response, isSent ? nil : result)
    }

    /// The application has raised.
    private func fail(_ exchange: ExchangeRef, _ environ: PyRef, _ request: PyRef) {
        guard let exception = evy_py_take_exception(py) else { return }
        defer { evy_py_decref(py, exception) }
        guard let response = materialize(request) else { return reportUnraisable() }
        hand(pointee.parts.failed, exchange, environ, response, exception)
    }

    private func hasHooks(_ environ: PyRef, _ hooks: PyRef) -> Bool {
        if evy_py_list_count(py, hooks) > 0 { return true }
        let found = evy_py_get_item(py, environ, pointee.names.posthooks)
        if found == nil { evy_py_clear(py) }
        return found != hooks
    }

    /// The rest of the handler, in Python.
    func hand(
        _ part: PyRef, _ exchange: ExchangeRef, _ environ: PyRef, _ response: PyRef, _ last: PyRef?
    ) {
        if let result = callPart(part, exchange, environ, response, last) {
            return evy_py_decref(py, result)
        }
        reportUnraisable()
        // An application may have kept it, and it must not know a request that is over.
        guard let leave = evy_py_get_attribute(py, response, pointee.names.leave) else {
            return reportUnraisable()
        }
        discard(evy_py_call(py, leave, py.pointee.no, nil, nil, nil))
        evy_py_decref(py, leave)
    }

    /// The usual answer: started once, one piece of bytes. False: it has to go through Python.
    private func answerAtOnce(
        _ exchange: ExchangeRef, _ request: UnsafeMutablePointer<evy_py_request>, _ result: PyRef
    ) -> Bool {
        guard request.pointee.response == nil, request.isStarted, let piece = onlyItem(result) else {
            return false
        }
        return answer(exchange, request, with: piece)
    }

    /// A whole body, where it has this length (nil: any). False: it has to go through Python.
    func answer(
        _ exchange: ExchangeRef, _ request: UnsafeMutablePointer<evy_py_request>, with piece: PyRef,
        ifLong wanted: Int64? = nil
    ) -> Bool {
        var start: UnsafeMutablePointer<CChar>?
        var count = 0
        // An empty answer to HEAD says nothing about the length that GET would have.
        guard piece.pointee.type == py.pointee.bytes_type, evy_py_bytes(py, piece, &start, &count) == 0,
            wanted == nil || wanted == Int64(count), count > 0 || exchange.pointee.head.method != .head
        else { return false }
        let head = ResponseStart(
            status: request.pointee.status_code, reason: request.reason, fields: request.fields)
        switch exchange.respond(head, body: UnsafeRawBufferPointer(start: start, count: count)) {
        // Nobody is there to hear of a client that has left.
        case .ok, .gone, .timeout: return true
        default: return false
        }
    }

    /// nil: not a list or a tuple of one. Lent.
    private func onlyItem(_ result: PyRef) -> PyRef? {
        if result.pointee.type == py.pointee.list_type {
            return evy_py_list_count(py, result) == 1 ? evy_py_list_item(py, result, 0) : nil
        }
        guard result.pointee.type == py.pointee.tuple_type else { return nil }
        return evy_py_tuple_count(py, result) == 1 ? evy_py_tuple_item(py, result, 0) : nil
    }

    // MARK: wsgi.input

    /// Of a body that is here. False: an exception is set.
    private func setInput(_ environ: PyRef, _ request: PyRef, _ exchange: ExchangeRef) -> Bool {
        let bytes = exchange.pointee.body.readable
        guard let content = evy_py_new_bytes(py, bytes.baseAddress, bytes.count) else { return false }
        defer { evy_py_decref(py, content) }
        guard let body = makeInput(pointee.parts.input, content, request) else { return false }
        defer { evy_py_decref(py, body) }
        return evy_py_set_item(py, environ, pointee.names.input, body) == 0
            && evy_py_set_item(py, environ, pointee.names.evyInput, body) == 0
    }

    /// An object that asks the request for what is not reading.
    func makeInput(_ type: PyRef, _ content: PyRef?, _ request: PyRef) -> PyRef? {
        guard let body = evy_py_call(py, type, content, nil, nil, nil) else { return nil }
        guard evy_py_set_attribute(py, body, pointee.names.exchange, request) == 0 else {
            evy_py_decref(py, body)
            return nil
        }
        return body
    }

    // MARK: Calls into the package

    /// part(request, environ, response, last): as many as there are. nil: an exception is set.
    func callPart(
        _ part: PyRef, _ exchange: ExchangeRef, _ environ: PyRef?, _ response: PyRef?, _ last: PyRef?
    ) -> PyRef? {
        // Another thread of the application may be here when the last server of the bridge ends.
        let py = py
        evy_py_incref(py, part)
        defer { evy_py_decref(py, part) }
        guard let number = evy_py_number(py, UnsafeMutableRawPointer(exchange)) else { return nil }
        defer { evy_py_decref(py, number) }
        return evy_py_call(py, part, number, environ, response, last)
    }

    private func discard(_ result: PyRef?) {
        if let result { evy_py_decref(py, result) } else { reportUnraisable() }
    }

    /// There is nobody to raise it to; the library answers what has not been answered.
    func reportUnraisable() {
        if evy_py_occurred(py) != nil { evy_py_unraisable(py, pointee.parts.application) }
    }
}
