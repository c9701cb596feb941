// SPDX-License-Identifier: MIT
// site.c - the handlers: one for each kind of request, and the hook that every request has.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stress.h"

enum { piece = 9000, patience = 900000 };
int pattern_file = -1;

void open_pattern_file(const char *folder) {
  char path[300];
  snprintf(path, sizeof path, "%s/pattern", folder);
  pattern_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  must(pattern_file >= 0 && write(pattern_file, pool, pool_size) == pool_size, "the pattern's file");
}

void count_lent_drop(void *user) {
  (void)user;
  atomic_fetch_add(&book->lent_drops, 1);
}

/* ---- the end of a request ---------------------------------------------------------- */

struct visit *visit_keep(struct visit *visit) {
  atomic_fetch_add(&visit->users, 1);
  return visit;
}

void visit_let_go(void *user) {
  struct visit *visit = user;
  if (atomic_fetch_sub(&visit->users, 1) == 1) {
    free(visit);
  }
}

void hold(struct visit *visit) {
  evy_req_retain(visit->req);
  atomic_store(&visit->is_held, true);
}

void finish(struct visit *visit) {
  if (atomic_exchange(&visit->is_held, false)) {
    evy_req_release(visit->req);
  }
}

static void check_end(struct visit *visit, int64_t end) {
  if (end < 0 || end >= ENDS) {
    return fault("/%s ended with %lld", kind_names[visit->kind], (long long)end);
  }
  if (visit->is_doomed) {
    atomic_fetch_add(&book->doomed_shut, end == EVY_END_SHUTDOWN);
  } else {
    atomic_fetch_add(&book->ended[visit->kind][end], 1);
  }
}

/* Runs once for each request; see drop_visit. */
static void hook(void *user, evy_req *req) {
  struct visit *visit = user;
  if (atomic_fetch_add(&visit->hooks, 1) != 0) {
    fault("a hook of /%s ran again", kind_names[visit->kind]);
  }
  atomic_fetch_add(visit->is_doomed ? &book->doomed_hooks : &book->hooks[visit->kind], 1);
  check_end(visit, evy_req_stat(req, EVY_STAT_END));
  if (evy_env_get(req, "PATH_INFO", NULL) == NULL) {
    fault("environ is gone in a hook of /%s", kind_names[visit->kind]);
  }
  /* Where the client has left, nobody else would. */
  finish(visit);
}

static void drop_visit(void *user) {
  struct visit *visit = user;
  if (atomic_load(&visit->hooks) != 1) {
    fault("/%s is dropped after %d hooks", kind_names[visit->kind], atomic_load(&visit->hooks));
  }
  atomic_fetch_add(visit->is_doomed ? &book->doomed_drops : &book->drops[visit->kind], 1);
  visit_let_go(visit);
}

void request_done(evy_req *req) {
  struct visit *visit = evy_req_user(req);
  hook(visit, req);
  drop_visit(visit);
}

/* ---- whole and streamed answers ------------------------------------------------------ */

static void answer(struct visit *visit) {
  evy_respond(visit->req, 200, NULL, NULL, 0, bytes_of(visit->seed), size_of(visit->kind, visit->seed));
}

static void answer_ref(struct visit *visit) {
  atomic_fetch_add(&book->lent_due, 1);
  evy_respond_ref(visit->req, 200, NULL, NULL, 0, bytes_of(visit->seed), size_of(visit->kind, visit->seed),
                  NULL,
                  count_lent_drop);
}

static void answer_stream(struct visit *visit) {
  static const char trailers[] = "X-Sum\0right";
  size_t size = size_of(visit->kind, visit->seed), at = 0;
  evy_status status = evy_resp_begin(visit->req, 200, NULL, NULL, 0, -1);
  while (at < size && status >= 0) {
    size_t part = size - at < piece ? size - at : piece;
    status = evy_resp_write(visit->req, bytes_of(visit->seed) + at, part, patience);
    at += part;
  }
  evy_resp_end(visit->req, trailers, sizeof trailers);
}

static void answer_fixed(struct visit *visit) {
  size_t size = size_of(visit->kind, visit->seed), at = 0;
  const unsigned char *bytes = bytes_of(visit->seed);
  evy_resp_begin(visit->req, 200, NULL, NULL, 0, (int64_t)size);
  for (int turn = 0; at < size; turn++) {
    size_t part = size - at < piece ? size - at : piece;
    if (turn % 2 == 0) {
      atomic_fetch_add(&book->lent_due, 1);
      evy_resp_write_ref(visit->req, bytes + at, part, NULL, count_lent_drop);
    } else {
      evy_slice slices[2] = {{bytes + at, part / 2}, {bytes + at + part / 2, part - part / 2}};
      evy_resp_writev(visit->req, slices, 2, 0);
    }
    at += part;
  }
  evy_resp_end(visit->req, NULL, 0);
}

