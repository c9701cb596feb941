// SPDX-License-Identifier: MIT
// PythonEnviron - makes the environ dict of a request.
// Room: Python. Spec: PEP 3333, "environ Variables"; RFC 3875 section 4.1. Values: Connection/Environ.swift.

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<PythonBridge> {
    /// A fresh dict with the objects of the kit; nil: an exception is set.
    func makeEnviron(_ exchange: ExchangeRef, _ kit: PythonKitRef) -> PyRef? {
        let head = exchange.pointee.head
        let all = exchange.pointee.bytes.readable
        let fieldsStart = Int(head.requestLine.start) + Int(head.requestLine.count)
        guard fieldsStart <= all.count else { return nil }
        let fields = UnsafeRawBufferPointer(rebasing: all[fieldsStart...])
        let target = exchange.text(head.target)
        // An absolute target names a host, and so changes what the fields say.
        if fields.count <= PythonTemplates.fieldBytesMax, target.first == 0x2f,
            let environ = copyTemplate(exchange, fields, kit)
        {
            guard !exchange.pointee.isTLS || addHandshake(exchange, to: environ) else {
                evy_py_decref(py, environ)
                return nil
            }
            return environ
        }
        evy_py_clear(py)
        guard let environ = makeWhole(exchange) else { return nil }
        guard install(kit, into: environ) else {
            evy_py_decref(py, environ)
            return nil
        }
        return environ
    }

    /// nil: it has to be made anew.
    private func copyTemplate(
        _ exchange: ExchangeRef, _ fields: UnsafeRawBufferPointer, _ kit: PythonKitRef
    ) -> PyRef? {
        let place = pointee.templates.place(fields, isTLS: exchange.pointee.isTLS)
        if place.pointee.hash == 0 {
            guard let whole = makeWhole(exchange, withHandshake: false) else { return nil }
            pointee.templates.put(whole, fields, isTLS: exchange.pointee.isTLS, into: place, py)
            noteWhatDiffers(exchange, place)
        }
        guard let template = place.pointee.environ, adapt(template, to: exchange, place), bind(kit, to: place)
        else { return nil }
        // A new dict can set off the collector, whose finalizers let other threads run, and these take the
        // template for their own requests.
        let version = place.pointee.version
        evy_py_incref(py, template)
        let copied = evy_py_copy_dict(py, template)
        evy_py_decref(py, template)
        guard let environ = copied else { return nil }
        guard place.pointee.version == version else {
            evy_py_decref(py, environ)
            return nil
        }
        return environ
    }

    /// A body that is here or none, and nobody else has a say in environ.
    func isUsual(_ exchange: ExchangeRef) -> Bool {
        let settings = exchange.pointee.reactor
        switch exchange.pointee.head.framing {
        case .none: break
        case .length(let length):
            guard length == 0 || exchange.pointee.bodyMode == .buffer else { return false }
        case .chunked: return false
        }
        return settings.pointee.settings.trustedProxies.isEmpty
            && settings.pointee.settings.environPairs.isEmpty
            && settings.pointee.settings.requestIDKey.isEmpty
            && !settings.pointee.settings.laxness.contains(.allowEncodedNUL)
    }

    /// Everything anew, by the rules of the C functions.
    private func makeWhole(_ exchange: ExchangeRef, withHandshake: Bool = true) -> PyRef? {
        guard let environ = evy_py_copy_dict(py, pointee.parts.environ) else { return nil }
        let isDone = exchange.withLock { () -> Bool in
            guard let entries = exchange.environEntries() else { return false }
            for entry in entries where withHandshake || !entry.name.starts(with: "SSL_".utf8) {
                guard set(environ, entry.name, entry.value) else { return false }
            }
            return true
        }
        guard isDone, let raw = makeRawHeaders(exchange) else {
            evy_py_decref(py, environ)
            return nil
        }
        defer { evy_py_decref(py, raw) }
        guard evy_py_set_item(py, environ, pointee.names.headersRaw, raw) == 0 else {
            evy_py_decref(py, environ)
            return nil
        }
        return environ
    }

    private func set(_ environ: PyRef, _ name: EnvironText, _ value: EnvironText) -> Bool {
        guard let key = pointee.templates.text(name, py) else { return false }
        defer { evy_py_decref(py, key) }
        guard let text = pointee.templates.text(value, py) else { return false }
        defer { evy_py_decref(py, text) }
        return evy_py_set_item(py, environ, key, text) == 0
    }

    /// ((name, value), ...) as they came.
    private func makeRawHeaders(_ exchange: ExchangeRef) -> PyRef? {
        let count = exchange.fieldIndices.count
        guard let all = evy_py_new_tuple(py, count) else { return nil }
        for index in 0..<count {
            let value = exchange.withLock { exchange.fieldText(index) }
            guard let pair = evy_py_new_tuple(py, 2) else {
                evy_py_decref(py, all)
                return nil
            }
            evy_py_set_tuple_item(py, all, index, pair)
            guard let value,
                let name = pointee.templates.text(exchange.text(exchange.pointee.fields[index].name), py)
            else {
                evy_py_decref(py, all)
                return nil
            }
            evy_py_set_tuple_item(py, pair, 0, name)
            guard let text = pointee.templates.text(value, py) else {
                evy_py_decref(py, all)
                return nil
            }
            evy_py_set_tuple_item(py, pair, 1, text)
        }
        return all
    }

    // MARK: From one request to the next

    private func noteWhatDiffers(_ exchange: ExchangeRef, _ place: UnsafeMutablePointer<PythonTemplate>) {
        let line = exchange.text(exchange.pointee.head.requestLine)
        place.pointee.version &+= 1
        // Out of memory: an empty line equals none.
        _ = PythonTemplates.copy(line, into: &place.pointee.requestLine)
        place.pointee.peer = exchange.pointee.peer
        place.pointee.local = exchange.pointee.local
    }

    private static var lineKeys: [EnvironKey] {
        [
            .requestMethod, .pathInfo, .rawPathInfo, .queryString, .requestURI, .rawURI, .serverProtocol,
        ]
    }

    private func adapt(
        _ template: PyRef, to exchange: ExchangeRef, _ place: UnsafeMutablePointer<PythonTemplate>
    ) -> Bool {
        let line = exchange.text(exchange.pointee.head.requestLine)
        let isSameLine = line.equals(UnsafeRawBufferPointer(place.pointee.requestLine))
        let isSamePeer =
            evy_same_host(&place.pointee.peer, &exchange.pointee.peer) != 0 && !exchange.pointee.peer.isUnix
        let isSameLocal =
            evy_same_host(&place.pointee.local, &exchange.pointee.local) != 0
            && place.pointee.local.port == exchange.pointee.local.port
        let isSamePort = place.pointee.peer.port == exchange.pointee.peer.port
        if isSameLine, isSamePeer, isSameLocal, isSamePort { return true }
        var isDone = true
        if !isSameLine {
            for key in Self.lineKeys { isDone = isDone && update(template, key, exchange) }
        }
        if !isSamePeer {
            isDone =
                isDone && update(template, .remoteAddress, exchange)
                && update(template, .remotePort, exchange)
        } else if !isSamePort {
            isDone = isDone && updatePort(template, exchange.pointee.peer.port)
        }
        if !isSameLocal {
            isDone =
                isDone && update(template, .serverName, exchange)
                && update(template, .serverPort, exchange)
        }
        // Half a change must not be taken for a whole one.
        guard isDone else {
            place.pointee.hash = 0
            place.pointee.version &+= 1
            return false
        }
        if isSameLine {
            place.pointee.version &+= 1
            place.pointee.peer = exchange.pointee.peer
            place.pointee.local = exchange.pointee.local
        } else {
            noteWhatDiffers(exchange, place)
        }
        return true
    }

    private func updatePort(_ environ: PyRef, _ port: UInt16) -> Bool {
        guard let text = pointee.templates.port(port, py) else { return false }
        defer { evy_py_decref(py, text) }
        let name = pointee.names.standard[EnvironKey.remotePort.rawValue]
        return evy_py_set_item(py, environ, name, text) == 0
    }

    private func update(_ environ: PyRef, _ key: EnvironKey, _ exchange: ExchangeRef) -> Bool {
        guard let value = exchange.withLock({ exchange.standardValue(key) }),
            let text = pointee.templates.text(value, py)
        else { return false }
        defer { evy_py_decref(py, text) }
        return evy_py_set_item(py, environ, pointee.names.standard[key.rawValue], text) == 0
    }

    /// What a handshake has said belongs to the connection alone, and is in no template.
    private func addHandshake(_ exchange: ExchangeRef, to environ: PyRef) -> Bool {
        for key in EnvironKey.handshakeKeys {
            let name = pointee.names.standard[key.rawValue]
            guard let value = exchange.withLock({ exchange.standardValue(key) }) else { continue }
            guard let text = pointee.templates.text(value, py) else { return false }
            defer { evy_py_decref(py, text) }
            guard evy_py_set_item(py, environ, name, text) == 0 else { return false }
        }
        return true
    }
}

extension EnvironKey {
    fileprivate static let handshakeKeys: [EnvironKey] = [
        .tlsProtocol, .tlsCipher, .tlsServerName, .clientVerify, .clientSubject, .clientIssuer,
        .clientCertificate,
    ]
}
