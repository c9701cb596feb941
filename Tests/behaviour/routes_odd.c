// SPDX-License-Identifier: MIT
// routes_odd.c - routes that do the right thing at an inconvenient moment: see test_moments.py.
#include "testserver.h"
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* /accepted?gate=1: answers ahead of the body, and reads it nevertheless. */
static void accepted(evy_req *req, const char *query) {
  char block[4096];
  int64_t n = 0;
  answer_text(req, 202, "accepted");
  report_call(req, "accepted", EVY_OK);
  gate_wait(query_number(query, "gate", 0));
  while ((n = evy_body_read(req, block, sizeof block, 5000)) > 0) {
  }
  report_call(req, "read", n);
}

static void nothing_more(void *user, evy_req *req) { (void)user, (void)req; }

/* /stuffed?n=..&gate=1: asks to be told of room, writes more than fits, and blocks. */
static void stuffed(evy_req *req, const char *query) {
  size_t count = (size_t)query_number(query, "n", 0);
  unsigned char *bytes = calloc(count + 1, 1);
  if (bytes == NULL) {
    abort();
  }
  evy_resp_on_writable(req, nothing_more, NULL, NULL);
  evy_resp_begin(req, 200, NULL, NULL, 0, (int64_t)count);
  report_call(req, "stuffed", evy_resp_write(req, bytes, count, 0));
  free(bytes);
  gate_wait(query_number(query, "gate", 0));
  evy_resp_end(req, NULL, 0);
}

static atomic_long writer; /* its thread, once it is about to wait */

static bool sleeps(long thread) {
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/self/task/%ld/stat", thread);
  FILE *f = thread == 0 ? NULL : fopen(path, "r");
  if (f != NULL) {
    if (fscanf(f, "%*d %*s %c", &state) != 1) {
      state = 0;
    }
    fclose(f);
  }
  return state == 'S';
}

/* More than the kernel takes of a client that does not read, so that the last piece has to wait for it. */
static void write_on(void *argument) {
  enum { much = 16 << 20, piece = 4096 };
  static const unsigned char bytes[much];
  evy_req *req = argument;
  report_call(req, "full", evy_resp_write(req, bytes, much, 0));
  atomic_store(&writer, syscall(SYS_gettid));
  report_call(req, "writer", evy_resp_write(req, bytes, piece, -1));
  evy_req_release(req);
}

/* /end-elsewhere?gate=1&abort=1: ends it, or cuts it, beside a writer that waits for room. */
static void end_elsewhere(evy_req *req, const char *query) {
  evy_req_retain(req);
  evy_resp_begin(req, 200, NULL, NULL, 0, -1);
  start_thread(write_on, req);
  gate_wait(query_number(query, "gate", 0));
  while (!sleeps(atomic_load(&writer))) {
    sleep_ms(1);
  }
  if (query_number(query, "abort", 0) == 1) {
    report_call(req, "end", evy_resp_abort(req));
  } else {
    report_call(req, "end", evy_resp_end(req, NULL, 0));
  }
}

/* /reading?ms=..&gate=1: waits for its client in vain, then at the gate. */
static void reading(evy_req *req, const char *query) {
  char byte;
  report_call(req, "reading", EVY_OK);
  report_call(req, "waited", evy_body_read(req, &byte, 1, query_number(query, "ms", 0)));
  gate_wait(query_number(query, "gate", 0));
  answer_text(req, 200, "read");
}

/* Sends byte after byte, and so learns in a call that its client has gone. */
static void drip(evy_req *req, const char *query) {
  (void)query;
  add_hook(req, "hook", -1, 0);
  evy_resp_begin(req, 200, NULL, NULL, 0, -1);
  report_call(req, "dripping", EVY_OK);
  while (evy_resp_write(req, "x", 1, 0) >= 0 && evy_resp_flush(req) >= 0) {
    sleep_ms(1);
  }
}

/* /cut?n=..: cuts an answer of which so much was written already. */
static void cut(evy_req *req, const char *query) {
  size_t count = (size_t)query_number(query, "n", 0);
  unsigned char *bytes = calloc(count + 1, 1);
  if (bytes == NULL) {
    abort();
  }
  evy_resp_begin(req, 200, NULL, NULL, 0, (int64_t)count + 1);
  report_call(req, "written", evy_resp_write(req, bytes, count, 0));
  free(bytes);
  report_call(req, "abort", evy_resp_abort(req));
}

/* /bursts?n=..&count=..: at each of the gates 1 to count it writes n bytes; at last it reads the body. */
static void bursts(evy_req *req, const char *query) {
  long n = query_number(query, "n", 0), count = query_number(query, "count", 0);
  char *bytes = calloc((size_t)n + 1, 1), block[4096];
  int64_t got, total = 0;
  if (bytes == NULL) {
    abort();
  }
  evy_resp_begin(req, 200, NULL, NULL, 0, n * count);
  for (long i = 1; i <= count; i++) {
    gate_wait(i);
    evy_resp_write(req, bytes, (size_t)n, 0);
  }
  free(bytes);
  while ((got = evy_body_read(req, block, sizeof block, -1)) > 0) {
    total += got;
  }
  report_call(req, "read", got < 0 ? got : total);
  evy_resp_end(req, NULL, 0);
}

static void see_end(void *argument) {
  evy_req *req = argument;
  while (evy_req_stat(req, EVY_STAT_END) < 0) {
    sched_yield();
  }
  report_call(req, "ended", evy_req_stat(req, EVY_STAT_WIRE_OUT));
  evy_req_release(req);
}

/* /end-seen?n=..: another thread asks for its figures, without a pause, until it is over. */
static void end_seen(evy_req *req, const char *query) {
  evy_req_retain(req);
  start_thread(see_end, req);
  stuffed(req, query);
}

const struct route odd_routes[] = {{"/accepted", accepted}, {"/stuffed", stuffed},
                                   {"/end-elsewhere", end_elsewhere}, {"/reading", reading},
                                   {"/drip", drip},         {"/cut", cut},
                                   {"/end-seen", end_seen}, {"/bursts", bursts},
                                   {NULL, NULL}};
