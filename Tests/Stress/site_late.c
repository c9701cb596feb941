// SPDX-License-Identifier: MIT
// site_late.c - answers that come later, from threads of the host (the clerks), posted functions and timers.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

/* ---- clerks ---------------------------------------------------------------------------- */

struct job {
  void (*work)(void *);
  void *argument;
  struct job *next;
};
static struct job *first, **last = &first;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static pthread_t clerks[64];
static int clerk_count;
static bool is_closed;

void hire(void (*work)(void *), void *argument) {
  struct job *job = malloc(sizeof *job);
  *job = (struct job){work, argument, NULL};
  pthread_mutex_lock(&gate);
  *last = job;
  last = &job->next;
  pthread_mutex_unlock(&gate);
  pthread_cond_signal(&filled);
}

static void *be_clerk(void *unused) {
  (void)unused;
  pthread_mutex_lock(&gate);
  while (true) {
    struct job *job = first;
    if (job == NULL && is_closed) {
      break;
    }
    if (job == NULL) {
      /* Never for ever: the C library may lose a wake-up (glibc bug 25847, before 2.41). */
      struct timespec limit;
      clock_gettime(CLOCK_REALTIME, &limit);
      limit.tv_sec += 1;
      pthread_cond_timedwait(&filled, &gate, &limit);
      continue;
    }
    first = job->next;
    if (first == NULL) {
      last = &first;
    }
    pthread_mutex_unlock(&gate);
    job->work(job->argument);
    free(job);
    pthread_mutex_lock(&gate);
  }
  pthread_mutex_unlock(&gate);
  return NULL;
}

void start_clerks(int count) {
  for (clerk_count = 0; clerk_count < count; clerk_count++) {
    must(pthread_create(&clerks[clerk_count], NULL, be_clerk, NULL) == 0, "a clerk");
  }
}

void end_clerks(void) {
  pthread_mutex_lock(&gate);
  is_closed = true;
  pthread_mutex_unlock(&gate);
  pthread_cond_broadcast(&filled);
  for (int i = 0; i < clerk_count; i++) {
    pthread_join(clerks[i], NULL);
  }
}

/* A clerk has the visit and the request for as long as he works. */
static void hire_for(struct visit *visit, void (*work)(void *)) {
  evy_req_retain(visit->req);
  hire(work, visit_keep(visit));
}

static void part(struct visit *visit) {
  evy_req_release(visit->req);
  visit_let_go(visit);
}

/* ---- deferred answers --------------------------------------------------------------------- */

static void respond_late(void *user) {
  struct visit *visit = user;
  if (visit->seed % 8 == 0) {
    pause_ms(1);
  }
  evy_respond(visit->req, 200, NULL, NULL, 0, bytes_of(visit->seed), size_of(visit->kind, visit->seed));
  part(visit);
}

/* Until there is no room, or no more to say. Whoever is called next goes on at visit->at. */
static void write_on(struct visit *visit) {
  enum { piece = 11000 };
  size_t size = size_of(visit->kind, visit->seed);
  while (visit->at < size) {
    size_t from = visit->at, count = size - from < piece ? size - from : piece;
    visit->at += count;
    evy_status status = evy_resp_write(visit->req, bytes_of(visit->seed) + from, count, 0);
    if (status == EVY_FULL) {
      return;
    }
    if (status < 0) {
      return finish(visit);
    }
  }
  evy_resp_end(visit->req, NULL, 0);
  finish(visit);
}

static void writable(void *user, evy_req *req) {
  (void)req;
  write_on(user);
}

static void stream_late(void *user) {
  struct visit *visit = user;
  evy_status status = evy_resp_begin(visit->req, 200, NULL, NULL, 0, -1);
  if (status == EVY_OK) {
    status = evy_resp_on_writable(visit->req, writable, visit_keep(visit), visit_let_go);
  }
  if (status == EVY_OK) {
    write_on(visit);
  } else {
    finish(visit);
  }
  part(visit);
}

void answer_late(struct visit *visit) {
  if (visit->kind == K_LATESTREAM) {
    hold(visit);
    hire_for(visit, stream_late);
  } else {
    hire_for(visit, respond_late);
  }
}

/* ---- posted functions and timers ------------------------------------------------------------ */

