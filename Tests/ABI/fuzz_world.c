// SPDX-License-Identifier: MIT
// fuzz_world.c - one round: makes its servers and threads, lets them play, and looks at what is left.
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct task {
  struct world *world;
  int calls;
  atomic_bool done;
};

static const char *const some_options[][2] = {
    {"threads", "1"}, {"threads", "2"}, {"threads", "4"}, {"loops", "2"},
    {"body", "stream"}, {"body", "auto"}, {"max_body_size", "1k"}, {"write_high_water", "32k"},
    {"idle_timeout", "20ms"}, {"body_timeout", "20ms"}, {"header_timeout", "20ms"},
    {"write_timeout", "20ms"}, {"keep_alive", "off"}, {"log_level", "debug"}, {"linger_timeout", "10ms"},
    {"request_id_header", "X-Request-ID"}, {"access_log_format", "json"},
    {"max_http_version", "1.0"}, {"max_requests_per_connection", "2"}};

static evy_server *make_primary(struct world *world, struct actor *a) {
  evy_server *server = NULL;
  evy_config *cfg = evy_config_new();
  world->tls = evy_tls_new();
  check(evy_tls_cert_file(world->tls, NULL, cert_file, key_file, NULL) == EVY_OK, "%s",
        evy_tls_error(world->tls));
  evy_config_set(cfg, "write_low_water", "16k");
  for (uint64_t count = dice(a, 6); count > 0; count--) {
    const char *const *option = PICK(a, some_options);
    /* One loop is the rule for a server that is stepped. */
    if (world->mode != stepped || strcmp(option[0], "loops") != 0) {
      check(evy_config_set(cfg, option[0], option[1]) == EVY_OK, "%s", evy_config_error(cfg));
    }
  }
  if (dice(a, 3) || world->mode == pulled) {
    evy_config_on_access(cfg, fuzz_access, world, DROP(on_access));
  }
  evy_config_on_log(cfg, fuzz_log, world, DROP(on_log));
  evy_config_set(cfg, "lent_threads", world->mode == lent ? "on" : "off");
  evy_config_set(cfg, "pull", world->mode == pulled ? "on" : "off");
  if (world->mode != pulled) {
    evy_config_on_request(cfg, fuzz_request, world, DROP(on_request));
  }
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  evy_config_listen(cfg, "127.0.0.1:0", world->tls);
  if (!check(evy_server_new(cfg, &server) == EVY_OK, "%s", evy_config_error(cfg))) {
    exit(1);
  }
  evy_config_free(cfg);
  return server;
}

/* What serves the primary, beside or in the place of the library's threads. */
static void *be_helper(void *user) {
  struct world *world = user;
  switch (world->mode) {
  case started: break;
  case run:
    if (world->in_flight++ == 0) {
      gave("evy_server_run", "OK", evy_server_run(world->primary));
    }
    break;
  case lent: gave("evy_server_work", "OK", evy_server_work(world->primary)); break;
  case stepped:
    if (world->in_flight++ == 0) {
      while (gave("evy_server_step", "OK|END|STATE", evy_server_step(world->primary, 5)) != EVY_END) {
      }
    }
    break;
  case pulled: {
    int32_t event;
    evy_req *req;
    evy_status status;
    while ((status = evy_server_next(world->primary, 50, &event, &req)) != EVY_END) {
      if (gave("evy_server_next", "OK|AGAIN", status) == EVY_OK) {
        fuzz_request(world, req);
        evy_req_release(req);
      }
    }
    break;
  }
  case MODES: break;
  }
  return NULL;
}

static void *be_actor(void *user) {
  struct task *task = user;
  struct actor a = callback_actor(task->world, NULL, true);
  a.in_callback = false;
  for (int i = 0; i < OWN; i++) {
    a.config_freed[i] = a.tls_freed[i] = true;
  }
  any_calls(&a, task->calls);
  for (int i = 0; i < OWN; i++) {
    evy_config_free(a.configs[i]);
    evy_tls_free(a.tls[i]);
  }
  task->world->at_work--;
  task->done = true;
  return NULL;
}

static bool is_done(struct task *tasks) {
  bool all = true;
  for (int i = 0; i < ACTORS; i++) {
    all &= tasks[i].done;
  }
  return all;
}

