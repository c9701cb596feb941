// SPDX-License-Identifier: MIT
// faults.c - stands between the library and the system (LD_PRELOAD) and lets calls fail, as a test wishes.
// It replaces the system, never our code: what it returns, the kernel or the C library could return as well.
//
// EVY_FAULTS names a file of one struct board, shared with the test, which may write to it at any time.
// A fault hits calls made by libevy.so alone: those of the test's own program would only end the program.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum kind { ACCEPT, ADD, MODIFY, WAIT, RECEIVE, SEND, FILE_OUT, MEMORY, THREAD, KINDS };

struct fault {
  _Atomic int32_t error; /* errno to fail with; 0: the call goes through */
  _Atomic int32_t every; /* one call in so many, 1: each */
  _Atomic int64_t least; /* MEMORY: allocations of so many bytes, and larger ones */
  _Atomic int64_t seen;  /* calls while the fault was set */
  _Atomic int64_t hits;  /* those that failed */
};

struct board {
  struct fault faults[KINDS];
  _Atomic int64_t clock_jump; /* seconds that the time of day is ahead */
};

static struct board unset;
static struct board *board = &unset;
static uintptr_t evy_start, evy_end;

static int find_library(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size;
  (void)unused;
  if (strstr(info->dlpi_name, "libevy.so") == NULL) {
    return 0;
  }
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
      evy_start = info->dlpi_addr + part->p_vaddr;
      evy_end = evy_start + part->p_memsz;
    }
  }
  return 1;
}

__attribute__((constructor)) static void open_board(void) {
  const char *path = getenv("EVY_FAULTS");
  int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file >= 0) {
    void *shared = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    board = shared != MAP_FAILED ? shared : &unset;
    close(file);
  }
  dl_iterate_phdr(find_library, NULL);
}

/* Does this call fail? errno is set. */
static int fails(enum kind kind, const void *caller, size_t amount) {
  struct fault *fault = &board->faults[kind];
  int error = atomic_load_explicit(&fault->error, memory_order_relaxed);
  if (error == 0 || (uintptr_t)caller < evy_start || (uintptr_t)caller >= evy_end ||
      (int64_t)amount < atomic_load_explicit(&fault->least, memory_order_relaxed)) {
    return 0;
  }
  int64_t turn = atomic_fetch_add(&fault->seen, 1);
  int every = atomic_load_explicit(&fault->every, memory_order_relaxed);
  if (every > 1 && turn % every != every - 1) {
    return 0;
  }
  atomic_fetch_add(&fault->hits, 1);
  errno = error;
  return 1;
}

#define CALLER __builtin_return_address(0)
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* accept4, recvfrom and sendto are called by number. */
long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (next == NULL) {
    next = NEXT(syscall);
  }
  va_list list;
  va_start(list, number);
  long a[6];
  for (int i = 0; i < 6; i++) {
    a[i] = va_arg(list, long);
  }
  va_end(list);
  int kind = number == SYS_accept4 ? ACCEPT : number == SYS_recvfrom ? RECEIVE : SEND;
  int is_ours = number == SYS_accept4 || number == SYS_recvfrom || number == SYS_sendto;
  if (is_ours && fails((enum kind)kind, CALLER, 0)) {
    return -1;
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  return fails(SEND, CALLER, 0) ? -1 : NEXT(sendmsg)(fd, message, flags);
}

ssize_t sendfile(int fd, int file, off_t *offset, size_t count) {
  return fails(FILE_OUT, CALLER, 0) ? -1 : NEXT(sendfile)(fd, file, offset, count);
}

/* TLS reads a file to send it. */
ssize_t pread64(int file, void *room, size_t count, off64_t offset) {
  return fails(FILE_OUT, CALLER, 0) ? -1 : NEXT(pread64)(file, room, count, offset);
}

ssize_t pread(int file, void *room, size_t count, off_t offset) {
  return fails(FILE_OUT, CALLER, 0) ? -1 : NEXT(pread)(file, room, count, offset);
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event) {
  int kind = operation == EPOLL_CTL_ADD ? ADD : MODIFY;
  if (operation != EPOLL_CTL_DEL && fails((enum kind)kind, CALLER, 0)) {
    return -1;
  }
  return NEXT(epoll_ctl)(set, operation, fd, event);
}

int epoll_wait(int set, struct epoll_event *events, int most, int timeout) {
  static int (*next)(int, struct epoll_event *, int, int);
  if (next == NULL) {
    next = NEXT(epoll_wait);
  }
  return fails(WAIT, CALLER, 0) ? -1 : next(set, events, most, timeout);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*body)(void *), void *argument) {
  if (fails(THREAD, CALLER, 0)) {
    return errno;
  }
  return NEXT(pthread_create)(thread, how, body, argument);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  long result = NEXT(syscall)(SYS_clock_gettime, clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += atomic_load_explicit(&board->clock_jump, memory_order_relaxed);
  }
  return (int)result;
}

/* What OpenSSL asks for certificates and sessions. */
time_t time(time_t *place) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (place != NULL) {
    *place = now.tv_sec;
  }
  return now.tv_sec;
}

/* ---- memory: dlsym itself allocates, so the C library's own names are used ---- */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

void *malloc(size_t count) { return fails(MEMORY, CALLER, count) ? NULL : __libc_malloc(count); }

void *calloc(size_t count, size_t each) {
  return fails(MEMORY, CALLER, count * each) ? NULL : __libc_calloc(count, each);
}

void *realloc(void *old, size_t count) {
  return fails(MEMORY, CALLER, count) ? NULL : __libc_realloc(old, count);
}
