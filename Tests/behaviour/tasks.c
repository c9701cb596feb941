// SPDX-License-Identifier: MIT
// tasks.c - posts functions and timers to a server's loop and checks each promise of evy.h about them.
//   tasks COUNT: that many timers at once
#include <evy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static atomic_int failed, drops, due;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int order[16], count;

#define CHECK(good)                                                   \
  do {                                                                \
    if (!(good)) {                                                    \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #good);               \
      atomic_fetch_add(&failed, 1);                                   \
    }                                                                 \
  } while (0)

static long long ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void on_request(void *user, evy_req *req) {
  (void)user;
  evy_respond(req, 200, NULL, NULL, 0, NULL, 0);
}

static void note(void *user) {
  pthread_mutex_lock(&gate);
  if (count < 16) {
    order[count] = (int)(size_t)user;
  }
  count++;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&gate);
}

static void drop(void *user) {
  (void)user;
  atomic_fetch_add(&drops, 1);
}

/* Waits until note was called so often in all. */
static void wait_for(int wanted) {
  struct timespec limit;
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_sec += 20;
  pthread_mutex_lock(&gate);
  while (count < wanted && pthread_cond_timedwait(&changed, &gate, &limit) == 0) {
  }
  CHECK(count >= wanted);
  pthread_mutex_unlock(&gate);
}

static void *number(int n) { return (void *)(size_t)n; }

/* In order, unless one waits for a processor: it is passed then, as if it blocked. */
static bool run_in_order(evy_server *s) {
  bool is_ordered = true;
  count = 0;
  for (int i = 1; i <= 5; i++) {
    CHECK(evy_loop_post(s, NULL, note, number(i), drop) == EVY_OK);
    due++;
  }
  wait_for(5);
  for (int i = 0; i < 5; i++) {
    is_ordered &= order[i] == i + 1;
  }
  return is_ordered;
}

static void posts(evy_server *s) {
  bool was_ordered = false;
  for (int i = 0; i < 10 && !was_ordered; i++) {
    was_ordered = run_in_order(s);
  }
  CHECK(was_ordered);
  CHECK(evy_loop_post(s, NULL, NULL, NULL, drop) == EVY_E_ARG);
  CHECK(evy_loop_post(NULL, NULL, note, NULL, drop) == EVY_E_ARG);
  due += 2;
}

static void timers(evy_server *s) {
  long long start = ms();
  count = 0;
  CHECK(evy_timer_start(s, 3000, 0, note, number(2), drop) > 0);
  CHECK(evy_timer_start(s, 30, 0, note, number(1), drop) > 0);
  int64_t never = evy_timer_start(s, 1500, 0, note, number(9), drop);
  CHECK(never > 0 && evy_timer_stop(s, never) == EVY_OK);
  CHECK(evy_timer_stop(s, never) == EVY_E_STATE);
  wait_for(2);
  CHECK(order[0] == 1 && order[1] == 2 && ms() - start >= 3000);
  due += 3;
  count = 0;
  start = ms();
  int64_t often = evy_timer_start(s, 0, 10, note, number(3), drop);
  wait_for(5);
  CHECK(ms() - start >= 40 && evy_timer_stop(s, often) == EVY_OK);
  due++;
  CHECK(evy_timer_start(s, -1, 0, note, NULL, drop) == EVY_E_ARG);
  CHECK(evy_timer_start(s, 0, -1, note, NULL, drop) == EVY_E_ARG);
  due += 2;
  CHECK(evy_timer_stop(s, 0) == EVY_E_STATE && evy_timer_stop(s, -5) == EVY_E_STATE);
  CHECK(evy_timer_stop(s, INT64_MAX) == EVY_E_STATE && evy_timer_stop(NULL, 1) == EVY_E_ARG);
}

static void *start_and_stop(void *user) {
  evy_server *s = user;
  for (int i = 0; i < 2000; i++) {
    int64_t id = evy_timer_start(s, i % 3, i % 2, note, number(4), drop);
    evy_timer_stop(s, id); /* it may have run already */
    evy_loop_post(s, NULL, note, number(5), drop);
  }
  return NULL;
}

static void crowd(evy_server *s, int wanted) {
  int64_t *ids = calloc((size_t)wanted, sizeof *ids);
  struct timespec from, middle, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int i = 0; i < wanted; i++) {
    ids[i] = evy_timer_start(s, 60000 + i * 7919LL % 100000, 0, note, NULL, drop);
  }
  clock_gettime(CLOCK_MONOTONIC, &middle);
  for (int i = 0; i < wanted; i++) {
    CHECK(evy_timer_stop(s, ids[i]) == EVY_OK);
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  due += wanted;
  printf("%d timers: start %.3f us, stop %.3f us each\n", wanted,
         ((middle.tv_sec - from.tv_sec) * 1e6 + (middle.tv_nsec - from.tv_nsec) / 1e3) / wanted,
         ((to.tv_sec - middle.tv_sec) * 1e6 + (to.tv_nsec - middle.tv_nsec) / 1e3) / wanted);
  free(ids);
}

int main(int argc, char **argv) {
  evy_config *cfg = evy_config_new();
  evy_server *s = NULL;
  pthread_t both[2];
  evy_config_on_request(cfg, on_request, NULL, NULL);
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  CHECK(evy_server_new(cfg, &s) == EVY_OK);
  /* Before the start: they wait for it. */
  CHECK(evy_loop_post(s, NULL, note, number(1), drop) == EVY_OK);
  CHECK(evy_timer_start(s, 0, 0, note, number(1), drop) > 0);
  due += 2;
  CHECK(evy_server_start(s) == EVY_OK);
  wait_for(2);
  count = 0;
  posts(s);
  timers(s);
  for (int i = 0; i < 2; i++) {
    pthread_create(&both[i], NULL, start_and_stop, s);
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(both[i], NULL);
  }
  due += 8000;
  crowd(s, argc > 1 ? atoi(argv[1]) : 1000);
  CHECK(evy_timer_start(s, 3600000, 0, note, NULL, drop) > 0); /* the end finds it waiting */
  due++;
  evy_server_stop(s, 0);
  CHECK(evy_server_wait(s, 20000) == EVY_OK);
  CHECK(evy_loop_post(s, NULL, note, NULL, drop) == EVY_E_STATE);
  CHECK(evy_timer_start(s, 0, 0, note, NULL, drop) == EVY_E_STATE);
  due += 2;
  evy_server_free(s);
  CHECK(drops == due);
  evy_config_free(cfg);
  printf("%d failed, %d of %d dropped\n", failed, drops, due);
  return failed != 0;
}
