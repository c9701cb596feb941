/* SPDX-License-Identifier: MIT
 * workers - slow work on threads of the program's own: a bounded queue, late answers, an orderly end.
 * cc workers.c $(pkg-config --cflags --libs evy) -lpthread -o workers && ./workers [PORT [WORKERS [QUEUE]]]
 * curl http://127.0.0.1:8090/work/3000   an answer after 3000 ms of work, or 503 where the queue is full
 * curl http://127.0.0.1:8090/            how much is queued and worked on
 * kill PID                               takes no more, finishes what it has, and ends */
#define _POSIX_C_SOURCE 200809L /* sigwait, nanosleep */
#include <evy.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX 1000
#define WORKERS_MAX 64

/* A request that waits for a worker. It is retained: whoever takes it out has to release it. */
struct job {
    evy_req *req;
    long milliseconds;
};
static struct job queue[QUEUE_MAX]; /* the oldest first */
static int queued, capacity = 16, working, answered, is_over;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all the above */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void say(const char *text) {
    puts(text);
    fflush(stdout);
}

/* Lock held. */
static struct job take(int place) {
    struct job job = queue[place];
    queued--;
    memmove(&queue[place], &queue[place + 1], (size_t)(queued - place) * sizeof job);
    return job;
}

/* ---- on evy's threads: nothing here takes long ---- */

/* The client has left. A queued request is dropped here, one being worked on is the worker's. */
static void on_gone(void *user, evy_req *req) {
    int was_queued = 0;
    (void)user;
    pthread_mutex_lock(&lock);
    for (int place = 0; place < queued && !was_queued; place++) {
        if (queue[place].req == req) {
            take(place);
            was_queued = 1;
        }
    }
    pthread_mutex_unlock(&lock);
    if (was_queued) {
        say("dropped a request nobody waits for");
        evy_req_release(req);
    }
}

static void enqueue(evy_req *req, long milliseconds) {
    static const char busy[] = "Retry-After\0" "1\0Content-Type\0text/plain";
    int has_room;
    evy_req_retain(req);
    pthread_mutex_lock(&lock);
    has_room = queued < capacity;
    if (has_room) {
        queue[queued++] = (struct job){req, milliseconds};
        pthread_cond_signal(&changed);
    }
    pthread_mutex_unlock(&lock);
    if (!has_room) {
        evy_respond(req, 503, NULL, busy, sizeof busy, "too busy\n", EVY_NUL);
        evy_req_release(req);
    } else if (evy_req_on_gone(req, on_gone, NULL, NULL) == EVY_E_GONE) {
        on_gone(NULL, req); /* it left before we asked to be told */
    }
}

static void answer(void *user, evy_req *req) {
    static const char work[] = "/work/";
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    char text[80];
    (void)user;
    if (strncmp(path, work, strlen(work)) == 0) {
        enqueue(req, strtol(path + strlen(work), NULL, 10));
        return; /* without an answer: a worker gives it */
    }
    pthread_mutex_lock(&lock);
    snprintf(text, sizeof text, "%d queued, %d worked on\n", queued, working);
    pthread_mutex_unlock(&lock);
    evy_respond(req, 200, NULL, NULL, 0, text, strlen(text));
}

/* ---- on the program's threads ---- */

/* Stands for a computation, or a database that takes its time. Looks now and then whether anybody still
 * waits for the result; 0: nobody does. */
static int work_on(const struct job *job) {
    const struct timespec step = {0, 10 * 1000000};
    for (long spent = 0; spent < job->milliseconds; spent += 10) {
        if (evy_req_gone(job->req)) {
            return 0;
        }
        nanosleep(&step, NULL);
    }
    return 1;
}

static void finish(const struct job *job) {
    char text[64];
    if (!work_on(job)) {
        say("gave up work nobody waits for");
    } else {
        snprintf(text, sizeof text, "worked for %ld ms\n", job->milliseconds);
        evy_respond(job->req, 200, NULL, NULL, 0, text, strlen(text));
    }
    evy_req_release(job->req);
}

static void *worker(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;) {
        while (queued == 0 && !is_over) {
            pthread_cond_wait(&changed, &lock);
        }
        if (queued == 0) {
            break;
        }
        struct job job = take(0);
        working++;
        pthread_mutex_unlock(&lock);
        finish(&job);
        pthread_mutex_lock(&lock);
        working--;
        answered++;
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

/* The order matters: evy takes no more requests and waits for the answers to those it has, ten seconds at
 * most; only then may the workers go. */
static void end(evy_server *server, const pthread_t *workers, int count) {
    evy_server_stop(server, 10000);
    evy_server_wait(server, -1);
    pthread_mutex_lock(&lock);
    is_over = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i], NULL);
    }
    printf("ended after %d jobs\n", answered);
    evy_server_free(server);
}

int main(int argc, char **argv) {
    char address[64];
    int signal_number, count = argc > 2 ? atoi(argv[2]) : 4;
    pthread_t workers[WORKERS_MAX];
    sigset_t signals;
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    capacity = argc > 3 ? atoi(argv[3]) : capacity;
    if (count < 1 || count > WORKERS_MAX || capacity < 1 || capacity > QUEUE_MAX) {
        fprintf(stderr, "workers: 1 to %d workers, a queue of 1 to %d\n", WORKERS_MAX, QUEUE_MAX);
        return 2;
    }
    /* Blocked before the first thread is made, so that only sigwait below gets them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0 ||
        evy_server_start(server) < 0) {
        fprintf(stderr, "workers: %s%s\n", evy_config_error(cfg), evy_server_error(server));
        return 1;
    }
    evy_config_free(cfg);
    for (int i = 0; i < count; i++) {
        if (pthread_create(&workers[i], NULL, worker, NULL) != 0) {
            fprintf(stderr, "workers: no thread\n");
            return 1;
        }
    }
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    sigwait(&signals, &signal_number);
    end(server, workers, count);
    return 0;
}
