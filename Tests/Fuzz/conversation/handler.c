/* SPDX-License-Identifier: MIT
 * handler.c - the application: answers in every way that evy.h has, now or later. */
#define _GNU_SOURCE
#include "conversation.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* 26 bytes longer than the longest piece: every piece is a part of it. */
const uint8_t *body_from(const request *r, int64_t index) {
  static uint8_t bytes[DATA_MAX + 26];
  if (bytes[0] == 0) {
    for (int i = 0; i < DATA_MAX + 26; i++) bytes[i] = (uint8_t)('a' + i % 26);
  }
  return bytes + ((r - talk.requests) + index) % 26;
}

/* A user that must be dropped exactly once. */
void *new_user(void) {
  talk.users_given++;
  int *user = malloc(sizeof *user);
  REQUIRE(user != NULL);
  *user = 1;
  return user;
}

void drop_user(void *user) {
  REQUIRE(*(int *)user == 1);
  *(int *)user = 0;
  talk.users_dropped++;
  free(user);
}

void on_log(void *user, int32_t level, const char *text, size_t len) {
  (void)user;
  REQUIRE(level >= EVY_LOG_ERROR && level <= EVY_LOG_DEBUG && text[len] == 0);
  for (size_t i = 0; i < len; i++) REQUIRE(((uint8_t)text[i] >= 0x20 || text[i] == 9) && text[i] != 0x7f);
  talk.log_lines++;
}

void on_access(void *user, evy_req *req, const char *line, size_t len) {
  (void)user;
  REQUIRE(line[len] == 0 && len > 0);
  for (size_t i = 0; i < len; i++) REQUIRE((uint8_t)line[i] >= 0x20 && (uint8_t)line[i] < 0x7f);
  talk.access_lines++;
  request *r = req == NULL ? NULL : evy_req_user(req);
  if (r == NULL) return;
  REQUIRE(r->hooks_run == r->hooks_added);
  REQUIRE(++r->access_calls == 1);
  r->is_over = true;
  r->end = evy_req_stat(req, EVY_STAT_END);
  r->wire_out = evy_req_stat(req, EVY_STAT_WIRE_OUT);
}

static void check_figures(const request *r, evy_req *req) {
  int64_t n[14];
  for (int i = 0; i < 14; i++) n[i] = evy_req_stat(req, i);
  REQUIRE(n[EVY_STAT_END] >= EVY_END_COMPLETE && n[EVY_STAT_END] <= EVY_END_UPGRADED);
  if (!r->is_taken) REQUIRE(n[EVY_STAT_HEAD_OUT] + n[EVY_STAT_BODY_OUT] == n[EVY_STAT_WIRE_OUT]);
  REQUIRE(n[EVY_STAT_BODY_IN] <= n[EVY_STAT_WIRE_IN] && n[EVY_STAT_BODY_IN] >= r->body_in);
  REQUIRE(n[EVY_STAT_ACKED] <= n[EVY_STAT_WIRE_OUT] || r->is_taken);
  REQUIRE(n[EVY_STAT_REQUESTS] >= 1 && evy_end_name((int32_t)n[EVY_STAT_END])[0] != '?');
  if (n[EVY_STAT_END] == EVY_END_COMPLETE && r->is_answered && !r->is_head && r->promised >= 0) {
    REQUIRE(n[EVY_STAT_BODY_OUT] == r->promised || n[EVY_STAT_BODY_OUT] == 0);
  }
  REQUIRE((n[EVY_STAT_END] == EVY_END_UPGRADED) == r->is_taken);
}

static void on_done(void *user, evy_req *req) {
  REQUIRE(*(int *)user == 1);
  request *r = evy_req_user(req);
  REQUIRE(r != NULL && !r->is_over && ++r->hooks_run <= r->hooks_added);
  check_figures(r, req);
  if (r->hooks_run == 1 && r->size & 1) {
    if (evy_posthook_add(req, on_done, new_user(), drop_user) == EVY_OK) r->hooks_added++;
  }
}

