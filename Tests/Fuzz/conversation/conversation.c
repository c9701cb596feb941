/* SPDX-License-Identifier: MIT
 * conversation.c - looks for a conversation after which something is missing, or there twice. */
#include "conversation.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 64, STEPS_MAX = 3000, FREE_STEPS = 100 };

conversation talk;

_Noreturn void broken(const char *what, const char *file, int line) {
  fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
  for (int i = 0; i < talk.request_count && i < 20; i++) {
    request *r = &talk.requests[i];
    fprintf(stderr, "request %d: plan %d size %d status %d end %s", i, r->plan, r->size, r->status,
            evy_end_name((int32_t)r->end));
    fprintf(stderr, " promised %lld handed %lld wire %lld hooks %d/%d", (long long)r->promised,
            (long long)r->handed, (long long)r->wire_out, r->hooks_run, r->hooks_added);
    fprintf(stderr, "%s%s%s%s%s\n", r->is_answered ? " answered" : "", r->is_streaming ? " streaming" : "",
            r->is_taken ? " taken" : "", r->was_seen ? " seen" : "", r->was_whole ? " whole" : "");
  }
  for (int i = 0; i < CLIENTS_MAX; i++) {
    client *c = &talk.clients[i];
    int shown = c->count < 600 ? (int)c->count : 600;
    if (shown > 0) fprintf(stderr, "client %d got %zu bytes: %.*s\n", i, c->count, shown, c->received);
  }
  abort();
}

static uint64_t open_descriptors(void) {
  uint64_t found = 0;
  for (int fd = 0; fd < DESCRIPTORS; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) found |= (uint64_t)1 << fd;
  }
  return found;
}

static void set(const char *key, const char *value) {
  REQUIRE(evy_config_set(talk.config, key, value) == EVY_OK);
}

static evy_tls *certificate(void) {
  static evy_tls *tls;
  if (tls == NULL) {
    tls = evy_tls_new();
    REQUIRE(evy_tls_cert_file(tls, NULL, EVY_FUZZ_PAIR, NULL, NULL) == EVY_OK);
  }
  return tls;
}

static void configure(script *s) {
  static const char *const bodies[] = {"buffer", "stream", "auto", "stream"};
  uint8_t first = script_byte(s), second = script_byte(s);
  talk.config = evy_config_new();
  REQUIRE(talk.config != NULL);
  talk.is_tcp = (first & 0xc0) == 0xc0;
  talk.is_tls = (first & 0xc0) == 0x80;
  set("body", bodies[first & 3]);
  if (first & 4) set("write_high_water", "4k"), set("write_low_water", "1k");
  if (first & 8) set("max_body_size", "100");
  if (first & 16) set("max_requests_per_connection", "2");
  if (first & 32) set("request_id_header", "X-Request-ID");
  set("linger_timeout", second & 1 ? "0s" : "50ms");
  if (second & 2) set("keep_alive", "false");
  if (second & 4) set("underscore_headers", "allow");
  if (second & 8) set("max_connections", "2");
  if (second & 16) {
    set("header_timeout", "4ms"), set("idle_timeout", "4ms");
    set("body_timeout", "4ms"), set("write_timeout", "4ms");
  }
  if (second & 32) set("access_log_format", "combined");
  if (second & 64) set("max_header_size", "256");
  if (second & 128) set("drain_delay", "3ms");
  set("log_level", "debug");
  for (int i = 0; i < 8; i++) talk.plans[i] = script_byte(s);
  char name[64];
  sprintf(name, "unix:@evy-fuzz-%d", (int)getpid());
  evy_tls *tls = talk.is_tls ? certificate() : NULL;
  REQUIRE(evy_config_listen(talk.config, talk.is_tcp ? "127.0.0.1:0" : name, tls) == EVY_OK);
  REQUIRE(evy_config_on_request(talk.config, handle, new_user(), drop_user) == EVY_OK);
  REQUIRE(evy_config_on_access(talk.config, on_access, new_user(), drop_user) == EVY_OK);
  REQUIRE(evy_config_on_log(talk.config, on_log, new_user(), drop_user) == EVY_OK);
}

/* Every request is answered, every client reads until nothing comes any more: then all must end. */
static void settle(uint8_t how) {
  for (int i = 0; i < talk.request_count; i++) finish(&talk.requests[i], how);
  bool is_done = false;
  for (int step = 0; step < STEPS_MAX && !is_done; step++) {
    evy_server_step(talk.server, step < FREE_STEPS ? 0 : 1);
    for (int i = 0; i < talk.request_count; i++) finish(&talk.requests[i], how);
    is_done = true;
    for (int i = 0; i < CLIENTS_MAX; i++) {
      client *c = &talk.clients[i];
      if (c->fd < 0) continue;
      if (!c->is_shut) client_shut(c, true);
      client_read(c, SIZE_MAX);
      is_done = is_done && c->has_ended;
    }
  }
  REQUIRE(is_done); /* a connection that never ends */
}

