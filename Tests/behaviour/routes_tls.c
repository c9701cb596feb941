// SPDX-License-Identifier: MIT
// routes_tls.c - reads what the handshake left in the environ, late and from several threads.
#include "testserver.h"
#include <stdlib.h>
#include <string.h>

enum { READERS = 4 };

struct reader {
  evy_req *req;
  long gate;
};

static const char *const keys[] = {"SSL_PROTOCOL",      "SSL_CIPHER",      "SSL_SERVER_NAME",
                                   "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_I_DN",
                                   "SSL_CLIENT_CERT"};

static void read_late(void *argument) {
  struct reader *reader = argument;
  struct report r;
  gate_wait(reader->gate);
  FILE *f = report_begin(&r, "facts");
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    size_t len = 0;
    const char *value = evy_env_get(reader->req, keys[i], &len);
    if (value != NULL) {
      json_member(f, keys[i], value, len);
    }
  }
  report_end(&r);
  evy_req_release(reader->req);
  free(reader);
}

/* /facts?gate=1: answered at once, kept by threads that read when the gate opens. */
static void facts(evy_req *req, const char *query) {
  for (int i = 0; i < READERS; i++) {
    struct reader *reader = malloc(sizeof *reader);
    reader->req = req;
    reader->gate = query_number(query, "gate", 0);
    evy_req_retain(req);
    start_thread(read_late, reader);
  }
  answer_text(req, 200, "kept");
}

const struct route tls_routes[] = {{"/facts", facts}, {NULL, NULL}};
