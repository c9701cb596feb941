// SPDX-License-Identifier: MIT
// wire.c - one connection of a client, in clear text or TLS, and the answers that come on it.
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stress.h"

enum { patience_s = 900, head_longest = 8192 };
struct wire {
  int fd;
  SSL *ssl;
  bool is_slow;
  unsigned char in[1 << 16];
  size_t from, to;
  unsigned char body[pool_longest + 1];
  char trouble[160];
};
static SSL_CTX *context;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_context(void) {
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

struct wire *wire_new(void) {
  pthread_once(&once, make_context);
  struct wire *wire = calloc(1, sizeof *wire);
  must(wire != NULL, "memory for a client");
  wire->fd = -1;
  return wire;
}

void wire_free(struct wire *wire) { free(wire); }
const char *wire_trouble(struct wire *wire) { return wire->trouble; }

static bool fails(struct wire *wire, const char *what) {
  snprintf(wire->trouble, sizeof wire->trouble, "%s: %s", what, errno != 0 ? strerror(errno) : "it ended");
  return false;
}

static bool shake_hands(struct wire *wire) {
  static const char name[] = "stress.example";
  wire->ssl = SSL_new(context);
  SSL_set_fd(wire->ssl, wire->fd);
  SSL_set_tlsext_host_name(wire->ssl, name);
  errno = 0;
  if (SSL_connect(wire->ssl) != 1) {
    return fails(wire, "handshake");
  }
  X509 *certificate = SSL_get1_peer_certificate(wire->ssl);
  bool is_right = certificate != NULL && X509_check_host(certificate, name, 0, 0, NULL) == 1;
  X509_free(certificate);
  return is_right || fails(wire, "certificate");
}

bool wire_open(struct wire *wire, int port, bool is_secure, bool is_slow) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct timeval patience = {patience_s, 0};
  int little = 4096;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  wire->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  wire->ssl = NULL;
  wire->is_slow = is_slow;
  wire->from = wire->to = 0;
  must(wire->fd >= 0, "a client's socket");
  setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(wire->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (is_slow) {
    setsockopt(wire->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  }
  if (connect(wire->fd, (struct sockaddr *)&place, sizeof place) != 0) {
    return fails(wire, "connect");
  }
  return !is_secure || shake_hands(wire);
}

void wire_close(struct wire *wire, bool resets) {
  struct linger hard = {1, 0};
  if (resets) {
    setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  } else if (wire->ssl != NULL) {
    SSL_shutdown(wire->ssl);
  }
  SSL_free(wire->ssl);
  close(wire->fd);
  wire->fd = -1;
}

bool wire_send(struct wire *wire, const void *bytes, size_t size) {
  const char *at = bytes;
  errno = 0;
  while (size > 0) {
    ssize_t count = wire->ssl != NULL ? SSL_write(wire->ssl, at, (int)size)
                                      : send(wire->fd, at, size, MSG_NOSIGNAL);
    if (count <= 0) {
      return fails(wire, "send");
    }
    at += count;
    size -= (size_t)count;
  }
  return true;
}

/* Some more bytes in wire->in, all of whose old ones are used up. */
static bool fill(struct wire *wire) {
  errno = 0;
  if (wire->is_slow) {
    pause_ms(1);
  }
  ssize_t count = wire->ssl != NULL ? SSL_read(wire->ssl, wire->in, sizeof wire->in)
                                    : recv(wire->fd, wire->in, sizeof wire->in, 0);
  wire->from = 0;
  wire->to = count > 0 ? (size_t)count : 0;
  return count > 0 || fails(wire, "receive");
}

bool wire_is_at_end(struct wire *wire) {
  return wire->from == wire->to && !fill(wire) && errno != EAGAIN;
}

bool wire_read(struct wire *wire, unsigned char *room, size_t size) {
  while (size > 0) {
    if (wire->from == wire->to && !fill(wire)) {
      return false;
    }
    size_t count = wire->to - wire->from < size ? wire->to - wire->from : size;
    memcpy(room, wire->in + wire->from, count);
    wire->from += count;
    room += count;
    size -= count;
  }
  return true;
}

/* A line without its end. */
static bool read_line(struct wire *wire, char *line, size_t capacity) {
  size_t size = 0;
  while (size < capacity) {
    if (wire->from == wire->to && !fill(wire)) {
      return false;
    }
    unsigned char byte = wire->in[wire->from++];
    if (byte == '\n' && size > 0 && line[size - 1] == '\r') {
      line[size - 1] = 0;
      return true;
    }
    line[size++] = (char)byte;
  }
  return fails(wire, "a line without end");
}

static bool read_chunks(struct wire *wire, struct answer *answer) {
  char line[256];
  while (read_line(wire, line, sizeof line)) {
    size_t size = strtoul(line, NULL, 16);
    if (size == 0) {
      while (line[0] != 0) { /* trailers */
        if (!read_line(wire, line, sizeof line)) {
          return false;
        }
      }
      return true;
    }
    if (answer->size + size > sizeof wire->body) {
      return fails(wire, "a body that is too long");
    }
    if (!wire_read(wire, wire->body + answer->size, size) || !read_line(wire, line, sizeof line)) {
      return false;
    }
    answer->size += size;
    if (line[0] != 0) {
      return fails(wire, "bytes behind a chunk");
    }
  }
  return false;
}

static bool read_head(struct wire *wire, struct answer *answer, bool *is_chunked) {
  char line[head_longest];
  if (!read_line(wire, line, sizeof line)) {
    return false;
  }
  if (strncmp(line, "HTTP/1.1 ", 9) != 0) {
    return fails(wire, "not a status line");
  }
  answer->status = atoi(line + 9);
  answer->promised = 0;
  while (read_line(wire, line, sizeof line)) {
    if (line[0] == 0) {
      return true;
    }
    if (strncasecmp(line, "Content-Length: ", 16) == 0) {
      answer->promised = strtoul(line + 16, NULL, 10);
    }
    *is_chunked = *is_chunked || strcasecmp(line, "Transfer-Encoding: chunked") == 0;
    answer->closes = answer->closes || strcasecmp(line, "Connection: close") == 0;
  }
  return false;
}

struct answer wire_answer(struct wire *wire, bool is_head) {
  struct answer answer = {.body = wire->body};
  bool is_chunked = false;
  wire->trouble[0] = 0;
  do {
    if (!read_head(wire, &answer, &is_chunked)) {
      return answer;
    }
  } while (answer.status < 200 && answer.status != 101);
  if (is_head || answer.status == 101) {
    answer.is_whole = true;
  } else if (is_chunked) {
    answer.is_whole = read_chunks(wire, &answer);
  } else if (answer.promised <= sizeof wire->body) {
    answer.is_whole = wire_read(wire, wire->body, answer.promised);
    answer.size = answer.is_whole ? answer.promised : 0;
  }
  return answer;
}
