// SPDX-License-Identifier: MIT
// stress.c - everything at once: servers of every drive, replaced, cut, reloaded, looked at, and clients in
// a process of their own check every answer to the byte. At the end the books of both sides must agree.
//   stress FOLDER SECONDS CLIENTS            for so long
//   stress FOLDER SECONDS CLIENTS REQUESTS   until so many answers, or so long; memory must stay flat
// FOLDER holds 0.crt, 0.key, 1.crt, 1.key, and gets the logs. 0: all is well.
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

enum { growth_most_kib = 1024, CLERKS = 6 };

/* ---- the books, at the end ---------------------------------------------------------------- */

static void expect(long is, long wanted, const char *kind, const char *what) {
  if (is != wanted) {
    fault("%s: %s: %ld, not %ld", kind, what, is, wanted);
  }
}

static int end_of(enum kind kind) {
  switch (kind) {
  case K_NONE: return EVY_END_HANDLER_ERROR;
  case K_ABORT: return EVY_END_ABORTED;
  case K_TAKE: return EVY_END_UPGRADED;
  default: return EVY_END_COMPLETE;
  }
}

static void check_kind(enum kind kind) {
  const char *name = kind_names[kind];
  long handled = atomic_load(&book->handled[kind]);
  expect(atomic_load(&book->hooks[kind]), handled, name, "hooks that ran, of requests handled");
  expect(atomic_load(&book->drops[kind]), handled, name, "hooks dropped, of requests handled");
  if (kind == K_BAD) {
    expect(handled, 0, name, "malformed requests that reached a handler");
    expect(atomic_load(&book->malformed), atomic_load(&book->answered[kind]), name, "refused of answered");
  } else if (kind == K_GONE) {
    /* One that was reset may be lost with what it had sent. */
    if (handled > atomic_load(&book->asked[kind])) {
      fault("gone: more requests than were sent");
    }
    expect(atomic_load(&book->notices), handled - atomic_load(&book->unserved), name, "notices of departure");
    expect(sum(book->ended[kind], ENDS), handled, name, "ends");
  } else {
    expect(handled, atomic_load(&book->answered[kind]), name, "requests handled, of answers that came");
    expect(atomic_load(&book->ended[kind][end_of(kind)]), handled, name, evy_end_name(end_of(kind)));
  }
}

static void check_sums(void) {
  expect(atomic_load(&book->total), sum(book->handled, KINDS) + atomic_load(&book->malformed), "counters",
         "requests");
  for (int end = 0; end < ENDS; end++) {
    long hooked = end == EVY_END_PROTOCOL ? atomic_load(&book->malformed) : 0;
    for (int kind = 0; kind < KINDS; kind++) {
      hooked += atomic_load(&book->ended[kind][end]);
    }
    expect(atomic_load(&book->counted[end]), hooked, "counters", evy_end_name(end));
  }
  expect(atomic_load(&book->accepted), atomic_load(&book->connections), "counters", "connections");
  long shaken = atomic_load(&book->handshake_count), seen = atomic_load(&book->handshakes);
  if (shaken > seen || shaken < seen - atomic_load(&book->asked[K_GONE])) {
    fault("counters: %ld handshakes, of %ld", shaken, seen);
  }
  expect(atomic_load(&book->file_lines), atomic_load(&book->file_total), "log", "lines, of requests");
  expect(atomic_load(&book->task_drops), atomic_load(&book->tasks_due), "tasks", "dropped, of those given");
  expect(atomic_load(&book->lent_drops), atomic_load(&book->lent_due), "lent bytes", "given back of lent");
  long handled = atomic_load(&book->doomed_handled);
  expect(atomic_load(&book->doomed_hooks), handled, "doomed", "hooks that ran");
  expect(atomic_load(&book->doomed_drops), handled, "doomed", "hooks dropped");
}

/* That a kind was never asked for, or nothing was ever replaced, must not pass for success. */
static void check_that_it_happened(void) {
  for (int kind = 0; kind < KINDS; kind++) {
    if (atomic_load(&book->asked[kind]) == 0) {
      fault("no request for /%s", kind_names[kind]);
    }
  }
  atomic_long *needed[] = {&book->replaced,  &book->doomed,      &book->reloads,
                           &book->reopens,   &book->snapshots,
                           &book->ticks,     &book->notices,     &book->tasks,   &book->doomed_handled,
                           &book->lent_drops, &book->handshakes, &book->doomed_whole};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    if (atomic_load(needed[i]) == 0) {
      fault("number %zu of what was to happen did not", i);
    }
  }
}

static void tell(double seconds) {
  printf("%ld requests answered on %ld connections (%ld over TLS) in %.1f s; "
         "%ld of doomed servers (%ld shut)\n",
         sum(book->answered, KINDS), atomic_load(&book->connections), atomic_load(&book->handshakes), seconds,
         atomic_load(&book->doomed_whole), atomic_load(&book->doomed_shut));
  printf("%ld servers replaced, %ld cut; %ld reloads, %ld rotations, %ld snapshots, %ld tasks and %ld ticks, "
         "%ld departures\n",
         atomic_load(&book->replaced), atomic_load(&book->doomed), atomic_load(&book->reloads),
         atomic_load(&book->reopens), atomic_load(&book->snapshots), atomic_load(&book->tasks),
         atomic_load(&book->ticks), atomic_load(&book->notices));
}

/* ---- the run ------------------------------------------------------------------------------------ */

enum { RESTS = 5 };

struct memory {
  int count;
  long kib[RESTS]; /* resident at rest, after each fifth of the requests */
};

