// SPDX-License-Identifier: MIT
// fuzz_server.c - random calls on servers: one that lasts, and those that threads start, step, stop and free.
#include "fuzz.h"
#include <string.h>

static evy_server *any_server(struct actor *a) {
  struct place *place = &PICK(a, a->world->victims);
  pthread_mutex_lock(&a->world->gate);
  evy_server *victim = place->server; /* also when it is freed */
  pthread_mutex_unlock(&a->world->gate);
  switch (dice(a, 10)) {
  case 0: return any_stranger(a);
  case 1:
  case 2:
  case 3: return victim;
  default: return a->own != NULL && dice(a, 2) ? evy_req_server(a->own) : a->world->primary;
  }
}

static evy_server *any_victim(struct actor *a) {
  if (dice(a, 12) == 0) {
    void *stranger = any_stranger(a);
    return stranger == (void *)a->world->primary ? NULL : stranger;
  }
  struct place *place = &PICK(a, a->world->victims);
  pthread_mutex_lock(&a->world->gate);
  evy_server *victim = place->server;
  pthread_mutex_unlock(&a->world->gate);
  return victim;
}

/* A wait without end is ended by the world's. */
static int64_t long_wait(struct actor *a) {
  bool is_free = a->may_block && !a->in_callback && !a->world->is_ending;
  return is_free && dice(a, 25) == 0 ? (dice(a, 2) ? -1 : INT64_MIN) : any_wait(a);
}

#define ON_SERVER(name, ...)                                                                           \
  static void do_##name(struct actor *a) {                                                             \
    evy_server *s = any_server(a);                                                                     \
    __VA_ARGS__;                                                                                       \
  }
#define ON_VICTIM(name, ...)                                                                           \
  static void do_##name(struct actor *a) {                                                             \
    evy_server *s = any_victim(a);                                                                     \
    __VA_ARGS__;                                                                                       \
  }

ON_VICTIM(evy_server_start, CALL("OK|ARG|STATE|NOMEM", evy_server_start, s))
ON_VICTIM(evy_server_run,
          if (!a->in_callback && !a->world->is_ending) { CALL("OK|ARG|STATE", evy_server_run, s); })
ON_VICTIM(evy_server_stop, CALL("OK|ARG", evy_server_stop, s, any_number(a)))
ON_VICTIM(evy_server_wait, CALL("OK|ARG|STATE|TIMEOUT", evy_server_wait, s, long_wait(a)))
ON_VICTIM(evy_server_work, if (!a->in_callback && !a->world->is_ending) {
  CALL("OK|ARG|STATE|NOMEM", evy_server_work, s);
})
ON_VICTIM(evy_server_short, CALL("OK|END|ARG|STATE|TIMEOUT", evy_server_short, s, long_wait(a)))
ON_VICTIM(evy_server_fd, CALL("-1|+|0", evy_server_fd, s))
ON_VICTIM(evy_server_deadline, CALL("any", evy_server_deadline, s))
ON_VICTIM(evy_server_step, CALL("OK|END|ARG|STATE", evy_server_step, s, long_wait(a)))
ON_SERVER(evy_server_error, CALL("any", evy_server_error, s))
ON_SERVER(evy_server_port, CALL("0|+", evy_server_port, s, (uint32_t)dice(a, 3)))
ON_SERVER(evy_server_address, CALL("any", evy_server_address, s, (uint32_t)any_number(a)))
ON_SERVER(evy_wake, VOID_CALL(evy_wake, s))
ON_SERVER(evy_loop_post, evy_req *req = dice(a, 3) ? a->own : any_stranger(a);
          CALL("OK|ARG|STATE", evy_loop_post, s, req, dice(a, 10) ? fuzz_task : NULL, a->world, DROP(posted)))
ON_SERVER(evy_server_counters, int64_t figures[64];
          CALL("0|46", evy_server_counters, s, dice(a, 5) ? figures : NULL, (uint32_t)dice(a, 60)))
ON_SERVER(evy_server_metrics, char metrics[16384];
          CALL("ARG|NOMEM|+", evy_server_metrics, s, dice(a, 5) ? metrics : NULL, dice(a, sizeof metrics)))
ON_SERVER(evy_server_log, struct bytes b = any_bytes(a);
          CALL("OK|ARG|STATE", evy_server_log, s, (int32_t)dice(a, 6), b.start, any_length(a, b.len)))
ON_SERVER(evy_server_reopen_logs, CALL("OK|ARG|IO", evy_server_reopen_logs, s))
ON_SERVER(evy_server_set_log_level,
          CALL("OK|ARG", evy_server_set_log_level, s, (int32_t)(dice(a, 5) ? dice(a, 6) : any_number(a))))
