/* SPDX-License-Identifier: MIT
 * hello - answers "Hello, World!" on port 8090 (or the port given) and logs each request.
 * cc hello.c $(pkg-config --cflags --libs evy) -o hello && ./hello */
#include <evy.h>
#include <stdio.h>
#include <string.h>

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0text/plain";
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    int found = path != NULL && strcmp(path, "/") == 0;
    const char *body = found ? "Hello, World!\r\n" : "Not Found\r\n";
    (void)user;
    evy_respond(req, found ? 200 : 404, NULL, type, sizeof type, body, strlen(body));
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    snprintf(address, sizeof address, ":%s", argc > 1 ? argv[1] : "8090");
    evy_config_set(cfg, "access_log", "stderr");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "hello: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    if (st < 0) {
        fprintf(stderr, "hello: %s\n", evy_server_error(server));
    }
    evy_server_free(server);
    return st < 0;
}
