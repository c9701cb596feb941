// SPDX-License-Identifier: MIT
// Spawn - runs a program (curl, openssl, python3) and keeps what it prints.
internal import Glibc
internal import Testing

struct Spawned {
    let status: Int32
    let output: [UInt8]

    var text: String { String(decoding: output, as: UTF8.self) }
}

/// Runs a program of PATH to its end; standard error goes with standard output, and its input is empty.
func run(_ command: String...) throws -> Spawned { try Program(command).finish() }

/// A program that runs meanwhile: it can be read from, and is told to go on by the end of its input.
final class Program {
    private let end: Int32
    private var process: pid_t = 0
    private var output: [UInt8] = []
    private var piece = [UInt8](repeating: 0, count: 65536)

    init(_ command: [String]) throws {
        var ends: [Int32] = [0, 0]
        // A socket pair, because it can be closed on exec from its first moment.
        try #require(
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        end = ends[0]
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for standard in 0...2 { posix_spawn_file_actions_adddup2(&actions, ends[1], Int32(standard)) }
        var arguments = command.map { strdup($0) } + [nil]
        var environment = [strdup("PATH=/usr/local/bin:/usr/bin:/bin"), nil]
        defer { (arguments + environment).forEach { free($0) } }
        try #require(posix_spawnp(&process, command[0], &actions, nil, &arguments, &environment) == 0)
    }

    deinit { close(end) }

    private func fill() -> Bool {
        let count = read(end, &piece, piece.count)
        if count > 0 { output += piece[..<count] }
        return count > 0
    }

    /// The first line of what it prints; all of it, when there is no whole line.
    func firstLine() -> String {
        while !output.contains(0x0a), fill() {}
        return String(decoding: output.prefix { $0 != 0x0a }, as: UTF8.self)
    }

    /// Ends its input, and waits for its end; the output is all it has ever printed.
    func finish() -> Spawned {
        shutdown(end, Int32(SHUT_WR))
        while fill() {}
        var status: Int32 = 0
        waitpid(process, &status, 0)
        return Spawned(status: status & 0x7f == 0 ? status >> 8 & 0xff : -1, output: output)
    }
}

/// A folder that goes with its owner.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/evy-test-XXXXXX".utf8CString)
        path = try String(cString: #require(mkdtemp(&template)))
    }

    deinit { _ = try? run("rm", "-rf", path) }

    /// A self-signed certificate and its key: NAME.crt and NAME.key.
    func makePair(_ name: String, commonName: String = "localhost") throws -> (
        certificate: String, key: String
    ) {
        let pair = (certificate: "\(path)/\(name).crt", key: "\(path)/\(name).key")
        let made = try run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=\(commonName)", "-days", "2", "-keyout", pair.key, "-out", pair.certificate)
        try #require(made.status == 0, "\(made.text)")
        return pair
    }
}
