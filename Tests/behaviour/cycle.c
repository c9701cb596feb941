// SPDX-License-Identifier: MIT
// cycle.c - starts and stops two servers again and again; tells threads, descriptors and memory
// before and after as one JSON object.
//   cycle COUNT CERT KEY
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <evy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { warm_up = 10 }; /* rounds before the first look: caches and pools fill once */
static atomic_long drops, drops_due, answers;

static void count_drop(void *user) {
  (void)user;
  atomic_fetch_add(&drops, 1);
}

static void hook(void *user, evy_req *req) { (void)user, (void)req; }

static void on_request(void *user, evy_req *req) {
  (void)user;
  atomic_fetch_add(&drops_due, 1);
  evy_posthook_add(req, hook, NULL, count_drop);
  evy_respond(req, 200, NULL, NULL, 0, "cycle", 5);
}

static int entries(const char *folder) {
  DIR *dir = opendir(folder);
  int count = 0;
  while (dir != NULL && readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count - 2 - (strstr(folder, "fd") != NULL); /* not ".", "..", nor the folder itself */
}

/* A thread that was joined leaves /proc a moment later. */
static int threads_now(int expected) {
  int count = entries("/proc/self/task");
  for (int i = 0; i < 2000 && expected > 0 && count > expected; i++) {
    nanosleep(&(struct timespec){0, 1000000}, NULL);
    count = entries("/proc/self/task");
  }
  return count;
}

static long resident_kib(void) {
  long total = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL || fscanf(f, "%ld %ld", &total, &resident) != 2) {
    abort();
  }
  fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static int connect_to(int port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval patience = {20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&place, sizeof place) != 0) {
    perror("connect");
    exit(1);
  }
  return fd;
}

/* One request on a connection that stays open; one more that only says half a line. */
static void visit(int port, int clients[2]) {
  static const char raw[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  char answer[1024];
  clients[0] = connect_to(port);
  clients[1] = connect_to(port);
  send(clients[0], raw, sizeof raw - 1, MSG_NOSIGNAL);
  send(clients[1], raw, 9, MSG_NOSIGNAL);
  ssize_t n;
  do { /* a recv with a timeout is interrupted where the process is stopped and goes on */
    n = recv(clients[0], answer, sizeof answer, 0);
  } while (n < 0 && errno == EINTR);
  if (n > 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0) {
    atomic_fetch_add(&answers, 1);
  }
}

static evy_server *make(const char *cert, const char *key) {
  evy_config *cfg = evy_config_new();
  evy_tls *tls = evy_tls_new();
  evy_server *server = NULL;
  atomic_fetch_add(&drops_due, 1);
  if (evy_tls_cert_file(tls, NULL, cert, key, NULL) != EVY_OK ||
      evy_config_on_request(cfg, on_request, NULL, count_drop) != EVY_OK ||
      evy_config_listen(cfg, "127.0.0.1:0", NULL) != EVY_OK ||
      evy_config_listen(cfg, "127.0.0.1:0", tls) != EVY_OK ||
      evy_config_set(cfg, "log_level", "error") != EVY_OK || evy_server_new(cfg, &server) != EVY_OK ||
      evy_server_start(server) != EVY_OK) {
    fprintf(stderr, "%s%s\n", evy_tls_error(tls), evy_config_error(cfg));
    exit(1);
  }
  evy_tls_free(tls);
  evy_config_free(cfg);
  return server;
}

static void one_round(const char *cert, const char *key) {
  evy_server *servers[2] = {make(cert, key), make(cert, key)};
  int clients[2][2], half[2];
  for (int i = 0; i < 2; i++) {
    visit(evy_server_port(servers[i], 0), clients[i]);
    half[i] = connect_to(evy_server_port(servers[i], 1)); /* a handshake that never comes */
  }
  for (int i = 0; i < 2; i++) {
    if (i == 0) { /* the other one is stopped by its free */
      evy_server_stop(servers[i], 0);
      if (evy_server_wait(servers[i], 20000) != EVY_OK) {
        fprintf(stderr, "did not stop\n");
        exit(1);
      }
    }
    evy_server_free(servers[i]);
    close(clients[i][0]);
    close(clients[i][1]);
    close(half[i]);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "cycle COUNT CERT KEY\n");
    return 2;
  }
  int count = atoi(argv[1]);
  for (int i = 0; i < warm_up; i++) {
    one_round(argv[2], argv[3]);
  }
  atomic_store(&answers, 0);
  int threads = threads_now(1), descriptors = entries("/proc/self/fd");
  long kib = resident_kib();
  for (int i = 0; i < count; i++) {
    one_round(argv[2], argv[3]);
  }
  /* One after the other: what the last threads hold is given back with them. */
  int threads_left = threads_now(threads), descriptors_left = entries("/proc/self/fd");
  printf("{\"cycles\":%d,\"answers\":%ld,\"drops\":%ld,\"drops_due\":%ld,\"threads\":[%d,%d],"
         "\"descriptors\":[%d,%d],\"resident_kib\":[%ld,%ld]}\n",
         count, atomic_load(&answers), atomic_load(&drops), atomic_load(&drops_due), threads,
         threads_left, descriptors, descriptors_left, kib, resident_kib());
  return 0;
}
