/* SPDX-License-Identifier: MIT
 * evy_system.h - what Swift's Glibc module lacks: epoll, eventfd, accept4, TCP_INFO, futex.
 * Every call returns its result or -errno, and retries EINTR where that is the only sense. */
#ifndef EVY_SYSTEM_H
#define EVY_SYSTEM_H
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- epoll and eventfd ---- */
static inline int evy_epoll_create(void) {
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
static inline int evy_epoll_control(int ep, int op, int fd, uint32_t events, uint64_t token) {
    struct epoll_event e;
    e.events = events;
    e.data.u64 = token;
    return epoll_ctl(ep, op, fd, &e) < 0 ? -errno : 0;
}
static inline int evy_epoll_wait(int ep, struct epoll_event *out, int max, int timeout_ms) {
    int n = epoll_wait(ep, out, max, timeout_ms);
    return n < 0 ? -errno : n;
}
static inline uint32_t evy_event_bits(const struct epoll_event *e) { return e->events; }
static inline uint64_t evy_event_token(const struct epoll_event *e) { return e->data.u64; }
static inline int evy_eventfd(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* ---- sockets ---- */
/* A peer or local address small enough to be kept by every connection. */
typedef struct {
    uint8_t bytes[16]; /* network order; the first 4 for IPv4 */
    uint16_t port;
    uint8_t family; /* 0 none, 4, 6, 1 unix */
} evy_address;

static inline int evy_same_host(const evy_address *a, const evy_address *b) {
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static inline void evy_address_from(evy_address *out, const struct sockaddr_storage *s) {
    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)s;
        memcpy(out->bytes, &a->sin_addr, 4);
        out->port = ntohs(a->sin_port);
        out->family = 4;
    } else if (s->ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)s;
        out->port = ntohs(a->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr)) {
            /* An IPv4 client of a socket for both: it is to look like one everywhere. */
            memcpy(out->bytes, a->sin6_addr.s6_addr + 12, 4);
            out->family = 4;
        } else {
            memcpy(out->bytes, &a->sin6_addr, 16);
            out->family = 6;
        }
    } else {
        out->port = 0;
        out->family = s->ss_family == AF_UNIX ? 1 : 0;
    }
}
static inline int evy_accept(int fd, evy_address *peer) {
    struct sockaddr_storage s;
    socklen_t n = sizeof s;
    s.ss_family = AF_UNSPEC;
    /* By number: accept4 itself needs _GNU_SOURCE, which would part this module from Glibc. */
    int c = (int)syscall(SYS_accept4, fd, &s, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c < 0) return -errno;
    evy_address_from(peer, &s);
    return c;
}
static inline int evy_socket_name(int fd, evy_address *out) {
    struct sockaddr_storage s;
    socklen_t n = sizeof s;
    if (getsockname(fd, (struct sockaddr *)&s, &n) < 0) return -errno;
    evy_address_from(out, &s);
    return 0;
}
/* By number: in a threaded program the C library's own recv and send also keep the books of thread
 * cancellation, sixty instructions a call; no thread of ours is ever cancelled. */
static inline ssize_t evy_recv(int fd, void *buf, size_t n) {
    for (;;) {
        ssize_t r = syscall(SYS_recvfrom, fd, buf, n, 0, NULL, NULL);
        if (r >= 0) return r;
        if (errno != EINTR) return -errno;
    }
}
static inline ssize_t evy_peek(int fd, void *buf, size_t n) {
    for (;;) {
        ssize_t r = syscall(SYS_recvfrom, fd, buf, n, MSG_PEEK, NULL, NULL);
        if (r >= 0) return r;
        if (errno != EINTR) return -errno;
    }
}
/* MSG_NOSIGNAL: a peer that left must never raise SIGPIPE in the host. */
static inline ssize_t evy_send(int fd, const void *buf, size_t n) {
    for (;;) {
        ssize_t r = syscall(SYS_sendto, fd, buf, n, MSG_NOSIGNAL, NULL, 0);
        if (r >= 0) return r;
        if (errno != EINTR) return -errno;
    }
}
static inline ssize_t evy_send2(int fd, const void *a, size_t an, const void *b, size_t bn) {
    struct iovec v[2] = {{(void *)a, an}, {(void *)b, bn}};
    struct msghdr m;
    memset(&m, 0, sizeof m);
    m.msg_iov = v;
    m.msg_iovlen = 2;
    for (;;) {
        ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (r >= 0) return r;
        if (errno != EINTR) return -errno;
    }
}
/* More follows at once: the kernel may wait for it to fill a packet. */
static inline ssize_t evy_send_more(int fd, const void *buf, size_t n) {
    for (;;) {
        ssize_t r = syscall(SYS_sendto, fd, buf, n, MSG_NOSIGNAL | MSG_MORE, NULL, 0);
        if (r >= 0) return r;
        if (errno != EINTR) return -errno;
    }
}
/* sendfile knows no MSG_NOSIGNAL: a SIGPIPE of ours is blocked, taken and never seen by the host.
 * One that waits already is not ours; that can only be where the thread has it blocked. */
static inline ssize_t evy_sendfile(int fd, int file, int64_t offset, size_t n) {
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    int was_blocked = sigismember(&before, SIGPIPE), was_pending = 0;
    if (was_blocked) {
        sigpending(&pending);
        was_pending = sigismember(&pending, SIGPIPE);
    }
    ssize_t r;
    do {
        off_t place = (off_t)offset;
        r = sendfile(fd, file, &place, n);
    } while (r < 0 && errno == EINTR);
    ssize_t result = r < 0 ? -errno : r;
    /* A connection that breaks between two pieces gives the signal and the count of the first. */
    int may_be_broken = result == -EPIPE || (result >= 0 && (size_t)result < n);
    if (may_be_broken && !was_pending) {
        struct timespec at_once = {0, 0};
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR) {}
    }
    if (!was_blocked) pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}
