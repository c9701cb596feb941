// SPDX-License-Identifier: MIT
// houses.c - the servers: each kind of drive and option, replaced under load on the sockets they have.
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stress.h"

enum drive { OWN, LENT, PULL, STEPPED };
enum { GRACE = 3600000, DOOMED = HOUSES, LENT_THREADS = 3, OPTIONS = 11 };
struct style {
  enum drive drive;
  bool has_tls, has_own_port, counts_lines;
  const char *options[OPTIONS][2];
};
/* No deadline may pass on a loaded machine, or while the run is held up (kill -STOP): a late client is no
 * fault.  Idle connections are left open until their clients have asked again. */
#define COMMON                                                                           \
  {"drain_delay", "3600s"}, {"error_log", "off"}, {"idle_timeout", "3600s"},             \
      {"header_timeout", "3600s"}, {"body_timeout", "3600s"}, {"write_timeout", "3600s"}, \
      {"handshake_timeout", "3600s"}, {"body_min_rate", "0"}
static const struct style styles[HOUSES + 1] = {
    {OWN, true, false, false, {COMMON, {"threads", "6"}, {"body", "buffer"}}},
    {OWN, true, false, true, {COMMON, {"loops", "2"}, {"threads", "4"}, {"body", "stream"}}},
    {LENT, true, true, true, {COMMON, {"lent_threads", "1"}, {"body", "auto"}, {"reuse_port", "1"}}},
    {PULL, false, false, true, {COMMON, {"pull", "1"}, {"loops", "2"}, {"write_high_water", "128k"}}},
    {STEPPED, false, false, true, {COMMON, {"write_low_water", "4k"}}},
    {OWN, true, true, true, {{"error_log", "off"}, {"loops", "2"}, {"threads", "4"}}},
};

struct tenure { /* one server of a house */
  const struct style *style;
  evy_server *server;
  struct term term;
  pthread_t threads[LENT_THREADS];
  int thread_count;
};
static struct {
  int sockets[2];
  struct tenure *now;
  pthread_rwlock_t lock; /* of `now`: who looks at a server keeps it from being freed */
} houses[HOUSES + 1];
static evy_tls *tls;
static char folder[200], log_path[300];
/* Nobody would tell a server that is on its way out of new files. */
static pthread_mutex_t log_gate = PTHREAD_MUTEX_INITIALIZER;

/* ---- threads that drive ----------------------------------------------------------------- */

static void *lend(void *user) {
  struct tenure *tenure = user;
  must(evy_server_work(tenure->server) == EVY_OK, evy_server_error(tenure->server));
  return NULL;
}

static void *pull(void *user) {
  struct tenure *tenure = user;
  evy_status status;
  int32_t event;
  evy_req *req;
  while ((status = evy_server_next(tenure->server, 1000, &event, &req)) != EVY_END) {
    if (status == EVY_E_AGAIN) {
      continue;
    }
    must(status == EVY_OK, evy_server_error(tenure->server));
    if (event == EVY_EVENT_REQUEST) {
      on_request(&tenure->term, req);
    } else {
      request_done(req);
    }
    evy_req_release(req);
  }
  return NULL;
}

static void *step(void *user) {
  struct tenure *tenure = user;
  struct pollfd watched = {evy_server_fd(tenure->server), POLLIN, 0};
  evy_status status = EVY_OK;
  while (status != EVY_END) {
    int64_t wait = evy_server_deadline(tenure->server);
    poll(&watched, 1, wait < 0 || wait > 1000 ? 1000 : (int)wait);
    status = evy_server_step(tenure->server, 0);
    must(status >= 0, evy_server_error(tenure->server));
  }
  return NULL;
}

static void drive(struct tenure *tenure) {
  static void *(*const bodies[])(void *) = {NULL, lend, pull, step};
  enum drive how = tenure->style->drive;
  tenure->thread_count = how == OWN ? 0 : how == STEPPED ? 1 : LENT_THREADS;
  for (int i = 0; i < tenure->thread_count; i++) {
    must(pthread_create(&tenure->threads[i], NULL, bodies[how], tenure) == 0, "a thread");
  }
  must(how == STEPPED || evy_server_start(tenure->server) == EVY_OK, "start");
}

/* ---- tenures -------------------------------------------------------------------------------- */

static void on_access(void *user, evy_req *req, const char *line, size_t size) {
  struct term *term = user;
  (void)req;
  if (size == 0 || line[size] != 0) {
    fault("an empty access line, or one without an end");
  }
  atomic_fetch_add(&term->access_lines, 1);
}

static void tick(void *unused) {
  (void)unused;
  atomic_fetch_add(&book->ticks, 1);
}

