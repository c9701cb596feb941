/* SPDX-License-Identifier: MIT
 * conversation.h - one server, its clients and its requests, as a script of the fuzzer drives them.
 * script.c reads the script, handler.c plays the application, client.c the peers (peer.c their TLS),
 * conversation.c judges. */
#ifndef EVY_FUZZ_CONVERSATION_H
#define EVY_FUZZ_CONVERSATION_H
#include "evy.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENTS_MAX = 4, REQUESTS_MAX = 1024, PIECE = 16384 };
enum { DATA_MAX = 5 << 18 }; /* more than a connection may send in a turn of the loop */

/* Stops the process with what does not hold. */
#define REQUIRE(holds) ((holds) ? (void)0 : broken(#holds, __FILE__, __LINE__))
_Noreturn void broken(const char *what, const char *file, int line);

typedef struct {
  const uint8_t *at, *end;
} script;

uint8_t script_byte(script *s); /* 0 at the end */
size_t script_bytes(script *s, size_t wanted, const uint8_t **bytes);

/* What became of a request that reached the handler. */
typedef struct {
  evy_req *req;       /* retained, else NULL */
  uint8_t plan;       /* what the handler does */
  uint8_t size;       /* of what it sends */
  bool is_head, is_streaming, is_answered, is_taken, was_refused, is_over, has_begun;
  int hooks_added, hooks_run, gone_calls, access_calls;
  int32_t status;
  int64_t promised;   /* body length, -1: not known */
  int64_t handed;     /* body bytes the library took */
  int64_t body_in;    /* body bytes the application was given */
  int64_t end, wire_out;
  int socket;         /* taken over, else -1 */
  bool was_seen, was_whole; /* by a client */
  bool has_no_body;
} request;

typedef struct {
  int fd; /* -1: not connected */
  bool is_shut, has_ended, is_lossy;
  bool is_cut;       /* what it would say now makes no sense any more */
  struct ssl_st *tls; /* NULL: clear text */
  size_t wire;       /* bytes that its socket gave */
  uint8_t *received;
  size_t count, room;
} client;

typedef struct {
  evy_config *config;
  evy_server *server;
  bool is_tcp, is_tls, is_lossy, has_taken, has_stopped;
  uint8_t plans[8];
  request requests[REQUESTS_MAX];
  int request_count;
  client clients[CLIENTS_MAX];
  client closed[64];
  int closed_count;
  int users_given, users_dropped, access_lines, log_lines;
} conversation;

extern conversation talk;

/* handler.c */
void handle(void *user, evy_req *req);
void on_access(void *user, evy_req *req, const char *line, size_t len);
void on_log(void *user, int32_t level, const char *text, size_t len);
void *new_user(void);
void drop_user(void *user);
void go_on(request *r, uint8_t how); /* the next part of an answer that is given later */
void finish(request *r, uint8_t how);
const uint8_t *body_from(const request *r, int64_t index); /* DATA_MAX bytes of its body */

/* client.c */
void client_open(client *c);
void client_send(client *c, const uint8_t *bytes, size_t count);
void client_garble(client *c, const uint8_t *bytes, size_t count);
void client_shut(client *c, bool says_so);
size_t client_read(client *c, size_t wanted);
void client_close(client *c, bool by_reset);
/* Reads what a client got as responses; returns how many final ones there are. */
int client_judge(const client *c);

/* peer.c */
void peer_open(client *c);
void peer_send(client *c, const uint8_t *bytes, size_t count);
void peer_garble(client *c, const uint8_t *bytes, size_t count);
void peer_shut(client *c, bool says_so);
size_t peer_read(client *c, uint8_t *room, size_t wanted);
void peer_close(client *c);

/* script.c */
void play(script *s);

#endif
