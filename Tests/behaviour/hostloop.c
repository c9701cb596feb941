// SPDX-License-Identifier: MIT
// hostloop.c - a host with a loop and threads of its own; prints "ready PORT", then what it saw.
//   hostloop step | free | deadline | work THREADS | short THREADS | late THREADS | unlent | waited |
//            pull THREADS | wake | woken-step
// A line on stdin (or its end) stops it.
#include <evy.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static evy_server *server;
static atomic_int running, most, foreign, done, hooks, complete;
static atomic_long wire;
static __thread bool is_lent;
static int count; /* of threads, at first */

static void pause_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static void must(bool good, const char *what) {
  if (!good) {
    fprintf(stderr, "hostloop: %s: %s\n", what, evy_server_error(server));
    exit(1);
  }
}

static evy_req *kept;

/* A thread that steps can take a socket in the handler; later it would wait for itself. */
static void take_in_step(evy_req *req) {
  int fd = -1;
  must(evy_req_take_socket(req, &fd) == EVY_OK, "the socket in its handler");
  must(write(fd, "taken", 5) == 5, "write");
  close(fd);
}

static void answer_kept(void) {
  int fd = 7;
  if (kept != NULL) {
    must(evy_req_take_socket(kept, &fd) == EVY_E_STATE && fd == -1, "the socket behind its handler");
    must(evy_respond(kept, 200, NULL, NULL, 0, "/later", 6) == EVY_OK, "an answer between steps");
    evy_req_release(kept);
    kept = NULL;
  }
}

static void answer(evy_req *req) {
  size_t len = 0;
  const char *path = evy_env_get(req, "PATH_INFO", &len);
  int now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);
  while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
  }
  if (strcmp(path, "/slow") == 0) {
    pause_ms(200);
  }
  if (strcmp(path, "/body") == 0) {
    char room[100];
    while (evy_body_read(req, room, sizeof room, -1) > 0) {
    }
  }
  if (strcmp(path, "/free") == 0) {
    evy_server_free(server);
  }
  if (strcmp(path, "/within") == 0) {
    must(evy_server_step(server, 0) == EVY_E_STATE, "a step inside a step");
    must(evy_server_error(server)[0] != '\0', "a step inside a step without a text");
  }
  if (strcmp(path, "/take") == 0) {
    take_in_step(req);
  } else if (strcmp(path, "/later") == 0) {
    evy_req_retain(req);
    kept = req;
  } else {
    evy_respond(req, 200, NULL, NULL, 0, path, len);
  }
  atomic_fetch_sub(&running, 1);
}

static void count_hook(void *user, evy_req *req) {
  (void)user;
  atomic_fetch_add(&hooks, 1);
  atomic_fetch_add(&complete, evy_req_stat(req, EVY_STAT_END) == EVY_END_COMPLETE);
}

static void on_request(void *user, evy_req *req) {
  (void)user;
  atomic_fetch_add(&foreign, !is_lent);
  evy_posthook_add(req, count_hook, NULL, NULL);
  answer(req);
}

static void make(const char *key, const char *value) {
  evy_config *cfg = evy_config_new();
  if (key == NULL || strcmp(key, "pull") != 0) {
    evy_config_on_request(cfg, on_request, NULL, NULL);
  }
  if (key != NULL) {
    evy_config_set(cfg, key, value);
    if (getenv("EVY_TEST_LOOPS") != NULL) {
      must(evy_config_set(cfg, "loops", getenv("EVY_TEST_LOOPS")) == EVY_OK, "loops");
    }
  }
  must(evy_config_set(cfg, "body", "stream") == EVY_OK, "body");
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  if (evy_server_new(cfg, &server) != EVY_OK) {
    fprintf(stderr, "hostloop: %s\n", evy_config_error(cfg));
    exit(1);
  }
  evy_config_free(cfg);
  printf("ready %d\n", (int)evy_server_port(server, 0));
}

static bool told_to_stop(int wait_ms) {
  struct pollfd in = {0, POLLIN | POLLHUP, 0};
  return poll(&in, 1, wait_ms) > 0;
}

/* ---- a loop of the host: two descriptors and a deadline ---- */

