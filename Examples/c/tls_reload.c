/* SPDX-License-Identifier: MIT
 * tls_reload - certificates by host name, read again on SIGHUP while clients stay connected.
 * cc tls_reload.c $(pkg-config --cflags --libs evy) -o tls_reload
 * ./tls_reload 8443 default.crt default.key [CERTIFICATE KEY]...
 * Put new files in place of the old, then: kill -HUP PID */
#define _POSIX_C_SOURCE 200809L /* sigwait */
#include <evy.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0text/plain";
    const char *name = evy_env_get(req, "SSL_SERVER_NAME", NULL);
    char body[300];
    (void)user;
    snprintf(body, sizeof body, "you asked for %s\n", name ? name : "no name");
    evy_respond(req, 200, NULL, type, sizeof type, body, strlen(body));
}

/* Until SIGINT or SIGTERM. A broken file is told, and the server goes on with what it has. */
static void obey(evy_tls *tls, const sigset_t *signals) {
    int number;
    while (sigwait(signals, &number) == 0 && number == SIGHUP) {
        if (evy_tls_reload(tls) < 0) {
            printf("kept the old certificates: %s\n", evy_tls_error(tls));
        } else {
            printf("read the certificates again\n");
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    char address[64];
    sigset_t signals;
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    evy_tls *tls = evy_tls_new();
    if (argc < 4 || argc % 2 != 0) {
        fprintf(stderr, "usage: tls_reload PORT CERTIFICATE KEY [CERTIFICATE KEY]...\n");
        return 2;
    }
    /* The names come from the certificates; the first one serves every other name. */
    for (int i = 2; i < argc; i += 2) {
        if (evy_tls_cert_file(tls, NULL, argv[i], argv[i + 1], NULL) < 0) {
            fprintf(stderr, "tls_reload: %s\n", evy_tls_error(tls));
            return 1;
        }
    }
    /* Blocked in every thread, so that sigwait gets them: evy_tls_reload is not for signal handlers. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    snprintf(address, sizeof address, ":%s", argv[1]);
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, tls) < 0 || evy_server_new(cfg, &server) < 0 ||
        evy_server_start(server) < 0) {
        fprintf(stderr, "tls_reload: %s%s\n", evy_config_error(cfg), evy_server_error(server));
        return 1;
    }
    printf("https://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    obey(tls, &signals);
    evy_server_stop(server, 5000);
    evy_server_wait(server, -1);
    evy_server_free(server);
    evy_config_free(cfg);
    evy_tls_free(tls);
    return 0;
}
