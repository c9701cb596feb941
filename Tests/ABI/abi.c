// SPDX-License-Identifier: MIT
// abi.c - see abi.h.
#include "abi.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

atomic_int checks, failed;
static struct {
  atomic_long come, due;
} drops[dropped_kinds];
const char *cert_file, *key_file, *plain_file;

bool check(bool good, const char *what, ...) {
  checks++;
  if (!good) {
    char text[1000];
    va_list list;
    va_start(list, what);
    vsnprintf(text, sizeof text, what, list);
    va_end(list);
    failed++;
    printf("not so: %s\n", text);
  }
  return good;
}

const char *shown(long long got) {
  static _Thread_local char text[64];
  bool is_status = got >= EVY_E_INTERNAL && got <= EVY_END;
  snprintf(text, sizeof text, "%lld%s%s", got, is_status ? " " : "",
           is_status ? evy_strname((evy_status)got) : "");
  return text;
}

bool fits(const char *wanted, long long got) {
  char list[200];
  char number[32];
  const char *name = got >= EVY_E_INTERNAL && got <= EVY_END ? evy_strname((evy_status)got) : "";
  name = strncmp(name, "EVY_E_", 6) == 0 ? name + 6 : strncmp(name, "EVY_", 4) == 0 ? name + 4 : name;
  snprintf(number, sizeof number, "%lld", got);
  snprintf(list, sizeof list, "%s", wanted);
  char *rest = NULL;
  for (char *word = strtok_r(list, "|", &rest); word != NULL; word = strtok_r(NULL, "|", &rest)) {
    if (strcmp(word, "any") == 0 || strcmp(word, number) == 0 || strcmp(word, name) == 0 ||
        (strcmp(word, "+") == 0 && got > 0)) {
      return true;
    }
  }
  return false;
}

#define DROP_FUNCTION(name)                                                                            \
  static void drop_##name(void *user) {                                                                \
    (void)user;                                                                                        \
    drops[dropped_##name].come++;                                                                      \
  }
DROP_KINDS(DROP_FUNCTION)

evy_drop_fn drop_due(enum drop_kind kind) {
#define DROP_ENTRY(name) drop_##name,
  static const evy_drop_fn functions[] = {DROP_KINDS(DROP_ENTRY)};
  drops[kind].due++;
  return functions[kind];
}

void check_drops(void) {
#define DROP_NAME(name) #name,
  static const char *const names[] = {DROP_KINDS(DROP_NAME)};
  for (int i = 0; i < dropped_kinds; i++) {
    check(WAIT_UNTIL(drops[i].come == drops[i].due), "%s: %ld drops, due %ld", names[i], (long)drops[i].come,
          (long)drops[i].due);
  }
}

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double patience(void) {
  const char *factor = getenv("EVY_TIME_FACTOR");
  return 15 * (factor == NULL ? 1 : atof(factor));
}

void pause_ms(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL); }

int dial_within(int port, int ms) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval limit = {(time_t)patience(), 0};
  struct timeval short_limit = {ms / 1000, ms % 1000 * 1000L};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &short_limit, sizeof short_limit);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof place) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

int dial(int port) { return dial_within(port, (int)(patience() * 1000)); }

bool say(int fd, const char *text, size_t len) {
  len = len == EVY_NUL ? strlen(text) : len;
  return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

size_t hear(int fd, char *answer, size_t room) {
  size_t have = 0;
  ssize_t n;
  while (have + 1 < room && (n = recv(fd, answer + have, room - 1 - have, 0)) > 0) {
    have += (size_t)n;
  }
  answer[have] = '\0';
  return have;
}

void hang_up(int fd, bool reset) {
  struct linger hard = {1, 0};
  if (reset) {
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  close(fd);
}

int fetch(int port, const char *path) {
  char request[200], answer[8192];
  int fd = dial(port), status = 0;
  if (fd < 0) {
    return 0;
  }
  snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
  if (say(fd, request, EVY_NUL) && hear(fd, answer, sizeof answer) > 12) {
    status = strncmp(answer, "HTTP/1.", 7) == 0 ? atoi(answer + 9) : -1;
  }
  close(fd);
  return status;
}

static int entries(const char *folder) {
  DIR *dir = opendir(folder);
  int count = 0;
  while (dir != NULL && readdir(dir) != NULL) {
    count++;
  }
  if (dir != NULL) {
    closedir(dir);
  }
  return count;
}

int descriptors(void) { return entries("/proc/self/fd"); }
int threads(void) { return entries("/proc/self/task"); }

char *contents(const char *path, size_t *len) {
  FILE *f = fopen(path, "rb");
  char *text = calloc(1, 65536);
  *len = f == NULL || text == NULL ? 0 : fread(text, 1, 65535, f);
  if (f != NULL) {
    fclose(f);
  }
  return text;
}
