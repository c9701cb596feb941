// SPDX-License-Identifier: MIT
// LogCalls - turns log destinations into descriptors, batches into bytes written, seconds into a zone.
// Room: System (system calls). Spec: open(2), write(2), pthread_sigmask(3), localtime_r(3).

internal import CSystem
internal import Glibc

/// The system calls behind the logs, each behind one function; nothing here keeps state.
enum LogCalls {
    /// How a descriptor has to be written to: found once, when it is opened.
    enum Kind {
        case file
        /// The process may not write files of any length (RLIMIT_FSIZE), and write(2) would raise SIGXFSZ.
        case limitedFile
        /// write(2) would raise SIGPIPE, send(2) can be told not to.
        case socket
        /// Pipe or terminal on an open file description of our own: O_NONBLOCK is set on it.
        case stream
        /// Pipe or terminal whose description belongs to the host: O_NONBLOCK would change it for the host
        /// as well. write(2) waits for the reader, whatever poll(2) said before: only a thread that nobody
        /// waits for may call it.
        case borrowedStream

        var isFile: Bool { self == .file || self == .limitedFile }
    }

    /// PIPE_BUF: so many bytes go into a pipe as one, however many write to it, or not at all.
    static let pipeBytesMax = 4096

    struct Descriptor {
        var number: Int32
        var kind: Kind
    }

    struct Failure: Error {
        var code: Int32

        static let noMemory = Failure(code: ENOMEM)
        static let slowReader = Failure(code: EAGAIN)

        /// The destination will take bytes again without our doing: a slow reader, a full disk.
        var isTemporary: Bool { code == EAGAIN || code == ENOSPC || code == EDQUOT || code == ENOBUFS }
        var text: String { code == EAGAIN ? "its reader is too slow" : errorText(code) }
    }

    /// Opens `path` for appending, creating it. O_NONBLOCK keeps a FIFO without a reader from blocking for
    /// ever (it fails with ENXIO instead) and means nothing to a regular file.
    static func open(path: String, mode: mode_t = 0o640) throws(Failure) -> Descriptor {
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let number = retrying { path.withCString { Glibc.open($0, flags, mode) } }
        guard number >= 0 else { throw Failure(code: errno) }
        return Descriptor(number: number, kind: kind(of: number) ?? .stream)
    }

    /// A descriptor of our own for what `number` stands for; the host keeps, and may close, its own.
    static func duplicate(_ number: Int32) throws(Failure) -> Descriptor {
        let flags = fcntl(number, F_GETFL)
        guard flags >= 0 else { throw Failure(code: errno) }
        // Read-only: said now, rather than as EBADF with every batch.
        guard flags & O_ACCMODE != O_RDONLY else { throw Failure(code: EBADF) }
        if kind(of: number) == .stream, let own = reopen(number) {
            return Descriptor(number: own, kind: .stream)
        }
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw Failure(code: errno) }
        let found = kind(of: copy) ?? .borrowedStream
        return Descriptor(number: copy, kind: found == .stream ? .borrowedStream : found)
    }

    /// A second open file description for the pipe or terminal, so that O_NONBLOCK is ours alone. nil where
    /// the kernel refuses (no /proc, another user's terminal, a FIFO whose reader has left).
    private static func reopen(_ number: Int32) -> Int32? {
        let flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let own = retrying { "/proc/self/fd/\(number)".withCString { Glibc.open($0, flags) } }
        return own >= 0 ? own : nil
    }

    private static func kind(of number: Int32) -> Kind? {
        var status = stat()
        guard fstat(number, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return isFileSizeLimited ? .limitedFile : .file
        case S_IFSOCK: return .socket
        // The master side of a terminal: to open it once more is to make a terminal that nobody reads.
        case S_IFCHR where status.st_rdev == masterDevice: return .borrowedStream
        default: return .stream
        }
    }

    /// /dev/ptmx, character device 5:2.
    private static let masterDevice: dev_t = 5 << 8 | 2

    private static var isFileSizeLimited: Bool {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0
            && limit.rlim_cur != rlim_t.max
    }

    static func close(_ descriptor: Descriptor) {
        _ = Glibc.close(descriptor.number)  // never repeated: on Linux the number is free even after EINTR
    }

    /// Bytes taken, at least 1. `bytes` is not empty. EINTR is retried; never raises a signal. Waits for a
    /// reader of a borrowed stream alone, where the caller is a thread of ours, which takes no signals.
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Descriptor) throws(Failure) -> Int {
        let count: Int
        switch descriptor.kind {
        case .file:
            count = retrying { Glibc.write(descriptor.number, bytes.baseAddress, bytes.count) }
        case .limitedFile:
            count = try write(bytes, descriptor.number, without: SIGXFSZ, of: EFBIG)
        case .socket:
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            count = retrying { send(descriptor.number, bytes.baseAddress, bytes.count, flags) }
        case .stream:
            count = try write(bytes, descriptor.number, without: SIGPIPE, of: EPIPE)
        case .borrowedStream:
            count = writePatiently(bytes, descriptor.number)
        }
        guard count > 0 else { throw Failure(code: count < 0 ? errno : EIO) }
        return count
    }

    /// write(2) knows no MSG_NOSIGNAL, and what a signal does is the host's to say. So it is blocked for this
    /// thread, the one our write raised is taken away, and the mask is put back. One that was pending before
    /// is the host's and stays.
    private static func write(
        _ bytes: UnsafeRawBufferPointer, _ number: Int32, without signal: Int32, of cause: Int32
    ) throws(Failure) -> Int {
        var own = sigset_t()
        var before = sigset_t()
        var pending = sigset_t()
        sigemptyset(&own)
        sigaddset(&own, signal)
        sigemptyset(&pending)
        sigpending(&pending)
        let wasPending = sigismember(&pending, signal) == 1
        let refusal = pthread_sigmask(SIG_BLOCK, &own, &before)
        guard refusal == 0 else { throw Failure(code: refusal) }
        let count = retrying { Glibc.write(number, bytes.baseAddress, bytes.count) }
        let code = count < 0 ? errno : 0
        if code == cause, !wasPending {
            var atOnce = evy_timespec(0)
            _ = retrying { sigtimedwait(&own, nil, &atOnce) }
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        if code != 0 { throw Failure(code: code) }
        return count
    }

    /// The host may have set O_NONBLOCK on its description: then poll(2) is what waits.
    private static func writePatiently(_ bytes: UnsafeRawBufferPointer, _ number: Int32) -> Int {
        while true {
            let count = retrying { Glibc.write(number, bytes.baseAddress, bytes.count) }
            guard count < 0, errno == EAGAIN else { return count }
            var wish = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            _ = retrying { poll(&wish, 1, -1) }
        }
    }

    private static func retrying<Count: SignedInteger>(_ call: () -> Count) -> Count {
        var result = call()
        while result == -1 && errno == EINTR { result = call() }
        return result
    }

    static func errorText(_ code: Int32) -> String {
        // strerror is safe on any thread since glibc 2.32.
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }

    static func processID() -> Int32 { getpid() }

    /// Seconds that local time is ahead of UTC at `seconds` since the epoch.
    static func utcOffset(at seconds: Int64) -> Int64 {
        var moment = time_t(seconds)
        var local = tm()
        guard localtime_r(&moment, &local) != nil else { return 0 }
        return Int64(local.tm_gmtoff)
    }
}
