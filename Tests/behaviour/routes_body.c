// SPDX-License-Identifier: MIT
// routes_body.c - routes that take the request body: whole, by pull, by push with pause.
#include "testserver.h"
#include <stdlib.h>
#include <string.h>

/* What was received: the bytes (when they are echoed) and a checksum over all of them. */
struct gathered {
  char *bytes;
  size_t count, capacity;
  uint32_t low, high; /* Adler-32 */
  uint64_t total;
  bool keep;
};

static void gather(struct gathered *g, const void *data, size_t len) {
  const unsigned char *p = data;
  for (size_t i = 0; i < len;) {
    size_t stop = len - i > 5000 ? i + 5000 : len; /* no overflow of 32 bits within 5552 */
    for (; i < stop; i++) {
      g->low += p[i];
      g->high += g->low;
    }
    g->low %= 65521;
    g->high %= 65521;
  }
  g->total += len;
  if (!g->keep || len == 0) {
    return;
  }
  if (g->count + len > g->capacity) {
    g->capacity = (g->count + len) * 2;
    g->bytes = realloc(g->bytes, g->capacity);
    if (g->bytes == NULL) {
      abort();
    }
  }
  memcpy(g->bytes + g->count, data, len);
  g->count += len;
}

/* answer=echo (default): the body itself; answer=count: "bytes adler32". */
static void answer_gathered(evy_req *req, struct gathered *g) {
  if (g->keep) {
    evy_respond(req, 200, NULL, NULL, 0, g->bytes != NULL ? g->bytes : "", g->count);
  } else {
    char text[64];
    snprintf(text, sizeof text, "%llu %u", (unsigned long long)g->total,
             (g->high << 16) | g->low);
    answer_text(req, 200, text);
  }
  free(g->bytes);
  g->bytes = NULL;
}

static struct gathered gathered_for(const char *query) {
  char answer[16];
  struct gathered g = {.low = 1};
  query_text(query, "answer", answer, sizeof answer);
  g.keep = strcmp(answer, "count") != 0;
  return g;
}

/* The body has failed: tell it, and answer with its name when own=1. */
static void answer_failed(evy_req *req, const char *query, int64_t error) {
  report_call(req, "body-error", error);
  if (query_number(query, "own", 0) != 0) {
    answer_text(req, 422, evy_strname((evy_status)error));
  }
}

static void buffered(evy_req *req, const char *query) {
  struct gathered g = gathered_for(query);
  size_t len = 12345;
  const void *body = evy_body_buffer(req, &len);
  report_call(req, "length", evy_body_length(req));
  report_call(req, "buffered", (int64_t)len);
  if (body != NULL) {
    gather(&g, body, len);
  }
  answer_gathered(req, &g);
}

/* /pull?cap=..&wait=..&first=..: reads to the end; agains and empty waits are counted. */
static void pull(evy_req *req, const char *query) {
  struct gathered g = gathered_for(query);
  size_t capacity = (size_t)query_number(query, "cap", 65536);
  int64_t wait = query_number(query, "wait", -1), n;
  char *block = malloc(capacity);
  bool waited = false;
  if (block == NULL) {
    abort();
  }
  report_call(req, "length", evy_body_length(req));
  for (;;) {
    n = evy_body_read(req, block, capacity, wait);
    bool may_come = wait == 0 && n == EVY_E_AGAIN; /* with wait: never, the server has one thread */
    if (may_come || (n == EVY_E_TIMEOUT && wait >= 0 && query_number(query, "patient", 0))) {
      if (!waited) {
        report_call(req, "would-wait", n);
        waited = true;
      }
      sleep_ms(1);
    } else if (n > 0) {
      gather(&g, block, (size_t)n);
    } else {
      break;
    }
  }
  free(block);
  if (n < 0) {
    free(g.bytes);
    answer_failed(req, query, n);
    return;
  }
  report_call(req, "after-end", evy_body_read(req, &n, 1, 0));
  answer_gathered(req, &g);
}

/* Reads a piece, writes a piece: both directions at the same time. */
static void relay(evy_req *req, const char *query) {
  char block[16384];
  int64_t n;
  evy_status st = evy_resp_begin(req, 200, NULL, NULL, 0, query_number(query, "length", -1));
  while (st >= 0 && (n = evy_body_read(req, block, sizeof block, -1)) > 0) {
    st = evy_resp_write(req, block, (size_t)n, -1);
  }
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}

/* ---- push ---------------------------------------------------------------------------- */

struct push {
  struct gathered g;
  const char *query; /* belongs to the retained request */
  uint64_t pause_after;
  bool paused;
};

