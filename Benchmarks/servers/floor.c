/* SPDX-License-Identifier: MIT
 * floor - what the kernel and OpenSSL cost alone: epoll, read, a canned answer. One thread, no parser (it
 * looks for the blank line, Content-Length and Connection: close), no allocation per request. What a server
 * costs above it is the server's own doing.
 * usage: floor PORT CERT KEY FILE   ("-" for no certificate; FILE is not served)
 *   GET /  13 bytes     GET /1m  1 MiB of memory     POST any  the body's length */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
struct connection {
    int fd, closes, greeted;
    SSL *ssl;
    char *in; /* a partial head only */
    size_t held;
    size_t body_left, body_count;
    char *out; /* what the socket did not take */
    size_t out_count, out_sent;
    const char *large; /* the rest of a large body */
    size_t large_left;
};
static int poller;
static SSL_CTX *ctx;
static char megabyte[MIB], input[256 * 1024], output[512 * 1024];
static char hello[512], date[64];
static size_t hello_count;
static time_t second;

static size_t write_head(char *to, size_t length) {
    return (size_t)sprintf(to,
                           "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                           "Content-Length: %zu\r\n\r\n",
                           date, length);
}
static void read_clock(void) {
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec == second) return;
    second = now.tv_sec;
    gmtime_r(&second, &parts);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    hello_count = write_head(hello, 13);
    memcpy(hello + hello_count, "Hello, World!", 13);
    hello_count += 13;
}
static void drop(struct connection *c) {
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        ERR_clear_error();
    }
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}
static ssize_t take(struct connection *c, void *to, size_t count) {
    if (!c->ssl) return read(c->fd, to, count);
    int got = SSL_read(c->ssl, to, (int)count);
    if (got > 0) return got;
    int error = SSL_get_error(c->ssl, got);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    if (errno == EIO) ERR_clear_error();
    return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}
