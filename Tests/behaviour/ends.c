// SPDX-License-Identifier: MIT
// ends.c - how servers end and wake in the hands of their host; prints "ready PORT" where a client is needed,
// then what it saw.
//   ends freed-lent | freed-unmanned | freed-late | lent-late | woken-next | late-step | run-waited |
//        stopped-beside-task | stepped-wait | timer-chain
#include <evy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static evy_server *server;
static atomic_int drops, fired, done, turns, released;

static void pause_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void must(int good, const char *what) {
  if (!good) {
    fprintf(stderr, "ends: %s\n", what);
    exit(1);
  }
}

static void count_drop(void *user) {
  (void)user;
  atomic_fetch_add(&drops, 1);
}

static void await(atomic_int *what, int least) {
  while (atomic_load(what) < least) {
    pause_ms(1);
  }
}

static void count_turn(void *user) {
  (void)user;
  atomic_fetch_add(&turns, 1);
}

/* Some thread has the loop, though this one may be in a function of the server's. */
static void see_loop_turn(void) {
  int before = atomic_load(&turns);
  must(evy_loop_post(server, NULL, count_turn, NULL, NULL) == EVY_OK, "post");
  await(&turns, before + 1);
}

static void on_request(void *user, evy_req *req) {
  (void)user;
  size_t len = 0;
  const char *path = evy_env_get(req, "PATH_INFO", &len);
  if (strcmp(path, "/block") == 0) {
    see_loop_turn();
  }
  if (strcmp(path, "/free") == 0) {
    evy_server_free(server);
  }
  evy_respond(req, 200, NULL, NULL, 0, path, len);
}

/* options: "name=value", with spaces between. */
static void make(const char *options) {
  char text[64], *rest = text;
  evy_config *cfg = evy_config_new();
  if (strstr(options, "pull=") == NULL) {
    evy_config_on_request(cfg, on_request, NULL, count_drop);
  }
  snprintf(text, sizeof text, "%s", options);
  for (char *name = strtok_r(text, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest)) {
    char *value = strchr(name, '=');
    *value = '\0';
    must(evy_config_set(cfg, name, value + 1) == EVY_OK, name);
  }
  must(evy_config_listen(cfg, "127.0.0.1:0", NULL) == EVY_OK, "listen");
  evy_status st = evy_server_new(cfg, &server);
  must(st == EVY_OK, evy_config_error(cfg));
  evy_config_free(cfg);
}

static void *work(void *unused) {
  must(evy_server_work(server) == EVY_OK, "work");
  return unused;
}

static pthread_t start(void *(*body)(void *)) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, body, NULL) == 0, "a thread");
  return thread;
}

static void await_threads(int64_t count) {
  int64_t figures[EVY_N_THREADS_TOTAL + 1];
  do {
    pause_ms(1);
    must(evy_server_counters(server, figures, EVY_N_THREADS_TOTAL + 1) > EVY_N_THREADS_TOTAL, "counters");
  } while (figures[EVY_N_THREADS_TOTAL] != count);
}

/* A handler on the only lent thread frees the server: nobody joins it, and it goes all the same. */
static void free_on_lent_thread(const char *options) {
  make(options);
  printf("ready %d\n", (int)evy_server_port(server, 0));
  must(evy_server_start(server) == EVY_OK, "start");
  pthread_join(start(work), NULL);
  await(&drops, 1); /* the watcher may be the last to leave */
  printf("drops %d\n", drops);
}

static void block(void *ms) {
  atomic_fetch_add(&fired, 1);
  pause_ms((long)ms);
  atomic_fetch_add(&done, 1);
}

static void block_until_released(void *unused) {
  (void)unused;
  atomic_fetch_add(&fired, 1);
  await(&released, 1);
  atomic_fetch_add(&done, 1);
}

static void freed_lent(void) { free_on_lent_thread("lent_threads=true"); }

/* The same where no thread ever came to the second loop. */
static void freed_unmanned(void) { free_on_lent_thread("lent_threads=true loops=2"); }

/* A thread comes when the first loop has ended, and nobody has come to the second. */
static void lent_late(void) {
  make("lent_threads=true loops=2");
  must(evy_server_start(server) == EVY_OK, "start");
  pthread_t first = start(work);
  await_threads(1);
  evy_server_stop(server, 0);
  pthread_join(first, NULL);
  must(evy_server_work(server) == EVY_OK, "work");
  must(evy_server_wait(server, 5000) == EVY_OK, "it was sent to a loop that had ended");
  evy_server_free(server);
  printf("drops %d\n", drops);
}

/* Blocks until another thread has the loop. */
static void hand_over(void *user) {
  (void)user;
  see_loop_turn();
  atomic_fetch_add(&done, 1);
}

/* All of the server's own threads have gone once, while one of the host's had the loop. Later a handler on
 * that one frees the server, and it ends, while a function still runs on a thread of the server's. */
