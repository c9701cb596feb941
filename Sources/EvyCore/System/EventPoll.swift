// SPDX-License-Identifier: MIT
// EventPoll - one epoll set with its own wake-up descriptor.
// Room: System. Spec: epoll(7), eventfd(2).

internal import CSystem
internal import Glibc

/// What a descriptor is watched for, and what was seen on it.
struct EventSet: OptionSet {
    let rawValue: UInt32
    static let readable = EventSet(rawValue: 0x001)  // EPOLLIN
    static let writable = EventSet(rawValue: 0x004)  // EPOLLOUT
    static let error = EventSet(rawValue: 0x008)  // EPOLLERR, always reported
    static let hangUp = EventSet(rawValue: 0x010)  // EPOLLHUP, always reported
    static let peerClosed = EventSet(rawValue: 0x2000)  // EPOLLRDHUP
    /// Of the sets that watch the same socket only some are woken; for `add` alone.
    static let exclusive = EventSet(rawValue: 1 << 28)  // EPOLLEXCLUSIVE
}

/// Ownership: owns both descriptors, closes them in deinit.
/// Thread:    wait belongs to the thread that holds the loop; wake may be called by any.
struct EventPoll: ~Copyable {
    static let batchMax = 256
    static let wakeToken = UInt64.max

    let descriptor: Int32
    let wakeDescriptor: Int32
    private let events: UnsafeMutablePointer<epoll_event>

    /// nil with the errno when the process has no descriptors left.
    init?(error: inout Int32) {
        let poll = evy_epoll_create()
        let wake = poll < 0 ? poll : evy_eventfd()
        descriptor = poll
        wakeDescriptor = wake
        events = .allocate(capacity: Self.batchMax)
        let added = wake < 0 ? wake : evy_epoll_control(poll, EPOLL_CTL_ADD, wake, 1, Self.wakeToken)
        if added < 0 {
            error = -added
            return nil
        }
    }

    deinit {
        SystemCalls.close(descriptor)
        SystemCalls.close(wakeDescriptor)
        events.deallocate()
    }

    func add(_ fd: Int32, _ interest: EventSet, token: UInt64) -> Int32 {
        evy_epoll_control(descriptor, EPOLL_CTL_ADD, fd, interest.rawValue, token)
    }

    /// One that is not watched is added.
    func change(_ fd: Int32, _ interest: EventSet, token: UInt64) {
        let error = evy_epoll_control(descriptor, EPOLL_CTL_MOD, fd, interest.rawValue, token)
        if error == -ENOENT { _ = add(fd, interest, token: token) }
    }

    func remove(_ fd: Int32) {
        _ = evy_epoll_control(descriptor, EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// The number of events, now readable by `event(at:)`; 0 when the time passed or a signal came.
    @inline(__always)
    func wait(milliseconds: Int32) -> Int {
        let count = evy_epoll_wait(descriptor, events, Int32(Self.batchMax), milliseconds)
        return count < 0 ? 0 : Int(count)
    }

    @inline(__always)
    func event(at index: Int) -> (token: UInt64, events: EventSet) {
        let event = UnsafePointer(events + index)
        return (evy_event_token(event), EventSet(rawValue: evy_event_bits(event)))
    }

    /// Ends a wait, or the next one.
    func wake() {
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }

    func acknowledgeWake() {
        var count: UInt64 = 0
        _ = read(wakeDescriptor, &count, 8)
    }
}
