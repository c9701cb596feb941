// SPDX-License-Identifier: MIT
// EvyError - turns a negative evy_status and the text kept beside it into a Swift error.
// Room: Evy (the Swift face; reaches the core through Include/evy.h only).
internal import CEvy

/// Why a call did not do what it was asked for.
public struct EvyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The reason as a program compares it; the raw values are those of evy.h.
    public enum Code: Int32, Sendable, CaseIterable {
        case badArgument = -1
        /// Out of memory, threads or descriptors.
        case outOfMemory = -2
        /// Not allowed now: already answered, already started, ...
        case wrongState = -3
        /// Nothing yet; it would have to wait.
        case again = -4
        /// The time given, or one of the server's deadlines, has passed.
        case timeout = -5
        /// The client is gone: stop producing.
        case gone = -6
        /// A configured limit was passed.
        case limit = -7
        case unknownOption = -8
        case badValue = -9
        /// A header name or value that cannot be sent.
        case badField = -10
        /// The client broke HTTP.
        case brokenProtocol = -11
        /// An address that is in use, denied or not resolvable.
        case cannotBind = -12
        /// Certificate, key or TLS policy.
        case tls = -13
        /// A system call failed.
        case io = -14
        /// The server was started by a parent process.
        case forked = -15
        case unsupported = -16
        case internalError = -17
    }

    public let code: Code
    /// What went wrong, naming the culprit: "option threads: 0 is not between 1 and 1024".
    public let text: String

    public var description: String { text }

    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    /// An empty or missing detail gives the library's general text of the status.
    init(status: evy_status, detail: UnsafePointer<CChar>? = nil) {
        let general = evy_strerror(status).map { String(cString: $0) } ?? "error \(status)"
        let special = detail.map { String(cString: $0) } ?? ""
        self.init(Code(rawValue: status) ?? .internalError, special.isEmpty ? general : special)
    }
}

/// C ends a text at its first NUL: what stands behind would be left out, and nobody be told.
func refuseNUL(
    _ text: String?, _ what: @autoclosure () -> String, _ code: EvyError.Code = .badValue
) throws(EvyError) {
    guard let text, text.utf8.contains(0) else { return }
    throw EvyError(code, "\(what()) holds a NUL byte")
}

/// Passes what is not an error; `detail` is asked only when there is one.
@discardableResult
func checked(
    _ status: evy_status, _ detail: @autoclosure () -> UnsafePointer<CChar>? = nil
) throws(EvyError) -> evy_status {
    guard status < 0 else { return status }
    throw EvyError(status: status, detail: detail())
}
