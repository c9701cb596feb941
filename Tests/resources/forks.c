// SPDX-License-Identifier: MIT
// forks.c - a server whose program forks: from a thread of its own and in handlers, under load.
//   forks [option=value]...
// Prints its port, then one line for each command on standard input:
//   fork N     N children one after the other, each uses what it must not: how many found all refused
//   read N     N children, which read what a request was while a thread of the parent does so too
//   tls N      N children, which ask a TLS object while a thread of the parent changes it
//   renew N    N children that fork while a thread of theirs uses TLS objects for the first time
//   serve N    N children, each with a server of its own made of the parent's configuration
//   hold       a child that stays, with copies of every descriptor, until
//   release    lets it go
// Routes: /hello, /keep (for "read"), /body (echo), /fork?exit, /fork?return, /fork?use, /fork?hold, /cut
#include <arpa/inet.h>
#include <evy.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

static evy_config *config;
static evy_server *server;
static pid_t held;
static evy_req *kept;
static evy_tls *tls;
static atomic_bool is_busy;

/* ---- in the child ------------------------------------------------------------------ */

static void nothing(void *user) { (void)user; }

/* How many calls on the parent's server were not refused. */
static int use_server(void) {
  int64_t counters[8];
  char text[64];
  int32_t event;
  evy_req *req;
  int wrong = 0;
  wrong += evy_server_start(server) != EVY_E_FORKED;
  wrong += evy_server_run(server) != EVY_E_FORKED;
  wrong += evy_server_stop(server, 0) != EVY_E_FORKED;
  wrong += evy_server_wait(server, -1) != EVY_E_FORKED;
  wrong += evy_server_step(server, 0) != EVY_E_FORKED;
  wrong += evy_server_work(server) != EVY_E_FORKED;
  wrong += evy_server_next(server, -1, &event, &req) != EVY_E_FORKED;
  wrong += evy_server_fd(server) != -1;
  wrong += evy_server_log(server, EVY_LOG_ERROR, "child", 5) != EVY_E_FORKED;
  wrong += evy_server_reopen_logs(server) != EVY_E_FORKED;
  wrong += evy_server_set_log_level(server, EVY_LOG_WARN) != EVY_E_FORKED;
  wrong += evy_server_metrics(server, text, sizeof text) != EVY_E_FORKED;
  wrong += evy_server_counters(server, counters, 8) != 0;
  wrong += evy_loop_post(server, NULL, nothing, NULL, NULL) != EVY_E_FORKED;
  wrong += evy_timer_start(server, 0, 0, nothing, NULL, NULL) != EVY_E_FORKED;
  wrong += evy_server_port(server, 0) == 0;
  evy_wake(server);
  evy_server_free(server);
  return wrong;
}

static void drop(void *user) { ++*(int *)user; }

/* The same for a request; reading what it was stays possible. */
static int use_request(evy_req *req) {
  char room[8];
  int fd = -1, drops = 0, wrong = 0;
  evy_slice slice = {"child", 5};
  wrong += evy_respond(req, 500, NULL, NULL, 0, "child", 5) != EVY_E_FORKED;
  wrong += evy_respond_ref(req, 500, NULL, NULL, 0, room, 8, &drops, drop) != EVY_E_FORKED;
  wrong += evy_resp_begin(req, 500, NULL, NULL, 0, -1) != EVY_E_FORKED;
  wrong += evy_resp_write(req, "child", 5, -1) != EVY_E_FORKED;
  wrong += evy_resp_writev(req, &slice, 1, -1) != EVY_E_FORKED;
  wrong += evy_resp_write_ref(req, room, 8, &drops, drop) != EVY_E_FORKED;
  wrong += evy_resp_file(req, 0, 0, -1) != EVY_E_FORKED;
  wrong += evy_resp_flush(req) != EVY_E_FORKED;
  wrong += evy_resp_end(req, NULL, 0) != EVY_E_FORKED;
  wrong += evy_resp_abort(req) != EVY_E_FORKED;
  wrong += evy_inform(req, 102, NULL, 0) != EVY_E_FORKED;
  wrong += evy_req_take_socket(req, &fd) != EVY_E_FORKED;
  wrong += evy_body_read(req, room, sizeof room, -1) != EVY_E_FORKED;
  wrong += evy_body_on_data(req, NULL, &drops, drop) != EVY_E_FORKED;
  wrong += evy_body_pause(req, 1) != EVY_E_FORKED;
  wrong += evy_posthook_add(req, NULL, &drops, drop) != EVY_E_FORKED;
  wrong += evy_resp_on_writable(req, NULL, &drops, drop) != EVY_E_FORKED;
  wrong += evy_req_on_gone(req, NULL, &drops, drop) != EVY_E_FORKED;
  wrong += drops != 6;
  evy_req_retain(req);
  evy_req_release(req);
  const char *path = evy_env_get(req, "PATH_INFO", NULL);
  wrong += path == NULL || strcmp(path, "/fork") != 0;
  return wrong;
}

