/* SPDX-License-Identifier: MIT
 * billing - bills each client for the bytes it really got, from post hooks and a log of the day.
 * cc billing.c $(pkg-config --cflags --libs evy) -lpthread -o billing
 * ./billing serve 8090 usage.log     answers /N with N bytes, writes a JSON line for each request
 * ./billing bill usage.log [DAY]     adds the lines up (of one day, 2026-11-22) for each client
 * A client is who its X-Api-Key says, or the address it comes from. GET /stop ends the server: it
 * then tells what its counters say, and the bills of the log come to the same sum. */
#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include <evy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLIENTS_MAX 1000
#define NAME_MAX_BYTES 64

static FILE *usage;
static evy_server *server;

/* ---- serve ---- */

/* Only bytes that need no quoting in JSON: a client chooses its key itself. */
static void client_name(evy_req *req, char *name) {
    const char *key = evy_env_get(req, "HTTP_X_API_KEY", NULL);
    const char *from = key != NULL && *key != '\0' ? key : evy_env_get(req, "REMOTE_ADDR", NULL);
    size_t n = 0;
    for (; from != NULL && *from != '\0' && n < NAME_MAX_BYTES - 1; from++) {
        name[n++] = strchr("\"\\", *from) != NULL || *from <= ' ' || *from >= 127 ? '_' : *from;
    }
    name[n] = '\0';
}

/* Runs once for each request, however it ended. The line leaves in one write: hooks of several
 * threads may run side by side, and stdio locks the stream for each call. */
static void bill(void *user, evy_req *req) {
    char client[NAME_MAX_BYTES], when[32];
    time_t now = time(NULL);
    struct tm utc;
    (void)user;
    client_name(req, client);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(usage, "{\"time\":\"%s\",\"client\":\"%s\",\"in\":%lld,\"out\":%lld,\"end\":\"%s\"}\n", when,
            client, (long long)evy_req_stat(req, EVY_STAT_WIRE_IN),
            (long long)evy_req_stat(req, EVY_STAT_WIRE_OUT),
            evy_end_name((int32_t)evy_req_stat(req, EVY_STAT_END)));
}

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0application/octet-stream";
    static const char piece[4096];
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    (void)user;
    evy_posthook_add(req, bill, NULL, NULL);
    if (path == NULL || strcmp(path, "/stop") == 0) {
        evy_respond(req, 200, NULL, NULL, 0, "bye\n", 4);
        evy_server_stop(server, 5000);
        return;
    }
    long long left = strtoll(path + 1, NULL, 10);
    if (left < 0 || evy_resp_begin(req, 200, NULL, type, sizeof type, left) < 0) {
        return;
    }
    while (left > 0) {
        size_t n = left < (long long)sizeof piece ? (size_t)left : sizeof piece;
        if (evy_resp_write(req, piece, n, -1) < 0) {
            return; /* the client has left; the hook knows how far it came */
        }
        left -= (long long)n;
    }
    evy_resp_end(req, NULL, 0);
}

static int serve(const char *port, const char *file) {
    char address[64];
    int64_t counters[EVY_N_BYTES_OUT + 1];
    evy_config *cfg = evy_config_new();
    usage = fopen(file, "a");
    if (usage == NULL) {
        perror(file);
        return 1;
    }
    setvbuf(usage, NULL, _IOLBF, 0);
    snprintf(address, sizeof address, ":%s", port);
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "billing: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_counters(server, counters, EVY_N_BYTES_OUT + 1);
    printf("served %lld requests, in %lld, out %lld\n", (long long)counters[EVY_N_REQUESTS_TOTAL],
           (long long)counters[EVY_N_BYTES_IN], (long long)counters[EVY_N_BYTES_OUT]);
    evy_server_free(server);
    return st < 0 || fclose(usage) != 0;
}

/* ---- bill ---- */

struct account {
    char client[NAME_MAX_BYTES];
    long long requests, in, out;
};

static struct account *account_of(struct account *all, int *count, const char *client) {
    int i = 0;
    while (i < *count && strcmp(all[i].client, client) != 0) {
        i++;
    }
    if (i == CLIENTS_MAX) {
        return NULL;
    }
    if (i == *count) {
        snprintf(all[(*count)++].client, NAME_MAX_BYTES, "%s", client);
    }
    return &all[i];
}

static int add_up(const char *file, const char *day) {
    static struct account all[CLIENTS_MAX], sum;
    char line[256], when[32], client[NAME_MAX_BYTES];
    long long in, out;
    int count = 0;
    FILE *log = fopen(file, "r");
    if (log == NULL) {
        perror(file);
        return 1;
    }
    while (fgets(line, sizeof line, log) != NULL) {
        if (sscanf(line, "{\"time\":\"%31[^\"]\",\"client\":\"%63[^\"]\",\"in\":%lld,\"out\":%lld", when,
                   client, &in, &out) != 4 ||
            strncmp(when, day, strlen(day)) != 0) {
            continue;
        }
        struct account *account = account_of(all, &count, client);
        if (account == NULL) {
            fprintf(stderr, "billing: more than %d clients\n", CLIENTS_MAX);
            return 1;
        }
        account->requests++, account->in += in, account->out += out;
        sum.requests++, sum.in += in, sum.out += out;
    }
    fclose(log);
    for (int i = 0; i < count; i++) {
        printf("%s %lld %lld %lld\n", all[i].client, all[i].requests, all[i].in, all[i].out);
    }
    printf("total %lld requests, in %lld, out %lld\n", sum.requests, sum.in, sum.out);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return serve(argv[2], argv[3]);
    }
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "bill") == 0) {
        return add_up(argv[2], argc == 4 ? argv[3] : "");
    }
    fprintf(stderr, "usage: billing serve PORT LOG | billing bill LOG [DAY]\n");
    return 2;
}
