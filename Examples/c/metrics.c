/* SPDX-License-Identifier: MIT
 * metrics - answers /metrics to Prometheus, logs JSON lines with request ids, changes its log level.
 * cc metrics.c $(pkg-config --cflags --libs evy) -o metrics && ./metrics
 * curl http://127.0.0.1:8090/metrics; curl -H 'X-Request-ID: my-id' http://127.0.0.1:8090/
 * curl http://127.0.0.1:8090/debug turns debug lines on: each request then writes one. */
#include <evy.h>
#include <stdio.h>
#include <string.h>

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0text/plain; version=0.0.4";
    evy_server *server = evy_req_server(req);
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    const char *id = evy_env_get(req, "HTTP_X_REQUEST_ID", NULL); /* the client's, or made here */
    char text[16384];
    (void)user;
    if (strcmp(path, "/metrics") == 0) {
        int64_t length = evy_server_metrics(server, text, sizeof text);
        evy_respond(req, length < 0 ? 500 : 200, NULL, type, sizeof type, text,
                    length < 0 ? 0 : (size_t)length);
        return;
    }
    if (strcmp(path, "/debug") == 0) {
        evy_server_set_log_level(server, EVY_LOG_DEBUG);
    }
    if (evy_server_log_level(server) >= EVY_LOG_DEBUG) {
        snprintf(text, sizeof text, "%s asks for %s", id, path);
        evy_server_log(server, EVY_LOG_DEBUG, text, EVY_NUL);
    }
    snprintf(text, sizeof text, "%s\n", id);
    evy_respond(req, 200, NULL, NULL, 0, text, strlen(text));
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    evy_config_set(cfg, "request_id_header", "X-Request-ID");
    evy_config_set(cfg, "access_log", "stderr");
    evy_config_set(cfg, "access_log_format", "json");
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "metrics: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
