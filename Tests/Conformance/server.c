// SPDX-License-Identifier: MIT
// server.c - one evy server for each group of options; every answer says what its handler saw.
//   server [option=value]... [-- [option=value]...]...
// Prints the ports of the servers on one line. A line on standard input makes it print how many requests
// handlers have had from each client's port since the last time ("4711=2 4712=1"); its end ends the program.
// With body=stream the handler answers at once and leaves the body unread.
#include <evy.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { GROUPS_MAX = 128 };
static struct {
  evy_server *servers[GROUPS_MAX];
  int count;
} program;
static atomic_ushort handled[65536];

/* ---- the answer ------------------------------------------------------------------- */

/* Printable text without blanks, one for one with the bytes: what the cases are compared with.
 * Quick, so that no head is long enough to hold the loop: the servers need no further threads. */
static void escaped(FILE *f, const char *bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < count; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c > 0x20 && c < 0x7f && c != '\\') {
      putc_unlocked(c, f);
    } else {
      const char text[] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
      fwrite(text, 1, sizeof text, f);
    }
  }
}

static void member(FILE *f, const char *name, evy_req *req, const char *key) {
  size_t len = 0;
  const char *value = evy_env_get(req, key, &len);
  fprintf(f, " %s=", name);
  escaped(f, value == NULL ? "" : value, len);
}

/* Writes a word for each pair of a block and returns their number. */
static int pairs(FILE *f, const char *block, size_t len, const char *open, const char *close) {
  int count = 0;
  for (const char *at = block; block != NULL && at < block + len; count++) {
    const char *value = at + strlen(at) + 1;
    fprintf(f, " %s", open);
    escaped(f, at, strlen(at));
    fprintf(f, "%s=", close);
    escaped(f, value, strlen(value));
    at = value + strlen(value) + 1;
  }
  return count;
}

/* By the time a handler has a buffered body, evy tells its length whatever it was framed by. */
static void framing(FILE *f, evy_req *req, const char *fields, size_t len) {
  for (const char *at = fields; at < fields + len; at += strlen(at) + 1) {
    if (strcasecmp(at, "Transfer-Encoding") == 0) {
      fputs(" framing=chunked", f);
      return;
    }
    at += strlen(at) + 1;
  }
  if (evy_env_get(req, "CONTENT_LENGTH", NULL) == NULL) {
    fputs(" framing=none", f);
  } else {
    fprintf(f, " framing=%lld", (long long)evy_body_length(req));
  }
}

static void describe(FILE *f, evy_req *req) {
  size_t len = 0;
  fputs("ok ", f);
  const char *method = evy_env_get(req, "REQUEST_METHOD", &len);
  escaped(f, method == NULL ? "" : method, len);
  member(f, "path", req, "RAW_PATH_INFO");
  fprintf(f, " %s", evy_env_get(req, "SERVER_PROTOCOL", NULL));
  const char *target = evy_env_get(req, "RAW_URI", NULL);
  if (target != NULL && strchr(target, '?') != NULL) {
    member(f, "query", req, "QUERY_STRING");
  }
  member(f, "authority", req, "HTTP_HOST");
  const char *fields = evy_req_headers(req, &len);
  framing(f, req, fields, len);
  fprintf(f, " fields=%d", pairs(f, fields, len, "", ""));
  const void *body = evy_body_buffer(req, &len);
  if (body != NULL || evy_body_length(req) == 0) {
    fputs(" body=", f);
    escaped(f, body == NULL ? "" : body, body == NULL ? 0 : len);
    const char *trailers = evy_body_trailers(req, &len);
    fprintf(f, " trailers=%d", pairs(f, trailers, trailers == NULL ? 0 : len, "trailer(", ")"));
  }
}

static void on_request(void *user, evy_req *req) {
  (void)user;
  const char *port = evy_env_get(req, "REMOTE_PORT", NULL);
  atomic_fetch_add(&handled[(uint16_t)atoi(port == NULL ? "0" : port)], 1);
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  if (f == NULL) {
    abort();
  }
  fputs("X-Saw", f);
  fputc('\0', f);
  describe(f, req);
  fputc('\0', f);
  fclose(f);
  evy_status st = evy_respond(req, 200, NULL, text, size, "seen\n", 5);
  if (st != EVY_OK) {
    fprintf(stderr, "evy_respond: %s\n", evy_strname(st));
  }
  free(text);
}

/* ---- the servers ------------------------------------------------------------------ */

static int make(char **options, int count) {
  evy_config *cfg = evy_config_new();
  evy_status st = evy_config_listen(cfg, "127.0.0.1:0", NULL);
  for (int i = 0; i < count && st == EVY_OK; i++) {
    char *equals = strchr(options[i], '=');
    *equals = '\0';
    st = evy_config_set(cfg, options[i], equals + 1);
  }
  if (st == EVY_OK) {
    st = evy_config_on_request(cfg, on_request, NULL, NULL);
  }
  if (st == EVY_OK) {
    st = evy_server_new(cfg, &program.servers[program.count]);
  }
  if (st == EVY_OK) {
    st = evy_server_start(program.servers[program.count++]);
  }
  if (st != EVY_OK) {
    fprintf(stderr, "%s: %s\n", evy_strname(st), evy_config_error(cfg));
  }
  evy_config_free(cfg);
  return st == EVY_OK ? 0 : 1;
}

static void tell_handled(void) {
  for (int port = 0; port < 65536; port++) {
    unsigned count = atomic_exchange(&handled[port], 0);
    if (count > 0) {
      printf("%d=%u ", port, count);
    }
  }
  printf("\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  for (int first = 1, at = 1; at <= argc && program.count < GROUPS_MAX; at++) {
    if (at == argc || strcmp(argv[at], "--") == 0) {
      if (make(argv + first, at - first) != 0) {
        return 1;
      }
      first = at + 1;
    }
  }
  for (int i = 0; i < program.count; i++) {
    printf("%d ", evy_server_port(program.servers[i], 0));
  }
  printf("\n");
  fflush(stdout);
  char line[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    tell_handled();
  }
  for (int i = 0; i < program.count; i++) {
    evy_server_stop(program.servers[i], 0);
    evy_server_wait(program.servers[i], -1);
    evy_server_free(program.servers[i]);
  }
  return 0;
}
