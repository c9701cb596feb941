// SPDX-License-Identifier: MIT
// lent.c - a server of two loops that has no threads but those that its host lends it.
// Prints its port, then a line for each one on standard input: a thread was lent, and "serves", or was told
// the name of a status.
#include <evy.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MOST = 10, FIGURES = EVY_N_THREADS_TOTAL + 1 };

static evy_server *server;
static atomic_int refusal; /* what a thread was told that may not serve */

static void must(evy_status st, const char *what) {
  if (st < 0) {
    fprintf(stderr, "lent: %s: %s\n", what, evy_strname(st));
    exit(1);
  }
}

static void answer(void *user, evy_req *req) {
  (void)user;
  evy_respond(req, 200, NULL, NULL, 0, "Hello, World!\r\n", 15);
}

static void *work(void *unused) {
  evy_status st = evy_server_work(server);
  if (st != EVY_OK) {
    atomic_store(&refusal, st);
  }
  return unused;
}

static int64_t threads_there(void) {
  int64_t figures[FIGURES];
  must(evy_server_counters(server, figures, FIGURES), "counters");
  return figures[EVY_N_THREADS_TOTAL];
}

/* One more thread is there, or was refused. */
static const char *lend(pthread_t *thread) {
  int64_t before = threads_there();
  atomic_store(&refusal, EVY_OK);
  if (pthread_create(thread, NULL, work, NULL) != 0) {
    abort();
  }
  while (threads_there() == before && atomic_load(&refusal) == EVY_OK) {
    poll(NULL, 0, 1);
  }
  evy_status st = atomic_load(&refusal);
  return st == EVY_OK ? "serves" : evy_strname(st);
}

static void make(void) {
  evy_config *cfg = evy_config_new();
  evy_config_on_request(cfg, answer, NULL, NULL);
  must(evy_config_set(cfg, "lent_threads", "true"), "lent_threads");
  must(evy_config_set(cfg, "loops", "2"), "loops");
  must(evy_config_listen(cfg, "127.0.0.1:0", NULL), "listen");
  must(evy_server_new(cfg, &server), evy_config_error(cfg));
  evy_config_free(cfg);
}

int main(void) {
  pthread_t threads[THREADS_MOST];
  int count = 0;
  char line[16];
  make();
  must(evy_server_start(server), "start");
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("%d\n", (int)evy_server_port(server, 0));
  while (count < THREADS_MOST && fgets(line, sizeof line, stdin) != NULL) {
    puts(lend(&threads[count++]));
  }
  evy_server_stop(server, 5000);
  while (count > 0) {
    pthread_join(threads[--count], NULL);
  }
  evy_server_free(server);
  return 0;
}