/* Only the request, which it has retained: the push state may be gone by then. */
static void resume(void *argument) {
  evy_req *req = argument;
  gate_wait(query_number(evy_env_get(req, "QUERY_STRING", NULL), "gate", -1));
  report_call(req, "resume", evy_body_pause(req, 0));
  evy_req_release(req);
}

static void on_piece(void *user, evy_req *req, const void *data, size_t len, evy_status st) {
  struct push *push = user;
  if (len > 0) {
    gather(&push->g, data, len);
    if (push->pause_after > 0 && push->g.total >= push->pause_after && !push->paused) {
      push->paused = true;
      evy_req_retain(req); /* released by the thread that resumes */
      report_call(req, "pause", evy_body_pause(req, 1));
      start_thread(resume, req);
    }
    return;
  }
  if (st == EVY_OK) {
    answer_gathered(req, &push->g);
  } else {
    answer_failed(req, push->query, st);
  }
  evy_req_release(req);
}

static void push_drop(void *user) {
  struct push *push = user;
  atomic_fetch_add(&counters.drops, 1);
  free(push->g.bytes);
  free(push);
}

static void other_piece(void *user, evy_req *req, const void *data, size_t len, evy_status st) {
  (void)user, (void)req, (void)data, (void)len, (void)st;
}

/* /push?pause=1000&gate=1: pieces are pushed; after `pause` bytes they stop until the gate
 * opens.  A second registration and a read are refused. */
static void push(evy_req *req, const char *query) {
  struct push *push = calloc(1, sizeof *push);
  char byte;
  if (push == NULL) {
    abort();
  }
  push->g = gathered_for(query);
  push->query = query;
  push->pause_after = (uint64_t)query_number(query, "pause", 0);
  atomic_fetch_add(&counters.drops_due, 2);
  evy_req_retain(req); /* released in the last call of on_piece */
  evy_status st = evy_body_on_data(req, on_piece, push, push_drop);
  report_call(req, "on-data", st);
  if (st != EVY_OK) {
    answer_text(req, 500, evy_strname(st));
    evy_req_release(req);
    return;
  }
  report_call(req, "on-data-again", evy_body_on_data(req, other_piece, NULL, count_drop));
  report_call(req, "read-too", evy_body_read(req, &byte, 1, 0));
}

/* Reading has begun: registration is refused, and the rest is still readable. */
static void pull_then_push(evy_req *req, const char *query) {
  struct gathered g = gathered_for(query);
  char block[4096];
  int64_t n = evy_body_read(req, block, 1, -1);
  atomic_fetch_add(&counters.drops_due, 1);
  report_call(req, "on-data", evy_body_on_data(req, other_piece, NULL, count_drop));
  for (; n > 0; n = evy_body_read(req, block, sizeof block, -1)) {
    gather(&g, block, (size_t)n);
  }
  answer_gathered(req, &g);
}

/* The library's own memory is lent, so nobody may have its pieces pushed any more. */
static void buffer_then_push(evy_req *req, const char *query) {
  struct gathered g = gathered_for(query);
  size_t len = 0;
  const void *body = evy_body_buffer(req, &len);
  atomic_fetch_add(&counters.drops_due, 1);
  report_call(req, "on-data", evy_body_on_data(req, other_piece, NULL, count_drop));
  gather(&g, body, len);
  answer_gathered(req, &g);
}

/* /heedless?n=..&gate=1: writes n bytes however full the connection is, waits at the gate, reads the body. */
static void heedless(evy_req *req, const char *query) {
  long count = query_number(query, "n", 0);
  unsigned char *bytes = malloc((size_t)count + 1);
  char block[4096];
  int64_t n = 0, total = 0;
  if (bytes == NULL) {
    abort();
  }
  fill_pattern(bytes, (size_t)count, 0);
  evy_resp_begin(req, 200, NULL, NULL, 0, count);
  report_call(req, "written", evy_resp_write(req, bytes, (size_t)count, 0));
  free(bytes);
  gate_wait(query_number(query, "gate", 0));
  while ((n = evy_body_read(req, block, sizeof block, -1)) > 0) {
    total += n;
  }
  report_call(req, "read", n < 0 ? n : total);
  evy_resp_end(req, NULL, 0);
}

const struct route body_routes[] = {{"/buffered", buffered}, {"/pull", pull},
                                    {"/heedless", heedless},
                                    {"/relay", relay},       {"/push", push},
                                    {"/pull-then-push", pull_then_push},
                                    {"/buffer-then-push", buffer_then_push},
                                    {NULL, NULL}};
