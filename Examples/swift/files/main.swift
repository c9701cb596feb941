// SPDX-License-Identifier: MIT
// files - serves the files of a folder; the kernel moves them to the socket, no byte is copied here.
// swift run evy-files-swift FOLDER [PORT], then: curl http://127.0.0.1:8090/some/file
import Evy
import Glibc

let arguments = CommandLine.arguments
let folder = arguments.count > 1 ? open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1
guard folder >= 0 else {
    print("usage: files FOLDER [PORT]")
    exit(1)
}

/// No step up, no absolute path, no NUL inside: what is opened lies in the folder. Bytes, because a name need
/// not be text.
@Sendable func isInside(_ path: ArraySlice<UInt8>) -> Bool {
    let slash = UInt8(ascii: "/")
    guard let first = path.first, first != slash, !path.contains(0) else { return false }
    return !path.split(separator: slash).contains { $0.elementsEqual("..".utf8) }
}

@Sendable func answer(_ request: borrowing Request) throws {
    let path = request.pathBytes.dropFirst()
    guard isInside(path) else { return try request.respond(.notFound) }
    let name = path.map { CChar(bitPattern: $0) } + [0]
    let file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    defer { if file >= 0 { close(file) } }  // evy works on a duplicate
    var facts = stat()
    guard file >= 0, fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
        return try request.respond(.notFound)
    }
    let type: Headers = ["Content-Type": "application/octet-stream"]
    let writer = try request.begin(.ok, headers: type, length: Int64(facts.st_size))
    // Queued: it goes out as fast as the client reads, after this handler has returned.
    try writer.write(file: file, length: Int64(facts.st_size))
    try writer.end()
}

do {
    let port = arguments.count > 2 ? UInt16(arguments[2]) ?? 8090 : 8090
    let server = try Server(on: .tcp(port: port), handler: answer)
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("files: \(error)")
    exit(1)
}
