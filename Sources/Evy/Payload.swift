// SPDX-License-Identifier: MIT
// Payload - turns what a program has (text, an array, a buffer) into bytes to send, without copying.
// Room: Evy (the Swift face).

/// Something that can be sent as a body or as a piece of one. The library copies the bytes during the call.
public protocol Payload {
    /// Lends the bytes for the call of `body`.
    func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value
}

extension String: Payload {
    /// The text as UTF-8.
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        var text = self
        // withUTF8 knows no typed errors, so the error takes the way of a value.
        let outcome = text.withUTF8 { bytes in
            Result { () throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
        }
        return try outcome.get()
    }
}

extension [UInt8]: Payload {
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try withUnsafeBufferPointer { (bytes) throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
    }
}

extension ArraySlice<UInt8>: Payload {
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try withUnsafeBufferPointer { (bytes) throws(Failure) in try body(UnsafeRawBufferPointer(bytes)) }
    }
}

extension UnsafeRawBufferPointer: Payload {
    public func withBytes<Value, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try body(self)
    }
}
