// SPDX-License-Identifier: MIT
// every_request.c - the rows of requests: each call once in each state, on a request of its own.
#include "every.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum state { none, fresh, answered, hooked, accessed, over, gone, stopped, states };

static char large[8192];
static int file;

static long long take_socket(evy_req *req) {
  int fd = -7;
  evy_status status = evy_req_take_socket(req, &fd);
  check(status == EVY_OK || fd == -1 || req == NULL, "no socket, but descriptor %d", fd);
  if (status == EVY_OK) {
    close(fd);
  }
  return status;
}

#define LIBRARY(...)
#define CONFIG(...)
#define TLS(...)
#define SERVER(...)
#define ROW(name, w0, w1, w2, w3, w4, w5, w6, w7, call)                                                \
  static long long request_##name(evy_req *h) {                                                        \
    size_t len;                                                                                        \
    const char *text;                                                                                  \
    char byte;                                                                                         \
    (void)len, (void)text, (void)byte;                                                                 \
    return call;                                                                                       \
  }
#include "rows_request.h"
#undef ROW

static const struct row {
  const char *name, *wanted[states];
  long long (*call)(evy_req *h);
} rows[] = {
#define ROW(name, w0, w1, w2, w3, w4, w5, w6, w7, call)                                                \
  {#name, {w0, w1, w2, w3, w4, w5, w6, w7}, request_##name},
#include "rows_request.h"
};
enum { count = sizeof rows / sizeof rows[0] };

struct visit {
  const struct row *row;
  enum state state;
  evy_req *kept;
  atomic_bool called, returned, ended;
};

static void settle(struct visit *visit, evy_req *req) {
  long long got = visit->row->call(req);
  check(fits(visit->row->wanted[visit->state], got), "%s in state %d gives %s, not %s", visit->row->name,
        visit->state, visit->row->wanted[visit->state], shown(got));
  atomic_store(&visit->called, true);
}

static void in_hook(void *user, evy_req *req) {
  struct visit *visit = user;
  if (visit->state == hooked) {
    settle(visit, req);
  }
}

static void in_access(void *user, evy_req *req, const char *line, size_t len) {
  struct visit *visit = *(struct visit **)user;
  check(line != NULL && strlen(line) == len, "an access line of %zu bytes", len);
  if (visit->state == accessed) {
    settle(visit, req);
  }
  atomic_store(&visit->ended, true);
}

static void in_handler(void *user, evy_req *req) {
  struct visit *visit = *(struct visit **)user;
  check(evy_posthook_add(req, in_hook, visit, DROP(posthook)) == EVY_OK, "no hook");
  if (visit->state >= over) {
    evy_req_retain(req);
    visit->kept = req;
  }
  if (visit->state == fresh) {
    settle(visit, req);
  }
  if (visit->state < gone) {
    evy_respond(req, 200, NULL, NULL, 0, "hello", 5); /* or it is answered */
    evy_resp_end(req, NULL, 0);
  }
  if (visit->state == answered) {
    settle(visit, req);
  }
  atomic_store(&visit->returned, true);
}

static evy_server *serve(struct visit **current) {
  evy_server *server = NULL;
  evy_config *cfg = ready_config(in_handler, current);
  evy_config_on_access(cfg, in_access, current, DROP(on_access));
  check(evy_server_new(cfg, &server) == EVY_OK && evy_server_start(server) == EVY_OK, "no server");
  evy_config_free(cfg);
  return server;
}

/* One call in one state. The server is freed, and NULL, after the last of them. */
static evy_server *visit_once(evy_server *server, struct visit *visit) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  char answer[1024];
  int fd = dial(evy_server_port(server, 0));
  say(fd, request, EVY_NUL);
  if (visit->state < gone) {
    hear(fd, answer, sizeof answer);
    check(WAIT_UNTIL(visit->ended), "%s in state %d: no access line", visit->row->name, visit->state);
    hang_up(fd, false);
  } else {
    check(WAIT_UNTIL(visit->returned), "%s: no handler", visit->row->name);
    if (visit->state == gone) {
      hang_up(fd, true);
      check(WAIT_UNTIL(evy_req_gone(visit->kept) == 1), "%s: never gone", visit->row->name);
    } else {
      evy_server_stop(server, 0);
      check(evy_server_wait(server, 15000) == EVY_OK, "%s", evy_server_error(server));
      evy_server_free(server);
      server = NULL;
      hang_up(fd, false);
    }
  }
  if (visit->kept != NULL) {
    settle(visit, visit->kept);
    evy_req_release(visit->kept);
  }
  check(visit->called, "%s in state %d: never called", visit->row->name, visit->state);
  /* The loop may be about to look at the visit, which is on our stack. */
  check(server == NULL || WAIT_UNTIL(visit->ended), "%s: never ended", visit->row->name);
  return server;
}

void every_request(void) {
  void *nobody[STRANGERS];
  struct visit *current = NULL;
  file = open(plain_file, O_RDONLY | O_CLOEXEC);
  check(file >= 0, "no file");
  strangers(nobody);
  for (int i = 0; i < count; i++) {
    struct visit visit = {.row = &rows[i], .state = none};
    for (int other = 0; other < STRANGERS; other++) {
      settle(&visit, nobody[other]);
    }
    evy_server *server = serve(&current);
    for (enum state state = fresh; state < states; state++) {
      struct visit next = {.row = &rows[i], .state = state};
      current = &next;
      server = visit_once(server, &next);
    }
  }
  forget_strangers();
  close(file);
}
