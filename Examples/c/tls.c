/* SPDX-License-Identifier: MIT
 * tls - one server on two ports, with TLS and without; tells each client which one it uses.
 * openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout private.key -out cert.crt
 * cc tls.c $(pkg-config --cflags --libs evy) -o tls && ./tls cert.crt private.key
 * curl -k https://127.0.0.1:8443/ */
#include <evy.h>
#include <stdio.h>
#include <string.h>

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0text/plain";
    /* HTTPS is "on" in the environ of a request that came over TLS, else it is absent. */
    const char *https = evy_env_get(req, "HTTPS", NULL);
    char body[64];
    (void)user;
    snprintf(body, sizeof body, "%s %s\n", evy_env_get(req, "wsgi.url_scheme", NULL), https ? https : "-");
    evy_respond(req, 200, NULL, type, sizeof type, body, strlen(body));
}

int main(int argc, char **argv) {
    char secure[64], plain[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    evy_tls *tls = evy_tls_new();
    if (argc < 3) {
        fprintf(stderr, "usage: tls CERTIFICATE KEY [HTTPS-PORT [HTTP-PORT]]\n");
        return 2;
    }
    /* Wrong files, or a key that does not belong to the certificate, are an error right here. */
    if (evy_tls_cert_file(tls, NULL, argv[1], argv[2], NULL) < 0) {
        fprintf(stderr, "tls: %s\n", evy_tls_error(tls));
        return 1;
    }
    snprintf(secure, sizeof secure, ":%s", argc > 3 ? argv[3] : "8443");
    snprintf(plain, sizeof plain, ":%s", argc > 4 ? argv[4] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, secure, tls) < 0 || evy_config_listen(cfg, plain, NULL) < 0 ||
        evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "tls: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_tls_free(tls);
    evy_config_free(cfg);
    printf("https://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 1));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