static void listen_on(evy_config *cfg, int index, const struct style *style) {
  for (int secure = 0; secure <= style->has_tls; secure++) {
    evy_tls *with = secure ? tls : NULL;
    char address[40];
    snprintf(address, sizeof address, "127.0.0.1:%d", atomic_load(&book->port[index][secure]));
    evy_status status = style->has_own_port ? evy_config_listen(cfg, address, with)
                                            : evy_config_listen_fd(cfg, houses[index].sockets[secure], with);
    must(status == EVY_OK, evy_config_error(cfg));
  }
}

static struct tenure *open_tenure(int index) {
  const struct style *style = &styles[index];
  struct tenure *tenure = calloc(1, sizeof *tenure);
  evy_config *cfg = evy_config_new();
  tenure->style = style;
  tenure->term.is_doomed = index == DOOMED;
  tenure->term.is_pulled = style->drive == PULL;
  tenure->term.is_stepped = style->drive == STEPPED;
  for (int i = 0; i < OPTIONS && style->options[i][0] != NULL; i++) {
    must(evy_config_set(cfg, style->options[i][0], style->options[i][1]) == EVY_OK, evy_config_error(cfg));
  }
  if (style->drive != PULL) {
    evy_config_on_request(cfg, on_request, &tenure->term, NULL);
  }
  if (style->counts_lines) {
    evy_config_on_access(cfg, on_access, &tenure->term, NULL);
  } else {
    evy_config_set(cfg, "access_log", log_path);
  }
  listen_on(cfg, index, style);
  must(evy_server_new(cfg, &tenure->server) == EVY_OK, evy_config_error(cfg));
  evy_config_free(cfg);
  atomic_fetch_add(&book->tasks_due, 1);
  must(evy_timer_start(tenure->server, 1, 5, tick, NULL, count_task_drop) > 0, "a timer");
  drive(tenure);
  return tenure;
}

/* What a server promises of its counters when all is over. */
static void check_counters(struct tenure *tenure) {
  int64_t n[EVY_N_LOOP_BUSY_US + 1];
  must(evy_server_counters(tenure->server, n, EVY_N_LOOP_BUSY_US + 1) > EVY_N_LOOP_BUSY_US, "the counters");
  if (n[EVY_N_CONNECTIONS_OPEN] != 0 || n[EVY_N_REQUESTS_ACTIVE] != 0 || n[EVY_N_REQUESTS_QUEUED] != 0) {
    fault("at the end %lld connections are open, %lld requests active, %lld queued",
          (long long)n[EVY_N_CONNECTIONS_OPEN], (long long)n[EVY_N_REQUESTS_ACTIVE],
          (long long)n[EVY_N_REQUESTS_QUEUED]);
  }
  long lines = atomic_load(&tenure->term.access_lines);
  if (!tenure->style->counts_lines) {
    atomic_fetch_add(&book->file_total, n[EVY_N_REQUESTS_TOTAL]);
  } else if (lines != n[EVY_N_REQUESTS_TOTAL]) {
    fault("%ld access lines of %lld requests", lines, (long long)n[EVY_N_REQUESTS_TOTAL]);
  }
  if (!tenure->term.is_doomed) {
    atomic_fetch_add(&book->total, n[EVY_N_REQUESTS_TOTAL]);
    atomic_fetch_add(&book->malformed, n[EVY_N_REFUSED_MALFORMED]);
    atomic_fetch_add(&book->handshake_count, n[EVY_N_TLS_HANDSHAKES]);
    atomic_fetch_add(&book->accepted, n[EVY_N_CONNECTIONS_TOTAL]);
    for (int end = 0; end < ENDS; end++) {
      atomic_fetch_add(&book->counted[end], n[EVY_N_END_COMPLETE + end]);
    }
  }
}

static void close_tenure(struct tenure *tenure, long grace) {
  evy_server_stop(tenure->server, grace);
  for (int i = 0; i < tenure->thread_count; i++) {
    pthread_join(tenure->threads[i], NULL);
  }
  if (tenure->style->drive != STEPPED) {
    must(evy_server_wait(tenure->server, -1) == EVY_OK, evy_server_error(tenure->server));
  }
  check_counters(tenure);
  evy_server_free(tenure->server);
  free(tenure);
}

/* ---- houses ------------------------------------------------------------------------------------ */

static int bound_socket(bool listens, int *port) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
  socklen_t size = sizeof place;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  /* One that does not listen keeps a port for those that share it. */
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, listens ? 0 : sizeof one);
  must(bind(fd, (struct sockaddr *)&place, sizeof place) == 0, "bind");
  must(!listens || listen(fd, 1024) == 0, "listen");
  getsockname(fd, (struct sockaddr *)&place, &size);
  *port = ntohs(place.sin_port);
  return fd;
}

