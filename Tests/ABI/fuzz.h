// SPDX-License-Identifier: MIT
// fuzz.h - random calls of every function of evy.h, by many threads at once, on handles in all states.
#ifndef EVY_TEST_FUZZ_H
#define EVY_TEST_FUZZ_H
#include "abi.h"
#include <pthread.h>

enum { ACTORS = 3, CLIENTS = 2, HELPERS = 2, VICTIMS = 3, KEPT = 24, OWN = 3, TAKEN = 16 };

/* A server with its handle, which stays here after it was freed. */
struct place {
  evy_server *server;
  bool is_freed;
};

/* One round: a server that lasts, others that come and go, and who plays with them. */
struct world {
  uint64_t seed;
  pthread_mutex_t gate; /* over the three lists */
  struct place victims[VICTIMS];
  evy_req *kept[KEPT]; /* each with a reference */
  int taken[TAKEN], taken_count;
  evy_server *primary; /* stopped and freed by the world alone */
  evy_tls *tls;        /* shared: for evy_tls_reload, which any thread may call */
  evy_config *stale_config;
  evy_tls *stale_tls;
  int port;
  enum mode { started, run, lent, stepped, pulled, MODES } mode;
  atomic_bool is_ending;
  atomic_int at_work; /* actors that have not finished their calls */
  atomic_int in_flight; /* threads of the world, but clients */
  atomic_uint salt;   /* so that each callback has random numbers of its own */
};

/* Who makes calls: a thread of the world, or one callback. */
struct actor {
  struct world *world;
  uint64_t random;
  evy_req *own; /* the request of the callback */
  bool may_block, in_callback;
  evy_config *configs[OWN]; /* rule R6: one thread's own */
  evy_tls *tls[OWN];
  bool config_freed[OWN], tls_freed[OWN];
};

uint64_t roll(struct actor *a);
static inline uint64_t dice(struct actor *a, uint64_t sides) { return roll(a) % sides; }
#define PICK(a, list) ((list)[dice(a, sizeof(list) / sizeof(list)[0])])
struct actor callback_actor(struct world *world, evy_req *own, bool may_block);

/* Arguments. */
int64_t any_wait(struct actor *a); /* not long */
int64_t any_number(struct actor *a);
size_t any_length(struct actor *a, size_t truth); /* the truth, EVY_NUL where that is right, or absurd */
const char *any_text(struct actor *a);            /* NUL-terminated, or NULL */
struct bytes {
  const char *start;
  size_t len;
};
struct bytes any_fields(struct actor *a);
struct bytes any_bytes(struct actor *a);
void *any_stranger(struct actor *a); /* NULL, or a handle of some kind that is alive or freed */

enum flags { PLAIN = 0, BLOCKS = 1, LEFT_TO_FEW = 2 }; /* not in callbacks that must not block; seldom */
struct call {
  const char *name;
  void (*make)(struct actor *a);
  enum flags flags;
};
extern const struct call object_calls[], server_calls[], request_calls[];
extern const int object_call_count, server_call_count, request_call_count;
void any_calls(struct actor *a, int count);
void any_request_calls(struct actor *a, int count);

/* Books: the call is counted, its result must be among the documented ones. */
void begins(const char *name);
long long gave(const char *name, const char *documented, long long got);
#define CALL(documented, name, ...) (begins(#name), gave(#name, documented, (long long)name(__VA_ARGS__)))
#define VOID_CALL(name, ...) (begins(#name), name(__VA_ARGS__), gave(#name, "any", 0))
const char *known_name(const char *name); /* of a call's table */

/* Callbacks with random calls inside. */
void fuzz_request(void *world, evy_req *req);
void fuzz_hook(void *world, evy_req *req);
void fuzz_gone(void *world, evy_req *req);
void fuzz_piece(void *world, evy_req *req, const void *data, size_t len, evy_status st);
void fuzz_task(void *world);
void fuzz_log(void *world, int32_t level, const char *text, size_t len);
void fuzz_access(void *world, evy_req *req, const char *line, size_t len);
void keep(struct world *world, struct actor *a, evy_req *req); /* its reference goes over */

void *be_client(void *world);
void one_world(uint64_t seed, int calls);
#endif
