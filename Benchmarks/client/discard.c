/* SPDX-License-Identifier: MIT
 * discard - asks for large answers and lets the kernel throw them away: the load costs so little that the
 * server is the limit, and what the kernel does for a connection is charged to who serves it.
 *   discard PORT PATH COUNT SECONDS   COUNT keep-alive connections, one request at a time on each;
 * The first answer on each connection is read and measured; those behind it must have the same length.
 * The last line on stdout is JSON. One thread, epoll, loopback only. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 256
#define PIECE (1 << 20)
static struct connection {
    int fd;
    long length, left;
    double asked;
} connections[COUNT_MAX];
static char request[512], piece[PIECE];
static unsigned long answers;
static unsigned waits[1000000]; /* microseconds of each answer */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *why) {
    printf("{\"error\":\"%s\"}\n", why);
    exit(1);
}

static void ask(struct connection *c) {
    c->asked = now();
    if (send(c->fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) fail("send");
}

/* The length of one answer, head and body, is learnt from the first. */
static void measure(struct connection *c) {
    size_t have = 0;
    char *end = NULL, *field;
    ask(c);
    while (end == NULL) {
        ssize_t n = recv(c->fd, piece + have, 4096, 0);
        if (n <= 0 || (have += (size_t)n) > PIECE - 8192) fail("no head");
        piece[have] = '\0';
        end = strstr(piece, "\r\n\r\n");
    }
    field = strcasestr(piece, "content-length:");
    if (strncmp(piece, "HTTP/1.1 200", 12) != 0 || field == NULL || field > end) fail("no length");
    c->length = end + 4 - piece + atol(field + 15);
    for (size_t left = (size_t)c->length - have; left > 0;) {
        ssize_t n = recv(c->fd, piece, left < PIECE ? left : PIECE, 0);
        if (n <= 0) fail("cut");
        left -= (size_t)n;
    }
}

static int compare(const void *a, const void *b) {
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc < 5) fail("usage: discard PORT PATH COUNT SECONDS");
    int count = atoi(argv[3]), poller = epoll_create1(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);
    for (int i = 0; i < count && i < COUNT_MAX; i++) {
        struct connection *c = &connections[i];
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (void *)&to, sizeof to) != 0) fail("connect");
        measure(c);
        epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
    }
    double begin = now(), end = begin + atof(argv[4]);
    for (int i = 0; i < count && i < COUNT_MAX; i++) {
        connections[i].left = connections[i].length;
        ask(&connections[i]);
    }
    while (now() < end) {
        struct epoll_event events[COUNT_MAX];
        int n = epoll_wait(poller, events, COUNT_MAX, 1000);
        if (n <= 0) fail("silence");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t got = recv(c->fd, NULL, (size_t)c->left, MSG_TRUNC | MSG_DONTWAIT);
            if (got <= 0 || (c->left -= got) < 0) fail("cut");
            if (c->left > 0) continue;
            if (answers < sizeof waits / sizeof *waits) waits[answers] = (unsigned)((now() - c->asked) * 1e6);
            answers++;
            c->left = c->length;
            ask(c);
        }
    }
    double took = now() - begin;
    size_t known = answers < sizeof waits / sizeof *waits ? answers : sizeof waits / sizeof *waits;
    qsort(waits, known, sizeof *waits, compare);
    printf("{\"requests\":%lu,\"seconds\":%.6f,\"errors\":0,\"p99\":%u}\n", answers, took,
        known ? waits[known * 99 / 100] : 0);
    return 0;
}
