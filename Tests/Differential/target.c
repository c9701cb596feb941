// SPDX-License-Identifier: MIT
// target.c - evy as one of the parsers under comparison: a real server on a unix socket, and its clients.
//   target NAME [option=value]...
// Standard input brings batches: a 32-bit count, then for each input a 32-bit length and the bytes.  Each
// input goes over a connection of its own, which is then half-closed; many are open at once.  About half
// of the inputs go in two pieces, with time between them for evy to read the first.  Standard output gives
// for each input, in order, a 32-bit length and all bytes the server answered.  The handler
// answers every request with what it was given, in hexadecimal, as the field Record: see record().
#include "evy.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { AT_ONCE = 64, PATIENCE_MS = 120000, BETWEEN_MS = 1 };

static int fail(const char *what, const char *text) {
  fprintf(stderr, "target: %s: %s\n", what, text);
  return 1;
}

static void *grown(void *memory, size_t size) {
  void *larger = realloc(memory, size);
  if (larger == NULL) {
    exit(fail("memory", strerror(errno)));
  }
  return larger;
}

/* ---- the server ------------------------------------------------------------------------ */

typedef struct {
  char *bytes;
  size_t length, room;
} text;

static void put(text *out, const void *bytes, size_t length) {
  if (out->room < out->length + length) {
    out->room = 2 * (out->length + length);
    out->bytes = grown(out->bytes, out->room);
  }
  if (length > 0) {
    memcpy(out->bytes + out->length, bytes, length);
    out->length += length;
  }
}

static void put_hex(text *out, const void *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *from = bytes;
  for (size_t i = 0; i < length; i++) {
    char pair[2] = {digits[from[i] >> 4], digits[from[i] & 15]};
    put(out, pair, 2);
  }
}

/* The whole body, whichever way option body has it come. */
static int64_t take_body(evy_req *req, text *body) {
  size_t length = 0;
  const void *whole = evy_body_buffer(req, &length);
  if (whole != NULL) {
    put(body, whole, length);
    return 0;
  }
  char piece[512];
  int64_t count = 0;
  while ((count = evy_body_read(req, piece, sizeof piece, PATIENCE_MS)) > 0) {
    put(body, piece, (size_t)count);
  }
  return count;
}

/* Items in hexadecimal, parted by "/": method, target, protocol, host, fields (R4), body, trailers (R4),
 * bytes of the request on the wire. */
static void record(evy_req *req, const text *body, text *out) {
  static const char *const names[] = {"REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL", "HTTP_HOST"};
  size_t length = 0;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *value = evy_env_get(req, names[i], &length);
    put_hex(out, value, value == NULL ? 0 : length);
    put(out, "/", 1);
  }
  const char *fields = evy_req_headers(req, &length);
  put_hex(out, fields, fields == NULL ? 0 : length);
  put(out, "/", 1);
  put_hex(out, body->bytes, body->length);
  put(out, "/", 1);
  const char *trailers = evy_body_trailers(req, &length);
  put_hex(out, trailers, trailers == NULL ? 0 : length);
  char wire[32];
  int digits = snprintf(wire, sizeof wire, "/%lld", (long long)evy_req_stat(req, EVY_STAT_WIRE_IN));
  put(out, wire, (size_t)digits);
}

static void handle(void *user, evy_req *req) {
  (void)user;
  text out = {0}, body = {0};
  int64_t failure = take_body(req, &body);
  if (failure == 0) {
    put(&out, "Record", sizeof "Record");
    record(req, &body, &out);
  } else {
    const char *name = evy_strname((evy_status)failure);
    put(&out, "Broken", sizeof "Broken");
    put(&out, name, strlen(name));
  }
  put(&out, "", 1);
  evy_status st = evy_respond(req, failure == 0 ? 200 : 400, NULL, out.bytes, out.length, NULL, 0);
  if (st != EVY_OK && st != EVY_E_GONE) {
    fail("answer", evy_strname(st));
  }
  free(body.bytes);
  free(out.bytes);
}

static int configure(evy_config *cfg, const char *address, int count, char **options) {
  evy_config_on_request(cfg, handle, NULL, NULL);
  if (evy_config_listen(cfg, address, NULL) != EVY_OK) {
    return fail(address, evy_config_error(cfg));
  }
  for (int i = 0; i < count; i++) {
    char *equals = strchr(options[i], '=');
    if (equals == NULL) {
      return fail("not option=value", options[i]);
    }
    *equals = '\0';
    if (evy_config_set(cfg, options[i], equals + 1) != EVY_OK) {
      return fail(options[i], evy_config_error(cfg));
    }
  }
  return 0;
}

/* ---- the clients ----------------------------------------------------------------------- */

typedef struct {
  int fd;
  size_t input; /* which of the batch */
  size_t sent;  /* of its bytes */
  bool is_whole;
} client;

