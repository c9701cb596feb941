// SPDX-License-Identifier: MIT
// stress.h - what the two processes of the stress program share: kinds of requests, contents, the books.
// The program knows evy only through evy.h.
#ifndef EVY_STRESS_H
#define EVY_STRESS_H
#include <evy.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

/* ---- kinds: the path of a request says what its handler does ------------------- */
enum kind {
  K_SMALL,      /* one whole answer, copied */
  K_REF,        /* one whole answer, lent */
  K_STREAM,     /* chunked, written by the handler, which waits for room; trailers */
  K_FIXED,      /* of promised length, in lent and copied pieces */
  K_SLOW,       /* a handler that blocks for some milliseconds: promotion */
  K_LATE,       /* answered later by a thread of the host */
  K_LATESTREAM, /* streamed by a thread of the host, paused and taken up again by on_writable */
  K_ECHO,       /* a body of declared length comes back */
  K_CHUNKED,    /* a chunked one */
  K_FILE,       /* part of a file */
  K_INFORM,     /* 103 ahead of the answer */
  K_HEAD,       /* HEAD: no body on the wire */
  K_POST,       /* answered by a function posted to the loop */
  K_TIMER,      /* answered by a timer */
  K_NONE,       /* no answer from the handler: 500 from the library */
  PIPELINED,    /* kinds below can be asked for in one batch; those above are a connection's last */
  K_TAKE = PIPELINED, /* the host takes the socket over, and echoes */
  K_ABORT,      /* cut by the handler */
  K_GONE,       /* the client leaves; the host is told */
  K_BAD,        /* malformed: refused, never reaches a handler */
  KINDS
};
extern const char *const kind_names[KINDS];
bool has_body(enum kind kind); /* does its request bring one? */
/* Bytes of the answer's body (of a take-over: echoed bytes) to the request with this seed. */
size_t size_of(enum kind kind, unsigned seed);
/* Where they are: any run of at most pool_longest bytes. */
const unsigned char *bytes_of(unsigned seed);
enum { pool_size = 1 << 20, pool_longest = 400000 };
extern unsigned char *pool;

/* ---- the books, in memory that both processes see -------------------------------- */
enum { HOUSES = 5, ENDS = 12 };
struct book {
  atomic_int port[HOUSES + 1][2]; /* clear text, TLS (0: none); the last house is the doomed one */
  atomic_bool over, crowd_over;   /* clients shall come to an end */
  atomic_bool rests;              /* they shall have no connections */
  atomic_int at_rest;             /* clients that have none */
  atomic_long asked[KINDS], answered[KINDS], connections, handshakes, doomed_asked, doomed_whole;
  atomic_long handled[KINDS], hooks[KINDS], drops[KINDS], ended[KINDS][ENDS];
  atomic_long doomed_handled, doomed_hooks, doomed_drops, doomed_shut;
  atomic_long notices, unserved, ticks, tasks, task_drops, tasks_due, lent_drops, lent_due;
  /* What the counters of all servers but the doomed ones add up to. */
  atomic_long total, malformed, accepted, handshake_count, counted[ENDS], file_lines, file_total;
  atomic_long replaced, reloads, reopens, snapshots, doomed, faults;
};
extern struct book *book;
/* One line on stderr; the run fails. */
void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the process: the program itself is wrong, or the machine.  The text is asked for behind the call. */
#define must(good, what) ((good) ? (void)0 : give_up(what))
void give_up(const char *what);

void prepare(void); /* the pool and the book; ahead of the fork */
unsigned rnd(unsigned *state);
void pause_ms(long ms);
long long now_ms(void);
int entries(const char *folder);
long resident_kib(void);
long sum(atomic_long *figures, int count);

/* ---- the clients' process ------------------------------------------------------------ */
int run_clients(int threads, int extra); /* the extra ones until book->crowd_over */
struct wire; /* a connection of a client: wire.c */
struct answer {
  int status;
  bool closes, is_whole; /* not whole: the connection ended ahead of it */
  size_t size, promised; /* of the body; what Content-Length says */
  const unsigned char *body;
};
struct wire *wire_new(void);
void wire_free(struct wire *wire);
bool wire_open(struct wire *wire, int port, bool is_secure, bool is_slow);
bool wire_send(struct wire *wire, const void *bytes, size_t size);
/* The next answer on the wire, those of status 1xx (but 101) passed over. */
struct answer wire_answer(struct wire *wire, bool is_head);
bool wire_read(struct wire *wire, unsigned char *room, size_t size);
bool wire_is_at_end(struct wire *wire);
const char *wire_trouble(struct wire *wire);
void wire_close(struct wire *wire, bool resets);

/* ---- the servers' process ----------------------------------------------------------- */
struct visit { /* of one request: its hook has it, and everybody who is yet to do something */
  enum kind kind;
  unsigned seed;
  bool is_doomed, is_pulled, is_stepped;
  evy_req *req;
  atomic_bool is_held; /* its answer is still owed, and the request retained for it */
  atomic_int hooks, users;
  size_t at; /* of a streamed answer */
};
/* What a server's callbacks get. */
struct term {
  atomic_long access_lines;
  bool is_doomed, is_pulled, is_stepped;
};
void on_request(void *term, evy_req *req);
void request_done(evy_req *req); /* EVY_EVENT_DONE */
void answer_late(struct visit *visit);
void answer_by_task(struct visit *visit);
void take_over(struct visit *visit);
void wait_for_departure(struct visit *visit);
struct visit *visit_keep(struct visit *visit);
void visit_let_go(void *visit);
void hold(struct visit *visit);   /* retains the request, */
void finish(struct visit *visit); /* gives that back, once, whoever comes first */
void count_task_drop(void *user);
void count_lent_drop(void *user);
extern int pattern_file;
void open_pattern_file(const char *folder);

void start_clerks(int count);
void end_clerks(void);
void hire(void (*work)(void *), void *argument); /* some clerk does it */

void open_houses(const char *folder);
void replace_house(int index);   /* a new server on its sockets, then the old one goes: nobody notices */
void doom_house(void);           /* a server that is stopped without grace */
void close_houses(void);
void each_server(void (*look)(evy_server *server));
void reload_certificates(void);
void rotate_log(void);

void start_disturbers(bool is_calm);
void end_disturbers(void);
#endif