ON_SERVER(evy_server_log_level, CALL("0|1|2|3|4", evy_server_log_level, s))

static void do_evy_timer_start(struct actor *a) {
  CALL("+|ARG|STATE", evy_timer_start, any_server(a), dice(a, 3) ? (int64_t)dice(a, 4) : any_number(a),
       dice(a, 3) ? (int64_t)dice(a, 3) * 5 : any_number(a), dice(a, 10) ? fuzz_task : NULL, a->world,
       DROP(timer));
}

/* An id is a place and a generation: small ones are easily met. */
static void do_evy_timer_stop(struct actor *a) {
  int64_t id = (int64_t)(dice(a, 4) << 32 | dice(a, 5));
  CALL("OK|ARG|STATE", evy_timer_stop, any_server(a), dice(a, 3) ? id : any_number(a));
}

static void do_evy_server_next(struct actor *a) {
  int32_t event = 7;
  evy_req *req = (evy_req *)&event;
  bool is_whole = dice(a, 10) != 0;
  evy_server *s = dice(a, 2) ? any_server(a) : any_victim(a);
  long long got = CALL("OK|END|ARG|AGAIN|STATE", evy_server_next, s,
                       s == a->world->primary ? any_wait(a) : long_wait(a), is_whole ? &event : NULL,
                       is_whole ? &req : NULL);
  if (is_whole && got == EVY_OK) {
    check(event == EVY_EVENT_REQUEST || event == EVY_EVENT_DONE, "event %d", event);
    if (event == EVY_EVENT_REQUEST) {
      fuzz_request(a->world, req);
    }
    evy_req_release(req);
  } else if (is_whole) {
    check(event == 0 && req == NULL, "event %d, request %p without EVY_OK", event, (void *)req);
  }
}

/* A new one takes a place whose server is freed. */
static void do_evy_server_new(struct actor *a) {
  struct place *place = &PICK(a, a->world->victims);
  evy_server *made = (evy_server *)&place;
  evy_config *cfg = dice(a, 8) ? PICK(a, a->configs) : any_stranger(a);
  long long got = CALL("OK|ARG|BIND|TLS|VALUE|NOMEM", evy_server_new, cfg, dice(a, 20) ? &made : NULL);
  if (made == (evy_server *)&place) {
    check(got != EVY_OK, "EVY_OK without out");
    return;
  }
  check((got == EVY_OK) == (made != NULL), "status %s, server %p", shown(got), (void *)made);
  pthread_mutex_lock(&a->world->gate);
  if (made != NULL && (place->server == NULL || place->is_freed)) {
    *place = (struct place){made, false};
    made = NULL;
  }
  pthread_mutex_unlock(&a->world->gate);
  evy_server_free(made);
}

static void do_evy_server_free(struct actor *a) {
  struct place *place = &PICK(a, a->world->victims);
  evy_server *s = any_victim(a);
  pthread_mutex_lock(&a->world->gate);
  if (dice(a, 2)) {
    s = place->server;
  }
  for (int i = 0; i < VICTIMS; i++) {
    a->world->victims[i].is_freed |= a->world->victims[i].server == s;
  }
  pthread_mutex_unlock(&a->world->gate);
  VOID_CALL(evy_server_free, s);
}

#define ROW(name, flags) {#name, do_##name, flags}
const struct call server_calls[] = {
    ROW(evy_server_new, BLOCKS | LEFT_TO_FEW), ROW(evy_server_start, BLOCKS),
    ROW(evy_server_run, BLOCKS | LEFT_TO_FEW), ROW(evy_server_stop, LEFT_TO_FEW),
    ROW(evy_server_wait, BLOCKS), ROW(evy_server_free, BLOCKS | LEFT_TO_FEW),
    ROW(evy_server_error, PLAIN), ROW(evy_server_port, PLAIN), ROW(evy_server_address, PLAIN),
    ROW(evy_server_fd, BLOCKS | LEFT_TO_FEW), ROW(evy_server_deadline, BLOCKS | LEFT_TO_FEW),
    ROW(evy_server_step, BLOCKS), ROW(evy_server_work, BLOCKS | LEFT_TO_FEW),
    ROW(evy_server_short, BLOCKS),
    ROW(evy_server_next, BLOCKS), ROW(evy_wake, PLAIN), ROW(evy_loop_post, PLAIN),
    ROW(evy_timer_start, PLAIN), ROW(evy_timer_stop, PLAIN), ROW(evy_server_counters, PLAIN),
    ROW(evy_server_metrics, PLAIN), ROW(evy_server_log, PLAIN), ROW(evy_server_reopen_logs, BLOCKS),
    ROW(evy_server_set_log_level, PLAIN), ROW(evy_server_log_level, PLAIN)};
const int server_call_count = sizeof server_calls / sizeof server_calls[0];
