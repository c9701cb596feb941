/* SPDX-License-Identifier: MIT
 * peer.c - the client's end of TLS, on OpenSSL; between it and the socket lies a buffer each way. */
#include "conversation.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum { TURNS_MAX = 20 };

/* What the socket does not take now stays for the next time. */
static void peer_flush(client *c) {
  BIO *out = SSL_get_wbio(c->tls);
  char *bytes;
  long count;
  while (!c->is_cut && (count = BIO_get_mem_data(out, &bytes)) > 0) {
    ssize_t sent = send(c->fd, bytes, (size_t)count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) c->is_cut = c->is_lossy = talk.is_lossy = true;
    if (sent <= 0) return;
    while (sent > 0) {
      char taken[4096];
      sent -= BIO_read(out, taken, sent < (ssize_t)sizeof taken ? (int)sent : (int)sizeof taken);
    }
  }
}

/* Bytes from the socket; false: there are none now, or no more. */
static bool peer_fill(client *c) {
  char bytes[16384];
  ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return false;
  if (got < 0) c->is_lossy = talk.is_lossy = true;
  if (got <= 0) {
    c->has_ended = true;
    return false;
  }
  c->wire += (size_t)got;
  REQUIRE(BIO_write(SSL_get_rbio(c->tls), bytes, (int)got) == got);
  return true;
}

/* Whether its handshake is over. The server is turned meanwhile: both are in this thread. */
static bool peer_shakes_hands(client *c, int turns) {
  while (SSL_do_handshake(c->tls) != 1) {
    peer_flush(c);
    if (!peer_fill(c)) {
      if (c->has_ended || turns-- == 0) return false;
      evy_server_step(talk.server, 0);
    }
  }
  peer_flush(c);
  return true;
}

void peer_open(client *c) {
  static SSL_CTX *context;
  if (context == NULL) context = SSL_CTX_new(TLS_client_method());
  REQUIRE(context != NULL);
  c->tls = SSL_new(context);
  REQUIRE(c->tls != NULL);
  SSL_set_bio(c->tls, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  if (talk.plans[7] & 1) SSL_set_max_proto_version(c->tls, TLS1_2_VERSION);
  SSL_set_connect_state(c->tls);
  peer_shakes_hands(c, TURNS_MAX);
}

/* Before the end of the handshake there is nothing to say it with. */
void peer_send(client *c, const uint8_t *bytes, size_t count) {
  if (!c->has_ended && peer_shakes_hands(c, 0)) {
    SSL_write(c->tls, bytes, (int)count);
    peer_flush(c);
  }
}

/* Bytes that no key has made. */
void peer_garble(client *c, const uint8_t *bytes, size_t count) {
  bool is_sent = send(c->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)count;
  if (is_sent || errno != EAGAIN) c->is_cut = c->is_lossy = talk.is_lossy = true;
}

void peer_shut(client *c, bool says_so) {
  if (says_so) SSL_shutdown(c->tls);
  peer_flush(c);
}

size_t peer_read(client *c, uint8_t *room, size_t wanted) {
  do {
    int got = SSL_read(c->tls, room, (int)wanted);
    peer_flush(c); /* an answer to its key update */
    if (got > 0) return (size_t)got;
  } while (peer_fill(c));
  return 0;
}

void peer_close(client *c) {
  SSL_free(c->tls);
  c->tls = NULL;
}