static int ask(int port) {
  static const char request[] = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  char text[512] = "";
  size_t have = 0;
  ssize_t n = 0;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&place, sizeof place) != 0 ||
      write(fd, request, sizeof request - 1) < 0) {
    return 1;
  }
  while (have < sizeof text - 1 && (n = read(fd, text + have, sizeof text - 1 - have)) > 0) {
    have += (size_t)n;
  }
  close(fd);
  return strstr(text, "200 OK") == NULL || strstr(text, "Hello") == NULL;
}

static int serve_in_child(void) {
  evy_server *own = NULL;
  if (evy_server_new(config, &own) != EVY_OK || evy_server_start(own) != EVY_OK) {
    return 1;
  }
  int wrong = ask(evy_server_port(own, 0));
  evy_server_free(own);
  return wrong;
}

/* How many answers about the request that its parent keeps are wrong. */
static int read_kept(void) {
  size_t len = 0;
  const char *path = evy_env_get(kept, "PATH_INFO", NULL);
  int wrong = path == NULL || strcmp(path, "/keep") != 0;
  wrong += evy_body_buffer(kept, &len) == NULL || len != 4;
  wrong += evy_req_stat(kept, EVY_STAT_STATUS) != 200;
  wrong += evy_req_gone(kept) != 0 && evy_env_count(kept) == 0;
  return wrong;
}

/* TLS objects survive a fork: the child's is its own. (What changes it goes through OpenSSL, which has locks
 * of its own.) */
static int ask_tls(void) { return strstr(evy_tls_error(tls), "tickets") == NULL; }

enum { TLS_MANY = 2000 };
static evy_tls *many[TLS_MANY];

static void *ask_all(void *unused) {
  atomic_store(&is_busy, true);
  for (int i = 0; i < TLS_MANY; i++) {
    evy_tls_error(many[i]);
  }
  return unused;
}

/* The child of the child finds each object as its parent's thread left it. */
static int fork_while_asking(void) {
  pthread_t asking;
  int status = 0;
  atomic_store(&is_busy, false);
  pthread_create(&asking, NULL, ask_all, NULL);
  while (!atomic_load(&is_busy)) {
  }
  for (volatile int spin = getpid() % 100 * 30; spin > 0; spin--) {
  }
  pid_t own = fork();
  if (own == 0) {
    alarm(PATIENCE_MS / 1000);
    ask_all(NULL);
    _exit(0);
  }
  pthread_join(asking, NULL);
  waitpid(own, &status, 0);
  return status != 0;
}

/* ---- in the parent ----------------------------------------------------------------- */

/* Its exit status; 250: it had to be killed. */
static int end_of(pid_t child) {
  int status = 0;
  for (int waited = 0; waited < PATIENCE_MS; waited += 2) {
    if (waitpid(child, &status, WNOHANG) == child) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 251;
    }
    usleep(2000);
  }
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return 250;
}

static void fork_often(long count, int (*body)(void)) {
  long right = 0;
  int last = 0;
  for (long i = 0; i < count; i++) {
    pid_t child = fork();
    if (child == 0) {
      _exit(body());
    }
    int status = end_of(child);
    right += status == 0;
    last = status != 0 ? status : last;
  }
  printf("%ld %d\n", right, last);
}

static void *read_on(void *unused) {
  while (atomic_load(&is_busy)) {
    read_kept();
  }
  return unused;
}

static void *change_on(void *unused) {
  while (atomic_load(&is_busy)) {
    evy_tls_set(tls, "tickets", "3");
  }
  return unused;
}