static void freed_late(void) {
  make("");
  must(evy_server_start(server) == EVY_OK, "start");
  see_loop_turn();
  pthread_t lent = start(work);
  await_threads(2);
  printf("ready %d\n", (int)evy_server_port(server, 0)); /* the client asks for /block */
  await_threads(1);
  must(evy_loop_post(server, NULL, hand_over, NULL, NULL) == EVY_OK, "post");
  await(&done, 1);
  must(evy_loop_post(server, NULL, block_until_released, NULL, NULL) == EVY_OK, "post");
  await(&fired, 1);
  see_loop_turn(); /* another thread has it */
  printf("free\n");
  pthread_join(lent, NULL);
  atomic_store(&released, 1);
  await(&drops, 1);
  printf("done %d drops %d\n", done, drops);
}

static void woken_next(void) {
  int32_t event;
  evy_req *req;
  make("pull=true");
  must(evy_server_start(server) == EVY_OK, "start");
  evy_wake(server);
  must(evy_server_next(server, 60000, &event, &req) == EVY_E_AGAIN, "the next wait, woken ahead of it");
  long begin = now_ms();
  must(evy_server_next(server, 200, &event, &req) == EVY_E_AGAIN && now_ms() - begin >= 200, "it lasts");
  evy_server_free(server);
  printf("woken 1\n");
}

/* Between two steps the host may do anything for however long: what became due meanwhile is done first. */
static void late_step(void) {
  enum { first_ms = 5000 };
  make("");
  must(evy_timer_start(server, first_ms, 0, block, NULL, NULL) > 0, "timer");
  must(evy_server_step(server, 0) == EVY_OK && evy_server_step(server, 0) == EVY_OK, "step");
  pause_ms(first_ms + 100);
  long begin = now_ms();
  while (atomic_load(&fired) == 0) {
    must(evy_server_step(server, -1) == EVY_OK, "step");
  }
  printf("late %ld\n", now_ms() - begin);
  evy_server_free(server);
}

static void *run(void *unused) {
  must(evy_server_run(server) == EVY_OK, "run");
  return unused;
}

static void *release_soon(void *unused) {
  pause_ms(200); /* the main thread waits for the server by then; if not, nothing is proved this time */
  atomic_store(&released, 1);
  return unused;
}

/* The end is the end of what runs on the thread of evy_server_run, too. */
static void run_waited(void) {
  make("");
  must(evy_loop_post(server, NULL, block_until_released, NULL, NULL) == EVY_OK, "post");
  pthread_t runner = start(run);
  await(&fired, 1);
  see_loop_turn();
  evy_server_stop(server, 0);
  pthread_t releaser = start(release_soon);
  must(evy_server_wait(server, -1) == EVY_OK, "wait");
  printf("done %d\n", done);
  pthread_join(releaser, NULL);
  pthread_join(runner, NULL);
  evy_server_free(server);
}

/* Both in one turn, mostly: the function takes it from its thread, and the stop is looked at nevertheless. */
static void stopped_beside_task(void) {
  enum { rounds = 30 };
  for (int i = 0; i < rounds; i++) {
    make("");
    must(evy_server_start(server) == EVY_OK, "start");
    must(evy_loop_post(server, NULL, block, (void *)40, NULL) == EVY_OK, "post");
    evy_server_stop(server, -1);
    must(evy_server_wait(server, 5000) == EVY_OK, "the stop was not seen");
    evy_server_free(server);
  }
  printf("done %d\n", done);
}

/* Each starts the next: that one is for the next turn, however soon it is due. */
static void start_another(void *unused) {
  atomic_fetch_add(&fired, 1);
  evy_timer_start(server, 0, 0, start_another, unused, NULL);
}

static void timer_chain(void) {
  make("");
  must(evy_server_start(server) == EVY_OK, "start");
  must(evy_timer_start(server, 0, 0, start_another, NULL, NULL) > 0, "timer");
  await(&fired, 100);
  evy_server_stop(server, -1);
  must(evy_server_wait(server, 5000) == EVY_OK, "the stop was not seen");
  evy_server_free(server);
  printf("drops %d\n", drops);
}

static void stepped_wait(void) {
  make("");
  must(evy_server_step(server, 0) == EVY_OK, "step");
  must(evy_server_wait(server, 0) == EVY_E_STATE, "who steps waits for nobody");
  evy_server_stop(server, 0);
  while (evy_server_step(server, -1) != EVY_END) {
  }
  must(evy_server_wait(server, -1) == EVY_OK, "it has ended");
  evy_server_free(server);
  printf("drops %d\n", drops);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } modes[] = {{"freed-lent", freed_lent}, {"freed-late", freed_late},
               {"freed-unmanned", freed_unmanned}, {"lent-late", lent_late},
               {"woken-next", woken_next}, {"late-step", late_step},
               {"run-waited", run_waited}, {"stopped-beside-task", stopped_beside_task},
               {"stepped-wait", stepped_wait}, {"timer-chain", timer_chain}};
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(argv[1], modes[i].name) == 0) {
      modes[i].run();
      return 0;
    }
  }
  return 2;
}
