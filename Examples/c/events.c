/* SPDX-License-Identifier: MIT
 * events - server-sent events: any number of clients listen, and each word that is said reaches them all.
 * cc events.c $(pkg-config --cflags --libs evy) -lpthread -o events && ./events [PORT]
 * curl -N http://127.0.0.1:8090/events &   curl "http://127.0.0.1:8090/say?hello" */
#include <evy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One listening client: its request is retained until it leaves. */
struct listener {
    evy_req *req;
    struct listener *next;
};
static struct listener *listeners;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Called by evy when the client leaves; `free` is its drop, so the memory goes with the request. */
static void on_gone(void *user, evy_req *req) {
    int was_listed = 0;
    pthread_mutex_lock(&lock);
    for (struct listener **place = &listeners; *place != NULL; place = &(*place)->next) {
        if (*place == user) {
            *place = (*place)->next;
            was_listed = 1;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    if (was_listed) {
        evy_req_release(req); /* the last reference: evy cuts the unfinished answer */
    }
}

static void listen_to_events(evy_req *req) {
    static const char fields[] = "Content-Type\0text/event-stream\0Cache-Control\0no-store";
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        return; /* evy answers 500 */
    }
    listener->req = req;
    evy_req_retain(req);
    evy_resp_begin(req, 200, NULL, fields, sizeof fields, -1);
    evy_resp_write(req, ": welcome\n\n", EVY_NUL, 0);
    pthread_mutex_lock(&lock); /* on_gone, on another thread, finds it in the list */
    evy_status st = evy_req_on_gone(req, on_gone, listener, free);
    if (st == EVY_OK) {
        listener->next = listeners;
        listeners = listener;
    }
    pthread_mutex_unlock(&lock);
    if (st != EVY_OK) {
        evy_req_release(req);
    }
}

/* How many got it. Nobody is waited for: a client with too much unread (write_high_water) is cut, and
 * connects again when it can, as browsers do. */
static int tell_all(const char *text) {
    int count = 0;
    const evy_slice event[] = {{"data: ", 6}, {text, EVY_NUL}, {"\n\n", 2}};
    pthread_mutex_lock(&lock);
    for (struct listener **place = &listeners; *place != NULL;) {
        struct listener *listener = *place;
        evy_status st = evy_resp_writev(listener->req, event, 3, 0);
        if (st == EVY_FULL) {
            *place = listener->next;
            evy_resp_abort(listener->req);
            evy_req_release(listener->req);
            continue;
        }
        count += st == EVY_OK;
        place = &listener->next;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

static void answer(void *user, evy_req *req) {
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    const char *query = evy_env_get(req, "QUERY_STRING", NULL);
    char text[64];
    (void)user;
    if (path != NULL && strcmp(path, "/events") == 0) {
        listen_to_events(req);
    } else if (path != NULL && query != NULL && strcmp(path, "/say") == 0) {
        snprintf(text, sizeof text, "told %d\n", tell_all(query));
        evy_respond(req, 200, NULL, NULL, 0, text, strlen(text));
    } else {
        evy_respond(req, 404, NULL, NULL, 0, NULL, 0);
    }
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "events: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