static void respond_in_task(void *user) {
  struct visit *visit = user;
  atomic_fetch_add(&book->tasks, 1);
  evy_respond(visit->req, 200, NULL, NULL, 0, bytes_of(visit->seed), size_of(visit->kind, visit->seed));
  finish(visit);
}

void count_task_drop(void *user) {
  atomic_fetch_add(&book->task_drops, 1);
  if (user != NULL) {
    visit_let_go(user);
  }
}

/* Of a task that answers: the request may be over, and was kept for it. */
static void count_answer_drop(void *user) {
  evy_req_release(((struct visit *)user)->req);
  count_task_drop(user);
}

void answer_by_task(struct visit *visit) {
  evy_server *server = evy_req_server(visit->req);
  evy_req *req = visit->req;
  hold(visit);
  evy_req_retain(req);
  visit_keep(visit);
  atomic_fetch_add(&book->tasks_due, 1);
  int64_t status =
      visit->kind == K_POST
          ? evy_loop_post(server, req, respond_in_task, visit, count_answer_drop)
          : evy_timer_start(server, visit->seed % 4, 0, respond_in_task, visit, count_answer_drop);
  /* From here on the visit may be over. */
  if (status < 0) {
    fault("a task was refused: %s", evy_strname((evy_status)status));
  }
}

/* ---- clients that leave ------------------------------------------------------------------------ */

static void respond_to_nobody(void *user) {
  struct visit *visit = user;
  evy_status status = evy_respond(visit->req, 200, NULL, NULL, 0, "late", 4);
  /* One that has shut its sending side alone would get it. */
  if (status != EVY_E_GONE && status != EVY_E_STATE && status != EVY_OK) {
    fault("an answer to a client that left gave %s", evy_strname(status));
  }
  finish(visit);
  part(visit);
}

static void note_departure(void *user, evy_req *req) {
  struct visit *visit = user;
  (void)req;
  atomic_fetch_add(&book->notices, !visit->is_doomed);
  hire_for(user, respond_to_nobody);
}

void wait_for_departure(struct visit *visit) {
  visit_keep(visit);
  hold(visit);
  evy_status status = evy_req_on_gone(visit->req, note_departure, visit_keep(visit), visit_let_go);
  if (status == EVY_E_GONE) {
    atomic_fetch_add(&book->notices, !visit->is_doomed);
    hire_for(visit, respond_to_nobody);
  } else if (status != EVY_OK) {
    fault("no notice of departure: %s", evy_strname(status));
    finish(visit);
  }
  visit_let_go(visit);
}

/* ---- sockets taken over --------------------------------------------------------------------------- */

struct talk {
  int fd;
  bool is_doomed;
};

static bool send_all(int fd, const unsigned char *bytes, size_t size) {
  while (size > 0) {
    ssize_t count = send(fd, bytes, size, MSG_NOSIGNAL);
    if (count <= 0) {
      return false;
    }
    bytes += count;
    size -= (size_t)count;
  }
  return true;
}

/* Echoes until the client has said all. */
static void talk(void *user) {
  static const char head[] =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";
  struct talk *talk = user;
  unsigned char room[4096];
  bool is_good = send_all(talk->fd, (const unsigned char *)head, sizeof head - 1);
  ssize_t count = 0;
  while (is_good && (count = recv(talk->fd, room, sizeof room, 0)) > 0) {
    is_good = send_all(talk->fd, room, (size_t)count);
  }
  if ((!is_good || count < 0) && !talk->is_doomed) {
    fault("a socket taken over broke: %s", strerror(errno));
  }
  close(talk->fd);
  free(talk);
}

void take_over(struct visit *visit) {
  int fd = -1;
  /* Once the socket is taken the request may end, and the visit with it. */
  bool is_doomed = visit->is_doomed;
  evy_status status = evy_req_take_socket(visit->req, &fd);
  if (status != EVY_OK) {
    if (status != EVY_E_GONE || !is_doomed) {
      fault("a socket could not be taken: %s", evy_strname(status));
    }
    return;
  }
  struct talk *talk_ = malloc(sizeof *talk_);
  *talk_ = (struct talk){fd, is_doomed};
  hire(talk, talk_);
}
