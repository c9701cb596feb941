// SPDX-License-Identifier: MIT
// PythonIterable - answers of an iterable whose first piece is all of it, as frameworks return them.
// Room: Python. Spec: PEP 3333, "Handling the Content-Length Header" and "Specification Details" (close()).

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<PythonBridge> {
    enum Sending {
        /// Nothing was done yet.
        case untouched
        /// The answer is sent, and the iterable closed.
        case sent
        /// Python has the rest of the handler.
        case handed
    }

    /// A piece of the length that start_response was told is the whole answer, so it need not wait for the
    /// iterable's end. Everything else goes on in Python, from where it has come to.
    func answerIterable(
        _ exchange: ExchangeRef, _ environ: PyRef, _ object: PyRef, _ result: PyRef
    ) -> Sending {
        let request = object.request
        guard request.pointee.response == nil, request.isStarted, request.pointee.content_length > 0,
            result.pointee.type != pointee.parts.fileWrapper, isIterable(result),
            let iterator = evy_py_iterator(py, result)
        else {
            evy_py_clear(py)
            return .untouched
        }
        defer { evy_py_decref(py, iterator) }
        var item = evy_py_next(py, iterator)
        defer { if let item { evy_py_decref(py, item) } }
        guard let first = item, request.pointee.response == nil,
            answer(exchange, request, with: first, ifLong: request.pointee.content_length)
        else {
            resume(exchange, environ, object, result, item, iterator, isSent: false)
            return .handed
        }
        while let further = evy_py_next(py, iterator) {
            evy_py_decref(py, item)
            item = further
            guard noteOverlong(exchange, further) else {
                cutLater(exchange)
                resume(exchange, environ, object, result, further, iterator, isSent: true)
                return .handed
            }
        }
        guard evy_py_occurred(py) == nil else {
            cutLater(exchange)
            resume(exchange, environ, object, result, nil, iterator, isSent: true)
            return .handed
        }
        return close(exchange, environ, object, result)
    }

    /// Not what Python would complain about.
    private func isIterable(_ result: PyRef) -> Bool {
        let type = result.pointee.type
        return type != py.pointee.bytes_type && type != py.pointee.unicode_type
            && type != py.pointee.list_type && type != py.pointee.tuple_type
    }

    /// A piece behind the last one is left out, and told. False: it is no piece at all.
    private func noteOverlong(_ exchange: ExchangeRef, _ piece: PyRef) -> Bool {
        var start: UnsafeMutablePointer<CChar>?
        var count = 0
        guard piece.pointee.type == py.pointee.bytes_type, evy_py_bytes(py, piece, &start, &count) == 0 else {
            return false
        }
        guard count > 0 else { return true }
        exchange.withLock {
            exchange.pointee.isOverlong = true
            exchange.pointee.promisedLeft = 0
        }
        return true
    }

    /// An application that fails in mid-body loses its connection, also where the client has all of it.
    private func cutLater(_ exchange: ExchangeRef) {
        exchange.withLock { exchange.pointee.closesConnection = true }
    }

    private func close(
        _ exchange: ExchangeRef, _ environ: PyRef, _ object: PyRef, _ result: PyRef
    ) -> Sending {
        guard let close = evy_py_get_attribute(py, result, pointee.names.close) else {
            evy_py_clear(py)
            return .sent
        }
        defer { evy_py_decref(py, close) }
        guard let returned = evy_py_call(py, close, nil, nil, nil, nil) else {
            // It was called, and is not called again: of the result nothing is left.
            resume(exchange, environ, object, nil, nil, nil, isSent: true)
            return .handed
        }
        evy_py_decref(py, returned)
        return .sent
    }

    /// Python goes on with (result, item, iterator, error, is_sent): None for what there is not. An exception
    /// that is set becomes the error.
    private func resume(
        _ exchange: ExchangeRef, _ environ: PyRef, _ object: PyRef, _ result: PyRef?, _ item: PyRef?,
        _ iterator: PyRef?, isSent: Bool
    ) {
        let error = evy_py_take_exception(py)
        defer { if let error { evy_py_decref(py, error) } }
        guard let response = materialize(object), let rest = evy_py_new_tuple(py, 5) else {
            return reportUnraisable()
        }
        defer { evy_py_decref(py, rest) }
        let none = py.pointee.none
        let members = [result, item, iterator, error, isSent ? py.pointee.yes : py.pointee.no]
        for (index, member) in members.enumerated() {
            guard let object = member ?? none else { continue }
            evy_py_incref(py, object)
            evy_py_set_tuple_item(py, rest, index, object)
        }
        hand(pointee.parts.resume, exchange, environ, response, rest)
    }
}