/* While a thread of the parent takes the same locks in turn. */
static void fork_beside(long count, int (*body)(void), void *(*beside)(void *)) {
  pthread_t busy;
  atomic_store(&is_busy, true);
  pthread_create(&busy, NULL, beside, NULL);
  fork_often(count, body);
  atomic_store(&is_busy, false);
  pthread_join(busy, NULL);
}

static void hold(void) {
  held = fork();
  if (held == 0) {
    pause();
    _exit(0);
  }
}

static void release(void) {
  if (held > 0) {
    kill(held, SIGKILL);
    waitpid(held, NULL, 0);
    held = 0;
  }
}

static void answer(evy_req *req, const char *text) {
  evy_respond(req, 200, NULL, NULL, 0, text, strlen(text));
}

static void fork_in_handler(evy_req *req, const char *how) {
  char text[32];
  if (strcmp(how, "hold") == 0) {
    hold();
    return answer(req, "held");
  }
  pid_t child = fork();
  if (child == 0) {
    if (strcmp(how, "return") == 0) {
      return;
    }
    _exit(strcmp(how, "use") == 0 ? use_request(req) + use_server() : 0);
  }
  snprintf(text, sizeof text, "child %d", end_of(child));
  answer(req, text);
}

static void on_request(void *user, evy_req *req) {
  (void)user;
  size_t len = 0;
  const char *path = evy_env_get(req, "PATH_INFO", NULL);
  if (strcmp(path, "/fork") == 0) {
    fork_in_handler(req, evy_env_get(req, "QUERY_STRING", NULL));
  } else if (strcmp(path, "/keep") == 0) {
    evy_req_retain(req); /* released at the end of the program */
    kept = req;
    answer(req, "kept");
  } else if (strcmp(path, "/body") == 0) {
    const void *body = evy_body_buffer(req, &len);
    evy_respond(req, 200, NULL, NULL, 0, body, len);
  } else if (strcmp(path, "/cut") == 0) {
    evy_resp_begin(req, 200, NULL, NULL, 0, 100);
    evy_resp_write(req, "begun", 5, 0);
    evy_resp_abort(req);
  } else {
    answer(req, "Hello");
  }
}

int main(int argc, char **argv) {
  char line[64], name[16];
  config = evy_config_new();
  evy_config_on_request(config, on_request, NULL, NULL);
  evy_config_listen(config, "127.0.0.1:0", NULL);
  for (int i = 1; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    *value = '\0';
    if (evy_config_set(config, argv[i], value + 1) != EVY_OK) {
      fprintf(stderr, "%s\n", evy_config_error(config));
      return 1;
    }
  }
  if (evy_server_new(config, &server) != EVY_OK || evy_server_start(server) != EVY_OK) {
    return 1;
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  printf("%d\n", evy_server_port(server, 0));
  while (fgets(line, sizeof line, stdin) != NULL) {
    long count = 0;
    sscanf(line, "%15s %ld", name, &count);
    if (strcmp(name, "fork") == 0) {
      fork_often(count, use_server);
    } else if (strcmp(name, "read") == 0) {
      /* Its client may have the answer before the books do. */
      while (read_kept() != 0) {
        sched_yield();
      }
      fork_beside(count, read_kept, read_on);
    } else if (strcmp(name, "tls") == 0) {
      tls = evy_tls_new();
      evy_tls_set(tls, "tickets", "no number");
      fork_beside(count, ask_tls, change_on);
      evy_tls_free(tls);
    } else if (strcmp(name, "renew") == 0) {
      for (int i = 0; i < TLS_MANY; i++) {
        many[i] = evy_tls_new();
      }
      fork_often(count, fork_while_asking);
      for (int i = 0; i < TLS_MANY; i++) {
        evy_tls_free(many[i]);
      }
    } else if (strcmp(name, "serve") == 0) {
      fork_often(count, serve_in_child);
    } else if (strcmp(name, "hold") == 0) {
      hold();
      printf("held\n");
    } else if (strcmp(name, "release") == 0) {
      release();
      printf("released\n");
    }
  }
  evy_req_release(kept);
  evy_server_free(server);
  evy_config_free(config);
  release();
  return 0;
}
