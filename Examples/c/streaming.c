/* SPDX-License-Identifier: MIT
 * streaming - sends answers of any length and takes uploads of any length, in a few KiB of memory.
 * cc streaming.c $(pkg-config --cflags --libs evy) -o streaming && ./streaming
 * curl "http://127.0.0.1:8090/count?1000000"      the numbers 1, 2, ... as they are made
 * curl -T big.file http://127.0.0.1:8090/upload   how many bytes came */
#include <evy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char type[] = "Content-Type\0text/plain";

/* A line per number; the length is not known beforehand (-1), so it is sent in chunks. */
static void count(evy_req *req) {
    const char *query = evy_env_get(req, "QUERY_STRING", NULL);
    long last = query != NULL && *query != '\0' ? atol(query) : 10;
    char lines[16384];
    size_t filled = 0;
    if (evy_resp_begin(req, 200, NULL, type, sizeof type, -1) < 0) {
        return;
    }
    for (long number = 1; number <= last; number++) {
        filled += (size_t)snprintf(lines + filled, sizeof lines - filled, "%ld\n", number);
        if (filled > sizeof lines - 32 || number == last) {
            /* -1: wait as long as the client is slow. An error says that it has left. */
            if (evy_resp_write(req, lines, filled, -1) < 0) {
                return;
            }
            filled = 0;
        }
    }
    evy_resp_end(req, NULL, 0);
}

/* The body is read as it arrives; a client that is too fast is held up. */
static void upload(evy_req *req) {
    char piece[16384], body[64];
    long long total = 0;
    int64_t got;
    while ((got = evy_body_read(req, piece, sizeof piece, -1)) > 0) {
        total += got;
    }
    if (got < 0) {
        return; /* the client has left, or broke HTTP */
    }
    snprintf(body, sizeof body, "%lld bytes\n", total);
    evy_respond(req, 200, NULL, type, sizeof type, body, strlen(body));
}

static void answer(void *user, evy_req *req) {
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    (void)user;
    if (path != NULL && strcmp(path, "/count") == 0) {
        count(req);
    } else if (path != NULL && strcmp(path, "/upload") == 0) {
        upload(req);
    } else {
        evy_respond(req, 404, NULL, type, sizeof type, "Not Found\n", EVY_NUL);
    }
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_set(cfg, "body", "stream");     /* handlers get a request before its body */
    evy_config_set(cfg, "max_body_size", "0"); /* no limit */
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "streaming: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