static inline ssize_t evy_pread(int file, void *buf, size_t n, int64_t offset) {
    for (;;) {
        ssize_t r = pread(file, buf, n, (off_t)offset);
        if (r >= 0) return r;
        if (errno != EINTR) return -errno;
    }
}
/* A duplicate of a regular file of the host and its size; -errno, -EINVAL: no regular file. */
static inline int evy_adopt_file(int file, int64_t *size) {
    struct stat facts;
    if (fstat(file, &facts) < 0) return -errno;
    if (!S_ISREG(facts.st_mode)) return -EINVAL;
    *size = (int64_t)facts.st_size;
    int copy = fcntl(file, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}
/* Two connected stream sockets: the first for a loop, the second to be lent out, blocking. */
static inline int evy_socket_pair(int *loop_end, int *lent_end) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return -errno;
    fcntl(pair[0], F_SETFL, fcntl(pair[0], F_GETFL) | O_NONBLOCK);
    *loop_end = pair[0];
    *lent_end = pair[1];
    return 0;
}
static inline void evy_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}
static inline void evy_set_blocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); }
/* The listening socket takes no SYN any more; handshakes under way still come to their end. Nobody is
 * refused: who knocks does so again a second later. 0 or -errno. */
static inline int evy_ignore_newcomers(int fd) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),    /* the flags of the TCP header */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12), /* SYN, ACK */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog filter = {sizeof steps / sizeof steps[0], steps};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}
static inline int evy_shares_port(int fd) {
    int value = 0;
    socklen_t n = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &n) == 0 && value != 0;
}
/* Whether the connections of a listening socket get their congestion control from the bbr family. */
static inline int evy_paces_by_bbr(int fd) {
    char name[16] = "";
    socklen_t n = sizeof name;
    return getsockopt(fd, IPPROTO_TCP, 13 /* TCP_CONGESTION */, name, &n) == 0 && memcmp(name, "bbr", 3) == 0;
}
static inline int evy_socket_error(int fd) {
    int e = 0;
    socklen_t n = sizeof e;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0 ? errno : e;
}
/* tcpi_bytes_acked lies at offset 120 of the kernel's struct tcp_info (since 4.1), behind
 * what the C library declares; -1 where the kernel or the socket has none. */
static inline int64_t evy_tcp_bytes_acked(int fd) {
    unsigned char info[256];
    socklen_t n = sizeof info;
    uint64_t acked;
    if (getsockopt(fd, IPPROTO_TCP, 11 /* TCP_INFO */, info, &n) < 0 || n < 128) return -1;
    memcpy(&acked, info + 120, sizeof acked);
    return (int64_t)acked;
}

/* Grows as the peer takes what it was sent: acknowledged bytes; of a unix socket less what still lies in
 * its queue (SIOCOUTQ), which only reading shortens. */
static inline int64_t evy_taken_mark(int fd) {
    int64_t acked = evy_tcp_bytes_acked(fd);
    int queued = 0;
    if (acked >= 0) return acked;
    return ioctl(fd, 0x5411 /* SIOCOUTQ */, &queued) == 0 ? -(int64_t)queued : -1;
}

/* Does a TCP socket hold bytes that were not even sent once (SIOCOUTQNSD)? */
static inline int evy_has_unsent(int fd) {
    int unsent = 0;
    return ioctl(fd, 0x894b /* SIOCOUTQNSD */, &unsent) == 0 && unsent > 0;
}

/* ---- time ---- */
static inline int64_t evy_monotonic_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline int64_t evy_realtime_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return t.tv_sec;
}

static inline struct timespec evy_timespec(int64_t ns) {
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    return t;
}

/* ---- chance ---- */
/* 0, or -errno: never waits for more of it. */
static inline int evy_random(void *out, size_t count) {
    long n = syscall(SYS_getrandom, out, count, 1 /* GRND_NONBLOCK */);
    return n < 0 ? -errno : (size_t)n == count ? 0 : -EAGAIN;
}

/* ---- futex ---- */
/* Waits while *word == expected; timeout_ns < 0: for ever.  Returns 0 or -errno. */
static inline int evy_futex_wait(const void *word, uint32_t expected, int64_t timeout_ns) {
    struct timespec t = evy_timespec(timeout_ns < 0 ? 0 : timeout_ns);
    long r = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &t, NULL, 0);
    return r < 0 ? -errno : 0;
}
static inline void evy_futex_wake(const void *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* ---- threads ---- */
static inline uintptr_t evy_thread_self(void) { return (uintptr_t)pthread_self(); }
/* Library threads take no signals: those belong to the host's threads. */
static inline void evy_thread_block_signals(sigset_t *old) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, old);
}
static inline void evy_thread_restore_signals(const sigset_t *old) {
    pthread_sigmask(SIG_SETMASK, old, NULL);
}
static inline void evy_thread_name(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
/* Changes in a forked child, unlike a cached process id. */
static inline int evy_process(void) { return (int)getpid(); }

/* Processors that the calling thread may run on; 0: not known. By number, as above. */
static inline int evy_processors(void) {
    unsigned long mask[128] = {0};
    int count = 0;
    long filled = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    for (long i = 0; i < filled / (long)sizeof *mask; i++) {
        count += __builtin_popcountl(mask[i]);
    }
    return count;
}

#endif
