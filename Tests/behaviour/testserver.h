// SPDX-License-Identifier: MIT
// testserver.h - what the parts of the test server share: report lines, query values, gates, routes.
// The program knows evy only through evy.h.
#ifndef EVY_TESTSERVER_H
#define EVY_TESTSERVER_H
#include <evy.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

/* ---- report: one JSON object per line on the descriptor of --report ---------- */

struct report {
  char *text;
  size_t size;
  FILE *file;
};
extern int report_fd;      /* -1: no reports */
extern bool report_quiet;  /* no "request", "hook" and "access" lines (mass tests) */

/* Begins a line with {"event":"<event>"; the caller adds ,"key":value and ends it. */
FILE *report_begin(struct report *r, const char *event);
void report_end(struct report *r);
void json_text(FILE *f, const char *bytes, size_t count);
void json_member(FILE *f, const char *name, const char *bytes, size_t count);
/* Adds id, method, path, query of the request. */
void report_request(FILE *f, evy_req *req);
/* Adds "stats":{...} with every evy_req_stat figure, and the name of the end. */
void report_stats(FILE *f, evy_req *req);
/* One line "call": which step of which request returned which status. */
void report_call(evy_req *req, const char *step, int64_t result);

/* ---- counters, told in the last report line ----------------------------------- */
struct counters {
  atomic_long handlers, hooks_added, hooks_run, drops_due, drops;
  atomic_long threads; /* of the host, still running */
};
extern struct counters counters;

/* ---- the query string ----------------------------------------------------------- */
/* Percent-decoded value of key in out (NUL-terminated), its length; -1: absent. */
long query_text(const char *query, const char *key, char *out, size_t capacity);
long query_number(const char *query, const char *key, long fallback);

/* ---- gates: a handler waits at one until another request, or the end, opens it --- */
void gate_wait(long id);
void gate_open(long id);
void gate_open_all(void);

/* ---- routes ---------------------------------------------------------------------- */
typedef void (*route_fn)(evy_req *req, const char *query);
struct route {
  const char *path;
  route_fn run;
};
extern const struct route answer_routes[]; /* routes_answer.c: whole and streamed answers */
extern const struct route late_routes[];   /* routes_late.c: slow, deferred, stop, gates */
extern const struct route body_routes[];   /* routes_body.c: request bodies */
extern const struct route hook_routes[];   /* routes_hook.c: environ and post hooks */
extern const struct route more_routes[];   /* routes_more.c: informational, lent, files, notices */
extern const struct route odd_routes[];    /* routes_odd.c: the right thing at an inconvenient moment */
extern const struct route tls_routes[];    /* routes_tls.c: what a handshake leaves */
extern const struct route see_routes[];    /* routes_see.c: counters, metrics, log, request ids */
void report_counters(evy_server *server);
void report_watch(evy_server *server, long ms);

void answer_text(evy_req *req, int status, const char *text);
/* Byte i of every generated body is (i % 251), so the client can check any part of it. */
void fill_pattern(unsigned char *out, size_t count, uint64_t offset);
void sleep_ms(long ms);
/* Runs body(argument) on a thread of the host; the program's end waits for it. */
void start_thread(void (*body)(void *), void *argument);
void wait_for_threads(void);

/* A hook named `name` that reports the figures; gate >= 0: it waits there first. */
evy_status add_hook(evy_req *req, const char *name, long gate, int children);

/* tls_control.c: -1: not its argument */
int tls_take(evy_tls **tls, char **argv, int *used);
void tls_release(evy_tls *tls);
void tls_release_kept(void);
void tls_reload(long threads, long count);

/* callbacks.c: the request, log and access callbacks */
extern bool hooks_enabled; /* every request gets a hook named "figures" */
void on_request(void *user, evy_req *req);
void on_log(void *user, int32_t level, const char *text, size_t len);
void on_access(void *user, evy_req *req, const char *line, size_t len);
void count_drop(void *user);

#endif
