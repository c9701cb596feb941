// SPDX-License-Identifier: MIT
// PythonIterable - answers of an iterable: one whose first piece is all of it, as frameworks return them, or
// piece by piece, as generators give them.
// Room: Python. Spec: PEP 3333, "Handling the Content-Length Header", "Buffering and Streaming" and
// "Specification Details" (close()).

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

    /// What iterating needs at hand. `iterator`: nil where the result has raised instead of giving one.
    /// `item`: taken from the iterator, and owned.
    struct Iteration {
        let exchange: ExchangeRef
        let environ: PyRef
        let object: PyRef
        let result: PyRef
        let iterator: PyRef?
        var item: PyRef?
    }

    /// A piece of the length that start_response was told is the whole answer, so it need not wait for the
    /// iterable's end. What is not usual goes on in Python, from where it has come to.
    func answerIterable(
        _ exchange: ExchangeRef, _ environ: PyRef, _ object: PyRef, _ result: PyRef
    ) -> Sending {
        let request = object.request
        guard request.pointee.response == nil, mayIterate(result, request) else {
            evy_py_clear(py)
            return .untouched
        }
        var run = Iteration(
            exchange: exchange, environ: environ, object: object, result: result,
            iterator: evy_py_iterator(py, result))
        // Not asked again: what it raised is the application's error.
        guard let iterator = run.iterator else { return resume(run, isSent: false) }
        run.item = evy_py_next(py, iterator)
        defer {
            evy_py_decref(py, iterator)
            if let item = run.item { evy_py_decref(py, item) }
        }
        if let first = run.item, request.pointee.response == nil, request.isStarted,
            request.pointee.content_length > 0,
            answer(exchange, request, with: first, ifLong: request.pointee.content_length)
        {
            return dropRest(&run)
        }
        return pointee.streams ? stream(&run) : resume(run, isSent: false)
    }

    /// Not what Python would complain about, or knows better.
    private func mayIterate(_ result: PyRef, _ request: UnsafeMutablePointer<evy_py_request>) -> Bool {
        let type = result.pointee.type
        if type == py.pointee.generator_type, pointee.streams { return true }
        guard type != py.pointee.bytes_type, type != py.pointee.unicode_type,
            type != py.pointee.list_type, type != py.pointee.tuple_type,
            type != pointee.parts.fileWrapper, result != py.pointee.none,
            result != pointee.parts.alreadyHandled
        else { return false }
        if request.isStarted, request.pointee.content_length > 0 { return true }
        guard pointee.streams else { return false }
        // Of one item the length is known, and that of the answer with it.
        guard let length = evy_py_get_attribute(py, result, pointee.names.length) else {
            evy_py_clear(py)
            return true
        }
        evy_py_decref(py, length)
        return false
    }

    // MARK: A whole answer

    /// It is sent; what else comes is left out.
    private func dropRest(_ run: inout Iteration) -> Sending {
        // Where nobody takes the loop over meanwhile, it would be held back until the application is done.
        if !run.exchange.pointee.reactor.pointee.settings.mayMove {
            let state = evy_py_let_go(py)
            _ = run.exchange.flushOutput()
            evy_py_take_back(py, state)
        }
        while takeNext(&run) {
            guard let further = run.item, noteOverlong(run.exchange, further) else {
                cutLater(run.exchange)
                return resume(run, isSent: true)
            }
        }
        guard evy_py_occurred(py) == nil else {
            cutLater(run.exchange)
            return resume(run, isSent: true)
        }
        return close(run)
    }

    /// False: the end, or an exception.
    private func takeNext(_ run: inout Iteration) -> Bool {
        guard let iterator = run.iterator else { return false }
        let next = evy_py_next(py, iterator)
        if let item = run.item { evy_py_decref(py, item) }
        run.item = next
        return next != nil
    }

    /// A piece behind the last one is left out, and told. False: it is no piece at all.
    private func noteOverlong(_ exchange: ExchangeRef, _ piece: PyRef) -> Bool {
        guard let bytes = bytes(of: piece) else { return false }
        guard !bytes.isEmpty else { return true }
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

    // MARK: Piece by piece

    /// From the item on that was taken. The interpreter lock is not held while a piece goes out.
    private func stream(_ run: inout Iteration) -> Sending {
        let request = run.object.request
        while let item = run.item {
            // Whoever asks for the Python object in between gets the rest of the answer.
            guard request.pointee.response == nil, request.isStarted, let piece = bytes(of: item) else {
                return resume(run, isSent: false)
            }
            if !piece.isEmpty {
                switch send(piece, run.exchange, request) {
                case .ok: break
                // Nobody is there to hear of a client that has left.
                case .gone, .timeout, .wrongState: return close(run)
                // Python comes to the same end, and has words for it.
                default: return resume(run, isSent: false)
                }
            }
            _ = takeNext(&run)
        }
        guard evy_py_occurred(py) == nil, request.pointee.response == nil, request.pointee.has_begun != 0
        else { return resume(run, isSent: false) }
        _ = run.exchange.finish(trailers: UnsafeRawBufferPointer(start: nil, count: 0))
        return close(run)
    }

    private func send(
        _ piece: UnsafeRawBufferPointer, _ exchange: ExchangeRef,
        _ request: UnsafeMutablePointer<evy_py_request>
    ) -> HostResult {
        if request.pointee.has_begun == 0 {
            let head = ResponseStart(
                status: request.pointee.status_code, reason: request.reason, fields: request.fields)
            let begun = exchange.begin(head, length: nil)
            guard begun == .ok else { return begun }
            request.pointee.has_begun = 1
        }
        let written = exchange.write(piece)
        guard written == .ok || written == .full else { return written }
        let py = py
        let state = evy_py_let_go(py)
        defer { evy_py_take_back(py, state) }
        // A piece is not held back for the next one, which may be long in coming.
        if written == .ok {
            _ = exchange.flushOutput()
            return .ok
        }
        return exchange.wait(milliseconds: -1) { exchange.roomAfterWrite() } ?? .ok
    }

    /// Lent. nil: not exactly bytes.
    private func bytes(of piece: PyRef) -> UnsafeRawBufferPointer? {
        var start: UnsafeMutablePointer<CChar>?
        var count = 0
        guard piece.pointee.type == py.pointee.bytes_type, evy_py_bytes(py, piece, &start, &count) == 0 else {
            return nil
        }
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    // MARK: The end

    private func close(_ run: Iteration) -> Sending {
        guard let close = evy_py_get_attribute(py, run.result, pointee.names.close) else {
            evy_py_clear(py)
            return .sent
        }
        defer { evy_py_decref(py, close) }
        guard close != py.pointee.none else { return .sent }
        guard let returned = evy_py_call(py, close, nil, nil, nil, nil) else {
            // It was called, and is not called again: of the result nothing is left.
            return resume(run, isSent: true, isClosed: true)
        }
        evy_py_decref(py, returned)
        return .sent
    }

    /// Python goes on with (result, item, iterator, error, is_sent): None for what there is not. An exception
    /// that is set becomes the error.
    private func resume(_ run: Iteration, isSent: Bool, isClosed: Bool = false) -> Sending {
        let error = evy_py_take_exception(py)
        defer { if let error { evy_py_decref(py, error) } }
        guard let response = materialize(run.object), let rest = evy_py_new_tuple(py, 5) else {
            reportUnraisable()
            return .handed
        }
        defer { evy_py_decref(py, rest) }
        let none = py.pointee.none
        let members =
            isClosed ? [nil, nil, nil] : [run.result, run.item, run.iterator]
        let told = members + [error, isSent ? py.pointee.yes : py.pointee.no]
        for (index, member) in told.enumerated() {
            guard let object = member ?? none else { continue }
            evy_py_incref(py, object)
            evy_py_set_tuple_item(py, rest, index, object)
        }
        hand(pointee.parts.resume, run.exchange, run.environ, response, rest)
        return .handed
    }
}
