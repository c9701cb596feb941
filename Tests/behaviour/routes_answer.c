// SPDX-License-Identifier: MIT
// routes_answer.c - routes whose answers are given inside the handler: whole, streamed, wrong.
#include "testserver.h"
#include <stdlib.h>
#include <string.h>

static const char octets[] = "Content-Type\0application/octet-stream";

static void hello(evy_req *req, const char *query) {
  (void)query;
  answer_text(req, 200, "Hello, World!\r\n");
}

/* /fixed?n=1000: one call, n pattern bytes. */
static void fixed(evy_req *req, const char *query) {
  size_t count = (size_t)query_number(query, "n", 0);
  unsigned char *body = malloc(count + 1);
  if (body == NULL) {
    abort();
  }
  fill_pattern(body, count, 0);
  report_call(req, "respond",
              evy_respond(req, 200, NULL, octets, sizeof octets, body, count));
  free(body);
}

/* Writes count pattern bytes in pieces; the first status below zero ends it. */
static evy_status write_pattern(evy_req *req, uint64_t count, size_t piece, int64_t wait,
                                uint64_t *written) {
  unsigned char *block = malloc(piece + 1);
  evy_status st = EVY_OK;
  if (block == NULL) {
    abort();
  }
  for (*written = 0; *written < count && st >= 0;) {
    size_t n = count - *written < piece ? (size_t)(count - *written) : piece;
    fill_pattern(block, n, *written);
    st = evy_resp_write(req, block, n, wait);
    if (st >= 0) {
      *written += n;
    }
  }
  free(block);
  return st;
}

/* /streamed?n=..&piece=..&wait=..: declared length; /chunked: not known.  Zero-length
 * pieces are no-ops, so one is written in front to prove it. */
static void stream(evy_req *req, const char *query, bool declared) {
  uint64_t count = (uint64_t)query_number(query, "n", 0), written = 0;
  size_t piece = (size_t)query_number(query, "piece", 65536);
  int64_t wait = query_number(query, "wait", -1);
  evy_status st = evy_resp_begin(req, 200, NULL, octets, sizeof octets,
                                 declared ? (int64_t)count : -1);
  report_call(req, "begin", st);
  if (st < 0) {
    return;
  }
  report_call(req, "empty", evy_resp_write(req, "", 0, 0));
  st = write_pattern(req, count, piece == 0 ? 1 : piece, wait, &written);
  report_call(req, "written", (int64_t)written);
  report_call(req, "write", st);
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}
static void streamed(evy_req *req, const char *query) { stream(req, query, true); }
static void chunked(evy_req *req, const char *query) { stream(req, query, false); }

/* /fill?n=..: writes without waiting until EVY_FULL and tells how much was taken. */
static void fill(evy_req *req, const char *query) {
  uint64_t limit = (uint64_t)query_number(query, "n", 1 << 28), taken = 0;
  size_t piece = 65536;
  unsigned char *block = malloc(piece);
  if (block == NULL) {
    abort();
  }
  evy_status st = evy_resp_begin(req, 200, NULL, octets, sizeof octets, -1);
  while (st == EVY_OK && taken < limit) {
    fill_pattern(block, piece, taken);
    st = evy_resp_write(req, block, piece, 0);
    taken += st >= 0 ? piece : 0;
  }
  free(block);
  report_call(req, "fill-status", st);
  report_call(req, "taken", (int64_t)taken);
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}

/* /status?code=204&n=5&how=respond|stream&reason=..: any status, with a body given. */
static void status(evy_req *req, const char *query) {
  int code = (int)query_number(query, "code", 200);
  uint64_t count = (uint64_t)query_number(query, "n", 0), written = 0;
  char how[16], reason[64];
  query_text(query, "how", how, sizeof how);
  const char *phrase = query_text(query, "reason", reason, sizeof reason) >= 0 ? reason : NULL;
  unsigned char body[4096];
  fill_pattern(body, sizeof body, 0);
  evy_status st;
  if (strcmp(how, "stream") == 0) {
    st = evy_resp_begin(req, code, phrase, octets, sizeof octets, -1);
    if (st >= 0) {
      write_pattern(req, count, 1000, -1, &written);
      evy_resp_end(req, NULL, 0);
    }
  } else {
    st = evy_respond(req, code, phrase, octets, sizeof octets, body,
                     count < sizeof body ? (size_t)count : sizeof body);
  }
  report_call(req, "status", st);
  if (st < 0) {
    answer_text(req, 200, evy_strname(st));
  }
}

/* /header?code=200&name=..&value=..&twice=1&how=respond|begin&reason=..: one own field (name and value
 * percent-decoded, so any byte can be tried); a refused one is answered with its status. */
