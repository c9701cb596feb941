// SPDX-License-Identifier: MIT
// misuse_see.c - counters, metrics and the own log: without handles, too small, too early, too late, forked.
#include "misuse.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM 256

static evy_server *talker;
static atomic_int refused, lines;

/* A log callback that itself wants to log would wait for itself. */
static void talk_back(void *user, int32_t level, const char *text, size_t len) {
  (void)user, (void)level, (void)text, (void)len;
  atomic_fetch_add(&lines, 1);
  if (talker != NULL && evy_server_log(talker, EVY_LOG_ERROR, "again", EVY_NUL) == EVY_E_STATE) {
    atomic_fetch_add(&refused, 1);
  }
}

static evy_server *made_server(evy_log_fn log) {
  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  evy_config_on_log(cfg, log, NULL, NULL);
  GIVES(EVY_OK, evy_config_listen(cfg, "127.0.0.1:0", NULL));
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  evy_config_free(cfg);
  return server;
}

static void without_handles(void) {
  int64_t values[ROOM] = {7};
  char text[16] = "x";
  GIVES(0, evy_server_counters(NULL, values, ROOM));
  CHECK(values[0] == 7);
  GIVES(EVY_E_ARG, evy_server_metrics(NULL, text, sizeof text));
  GIVES(EVY_E_ARG, evy_server_log(NULL, EVY_LOG_INFO, "x", 1));
  GIVES(EVY_E_ARG, evy_server_set_log_level(NULL, EVY_LOG_INFO));
  GIVES(EVY_E_ARG, evy_server_reopen_logs(NULL));
  GIVES(0, evy_server_log_level(NULL));
}

static void names(void) {
  uint32_t count = 0;
  while (evy_counter_name(count) != NULL) {
    const char *type = evy_counter_type(count), *help = evy_counter_help(count);
    CHECK(type != NULL && (strcmp(type, "counter") == 0 || strcmp(type, "gauge") == 0));
    CHECK(help != NULL && help[0] != '\0' && strchr(help, '\n') == NULL);
    CHECK(strncmp(evy_counter_name(count), "evy_", 4) == 0);
    count++;
  }
  CHECK(count == EVY_N_LOOP_BUSY_US + 1);
  CHECK(evy_counter_name(UINT32_MAX) == NULL && evy_counter_type(count) == NULL);
  CHECK(evy_counter_help(count) == NULL);
  CHECK(strcmp(evy_counter_name(EVY_N_STATUS_2XX), "evy_responses_total{status=\"2xx\"}") == 0);
  for (int32_t end = EVY_END_COMPLETE; end <= EVY_END_UPGRADED; end++) {
    NAMES(evy_counter_name((uint32_t)(EVY_N_END_COMPLETE + end)), evy_end_name(end));
  }
}

static void sizes(evy_server *server) {
  int64_t values[ROOM];
  memset(values, 0x55, sizeof values);
  uint32_t count = evy_server_counters(server, NULL, 0);
  CHECK(count == EVY_N_LOOP_BUSY_US + 1);
  CHECK(evy_server_counters(server, NULL, 5) == count);
  CHECK(evy_server_counters(server, values, 0) == count && values[0] == 0x5555555555555555);
  CHECK(evy_server_counters(server, values, 2) == count);
  CHECK(values[0] == 0 && values[1] == 0 && values[2] == 0x5555555555555555);
  CHECK(evy_server_counters(server, values, UINT32_MAX) == count && values[count] == 0x5555555555555555);
  int64_t length = evy_server_metrics(server, NULL, 0);
  CHECK(length > 1000 && length < 16384);
  GIVES(EVY_E_ARG, evy_server_metrics(server, NULL, 1));
  char *text = malloc((size_t)length + 64);
  memset(text, '#', (size_t)length + 64);
  CHECK(evy_server_metrics(server, text, (size_t)length) == length && text[0] == '\0');
  CHECK(evy_server_metrics(server, text, (size_t)length + 1) == length);
  CHECK(strlen(text) == (size_t)length && text[length + 1] == '#');
  free(text);
}

static void lines_and_levels(evy_server *server) {
  GIVES(EVY_E_ARG, evy_server_log(server, EVY_LOG_INFO, NULL, 0));
  GIVES(EVY_E_ARG, evy_server_log(server, EVY_LOG_INFO, "x", (size_t)-2));
  GIVES(EVY_E_ARG, evy_server_log(server, 0, "x", 1));
  GIVES(EVY_E_ARG, evy_server_log(server, EVY_LOG_DEBUG + 1, "x", 1));
  GIVES(EVY_E_ARG, evy_server_set_log_level(server, 0));
  GIVES(EVY_E_ARG, evy_server_set_log_level(server, EVY_LOG_DEBUG + 1));
  GIVES(EVY_LOG_INFO, evy_server_log_level(server));
  GIVES(EVY_OK, evy_server_set_log_level(server, EVY_LOG_ERROR));
  GIVES(EVY_LOG_ERROR, evy_server_log_level(server));
  int before = lines;
  GIVES(EVY_OK, evy_server_log(server, EVY_LOG_WARN, "dropped", EVY_NUL));
  CHECK(lines == before);
  talker = server;
  GIVES(EVY_OK, evy_server_log(server, EVY_LOG_ERROR, "kept", EVY_NUL));
  talker = NULL;
  CHECK(lines == before + 1 && refused == 1);
}

