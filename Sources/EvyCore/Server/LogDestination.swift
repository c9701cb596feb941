// SPDX-License-Identifier: MIT
// LogDestination - turns the text of options access_log and error_log into a place for lines.
// Room: Server (system calls through System/LogCalls). Spec: evy.h, "options".

/// Where a log goes, as the options say it.
enum LogDestination: Sendable, Equatable {
    case off
    case stderr
    case descriptor(Int32)
    case path(String)

    /// Words that mean something elsewhere, but are no name that anybody wants a file to have.
    private static let mistaken: Set<String> = [
        "off", "on", "no", "yes", "none", "null", "false", "true", "0", "1", "-", "stderr", "stdout", "stdin",
    ]

    /// "off", "stderr", "fd:N" or a file path; nil: none of them.
    init?(_ text: String) {
        switch text {
        case "": return nil
        case "off": self = .off
        case "stderr": self = .stderr
        default:
            guard text.hasPrefix("fd:") else {
                if Self.isMistaken(text) { return nil }
                self = .path(text)
                return
            }
            guard !text.contains("-"), let number = OptionValue.wholeNumber(String(text.dropFirst(3))),
                let descriptor = Int32(exactly: number)
            else { return nil }
            self = .descriptor(descriptor)
        }
    }

    private static func isMistaken(_ text: String) -> Bool {
        let word = text.split(whereSeparator: \.isWhitespace).joined(separator: " ").lowercased()
        return word.isEmpty || word.hasPrefix("fd:") || mistaken.contains(word)
    }

    /// Why `init` did not take it.
    static func fault(_ text: String) -> String {
        let reason = "\(OptionValue.quoted(text)) is not off, stderr, fd:N or a file"
        let isWord = !text.isEmpty && !text.hasPrefix("fd:")
        return isWord ? reason + "; fd:1 is stdout, ./NAME any file" : reason
    }

    var text: String {
        switch self {
        case .off: return "off"
        case .stderr: return "stderr"
        case .descriptor(let number): return "fd:\(number)"
        case .path(let path): return path
        }
    }

    func open() throws(LogCalls.Failure) -> LogCalls.Descriptor? {
        switch self {
        case .off: return nil
        case .stderr: return try LogCalls.duplicate(2)
        case .descriptor(let number): return try LogCalls.duplicate(number)
        case .path(let path): return try LogCalls.open(path: path)
        }
    }
}
