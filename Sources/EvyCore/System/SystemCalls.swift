// SPDX-License-Identifier: MIT
// SystemCalls - the calls of the hot path, each behind one function; results are counts or -errno.
// Room: System. Spec: recv(2), send(2), accept4(2), shutdown(2), close(2), sched_yield(2).

internal import CSystem
internal import Glibc

enum SystemCalls {
    @inline(__always)
    static func receive(_ fd: Int32, into room: UnsafeMutableRawBufferPointer) -> Int {
        evy_recv(fd, room.baseAddress, room.count)
    }

    /// The bytes stay in the socket.
    static func peek(_ fd: Int32, into room: UnsafeMutableRawBufferPointer) -> Int {
        evy_peek(fd, room.baseAddress, room.count)
    }

    @inline(__always)
    static func send(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        evy_send(fd, bytes.baseAddress, bytes.count)
    }

    /// Two buffers in one call, in this order.
    static func send(_ fd: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Int {
        evy_send2(fd, first.baseAddress, first.count, second.baseAddress, second.count)
    }

    /// More will follow at once.
    static func sendMore(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        evy_send_more(fd, bytes.baseAddress, bytes.count)
    }

    /// From a file at an offset; 0: the file ends there.
    static func sendFile(_ fd: Int32, _ file: Int32, _ offset: Int64, _ count: Int) -> Int {
        evy_sendfile(fd, file, offset, count)
    }

    static func read(_ file: Int32, into room: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
        evy_pread(file, room.baseAddress, room.count, offset)
    }

    /// A duplicate of a regular file, and its size.
    static func adoptFile(_ file: Int32, size: inout Int64) -> Int32 { evy_adopt_file(file, &size) }

    /// Is it the system that lacks something, not the argument?
    static func isShortage(_ error: Int32) -> Bool {
        error == -EMFILE || error == -ENFILE || error == -ENOMEM
    }

    /// Two connected sockets, the lent one blocking. Result: 0 or -errno.
    static func socketPair(loopEnd: inout Int32, lentEnd: inout Int32) -> Int32 {
        evy_socket_pair(&loopEnd, &lentEnd)
    }

    static func setNonBlocking(_ fd: Int32) { evy_set_nonblocking(fd) }
    static func setBlocking(_ fd: Int32) { evy_set_blocking(fd) }

    static func accept(_ listener: Int32, peer: inout evy_address) -> Int32 { evy_accept(listener, &peer) }

    /// Of a listening socket: see evy_system.h.
    static func ignoreNewcomers(_ listener: Int32) -> Int32 { evy_ignore_newcomers(listener) }
    static func sharesPort(_ listener: Int32) -> Bool { evy_shares_port(listener) != 0 }
    static func pacesByBBR(_ listener: Int32) -> Bool { evy_paces_by_bbr(listener) != 0 }

    static func close(_ fd: Int32) {
        if fd >= 0 { _ = Glibc.close(fd) }
    }

    /// Lets another thread run on this processor.
    static func yield() { _ = sched_yield() }

    static func shutdownWriting(_ fd: Int32) { _ = shutdown(fd, Int32(SHUT_WR)) }
    /// From here on the socket is readable, and ends behind what has come.
    static func shutdownReading(_ fd: Int32) { _ = shutdown(fd, Int32(SHUT_RD)) }

    /// A close that sends RST, so that the peer cannot take a cut answer for a whole one.
    static func closeHard(_ fd: Int32) {
        var value = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
        _ = Glibc.close(fd)
    }

    /// Ends the connection for all who have a copy of the descriptor; hard: with RST, as above.
    static func endForAll(_ fd: Int32, hard: Bool) {
        // connect(2): on Linux to dissolve the association of a connected TCP socket is to reset it.
        var nowhere = sockaddr()
        let isReset = hard && connect(fd, &nowhere, socklen_t(MemoryLayout<sockaddr>.size)) == 0
        if !isReset { _ = shutdown(fd, Int32(SHUT_RDWR)) }
    }

    static func setNoDelay(_ fd: Int32) {
        var one: Int32 = 1
        _ = setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Something waits to be received.
    static func hasInput(_ fd: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(fd, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
    }

    /// Does a client wait on this listening socket?
    static func hasNewcomer(_ fd: Int32) -> Bool {
        var look = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
        return poll(&look, 1, 0) > 0
    }

    static func pendingError(_ fd: Int32) -> Int32 { evy_socket_error(fd) }

    /// Bytes of this connection that the peer's TCP has acknowledged, -1 where unknown.
    static func bytesAcked(_ fd: Int32) -> Int64 { evy_tcp_bytes_acked(fd) }

    /// Says nothing by itself, but is greater once the peer has taken more of what it was sent.
    static func takenMark(_ fd: Int32) -> Int64 { evy_taken_mark(fd) }

    /// Bytes that a reset would destroy for certain; what is on its way arrives ahead of it.
    static func hasUnsent(_ fd: Int32) -> Bool { evy_has_unsent(fd) != 0 }

    /// From here on a TCP socket is writable when it holds nothing that is still to be sent.
    static func tellWhenSent(_ fd: Int32) {
        var lowest: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        _ = setsockopt(fd, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &lowest, size)
    }

    static func localAddress(_ fd: Int32) -> evy_address {
        var address = evy_address()
        _ = evy_socket_name(fd, &address)
        return address
    }

    static func text(of errno: Int32) -> String {
        guard let text = strerror(errno) else { return "error \(errno)" }
        return String(cString: text)
    }
}
