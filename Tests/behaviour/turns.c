// SPDX-License-Identifier: MIT
// turns.c - a host that turns its loop when it is told to; prints "ready PORT [PORT]": plain, over TLS.
//   turns FILE CERT KEY
// A line on stdin is a turn; "handled N sent N" answers it: requests so far, and bytes the kernel took.
// The answers are FILE: GET /copied, /lent, /written (one piece of a stream) and /file; that of /small is
// empty.  Its end stops it.
#include <evy.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int file;
static const void *bytes;
static size_t size;
static int handled;

static void must(bool good, const char *what) {
  if (!good) {
    fprintf(stderr, "turns: %s\n", what);
    exit(1);
  }
}

static void answer(void *user, evy_req *req) {
  const char *path = evy_env_get(req, "PATH_INFO", NULL);
  (void)user;
  handled++;
  if (strcmp(path, "/small") == 0) {
    must(evy_respond(req, 200, NULL, NULL, 0, "", 0) == EVY_OK, path);
    return;
  }
  if (strcmp(path, "/copied") == 0) {
    must(evy_respond(req, 200, NULL, NULL, 0, bytes, size) == EVY_OK, path);
    return;
  }
  if (strcmp(path, "/lent") == 0) {
    must(evy_respond_ref(req, 200, NULL, NULL, 0, bytes, size, NULL, NULL) == EVY_OK, path);
    return;
  }
  must(evy_resp_begin(req, 200, NULL, NULL, 0, (int64_t)size) == EVY_OK, "begin");
  must((strcmp(path, "/file") == 0 ? evy_resp_file(req, file, 0, -1)
                                   : evy_resp_write(req, bytes, size, 0)) >= EVY_OK,
       path);
  must(evy_resp_end(req, NULL, 0) == EVY_OK, "end");
}

static evy_server *make(const char *certificate, const char *key) {
  evy_server *server = NULL;
  evy_config *cfg = evy_config_new();
  evy_tls *tls = evy_tls_new();
  must(evy_tls_cert_file(tls, NULL, certificate, key, NULL) == EVY_OK, "certificate");
  evy_config_on_request(cfg, answer, NULL, NULL);
  must(evy_config_listen(cfg, "127.0.0.1:0", NULL) == EVY_OK, "listen");
  must(evy_config_listen(cfg, "127.0.0.1:0", tls) == EVY_OK, "listen over TLS");
  must(evy_server_new(cfg, &server) == EVY_OK, "server");
  evy_tls_free(tls);
  evy_config_free(cfg);
  return server;
}

int main(int argc, char **argv) {
  struct stat facts;
  char line[16];
  must(argc == 4, "FILE CERT KEY");
  setvbuf(stdout, NULL, _IOLBF, 0);
  file = open(argv[1], O_RDONLY | O_CLOEXEC);
  must(file >= 0 && fstat(file, &facts) == 0, argv[1]);
  size = (size_t)facts.st_size;
  bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
  must(bytes != MAP_FAILED, "mmap");
  evy_server *server = make(argv[2], argv[3]);
  must(evy_server_step(server, 0) == EVY_OK, "the first step");
  printf("ready %d %d\n", (int)evy_server_port(server, 0), (int)evy_server_port(server, 1));
  while (fgets(line, sizeof line, stdin) != NULL) {
    int64_t figures[EVY_N_BYTES_OUT + 1];
    must(evy_server_step(server, 0) == EVY_OK, "step");
    must(evy_server_counters(server, figures, EVY_N_BYTES_OUT + 1) > EVY_N_BYTES_OUT, "counters");
    printf("handled %d sent %lld\n", handled, (long long)figures[EVY_N_BYTES_OUT]);
  }
  evy_server_free(server);
  return 0;
}
