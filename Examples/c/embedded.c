/* SPDX-License-Identifier: MIT
 * embedded - a program with work of its own (a tick each 100 ms) that holds two web servers.
 * cc embedded.c $(pkg-config --cflags --libs evy) -o embedded && ./embedded
 * The first server answers on threads of the library, the second one inside the program's own poll loop.
 * /stop ends a server, and the program ends with the last one.
 * The program then compares itself with what it was at the start: no thread, descriptor or signal
 * disposition more, less or different. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <evy.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct {
    const char *name;
    evy_server *server;
    atomic_int requests;
    atomic_bool wants_stop; /* set by the handler, seen by the next tick */
} embedded;

static void answer(void *user, evy_req *req) {
    embedded *self = user;
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    char body[64];
    snprintf(body, sizeof body, "%s %d\n", self->name, atomic_fetch_add(&self->requests, 1) + 1);
    evy_respond(req, 200, NULL, NULL, 0, body, strlen(body));
    if (path != NULL && strcmp(path, "/stop") == 0) {
        atomic_store(&self->wants_stop, 1);
    }
}

static int serve(embedded *self, const char *name, int own_thread) {
    evy_config *cfg = evy_config_new();
    self->name = name;
    evy_config_on_request(cfg, answer, self, NULL);
    evy_status st = evy_config_listen(cfg, "127.0.0.1:0", NULL);
    if (st < 0 || (st = evy_server_new(cfg, &self->server)) < 0) {
        fprintf(stderr, "embedded: %s\n", evy_config_error(cfg));
    } else if (own_thread && (st = evy_server_start(self->server)) < 0) {
        fprintf(stderr, "embedded: %s\n", evy_server_error(self->server));
    } else {
        printf("http://127.0.0.1:%d/\n", (int)evy_server_port(self->server, 0));
    }
    evy_config_free(cfg);
    return st < 0 ? -1 : 0;
}

static void stop(embedded *self) {
    evy_server_stop(self->server, 1000); /* let requests finish for a second */
    evy_server_wait(self->server, -1);
    evy_server_free(self->server);
    self->server = NULL;
    printf("%s stopped after %d requests\n", self->name, atomic_load(&self->requests));
}

/* ---- what the process is like ------------------------------------------------------ */

typedef struct {
    int threads, descriptors;
    unsigned long long handled; /* a bit per signal that is caught or ignored */
} footprint;

static int entries(const char *folder) {
    int count = 0;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return -1;
    }
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static footprint look(void) {
    footprint now = {entries("/proc/self/task"), entries("/proc/self/fd"), 0};
    for (int number = 1; number <= 64; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
            now.handled |= 1ULL << (number - 1);
        }
    }
    return now;
}

/* ---- the program's own work -------------------------------------------------------- */

static long long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits until a moment, and serves the stepped server meanwhile. */
static void wait_until(long long moment, embedded *stepped) {
    long long left;
    while ((left = moment - milliseconds()) > 0) {
        if (stepped->server == NULL) {
            poll(NULL, 0, (int)left);
            continue;
        }
        struct pollfd socket = {evy_server_fd(stepped->server), POLLIN, 0};
        int64_t due = evy_server_deadline(stepped->server);
        poll(&socket, 1, due >= 0 && due < left ? (int)due : (int)left);
        if (evy_server_step(stepped->server, 0) == EVY_END) {
            evy_server_free(stepped->server);
            stepped->server = NULL;
            printf("%s stopped after %d requests\n", stepped->name, atomic_load(&stepped->requests));
        }
    }
}

int main(void) {
    static embedded first, second;
    footprint before = look();
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (serve(&first, "first", 1) < 0 || serve(&second, "second", 0) < 0) {
        return 1;
    }
    long long longest = 0, last = milliseconds();
    while (first.server != NULL || second.server != NULL) {
        wait_until(last + 100, &second);
        long long gap = milliseconds() - last;
        longest = gap > longest ? gap : longest;
        if (first.server != NULL && atomic_load(&first.wants_stop)) {
            stop(&first);
        }
        if (second.server != NULL && atomic_load(&second.wants_stop)) {
            evy_server_stop(second.server, 1000); /* further steps bring it to its end */
        }
        last = milliseconds(); /* stopping waits for the first server, so it is no part of a tick */
    }
    footprint after = look();
    printf("longest tick: %lld ms\n", longest);
    printf("threads %d -> %d, descriptors %d -> %d, signals %llx -> %llx\n", before.threads, after.threads,
           before.descriptors, after.descriptors, before.handled, after.handled);
    return before.threads != after.threads || before.descriptors != after.descriptors ||
           before.handled != after.handled;
}
