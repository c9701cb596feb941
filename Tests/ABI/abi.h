// SPDX-License-Identifier: MIT
// abi.h - what the tests of the C boundary share: checks, a plain client, what the process holds.
#ifndef EVY_TEST_ABI_H
#define EVY_TEST_ABI_H
#include <evy.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Counted, never fatal: the last line of the program tells how many failed. */
bool check(bool good, const char *what, ...) __attribute__((format(printf, 2, 3)));
extern atomic_int checks, failed;

/* A row's expectation is "OK", "STATE|GONE", "0", "1|2", or "any"; the names are those of EVY_*. */
bool fits(const char *wanted, long long got);
/* EVY_OK ... or the number. Static or thread-local text. */
const char *shown(long long got);

/* Every drop function handed over is owed one call, whatever became of it; by what it was handed over to. */
#define DROP_KINDS(X)                                                                                  \
  X(on_request) X(on_log) X(on_access) X(on_data) X(on_writable) X(on_gone) X(posthook) X(posted)      \
  X(timer) X(lent)
#define DROP_KIND(name) dropped_##name,
enum drop_kind { DROP_KINDS(DROP_KIND) dropped_kinds };
evy_drop_fn drop_due(enum drop_kind kind);
#define DROP(kind) drop_due(dropped_##kind)
/* All that were due have come, or come while we wait. */
void check_drops(void);

double seconds_now(void);
double patience(void); /* seconds, stretched by EVY_TIME_FACTOR */
/* Looks again and again until the condition holds or the patience ends. */
#define WAIT_UNTIL(condition)                                                                          \
  ({                                                                                                   \
    double until_ = seconds_now() + patience();                                                        \
    while (!(condition) && seconds_now() < until_) {                                                   \
      pause_ms(1);                                                                                     \
    }                                                                                                  \
    (condition);                                                                                       \
  })
void pause_ms(int ms);

int dial(int port);                              /* a connected socket with a receive timeout, or -1 */
int dial_within(int port, int ms); /* the same, where perhaps nobody accepts */
bool say(int fd, const char *text, size_t len);  /* len or EVY_NUL */
size_t hear(int fd, char *answer, size_t room);  /* to the end of the connection; NUL-terminated */
void hang_up(int fd, bool reset);
int fetch(int port, const char *path);           /* the status of one GET, 0: none */

int descriptors(void);
int threads(void);

/* Files of the test in one folder, made on the way: a certificate with its key, and a text. */
extern const char *cert_file, *key_file, *plain_file;
char *contents(const char *path, size_t *len);
#endif
