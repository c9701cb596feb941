// SPDX-License-Identifier: MIT
// ServerSteps - a server in a loop of the program's own, instead of on threads of the library.
// Room: Evy (the Swift face). Spec: evy.h, chapter "loops and threads of the host".
internal import CEvy

/// A server that is stepped is not started: the first of these calls takes it over. Handlers run inside the
/// steps, one at a time. They may be called from one thread at a time, not always the same.
///
///     while try server.step() {
///         var watched = pollfd(fd: try server.descriptor, events: Int16(POLLIN), revents: 0)
///         poll(&watched, 1, server.nextDeadline.map { Int32($0 / .milliseconds(1)) } ?? -1)
///     }
extension Server {
    /// The descriptor to watch for input; lent, do not close it.
    /// - Throws: ``EvyError`` `.wrongState` (started otherwise, or with several loops).
    public var descriptor: CInt {
        get throws(EvyError) {
            let descriptor = evy_server_fd(handle)
            guard descriptor >= 0 else {
                throw EvyError(status: evy_status(EVY_E_STATE), detail: evy_server_error(handle))
            }
            return descriptor
        }
    }

    /// The time until a step is due even if the descriptor stays silent; nil: none is.
    public var nextDeadline: Duration? {
        let milliseconds = evy_server_deadline(handle)
        return milliseconds < 0 ? nil : .milliseconds(milliseconds)
    }

    /// Waits for at most `time` until something happens, then serves what is there. False: the server has
    /// stopped, and all is over.
    /// - Throws: ``EvyError`` `.wrongState` (started otherwise; inside another step; with several loops).
    public func step(waiting time: Duration = .zero) throws(EvyError) -> Bool {
        let status = evy_server_step(handle, time.evyMilliseconds)
        try check(status)
        return status != evy_status(EVY_END)
    }
}