static void move_in(int index, struct tenure *tenure) {
  pthread_rwlock_wrlock(&houses[index].lock);
  houses[index].now = tenure;
  pthread_rwlock_unlock(&houses[index].lock);
}

void reload_certificates(void) {
  static atomic_uint turn;
  char certificate[300], key[300];
  unsigned number = atomic_fetch_add(&turn, 1) % 2;
  snprintf(certificate, sizeof certificate, "%s/%u.crt", folder, number);
  snprintf(key, sizeof key, "%s/%u.key", folder, number);
  /* The pair itself, and what the files say now: both ways to a new one. */
  must(evy_tls_cert_file(tls, "stress.example", certificate, key, NULL) == EVY_OK, evy_tls_error(tls));
  must(evy_tls_reload(tls) == EVY_OK, evy_tls_error(tls));
  atomic_fetch_add(&book->reloads, 1);
}

void open_houses(const char *where) {
  snprintf(folder, sizeof folder, "%s", where);
  snprintf(log_path, sizeof log_path, "%s/access", folder);
  tls = evy_tls_new();
  reload_certificates();
  for (int index = 0; index <= HOUSES; index++) {
    pthread_rwlock_init(&houses[index].lock, NULL);
    for (int secure = 0; secure <= styles[index].has_tls && index != DOOMED; secure++) {
      int port = 0;
      houses[index].sockets[secure] = bound_socket(!styles[index].has_own_port, &port);
      atomic_store(&book->port[index][secure], port);
    }
    move_in(index, open_tenure(index));
  }
}

void replace_house(int index) {
  bool writes = !styles[index].counts_lines;
  if (writes) {
    pthread_mutex_lock(&log_gate);
  }
  struct tenure *old = houses[index].now;
  move_in(index, open_tenure(index));
  close_tenure(old, GRACE);
  if (writes) {
    pthread_mutex_unlock(&log_gate);
  }
  atomic_fetch_add(&book->replaced, 1);
}

/* Some requests are in flight, clients connect, handshakes are half done: stopped in their midst. */
void doom_house(void) {
  static unsigned state = 88172645;
  struct tenure *old = houses[DOOMED].now;
  move_in(DOOMED, NULL);
  close_tenure(old, (long)(rnd(&state) % 2 * (rnd(&state) % 20)));
  for (int secure = 0; secure < 2; secure++) {
    atomic_store(&book->port[DOOMED][secure], 0);
  }
  struct tenure *next = open_tenure(DOOMED);
  move_in(DOOMED, next);
  for (int secure = 0; secure < 2; secure++) {
    atomic_store(&book->port[DOOMED][secure], evy_server_port(next->server, (uint32_t)secure));
  }
  atomic_fetch_add(&book->doomed, 1);
}

void close_houses(void) {
  for (int index = 0; index <= HOUSES; index++) {
    struct tenure *old = houses[index].now;
    move_in(index, NULL);
    close_tenure(old, index == DOOMED ? 0 : GRACE);
    pthread_rwlock_destroy(&houses[index].lock);
    for (int secure = 0; secure <= styles[index].has_tls && index != DOOMED; secure++) {
      close(houses[index].sockets[secure]);
    }
  }
  for (int turn = 0; turn < 3; turn++) {
    rotate_log();
  }
  evy_tls_free(tls);
}

void each_server(void (*look)(evy_server *server)) {
  for (int index = 0; index <= HOUSES; index++) {
    pthread_rwlock_rdlock(&houses[index].lock);
    if (houses[index].now != NULL) {
      look(houses[index].now->server);
    }
    pthread_rwlock_unlock(&houses[index].lock);
  }
}

static long lines_in(const char *path) {
  static char room[1 << 16];
  FILE *f = fopen(path, "r");
  long lines = 0;
  size_t count;
  while (f != NULL && (count = fread(room, 1, sizeof room, f)) > 0) {
    for (char *at = room; (at = memchr(at, '\n', (size_t)(room + count - at))) != NULL; at++) {
      lines++;
    }
  }
  if (f != NULL) {
    fclose(f);
  }
  return lines;
}

static void reopen(evy_server *server) {
  if (evy_server_reopen_logs(server) != EVY_OK) {
    fault("reopen: %s", evy_server_error(server));
  }
}

/* Lines that are on their way go to the old file still: it is read one rotation later. */
void rotate_log(void) {
  char older[300], old[300];
  if (pthread_mutex_trylock(&log_gate) != 0) {
    return;
  }
  snprintf(older, sizeof older, "%s/access.2", folder);
  snprintf(old, sizeof old, "%s/access.1", folder);
  atomic_fetch_add(&book->file_lines, lines_in(older));
  unlink(older);
  rename(old, older);
  rename(log_path, old);
  each_server(reopen);
  pthread_mutex_unlock(&log_gate);
  atomic_fetch_add(&book->reopens, 1);
}