/* Resident memory while nobody asks for anything. Under load it goes with the threads there are, and those
 * with chance: they wait until all that a rush has left behind have gone. */
static long memory_at_rest(int count) {
  enum { still_ms = 12000, most_ms = 120000 }; /* an idle thread goes after ten seconds */
  long long begin = now_ms(), since = begin;
  int threads = 0;
  atomic_store(&book->rests, true);
  while (now_ms() - since < still_ms && now_ms() - begin < most_ms) {
    int found = entries("/proc/self/task");
    if (found != threads || atomic_load(&book->at_rest) < count) {
      since = now_ms();
    }
    threads = found;
    pause_ms(50);
  }
  long kib = resident_kib();
  printf("at rest: %ld KiB, %zu of them allocated, %d threads\n", kib, mallinfo2().uordblks / 1024, threads);
  if (atomic_load(&book->at_rest) < count) {
    fault("only %d of %d clients came to rest", atomic_load(&book->at_rest), count);
  }
  atomic_store(&book->rests, false);
  return kib;
}

static void tell_progress(long done, double seconds) {
  printf("%ld requests, %.0f s, %ld KiB, %zu of them allocated, %d threads\n", done, seconds, resident_kib(),
         mallinfo2().uordblks / 1024, entries("/proc/self/task"));
  fflush(stdout);
}

/* Until the time is over, or enough was answered. */
static struct memory watch(pid_t clients, int count, long seconds, long requests) {
  long long begin = now_ms();
  struct memory memory = {0};
  int told = 0;
  while (now_ms() - begin < seconds * 1000) {
    long done = sum(book->answered, KINDS);
    if (done >= requests / 10) {
      atomic_store(&book->crowd_over, true);
    }
    if (requests > 0 && done >= requests / 20 * (told + 1)) {
      tell_progress(done, (double)(now_ms() - begin) / 1000);
      told++;
    }
    if (requests > 0 && done >= requests / RESTS * (memory.count + 1)) {
      memory.kib[memory.count++] = memory_at_rest(count);
      if (memory.count == RESTS) {
        break;
      }
    }
    int status;
    must(waitpid(clients, &status, WNOHANG) == 0, "the clients have ended");
    pause_ms(50);
  }
  return memory;
}

static void end_clients(pid_t clients) {
  int status = 0;
  atomic_store(&book->crowd_over, true);
  atomic_store(&book->over, true);
  waitpid(clients, &status, 0);
  if (status != 0) {
    fault("the clients ended with status %d", status);
  }
}

/* Pools grow with the most that ever happened at once, which is left to chance: so until a tenth is over
 * there are four times as many clients, which makes them larger than they need to be later. */
static void check_memory(const struct memory *memory, long requests) {
  if (memory->count < RESTS) {
    fault("only %ld of %ld requests in the time given", sum(book->answered, KINDS), requests);
    return;
  }
  printf("resident memory at rest:");
  for (int i = 0; i < RESTS; i++) {
    printf(" %ld", memory->kib[i]);
  }
  long growth = memory->kib[RESTS - 1] - memory->kib[0];
  printf(" KiB: %+ld KiB\n", growth);
  if (growth > growth_most_kib) {
    fault("memory grew by more than %d KiB", growth_most_kib);
  }
}

/* A thread that was joined leaves /proc a moment later. */
static int threads_now(int expected) {
  int count = entries("/proc/self/task");
  for (int i = 0; i < 5000 && count > expected; i++) {
    pause_ms(1);
    count = entries("/proc/self/task");
  }
  return count;
}

static pid_t start_clients(int count, int extra) {
  pid_t parent = getpid(), clients = fork();
  must(clients >= 0, "fork");
  if (clients == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    must(getppid() == parent, "the servers' process");
    while (atomic_load(&book->port[HOUSES][0]) == 0) {
      pause_ms(1);
    }
    exit(run_clients(count, extra));
  }
  return clients;
}

int main(int argc, char **argv) {
  must(argc >= 4, "usage: stress FOLDER SECONDS CLIENTS [REQUESTS]");
  long requests = argc > 4 ? atol(argv[4]) : 0;
  signal(SIGPIPE, SIG_IGN);
  prepare();
  long long begin = now_ms();
  int count = atoi(argv[3]);
  pid_t clients = start_clients(count, requests > 0 ? 3 * count : 0);
  open_pattern_file(argv[1]);
  /* Once for nothing: a sanitizer's thread, and what is opened at first use, is no leak. */
  int threads = entries("/proc/self/task");
  open_houses(argv[1]);
  close_houses();
  threads = threads_now(threads);
  int descriptors = entries("/proc/self/fd");
  start_clerks(CLERKS);
  open_houses(argv[1]);
  start_disturbers(requests > 0);
  struct memory memory = watch(clients, count, atol(argv[2]), requests);
  end_clients(clients);
  end_disturbers();
  double seconds = (double)(now_ms() - begin) / 1000;
  close_houses();
  end_clerks();
  tell(seconds);
  if (requests > 0) {
    check_memory(&memory, requests);
  }
  for (int kind = 0; kind < KINDS; kind++) {
    check_kind((enum kind)kind);
  }
  check_sums();
  check_that_it_happened();
  expect(threads_now(threads), threads, "leak", "threads");
  expect(entries("/proc/self/fd"), descriptors, "leak", "descriptors");
  close(pattern_file);
  printf("%ld faults\n", atomic_load(&book->faults));
  return atomic_load(&book->faults) != 0;
}
