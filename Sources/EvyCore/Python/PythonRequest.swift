// SPDX-License-Identifier: MIT
// PythonRequest - the objects that applications get of a request: start_response, functions of environ.
// Room: Python. Spec: PEP 3333, "The start_response() Callable".

internal import CSystem
internal import Glibc

extension PyRef {
    var request: UnsafeMutablePointer<evy_py_request> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: evy_py_request.self)
    }
    var function: UnsafeMutablePointer<evy_py_function> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: evy_py_function.self)
    }
}

extension UnsafeMutablePointer<evy_py_request> {
    var bridge: PythonBridgeRef? { pointee.bridge?.assumingMemoryBound(to: PythonBridge.self) }
    var exchange: ExchangeRef? { pointee.exchange?.assumingMemoryBound(to: Exchange.self) }

    /// The handler is over. The Python object, where there is one, knows what can still be asked.
    func detach(_ py: UnsafeMutablePointer<evy_py_api>) {
        let environ = pointee.environ
        pointee.bridge = nil
        pointee.exchange = nil
        pointee.thread = nil
        pointee.environ = nil
        pointee.status_code = 0
        pointee.block_count = 0
        pointee.has_begun = 0
        if let environ { evy_py_decref(py, environ) }
    }

    func forgetResponse(_ py: UnsafeMutablePointer<evy_py_api>) {
        guard let response = pointee.response else { return }
        pointee.response = nil
        evy_py_decref(py, response)
    }

    var isStarted: Bool { pointee.status_code != 0 }

    /// nil: the library's own phrase.
    var reason: UnsafeRawBufferPointer? {
        guard let room = evy_py_request_reason(self), room.pointee != 0 else { return nil }
        return UnsafeRawBufferPointer(start: room, count: strlen(room))
    }

    var fields: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: evy_py_request_block(self), count: Int(pointee.block_count))
    }
}

extension UnsafeMutablePointer<PythonBridge> {
    // MARK: The Python object that takes over

    /// Lent. It knows what start_response was called with. nil: an exception is set.
    ///
    /// While Python makes it other threads run, that may ask for it too, call start_response or end the
    /// request: one object is made known, with all that was said before.
    func materialize(_ object: PyRef) -> PyRef? {
        // The server may end meanwhile, and this bridge with it.
        let py = py
        let request = object.request
        while request.pointee.response == nil {
            guard request.pointee.bridge != nil else { return py.pointee.over }
            guard let exchange = request.exchange, let environ = request.pointee.environ else {
                return py.pointee.over
            }
            let (isStarted, hasBegun) = (request.isStarted, request.pointee.has_begun)
            guard let made = makeResponse(request, exchange, environ) else { return nil }
            if request.pointee.response == nil, request.pointee.exchange != nil,
                request.isStarted == isStarted, request.pointee.has_begun == hasBegun
            {
                request.pointee.response = made
            } else {
                evy_py_decref(py, made)
            }
        }
        return request.pointee.response
    }

    private func makeResponse(
        _ request: UnsafeMutablePointer<evy_py_request>, _ exchange: ExchangeRef, _ environ: PyRef
    ) -> PyRef? {
        let py = py
        guard let thread = evy_py_number(py, request.pointee.thread) else { return nil }
        defer { evy_py_decref(py, thread) }
        guard request.isStarted else {
            return callPart(pointee.parts.respond, exchange, environ, thread, nil)
        }
        guard let head = makeHead(request) else { return nil }
        defer { evy_py_decref(py, head) }
        let made = callPart(pointee.parts.respond, exchange, environ, thread, head)
        // Last, for other threads ran meanwhile.
        guard let made, request.pointee.has_begun != 0, let yes = py.pointee.yes else { return made }
        if evy_py_set_attribute(py, made, pointee.names.hasBegun, yes) == 0 { return made }
        evy_py_decref(py, made)
        return nil
    }

    /// b"200 OK\0Name\0value\0..."
    private func makeHead(_ request: UnsafeMutablePointer<evy_py_request>) -> PyRef? {
        var head = ByteBuffer()
        head.append(decimal: UInt64(UInt32(bitPattern: request.pointee.status_code)))
        head.append(0x20)
        if let reason = request.reason { head.append(reason) }
        head.append(0)
        head.append(request.fields)
        return evy_py_new_bytes(py, head.readable.baseAddress, head.count)
    }

    // MARK: What Python calls

    /// start_response(status, headers[, exc_info])
    fileprivate func start(_ object: PyRef, _ arguments: PyRef, _ keywords: PyRef?) -> PyRef? {
        forward(object, pointee.names.start, arguments, keywords)
    }

    /// The usual call, with two arguments. nil: Python has to look at it; no exception is set.
    fileprivate func startAtOnce(_ object: PyRef, _ status: PyRef, _ headers: PyRef) -> PyRef? {
        let request = object.request
        guard request.pointee.response == nil, !request.isStarted, request.pointee.exchange != nil,
            let write = request.pointee.write, !asksForPieces(request), encode(status, headers, request)
        else { return nil }
        evy_py_incref(py, write)
        return write
    }

