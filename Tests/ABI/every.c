// SPDX-License-Identifier: MIT
// every.c - calls every function of evy.h in every state, and says what it should have given.
//   every --list                       the functions that have a row
//   every CHAPTER CERT KEY FILE        objects, servers, requests or arguments
#include "every.h"
#include <stdio.h>
#include <string.h>

void see_request(void *user, evy_req *req) { (void)user, (void)req; }
void see_piece(void *user, evy_req *req, const void *data, size_t len, evy_status st) {
  (void)user, (void)req, (void)data, (void)len, (void)st;
}
void see_line(void *user, int32_t level, const char *text, size_t len) {
  (void)user, (void)level, (void)text, (void)len;
}
void see_access(void *user, evy_req *req, const char *line, size_t len) {
  (void)user, (void)req, (void)line, (void)len;
}
void see_task(void *user) { (void)user; }

evy_config *ready_config(evy_handler_fn fn, void *user) {
  evy_config *cfg = evy_config_new();
  check(evy_config_on_request(cfg, fn, user, DROP(on_request)) == EVY_OK, "%s", evy_config_error(cfg));
  check(evy_config_listen(cfg, "127.0.0.1:0", NULL) == EVY_OK, "listen: %s", evy_config_error(cfg));
  check(evy_config_set(cfg, "log_level", "error") == EVY_OK, "log_level: %s", evy_config_error(cfg));
  return cfg;
}

evy_tls *ready_tls(void) {
  evy_tls *tls = evy_tls_new();
  check(evy_tls_cert_file(tls, NULL, cert_file, key_file, NULL) == EVY_OK, "%s", evy_tls_error(tls));
  return tls;
}

static evy_config *live_config;
static evy_tls *live_tls;
static evy_server *live_server;

void strangers(void *list[STRANGERS]) {
  evy_config *cfg = ready_config(see_request, NULL);
  evy_tls *tls = evy_tls_new();
  evy_server *server = NULL;
  check(evy_server_new(cfg, &server) == EVY_OK, "%s", evy_config_error(cfg));
  evy_server_free(server);
  evy_config_free(cfg);
  evy_tls_free(tls);
  live_config = ready_config(see_request, NULL);
  live_tls = evy_tls_new();
  check(evy_server_new(live_config, &live_server) == EVY_OK, "%s", evy_config_error(live_config));
  void *all[STRANGERS] = {NULL, cfg, tls, server, live_config, live_tls, live_server};
  memcpy(list, all, sizeof all);
}

/* They must have stood what was done to them in the places of others. */
void forget_strangers(void) {
  check(evy_config_set(live_config, "threads", "2") == EVY_OK, "a configuration in a wrong place broke");
  check(evy_tls_set(live_tls, "tickets", "1") == EVY_OK, "a TLS object in a wrong place broke");
  check(evy_server_start(live_server) == EVY_OK, "a server in a wrong place broke");
  evy_server_free(live_server);
  evy_tls_free(live_tls);
  evy_config_free(live_config);
  for (int i = 0; i < 3; i++) { /* again: nothing */
    evy_server_free(live_server);
    evy_tls_free(live_tls);
    evy_config_free(live_config);
  }
}

static void list(void) {
#define ROW(name, ...) puts(#name);
#define LIBRARY(name, ...) puts(#name);
#define CONFIG(name, ...) puts(#name);
#define TLS(name, ...) puts(#name);
#define SERVER(name, ...) puts(#name);
#include "rows_object.h"
#include "rows_request.h"
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } chapters[] = {{"objects", every_object},
                  {"servers", every_server},
                  {"requests", every_request},
                  {"arguments", every_argument}};
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    list();
    return 0;
  }
  if (argc != 5) {
    fprintf(stderr, "every --list | every CHAPTER CERT KEY FILE\n");
    return 2;
  }
  cert_file = argv[2];
  key_file = argv[3];
  plain_file = argv[4];
  int before = descriptors();
  for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
    if (strcmp(chapters[i].name, argv[1]) == 0) {
      chapters[i].run();
    }
  }
  check_drops();
  check(WAIT_UNTIL(descriptors() <= before), "%d descriptors, were %d", descriptors(), before);
  printf("%s: %d checks, %d failed\n", argv[1], checks, failed);
  return failed == 0 && checks > 0 ? 0 : 1;
}