static void step(void) {
  make(NULL, NULL);
  must(evy_server_fd(server) >= 0 && evy_server_start(server) == EVY_E_STATE, "fd, then start");
  must(evy_server_work(server) == EVY_E_STATE, "work on a stepped server");
  struct pollfd both[2] = {{evy_server_fd(server), POLLIN, 0}, {0, POLLIN | POLLHUP, 0}};
  evy_status st = EVY_OK;
  int steps = 0;
  while (st == EVY_OK) {
    poll(both, 2, (int)evy_server_deadline(server));
    if (both[1].revents != 0) {
      evy_server_stop(server, 5000);
      both[1].fd = -1;
    }
    st = evy_server_step(server, 0);
    answer_kept();
    steps++;
  }
  must(st == EVY_END && evy_server_step(server, 0) == EVY_END, "the end");
  must(evy_server_deadline(server) == -1, "a deadline after the end");
  printf("steps %d foreign %d most %d hooks %d\n", steps, foreign, most, hooks);
  evy_server_free(server);
}

/* Freed inside a handler: the step brings everything to an end, and the handle is gone. */
static void free_inside(void) {
  make(NULL, NULL);
  while (atomic_load(&hooks) == 0) {
    evy_server_step(server, -1);
  }
  printf("hooks %d\n", hooks);
}

static void *ask_for_deadlines(void *asked) {
  do {
    evy_server_deadline(asked);
  } while (evy_server_port(asked, 0) != 0);
  return NULL;
}

/* The one who frees a server steps it to its end, beside a thread that is in one of the three calls. */
static void freed_beside_a_deadline(void) {
  enum { rounds = 50 };
  for (int i = 0; i < rounds; i++) {
    pthread_t asker;
    make(NULL, NULL);
    must(evy_server_step(server, 0) == EVY_OK, "step");
    must(pthread_create(&asker, NULL, ask_for_deadlines, server) == 0, "a thread");
    evy_server_free(server);
    pthread_join(asker, NULL);
  }
  printf("freed %d\n", rounds);
}

/* ---- threads of the host ---- */

static void *lent(void *user) {
  is_lent = true;
  evy_status st = evy_server_work(server);
  if (st != EVY_OK) {
    fprintf(stderr, "hostloop: work: %d\n", st);
  }
  return user;
}

static void *pull(void *user) {
  int32_t event;
  evy_req *req;
  evy_status st;
  while ((st = evy_server_next(server, -1, &event, &req)) != EVY_END) {
    if (st != EVY_OK) {
      continue; /* evy_wake */
    }
    if (event == EVY_EVENT_DONE) {
      atomic_fetch_add(&done, 1);
      atomic_fetch_add(&wire, evy_req_stat(req, EVY_STAT_WIRE_OUT));
    } else if (strcmp(evy_env_get(req, "PATH_INFO", NULL), "/keep") == 0) {
      continue; /* a host that forgets: the reference goes with the process */
    } else {
      evy_posthook_add(req, NULL, NULL, NULL);
      answer(req);
    }
    evy_req_release(req);
  }
  return user;
}

enum { THREADS_MOST = 64 };
static pthread_t all[THREADS_MOST];
static int begun;

static void begin(void *(*body)(void *), int until) {
  while (begun < until) {
    must(pthread_create(&all[begun++], NULL, body, NULL) == 0, "a thread");
  }
}

static void join_all(void) {
  while (begun > 0) {
    pthread_join(all[--begun], NULL);
  }
}

static void threads(const char *option, void *(*body)(void *)) {
  make(option, "true");
  /* Half of them before the start, which must find them waiting. */
  begin(body, count / 2);
  must(evy_server_start(server) == EVY_OK, "start");
  begin(body, count);
  while (!told_to_stop(-1)) {
  }
  evy_wake(server);
  evy_server_stop(server, 5000);
  must(evy_server_wait(server, 20000) == EVY_OK, "wait");
  join_all();
  must(evy_server_work(server) == EVY_OK, "work after the end");
  printf("most %d foreign %d hooks %d complete %d done %d wire %ld\n", most, foreign, hooks, complete, done,
         wire);
  evy_server_free(server);
}

/* ---- a host that lends more as they are needed ---- */

static void await_counter(uint32_t which, int64_t least) {
  int64_t figures[EVY_N_THREADS_TOTAL + 1];
  do {
    must(evy_server_counters(server, figures, EVY_N_THREADS_TOTAL + 1) > which, "counters");
  } while (figures[which] < least && poll(NULL, 0, 1) == 0);
}

static void begin_short(void) {
  make("lent_threads", "true");
  must(evy_server_short(server, 0) == EVY_E_TIMEOUT, "short of threads ahead of the start");
  must(evy_server_start(server) == EVY_OK, "start");
  begin(lent, count);
  /* With one alone no handler waits for its client. */
  await_counter(EVY_N_THREADS_TOTAL, count);
  printf("here %d\n", count);
}

