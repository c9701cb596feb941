// SPDX-License-Identifier: MIT
// routes_late.c - routes that block, answer later from another thread, or act on the server.
#include "testserver.h"
#include <stdlib.h>
#include <string.h>

static void slow(evy_req *req, const char *query) {
  sleep_ms(query_number(query, "ms", 50));
  answer_text(req, 200, "slow");
}

/* /gate?id=3: blocks until /open?id=3; "at-gate" is reported first. */
static void gate(evy_req *req, const char *query) {
  report_call(req, "at-gate", EVY_OK);
  gate_wait(query_number(query, "id", 0));
  answer_text(req, 200, "opened");
}

static void open_gate(evy_req *req, const char *query) {
  gate_open(query_number(query, "id", 0));
  answer_text(req, 200, "open");
}

/* ---- answers from another thread ---------------------------------------------------- */

struct late {
  evy_req *req;
  char how[16];
  long gate, ms, count;
};

static void answer_streamed(evy_req *req, long count) {
  unsigned char block[4096];
  evy_status st = evy_resp_begin(req, 200, NULL, NULL, 0, -1);
  for (long done = 0; done < count && st >= 0;) {
    size_t n = count - done < (long)sizeof block ? (size_t)(count - done) : sizeof block;
    fill_pattern(block, n, (uint64_t)done);
    st = evy_resp_write(req, block, n, -1);
    done += (long)n;
  }
  report_call(req, "late-stream", st);
  report_call(req, "late-end", evy_resp_end(req, NULL, 0));
}

static void answer_late(void *argument) {
  struct late *late = argument;
  gate_wait(late->gate);
  sleep_ms(late->ms);
  if (strcmp(late->how, "respond") == 0) {
    static const char fields[] = "Content-Type\0text/plain";
    report_call(late->req, "late-respond",
                evy_respond(late->req, 200, NULL, fields, sizeof fields, "deferred", 8));
  } else if (strcmp(late->how, "stream") == 0) {
    answer_streamed(late->req, late->count);
  } else if (strcmp(late->how, "abort") == 0) {
    report_call(late->req, "late-abort", evy_resp_abort(late->req));
  } else if (strcmp(late->how, "begin") == 0) { /* begins and never ends */
    evy_resp_begin(late->req, 200, NULL, NULL, 0, 100);
    evy_resp_write(late->req, "partial", 7, -1);
  }
  evy_req_release(late->req); /* "release": no answer at all */
  free(late);
}

/* /deferred?how=respond|stream|abort|begin|release&gate=1&ms=20&n=..: retained in the handler,
 * answered by a thread of the host. */
static void deferred(evy_req *req, const char *query) {
  struct late *late = calloc(1, sizeof *late);
  if (late == NULL) {
    abort();
  }
  late->req = req;
  late->gate = query_number(query, "gate", -1);
  late->ms = query_number(query, "ms", 0);
  late->count = query_number(query, "n", 0);
  if (query_text(query, "how", late->how, sizeof late->how) < 0) {
    strcpy(late->how, "respond");
  }
  evy_req_retain(req);
  report_call(req, "deferred", EVY_OK);
  start_thread(answer_late, late);
}

/* Retained and released in the handler, then answered: the pair changes nothing. */
static void balanced(evy_req *req, const char *query) {
  (void)query;
  evy_req_retain(req);
  evy_req_retain(req);
  evy_req_release(req);
  evy_req_release(req);
  answer_text(req, 200, "balanced");
}

/* Retained beyond a finished answer: environ and figures stay readable. */
static void read_late(void *argument) {
  struct late *late = argument;
  gate_wait(late->gate);
  size_t len = 0;
  const char *query = evy_env_get(late->req, "QUERY_STRING", &len);
  struct report r;
  FILE *f = report_begin(&r, "kept");
  json_member(f, "query", query, len);
  report_stats(f, late->req);
  fprintf(f, ",\"hook\":%d", add_hook(late->req, "too-late", -1, 0));
  report_end(&r);
  evy_req_release(late->req);
  free(late);
}

static void keep(evy_req *req, const char *query) {
  struct late *late = calloc(1, sizeof *late);
  if (late == NULL) {
    abort();
  }
  late->req = req;
  late->gate = query_number(query, "gate", -1);
  evy_req_retain(req);
  start_thread(read_late, late);
  answer_text(req, 200, "kept");
}

/* ---- the client and the server ------------------------------------------------------ */

/* Waits at most ms until the client is known to be gone, then tries to answer. */
static void until_gone(evy_req *req, const char *query) {
  long patience = query_number(query, "ms", 5000);
  report_call(req, "waiting", EVY_OK);
  for (long waited = 0; waited < patience && evy_req_gone(req) == 0; waited += 5) {
    sleep_ms(5);
  }
  report_call(req, "gone", evy_req_gone(req) + 1); /* 1: still there, 2: gone */
  report_call(req, "respond", evy_respond(req, 200, NULL, NULL, 0, "late", 4));
}

/* /stop?grace=1000: a handler may stop its server, and may not wait for it. */
static void stop(evy_req *req, const char *query) {
  evy_server *server = evy_req_server(req);
  report_call(req, "stop", evy_server_stop(server, query_number(query, "grace", 1000)));
  report_call(req, "wait", evy_server_wait(server, 1000));
  answer_text(req, 200, "stopping");
}

const struct route late_routes[] = {{"/slow", slow},         {"/gate", gate},
                                    {"/open", open_gate},    {"/deferred", deferred},
                                    {"/balanced", balanced}, {"/keep", keep},
                                    {"/until-gone", until_gone}, {"/stop", stop},
                                    {NULL, NULL}};