/* Ends what others may wait for, until nobody does. */
static void end_victims(struct world *world) {
  struct place victims[VICTIMS];
  pthread_mutex_lock(&world->gate);
  memcpy(victims, world->victims, sizeof victims);
  pthread_mutex_unlock(&world->gate);
  for (int i = 0; i < VICTIMS; i++) {
    evy_server_stop(victims[i].server, 0);
    evy_server_free(victims[i].server); /* perhaps once more */
  }
}

static void release_all(struct world *world) {
  for (int i = 0; i < KEPT; i++) {
    pthread_mutex_lock(&world->gate);
    evy_req *req = world->kept[i];
    world->kept[i] = NULL;
    pthread_mutex_unlock(&world->gate);
    evy_req_release(req);
  }
  pthread_mutex_lock(&world->gate);
  for (int i = 0; i < world->taken_count; i++) {
    close(world->taken[i]);
  }
  world->taken_count = 0;
  pthread_mutex_unlock(&world->gate);
}

static void play(struct world *world, int calls) {
  pthread_t actors[ACTORS], clients[CLIENTS], helpers[HELPERS];
  struct task tasks[ACTORS];
  world->at_work = ACTORS;
  for (int i = 0; i < HELPERS; i++) {
    pthread_create(&helpers[i], NULL, be_helper, world);
  }
  for (int i = 0; i < CLIENTS; i++) {
    pthread_create(&clients[i], NULL, be_client, world);
  }
  for (int i = 0; i < ACTORS; i++) {
    tasks[i] = (struct task){world, calls, false};
    pthread_create(&actors[i], NULL, be_actor, &tasks[i]);
  }
  for (int i = 0; i < 50 && world->at_work > 0; i++) {
    pause_ms(2); /* a limit: some wait without end */
  }
  int status = fetch(world->port, "/plain");
  check(status == 200, "seed %llu: a plain request gets %d", (unsigned long long)world->seed, status);
  world->is_ending = true;
  while (!is_done(tasks)) {
    end_victims(world);
    release_all(world);
    evy_wake(world->primary);
    pause_ms(1);
  }
  for (int i = 0; i < ACTORS; i++) {
    pthread_join(actors[i], NULL);
  }
  for (int i = 0; i < CLIENTS; i++) {
    pthread_join(clients[i], NULL);
  }
  end_victims(world);
  release_all(world);
  check(evy_server_stop(world->primary, 0) == EVY_OK, "no stop");
  for (int i = 0; i < HELPERS; i++) {
    pthread_join(helpers[i], NULL);
  }
  check(evy_server_wait(world->primary, (int64_t)(patience() * 1000)) == EVY_OK, "seed %llu: no end",
        (unsigned long long)world->seed);
}

#if defined(__has_feature)
#define IS_TSAN __has_feature(thread_sanitizer)
#else
#define IS_TSAN 0
#endif

/* ThreadSanitizer opens two pipes to its symbolizer, once, when it first looks at what it is to suppress. */
static bool are_closed(int before) {
  static int pipes = IS_TSAN ? 2 : 0;
  bool are = WAIT_UNTIL(descriptors() <= before + pipes);
  pipes = descriptors() > before ? 0 : pipes;
  return are;
}

void one_world(uint64_t seed, int calls) {
  struct world world = {.seed = seed, .mode = (enum mode)(seed % MODES)};
  int descriptors_before = descriptors(), threads_before = threads();
  pthread_mutex_init(&world.gate, NULL);
  struct actor a = callback_actor(&world, NULL, false);
  world.stale_config = evy_config_new();
  world.stale_tls = evy_tls_new();
  evy_config_free(world.stale_config);
  evy_tls_free(world.stale_tls);
  world.primary = make_primary(&world, &a);
  world.port = evy_server_port(world.primary, 0);
  if (world.mode == started || world.mode == lent || world.mode == pulled) {
    check(evy_server_start(world.primary) == EVY_OK, "%s", evy_server_error(world.primary));
  }
  play(&world, calls);
  bool frees_first = dice(&a, 2); /* the server, then what it served; or the other way round */
  if (frees_first) {
    evy_server_free(world.primary);
  }
  release_all(&world);
  evy_server_free(world.primary);
  evy_tls_free(world.tls);
  check(are_closed(descriptors_before), "seed %llu: %d descriptors, were %d", (unsigned long long)seed,
        descriptors(), descriptors_before);
  check(WAIT_UNTIL(threads() <= threads_before), "seed %llu: %d threads, were %d", (unsigned long long)seed,
        threads(), threads_before);
  check_drops();
  pthread_mutex_destroy(&world.gate);
}
