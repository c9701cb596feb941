// SPDX-License-Identifier: MIT
// upload - takes files of any length to disk and tells how far each has come.
// swift run evy-upload-swift FOLDER [PORT [BYTES-MAX]], then:
//   curl -T big.iso http://127.0.0.1:8090/             201 and its Location once all of it is on disk
//   curl --data-binary @big.iso http://127.0.0.1:8090/big.iso   the same with POST
//   curl http://127.0.0.1:8090/progress/big.iso        {"received":52428800,"length":734003200}
//   curl -O http://127.0.0.1:8090/big.iso              the file; nothing of it before it is whole
import Evy
import Glibc
import Synchronization

let arguments = CommandLine.arguments
let folder = arguments.count > 1 ? open(arguments[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1
guard folder >= 0 else {
    print("usage: upload FOLDER [PORT [BYTES-MAX]]")
    exit(1)
}

/// Why an upload is not taken, and the answer to that.
enum Refusal: Error {
    case tooMany
    case nameInUse
    case disk(Int32)

    var status: Status {
        switch self {
        case .tooMany: .serviceUnavailable
        case .nameInUse: .conflict
        case .disk(ENOSPC), .disk(EDQUOT), .disk(EFBIG): Status(507)
        case .disk: .internalServerError
        }
    }

    var text: String {
        switch self {
        case .tooMany: "too many uploads\n"
        case .nameInUse: "this name is being uploaded\n"
        case .disk(let number): "\(String(cString: strerror(number)))\n"
        }
    }

    var headers: Headers {
        if case .tooMany = self { return ["Retry-After": "5"] }
        return [:]
    }
}

struct Progress {
    var received: Int64 = 0
    /// nil: the client does not tell.
    let length: Int64?
}

let uploads = Mutex<[String: Progress]>([:])
let uploadsMax = 100

/// An upload under way. What has come lies beside its target, under a name that nobody can ask for.
final class Upload: Sendable {
    private let name: String
    private var partial: String { ".\(name).part" }
    private let file: Int32
    private let isOpen = Mutex(true)

    init(_ name: String, length: Int64?) throws(Refusal) {
        self.name = name
        try uploads.withLock { uploads throws(Refusal) in
            guard uploads.count < uploadsMax else { throw .tooMany }
            // Two of them would write into one file.
            guard uploads[name] == nil else { throw .nameInUse }
            uploads[name] = Progress(length: length)
        }
        // What a crash may have left under this name is overwritten.
        file = openat(folder, ".\(name).part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .disk(errno) }  // deinit makes the name free again
    }

    /// The request is over, however it ended, and with it the closure that held the upload.
    deinit { finish() }

    func write(_ bytes: UnsafeRawBufferPointer) throws(Refusal) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw .disk(errno)
            }
        }
        uploads.withLock { $0[name]?.received += Int64(bytes.count) }
    }

    /// All of it is there. On disk before it gets its name: not even after a power cut is there half a file
    /// under that name. True: there was none of that name before.
    func keep() throws(Refusal) -> Bool {
        let isNew = faccessat(folder, name, F_OK, 0) < 0
        guard fsync(file) == 0, renameat(folder, partial, folder, name) == 0 else { throw .disk(errno) }
        fsync(folder)
        finish()
        return isNew
    }

    /// Removes what was not renamed; from here on the name is free for another upload.
    func finish() {
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            isOpen = false
            close(file)
            unlinkat(folder, partial, 0)
            uploads.withLock { $0[name] = nil }
        }
    }
}

@Sendable func receive(_ request: borrowing Request, _ name: String) throws {
    let upload: Upload
    do throws(Refusal) {
        upload = try Upload(name, length: request.contentLength)
    } catch {
        // Before anything was read: a client that asked (Expect: 100-continue) sends nothing at all.
        return try request.respond(error.status, headers: error.headers, body: error.text)
    }
    // Between the pieces no thread waits for the client. Writing may block: a slow disk holds up this client,
    // and nobody else.
    try request.onBody { request, event in
        do throws(Refusal) {
            switch event {
            case .piece(let bytes): try upload.write(bytes)
            case .end:
                let status = try upload.keep() ? Status.created : .ok
                let text = "\(request.outcome.bodyBytesReceived) bytes\n"
                try? request.respond(status, headers: ["Location": "/\(name)"], body: text)
            case .failed(let error):
                upload.finish()
                let status: Status = error.code == .limit ? .contentTooLarge : .badRequest
                try? request.respond(status, body: "\(error)\n")  // where there still is a client
            }
        } catch {
            upload.finish()
            try? request.respond(error.status, body: error.text)
        }
    }
}

@Sendable func tellProgress(_ request: borrowing Request, _ name: String) throws {
    guard let progress = uploads.withLock({ $0[name] }) else { return try request.respond(.notFound) }
    let length = progress.length.map { "\($0)" } ?? "null"
    let text = "{\"received\":\(progress.received),\"length\":\(length)}\n"
    try request.respond(.ok, headers: ["Content-Type": "application/json"], body: text)
}

@Sendable func sendFile(_ request: borrowing Request, _ name: String) throws {
    let file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    defer { if file >= 0 { close(file) } }
    var facts = stat()
    guard file >= 0, fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
        return try request.respond(.notFound, body: "no such file\n")
    }
    let type: Headers = ["Content-Type": "application/octet-stream"]
    let writer = try request.begin(.ok, headers: type, length: Int64(facts.st_size))
    try writer.write(file: file, length: Int64(facts.st_size))
    try writer.end()
}

/// Letters, digits and "-._", no dot in front: no path, no hidden file, nothing to quote in JSON.
@Sendable func isGoodName(_ name: Substring) -> Bool {
    let isGood = name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "-._".utf8.contains(byte)
        }
    }
    return isGood && !name.isEmpty && name.utf8.count <= 200 && !name.hasPrefix(".")
}

@Sendable func answer(_ request: borrowing Request) throws {
    let name = request.path.dropFirst()
    let isGet = request.method == .get || request.method == .head
    if isGet, name.hasPrefix("progress/") {
        try tellProgress(request, String(name.dropFirst("progress/".count)))
    } else if !isGoodName(name) {
        try request.respond(.notFound, body: "a name is letters, digits, and -._ behind the first\n")
    } else if isGet {
        try sendFile(request, String(name))
    } else if request.method == .put || request.method == .post {
        try receive(request, String(name))
    } else {
        try request.respond(.methodNotAllowed, headers: ["Allow": "GET, HEAD, PUT, POST"])
    }
}

do {
    let port = arguments.count > 2 ? UInt16(arguments[2]) ?? 8090 : 8090
    var options = Options()
    options.body = .stream  // handlers get a request before its body
    options["max_body_size"] = arguments.count > 3 ? arguments[3] : "10g"
    let server = try Server(on: .tcp(port: port), options: options, handler: answer)
    print("http://127.0.0.1:\(server.port)/")
    fflush(nil)
    try server.run()
} catch {
    print("upload: \(error)")
    exit(1)
}
