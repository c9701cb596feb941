// SPDX-License-Identifier: MIT
// fuzz_client.c - clients that keep requests coming, so that there are some in every state.
#include "fuzz.h"
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD " HTTP/1.1\r\nHost: x\r\n"
static const char *const requests[] = {
    "GET /a" HEAD "\r\n",
    "GET /%62?q=1" HEAD "Cookie: a=b\r\nX-Request-ID: 1\r\n\r\n",
    "GET /c" HEAD "Connection: close\r\n\r\n",
    "GET /d HTTP/1.0\r\n\r\n",
    "HEAD /e" HEAD "\r\n",
    "POST /f" HEAD "Content-Length: 11\r\n\r\nhello world",
    "POST /g" HEAD "Content-Length: 90000\r\n\r\nthe rest never comes",
    "POST /h" HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n",
    "POST /i" HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "POST /j" HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "POST /k" HEAD "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "POST /l" HEAD "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "GET /m" HEAD "\r\nGET /n" HEAD "\r\nGET /o" HEAD "\r\n",
    "GET /p" HEAD "Upgrade: x\r\nConnection: upgrade\r\n\r\nearly bytes",
    "GET /q HTTP/1.1\r\n\r\n",
    "rubbish\r\n\r\n",
    "GET /r" HEAD "X: ",
};
enum { REQUESTS = sizeof requests / sizeof requests[0] };

static int any_port(struct actor *a) {
  struct world *world = a->world;
  int port = 0;
  if (dice(a, 3) == 0) {
    pthread_mutex_lock(&world->gate);
    struct place *place = &PICK(a, world->victims);
    port = place->is_freed ? 0 : evy_server_port(place->server, 0);
    pthread_mutex_unlock(&world->gate);
  }
  return port == 0 ? world->port : port;
}

/* Reads what comes within some milliseconds, not all of it. */
static void listen_a_while(struct actor *a, int fd) {
  char answer[4096];
  struct pollfd its = {fd, POLLIN, 0};
  int pieces = (int)dice(a, 4);
  while (pieces-- > 0 && poll(&its, 1, 1 + (int)dice(a, 10)) == 1 &&
         recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0) {
  }
}

void *be_client(void *user) {
  struct world *world = user;
  struct actor a = callback_actor(world, NULL, false);
  while (!world->is_ending) {
    int fd = dial_within(any_port(&a), 20);
    if (fd < 0) {
      pause_ms(1);
      continue;
    }
    for (int count = 1 + (int)dice(&a, 3); count > 0; count--) {
      const char *request = requests[dice(&a, REQUESTS)];
      size_t len = strlen(request), part = dice(&a, 4) ? len : dice(&a, len);
      if (!say(fd, request, part)) {
        break;
      }
      listen_a_while(&a, fd);
      if (part < len && dice(&a, 2) && !say(fd, request + part, len - part)) {
        break;
      }
    }
    listen_a_while(&a, fd);
    if (dice(&a, 4) == 0) {
      shutdown(fd, SHUT_WR);
    }
    hang_up(fd, dice(&a, 3) == 0);
  }
  return NULL;
}
