// SPDX-License-Identifier: MIT
// PythonStart - turns what start_response is called with into a status, a phrase and a block of fields.
// Room: Python. Spec: PEP 3333; RFC 9110 section 5.

internal import CSystem
internal import Glibc

extension UnsafeMutablePointer<PythonBridge> {
    /// False: not what is usual, and Python has to look at it, to take it or to say what is wrong. The quick
    /// way knows str and list exactly, printable ASCII, and as much as fits.
    func encode(_ status: PyRef, _ headers: PyRef, _ request: UnsafeMutablePointer<evy_py_request>) -> Bool {
        if evy_py_recall_start(py, pointee.lastStart, status, headers, request) != 0 { return true }
        guard encodeAnew(status, headers, request) else { return false }
        evy_py_keep_start(py, pointee.lastStart, status, headers, request)
        return true
    }

    private func encodeAnew(
        _ status: PyRef, _ headers: PyRef, _ request: UnsafeMutablePointer<evy_py_request>
    ) -> Bool {
        guard let code = encodeStatus(status, request), headers.pointee.type == py.pointee.list_type else {
            return false
        }
        let block = UnsafeMutableRawBufferPointer(
            start: evy_py_request_block(request), count: EVY_PY_BLOCK_MAX)
        var count = 0
        request.pointee.content_length = -1
        for index in 0..<evy_py_list_count(py, headers) {
            guard let pair = evy_py_list_item(py, headers, index), pair.pointee.type == py.pointee.tuple_type,
                evy_py_tuple_count(py, pair) == 2,
                let name = text(evy_py_tuple_item(py, pair, 0)), !name.isEmpty,
                let value = text(evy_py_tuple_item(py, pair, 1)),
                count + name.count + value.count + 2 <= block.count, isUsual(name, value, request),
                write(name: name, into: block, at: count),
                write(value: value, into: block, at: count + name.count + 1)
            else { return false }
            count += name.count + value.count + 2
        }
        request.pointee.block_count = UInt32(truncatingIfNeeded: count)
        // Last: from here on start_response was called.
        request.pointee.status_code = code
        return true
    }

    /// A Content-Length that is no number is told to the application at once, not when the answer fails.
    private func isUsual(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ request: UnsafeMutablePointer<evy_py_request>
    ) -> Bool {
        guard name.count == 14, KnownField.named(name.bytes, ByteRange(0, 14)) == .contentLength else {
            return true
        }
        guard (1...18).contains(value.count), value.allSatisfy(ASCII.isDigit) else { return false }
        // Eighteen digits fit.
        request.pointee.content_length = value.reduce(0) { $0 &* 10 &+ Int64($1 &- 0x30) }
        return true
    }

    /// The number of "200 OK"; the phrase goes into the request.
    private func encodeStatus(_ status: PyRef, _ request: UnsafeMutablePointer<evy_py_request>) -> Int32? {
        guard let line = text(status), line.count >= 3, line.count <= EVY_PY_REASON_MAX + 4 else {
            return nil
        }
        var code: Int32 = 0
        for digit in line[..<3] {
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            code = code * 10 + Int32(digit &- 0x30)
        }
        guard code >= 200, code <= 599, line.count == 3 || line[3] == 0x20 else { return nil }
        let reason = UnsafeMutableRawBufferPointer(
            start: evy_py_request_reason(request), count: EVY_PY_REASON_MAX + 1)
        let phrase = UnsafeRawBufferPointer(rebasing: line.dropFirst(4))
        for (index, byte) in phrase.enumerated() {
            guard byte >= 0x20, byte < 0x7f else { return nil }
            reason[index] = byte
        }
        reason[phrase.count] = 0
        return code
    }

    /// The bytes of a str, in UTF-8; lent by it. nil: not exactly a str.
    private func text(_ object: PyRef?) -> UnsafeRawBufferPointer? {
        guard let object, object.pointee.type == py.pointee.unicode_type else { return nil }
        var count = 0
        guard let start = evy_py_utf8(py, object, &count) else {
            evy_py_clear(py)  // lone surrogates
            return nil
        }
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    /// content-type becomes Content-Type where the ancestors' spelling is wanted.
    private func write(
        name: UnsafeRawBufferPointer, into block: UnsafeMutableRawBufferPointer, at start: Int
    ) -> Bool {
        var isFirst = true
        for index in 0..<name.count {
            var byte = name[index]
            guard ASCII.isTokenChar(byte) else { return false }
            if pointee.capitalizes {
                let isUpper = byte >= 0x41 && byte <= 0x5a
                let isLower = byte >= 0x61 && byte <= 0x7a
                if isFirst, isLower { byte &= 0xdf } else if !isFirst, isUpper { byte |= 0x20 }
                isFirst = byte == 0x2d
            }
            block[start + index] = byte
        }
        block[start + name.count] = 0
        return true
    }

    private func write(
        value: UnsafeRawBufferPointer, into block: UnsafeMutableRawBufferPointer, at start: Int
    ) -> Bool {
        for index in 0..<value.count {
            let byte = value[index]
            guard byte >= 0x20, byte < 0x7f else { return false }
            block[start + index] = byte
        }
        block[start + value.count] = 0
        return true
    }
}
