// SPDX-License-Identifier: MIT
// misuse_server.c - servers in the wrong state: twice, too late, without parts, after a fork, freed early.
#include "misuse.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void answer_hello(void *user, evy_req *req) {
  (void)user;
  evy_respond(req, 200, NULL, NULL, 0, "hello", EVY_NUL);
}

evy_server *started_server(evy_handler_fn fn, void *user) {
  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  GIVES(EVY_OK, evy_config_on_request(cfg, fn, user, NULL));
  GIVES(EVY_OK, evy_config_listen(cfg, "127.0.0.1:0", NULL));
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  GIVES(EVY_OK, evy_server_start(server));
  evy_config_free(cfg);
  return server;
}

int fetch(int port) {
  static const char raw[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  char answer[4096];
  size_t have = 0;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval patience = {10, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&place, sizeof place) == 0 &&
      send(fd, raw, sizeof raw - 1, MSG_NOSIGNAL) > 0) {
    ssize_t n;
    while (have < sizeof answer && (n = recv(fd, answer + have, sizeof answer - have, 0)) > 0) {
      have += (size_t)n;
    }
  }
  close(fd);
  return have > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0;
}

static void null_server(void) {
  GIVES(EVY_E_ARG, evy_server_start(NULL));
  GIVES(EVY_E_ARG, evy_server_run(NULL));
  GIVES(EVY_E_ARG, evy_server_stop(NULL, 0));
  GIVES(EVY_E_ARG, evy_server_wait(NULL, 0));
  evy_server_free(NULL);
  const char *none = evy_server_error(NULL);
  CHECK(none == NULL || none[0] == '\0');
  CHECK(evy_server_port(NULL, 0) <= 0);
  CHECK(evy_server_address(NULL, 0) == NULL);
}

static void incomplete(void) {
  evy_server *server = (evy_server *)&server;
  GIVES(EVY_E_ARG, evy_server_new(NULL, &server));
  CHECK(server == NULL);
  evy_config *cfg = evy_config_new();
  GIVES(EVY_E_ARG, evy_server_new(cfg, NULL));
  server = (evy_server *)&server;
  GIVES(EVY_E_ARG, evy_server_new(cfg, &server));
  CHECK(server == NULL && evy_config_error(cfg)[0] != '\0');
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  GIVES(EVY_E_ARG, evy_server_new(cfg, &server)); /* still no listener */
  NAMES(evy_config_error(cfg), "listen");
  evy_config_free(cfg);
  cfg = evy_config_new();
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  GIVES(EVY_E_ARG, evy_server_new(cfg, &server)); /* no handler */
  NAMES(evy_config_error(cfg), "handler");
  evy_config_free(cfg);
}

static int descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder != NULL && readdir(folder) != NULL) {
    count++;
  }
  closedir(folder);
  return count;
}

/* Whatever goes wrong while the server is made, nothing that was opened on the way stays. */
static void failed_servers_leave_nothing(void) {
  static const char *const wrong[][3] = {{"192.0.2.1:0", NULL, NULL},
                                         {"unix:/nonexistent/evy.sock", NULL, NULL},
                                         {"127.0.0.1:0", "access_log", "/nonexistent/access.log"},
                                         {"127.0.0.1:0", "error_log", "/nonexistent/error.log"},
                                         {"127.0.0.1:0", "write_low_water", "512m"}};
  int before = descriptors();
  char path[64];
  snprintf(path, sizeof path, "unix:/tmp/evy-misuse-%d.sock", (int)getpid());
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    evy_server *server = (evy_server *)&server;
    evy_config *cfg = evy_config_new();
    int mine = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    CHECK(bind(mine, (struct sockaddr *)&any, sizeof any) == 0);
    evy_config_on_request(cfg, answer_hello, NULL, NULL);
    GIVES(EVY_OK, evy_config_listen(cfg, "127.0.0.1:0", NULL));
    GIVES(EVY_OK, evy_config_listen(cfg, path, NULL));
    GIVES(EVY_OK, evy_config_listen_fd(cfg, mine, NULL));
    GIVES(EVY_OK, evy_config_listen(cfg, wrong[i][0], NULL));
    if (wrong[i][1] != NULL) {
      evy_config_set(cfg, wrong[i][1], wrong[i][2]);
    }
    CHECK(evy_server_new(cfg, &server) < 0 && server == NULL);
    NAMES(evy_config_error(cfg), wrong[i][1] == NULL ? wrong[i][0] : wrong[i][1]);
    CHECK(access(path + 5, F_OK) != 0); /* the unix socket's file is gone too */
    evy_config_free(cfg);
    close(mine);
    if (!CHECK(descriptors() == before)) {
      printf("  after %s\n", wrong[i][0]);
    }
  }
}

#if defined(__SANITIZE_THREAD__)
#define IS_TSAN 1
#elif defined(__has_feature)
#define IS_TSAN __has_feature(thread_sanitizer)
#else
#define IS_TSAN 0
#endif

