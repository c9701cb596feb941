// SPDX-License-Identifier: MIT
// callbacks.c - the three callbacks the test server gives to evy, and the table of its routes.
#include "testserver.h"
#include <string.h>

bool hooks_enabled = true;

static route_fn find(const struct route *table, const char *path) {
  for (; table->path != NULL; table++) {
    if (strcmp(table->path, path) == 0) {
      return table->run;
    }
  }
  return NULL;
}

static route_fn route_for(const char *path) {
  const struct route *const tables[] = {answer_routes, late_routes, body_routes, hook_routes,
                                        more_routes, tls_routes, see_routes, odd_routes};
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    route_fn run = find(tables[i], path);
    if (run != NULL) {
      return run;
    }
  }
  return NULL;
}

void answer_text(evy_req *req, int status, const char *text) {
  static const char fields[] = "Content-Type\0text/plain";
  evy_status st = evy_respond(req, status, NULL, fields, sizeof fields, text, strlen(text));
  if (st != EVY_OK) {
    report_call(req, "answer", st);
  }
}

void on_request(void *user, evy_req *req) {
  (void)user;
  atomic_fetch_add(&counters.handlers, 1);
  const char *path = evy_env_get(req, "PATH_INFO", NULL);
  const char *query = evy_env_get(req, "QUERY_STRING", NULL);
  if (path == NULL || query == NULL) {
    report_call(req, "environ without PATH_INFO or QUERY_STRING", EVY_E_INTERNAL);
    return;
  }
  if (!report_quiet) {
    struct report r;
    report_request(report_begin(&r, "request"), req);
    report_end(&r);
  }
  if (hooks_enabled) {
    add_hook(req, "figures", -1, 0);
  }
  route_fn run = route_for(path);
  if (run != NULL) {
    run(req, query);
  } else {
    answer_text(req, 404, "Not Found\r\n");
  }
}

void on_log(void *user, int32_t level, const char *text, size_t len) {
  (void)user;
  struct report r;
  FILE *f = report_begin(&r, "log");
  fprintf(f, ",\"level\":%d", level);
  json_member(f, "text", text, len);
  report_end(&r);
}

void on_access(void *user, evy_req *req, const char *line, size_t len) {
  (void)user;
  if (report_quiet) {
    return;
  }
  struct report r;
  FILE *f = report_begin(&r, "access");
  json_member(f, "line", line, len);
  if (req != NULL) {
    size_t note_len = 0;
    report_request(f, req);
    report_stats(f, req);
    const char *note = evy_env_get(req, "x.note", &note_len);
    json_member(f, "note", note, note_len);
    /* The request is over: an answer is refused, not half taken. */
    fprintf(f, ",\"respond\":%d", evy_respond(req, 200, NULL, NULL, 0, "late", 4));
  }
  report_end(&r);
}

void count_drop(void *user) {
  (void)user;
  atomic_fetch_add(&counters.drops, 1);
}
