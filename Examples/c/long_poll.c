/* SPDX-License-Identifier: MIT
 * long_poll - a request waits for news, answered later by whoever brings some, or after a while with 204.
 * cc long_poll.c $(pkg-config --cflags --libs evy) -lpthread -o long_poll && ./long_poll [PORT [SECONDS]]
 * curl http://127.0.0.1:8090/wait &   curl "http://127.0.0.1:8090/say?hello" */
#include <evy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A request that waits: retained, and in the list until somebody takes it out to answer it. */
struct waiter {
    evy_req *req;
    time_t since;
    struct waiter *next;
};
static struct waiter *waiters;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long patience = 25;

/* Takes out all that have waited for `age` seconds, or one (only) of them. */
static struct waiter *take(struct waiter *only, time_t age) {
    struct waiter *taken = NULL;
    time_t now = time(NULL);
    pthread_mutex_lock(&lock);
    for (struct waiter **place = &waiters; *place != NULL;) {
        struct waiter *waiter = *place;
        if ((only != NULL && waiter != only) || now - waiter->since < age) {
            place = &waiter->next;
            continue;
        }
        *place = waiter->next;
        waiter->next = taken;
        taken = waiter;
    }
    pthread_mutex_unlock(&lock);
    return taken;
}

/* Answers each of them; evy frees a waiter (drop) when its request is over. */
static int answer_all(struct waiter *taken, int status, const char *text) {
    int count = 0;
    while (taken != NULL) {
        struct waiter *next = taken->next;
        evy_req *req = taken->req;
        evy_respond(req, status, NULL, NULL, 0, text, strlen(text));
        evy_req_release(req); /* taken may be gone from here on */
        taken = next;
        count++;
    }
    return count;
}

/* The client left: nobody has to answer. Whoever takes the waiter out of the list releases it. */
static void on_gone(void *user, evy_req *req) {
    if (take(user, 0) != NULL) {
        evy_req_release(req);
    }
}

static void wait_for_news(evy_req *req) {
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL) {
        return; /* evy answers 500 */
    }
    waiter->req = req;
    waiter->since = time(NULL);
    evy_req_retain(req);
    pthread_mutex_lock(&lock); /* on_gone, on another thread, finds it in the list */
    if (evy_req_on_gone(req, on_gone, waiter, free) == EVY_OK) {
        waiter->next = waiters;
        waiters = waiter;
        pthread_mutex_unlock(&lock);
        return;
    }
    pthread_mutex_unlock(&lock);
    evy_req_release(req);
}

static void answer(void *user, evy_req *req) {
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    const char *query = evy_env_get(req, "QUERY_STRING", NULL);
    char text[64];
    (void)user;
    if (path != NULL && strcmp(path, "/wait") == 0) {
        wait_for_news(req);
    } else if (path != NULL && query != NULL && strcmp(path, "/say") == 0) {
        snprintf(text, sizeof text, "told %d\n", answer_all(take(NULL, 0), 200, query));
        evy_respond(req, 200, NULL, NULL, 0, text, strlen(text));
    } else {
        evy_respond(req, 404, NULL, NULL, 0, NULL, 0);
    }
}

/* Nobody waits for ever: proxies would give up on a silent connection. */
static void grow_impatient(void *unused) {
    (void)unused;
    answer_all(take(NULL, patience), 204, "");
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    patience = argc > 2 ? atol(argv[2]) : patience;
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "long_poll: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    evy_timer_start(server, 200, 200, grow_impatient, NULL, NULL); /* runs where handlers run */
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