static void on_gone(void *user, evy_req *req) {
  REQUIRE(*(int *)user == 1);
  request *r = evy_req_user(req);
  REQUIRE(++r->gone_calls == 1 && evy_req_gone(req) == 1);
}

static void on_room(void *user, evy_req *req) {
  REQUIRE(*(int *)user == 1);
  request *r = evy_req_user(req);
  REQUIRE(!r->is_over && !r->is_answered);
}

/* ---- environ: what the request says, read in every way there is ---- */

static int hex(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  byte |= 0x20;
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static void check_path(evy_req *req) {
  size_t raw_count, count, at = 0;
  const uint8_t *raw = (const uint8_t *)evy_env_get(req, "RAW_PATH_INFO", &raw_count);
  const uint8_t *path = (const uint8_t *)evy_env_get(req, "PATH_INFO", &count);
  REQUIRE(raw != NULL && path != NULL && path[count] == 0);
  for (size_t i = 0; i < raw_count; at++) {
    uint8_t byte = raw[i];
    bool is_coded = byte == '%' && i + 2 < raw_count && hex(raw[i + 1]) >= 0 && hex(raw[i + 2]) >= 0;
    if (is_coded) byte = (uint8_t)(hex(raw[i + 1]) * 16 + hex(raw[i + 2]));
    i += is_coded ? 3 : 1;
    REQUIRE(at < count && path[at] == byte);
  }
  REQUIRE(at == count);
}

static void check_environ(evy_req *req) {
  size_t len, block_len;
  const char *block = evy_env_block(req, &block_len);
  REQUIRE(block != NULL);
  const char *at = block;
  for (uint32_t i = 0; i < evy_env_count(req); i++) {
    const char *name, *value = evy_env_at(req, i, &name, &len);
    REQUIRE(value != NULL && strlen(value) == len && name[0] != 0);
    const char *same = evy_env_get(req, name, NULL);
    REQUIRE(same != NULL && strcmp(same, value) == 0);
    REQUIRE(strcmp(at, name) == 0 && strcmp(at + strlen(at) + 1, value) == 0);
    at += strlen(at) + 1;
    at += strlen(at) + 1;
    bool is_decoded = strcmp(name, "PATH_INFO") == 0;
    for (size_t k = 0; k < len && !is_decoded; k++) REQUIRE(value[k] != '\r' && value[k] != '\n');
  }
  REQUIRE(at == block + block_len);
  check_path(req);
  const char *fields = evy_req_headers(req, &len);
  for (size_t i = 0; i < len; i++) REQUIRE(fields[i] != '\r' && fields[i] != '\n');
}

/* ---- answers ---- */

/* X-Id tells the client whose answer it is. */
static size_t fields(const request *r, char *block) {
  int count = sprintf(block, "X-Id%c%d%cX-Empty%c%c", 0, (int)(r - talk.requests), 0, 0, 0);
  return (size_t)count;
}

static const int16_t statuses[] = {200, 200, 200, 404, 204, 304, 500, 205};

static void note(request *r, evy_status result, int64_t bytes) {
  REQUIRE(result == EVY_OK || result == EVY_FULL || result == EVY_E_GONE || result == EVY_E_STATE
          || result == EVY_E_TIMEOUT);
  if (result < 0) return;
  int64_t most = r->promised >= 0 && r->promised < r->handed + bytes ? r->promised : r->handed + bytes;
  r->handed = most;
}

static void respond(request *r, evy_req *req, size_t count, bool lent) {
  char block[64];
  size_t len = fields(r, block);
  r->status = statuses[r->size & 7];
  REQUIRE(evy_respond(req, 200, NULL, "Evil\0a\r\nEvil: b", 15, "", 0) != EVY_OK);
  const char *reason = r->size & 8 ? "Why not" : NULL;
  const uint8_t *body = body_from(r, 0);
  evy_status result =
      lent ? evy_respond_ref(req, r->status, reason, block, len, body, count, new_user(), drop_user)
           : evy_respond(req, r->status, reason, block, len, body, count);
  REQUIRE(result == EVY_OK || result == EVY_FULL || result == EVY_E_GONE);
  r->promised = r->handed = (int64_t)count;
  r->is_answered = true;
  REQUIRE(evy_respond(req, 200, NULL, NULL, 0, "again", 5) < 0);
}

static void begin(request *r, evy_req *req, int64_t length) {
  char block[64];
  size_t len = fields(r, block);
  r->status = statuses[r->size & 3];
  r->promised = length;
  evy_status result = evy_resp_begin(req, r->status, NULL, block, len, length);
  REQUIRE(result == EVY_OK || result == EVY_E_GONE);
  r->is_streaming = true;
}

static void write_some(request *r, evy_req *req, size_t count, uint8_t how) {
  const uint8_t *bytes = body_from(r, r->handed);
  switch (how & 3) {
  case 0: note(r, evy_resp_write(req, bytes, count, 0), (int64_t)count); break;
  case 1: note(r, evy_resp_write_ref(req, bytes, count, new_user(), drop_user), (int64_t)count); break;
  case 2: {
    evy_slice slices[3] = {{bytes, count / 2}, {NULL, 0}, {bytes + count / 2, count - count / 2}};
    note(r, evy_resp_writev(req, slices, 3, 0), (int64_t)count);
    break;
  }
  default: {
    int fd = memfd_create("evy", MFD_CLOEXEC);
    REQUIRE(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
    note(r, evy_resp_file(req, fd, 0, -1), (int64_t)count);
    close(fd);
  }
  }
}

static void end(request *r, evy_req *req, bool trailers) {
  static const char block[] = "X-Trailer\0end";
  REQUIRE(evy_resp_end(req, "Content-Length\0001", 16) < 0);
  evy_status result = evy_resp_end(req, trailers ? block : NULL, trailers ? sizeof block - 1 : 0);
  REQUIRE(result == EVY_OK || result == EVY_FULL || result == EVY_E_GONE || result == EVY_E_STATE);
  r->is_answered = true;
}

static void stream(request *r, evy_req *req, bool is_short) {
  int64_t each = 1 + r->size * 40, pieces = 1 + (r->size & 3);
  begin(r, req, r->size & 0x40 || is_short ? each * pieces + is_short : -1);
  for (int64_t i = 0; i < pieces; i++) write_some(r, req, (size_t)each, (uint8_t)(r->size + i));
  if (r->size & 0x80) evy_resp_flush(req);
  end(r, req, r->size & 1);
}

static void take(request *r, evy_req *req) {
  if (evy_req_take_socket(req, &r->socket) != EVY_OK) {
    REQUIRE(r->socket == -1);
    return respond(r, req, 3, false);
  }
  r->is_taken = r->is_answered = talk.has_taken = true;
  r->status = 101;
  fcntl(r->socket, F_SETFL, O_NONBLOCK);
  char text[96];
  int count = sprintf(text, "HTTP/1.1 101 Taken\r\nX-Id: %d\r\n\r\nTTT", (int)(r - talk.requests));
  (void)send(r->socket, text, (size_t)count, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void read_body(request *r, evy_req *req, size_t most) {
  char room[512];
  while (most > 0) {
    int64_t got = evy_body_read(req, room, most < sizeof room ? most : sizeof room, 0);
    if (got <= 0) break;
    r->body_in += got;
    most -= (size_t)got < most ? (size_t)got : most;
  }
}

/* ---- later ---- */

static void keep(request *r, evy_req *req) {
  evy_req_retain(req);
  r->req = req;
}

static void let_go(request *r) {
  evy_req *req = r->req;
  r->req = NULL;
  if (req != NULL) evy_req_release(req);
}

static void on_body(void *user, evy_req *req, const void *bytes, size_t len, evy_status st) {
  REQUIRE(*(int *)user == 1);
  request *r = evy_req_user(req);
  REQUIRE(!r->is_over && (len == 0 || (st == EVY_OK && bytes != NULL)));
  r->body_in += (int64_t)len;
  if (len == 0 && !r->is_answered && !r->is_streaming) {
    respond(r, req, r->size, false);
    let_go(r);
  }
}

void go_on(request *r, uint8_t how) {
  if (r->socket >= 0) {
    char room[64];
    (void)send(r->socket, "TTTT", how & 3, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)recv(r->socket, room, sizeof room, MSG_DONTWAIT);
    if (how & 4) shutdown(r->socket, SHUT_WR);
    return;
  }
  evy_req *req = r->req;
  if (r->is_answered) return let_go(r);
  switch (how & 7) {
  case 0: evy_resp_flush(req); break;
  case 1: read_body(r, req, 1 + how); break;
  case 2: evy_body_pause(req, how & 8); break;
  case 3: if (!r->is_streaming) evy_inform(req, 103, "Link\0x", 6); break;
  case 4: if (!r->is_streaming) take(r, req); break;
  default:
    if (!r->is_streaming) begin(r, req, how & 8 ? PIECE * 2 + 7 : -1);
    write_some(r, req, how & 16 ? PIECE : how, how >> 5);
  }
}

void finish(request *r, uint8_t how) {
  if (r->socket >= 0) {
    close(r->socket);
    r->socket = -1;
  }
  if (r->req == NULL) return;
  if (!r->is_answered && (how & 3) != 3) {
    if (r->is_streaming) {
      end(r, r->req, how & 4);
    } else if ((how & 3) == 2) {
      evy_resp_abort(r->req);
    } else {
      respond(r, r->req, how & 8 ? (size_t)how * 100 : how, how & 16);
    }
  }
  let_go(r);
}

void handle(void *user, evy_req *req) {
  (void)user;
  if (talk.request_count == REQUESTS_MAX) return;
  request *r = &talk.requests[talk.request_count];
  uint8_t plan = talk.plans[talk.request_count++ & 7];
  *r = (request){.plan = plan & 15, .promised = -1, .socket = -1, .end = -1};
  r->size = (uint8_t)(plan * 37 + talk.request_count);
  evy_req_set_user(req, r);
  check_environ(req);
  r->is_head = strcmp(evy_env_get(req, "REQUEST_METHOD", NULL), "HEAD") == 0;
  for (int i = 0; i < (plan >> 4 & 3); i++) {
    REQUIRE(evy_posthook_add(req, on_done, new_user(), drop_user) == EVY_OK);
    r->hooks_added++;
  }
  if (plan & 0x40) evy_req_on_gone(req, on_gone, new_user(), drop_user);
  if (plan & 0x80) evy_resp_on_writable(req, on_room, new_user(), drop_user);
  switch (r->plan) {
  case 0: respond(r, req, r->size, false); break;
  case 1: respond(r, req, (size_t)r->size * 256, r->size & 16); break;
  case 2: stream(r, req, false); break;
  case 3: begin(r, req, -1); keep(r, req); break;
  case 4: case 5: case 6: keep(r, req); break;
  case 7: break;
  case 8:
    evy_inform(req, 103, "Link\0x", 6);
    respond(r, req, r->size, false);
    break;
  case 9: read_body(r, req, 2); respond(r, req, r->size, true); break;
  case 10:
    keep(r, req);
    evy_body_on_data(req, on_body, new_user(), drop_user);
    break;
  case 11: take(r, req); break;
  case 12: evy_resp_abort(req); break;
  case 13: stream(r, req, true); break;
  case 14: {
    size_t much = talk.is_tcp ? DATA_MAX : DATA_MAX / 5; /* other sockets hold less */
    begin(r, req, (int64_t)much);
    write_some(r, req, much, r->size);
    end(r, req, false);
    break;
  }
  default: read_body(r, req, 100000); keep(r, req); break;
  }
}
