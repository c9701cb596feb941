/* SPDX-License-Identifier: MIT
 * lent - handlers run on threads of the program's own alone, each with what it has made for itself once.
 * cc lent.c $(pkg-config --cflags --libs evy) -lpthread -o lent && ./lent [PORT [THREADS]]
 * curl "http://127.0.0.1:8090/?[1-20]"   tells which of the threads answered */
#include <evy.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stands for an interpreter, a database connection: what must not be shared between threads. */
static _Thread_local struct {
    int thread, requests;
} own;
static evy_server *server;

static void answer(void *user, evy_req *req) {
    char text[64];
    (void)user;
    snprintf(text, sizeof text, "thread %d, its request %d\n", own.thread, ++own.requests);
    evy_respond(req, 200, NULL, NULL, 0, text, strlen(text));
}

/* Returns when the server has stopped. */
static void *lend(void *number) {
    own.thread = (int)(intptr_t)number;
    evy_server_work(server);
    return NULL;
}

int main(int argc, char **argv) {
    int count = argc > 2 ? atoi(argv[2]) : 4;
    char address[64];
    evy_config *cfg = evy_config_new();
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    evy_config_set(cfg, "lent_threads", "true"); /* evy makes no thread for handlers */
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0 ||
        evy_server_start(server) < 0) {
        fprintf(stderr, "lent: %s%s\n", evy_config_error(cfg), evy_server_error(server));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    for (intptr_t number = 1; number <= count; number++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, lend, (void *)number) != 0) {
            fprintf(stderr, "lent: no thread\n");
            return 1;
        }
        pthread_detach(thread); /* it is the server's until that has stopped */
    }
    evy_server_wait(server, -1);
    evy_server_free(server);
    return 0;
}
