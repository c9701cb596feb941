// SPDX-License-Identifier: MIT
// routes_more.c - answers by other ways: informational ones, trailers, lent memory, files, notices.
#include "testserver.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char octets[] = "Content-Type\0application/octet-stream";

/* One pair of name= and value= of the query; its length. */
static size_t pair_of(const char *query, char *block, size_t capacity) {
  long name_len = query_text(query, "name", block, capacity / 2);
  if (name_len < 0) {
    return 0;
  }
  long value_len = query_text(query, "value", block + name_len + 1, capacity / 2);
  return (size_t)name_len + (size_t)(value_len < 0 ? 0 : value_len) + 2;
}

/* /inform?status=103&times=2&name=..&value=..&flush=1&gate=1: then a plain answer. */
static void inform(evy_req *req, const char *query) {
  char block[512];
  size_t n = pair_of(query, block, sizeof block);
  for (long left = query_number(query, "times", 1); left > 0; left--) {
    report_call(req, "inform",
                evy_inform(req, (int)query_number(query, "status", 103), block, n));
  }
  if (query_number(query, "flush", 0) != 0) {
    report_call(req, "flush", evy_resp_flush(req));
  }
  gate_wait(query_number(query, "gate", -1));
  answer_text(req, 200, "informed");
  report_call(req, "inform-late", evy_inform(req, 103, NULL, 0));
}

/* /flush?gate=1: a streamed answer whose first piece is sent while the handler goes on. */
static void flush(evy_req *req, const char *query) {
  evy_resp_begin(req, 200, NULL, NULL, 0, -1);
  evy_resp_write(req, "first", 5, -1);
  report_call(req, "flush", evy_resp_flush(req));
  gate_wait(query_number(query, "gate", -1));
  evy_resp_write(req, "second", 6, -1);
  evy_resp_end(req, NULL, 0);
}

/* /trailers?name=..&value=..&length=5: "hello" with one trailer; a refused one is left out. */
static void trailers(evy_req *req, const char *query) {
  char block[512];
  size_t n = pair_of(query, block, sizeof block);
  static const char announced[] = "Trailer\0X-Sum";
  size_t count = query_number(query, "announce", 0) != 0 ? sizeof announced : 0;
  evy_resp_begin(req, 200, NULL, announced, count, query_number(query, "length", -1));
  evy_resp_write(req, "hello", 5, -1);
  evy_status st = evy_resp_end(req, block, n);
  report_call(req, "end", st);
  if (st == EVY_E_FIELD) {
    report_call(req, "end-again", evy_resp_end(req, NULL, 0));
  }
}

/* The trailers of the request as name=value; lines, after its body was read away. */
static void body_trailers(evy_req *req, const char *query) {
  char byte[4096], text[4096];
  size_t len = 1, n = 0;
  int64_t got = 0;
  (void)query;
  bool early = evy_body_trailers(req, NULL) != NULL;
  if (evy_body_buffer(req, NULL) == NULL) {
    do {
      got = evy_body_read(req, byte, sizeof byte, -1);
    } while (got > 0);
  }
  const char *block = evy_body_trailers(req, &len);
  bool ended = block == NULL || block[len] == '\0';
  bool name = true;
  for (size_t i = 0; block != NULL && i < len && n + 1 < sizeof text; i++) {
    text[n++] = block[i] != '\0' ? block[i] : name ? '=' : '\n';
    name = block[i] == '\0' ? !name : name;
  }
  report_call(req, "early", early);
  report_call(req, "length", (int64_t)len);
  report_call(req, "terminated", ended);
  bool header = evy_env_get(req, "HTTP_X_SUM", NULL) != NULL;
  report_call(req, "among-headers", header);
  evy_respond(req, 200, NULL, NULL, 0, text, n);
}

/* ---- lent memory ----------------------------------------------------------------------- */

static void give_back(void *user) {
  free(user);
  count_drop(NULL);
}

static unsigned char *lend(size_t count, uint64_t offset) {
  unsigned char *bytes = malloc(count + 1);
  if (bytes == NULL) {
    abort();
  }
  fill_pattern(bytes, count, offset);
  atomic_fetch_add(&counters.drops_due, 1);
  return bytes;
}

