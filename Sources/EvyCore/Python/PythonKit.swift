// SPDX-License-Identifier: MIT
// PythonKit - the objects that one request after the other has in its environ, as long as nobody keeps them.
// Room: Python. Thread: under the interpreter lock; other threads may run wherever an object is freed or a
// container made.

internal import CSystem
internal import Glibc

typealias PythonKitRef = UnsafeMutablePointer<evy_py_kit>

extension UnsafeMutablePointer<PythonBridge> {
    /// nil: an exception is set.
    func takeKit() -> PythonKitRef? { pointee.kits.popLast() ?? makeKit() }

    private func makeKit() -> PythonKitRef? {
        let kit = PythonKitRef.allocate(capacity: 1)
        kit.initialize(to: evy_py_kit())
        guard let request = evy_py_new(py, pointee.requestType) else {
            kit.deallocate()
            return nil
        }
        evy_py_request_clear(request.request)
        request.request.pointee.call = PythonTypes.vectorStart
        kit.pointee.request = request
        kit.pointee.hooks = evy_py_empty_list(py)
        kit.pointee.input = makeInput(pointee.parts.empty, nil, request)
        kit.pointee.write = makeFunction(pointee.names.write, request)
        for (index, function) in pointee.names.functions.enumerated() {
            evy_py_kit_functions(kit)[index] = makeFunction(function.name, request)
        }
        guard evy_py_kit_is_free(py, kit) != 0 else {
            drop(kit)
            return nil
        }
        request.request.pointee.write = kit.pointee.write
        return kit
    }

    private func makeFunction(_ name: PyRef, _ request: PyRef) -> PyRef? {
        guard let object = evy_py_new(py, pointee.functionType) else { return nil }
        evy_py_incref(py, request)
        evy_py_incref(py, name)
        object.function.pointee.request = request
        object.function.pointee.name = name
        return object
    }

    /// The handler is over: what the application has kept finds no request any more.
    func release(_ kit: PythonKitRef) {
        if evy_py_kit_is_free(py, kit) != 0, pointee.kits.count < PythonBridge.kitsMax {
            kit.pointee.request.request.forgetResponse(py)
            pointee.kits.append(kit)
            return
        }
        // Hooks that the application has added shall not live on in a template.
        pointee.templates.forEach { place in
            if place.pointee.kit == kit { purge(place) }
        }
        drop(kit)
    }

    private func drop(_ kit: PythonKitRef) {
        for index in 0..<pointee.names.functions.count { decref(evy_py_kit_functions(kit)[index]) }
        decref(kit.pointee.write)
        decref(kit.pointee.input)
        decref(kit.pointee.hooks)
        decref(kit.pointee.request)
        kit.deallocate()
    }

    private func decref(_ object: PyRef?) {
        if let object { evy_py_decref(py, object) }
    }

    /// Kits that nobody uses, when the bridge goes.
    func dropKits() {
        let kits = pointee.kits
        pointee.kits = []
        for kit in kits { drop(kit) }
    }

    // MARK: Kits and templates

    /// The template has the kit's objects from here on. False: it has not, or not any more.
    func bind(_ kit: PythonKitRef, to place: UnsafeMutablePointer<PythonTemplate>) -> Bool {
        if place.pointee.kit == kit { return true }
        guard replace(in: place, by: kit) else {
            kit.pointee.is_tainted = 1
            place.pointee.hash = 0
            return false
        }
        return place.pointee.kit == kit
    }

    private func purge(_ place: UnsafeMutablePointer<PythonTemplate>) {
        if !replace(in: place, by: nil) { place.pointee.hash = 0 }
    }

    /// The old objects are freed last: whatever that sets off finds the change complete.
    private func replace(in place: UnsafeMutablePointer<PythonTemplate>, by kit: PythonKitRef?) -> Bool {
        if let old = place.pointee.kit { old.pointee.templates -= 1 }
        place.pointee.kit = kit
        place.pointee.version &+= 1
        kit?.pointee.templates += 1
        guard let template = place.pointee.environ else { return false }
        evy_py_incref(py, template)
        let old = pointee.names.bound.map { key -> PyRef? in
            let object = evy_py_get_item(py, template, key)
            if let object { evy_py_incref(py, object) }
            return object
        }
        let isDone = install(kit, into: template)
        for object in old { decref(object) }
        evy_py_decref(py, template)
        if !isDone { evy_py_clear(py) }
        return isDone
    }

    /// False: an exception is set.
    func install(_ kit: PythonKitRef?, into environ: PyRef) -> Bool {
        for (index, key) in pointee.names.bound.enumerated() {
            let value = kit.flatMap { evy_py_kit_value($0, UInt32(index)) } ?? py.pointee.no
            guard let value, evy_py_set_item(py, environ, key, value) == 0 else { return false }
        }
        return true
    }
}
