// SPDX-License-Identifier: MIT
// book.c - contents of requests and answers, the shared books, and what both processes need of the system.
#include <dirent.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

const char *const kind_names[KINDS] = {"small", "ref",    "stream", "fixed", "slow", "late",  "latestream",
                                       "echo",  "chunked", "file",   "inform", "head", "post", "timer",
                                       "none",  "take",   "abort",  "gone",  "bad"};
unsigned char *pool;
struct book *book;

bool has_body(enum kind kind) { return kind == K_ECHO || kind == K_CHUNKED; }

size_t size_of(enum kind kind, unsigned seed) {
  unsigned mixed = seed * 2654435761u >> 8;
  bool is_big = seed % 16 == 0;
  switch (kind) {
  case K_REF:
  case K_FIXED:
  case K_FILE: return 5000 + mixed % (is_big ? 200000 : 20000);
  case K_STREAM:
  case K_LATESTREAM: return mixed % (is_big ? pool_longest : 30000);
  case K_ECHO:
  case K_CHUNKED: return mixed % (is_big ? 70000 : 3000);
  case K_TAKE: return 1 + mixed % 20000;
  case K_NONE:
  case K_ABORT:
  case K_GONE:
  case K_BAD: return 0;
  default: return mixed % 2000;
  }
}

const unsigned char *bytes_of(unsigned seed) { return pool + seed * 40503u % (pool_size - pool_longest); }

unsigned rnd(unsigned *state) {
  *state ^= *state << 13;
  *state ^= *state >> 17;
  return *state ^= *state << 5;
}

void prepare(void) {
  pool = mmap(NULL, pool_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  must(pool != MAP_FAILED && book != MAP_FAILED, "mmap");
  unsigned state = 2463534242u;
  for (size_t i = 0; i < pool_size; i++) {
    pool[i] = (unsigned char)(rnd(&state) >> 24);
  }
}

void give_up(const char *what) {
  fprintf(stderr, "stress: cannot go on: %s\n", what);
  _exit(70);
}

void fault(const char *format, ...) {
  /* The first ones tell; thousands would only hide them. */
  if (atomic_fetch_add(&book->faults, 1) >= 20) {
    return;
  }
  char text[512];
  va_list list;
  va_start(list, format);
  int size = vsnprintf(text, sizeof text - 1, format, list);
  va_end(list);
  size = size < (int)sizeof text - 1 ? size : (int)sizeof text - 2;
  text[size] = '\n';
  must(write(2, text, (size_t)size + 1) > 0, "write");
}

void pause_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int entries(const char *folder) {
  DIR *dir = opendir(folder);
  int count = 0;
  must(dir != NULL, folder);
  while (readdir(dir) != NULL) {
    count++;
  }
  closedir(dir);
  return count - 2 - (strstr(folder, "fd") != NULL); /* not ".", "..", nor the folder itself */
}

/* Without what the allocator keeps for later: the most that was ever in use at once is no growth. */
long resident_kib(void) {
  long total = 0, resident = 0;
  malloc_trim(0);
  FILE *f = fopen("/proc/self/statm", "r");
  must(f != NULL && fscanf(f, "%ld %ld", &total, &resident) == 2, "/proc/self/statm");
  fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

long sum(atomic_long *figures, int count) {
  long total = 0;
  for (int i = 0; i < count; i++) {
    total += atomic_load(&figures[i]);
  }
  return total;
}