/* /lent?n=..: the whole answer from lent memory. */
static void lent(evy_req *req, const char *query) {
  size_t count = (size_t)query_number(query, "n", 0);
  unsigned char *bytes = lend(count, 0);
  report_call(req, "respond", evy_respond_ref(req, 200, NULL, octets, sizeof octets, bytes, count,
                                              bytes, give_back));
  unsigned char *again = lend(5000, 0);
  report_call(req, "respond-again", evy_respond_ref(req, 200, NULL, NULL, 0, again, 5000, again,
                                                    give_back));
}

/* /mixed?n=..&piece=..&declared=1&file=PATH&heedless=1: n pattern bytes, of turn about copied,
 * lent, and from a file that holds the pattern, on and on whatever it is told if heedless; then
 * refused pieces, which give theirs back too. */
static void mixed(evy_req *req, const char *query) {
  uint64_t count = (uint64_t)query_number(query, "n", 0), at = 0;
  size_t piece = (size_t)query_number(query, "piece", 10000);
  char path[256];
  int fd = query_text(query, "file", path, sizeof path) > 0 ? open(path, O_RDONLY) : -1;
  bool declared = query_number(query, "declared", 0) != 0;
  bool heedless = query_number(query, "heedless", 0) != 0;
  evy_status st = evy_resp_begin(req, 200, NULL, octets, sizeof octets,
                                 declared ? (int64_t)count : -1);
  for (int turn = 0; at < count && (st >= 0 || heedless); turn++) {
    size_t n = count - at < piece ? (size_t)(count - at) : piece;
    unsigned char *bytes = lend(n, at);
    if (turn % 3 == 1) {
      st = evy_resp_write_ref(req, bytes, n, bytes, give_back);
    } else {
      st = turn % 3 == 2 && fd >= 0 ? evy_resp_file(req, fd, (int64_t)at, (int64_t)n)
                                    : evy_resp_write(req, bytes, n, -1);
      give_back(bytes);
    }
    at += n;
  }
  close(fd);
  report_call(req, "mixed", st < 0 ? st : EVY_OK);
  report_call(req, "end", evy_resp_end(req, NULL, 0));
  unsigned char *late = lend(5000, 0);
  report_call(req, "write-after", evy_resp_write_ref(req, late, 5000, late, give_back));
}

/* /file?path=..&offset=..&length=..&declared=..&then=..: part of a file; the answer waits for
 * gate `then` before it ends. */
static void file(evy_req *req, const char *query) {
  char path[256];
  query_text(query, "path", path, sizeof path);
  int fd = open(path, O_RDONLY);
  long declared = query_number(query, "declared", -1);
  evy_resp_begin(req, 200, NULL, octets, sizeof octets, declared);
  evy_status st = evy_resp_file(req, fd, query_number(query, "offset", 0),
                                query_number(query, "length", -1));
  close(fd);
  report_call(req, "file", st);
  gate_wait(query_number(query, "then", -1));
  if (st < 0) {
    evy_resp_write(req, evy_strname(st), strlen(evy_strname(st)), -1);
  }
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}

/* /writev: "one", "", "two", "three" in one chunk. */
static void vector(evy_req *req, const char *query) {
  const evy_slice slices[] = {{"one", 3}, {NULL, 0}, {"two", EVY_NUL}, {"three-", 5}};
  const evy_slice bad[] = {{"one", 3}, {NULL, 3}};
  evy_resp_begin(req, 200, NULL, NULL, 0, query_number(query, "length", -1));
  report_call(req, "none", evy_resp_writev(req, NULL, 0, -1));
  report_call(req, "bad", evy_resp_writev(req, bad, 2, -1));
  report_call(req, "writev", evy_resp_writev(req, slices, 4, -1));
  report_call(req, "end", evy_resp_end(req, NULL, 0));
}

/* ---- notices ---------------------------------------------------------------------------- */

struct flow {
  uint64_t count, written, most;
  size_t piece;
  long turns;
};

static void flow_drop(void *user) {
  free(user);
  count_drop(NULL);
}