static void lend_more(void) {
  evy_status st;
  while ((st = evy_server_short(server, 10)) != EVY_END) {
    if (st == EVY_OK && begun < THREADS_MOST) {
      begin(lent, begun + 1);
      printf("lent %d\n", begun);
    }
    if (told_to_stop(0)) {
      evy_server_stop(server, 5000);
    }
  }
  printf("lent %d ", begun);
  join_all();
  printf("foreign %d hooks %d complete %d\n", foreign, hooks, complete);
  evy_server_free(server);
}

static void lend_as_needed(void) {
  begin_short();
  lend_more();
}

/* It asks for the first time when requests have waited so long that no thread looks after them. */
static void lend_late(void) {
  begin_short();
  await_counter(EVY_N_REQUESTS_QUEUED, 1);
  poll(NULL, 0, 600); /* the watcher sleeps after 200 ms */
  must(evy_server_short(server, 10000) == EVY_OK, "not short of threads");
  begin(lent, begun + 1);
  lend_more();
}

/* ---- freed by a host that lent no thread ---- */

static atomic_int drops;

static void nothing(void *user) { (void)user; }

static void count_drop(void *user) {
  (void)user;
  atomic_fetch_add(&drops, 1);
}

static void unlent(void) {
  make("lent_threads", "true");
  must(evy_server_start(server) == EVY_OK, "start");
  must(evy_loop_post(server, NULL, nothing, NULL, count_drop) == EVY_OK, "post");
  while (!told_to_stop(-1)) {
  }
  evy_server_free(server);
  printf("drops %d hooks %d\n", drops, hooks);
}

static void *wait_for_end(void *unused) {
  must(evy_server_wait(server, -1) == EVY_OK, "wait");
  return unused;
}

/* Nobody is lent: who waits without limit sees to the end himself, from the stop on. */
static void waited(void) {
  pthread_t waiter;
  make("lent_threads", "true");
  must(evy_server_start(server) == EVY_OK, "start");
  must(pthread_create(&waiter, NULL, wait_for_end, NULL) == 0, "a thread");
  while (!told_to_stop(-1)) {
  }
  must(evy_server_wait(server, 0) == EVY_E_TIMEOUT, "it ended ahead of its stop");
  evy_server_stop(server, 20000);
  pthread_join(waiter, NULL);
  printf("hooks %d complete %d\n", hooks, complete);
  evy_server_free(server);
}

/* ---- evy_wake in a signal handler ---- */

static void on_signal(int number) {
  (void)number;
  evy_wake(server);
}

static void wake(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  make("pull", "true");
  sigaction(SIGUSR1, &action, NULL);
  evy_server_start(server);
  int32_t event;
  evy_req *req;
  must(evy_server_next(server, 0, &event, &req) == EVY_E_AGAIN, "poll");
  printf("waiting\n");
  must(evy_server_next(server, -1, &event, &req) == EVY_E_AGAIN, "woken");
  /* A late signal must not find a server that is gone. */
  signal(SIGUSR1, SIG_IGN);
  printf("woken\n");
  evy_server_free(server);
}

/* A wake-up ends the step that waits, and one ahead of it the next one; neither ends the server. */
static void woken_step(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  make(NULL, NULL);
  sigaction(SIGUSR1, &action, NULL);
  must(evy_server_step(server, 0) == EVY_OK, "step");
  evy_wake(server);
  must(evy_server_step(server, -1) == EVY_OK, "the next step, woken ahead of it");
  printf("waiting\n");
  must(evy_server_step(server, -1) == EVY_OK, "woken");
  signal(SIGUSR1, SIG_IGN);
  printf("woken\n");
  evy_server_stop(server, 0);
  while (evy_server_step(server, -1) != EVY_END) {
  }
  evy_server_free(server);
}

static void work(void) { threads("lent_threads", lent); }
static void pulled(void) { threads("pull", pull); }

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } modes[] = {{"step", step}, {"free", free_inside}, {"deadline", freed_beside_a_deadline},
               {"work", work}, {"short", lend_as_needed}, {"late", lend_late},
               {"pull", pulled}, {"unlent", unlent}, {"waited", waited},
               {"wake", wake}, {"woken-step", woken_step}};
  count = argc > 2 ? atoi(argv[2]) : 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(argv[1], modes[i].name) == 0) {
      modes[i].run();
      return 0;
    }
  }
  return 2;
}
