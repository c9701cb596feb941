/* SPDX-License-Identifier: MIT
 * connections - the loads that wrk does not make. One thread, epoll, loopback only.
 *   connections hs PORT COUNT SECONDS        TLS 1.3: connect, handshake, GET, close, COUNT at a time
 *   connections idle PORT COUNT plain|tls    one GET on each, print READY, hold them until stdin closes
 * The last line on stdout is JSON. */
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

enum state { connecting, greeting, asking, reading, holding };
struct connection {
    int fd, writes;
    enum state state;
    SSL *ssl;
    char in[512];
    size_t count;
};
static int poller, port, holds;
static SSL_CTX *ctx;
static unsigned long ready, finished, errors;
static double end;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static void start(struct connection *c) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    int one = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = connecting;
    c->count = 0;
    c->writes = 1;
    if (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
    if (ctx) {
        c->ssl = SSL_new(ctx);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        SSL_set_tlsext_host_name(c->ssl, "localhost");
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}
static void watch_writes(struct connection *c, int writes) {
    struct epoll_event e = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = c};
    if (c->writes != writes) epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
    c->writes = writes;
}
static void finish(struct connection *c) {
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        c->ssl = NULL;
        ERR_clear_error();
    }
    close(c->fd);
    if (!holds && now() < end) start(c);
}
static void fail(struct connection *c) {
    if (++errors > 1000 || holds) {
        printf("{\"error\":\"too many errors\",\"ready\":%lu}\n", ready);
        exit(1);
    }
    finish(c);
}
/* > 0 bytes, 0 the end, -1 not yet */
static ssize_t take(struct connection *c, char *to, size_t count) {
    ssize_t got = ctx ? SSL_read(c->ssl, to, (int)count) : read(c->fd, to, count);
    if (got > 0) return got;
    if (!ctx) return got == 0 || errno != EAGAIN ? 0 : -1;
    int error = SSL_get_error(c->ssl, (int)got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return -1;
    ERR_clear_error();
    return 0;
}
static void greet(struct connection *c) {
    int done = SSL_connect(c->ssl);
    if (done == 1) {
        c->state = asking;
        return;
    }
    int error = SSL_get_error(c->ssl, done);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        watch_writes(c, error == SSL_ERROR_WANT_WRITE);
        return;
    }
    ERR_clear_error();
    fail(c);
}
static void ask(struct connection *c) {
    const char *request = holds ? "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                                : "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    int count = (int)strlen(request);
    int put = ctx ? SSL_write(c->ssl, request, count)
                  : (int)send(c->fd, request, (size_t)count, MSG_NOSIGNAL);
    if (put != count) return fail(c);
    c->state = reading;
    watch_writes(c, 0);
}
static void hear(struct connection *c) {
    ssize_t got = take(c, c->in + c->count, sizeof c->in - 1 - c->count);
    if (got < 0) return;
    if (got == 0) return fail(c);
    c->count += (size_t)got;
    c->in[c->count] = 0;
    if (!strstr(c->in, "World!")) return;
    if (strncmp(c->in + 8, " 200", 4)) return fail(c);
    if (holds) {
        c->state = holding;
        ready++;
    } else {
        finished++;
        finish(c);
    }
}
static void step(struct connection *c) {
    char rest[64];
    if (c->state == connecting) {
        int error = 0;
        socklen_t count = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &count);
        if (error) return fail(c);
        c->state = ctx ? greeting : asking;
    }
    if (c->state == greeting) greet(c);
    if (c->state == asking) return ask(c);
    if (c->state == reading) return hear(c);
    if (c->state == holding && take(c, rest, sizeof rest) == 0) {
        ready--;
        errors++;
        c->state = connecting;
        finish(c);
    }
}
/* False: stdin was closed. */
static int turn(void) {
    struct epoll_event events[512];
    int count = epoll_wait(poller, events, 512, 100);
    for (int i = 0; i < count; i++) {
        char byte;
        if (events[i].data.ptr) {
            step(events[i].data.ptr);
        } else if (read(0, &byte, 1) <= 0) {
            return 0;
        }
    }
    return 1;
}
static void use_tls(void) {
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
}
int main(int argc, char **argv) {
    if (argc < 5) return 2;
    signal(SIGPIPE, SIG_IGN);
    holds = !strcmp(argv[1], "idle");
    port = atoi(argv[2]);
    unsigned long count = strtoul(argv[3], NULL, 10), started = 0;
    if (!holds || !strcmp(argv[4], "tls")) use_tls();
    poller = epoll_create1(0);
    struct connection *all = calloc(count, sizeof *all);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    double begin = now();
    end = begin + (holds ? 120 : atof(argv[4])); /* nothing here may last for ever */
    if (holds) epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input);
    for (int told = 0; now() < end && turn();) {
        while (started < count && (!holds || started - ready < 64)) start(&all[started++]);
        if (holds && !told && ready >= count) told = printf("READY\n") && fflush(stdout) == 0;
    }
    printf("{\"requests\":%lu,\"seconds\":%.3f,\"errors\":%lu,\"ready\":%lu}\n", finished,
           now() - begin, errors, ready);
    return 0;
}