/* Writes until it is told to stop, or all is written. */
static void flow_on(void *user, evy_req *req) {
  struct flow *flow = user;
  evy_status st = EVY_OK;
  unsigned char *block = malloc(flow->piece);
  if (block == NULL) {
    abort();
  }
  uint64_t waits = flow->written - (uint64_t)evy_req_stat(req, EVY_STAT_BODY_OUT);
  flow->most = waits > flow->most ? waits : flow->most;
  flow->turns++;
  while (st == EVY_OK && flow->written < flow->count) {
    fill_pattern(block, flow->piece, flow->written);
    flow->written += flow->piece;
    st = evy_resp_write(req, block, flow->piece, 0);
  }
  free(block);
  /* Told to stop: where a thread of the host writes, the loop may be in here by now. */
  if (st == EVY_OK) {
    report_call(req, "turns", flow->turns);
    report_call(req, "waited", (int64_t)flow->most);
    report_call(req, "end", evy_resp_end(req, NULL, 0));
    evy_req_release(req);
  }
}

static void flow_gone(void *user, evy_req *req) {
  (void)user;
  report_call(req, "gone", evy_req_gone(req));
  evy_req_release(req);
}

/* /flow?n=..&piece=..: written by on_writable alone, nobody waits. */
static void flow(evy_req *req, const char *query) {
  struct flow *flow = calloc(1, sizeof *flow);
  if (flow == NULL) {
    abort();
  }
  flow->count = (uint64_t)query_number(query, "n", 0);
  flow->piece = (size_t)query_number(query, "piece", 65536);
  atomic_fetch_add(&counters.drops_due, 4);
  evy_req_retain(req);
  report_call(req, "on-writable", evy_resp_on_writable(req, flow_on, flow, flow_drop));
  report_call(req, "on-writable-again", evy_resp_on_writable(req, flow_on, NULL, count_drop));
  evy_status heard = evy_req_on_gone(req, flow_gone, NULL, count_drop);
  report_call(req, "on-gone", heard);
  report_call(req, "on-gone-again", evy_req_on_gone(req, flow_gone, NULL, count_drop));
  if (heard != EVY_OK) { /* left already: nobody else would give it back */
    evy_req_release(req);
    return;
  }
  evy_resp_begin(req, 200, NULL, octets, sizeof octets, -1);
  flow_on(flow, req);
}

static void open_the_gate(void *user, evy_req *req) {
  report_call(req, "gone", evy_req_gone(req));
  atomic_fetch_add(&counters.drops_due, 1);
  report_call(req, "on-writable-gone", evy_resp_on_writable(req, open_the_gate, NULL, count_drop));
  gate_open((long)(intptr_t)user);
}

/* /watched?gate=1&retain=1: a handler, or a thread of the host, at work until the client leaves. */
static void watched(evy_req *req, const char *query) {
  long gate = query_number(query, "gate", 0);
  atomic_fetch_add(&counters.drops_due, 1);
  report_call(req, "on-gone",
              evy_req_on_gone(req, open_the_gate, (void *)(intptr_t)gate, count_drop));
  gate_wait(gate);
  report_call(req, "let-go", EVY_OK);
  atomic_fetch_add(&counters.drops_due, 1);
  report_call(req, "on-gone-late", evy_req_on_gone(req, open_the_gate, NULL, count_drop));
  answer_text(req, 200, "unheard");
}

/* ---- taking over ------------------------------------------------------------------------- */

struct taken {
  evy_req *req;
  int fd;
  long gate;
  long half;
};

static void send_all(int fd, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);
    if (n <= 0) {
      return;
    }
    bytes += n;
    count -= (size_t)n;
  }
}

/* Says "taken\n", then every byte it gets, until there are no more or "." comes. */
static void echo(int fd) {
  char block[70000];
  ssize_t n;
  send_all(fd, "taken\n", 6);
  while ((n = recv(fd, block, sizeof block, 0)) > 0) {
    send_all(fd, block, (size_t)n);
    if (block[n - 1] == '.') {
      break;
    }
  }
  close(fd);
}