static ssize_t give(struct connection *c, const void *from, size_t count) {
    if (!c->ssl) return send(c->fd, from, count, MSG_NOSIGNAL);
    int put = SSL_write(c->ssl, from, (int)count);
    if (put > 0) return put;
    int error = SSL_get_error(c->ssl, put);
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    if (errno == EIO) ERR_clear_error();
    return -1;
}
/* 1 all sent, 0 would block, -1 dead */
static int flush(struct connection *c) {
    while (c->out_sent < c->out_count) {
        ssize_t put = give(c, c->out + c->out_sent, c->out_count - c->out_sent);
        if (put < 0) return errno == EAGAIN ? 0 : -1;
        c->out_sent += (size_t)put;
    }
    free(c->out);
    c->out = NULL;
    c->out_count = c->out_sent = 0;
    while (c->large_left) {
        ssize_t put = give(c, c->large, c->large_left);
        if (put < 0) return errno == EAGAIN ? 0 : -1;
        c->large += put;
        c->large_left -= (size_t)put;
    }
    return 1;
}
static int emit(struct connection *c, const char *from, size_t count) {
    if (!c->out) {
        ssize_t put = give(c, from, count);
        if (put < 0 && errno != EAGAIN) return -1;
        if (put > 0) {
            from += put;
            count -= (size_t)put;
        }
    }
    if (count == 0) return 0;
    c->out = realloc(c->out, c->out_count + count);
    memcpy(c->out + c->out_count, from, count);
    c->out_count += count;
    return 0;
}
static void watch(struct connection *c, unsigned events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}
static size_t answer_post(struct connection *c, char *to) {
    char number[24];
    size_t digits = (size_t)sprintf(number, "%zu", c->body_count);
    size_t head = write_head(to, digits);
    memcpy(to + head, number, digits);
    return head + digits;
}
/* Answers the request whose head this is; the bytes written. */
static size_t answer(struct connection *c, char *head, size_t count, char *to) {
    if (memmem(head, count, "onnection: close", 16)) c->closes = 1;
    if (*head == 'P') {
        char *length = memmem(head, count, "ontent-Length: ", 15);
        c->body_left = c->body_count = length ? strtoul(length + 15, NULL, 10) : 0;
        return c->body_left ? 0 : answer_post(c, to);
    }
    if (head[5] == '1' && head[6] == 'm') {
        c->large = megabyte;
        c->large_left = MIB;
        return write_head(to, MIB);
    }
    memcpy(to, hello, hello_count);
    return hello_count;
}
/* All requests in the input; the bytes to send, -1: not to be served. */
static ssize_t serve(struct connection *c, size_t count) {
    size_t at = 0, made = 0;
    while (at < count && !c->large_left && made < sizeof output - 1024) {
        if (c->body_left) {
            size_t part = count - at < c->body_left ? count - at : c->body_left;
            at += part;
            c->body_left -= part;
            if (!c->body_left) made += answer_post(c, output + made);
            continue;
        }
        char *head = input + at, *end = memmem(head, count - at, "\r\n\r\n", 4);
        if (!end) {
            c->held = count - at;
            if (c->held > 65536) return -1;
            c->in = realloc(c->in, 65536);
            memcpy(c->in, head, c->held);
            break;
        }
        size_t length = (size_t)(end - head) + 4;
        at += length;
        made += answer(c, head, length, output + made);
    }
    if (!c->held && c->in) {
        free(c->in);
        c->in = NULL;
    }
    return (ssize_t)made;
}
/* False: the connection waits, or is gone. */
static int greet(struct connection *c) {
    int done = SSL_accept(c->ssl);
    if (done == 1) return c->greeted = 1;
    int error = SSL_get_error(c->ssl, done);
    if (error == SSL_ERROR_WANT_WRITE) watch(c, EPOLLIN | EPOLLOUT);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        drop(c);
    }
    return 0;
}
static void ready(struct connection *c, unsigned events) {
    if (ctx && !c->greeted && !greet(c)) return;
    if (c->out || c->large_left) {
        int sent = flush(c);
        if (sent < 0 || (sent && c->closes)) drop(c);
        if (sent <= 0 || c->closes) return;
        watch(c, EPOLLIN);
    } else if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        return;
    }
    do {
        size_t held = c->held;
        if (held) memcpy(input, c->in, held);
        ssize_t got = take(c, input + held, c->ssl ? 16384 : 65536);
        if (got < 0 && errno == EAGAIN) return;
        c->held = 0;
        ssize_t made = got <= 0 ? -1 : serve(c, held + (size_t)got);
        if (made < 0 || (made > 0 && emit(c, output, (size_t)made) < 0)) return drop(c);
        if (c->out || c->large_left) {
            int sent = flush(c);
            if (sent < 0) return drop(c);
            if (sent == 0) return watch(c, EPOLLOUT);
        }
        if (made && c->closes && !c->body_left) return drop(c);
    } while (c->ssl && SSL_pending(c->ssl));
}
static int choose(SSL *s, const unsigned char **out, unsigned char *count, const unsigned char *in,
                  unsigned in_count, void *user) {
    static const unsigned char http11[] = "\x08http/1.1";
    (void)s;
    (void)user;
    return SSL_select_next_proto((unsigned char **)out, count, http11, 9, in, in_count) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}
static void accept_some(int listener) {
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        if (ctx) {
            c->ssl = SSL_new(ctx);
            SSL_set_fd(c->ssl, fd);
            SSL_set_accept_state(c->ssl);
        }
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}
static int open_listener(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited */
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) {
        perror("bind");
        exit(1);
    }
    return fd;
}
int main(int argc, char **argv) {
    if (argc < 4) return 2;
    signal(SIGPIPE, SIG_IGN);
    memset(megabyte, 'x', MIB);
    if (strcmp(argv[2], "-")) {
        ctx = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1 ||
            SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_alpn_select_cb(ctx, choose, NULL);
    }
    int listener = open_listener(atoi(argv[1]));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        read_clock();
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) {
                ready(events[i].data.ptr, events[i].events);
            } else {
                accept_some(listener);
            }
        }
    }
}
