// SPDX-License-Identifier: MIT
// clients.c - threads that ask: batches of pipelined requests, every answer checked to the byte.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

enum { batch_most = 12, batch_room = 200000, long_body = 30000 };
struct client {
  pthread_t thread;
  unsigned state;
  struct wire *wire;
  int house;
  bool is_extra; /* of the crowd at the start */
  bool is_secure, is_doomed, is_closed; /* the house is doomed; the connection closed */
  char room[batch_room];
  size_t size;
  enum kind kinds[batch_most];
  unsigned seeds[batch_most];
  int count;
};
static const struct {
  enum kind kind;
  unsigned share; /* of 1000 */
} mix[] = {{K_SMALL, 555}, {K_REF, 60},     {K_HEAD, 60},  {K_LATE, 70},   {K_ECHO, 60},
           {K_CHUNKED, 30}, {K_FIXED, 30},  {K_FILE, 30},  {K_STREAM, 30}, {K_LATESTREAM, 25},
           {K_INFORM, 15},  {K_POST, 15},   {K_TIMER, 10}, {K_NONE, 5},    {K_SLOW, 5}};

static enum kind choose(struct client *client) {
  unsigned at = rnd(&client->state) % 1000, index = 0;
  while (at >= mix[index].share) {
    at -= mix[index++].share;
  }
  return mix[index].kind;
}

/* ---- requests --------------------------------------------------------------------------- */

static void add(struct client *client, const void *bytes, size_t size) {
  must(client->size + size <= batch_room, "room for a batch");
  memcpy(client->room + client->size, bytes, size);
  client->size += size;
}

static void add_chunks(struct client *client, const unsigned char *bytes, size_t size) {
  char line[20];
  while (size > 0) {
    size_t part = 1 + rnd(&client->state) % 5000;
    part = part < size ? part : size;
    add(client, line, (size_t)snprintf(line, sizeof line, "%zx\r\n", part));
    add(client, bytes, part);
    add(client, "\r\n", 2);
    bytes += part;
    size -= part;
  }
  add(client, "0\r\n\r\n", 5);
}

static void add_request(struct client *client, enum kind kind, unsigned seed) {
  char head[300], length[60] = "";
  if (client->count > 0 && has_body(kind) && size_of(kind, seed) > long_body) {
    /* While it is sent nobody would read the answers ahead of it: both sides would wait for room. */
    kind = K_SMALL;
  }
  size_t size = has_body(kind) ? size_of(kind, seed) : 0;
  const char *method = kind == K_HEAD ? "HEAD" : has_body(kind) ? "POST" : "GET";
  if (kind == K_ECHO) {
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", size);
  } else if (kind == K_CHUNKED) {
    snprintf(length, sizeof length, "Transfer-Encoding: chunked\r\n");
  } else if (kind == K_TAKE) {
    snprintf(length, sizeof length, "Connection: upgrade\r\nUpgrade: echo\r\n");
  }
  add(client, head,
      (size_t)snprintf(head, sizeof head, "%s /%s?s=%u HTTP/1.1\r\nHost%s: stress.example\r\n%s\r\n", method,
                       kind_names[kind], seed, kind == K_BAD ? " " : "", length));
  if (kind == K_ECHO) {
    add(client, bytes_of(seed), size);
  } else if (kind == K_CHUNKED) {
    add_chunks(client, bytes_of(seed), size);
  }
  client->kinds[client->count] = kind;
  client->seeds[client->count++] = seed;
}

static bool send_batch(struct client *client) {
  for (int i = 0; i < client->count; i++) {
    atomic_fetch_add(client->is_doomed ? &book->doomed_asked : &book->asked[client->kinds[i]], 1);
  }
  bool is_sent = wire_send(client->wire, client->room, client->size);
  client->size = 0;
  return is_sent;
}

/* ---- answers ------------------------------------------------------------------------------- */

static const char *verdict(enum kind kind, unsigned seed, const struct answer *answer) {
  size_t size = kind == K_HEAD ? 0 : size_of(kind, seed);
  int status = kind == K_NONE ? 500 : kind == K_BAD ? 400 : 200;
  if (answer->status != status) {
    return "another status";
  }
  if (status != 200) {
    return NULL; /* its text is the library's */
  }
  if (kind == K_HEAD && answer->promised != size_of(kind, seed)) {
    return "another length";
  }
  if (answer->size != size) {
    return "a body of another length";
  }
  return memcmp(answer->body, bytes_of(seed), size) == 0 ? NULL : "other bytes";
}

/* False: no more answers come on this connection. */
static bool check_answer(struct client *client, int i) {
  enum kind kind = client->kinds[i];
  struct answer answer = wire_answer(client->wire, kind == K_HEAD);
  if (!answer.is_whole) {
    if (!client->is_doomed) {
      fault("house %d%s: /%s?s=%u was not answered, as number %d of %d behind /%s: %s", client->house,
            client->is_secure ? " (TLS)" : "", kind_names[kind], client->seeds[i], i + 1, client->count,
            i > 0 ? kind_names[client->kinds[i - 1]] : "", wire_trouble(client->wire));
    }
    client->is_closed = true;
    return false;
  }
  const char *wrong = verdict(kind, client->seeds[i], &answer);
  if (wrong != NULL) {
    fault("/%s?s=%u gave %s: status %d, %zu bytes", kind_names[kind], client->seeds[i], wrong, answer.status,
          answer.size);
  }
  atomic_fetch_add(client->is_doomed ? &book->doomed_whole : &book->answered[kind], 1);
  client->is_closed = answer.closes;
  return !answer.closes;
}

