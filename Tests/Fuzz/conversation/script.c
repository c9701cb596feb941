/* SPDX-License-Identifier: MIT
 * script.c - turns the bytes of an input into what clients and the application do, one after the other. */
#include "conversation.h"
#include <string.h>

enum { EVENTS_MAX = 160, WAITS_MAX = 2 };

uint8_t script_byte(script *s) { return s->at < s->end ? *s->at++ : 0; }

size_t script_bytes(script *s, size_t wanted, const uint8_t **bytes) {
  size_t left = (size_t)(s->end - s->at);
  size_t count = wanted < left ? wanted : left;
  *bytes = s->at;
  s->at += count;
  return count;
}

static const char *const requests[] = {
  "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
  "HEAD /a%20b?q HTTP/1.1\r\nHost: h\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
  "5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nX-T: v\r\n\r\n",
  "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
  "body",
  "GET / HTTP/1.0\r\n\r\n",
  "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nHEAD /3 HTTP/1.1\r\nHost: h\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nTTTT",
  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
  "4\r\nwxyz\r\n",
  "0\r\n\r\n",
  "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: abc\r\nX_Under: 1\r\ntraceparent: 00-1-2-3\r\n"
  "Cookie: a\r\nCookie: b\r\n\r\n",
  "\r\n",
};

static void send_canned(client *c, uint8_t which, uint8_t cut) {
  const char *text = requests[which % (sizeof requests / sizeof *requests)];
  size_t count = strlen(text), first = cut % (count + 1);
  client_send(c, (const uint8_t *)text, first);
  if (cut & 0x80) evy_server_step(talk.server, 0);
  client_send(c, (const uint8_t *)text + first, count - first);
}

static request *any_open(uint8_t which) {
  for (int i = 0; i < talk.request_count; i++) {
    request *r = &talk.requests[(which + i) % talk.request_count];
    if (r->req != NULL || r->socket >= 0) return r;
  }
  return NULL;
}

static void check_counters(void) {
  int64_t n[46];
  REQUIRE(evy_server_counters(talk.server, n, 46) == 46);
  int64_t ends = 0, statuses = 0;
  for (int i = EVY_N_END_COMPLETE; i <= EVY_N_END_UPGRADED; i++) ends += n[i];
  for (int i = EVY_N_STATUS_NONE; i <= EVY_N_STATUS_5XX; i++) statuses += n[i];
  REQUIRE(ends == statuses && n[EVY_N_REQUESTS_TOTAL] == n[EVY_N_REQUESTS_ACTIVE] + ends);
  for (int i = 0; i < 46; i++) REQUIRE(n[i] >= 0);
}

static void act(script *s, client *c, uint8_t op) {
  const uint8_t *bytes;
  uint8_t argument = script_byte(s);
  request *r = any_open(argument >> 3);
  switch (op) {
  case 0: client_open(c); break;
  case 1: send_canned(c, argument, script_byte(s)); break;
  case 2: {
    size_t count = script_bytes(s, argument, &bytes);
    argument == 9 ? client_garble(c, bytes, count) : client_send(c, bytes, count);
    break;
  }
  case 3: client_read(c, argument < 200 ? argument : argument * 1000u); break;
  case 4: client_shut(c, !(argument & 1)); break;
  case 5: client_close(c, argument & 1); break;
  case 6: case 7: if (r != NULL) go_on(r, argument); break;
  case 8: if (r != NULL) finish(r, argument); break;
  case 9: for (int i = 0; i <= (argument & 7); i++) evy_server_step(talk.server, 0); break;
  case 10: check_counters(); break;
  case 11:
    evy_server_log(talk.server, 1 + (argument & 3), (const char *)s->at, (size_t)(s->end - s->at));
    break;
  case 12: evy_wake(talk.server); break;
  case 13:
    if (argument > 8) break;
    evy_server_stop(talk.server, argument & 1 ? 0 : -1);
    talk.has_stopped = true;
    break;
  default: evy_server_step(talk.server, 0); break;
  }
}

void play(script *s) {
  int waits = 0;
  client_open(&talk.clients[0]);
  for (int i = 0; i < EVENTS_MAX && s->at < s->end; i++) {
    uint8_t code = script_byte(s);
    if (code == 0xff && waits++ < WAITS_MAX) evy_server_step(talk.server, 6);
    act(s, &talk.clients[code >> 4 & (CLIENTS_MAX - 1)], code & 15);
    if (code & 0x40) evy_server_step(talk.server, 0);
  }
}