static void answer_file(struct visit *visit) {
  size_t size = size_of(visit->kind, visit->seed);
  evy_resp_begin(visit->req, 200, NULL, NULL, 0, (int64_t)size);
  evy_resp_file(visit->req, pattern_file, bytes_of(visit->seed) - pool, (int64_t)size);
  evy_resp_end(visit->req, NULL, 0);
}

static void answer_inform(struct visit *visit) {
  static const char link[] = "Link\0</style.css>; rel=preload";
  evy_inform(visit->req, 103, link, sizeof link);
  answer(visit);
}

static void abort_answer(struct visit *visit) {
  if (visit->seed % 2 == 0) {
    evy_resp_begin(visit->req, 200, NULL, NULL, 0, -1);
    evy_resp_write(visit->req, pool, 100, 0);
  }
  evy_resp_abort(visit->req);
}

/* ---- bodies ---------------------------------------------------------------------------- */

/* Whole or piece by piece, as option body has it. */
static size_t read_body(evy_req *req, unsigned char *room, size_t capacity, int64_t *count) {
  size_t size = 0;
  const void *whole = evy_body_buffer(req, &size);
  if (whole != NULL) {
    memcpy(room, whole, size < capacity ? size : capacity);
    return size;
  }
  for (size = 0; size < capacity; size += (size_t)*count) {
    *count = evy_body_read(req, room + size, capacity - size, patience);
    if (*count <= 0) {
      break;
    }
  }
  return size;
}

static void answer_echo(struct visit *visit) {
  size_t wanted = size_of(visit->kind, visit->seed);
  unsigned char *room = malloc(wanted + 1);
  int64_t last = 0;
  size_t size = read_body(visit->req, room, wanted + 1, &last);
  if (!visit->is_doomed && (size != wanted || memcmp(room, bytes_of(visit->seed), size) != 0)) {
    fault("a body of %zu bytes came as %zu, or others, then %s", wanted, size, evy_strname((evy_status)last));
  }
  evy_respond(visit->req, 200, NULL, NULL, 0, room, size < wanted ? size : wanted);
  free(room);
}

/* ---- the handler ------------------------------------------------------------------------- */

static void serve(struct visit *visit) {
  switch (visit->kind) {
  case K_REF: return answer_ref(visit);
  case K_STREAM: return answer_stream(visit);
  case K_FIXED: return answer_fixed(visit);
  case K_SLOW: pause_ms(1 + visit->seed % 12); return answer(visit);
  case K_LATE:
  case K_LATESTREAM: return answer_late(visit);
  case K_ECHO:
  case K_CHUNKED: return answer_echo(visit);
  case K_FILE: return answer_file(visit);
  case K_INFORM: return answer_inform(visit);
  case K_POST:
  case K_TIMER: return answer_by_task(visit);
  case K_NONE: return;
  case K_TAKE: return take_over(visit);
  case K_ABORT: return abort_answer(visit);
  case K_GONE: return wait_for_departure(visit);
  default: return answer(visit);
  }
}

static enum kind kind_of(evy_req *req) {
  const char *path = evy_env_get(req, "PATH_INFO", NULL);
  int kind = 0;
  while (kind < KINDS && (path == NULL || strcmp(path + 1, kind_names[kind]) != 0)) {
    kind++;
  }
  if (kind == KINDS) {
    fault("a request for %s", path != NULL ? path : "nothing");
    return K_SMALL;
  }
  return (enum kind)kind;
}

void on_request(void *user, evy_req *req) {
  struct term *term = user;
  struct visit *visit = calloc(1, sizeof *visit);
  const char *query = evy_env_get(req, "QUERY_STRING", NULL);
  visit->kind = kind_of(req);
  visit->seed = (unsigned)strtoul(query + 2, NULL, 10);
  visit->is_doomed = term->is_doomed;
  visit->is_pulled = term->is_pulled;
  visit->is_stepped = term->is_stepped;
  visit->req = req;
  atomic_store(&visit->users, 1);
  atomic_fetch_add(term->is_doomed ? &book->doomed_handled : &book->handled[visit->kind], 1);
  evy_req_set_user(req, visit);
  evy_status status = term->is_pulled ? evy_posthook_add(req, NULL, NULL, NULL)
                                      : evy_posthook_add(req, hook, visit, drop_visit);
  if (status == EVY_E_STATE && term->is_pulled && (term->is_doomed || visit->kind == K_GONE)) {
    /* It was over before it was taken. */
    atomic_fetch_add(&book->unserved, !term->is_doomed);
    return request_done(req);
  }
  if (status != EVY_OK) {
    fault("no hook for /%s: %s", kind_names[visit->kind], evy_strname(status));
  }
  serve(visit);
}
