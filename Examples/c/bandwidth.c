/* SPDX-License-Identifier: MIT
 * bandwidth - sends 25 MiB and tells, by a post hook, what each client really got.
 * cc bandwidth.c $(pkg-config --cflags --libs evy) -o bandwidth && ./bandwidth
 * curl -o /dev/null http://127.0.0.1:8090/ and stop it half-way. */
#include <evy.h>
#include <stdio.h>
#include <string.h>

#define TOTAL (25 << 20)

static char piece[65536];

/* The hook runs after the last byte has gone out, or when the client has left before. */
static void report(void *user, evy_req *req) {
    const char *end = evy_end_name((int32_t)evy_req_stat(req, EVY_STAT_END));
    long long body = evy_req_stat(req, EVY_STAT_BODY_OUT);
    long long promised = evy_req_stat(req, EVY_STAT_CONTENT_LENGTH);
    long long wire = evy_req_stat(req, EVY_STAT_WIRE_OUT);
    long long acked = evy_req_stat(req, EVY_STAT_ACKED);
    (void)user;
    printf("%s %s %d %s: body %lld of %lld, wire %lld, acked %lld\n",
           evy_env_get(req, "REQUEST_METHOD", NULL), evy_env_get(req, "PATH_INFO", NULL),
           (int)evy_req_stat(req, EVY_STAT_STATUS), end, body, promised, wire, acked);
}

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0application/octet-stream";
    (void)user;
    evy_posthook_add(req, report, NULL, NULL);
    if (evy_resp_begin(req, 200, NULL, type, sizeof type, TOTAL) < 0) {
        return;
    }
    for (int sent = 0; sent < TOTAL; sent += (int)sizeof piece) {
        /* -1: wait as long as the client is slow. An error says that it has left. */
        if (evy_resp_write(req, piece, sizeof piece, -1) < 0) {
            return;
        }
    }
    evy_resp_end(req, NULL, 0);
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    memset(piece, 'x', sizeof piece);
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "bandwidth: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