/* A step turns one loop, so a server of several is not stepped, and can be started all the same. */
static void several_loops(void) {
  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  int before = descriptors();
  GIVES(EVY_E_VALUE, evy_config_set(cfg, "loops", "-1"));
  GIVES(EVY_E_VALUE, evy_config_set(cfg, "loops", "257"));
  GIVES(EVY_OK, evy_config_set(cfg, "loops", "3"));
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  evy_config_free(cfg);
  CHECK(evy_server_fd(server) == -1);
  NAMES(evy_server_error(server), "loops");
  GIVES(EVY_E_STATE, evy_server_step(server, 0));
  GIVES(EVY_OK, evy_server_start(server));
  CHECK(fetch(evy_server_port(server, 0)) == 1);
  evy_server_free(server);
  /* ThreadSanitizer opens two pipes to its symbolizer when it first looks at what it is to suppress. */
  CHECK(descriptors() == before || (IS_TSAN && descriptors() == before + 2));
}

static void wrong_states(void) {
  evy_server *server = started_server(answer_hello, NULL);
  CHECK(strcmp(evy_server_error(server), "") == 0);
  GIVES(EVY_E_STATE, evy_server_start(server));
  CHECK(evy_server_error(server)[0] != '\0');
  GIVES(EVY_E_STATE, evy_server_run(server));
  GIVES(EVY_E_TIMEOUT, evy_server_wait(server, 0));
  GIVES(EVY_E_TIMEOUT, evy_server_wait(server, 20));
  CHECK(fetch(evy_server_port(server, 0)) == 1);
  CHECK(evy_server_port(server, 1) == 0 && evy_server_port(server, UINT32_MAX) == 0);
  CHECK(evy_server_address(server, 1) == NULL && evy_server_address(server, UINT32_MAX) == NULL);
  int port = evy_server_port(server, 0);
  GIVES(EVY_OK, evy_server_stop(server, 1000));
  GIVES(EVY_OK, evy_server_wait(server, 10000));
  GIVES(EVY_OK, evy_server_wait(server, 0));
  GIVES(EVY_OK, evy_server_stop(server, 0));
  GIVES(EVY_E_STATE, evy_server_start(server));
  GIVES(EVY_E_STATE, evy_server_run(server));
  CHECK(fetch(port) == 0);
  evy_server_free(server);
}

void chapter_server(void) {
  null_server();
  incomplete();
  failed_servers_leave_nothing();
  several_loops();
  wrong_states();
  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  CHECK(evy_server_port(server, 0) > 0);
  GIVES(EVY_E_STATE, evy_server_wait(server, 0)); /* never started */
  GIVES(EVY_OK, evy_server_stop(server, 0));      /* a start after it stops at once, or is refused */
  CHECK(evy_server_start(server) == EVY_E_STATE || evy_server_wait(server, 5000) == EVY_OK);
  evy_server_free(server);
  GIVES(EVY_OK, evy_server_new(cfg, &server)); /* the config makes another one */
  evy_server_free(server);                     /* never started, never stopped */
  evy_config_free(cfg);
}

/* Handles freed in any order, while others still use them. */
void chapter_free_order(void) {
  evy_config *cfg = evy_config_new();
  evy_tls *tls = evy_tls_new();
  evy_server *first = NULL, *second = NULL;
  GIVES(EVY_OK, evy_tls_cert_file(tls, NULL, misuse.cert, misuse.key, NULL));
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  GIVES(EVY_OK, evy_config_listen(cfg, "127.0.0.1:0", NULL));
  GIVES(EVY_OK, evy_config_listen(cfg, "127.0.0.1:0", tls));
  evy_tls_free(tls);
  GIVES(EVY_OK, evy_server_new(cfg, &first));
  GIVES(EVY_OK, evy_config_set(cfg, "threads", "2")); /* the first has its snapshot */
  GIVES(EVY_OK, evy_server_new(cfg, &second));
  evy_config_free(cfg);
  GIVES(EVY_OK, evy_server_start(first));
  GIVES(EVY_OK, evy_server_start(second));
  CHECK(fetch(evy_server_port(first, 0)) == 1);
  evy_server_free(first); /* running: stops it */
  CHECK(fetch(evy_server_port(second, 0)) == 1);
  evy_server_free(second);
}

/* Only the process that bound the file of a unix socket removes it. */
static void file_after_a_fork(void) {
  char address[64];
  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  snprintf(address, sizeof address, "unix:/tmp/evy-misuse-fork-%d.sock", (int)getpid());
  evy_config_on_request(cfg, answer_hello, NULL, NULL);
  GIVES(EVY_OK, evy_config_listen(cfg, address, NULL));
  for (int starts = 0; starts < 2; starts++) {
    GIVES(EVY_OK, evy_server_new(cfg, &server));
    if (starts) {
      GIVES(EVY_OK, evy_server_start(server));
    }
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      evy_server_free(server);
      _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(access(address + 5, F_OK) == 0);
    evy_server_free(server);
    CHECK(access(address + 5, F_OK) != 0);
  }
  evy_config_free(cfg);
}

/* In a child of fork every call on a started server is refused; the parent serves on. */
void chapter_fork(void) {
  file_after_a_fork();
  evy_server *server = started_server(answer_hello, NULL);
  CHECK(fetch(evy_server_port(server, 0)) == 1);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(20); /* a call that blocks must not outlive the test */
    int before = misuse.failed;
    GIVES(EVY_E_FORKED, evy_server_start(server));
    GIVES(EVY_E_FORKED, evy_server_run(server));
    GIVES(EVY_E_FORKED, evy_server_stop(server, 0));
    GIVES(EVY_E_FORKED, evy_server_wait(server, 0));
    evy_server_free(server);
    fflush(stdout);
    _exit(misuse.failed == before ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(fetch(evy_server_port(server, 0)) == 1);
  evy_server_free(server);
}
