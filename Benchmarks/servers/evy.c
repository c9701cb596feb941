/* SPDX-License-Identifier: MIT
 * evy - the hello server of the benchmarks on evy.h, options at their defaults unless given.
 * usage: evy PORT CERT KEY FILE [OPTION=VALUE...]   ("-" for no certificate)
 *   GET /  13 bytes     GET /1m  1 MiB of memory     POST any  the body's length     GET /1f  FILE
 *   GET /slow  every 5000th sleeps for 50 ms     GET /spin  computes for 100 us
 *   GET /later  is answered by a thread of the host
 * SIGUSR1 makes it write what malloc has given out to stdout: "HEAP bytes"; SIGUSR2 makes it read its
 * certificate again, and write "RELOAD done" or "RELOAD" and why not. */
#define _GNU_SOURCE
#include <evy.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
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
static atomic_ulong slow_asked;
static const char type[] = "Content-Type\0text/plain";

/* ---- answers from another thread ---- */

#define LATER_MAX 4096
static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    evy_req *waiting[LATER_MAX];
    size_t count;
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static void *answer_later(void *user) {
    static evy_req *mine[LATER_MAX];
    for (;;) {
        pthread_mutex_lock(&later.lock);
        while (later.count == 0) pthread_cond_wait(&later.filled, &later.lock);
        size_t count = later.count;
        memcpy(mine, later.waiting, count * sizeof mine[0]);
        later.count = 0;
        pthread_mutex_unlock(&later.lock);
        for (size_t i = 0; i < count; i++) {
            evy_respond(mine[i], 200, NULL, type, sizeof type, "Hello, World!", 13);
            evy_req_release(mine[i]);
        }
    }
    return user;
}

static void defer(evy_req *req) {
    evy_req_retain(req);
    pthread_mutex_lock(&later.lock);
    later.waiting[later.count++] = req;
    if (later.count == 1) pthread_cond_signal(&later.filled);
    pthread_mutex_unlock(&later.lock);
}

static void spin(void) {
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < 100000);
}

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
        } else if (path != NULL && count == 6 && memcmp(path, "/later", 6) == 0) {
            defer(req);
            return;
        } else if (path != NULL && count == 5 && memcmp(path, "/spin", 5) == 0) {
            spin();
        } else if (path != NULL && count == 5 && memcmp(path, "/slow", 5) == 0 &&
                   atomic_fetch_add(&slow_asked, 1) % 5000 == 4999) {
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
    if (argc < 5) return fail("usage", "evy PORT CERT KEY FILE [OPTION=VALUE...]");
    char address[64];
    evy_config *cfg = evy_config_new();
    evy_tls *tls = NULL;
    evy_server *server = NULL;
    sigset_t report;
    int got;
    sigemptyset(&report);
    sigaddset(&report, SIGUSR1);
    sigaddset(&report, SIGUSR2);
    sigprocmask(SIG_BLOCK, &report, NULL);
    file = open(argv[4], O_RDONLY | O_CLOEXEC);
    memset(megabyte, 'x', sizeof megabyte);
    snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
    if (strcmp(argv[2], "-") != 0) {
        tls = evy_tls_new();
        if (evy_tls_cert_file(tls, NULL, argv[2], argv[3], NULL) < 0) return fail("tls", evy_tls_error(tls));
    }
    evy_config_on_request(cfg, answer, NULL, NULL);
    evy_config_set(cfg, "max_connections", "20000");
    evy_config_set(cfg, "backlog", "4096");
    for (int i = 5; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value == NULL) return fail("no value", argv[i]);
        *value = '\0';
        if (evy_config_set(cfg, argv[i], value + 1) < 0) return fail("option", evy_config_error(cfg));
    }
    if (evy_config_listen(cfg, address, tls) < 0 || evy_server_new(cfg, &server) < 0) {
        return fail("server", evy_config_error(cfg));
    }
    evy_config_free(cfg);
    pthread_t answerer;
    pthread_create(&answerer, NULL, answer_later, NULL);
    if (evy_server_start(server) < 0) return fail("start", evy_server_error(server));
    while (sigwait(&report, &got) == 0) {
        if (got == SIGUSR1) {
            struct mallinfo2 made = mallinfo2();
            printf("HEAP %zu\n", made.uordblks + made.hblkhd);
        } else {
            int reloaded = evy_tls_reload(tls) == EVY_OK;
            printf("RELOAD %s\n", reloaded ? "done" : evy_tls_error(tls));
        }
        fflush(stdout);
    }
    return 0;
}