static void ask_batch(struct client *client) {
  int most = 1 + (int)(rnd(&client->state) % batch_most);
  client->count = 0;
  while (client->count < most) {
    add_request(client, choose(client), rnd(&client->state));
    if (client->size > long_body) {
      break;
    }
  }
  if (!send_batch(client) && !client->is_doomed && client->size == 0) {
    /* Closed behind an answer that says so: it may be there already. */
    client->is_closed = true;
  }
  for (int i = 0; i < client->count && check_answer(client, i); i++) {
  }
}

/* ---- the last request of a connection --------------------------------------------------------- */

static bool count_end(struct client *client, enum kind kind, bool is_right) {
  if (!client->is_doomed && is_right) {
    atomic_fetch_add(&book->answered[kind], 1);
  } else if (!client->is_doomed) {
    fault("/%s went wrong: %s", kind_names[kind], wire_trouble(client->wire));
  }
  return is_right;
}

static void try_take_over(struct client *client) {
  unsigned char room[20001];
  size_t size = size_of(K_TAKE, client->seeds[0]);
  const unsigned char *bytes = bytes_of(client->seeds[0]);
  struct answer answer = wire_answer(client->wire, false);
  bool is_right = answer.is_whole && answer.status == 101 && wire_send(client->wire, bytes, size) &&
                  wire_read(client->wire, room, size) && memcmp(room, bytes, size) == 0;
  count_end(client, K_TAKE, is_right);
}

static void ask_last(struct client *client) {
  static const enum kind last[] = {K_TAKE, K_ABORT, K_GONE, K_BAD};
  enum kind kind = last[rnd(&client->state) % 4];
  client->count = 0;
  add_request(client, kind, rnd(&client->state));
  if (!send_batch(client)) {
    if (!client->is_doomed) {
      fault("/%s could not be sent: %s", kind_names[kind], wire_trouble(client->wire));
    }
    return;
  }
  if (kind == K_TAKE) {
    try_take_over(client);
  } else if (kind == K_ABORT) {
    struct answer answer = wire_answer(client->wire, false);
    count_end(client, kind, !answer.is_whole);
  } else if (kind == K_BAD) {
    if (check_answer(client, 0)) {
      fault("a connection goes on after 400");
    }
    if (!wire_is_at_end(client->wire)) {
      fault("bytes behind the last answer");
    }
  } else {
    pause_ms(rnd(&client->state) % 4);
  }
}

/* ---- threads ------------------------------------------------------------------------------------- */

static void visit_house(struct client *client, int house) {
  bool is_secure = rnd(&client->state) % 4 == 0, is_slow = rnd(&client->state) % 32 == 0;
  int port = atomic_load(&book->port[house][is_secure]);
  client->house = house;
  client->is_secure = is_secure;
  client->is_doomed = house == HOUSES;
  client->is_closed = false;
  if (port == 0) {
    return pause_ms(client->is_doomed); /* no TLS here; or nobody, just now */
  }
  if (wire_open(client->wire, port, is_secure, is_slow)) {
    if (!client->is_doomed) {
      atomic_fetch_add(&book->connections, 1);
      atomic_fetch_add(&book->handshakes, is_secure);
    }
    unsigned turns = rnd(&client->state) % 40;
    while (turns-- > 0 && !client->is_closed && !atomic_load(&book->over)) {
      ask_batch(client);
    }
    if (!client->is_closed && rnd(&client->state) % 2 == 0) {
      ask_last(client);
    }
  } else if (!client->is_doomed) {
    fault("house %d: %s", house, wire_trouble(client->wire));
  }
  wire_close(client->wire, client->kinds[0] == K_GONE && client->count == 1 && rnd(&client->state) % 2 == 0);
}

/* All at once, each for its longest time: every server has all of its threads, and what belongs to them,
 * from here on. What is asked for later grows no pool. */
static void fill_house(struct client *client, int house, bool is_secure) {
  enum { longest = 11 };
  int port = atomic_load(&book->port[house][is_secure]);
  if (port == 0) {
    return; /* no TLS here */
  }
  client->house = house;
  client->is_secure = is_secure;
  client->count = 0;
  if (wire_open(client->wire, port, is_secure, false)) {
    atomic_fetch_add(&book->connections, 1);
    atomic_fetch_add(&book->handshakes, is_secure);
    add_request(client, K_SLOW, longest);
    send_batch(client);
    check_answer(client, 0);
  } else {
    fault("house %d: %s", house, wire_trouble(client->wire));
  }
  wire_close(client->wire, false);
}

static void rest(void) {
  atomic_fetch_add(&book->at_rest, 1);
  while (atomic_load(&book->rests) && !atomic_load(&book->over)) {
    pause_ms(5);
  }
  atomic_fetch_sub(&book->at_rest, 1);
}

static void *be_client(void *user) {
  struct client *client = user;
  for (int house = 0; house < HOUSES; house++) {
    fill_house(client, house, false);
    fill_house(client, house, true);
  }
  while (!atomic_load(client->is_extra ? &book->crowd_over : &book->over)) {
    if (atomic_load(&book->rests)) {
      rest();
    }
    visit_house(client, (int)(rnd(&client->state) % (HOUSES + 1)));
  }
  wire_free(client->wire);
  return NULL;
}

int run_clients(int count, int extra) {
  count += extra;
  struct client *clients = calloc((size_t)count, sizeof *clients);
  for (int i = 0; i < count; i++) {
    clients[i].state = 7919u * (unsigned)(i + 1);
    clients[i].wire = wire_new();
    clients[i].is_extra = i < extra;
    must(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]) == 0, "a client");
  }
  for (int i = 0; i < count; i++) {
    pthread_join(clients[i].thread, NULL);
  }
  free(clients);
  return 0;
}