    /// The application has changed how pieces are gathered, which counts from start_response on.
    private func asksForPieces(_ request: UnsafeMutablePointer<evy_py_request>) -> Bool {
        guard let environ = request.pointee.environ else { return true }
        let asked = evy_py_get_item(py, environ, pointee.names.pieceBytes)
        if asked == nil { evy_py_clear(py) }
        return asked != pointee.pieceBytes
    }

    private func forward(
        _ object: PyRef, _ name: PyRef, _ arguments: PyRef, _ keywords: PyRef?
    ) -> PyRef? {
        let py = py
        evy_py_incref(py, name)
        defer { evy_py_decref(py, name) }
        return materialize(object).flatMap { PythonTypes.call($0, name, arguments, keywords, py) }
    }
}

// MARK: - Slots of the two types

private typealias Call = @convention(c) (PyRef?, PyRef?, PyRef?) -> PyRef?
private typealias GetAttribute = @convention(c) (PyRef?, PyRef?) -> PyRef?
private typealias SetAttribute = @convention(c) (PyRef?, PyRef?, PyRef?) -> Int32
private typealias Deallocate = @convention(c) (PyRef?) -> Void

/// Applications may keep these objects longer than the server lives: once their request is over they know
/// nothing but the functions of CPython, which stay.
enum PythonTypes {
    /// The Python object behind a request. nil: an exception is set.
    private static func response(of request: PyRef, _ py: UnsafeMutablePointer<evy_py_api>) -> PyRef? {
        if let response = request.request.pointee.response { return response }
        guard let bridge = request.request.bridge else { return py.pointee.over }
        return bridge.materialize(request)
    }

    fileprivate static func call(
        _ object: PyRef, _ name: PyRef, _ arguments: PyRef, _ keywords: PyRef?,
        _ py: UnsafeMutablePointer<evy_py_api>
    ) -> PyRef? {
        guard let method = evy_py_get_attribute(py, object, name) else { return nil }
        defer { evy_py_decref(py, method) }
        return evy_py_call_tuple(py, method, arguments, keywords)
    }

    private static let startResponse: Call = { object, arguments, keywords in
        guard let py = PythonFunctions.table, let object, let arguments else { return nil }
        if let bridge = object.request.bridge { return bridge.start(object, arguments, keywords) }
        guard let over = response(of: object, py), let method = evy_py_attribute(py, over, "start") else {
            return nil
        }
        defer { evy_py_decref(py, method) }
        return evy_py_call_tuple(py, method, arguments, keywords)
    }

    /// The same without a tuple, which most calls need not make.
    static let vectorStart: evy_py_vector_call = { object, arguments, count, names in
        guard let py = PythonFunctions.table, let object else { return nil }
        if let bridge = object.request.bridge, names == nil, count & Int.max == 2,
            let status = arguments?[0], let headers = arguments?[1],
            let write = bridge.startAtOnce(object, status, headers)
        {
            return write
        }
        return evy_py_call_packed(py, startResponse, object, arguments, count, names)
    }

    /// Whatever else is wanted of a request is an attribute of the Python object behind it.
    private static let attribute: GetAttribute = { object, name in
        guard let py = PythonFunctions.table, let object, let name else { return nil }
        var count = 0
        guard let text = evy_py_utf8(py, name, &count) else { return nil }
        if count > 2, text[0] == 0x5f, text[1] == 0x5f { return evy_py_own_attribute(py, object, name) }
        return response(of: object, py).flatMap { evy_py_get_attribute(py, $0, name) }
    }

    private static let setAttribute: SetAttribute = { object, name, value in
        guard let py = PythonFunctions.table, let object, let name, let target = response(of: object, py)
        else {
            return -1
        }
        // What stands for all requests that are over belongs to none of them.
        return target == py.pointee.over ? 0 : evy_py_set_attribute(py, target, name, value)
    }

    private static let freeRequest: Deallocate = { object in
        guard let py = PythonFunctions.table, let object else { return }
        object.request.detach(py)
        object.request.forgetResponse(py)
        evy_py_free(py, object)
    }

    private static let callFunction: Call = { object, arguments, keywords in
        guard let py = PythonFunctions.table, let object, let arguments else { return nil }
        guard let request = object.function.pointee.request, let name = object.function.pointee.name else {
            // Python 3.9 lets anybody make an instance of a type: an AttributeError with this text.
            return py.pointee.over.flatMap { evy_py_attribute(py, $0, "a function of no request") }
        }
        guard let response = response(of: request, py) else { return nil }
        return call(response, name, arguments, keywords, py)
    }

    private static let freeFunction: Deallocate = { object in
        guard let py = PythonFunctions.table, let object else { return }
        let (request, name) = (object.function.pointee.request, object.function.pointee.name)
        evy_py_free(py, object)
        if let request { evy_py_decref(py, request) }
        if let name { evy_py_decref(py, name) }
    }

    /// nil: an exception is set.
    static func makeRequestType(_ py: UnsafeMutablePointer<evy_py_api>) -> PyRef? {
        evy_py_make_request_type(py, startResponse, attribute, setAttribute, freeRequest)
    }

    static func makeFunctionType(_ py: UnsafeMutablePointer<evy_py_api>) -> PyRef? {
        evy_py_make_function_type(py, callFunction, freeFunction)
    }
}
