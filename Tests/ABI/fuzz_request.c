// SPDX-License-Identifier: MIT
// fuzz_request.c - random calls on requests: the callback's own, kept ones in any state, and strangers.
#include "fuzz.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define ANSWERS "OK|ARG|FIELD|STATE|GONE|TIMEOUT|NOMEM"
#define WRITES "OK|FULL|ARG|STATE|GONE|TIMEOUT|NOMEM"
#define NOTICES "OK|ARG|STATE|GONE"

static const char large[200000];

/* A request for one call. Kept ones get a reference for as long: a request must be alive (see evy.h). */
struct choice {
  evy_req *req;
  bool is_held;
};

static struct choice choose(struct actor *a) {
  if (a->own != NULL && dice(a, 10) < 8) {
    return (struct choice){a->own, false};
  }
  if (dice(a, 20) == 0) {
    return (struct choice){any_stranger(a), false};
  }
  pthread_mutex_lock(&a->world->gate);
  evy_req *req = a->world->kept[dice(a, KEPT)];
  if (req != NULL) {
    evy_req_retain(req);
  }
  pthread_mutex_unlock(&a->world->gate);
  return (struct choice){req, req != NULL};
}

static void let_go(struct choice c) {
  if (c.is_held) {
    evy_req_release(c.req);
  }
}

#define ON_REQUEST(name, ...)                                                                          \
  static void do_##name(struct actor *a) {                                                             \
    struct choice c = choose(a);                                                                       \
    evy_req *req = c.req;                                                                              \
    size_t len = 0;                                                                                    \
    const char *text = NULL;                                                                           \
    char room[512];                                                                                    \
    (void)req, (void)len, (void)text, (void)room;                                                      \
    __VA_ARGS__;                                                                                       \
    let_go(c);                                                                                         \
  }
static int64_t wait_here(struct actor *a) { return a->may_block ? any_wait(a) : 0; }
/* 200 to 599 for the most part */
static int32_t any_status(struct actor *a) {
  return dice(a, 6) == 0 ? (int32_t)any_number(a) : (int32_t)(200 + dice(a, 8) * dice(a, 50));
}

ON_REQUEST(evy_env_get, CALL("any", evy_env_get, req, any_text(a), &len))
ON_REQUEST(evy_env_count, CALL("any", evy_env_count, req))
ON_REQUEST(evy_env_at, CALL("any", evy_env_at, req, (uint32_t)any_number(a), &text, &len))
ON_REQUEST(evy_env_block, CALL("any", evy_env_block, req, dice(a, 4) ? &len : NULL))
ON_REQUEST(evy_env_set, struct bytes b = any_bytes(a);
           CALL("OK|ARG|NOMEM", evy_env_set, req, any_text(a), b.start, any_length(a, b.len)))
ON_REQUEST(evy_req_headers, CALL("any", evy_req_headers, req, &len))
ON_REQUEST(evy_req_server, CALL("any", evy_req_server, req))
ON_REQUEST(evy_req_id, CALL("0|+", evy_req_id, req))
ON_REQUEST(evy_req_set_user, VOID_CALL(evy_req_set_user, req, a->world))
ON_REQUEST(evy_req_user, CALL("any", evy_req_user, req))
ON_REQUEST(evy_req_gone, CALL("0|1", evy_req_gone, req))
ON_REQUEST(evy_body_length, CALL("0|-1|+", evy_body_length, req))
ON_REQUEST(evy_body_buffer, CALL("any", evy_body_buffer, req, &len))
ON_REQUEST(evy_body_read, size_t cap = dice(a, 8) ? sizeof room : 0;
           CALL("0|+|ARG|AGAIN|TIMEOUT|GONE|LIMIT|PROTOCOL|STATE", evy_body_read, req,
                dice(a, 20) ? room : NULL, cap, wait_here(a)))
ON_REQUEST(evy_body_on_data, CALL("OK|ARG|STATE", evy_body_on_data, req, dice(a, 10) ? fuzz_piece : NULL,
                                  a->world, DROP(on_data)))
ON_REQUEST(evy_body_pause, CALL("OK|ARG|STATE", evy_body_pause, req, (int32_t)any_number(a)))
ON_REQUEST(evy_body_trailers, CALL("any", evy_body_trailers, req, &len))
ON_REQUEST(evy_respond, struct bytes h = any_fields(a), b = any_bytes(a);
           CALL(ANSWERS, evy_respond, req, any_status(a), dice(a, 3) ? NULL : any_text(a), h.start,
                any_length(a, h.len), b.start, any_length(a, b.len)))
ON_REQUEST(evy_resp_begin, struct bytes h = any_fields(a);
           CALL(ANSWERS, evy_resp_begin, req, any_status(a), NULL, h.start, h.len,
                dice(a, 2) ? -1 : any_number(a)))
ON_REQUEST(evy_resp_write, struct bytes b = any_bytes(a);
           CALL(WRITES, evy_resp_write, req, b.start, any_length(a, b.len), wait_here(a)))
ON_REQUEST(evy_resp_end, struct bytes h = dice(a, 3) ? (struct bytes){NULL, 0} : any_fields(a);
           CALL("OK|ARG|FIELD|STATE|GONE|TIMEOUT", evy_resp_end, req, h.start, h.len))
ON_REQUEST(evy_resp_abort, CALL("OK|ARG|STATE", evy_resp_abort, req))
ON_REQUEST(evy_inform, struct bytes h = any_fields(a);
           CALL(ANSWERS, evy_inform, req, (int32_t)(98 + dice(a, 8)), h.start, any_length(a, h.len)))