static struct sockaddr_un peer;
static socklen_t peer_length;

/* Where an input is cut: the same place each time. */
static size_t cut_of(const text *input) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < input->length; i++) {
    hash = (hash ^ (unsigned char)input->bytes[i]) * 16777619u;
  }
  return hash & 0x10000 ? input->length : (hash >> 17) % (input->length + 1);
}

/* Up to `end`; at the end of the input nothing more will come. */
static void send_up_to(client *at, const text *input, size_t end) {
  while (at->sent < end) {
    ssize_t count = send(at->fd, input->bytes + at->sent, end - at->sent, MSG_NOSIGNAL);
    if (count < 0) {
      break; /* refused in its midst: the answer is what counts */
    }
    at->sent += (size_t)count;
  }
  at->is_whole = end == input->length;
  if (at->is_whole) {
    shutdown(at->fd, SHUT_WR);
  }
}

static client open_client(text *inputs, size_t input) {
  client made = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .input = input};
  if (made.fd < 0 || connect(made.fd, (struct sockaddr *)&peer, peer_length) != 0) {
    exit(fail("connect", strerror(errno)));
  }
  send_up_to(&made, &inputs[input], cut_of(&inputs[input]));
  return made;
}

/* False at the end of the answer. */
static bool receive_some(client *at, text *answers) {
  char piece[65536];
  ssize_t count = recv(at->fd, piece, sizeof piece, 0);
  if (count > 0) {
    put(&answers[at->input], piece, (size_t)count);
    return true;
  }
  close(at->fd);
  return false;
}

static void run_batch(text *inputs, text *answers, size_t count) {
  client open[AT_ONCE];
  struct pollfd watched[AT_ONCE];
  size_t used = 0, next = 0;
  while (used > 0 || next < count) {
    bool is_whole = true;
    for (size_t i = 0; i < used; i++) {
      if (!open[i].is_whole) {
        send_up_to(&open[i], &inputs[open[i].input], inputs[open[i].input].length);
      }
    }
    for (; used < AT_ONCE && next < count; next++) {
      open[used] = open_client(inputs, next);
      is_whole = is_whole && open[used].is_whole;
      used++;
    }
    for (size_t i = 0; i < used; i++) {
      watched[i] = (struct pollfd){open[i].fd, POLLIN, 0};
    }
    if (poll(watched, used, is_whole ? PATIENCE_MS : BETWEEN_MS) <= 0 && is_whole) {
      exit(fail("no answer and no end", "the server keeps a half-closed connection"));
    }
    for (size_t i = used; i-- > 0;) {
      if (watched[i].revents != 0 && !receive_some(&open[i], answers)) {
        open[i] = open[--used];
      }
    }
  }
}

static bool read_all(void *into, size_t length) {
  return fread(into, 1, length, stdin) == length;
}

static bool read_batch(text **inputs, uint32_t *count) {
  if (!read_all(count, sizeof *count)) {
    return false;
  }
  *inputs = grown(NULL, (*count + 1) * sizeof **inputs);
  for (uint32_t i = 0; i < *count; i++) {
    uint32_t length = 0;
    if (!read_all(&length, sizeof length)) {
      return false;
    }
    (*inputs)[i] = (text){grown(NULL, length + 1), length, length};
    if (!read_all((*inputs)[i].bytes, length)) {
      return false;
    }
  }
  return true;
}

static void serve_batches(void) {
  text *inputs = NULL;
  uint32_t count = 0;
  while (read_batch(&inputs, &count)) {
    text *answers = calloc(count + 1, sizeof *answers);
    run_batch(inputs, answers, count);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t length = (uint32_t)answers[i].length;
      fwrite(&length, sizeof length, 1, stdout);
      fwrite(answers[i].bytes, 1, length, stdout);
      free(answers[i].bytes);
      free(inputs[i].bytes);
    }
    fflush(stdout);
    free(answers);
    free(inputs);
    inputs = NULL;
  }
}

int main(int argc, char **argv) {
  if (argc < 2 || strlen(argv[1]) + 2 > sizeof peer.sun_path) {
    return fail("usage", "target NAME [option=value]...");
  }
  char address[128];
  snprintf(address, sizeof address, "unix:@%s", argv[1]);
  peer.sun_family = AF_UNIX;
  memcpy(peer.sun_path + 1, argv[1], strlen(argv[1]));
  peer_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[1]));

  evy_config *cfg = evy_config_new();
  evy_server *server = NULL;
  if (configure(cfg, address, argc - 2, argv + 2) != 0) {
    return 1;
  }
  if (evy_server_new(cfg, &server) != EVY_OK) {
    return fail("server", evy_config_error(cfg));
  }
  evy_config_free(cfg);
  if (evy_server_start(server) != EVY_OK) {
    return fail("start", evy_server_error(server));
  }
  serve_batches();
  evy_server_free(server);
  return 0;
}
