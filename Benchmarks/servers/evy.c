/* SPDX-License-Identifier: MIT
 * evy - the hello server of the benchmarks on evy.h, everything but the threads at its default.
 * usage: evy PORT CERT KEY FILE [THREADS [SLOW]]   ("-" for no certificate)
 *   GET /  13 bytes     GET /1m  1 MiB of memory     POST any  the body's length     GET /1f  FILE
 * With SLOW, every SLOW-th request to /slow sleeps for 50 ms in its handler.
 * SIGUSR1 makes it write what malloc has given out to stdout: "HEAP bytes". */
#define _GNU_SOURCE
#include <evy.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
static char megabyte[MIB];
static int file = -1;
static unsigned long slow_every;
static atomic_ulong slow_asked;
static const char type[] = "Content-Type\0text/plain";

static void answer(void *user, evy_req *req) {
    const char *body = "Hello, World!";
    size_t length = 13;
    char number[24];
    size_t posted = 0;
    (void)user;
    if (evy_body_length(req) != 0) {
        evy_body_buffer(req, &posted);
        length = (size_t)snprintf(number, sizeof number, "%zu", posted);
        body = number;
    } else {
        size_t count = 0;
        const char *path = evy_env_get(req, "RAW_PATH_INFO", &count);
        if (path != NULL && count == 3 && memcmp(path, "/1m", 3) == 0) {
            evy_respond_ref(req, 200, NULL, type, sizeof type, megabyte, MIB, NULL, NULL);
            return;
        } else if (path != NULL && count == 3 && memcmp(path, "/1f", 3) == 0) {
            evy_resp_begin(req, 200, NULL, type, sizeof type, MIB);
            evy_resp_file(req, file, 0, MIB);
            evy_resp_end(req, NULL, 0);
            return;
        } else if (slow_every > 0 && path != NULL && count == 5 && memcmp(path, "/slow", 5) == 0 &&
                   atomic_fetch_add(&slow_asked, 1) % slow_every == slow_every - 1) {
            struct timespec pause = {0, 50000000};
            nanosleep(&pause, NULL);
        }
    }
    evy_respond(req, 200, NULL, type, sizeof type, body, length);
}

static int fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 5) return fail("usage", "evy PORT CERT KEY FILE [THREADS [SLOW]]");
    char address[64];
    evy_config *cfg = evy_config_new();
    evy_tls *tls = NULL;
    evy_server *server = NULL;
    sigset_t report;
    int got;
    sigemptyset(&report);
    sigaddset(&report, SIGUSR1);
    sigprocmask(SIG_BLOCK, &report, NULL);
    file = open(argv[4], O_RDONLY | O_CLOEXEC);
    memset(megabyte, 'x', sizeof megabyte);
    slow_every = argc > 6 ? strtoul(argv[6], NULL, 10) : 0;
    snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
    if (strcmp(argv[2], "-") != 0) {
        tls = evy_tls_new();
        if (evy_tls_cert_file(tls, NULL, argv[2], argv[3], NULL) < 0) return fail("tls", evy_tls_error(tls));
    }
    evy_config_on_request(cfg, answer, NULL, NULL);
    evy_config_set(cfg, "max_connections", "20000");
    evy_config_set(cfg, "backlog", "4096");
    if (argc > 5 && evy_config_set(cfg, "threads", argv[5]) < 0) {
        return fail("threads", evy_config_error(cfg));
    }
    if (evy_config_listen(cfg, address, tls) < 0 || evy_server_new(cfg, &server) < 0) {
        return fail("server", evy_config_error(cfg));
    }
    evy_config_free(cfg);
    evy_tls_free(tls);
    if (evy_server_start(server) < 0) return fail("start", evy_server_error(server));
    while (sigwait(&report, &got) == 0) {
        struct mallinfo2 made = mallinfo2();
        printf("HEAP %zu\n", made.uordblks + made.hblkhd);
        fflush(stdout);
    }
    return 0;
}
