/* SPDX-License-Identifier: MIT
 * site - a small web package on evy's public header alone: TLS, a static file, uploads that are asked for
 * with 100 Continue and fields of ours, and the client's name from its certificate.
 * usage: site CERTIFICATE KEY CLIENT-CA FILE   (prints its port; ends with SIGTERM's default) */
#include <evy.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int file;
static const char type[] = "Content-Type\0text/plain";

static void say(evy_req *req, int status, const char *text) {
    evy_respond(req, status, NULL, type, sizeof type, text, EVY_NUL);
}

static void send_file(evy_req *req) {
    if (evy_resp_begin(req, 200, NULL, type, sizeof type, lseek(file, 0, SEEK_END)) == EVY_OK) {
        evy_resp_file(req, file, 0, -1);
        evy_resp_end(req, NULL, 0);
    }
}

static void take_upload(evy_req *req) {
    static const char go_on[] = "X-Upload\0welcome";
    char piece[4096], told[64];
    int64_t count, sum = 0;
    evy_inform(req, 100, go_on, sizeof go_on);
    while ((count = evy_body_read(req, piece, sizeof piece, -1)) > 0) {
        sum += count;
    }
    snprintf(told, sizeof told, "%lld bytes\n", (long long)sum);
    say(req, count < 0 ? 400 : 201, told);
}

static void answer(void *user, evy_req *req) {
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    (void)user;
    if (strcmp(path, "/file") == 0) {
        send_file(req);
    } else if (strcmp(path, "/upload") == 0) {
        take_upload(req);
    } else if (strcmp(path, "/whoami") == 0) {
        const char *name = evy_env_get(req, "SSL_CLIENT_S_DN", NULL);
        say(req, name == NULL ? 403 : 200, name == NULL ? "nobody" : name);
    } else {
        say(req, 404, "Not Found\r\n");
    }
}

int main(int argc, char **argv) {
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    evy_tls *tls = evy_tls_new();
    if (argc != 5 || (file = open(argv[4], O_RDONLY)) < 0) {
        return 2;
    }
    if (evy_tls_cert_file(tls, NULL, argv[1], argv[2], NULL) < 0 ||
        evy_tls_client_ca_file(tls, EVY_VERIFY_OPTIONAL, argv[3]) < 0) {
        fprintf(stderr, "site: %s\n", evy_tls_error(tls));
        return 1;
    }
    evy_config_set(cfg, "body", "stream");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, "127.0.0.1:0", tls) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "site: %s\n", evy_config_error(cfg));
        return 1;
    }
    printf("%d\n", evy_server_port(server, 0));
    fflush(stdout);
    return evy_server_run(server) < 0;
}
