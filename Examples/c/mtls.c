/* SPDX-License-Identifier: MIT
 * mtls - greets clients by the name in their certificate, and tells the others why they are not let in.
 * cc mtls.c $(pkg-config --cflags --libs evy) -o mtls && ./mtls 8443 server.crt server.key clients-ca.crt
 * curl --cacert server.crt --cert alice.crt --key alice.key https://localhost:8443/ */
#include <evy.h>
#include <stdio.h>
#include <string.h>

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0text/plain";
    const char *verify = evy_env_get(req, "SSL_CLIENT_VERIFY", NULL);
    const char *name = evy_env_get(req, "SSL_CLIENT_S_DN", NULL);
    char body[600];
    (void)user;
    /* Only SUCCESS lets anybody in: NONE is no certificate, FAILED:reason a bad one. */
    if (verify == NULL || strcmp(verify, "SUCCESS") != 0) {
        snprintf(body, sizeof body, "your certificate: %s\n", verify ? verify : "NONE");
        evy_respond(req, 403, NULL, type, sizeof type, body, strlen(body));
        return;
    }
    snprintf(body, sizeof body, "Hello, %.500s\n", name ? name : "nobody");
    evy_respond(req, 200, NULL, type, sizeof type, body, strlen(body));
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    evy_tls *tls = evy_tls_new();
    if (argc != 5) {
        fprintf(stderr, "usage: mtls PORT CERTIFICATE KEY CLIENT-CA\n");
        return 2;
    }
    /* With EVY_VERIFY_REQUIRE the handshake itself would fail, and the client would not learn why. */
    if (evy_tls_cert_file(tls, NULL, argv[2], argv[3], NULL) < 0 ||
        evy_tls_client_ca_file(tls, EVY_VERIFY_OPTIONAL, argv[4]) < 0) {
        fprintf(stderr, "mtls: %s\n", evy_tls_error(tls));
        return 1;
    }
    snprintf(address, sizeof address, ":%s", argv[1]);
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, tls) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "mtls: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_tls_free(tls);
    evy_config_free(cfg);
    printf("https://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