ON_REQUEST(evy_resp_flush, CALL("OK|ARG|STATE|GONE|TIMEOUT", evy_resp_flush, req))
ON_REQUEST(evy_resp_writev, struct bytes b = any_bytes(a); struct bytes d = any_bytes(a);
           evy_slice list[2] = {{b.start, any_length(a, b.len)}, {d.start, d.len}};
           CALL(WRITES, evy_resp_writev, req, dice(a, 10) ? list : NULL, dice(a, 3), wait_here(a)))
ON_REQUEST(evy_respond_ref, struct bytes h = any_fields(a);
           CALL(ANSWERS, evy_respond_ref, req, any_status(a), NULL, h.start, h.len, large,
                dice(a, sizeof large), NULL, DROP(lent)))
ON_REQUEST(evy_resp_write_ref,
           CALL(WRITES, evy_resp_write_ref, req, large, dice(a, sizeof large), NULL, DROP(lent)))
ON_REQUEST(evy_resp_on_writable, CALL(NOTICES, evy_resp_on_writable, req,
                                      dice(a, 10) ? fuzz_hook : NULL, a->world, DROP(on_writable)))
ON_REQUEST(evy_req_on_gone, CALL(NOTICES, evy_req_on_gone, req, dice(a, 10) ? fuzz_gone : NULL, a->world,
                                 DROP(on_gone)))
ON_REQUEST(evy_posthook_add, CALL("OK|ARG|STATE|NOMEM", evy_posthook_add, req,
                                  dice(a, 10) ? fuzz_hook : NULL, a->world, DROP(posthook)))
ON_REQUEST(evy_req_stat, CALL("any", evy_req_stat, req, (int32_t)dice(a, 20) - 2))

static void do_evy_resp_file(struct actor *a) {
  struct choice c = choose(a);
  int file = dice(a, 4) ? open(plain_file, O_RDONLY | O_CLOEXEC) : (int)any_number(a) | INT32_MIN;
  CALL(WRITES, evy_resp_file, c.req, file, dice(a, 3) ? (int64_t)dice(a, 100) : any_number(a),
       dice(a, 3) ? -1 : any_number(a));
  if (file >= 0) {
    close(file);
  }
  let_go(c);
}

/* A reference that is given back, here or later by whoever finds the request in its place. */
static void do_evy_req_retain(struct actor *a) {
  struct choice c = choose(a);
  VOID_CALL(evy_req_retain, c.req);
  if (c.req != NULL && evy_req_id(c.req) != 0) {
    keep(a->world, a, c.req);
  }
  let_go(c);
}

static void do_evy_req_release(struct actor *a) {
  pthread_mutex_lock(&a->world->gate);
  evy_req **place = &a->world->kept[dice(a, KEPT)], *req = *place;
  *place = NULL;
  pthread_mutex_unlock(&a->world->gate);
  VOID_CALL(evy_req_release, req != NULL ? req : any_stranger(a));
}

/* Not in a callback for another request than its own: two handlers would wait for each other. */
static void do_evy_req_take_socket(struct actor *a) {
  struct choice c = a->own != NULL ? (struct choice){a->own, false} : choose(a);
  int fd = -7;
  if (!a->in_callback || a->own != NULL) {
    if (CALL("OK|ARG|STATE|GONE|TIMEOUT|NOMEM", evy_req_take_socket, c.req, dice(a, 20) ? &fd : NULL) ==
        EVY_OK) {
      pthread_mutex_lock(&a->world->gate);
      bool has_room = a->world->taken_count < TAKEN;
      if (has_room) {
        a->world->taken[a->world->taken_count++] = fd;
      }
      pthread_mutex_unlock(&a->world->gate);
      if (!has_room) {
        close(fd);
      }
    }
  }
  let_go(c);
}

#define ROW(name, flags) {#name, do_##name, flags}
const struct call request_calls[] = {
    ROW(evy_env_get, PLAIN), ROW(evy_env_count, PLAIN), ROW(evy_env_at, PLAIN),
    ROW(evy_env_block, PLAIN), ROW(evy_env_set, PLAIN), ROW(evy_req_headers, PLAIN),
    ROW(evy_req_server, PLAIN), ROW(evy_req_id, PLAIN), ROW(evy_req_set_user, PLAIN),
    ROW(evy_req_user, PLAIN), ROW(evy_req_retain, PLAIN), ROW(evy_req_release, PLAIN),
    ROW(evy_req_gone, PLAIN), ROW(evy_body_length, PLAIN), ROW(evy_body_buffer, PLAIN),
    ROW(evy_body_read, PLAIN), ROW(evy_body_on_data, PLAIN), ROW(evy_body_pause, PLAIN),
    ROW(evy_body_trailers, PLAIN), ROW(evy_respond, PLAIN), ROW(evy_resp_begin, PLAIN),
    ROW(evy_resp_write, PLAIN), ROW(evy_resp_end, PLAIN), ROW(evy_resp_abort, LEFT_TO_FEW),
    ROW(evy_inform, PLAIN), ROW(evy_resp_flush, PLAIN), ROW(evy_resp_writev, PLAIN),
    ROW(evy_respond_ref, PLAIN), ROW(evy_resp_write_ref, PLAIN), ROW(evy_resp_file, PLAIN),
    ROW(evy_resp_on_writable, PLAIN), ROW(evy_req_on_gone, PLAIN), ROW(evy_posthook_add, PLAIN),
    ROW(evy_req_stat, PLAIN), ROW(evy_req_take_socket, BLOCKS | LEFT_TO_FEW)};
const int request_call_count = sizeof request_calls / sizeof request_calls[0];