static void stop(void) {
  REQUIRE(evy_server_stop(talk.server, 0) == EVY_OK);
  int steps = 0;
  while (evy_server_step(talk.server, steps < FREE_STEPS ? 0 : 1) != EVY_END) REQUIRE(++steps < STEPS_MAX);
}

static int judge_clients(void) {
  int responses = 0;
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (talk.clients[i].fd >= 0) responses += client_judge(&talk.clients[i]);
  }
  for (int i = 0; i < talk.closed_count; i++) responses += client_judge(&talk.closed[i]);
  return responses;
}

static uint64_t received(void) {
  uint64_t total = 0;
  for (int i = 0; i < CLIENTS_MAX; i++) total += talk.clients[i].fd >= 0 ? talk.clients[i].wire : 0;
  for (int i = 0; i < talk.closed_count; i++) total += talk.closed[i].wire;
  return total;
}

/* The answer arrived; or that and the body it was to be did not. */
static bool is_whole_end(int64_t end) {
  return end == EVY_END_COMPLETE || end == EVY_END_CLIENT_CLOSED || end == EVY_END_READ_TIMEOUT
         || end == EVY_END_LIMIT || end == EVY_END_PROTOCOL;
}

/* After the end of the server. */
static void judge(bool is_settled) {
  int64_t n[46];
  evy_server_counters(talk.server, n, 46);
  int64_t ends = 0, statuses = 0;
  for (int i = EVY_N_END_COMPLETE; i <= EVY_N_END_UPGRADED; i++) ends += n[i];
  for (int i = EVY_N_STATUS_NONE; i <= EVY_N_STATUS_5XX; i++) statuses += n[i];
  REQUIRE(n[EVY_N_REQUESTS_ACTIVE] == 0 && n[EVY_N_CONNECTIONS_OPEN] == 0);
  REQUIRE(n[EVY_N_REQUESTS_TOTAL] == ends && statuses == ends && talk.access_lines == ends);
  REQUIRE(talk.request_count <= n[EVY_N_REQUESTS_TOTAL]);
  int responses = judge_clients();
  REQUIRE(responses <= n[EVY_N_REQUESTS_TOTAL]);
  for (int i = 0; i < talk.request_count; i++) {
    request *r = &talk.requests[i];
    REQUIRE(r->is_over && r->access_calls == 1 && r->hooks_run == r->hooks_added);
    if (!is_settled || talk.is_lossy || r->is_taken) continue;
    if (r->end == EVY_END_COMPLETE && r->is_answered) REQUIRE(r->was_seen && r->was_whole);
    /* Its client had it whole before the application had said its last word. */
    if (r->is_streaming && r->has_no_body) continue;
    if (r->was_whole && r->is_answered) REQUIRE(is_whole_end(r->end));
  }
  if (is_settled && !talk.is_lossy && !talk.has_taken) REQUIRE(received() == (uint64_t)n[EVY_N_BYTES_OUT]);
}

static void clear(void) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (talk.clients[i].fd >= 0) close(talk.clients[i].fd);
    if (talk.clients[i].tls != NULL) peer_close(&talk.clients[i]);
    free(talk.clients[i].received);
  }
  for (int i = 0; i < talk.closed_count; i++) free(talk.closed[i].received);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t count) {
  script s = {input, input + count};
  uint64_t before = open_descriptors();
  memset(&talk, 0, offsetof(conversation, requests));
  talk.request_count = talk.closed_count = 0;
  talk.users_given = talk.users_dropped = talk.access_lines = talk.log_lines = 0;
  memset(talk.clients, 0, sizeof talk.clients);
  for (int i = 0; i < CLIENTS_MAX; i++) talk.clients[i].fd = -1;
  uint8_t how = script_byte(&s);
  configure(&s);
  REQUIRE(evy_server_new(talk.config, &talk.server) == EVY_OK);
  evy_config_free(talk.config);
  REQUIRE(evy_server_fd(talk.server) >= 0);
  play(&s);
  bool is_settled = (how & 0xc0) != 0xc0;
  if (is_settled) settle(how);
  stop();
  for (int i = 0; i < talk.request_count; i++) finish(&talk.requests[i], 3);
  judge(is_settled);
  evy_server_free(talk.server);
  clear();
  REQUIRE(talk.users_given == talk.users_dropped);
  REQUIRE(open_descriptors() == before);
  return 0;
}
