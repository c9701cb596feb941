/* SPDX-License-Identifier: MIT
 * unix - behind nginx on a unix socket: tells each client who it is, as nginx saw it.
 * cc unix.c $(pkg-config --cflags --libs evy) -o unix && ./unix "unix:/run/evy.sock?mode=660&group=www-data"
 * in nginx:
 *     location / {
 *         proxy_pass http://unix:/run/evy.sock:;
 *         proxy_set_header Host $http_host;
 *         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
 *         proxy_set_header X-Forwarded-Proto $scheme;
 *     } */
#include <evy.h>
#include <stdio.h>
#include <string.h>

static const char *value(evy_req *req, const char *name) {
    const char *text = evy_env_get(req, name, NULL);
    return text != NULL ? text : "-";
}

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0text/plain";
    char body[512];
    (void)user;
    snprintf(body, sizeof body, "%.64s by %.8s at %.256s\n", value(req, "REMOTE_ADDR"),
             value(req, "wsgi.url_scheme"), value(req, "HTTP_HOST"));
    evy_respond(req, 200, NULL, type, sizeof type, body, strlen(body));
}

int main(int argc, char **argv) {
    const char *address = argc > 1 ? argv[1] : "unix:/run/evy.sock?mode=660&group=www-data";
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    /* Whoever may connect to the socket is nginx; what nginx sets itself is believed. */
    evy_config_set(cfg, "trusted_proxies", "unix");
    evy_config_set(cfg, "forwarded_headers", "x-forwarded-for x-forwarded-proto");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "unix: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    puts(evy_server_address(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    if (st < 0) {
        fprintf(stderr, "unix: %s\n", evy_server_error(server));
    }
    evy_server_free(server);
    return st < 0;
}
