// SPDX-License-Identifier: MIT
// every_object.c - the rows of the library, of configurations and of TLS objects.
#include "every.h"
#include <stdlib.h>
#include <string.h>

enum { states = 3 };

static bool made_config(void) {
  evy_config *cfg = evy_config_new();
  evy_config_free(cfg);
  return cfg != NULL;
}

static bool made_tls(void) {
  evy_tls *tls = evy_tls_new();
  evy_tls_free(tls);
  return tls != NULL;
}

/* The functions, */
#define ROW(...)
#define SERVER(...)
#define LIBRARY(name, wanted, call)                                                                    \
  static long long library_##name(void) { return call; }
#define CONFIG(name, w0, w1, w2, call)                                                                 \
  static long long config_##name(evy_config *h) {                                                      \
    evy_server *out = NULL;                                                                            \
    evy_status status = EVY_OK;                                                                        \
    (void)out, (void)status;                                                                           \
    return call;                                                                                       \
  }
#define TLS(name, w0, w1, w2, call)                                                                    \
  static long long tls_##name(evy_tls *h) { return call; }
#include "rows_object.h"
#undef LIBRARY
#undef CONFIG
#undef TLS

/* then their tables. */
static const struct {
  const char *name, *wanted;
  long long (*call)(void);
} library_rows[] = {
#define LIBRARY(name, wanted, call) {#name, wanted, library_##name},
#define CONFIG(...)
#define TLS(...)
#include "rows_object.h"
#undef LIBRARY
#undef CONFIG
};
static const struct config_row {
  const char *name, *wanted[states];
  long long (*call)(evy_config *h);
} config_rows[] = {
#define LIBRARY(...)
#define CONFIG(name, w0, w1, w2, call) {#name, {w0, w1, w2}, config_##name},
#include "rows_object.h"
#undef CONFIG
#undef TLS
};
static const struct tls_row {
  const char *name, *wanted[states];
  long long (*call)(evy_tls *h);
} tls_rows[] = {
#define CONFIG(...)
#define TLS(name, w0, w1, w2, call) {#name, {w0, w1, w2}, tls_##name},
#include "rows_object.h"
};
#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

static void settle(const char *name, int state, const char *wanted, long long got, const char *text) {
  check(fits(wanted, got), "%s in state %d gives %s, not %s", name, state, wanted, shown(got));
  if (got >= 0 || state == 0) {
    return;
  }
  check(text != NULL && text[0] != '\0', "%s in state %d gives %s without a text", name, state, shown(got));
}

static void configs(void *nobody[STRANGERS]) {
  for (size_t i = 0; i < COUNT(config_rows); i++) {
    const struct config_row *row = &config_rows[i];
    for (int other = 0; other < STRANGERS; other++) {
      if (other != 4) { /* the live one */
        settle(row->name, 0, row->wanted[0], row->call(nobody[other]), NULL);
      }
    }
    evy_config *cfg = evy_config_new();
    settle(row->name, 1, row->wanted[1], row->call(cfg), evy_config_error(cfg));
    evy_config_free(cfg);
    evy_server *server = NULL;
    cfg = ready_config(see_request, NULL);
    check(evy_server_new(cfg, &server) == EVY_OK && evy_server_start(server) == EVY_OK, "no server");
    settle(row->name, 2, row->wanted[2], row->call(cfg), evy_config_error(cfg));
    evy_config_free(cfg);
    evy_server_free(server);
  }
}

static void tls_objects(void *nobody[STRANGERS]) {
  for (size_t i = 0; i < COUNT(tls_rows); i++) {
    const struct tls_row *row = &tls_rows[i];
    for (int other = 0; other < STRANGERS; other++) {
      if (other != 5) {
        settle(row->name, 0, row->wanted[0], row->call(nobody[other]), NULL);
      }
    }
    evy_tls *tls = evy_tls_new();
    settle(row->name, 1, row->wanted[1], row->call(tls), evy_tls_error(tls));
    evy_tls_free(tls);
    evy_server *server = NULL;
    evy_config *cfg = ready_config(see_request, NULL);
    tls = ready_tls();
    check(evy_config_listen(cfg, "127.0.0.1:0", tls) == EVY_OK, "%s", evy_config_error(cfg));
    check(evy_server_new(cfg, &server) == EVY_OK && evy_server_start(server) == EVY_OK, "no server");
    evy_config_free(cfg);
    settle(row->name, 2, row->wanted[2], row->call(tls), evy_tls_error(tls));
    evy_tls_free(tls);
    evy_server_free(server);
  }
}

void every_object(void) {
  void *nobody[STRANGERS];
  for (size_t i = 0; i < COUNT(library_rows); i++) {
    settle(library_rows[i].name, 0, library_rows[i].wanted, library_rows[i].call(), NULL);
  }
  strangers(nobody);
  configs(nobody);
  tls_objects(nobody);
  forget_strangers();
}
