// SPDX-License-Identifier: MIT
// PythonAttach - finds CPython in the process, and makes the handler that goes into a configuration.
// Room: Python.

internal import CSystem
internal import Glibc

/// The functions of CPython: the same for the whole process, and as long as it lives.
enum PythonFunctions {
    /// nil: this process is no CPython, or one that lacks something.
    /// SAFETY: written once, before anybody has it.
    nonisolated(unsafe) static let table: UnsafeMutablePointer<evy_py_api>? = {
        let table = UnsafeMutablePointer<evy_py_api>.allocate(capacity: 1)
        if evy_py_load(table) == nil { return table }
        table.deallocate()
        return nil
    }()

    /// A build without the global lock, whose objects have another head. Only such builds have this function:
    /// their Py_DECREF is made of it (Include/refcount.h of CPython 3.13 and later).
    static var isFreeThreaded: Bool {
        dlsym(nil, "_Py_MergeZeroLocalRefcount") != nil  // nil: RTLD_DEFAULT, as in evy_py_load
    }

    /// The name of what is lacking.
    static var missing: String {
        var table = evy_py_api()
        return evy_py_load(&table).map { String(cString: $0) } ?? ""
    }
}

enum PythonAttachment {
    enum Failure: Error {
        case unsupported(String)
        case badObject(String)
    }

    /// The interpreter lock is held. `object` has the attributes of PythonParts.
    static func make(_ object: UnsafeMutableRawPointer) throws(Failure) -> PythonBridgeRef {
        // Ahead of the first look into an object.
        if PythonFunctions.isFreeThreaded {
            throw .unsupported("this Python is a free-threaded build, and has no interpreter lock")
        }
        guard let py = PythonFunctions.table else {
            throw .unsupported("this process has no \(PythonFunctions.missing)")
        }
        let source = object.assumingMemoryBound(to: evy_py.self)
        var found: [PyRef] = []
        func giveBack() { for part in found { evy_py_decref(py, part) } }
        for name in PythonParts.names {
            guard let part = attribute(py, source, name) else {
                giveBack()
                throw .badObject("the bridge's object has no attribute \(name)")
            }
            found.append(part)
        }
        // The last one is the process's, not the bridge's.
        if let over = found.popLast() {
            if py.pointee.over == nil { py.pointee.over = over } else { evy_py_decref(py, over) }
        }
        guard let names = PythonNames(py), let requestType = PythonTypes.makeRequestType(py),
            let functionType = PythonTypes.makeFunctionType(py)
        else {
            evy_py_clear(py)
            giveBack()
            throw .badObject("out of memory")
        }
        let parts = PythonParts(
            application: found[0], environ: found[1], empty: found[2], input: found[3], serve: found[4],
            respond: found[5], finish: found[6], failed: found[7], answered: found[8],
            resume: found[9], fileWrapper: found[10], alreadyHandled: found[11], local: found[12])
        let lastStart = UnsafeMutablePointer<evy_py_start>.allocate(capacity: 1)
        lastStart.initialize(to: evy_py_start())
        let bridge = PythonBridgeRef.allocate(capacity: 1)
        bridge.initialize(
            to: PythonBridge(
                py: py, parts: parts, names: names, requestType: requestType, functionType: functionType,
                capitalizes: isTrue(py, source, "capitalizes"), streams: isTrue(py, source, "streams"),
                pieceBytes: evy_py_get_item(py, parts.environ, names.pieceBytes), lastStart: lastStart))
        return bridge
    }

    private static func attribute(
        _ py: UnsafeMutablePointer<evy_py_api>, _ object: PyRef, _ name: StaticString
    ) -> PyRef? {
        let found = name.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) {
            evy_py_attribute(py, object, $0)
        }
        if found == nil { evy_py_clear(py) }
        return found
    }

    private static func isTrue(
        _ py: UnsafeMutablePointer<evy_py_api>, _ object: PyRef, _ name: StaticString
    ) -> Bool {
        guard let flag = attribute(py, object, name) else { return false }
        defer { evy_py_decref(py, flag) }
        return evy_py_is_true(py, flag) == 1
    }

    /// What the configuration gets.
    static let handler: HandlerFunction = { user, request in
        guard let user, let request else { return }
        user.assumingMemoryBound(to: PythonBridge.self).handle(ExchangeRef(request))
    }

    static func lock(_ bridge: PythonBridgeRef) -> HostLock {
        HostLock(
            take: { user in user.map { evy_py_ensure($0.assumingMemoryBound(to: evy_py_api.self)) } ?? 0 },
            give: { user, state in
                if let user { evy_py_release(user.assumingMemoryBound(to: evy_py_api.self), state) }
            },
            user: UnsafeMutableRawPointer(bridge.py))
    }

    /// The configuration and its servers are gone. Any thread, with the interpreter lock or without.
    static let drop: DropFunction = { user in
        guard let user else { return }
        let bridge = user.assumingMemoryBound(to: PythonBridge.self)
        let py = bridge.py
        let state = evy_py_ensure(py)
        bridge.pointee.templates.dropAll(py)
        bridge.dropKits()
        evy_py_forget_start(py, bridge.pointee.lastStart)
        let parts = bridge.pointee.parts
        for part in [
            parts.application, parts.environ, parts.empty, parts.input, parts.serve, parts.respond,
            parts.finish, parts.failed, parts.answered, parts.resume, parts.fileWrapper,
            parts.alreadyHandled, parts.local,
            bridge.pointee.requestType, bridge.pointee.functionType,
        ] { evy_py_decref(py, part) }
        bridge.pointee.names.drop(py)
        evy_py_release(py, state)
        bridge.pointee.lastStart.deallocate()
        bridge.deinitialize(count: 1)
        bridge.deallocate()
    }
}
