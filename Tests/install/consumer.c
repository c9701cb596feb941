/* SPDX-License-Identifier: MIT
 * consumer - a program that uses an installed evy: versions agree, a server starts and stops. */
#include <evy.h>
#include <stdio.h>

static void answer(void *user, evy_req *req) {
    (void)user;
    evy_respond(req, 204, NULL, NULL, 0, NULL, 0);
}

int main(void) {
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    if (evy_version() != EVY_VERSION_NUM) {
        fprintf(stderr, "header %x, library %x\n", EVY_VERSION_NUM, (unsigned)evy_version());
        return 1;
    }
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, "127.0.0.1:0", NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "consumer: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    if (evy_server_start(server) < 0 || evy_server_port(server, 0) <= 0) {
        fprintf(stderr, "consumer: %s\n", evy_server_error(server));
        return 1;
    }
    evy_server_stop(server, 0);
    evy_status st = evy_server_wait(server, 5000);
    evy_server_free(server);
    printf("evy %s\n", evy_version_string());
    return st != EVY_OK;
}
