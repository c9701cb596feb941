// SPDX-License-Identifier: MIT
// disturb.c - what goes on beside the requests: replacements, stops, reloads, rotation, counters.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

enum { DISTURBERS = 4 };
static pthread_t threads[DISTURBERS];
static int thread_count;
static atomic_bool is_over;

/* At every moment, whatever goes on: see EVY_N_* in evy.h. */
static void look_at_counters(evy_server *server) {
  static const int count = EVY_N_LOOP_BUSY_US + 1;
  int64_t n[EVY_N_LOOP_BUSY_US + 1], ends = 0, statuses = 0;
  evy_server_counters(server, n, (uint32_t)count);
  for (int i = EVY_N_END_COMPLETE; i <= EVY_N_END_UPGRADED; i++) {
    ends += n[i];
  }
  for (int i = EVY_N_STATUS_NONE; i <= EVY_N_STATUS_5XX; i++) {
    statuses += n[i];
  }
  if (n[EVY_N_REQUESTS_TOTAL] != n[EVY_N_REQUESTS_ACTIVE] + ends || statuses != ends) {
    fault("counters: %lld requests, %lld active, %lld ended, %lld with a status",
          (long long)n[EVY_N_REQUESTS_TOTAL], (long long)n[EVY_N_REQUESTS_ACTIVE], (long long)ends,
          (long long)statuses);
  }
  if (n[EVY_N_CONNECTIONS_OPEN] > n[EVY_N_CONNECTIONS_TOTAL] ||
      n[EVY_N_THREADS_BUSY] > n[EVY_N_THREADS_TOTAL]) {
    fault("counters: more open than accepted, or more busy than there are");
  }
  atomic_fetch_add(&book->snapshots, 1);
}

static void look_at_metrics(evy_server *server) {
  static __thread char text[16384];
  int64_t size = evy_server_metrics(server, text, sizeof text);
  if (size <= 0 || size >= (int64_t)sizeof text || text[size - 1] != '\n' ||
      strstr(text, "evy_requests_total") == NULL) {
    fault("metrics of %lld bytes", (long long)size);
  }
}

static void task(void *unused) {
  (void)unused;
  atomic_fetch_add(&book->tasks, 1);
}

static void post(evy_server *server) {
  atomic_fetch_add(&book->tasks_due, 1);
  evy_status status = evy_loop_post(server, NULL, task, NULL, count_task_drop);
  if (status != EVY_OK && status != EVY_E_STATE) {
    fault("post: %s", evy_strname(status));
  }
  atomic_fetch_add(&book->tasks_due, 1);
  int64_t id = evy_timer_start(server, 3, 3, task, NULL, count_task_drop);
  evy_status stopped = id > 0 ? evy_timer_stop(server, id) : EVY_E_STATE;
  if (stopped != EVY_OK && stopped != EVY_E_STATE) {
    fault("stop of a timer: %s", evy_strname(stopped));
  }
}

static void say(evy_server *server) {
  evy_server_set_log_level(server, EVY_LOG_ERROR + (int32_t)(now_ms() % 4));
  evy_server_log(server, EVY_LOG_WARN, "a line of the host", EVY_NUL);
  evy_wake(server);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void *observe(void *unused) {
  (void)unused;
  while (!atomic_load(&is_over)) {
    each_server(look_at_counters);
    each_server(look_at_metrics);
    pause_ms(3);
  }
  return NULL;
}

static void *converse(void *unused) {
  (void)unused;
  while (!atomic_load(&is_over)) {
    each_server(post);
    each_server(say);
    pause_ms(5);
  }
  return NULL;
}

static void *replace(void *unused) {
  (void)unused;
  for (int index = 0; !atomic_load(&is_over); pause_ms(100)) {
    replace_house(index++ % HOUSES);
  }
  return NULL;
}

static void *ruin(void *unused) {
  (void)unused;
  for (int turn = 1; !atomic_load(&is_over); turn++) {
    pause_ms(60);
    doom_house();
    reload_certificates();
    if (turn % 4 == 0) {
      rotate_log();
    }
  }
  return NULL;
}

/* Servers come and go once only: how many are there at once, and with them the memory, would be chance. */
static void *keep_house(void *unused) {
  (void)unused;
  for (int index = 0; index < HOUSES; index++) {
    replace_house(index);
  }
  for (; !atomic_load(&is_over); pause_ms(250)) {
    reload_certificates();
    rotate_log();
  }
  return NULL;
}

void start_disturbers(bool is_calm) {
  static void *(*const bodies[DISTURBERS])(void *) = {observe, converse, replace, ruin};
  static void *(*const calm_bodies[DISTURBERS])(void *) = {observe, converse, keep_house};
  doom_house();
  thread_count = is_calm ? DISTURBERS - 1 : DISTURBERS;
  for (int i = 0; i < thread_count; i++) {
    must(pthread_create(&threads[i], NULL, is_calm ? calm_bodies[i] : bodies[i], NULL) == 0, "a thread");
  }
}

void end_disturbers(void) {
  atomic_store(&is_over, true);
  for (int i = 0; i < thread_count; i++) {
    pthread_join(threads[i], NULL);
  }
}