static void *look(void *server) {
  int64_t values[ROOM];
  char text[16384];
  for (int i = 0; i < 300; i++) {
    evy_server_counters(server, values, ROOM);
    evy_server_metrics(server, text, sizeof text);
    evy_server_log(server, EVY_LOG_DEBUG, "looking", EVY_NUL);
    evy_server_set_log_level(server, EVY_LOG_ERROR + i % 4);
  }
  return NULL;
}

/* From several threads while requests run; then in a child, where nothing may be asked any more. */
static void threads_and_fork(evy_server *server) {
  pthread_t threads[4];
  int64_t values[ROOM];
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_create(&threads[i], NULL, look, server) == 0);
  }
  for (int i = 0; i < 20; i++) {
    CHECK(fetch(evy_server_port(server, 0)) == 1);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
  }
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    int before = misuse.failed;
    char text[64];
    GIVES(0, evy_server_counters(server, values, ROOM));
    GIVES(EVY_E_FORKED, evy_server_metrics(server, text, sizeof text));
    GIVES(EVY_E_FORKED, evy_server_log(server, EVY_LOG_INFO, "x", 1));
    GIVES(EVY_E_FORKED, evy_server_set_log_level(server, EVY_LOG_INFO));
    GIVES(EVY_E_FORKED, evy_server_reopen_logs(server));
    fflush(stdout);
    _exit(misuse.failed == before ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  GIVES(EVY_OK, evy_server_stop(server, 1000));
  GIVES(EVY_OK, evy_server_wait(server, 10000));
  CHECK(evy_server_counters(server, values, ROOM) > 0);
  CHECK(values[EVY_N_REQUESTS_TOTAL] == 20 && values[EVY_N_END_COMPLETE] == 20);
  CHECK(values[EVY_N_THREADS_TOTAL] == 0 && values[EVY_N_CONNECTIONS_OPEN] == 0);
}

static void *talk(void *server) {
  for (int i = 0; i < 3000; i++) {
    evy_server_log(server, EVY_LOG_ERROR, "one of many lines that threads write at the same time", EVY_NUL);
  }
  return NULL;
}

/* Writes from four threads and the calling one into a file. */
static void talk_together(void) {
  pthread_t threads[4];
  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  evy_config_set(cfg, "error_log", "/dev/null");
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  evy_config_free(cfg);
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_create(&threads[i], NULL, talk, server) == 0);
  }
  talk(server);
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
  }
  evy_server_free(server);
}

/* Locks know nothing of threads that a fork has left behind, nor of what their ids were. */
static void logs_after_a_fork(void) {
  talk_together();
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int before = misuse.failed;
    alarm(60);
    talk_together();
    fflush(stdout);
    _exit(misuse.failed == before ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int count_lines(int reader, const char *wanted) {
  static char text[1 << 17];
  size_t have = 0;
  ssize_t n;
  while (have < sizeof text - 1 && (n = read(reader, text + have, sizeof text - 1 - have)) > 0) {
    have += (size_t)n;
  }
  text[have] = '\0';
  int count = 0;
  for (const char *at = text; (at = strstr(at, wanted)) != NULL; at++) {
    count++;
  }
  return count;
}

/* Lines for a pipe that nobody reads are with a thread, which a child does not have and must not miss. */
static void child_of_a_log_that_waits(void) {
  char path[64], text[80];
  evy_server *server = NULL;
  evy_config *cfg = evy_config_new();
  snprintf(path, sizeof path, "/tmp/evy-misuse-%d.fifo", (int)getpid());
  CHECK(mkfifo(path, 0600) == 0);
  int reader = open(path, O_RDONLY | O_NONBLOCK), writer = open(path, O_WRONLY);
  close(reader); /* without one the library cannot open the FIFO for itself */
  snprintf(text, sizeof text, "fd:%d", writer);
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  GIVES(EVY_OK, evy_config_set(cfg, "error_log", text));
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  evy_config_free(cfg);
  reader = open(path, O_RDONLY | O_NONBLOCK);
  int filler = open(path, O_WRONLY | O_NONBLOCK);
  while (write(filler, "\n", 1) == 1) {
  }
  for (int i = 0; i < 3; i++) {
    GIVES(EVY_OK, evy_server_log(server, EVY_LOG_ERROR, "of the parent", EVY_NUL));
  }
  /* It waits two seconds for a reader, or not at all: of three children one is not kept by a busy machine. */
  bool is_quick = false;
  for (int i = 0; i < 3 && !is_quick; i++) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      struct timespec began, ended;
      clock_gettime(CLOCK_MONOTONIC, &began);
      evy_server_free(server);
      clock_gettime(CLOCK_MONOTONIC, &ended);
      _exit(ended.tv_sec - began.tv_sec > 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    is_quick = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  CHECK(is_quick);
  int found = count_lines(reader, "of the parent");
  evy_server_free(server);
  CHECK(found + count_lines(reader, "of the parent") == 3);
  close(reader);
  close(writer);
  close(filler);
  unlink(path);
}

void chapter_seeing(void) {
  logs_after_a_fork();
  child_of_a_log_that_waits();
  without_handles();
  names();
  evy_server *server = made_server(talk_back);
  sizes(server);
  lines_and_levels(server);
  GIVES(EVY_OK, evy_server_start(server));
  threads_and_fork(server);
  evy_server_free(server);
}
