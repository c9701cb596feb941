// SPDX-License-Identifier: MIT
// every_server.c - the rows of servers: of none, fresh, running, in a handler, stopped, after a fork.
#include "every.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { states = 6 };

struct stopping {
  evy_server *server;
  evy_status (*call)(evy_server *s);
  atomic_bool done;
  evy_status result;
};

/* Where it has to be this thread, in a handler or after a fork, the call returns at once. */
static _Thread_local bool is_direct;

static void *call_it(void *user) {
  struct stopping *its = user;
  its->result = its->call(its->server);
  its->done = true;
  return NULL;
}

/* For a call that returns when the server has stopped: another thread makes it, and the stop follows. */
static evy_status until_stopped(evy_server *server, evy_status (*call)(evy_server *s)) {
  struct stopping its = {server, call, false, EVY_OK};
  int port = evy_server_port(server, 0);
  pthread_t thread;
  if (is_direct || port == 0) {
    return call(server);
  }
  check(pthread_create(&thread, NULL, call_it, &its) == 0, "no thread");
  if (call == evy_server_run) {
    WAIT_UNTIL(its.done || fetch(port, "/") == 200);
  } else {
    pause_ms(2); /* both before and after it has begun are right */
  }
  evy_server_stop(server, 0);
  pthread_join(thread, NULL);
  return its.result;
}

#define ROW(...)
#define LIBRARY(...)
#define CONFIG(...)
#define TLS(...)
#define SERVER(name, w0, w1, w2, w3, w4, w5, call)                                                     \
  static long long server_##name(evy_server *h) {                                                      \
    int64_t figures[64];                                                                               \
    char metrics[16384];                                                                               \
    int32_t event;                                                                                     \
    evy_req *request;                                                                                  \
    (void)figures, (void)metrics, (void)event, (void)request;                                          \
    return call;                                                                                       \
  }
#include "rows_object.h"
#undef SERVER

static const struct row {
  const char *name, *wanted[states];
  long long (*call)(evy_server *h);
} rows[] = {
#define SERVER(name, w0, w1, w2, w3, w4, w5, call)                                                     \
  {#name, {w0, w1, w2, w3, w4, w5}, server_##name},
#include "rows_object.h"
};
enum { count = sizeof rows / sizeof rows[0] };

static void settle(const struct row *row, int state, evy_server *server) {
  long long got = row->call(server);
  check(fits(row->wanted[state], got), "%s in state %d gives %s, not %s", row->name, state,
        row->wanted[state], shown(got));
  /* Nothing was wrong with a wait that ended, nor is there a text where the server is another process's. */
  bool is_failure = got < 0 && got != EVY_E_TIMEOUT && got != EVY_E_AGAIN && got != EVY_E_FORKED;
  if (state != 0 && state != 5 && is_failure && strcmp(row->name, "evy_server_deadline") != 0) {
    const char *text = evy_server_error(server);
    check(text != NULL && text[0] != '\0', "%s in state %d gives %s without a text", row->name, state,
          shown(got));
  }
}

struct visit {
  const struct row *row;
  atomic_bool done;
};

static void in_handler(void *user, evy_req *req) {
  struct visit *visit = user;
  if (visit->row != NULL) {
    is_direct = true;
    settle(visit->row, 3, evy_req_server(req));
    is_direct = false;
  }
  evy_respond(req, 200, NULL, NULL, 0, "hello", 5);
  atomic_store(&visit->done, true);
}

static evy_server *server_in(int state, struct visit *visit) {
  evy_server *server = NULL;
  evy_config *cfg = ready_config(in_handler, visit);
  check(evy_server_new(cfg, &server) == EVY_OK, "%s", evy_config_error(cfg));
  evy_config_free(cfg);
  if (state >= 2) {
    check(evy_server_start(server) == EVY_OK, "%s", evy_server_error(server));
  }
  if (state == 4) {
    check(evy_server_stop(server, 1000) == EVY_OK, "%s", evy_server_error(server));
    check(evy_server_wait(server, 15000) == EVY_OK, "%s", evy_server_error(server));
  }
  return server;
}

static void settle_forked(const struct row *row, evy_server *server) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(30);
    is_direct = true;
    int before = failed;
    settle(row, 5, server);
    fflush(stdout);
    _exit(failed == before ? 0 : 1);
  }
  int status = -1;
  check(waitpid(child, &status, 0) == child && status == 0, "%s in a child: status %d", row->name, status);
}

static void each_state(const struct row *row) {
  for (int state = 1; state < states; state++) {
    struct visit visit = {state == 3 ? row : NULL, false};
    evy_server *server = server_in(state == 5 ? 2 : state, &visit);
    if (state == 3) {
      fetch(evy_server_port(server, 0), "/");
      check(WAIT_UNTIL(visit.done), "%s: no handler ran", row->name);
    } else if (state == 5) {
      settle_forked(row, server);
      check(fetch(evy_server_port(server, 0), "/") == 200, "%s in a child hurt its parent", row->name);
    } else {
      settle(row, state, server);
    }
    evy_server_free(server);
    evy_server_free(server); /* twice is once */
    /* One that its own handler has freed is there until that has returned. */
    check(WAIT_UNTIL(evy_server_stop(server, 0) == EVY_E_ARG), "%s: a freed server is there", row->name);
  }
}

/* A lent thread that is on its way out keeps what was freed alive: nobody may start that any more. */
static void freed_ahead_of_its_start(void) {
  for (int i = 0; i < 50; i++) {
    struct visit visit = {NULL, false};
    struct stopping its = {server_in(1, &visit), evy_server_work, false, EVY_OK};
    pthread_t thread;
    int64_t figures[64];
    check(pthread_create(&thread, NULL, call_it, &its) == 0, "no thread");
    check(WAIT_UNTIL(evy_server_counters(its.server, figures, 64) > EVY_N_THREADS_TOTAL &&
                     figures[EVY_N_THREADS_TOTAL] == 1),
          "no thread was lent");
    evy_server_free(its.server);
    long long got = evy_server_start(its.server);
    check(fits("ARG|STATE", got), "evy_server_start behind evy_server_free gives %s", shown(got));
    evy_server_stop(its.server, 0);
    pthread_join(thread, NULL);
  }
}

void every_server(void) {
  void *nobody[STRANGERS];
  strangers(nobody);
  for (int i = 0; i < count; i++) {
    for (int other = 0; other < STRANGERS - 1; other++) {
      settle(&rows[i], 0, nobody[other]);
    }
    each_state(&rows[i]);
  }
  freed_ahead_of_its_start();
  forget_strangers();
}