/* Says "taken\n", which is all that it says where half=1, and reads from the gate on; the count of bytes is
 * reported. half=2: at the gate it says on and on, until it is told that nobody hears it. */
static void hear_later(void *argument) {
  struct taken *taken = argument;
  char block[70000];
  int64_t n, total = 0;
  send_all(taken->fd, "taken\n", 6);
  if (taken->half == 1) {
    shutdown(taken->fd, SHUT_WR);
  }
  gate_wait(taken->gate);
  while (taken->half == 2 && send(taken->fd, "x", 1, MSG_NOSIGNAL) == 1) {
    sleep_ms(1);
  }
  while ((n = recv(taken->fd, block, sizeof block, 0)) > 0) {
    total += n;
  }
  close(taken->fd);
  report_call(taken->req, "heard", total);
  evy_req_release(taken->req);
  free(taken);
}

static void echo_later(void *argument) {
  struct taken *taken = argument;
  gate_wait(taken->gate);
  if (taken->fd < 0) {
    report_call(taken->req, "take", evy_req_take_socket(taken->req, &taken->fd));
    if (taken->fd < 0) {
      report_call(taken->req, "respond", evy_respond(taken->req, 200, NULL, NULL, 0, NULL, 0));
    }
    evy_req_release(taken->req);
  }
  if (taken->fd >= 0) {
    echo(taken->fd);
  }
  free(taken);
}

/* /take?how=inline|thread|late|asked&hint=1&half=..&gate=..: an echo on the connection, in the handler, on a
 * thread of the host, or taken by that thread when the handler has returned; asked: it has asked before. */
static void take(evy_req *req, const char *query) {
  struct taken *taken = calloc(1, sizeof *taken);
  char how[16];
  if (taken == NULL) {
    abort();
  }
  query_text(query, "how", how, sizeof how);
  *taken = (struct taken){req, -1, query_number(query, "gate", -1), query_number(query, "half", 0)};
  if (query_number(query, "hint", 0) != 0) {
    evy_inform(req, 103, NULL, 0);
  }
  gate_wait(query_number(query, "at", -1));
  if (strcmp(how, "late") == 0 || strcmp(how, "asked") == 0) {
    evy_req_retain(req);
    start_thread(echo_later, taken);
    while (strcmp(how, "asked") == 0 && evy_inform(req, 103, NULL, 0) != EVY_E_STATE) {
      sleep_ms(1);
    }
    return;
  }
  report_call(req, "take", evy_req_take_socket(req, &taken->fd));
  report_call(req, "respond", evy_respond(req, 200, NULL, NULL, 0, NULL, 0));
  int again = 0;
  report_call(req, "take-again", evy_req_take_socket(req, &again));
  if (taken->half != 0 && taken->fd >= 0) {
    evy_req_retain(req);
    start_thread(hear_later, taken);
  } else if (strcmp(how, "inline") == 0 || taken->fd < 0) {
    echo(taken->fd);
    free(taken);
  } else {
    start_thread(echo_later, taken);
  }
}

/* An answer that has begun cannot be taken, nor a body that was not read. */
static void take_refused(evy_req *req, const char *query) {
  int fd = 7;
  (void)query;
  if (evy_body_length(req) != 0) {
    report_call(req, "unread", evy_req_take_socket(req, &fd));
  }
  evy_resp_begin(req, 200, NULL, NULL, 0, 2);
  report_call(req, "begun", evy_req_take_socket(req, &fd));
  report_call(req, "no-room", evy_req_take_socket(req, NULL));
  report_call(req, "descriptor", fd == -1);
  evy_resp_write(req, "ok", 2, -1);
  evy_resp_end(req, NULL, 0);
}

const struct route more_routes[] = {{"/take", take},       {"/take-refused", take_refused},
                                    {"/inform", inform},   {"/flush", flush},
                                    {"/trailers", trailers}, {"/body-trailers", body_trailers},
                                    {"/lent", lent},       {"/mixed", mixed},
                                    {"/file", file},       {"/writev", vector},
                                    {"/flow", flow},       {"/watched", watched},
                                    {NULL, NULL}};
