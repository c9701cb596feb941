// SPDX-License-Identifier: MIT
// fuzz.c - a fuzzer of the C boundary: many rounds of random calls, each from a seed.
//   fuzz --list                                  the functions that are called
//   fuzz SECONDS SEED CALLS CERT KEY FILE        CALLS by each thread of a round; the books at the end
// The same seed makes the same calls; in which order threads get to them is another matter.
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 160, THREADS = 256 };
static struct book {
  const char *name;
  atomic_long calls;
} books[NAMES];
static _Thread_local const char *volatile *doing;
static const char *volatile doings[THREADS];
static atomic_uint doing_count;
static _Atomic double deadline;
static _Atomic uint64_t current_seed;

uint64_t roll(struct actor *a) { /* splitmix64 */
  uint64_t z = a->random += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

struct actor callback_actor(struct world *world, evy_req *own, bool may_block) {
  uint64_t salt = world->salt++;
  return (struct actor){.world = world, .random = world->seed * 1000003 + salt, .own = own,
                        .may_block = may_block, .in_callback = true};
}

/* ---- arguments */

int64_t any_wait(struct actor *a) {
  static const int64_t waits[] = {0, 0, 0, 1, 2, 5};
  return PICK(a, waits);
}

int64_t any_number(struct actor *a) {
  static const int64_t numbers[] = {0, 1, 2, 5, 17, 100, -1, -2, 65536, INT32_MAX, INT32_MIN, UINT32_MAX,
                                    INT64_MAX, INT64_MIN, INT64_MAX - 1, (int64_t)1 << 40};
  return PICK(a, numbers);
}

size_t any_length(struct actor *a, size_t truth) {
  static const size_t absurd[] = {SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX / 4};
  return dice(a, 12) == 0 ? PICK(a, absurd) : dice(a, 12) == 0 ? truth / 2 : truth;
}

const char *any_text(struct actor *a) {
  static const char *const texts[] = {NULL, "", "a", "PATH_INFO", "HTTP_HOST", "threads", "tls",
                                      "\xff\xfe\x80",
                                      "a.org", "*.a.org", "line\r\nbreak", "wsgi.url_scheme", "OK", "%s%n%s",
                                      "01234567890123456789012345678901234567845678901234567890123456789"};
  return PICK(a, texts);
}

struct bytes any_fields(struct actor *a) {
#define FIELDS(text) {text, sizeof text - 1}
  static const struct bytes fields[] = {
      FIELDS(""), {NULL, 0}, {NULL, 5}, FIELDS("X-A\0b\0"), FIELDS("X-A\0b\0X-C\0d\0"),
      FIELDS("Content-Length\0" "5\0"), FIELDS("Connection\0close\0"), FIELDS("Transfer-Encoding\0chunked\0"),
      FIELDS("Date\0now\0"), FIELDS("X-A"), FIELDS("X-A\0"), FIELDS("X-A\0b\r\nX-C: d\0"), FIELDS("\0\0"),
      FIELDS("X A\0b\0"), FIELDS("Trailer\0x\0"), FIELDS("X-\xff\0\xff\0")};
  return PICK(a, fields);
}

struct bytes any_bytes(struct actor *a) {
  static const char zeros[40000];
  static const struct bytes bytes[] = {{NULL, 0}, {NULL, 7}, {"", 0}, {"hello", 5}, {"\0\xff\n", 3},
      {"hello", EVY_NUL}, {zeros, 4095}, {zeros, 4096}, {zeros, sizeof zeros}};
  return PICK(a, bytes);
}

void *any_stranger(struct actor *a) {
  struct world *world = a->world;
  void *all[] = {NULL, NULL, world->stale_config, world->stale_tls, world->primary, world->tls};
  return PICK(a, all);
}

/* ---- calls */

void begins(const char *name) {
  if (doing == NULL) {
    doing = &doings[doing_count++ % THREADS];
  }
  *doing = name;
}

long long gave(const char *name, const char *documented, long long got) {
  check(fits(documented, got), "seed %llu: %s gives %s, not %s", (unsigned long long)current_seed, name,
        shown(got), documented);
  for (int i = 0; i < NAMES && books[i].name != NULL; i++) {
    if (books[i].name == name || strcmp(books[i].name, name) == 0) {
      books[i].calls++;
      break;
    }
  }
  if (doing != NULL) {
    *doing = NULL;
  }
  return got;
}

static void make_one(struct actor *a, const struct call *calls, int count) {
  const struct call *call = &calls[dice(a, (uint64_t)count)];
  if ((call->flags & BLOCKS && !a->may_block) || (call->flags & LEFT_TO_FEW && dice(a, 4))) {
    return;
  }
  call->make(a);
}

void any_request_calls(struct actor *a, int count) {
  while (count-- > 0) {
    make_one(a, request_calls, request_call_count);
  }
}

void any_calls(struct actor *a, int count) {
  while (count-- > 0) {
    switch (dice(a, 4)) {
    case 0: make_one(a, object_calls, object_call_count); break;
    case 1: make_one(a, server_calls, server_call_count); break;
    default: make_one(a, request_calls, request_call_count); break;
    }
  }
}

/* ---- callbacks */

void keep(struct world *world, struct actor *a, evy_req *req) {
  evy_req **place = &PICK(a, world->kept);
  pthread_mutex_lock(&world->gate);
  evy_req *before = *place;
  *place = req;
  pthread_mutex_unlock(&world->gate);
  evy_req_release(before);
}

void fuzz_request(void *user, evy_req *req) {
  struct actor a = callback_actor(user, req, true);
  const char *path = evy_env_get(req, "PATH_INFO", NULL);
  if (path != NULL && strcmp(path, "/plain") == 0) {
    gave("evy_respond", "OK", evy_respond(req, 200, NULL, NULL, 0, "plain", 5));
    return;
  }
  if (dice(&a, 2)) {
    evy_posthook_add(req, fuzz_hook, user, DROP(posthook));
  }
  if (dice(&a, 3) == 0) {
    evy_req_retain(req);
    keep(a.world, &a, req);
  }
  any_request_calls(&a, (int)dice(&a, 5));
  any_calls(&a, (int)dice(&a, 2));
}

void fuzz_hook(void *user, evy_req *req) {
  struct actor a = callback_actor(user, req, true);
  any_request_calls(&a, (int)dice(&a, 3));
}

void fuzz_gone(void *user, evy_req *req) {
  struct actor a = callback_actor(user, req, false);
  any_request_calls(&a, (int)dice(&a, 3));
}

void fuzz_piece(void *user, evy_req *req, const void *data, size_t len, evy_status st) {
  struct actor a = callback_actor(user, req, true);
  check(data != NULL || len == 0, "%zu bytes at %p", len, data);
  check(st == EVY_OK || len == 0, "status %d with bytes", st);
  any_request_calls(&a, (int)dice(&a, 3));
}

void fuzz_task(void *user) {
  struct actor a = callback_actor(user, NULL, true);
  any_calls(&a, (int)dice(&a, 3));
}

void fuzz_log(void *user, int32_t level, const char *text, size_t len) {
  struct actor a = callback_actor(user, NULL, false);
  check(level >= EVY_LOG_ERROR && level <= EVY_LOG_DEBUG && strlen(text) == len, "a line of level %d", level);
  if (dice(&a, 4) == 0 && a.world->primary != NULL) {
    CALL("STATE|OK", evy_server_log, a.world->primary, EVY_LOG_ERROR, "again", 5);
  }
}

void fuzz_access(void *user, evy_req *req, const char *line, size_t len) {
  struct actor a = callback_actor(user, req, false);
  check(strlen(line) == len, "an access line of %zu bytes", len);
  any_request_calls(&a, req == NULL ? 0 : (int)dice(&a, 3));
}

/* ---- the program */

/* A round that does not end is a defect: says what everybody is at. */
static void *watch(void *user) {
  (void)user;
  while (true) {
    pause_ms(100);
    if (deadline > 0 && seconds_now() > deadline) {
      printf("seed %llu does not end; calls that have not returned:", (unsigned long long)current_seed);
      for (int i = 0; i < THREADS; i++) {
        if (doings[i] != NULL) {
          printf(" %s", doings[i]);
        }
      }
      printf("\n");
      fflush(stdout);
      abort();
    }
  }
}

static void open_books(void) {
  const struct call *tables[] = {object_calls, server_calls, request_calls};
  const int counts[] = {object_call_count, server_call_count, request_call_count};
  int next = 0;
  for (int t = 0; t < 3; t++) {
    for (int i = 0; i < counts[t] && next < NAMES - 1; i++) {
      books[next++].name = tables[t][i].name;
    }
  }
}

static void tell(int rounds, double since, bool is_long) {
  long calls = 0;
  for (int i = 0; books[i].name != NULL; i++) {
    calls += books[i].calls;
    check(books[i].calls > 0 || !is_long, "%s was never called", books[i].name);
    if (getenv("EVY_FUZZ_BOOKS") != NULL) {
      printf("%9ld %s\n", (long)books[i].calls, books[i].name);
    }
  }
  printf("fuzz: %d rounds, %ld calls in %.0f s: %d checks, %d failed\n", rounds, calls,
         seconds_now() - since, checks, failed);
}

int main(int argc, char **argv) {
  open_books();
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (int i = 0; books[i].name != NULL; i++) {
      puts(books[i].name);
    }
    return 0;
  }
  if (argc != 7) {
    fprintf(stderr, "fuzz --list | fuzz SECONDS SEED CALLS CERT KEY FILE\n");
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  cert_file = argv[4], key_file = argv[5], plain_file = argv[6];
  double since = seconds_now(), length = atof(argv[1]);
  uint64_t seed = strtoull(argv[2], NULL, 0);
  pthread_t watcher;
  pthread_create(&watcher, NULL, watch, NULL);
  int rounds = 0;
  while (seconds_now() - since < length && failed == 0) {
    deadline = seconds_now() + 10 * patience();
    current_seed = seed;
    one_world(seed++, atoi(argv[3]));
    rounds++;
  }
  deadline = 0;
  tell(rounds, since, rounds >= 60);
  return failed == 0 && rounds > 0 ? 0 : 1;
}
