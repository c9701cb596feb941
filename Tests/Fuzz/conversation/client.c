/* SPDX-License-Identifier: MIT
 * client.c - the peers: their sockets, and what they make of the bytes they got. */
#include "conversation.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void client_open(client *c) {
  if (c->fd >= 0) return;
  memset(c, 0, sizeof *c);
  int family = talk.is_tcp ? AF_INET : AF_UNIX;
  c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  REQUIRE(c->fd >= 0);
  int result;
  if (talk.is_tcp) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)evy_server_port(talk.server, 0));
    result = connect(c->fd, (struct sockaddr *)&to, sizeof to);
  } else {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *name = evy_server_address(talk.server, 0) + strlen("unix:@");
    size_t count = strlen(name);
    memcpy(to.sun_path + 1, name, count);
    size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + count;
    result = connect(c->fd, (struct sockaddr *)&to, (socklen_t)size);
  }
  if (result == 0 || errno == EINPROGRESS) {
    if (talk.is_tls) peer_open(c);
    return;
  }
  close(c->fd); /* after a stop nobody listens */
  c->fd = -1;
}

void client_send(client *c, const uint8_t *bytes, size_t count) {
  if (c->fd < 0 || c->is_shut || count == 0) return;
  if (c->tls != NULL) return peer_send(c, bytes, count);
  /* What does not fit is lost: then a request is cut, which is as good as any other. Who sends on to a
   * server that has closed, and does not linger, is reset: then bytes on their way are lost as well. */
  bool is_sent = send(c->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  if (!is_sent && errno != EAGAIN) c->is_lossy = talk.is_lossy = true;
}

void client_garble(client *c, const uint8_t *bytes, size_t count) {
  if (c->fd >= 0 && !c->is_shut && count > 0 && c->tls != NULL) peer_garble(c, bytes, count);
}

void client_shut(client *c, bool says_so) {
  if (c->tls != NULL && !c->is_shut) peer_shut(c, says_so);
  if (c->fd >= 0) shutdown(c->fd, SHUT_WR);
  c->is_shut = true;
}

/* As recv does; 0 under TLS: nothing now, or never again. */
static ssize_t receive(client *c, uint8_t *room, size_t wanted) {
  if (c->tls != NULL) return (ssize_t)peer_read(c, room, wanted);
  ssize_t got = recv(c->fd, room, wanted, MSG_DONTWAIT);
  if (got > 0) c->wire += (size_t)got;
  if (got < 0 && errno == EAGAIN) return 0;
  if (got < 0) c->is_lossy = talk.is_lossy = true;
  if (got <= 0) c->has_ended = true;
  return got;
}

size_t client_read(client *c, size_t wanted) {
  size_t total = 0;
  while (c->fd >= 0 && !c->has_ended && total < wanted) {
    size_t room = wanted - total < 65536 ? wanted - total : 65536;
    if (c->count + room > c->room) {
      c->room = 2 * (c->count + room);
      c->received = realloc(c->received, c->room);
      REQUIRE(c->received != NULL);
    }
    ssize_t got = receive(c, c->received + c->count, room);
    if (got <= 0) break;
    c->count += (size_t)got;
    total += (size_t)got;
  }
  return total;
}

void client_close(client *c, bool by_reset) {
  if (c->fd < 0) return;
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (by_reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (!c->has_ended) c->is_lossy = talk.is_lossy = true;
  close(c->fd);
  if (c->tls != NULL) peer_close(c);
  c->fd = -1;
  if (talk.closed_count < 64) {
    talk.closed[talk.closed_count++] = *c;
  } else {
    free(c->received);
    talk.is_lossy = true;
  }
  memset(c, 0, sizeof *c);
  c->fd = -1;
}

/* ---- reading responses: RFC 9112 as a client has to follow it ---- */

typedef struct {
  const uint8_t *at;
  size_t left;
} bytes;

typedef struct {
  int status;
  bool is_chunked, closes;
  int64_t length; /* -1: none */
  request *of;    /* by X-Id; NULL: the library's own */
} head;

static bool starts(bytes b, const char *text) {
  size_t count = strlen(text);
  return b.left >= count && memcmp(b.at, text, count) == 0;
}

static bool same_name(bytes line, const char *name) {
  size_t count = strlen(name);
  return line.left > count && line.at[count] == ':' && strncasecmp((const char *)line.at, name, count) == 0;
}

/* A line without its end; false: its end has not come. */
static bool take_line(bytes *b, bytes *line) {
  size_t count = 0;
  while (count < b->left && (b->at[count] == 9 || (b->at[count] >= 0x20 && b->at[count] != 0x7f))) count++;
  if (count + 1 >= b->left) {
    REQUIRE(count == b->left || b->at[count] == '\r');
    return false;
  }
  REQUIRE(b->at[count] == '\r' && b->at[count + 1] == '\n');
  *line = (bytes){b->at, count};
  b->at += count + 2;
  b->left -= count + 2;
  return true;
}

static int64_t decimal(bytes line, size_t from) {
  int64_t value = 0;
  REQUIRE(from < line.left);
  for (size_t i = from; i < line.left; i++) {
    REQUIRE(line.at[i] >= '0' && line.at[i] <= '9' && value < INT64_MAX / 10 - 9);
    value = value * 10 + (line.at[i] - '0');
  }
  return value;
}

static void take_field(bytes line, head *h) {
  if (same_name(line, "Content-Length")) {
    REQUIRE(h->length < 0 && !h->is_chunked);
    h->length = decimal(line, strlen("Content-Length: "));
  } else if (same_name(line, "Transfer-Encoding")) {
    REQUIRE(h->length < 0 && !h->is_chunked && line.left == strlen("Transfer-Encoding: chunked"));
    h->is_chunked = true;
  } else if (same_name(line, "Connection")) {
    h->closes = line.left == strlen("Connection: close");
  } else if (same_name(line, "X-Id")) {
    int64_t id = decimal(line, strlen("X-Id: "));
    REQUIRE(id < talk.request_count && h->of == NULL);
    h->of = &talk.requests[id];
  } else {
    REQUIRE(memchr(line.at, ':', line.left) != NULL && !same_name(line, "Evil"));
  }
}

static bool take_head(bytes *b, head *h) {
  bytes line;
  *h = (head){.length = -1};
  if (!take_line(b, &line)) return false;
  REQUIRE(starts(line, "HTTP/1.1 ") && line.left >= 13 && line.at[12] == ' ');
  h->status = (int)decimal((bytes){line.at + 9, 3}, 0);
  while (take_line(b, &line)) {
    if (line.left == 0) return true;
    take_field(line, h);
  }
  return false;
}

/* So many bytes of a body, as the application made them; false: not all have come. */
static bool take_body(bytes *b, const head *h, int64_t *index, uint64_t count) {
  uint64_t here = count < b->left ? count : b->left;
  for (uint64_t i = 0; i < here && h->of != NULL; i += DATA_MAX) {
    size_t part = here - i < DATA_MAX ? here - i : DATA_MAX;
    REQUIRE(memcmp(b->at + i, body_from(h->of, *index + (int64_t)i), part) == 0);
  }
  *index += (int64_t)here;
  b->at += here;
  b->left -= here;
  return here == count;
}

static uint64_t hex_digit(uint8_t byte) {
  REQUIRE((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f'));
  return byte <= '9' ? byte - '0' : byte - 'a' + 10;
}

static bool take_chunks(bytes *b, const head *h, int64_t *index) {
  bytes line;
  while (take_line(b, &line)) {
    uint64_t size = 0;
    REQUIRE(line.left > 0 && line.left <= 8);
    for (size_t i = 0; i < line.left; i++) size = size * 16 + hex_digit(line.at[i]);
    if (size == 0) {
      while (take_line(b, &line)) {
        if (line.left == 0) return true;
        REQUIRE(memchr(line.at, ':', line.left) != NULL);
      }
      return false;
    }
    if (!take_body(b, h, index, size) || !take_line(b, &line)) return false;
    REQUIRE(line.left == 0);
  }
  return false;
}

static bool has_no_body(const head *h, bytes rest) {
  if (h->status == 204 || h->status == 304 || h->status == 205) return true;
  if (h->of != NULL) return h->of->is_head;
  /* The library's own words never begin so: the request was HEAD. */
  return starts(rest, "HTTP/1.") || rest.left == 0;
}

/* false: the response is cut. */
static bool take_response(const client *c, bytes *b, head *h) {
  int64_t index = 0;
  bool is_whole;
  bool is_bare = has_no_body(h, *b);
  if (is_bare) {
    is_whole = true;
  } else if (h->is_chunked) {
    is_whole = take_chunks(b, h, &index);
  } else if (h->length >= 0) {
    is_whole = take_body(b, h, &index, (uint64_t)h->length);
  } else {
    take_body(b, h, &index, b->left);
    /* Only a reset tells of a cut here, which unix sockets do not know. */
    bool can_tell = talk.is_tcp || h->of == NULL || h->of->end == EVY_END_COMPLETE;
    is_whole = c->has_ended && !c->is_lossy && can_tell;
  }
  request *r = h->of;
  if (r == NULL) return is_whole;
  REQUIRE(!r->was_seen && r->status == h->status && index <= r->handed);
  r->was_seen = true;
  r->was_whole = is_whole;
  r->has_no_body = is_bare;
  bool has_all = is_whole && r->end == EVY_END_COMPLETE;
  if (has_all && !r->is_head && !is_bare) REQUIRE(index == r->handed);
  return is_whole;
}

int client_judge(const client *c) {
  bytes b = {c->received, c->count};
  request *last = NULL;
  bool is_over = false;
  int responses = 0;
  while (b.left > 0) {
    head h;
    REQUIRE(!is_over); /* bytes behind an answer that ends the connection */
    if (!take_head(&b, &h)) break;
    if (h.of != NULL) {
      REQUIRE(last == NULL || last < h.of); /* in the order of the requests */
      last = h.of;
    }
    if (h.status == 101) {
      REQUIRE(h.of != NULL && h.of->is_taken);
      for (size_t i = 0; i < b.left; i++) REQUIRE(b.at[i] == 'T');
      return responses;
    }
    if (h.status < 200) {
      REQUIRE(h.of == NULL && !h.is_chunked && h.length < 0);
      continue;
    }
    responses++;
    if (!take_response(c, &b, &h)) break;
    is_over = h.closes;
  }
  return responses;
}