static void header(evy_req *req, const char *query) {
  char name[256], value[2048], how[16], reason[128], block[5000];
  long name_len = query_text(query, "name", name, sizeof name);
  long value_len = query_text(query, "value", value, sizeof value);
  long reason_len = query_text(query, "reason", reason, sizeof reason);
  query_text(query, "how", how, sizeof how);
  size_t n = 0;
  for (long times = query_number(query, "twice", 0) + 1; times > 0 && name_len >= 0; times--) {
    memcpy(block + n, name, (size_t)name_len + 1);
    n += (size_t)name_len + 1;
    memcpy(block + n, value, (size_t)(value_len < 0 ? 0 : value_len) + 1);
    n += (size_t)(value_len < 0 ? 0 : value_len) + 1;
  }
  const char *phrase = reason_len >= 0 ? reason : NULL;
  int code = (int)query_number(query, "code", 200);
  evy_status st;
  if (strcmp(how, "begin") == 0) {
    st = evy_resp_begin(req, code, phrase, block, n, 2);
    if (st >= 0) {
      evy_resp_write(req, "ok", 2, -1);
      evy_resp_end(req, NULL, 0);
    }
  } else {
    st = evy_respond(req, code, phrase, block, n, "ok", 2);
  }
  report_call(req, "header", st);
  if (st < 0) {
    answer_text(req, 200, evy_strname(st));
  }
}

/* /promise?promise=10&send=3&by=header: a promised length that is not kept. */
static void promise(evy_req *req, const char *query) {
  uint64_t send = (uint64_t)query_number(query, "send", 0), written = 0;
  long promised = query_number(query, "promise", 10);
  char by[16], block[64];
  query_text(query, "by", by, sizeof by);
  bool by_header = strcmp(by, "header") == 0;
  size_t n = 0;
  if (by_header) {
    n = (size_t)sprintf(block, "Content-Length%c%ld", 0, promised) + 1;
  }
  evy_status st = evy_resp_begin(req, 200, NULL, block, n, by_header ? -1 : promised);
  report_call(req, "begin", st);
  report_call(req, "write", write_pattern(req, send, 1, -1, &written));
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}

/* The second of two answers is refused, whatever its form, and so is a late piece. */
static void twice(evy_req *req, const char *query) {
  (void)query;
  answer_text(req, 200, "first");
  report_call(req, "respond-again", evy_respond(req, 500, NULL, NULL, 0, "second", 6));
  report_call(req, "begin-again", evy_resp_begin(req, 500, NULL, NULL, 0, -1));
  report_call(req, "write-after", evy_resp_write(req, "x", 1, 0));
  report_call(req, "end-after", evy_resp_end(req, NULL, 0));
  report_call(req, "abort-after", evy_resp_abort(req));
}

/* Pieces without a beginning, and a whole answer in the middle of a streamed one. */
static void disorder(evy_req *req, const char *query) {
  (void)query;
  report_call(req, "write-first", evy_resp_write(req, "x", 1, 0));
  report_call(req, "end-first", evy_resp_end(req, NULL, 0));
  report_call(req, "begin", evy_resp_begin(req, 200, NULL, NULL, 0, 2));
  report_call(req, "respond-within", evy_respond(req, 500, NULL, NULL, 0, NULL, 0));
  report_call(req, "begin-within", evy_resp_begin(req, 500, NULL, NULL, 0, -1));
  report_call(req, "write", evy_resp_write(req, "ok", 2, -1));
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}

static void nothing(evy_req *req, const char *query) {
  (void)req;
  (void)query;
}

/* Begun, but never ended. */
static void unfinished(evy_req *req, const char *query) {
  evy_resp_begin(req, 200, NULL, NULL, 0, query_number(query, "length", -1));
  evy_resp_write(req, "partial", 7, -1);
}

/* /abort?when=before|head|body: cut before the head, after it, after some of the body. */
static void abort_answer(evy_req *req, const char *query) {
  char when[16];
  query_text(query, "when", when, sizeof when);
  if (strcmp(when, "before") != 0) {
    report_call(req, "begin", evy_resp_begin(req, 200, NULL, NULL, 0, 1000));
  }
  if (strcmp(when, "body") == 0) {
    report_call(req, "write", evy_resp_write(req, "some of it", 10, -1));
  }
  report_call(req, "abort", evy_resp_abort(req));
}

const struct route answer_routes[] = {
    {"/", hello},         {"/hello", hello},     {"/fixed", fixed},
    {"/streamed", streamed}, {"/chunked", chunked}, {"/fill", fill},
    {"/status", status},  {"/header", header},   {"/promise", promise},
    {"/twice", twice},    {"/disorder", disorder}, {"/nothing", nothing},
    {"/unfinished", unfinished}, {"/abort", abort_answer}, {NULL, NULL}};
