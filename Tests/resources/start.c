// SPDX-License-Identifier: MIT
// start.c - makes and starts servers with fewer and fewer descriptors left, and tells how each attempt ended.
//   start FOLDER LOOPS [CERT KEY]
// One JSON line an attempt: {"left":n,"step":..,"status":..,"text":..,"leaked":n}
#include <dirent.h>
#include <evy.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *folder, *loops, *certificate, *key;

static int count_descriptors(void) {
  int count = 0;
  DIR *open_ones = opendir("/proc/self/fd");
  if (open_ones == NULL) {
    abort();
  }
  while (readdir(open_ones) != NULL) {
    count++;
  }
  closedir(open_ones);
  return count;
}

static void limit(rlim_t most) {
  struct rlimit both;
  getrlimit(RLIMIT_NOFILE, &both);
  both.rlim_cur = most;
  if (setrlimit(RLIMIT_NOFILE, &both) != 0) {
    abort();
  }
}

static void answer(void *user, evy_req *req) {
  (void)user;
  evy_respond(req, 200, NULL, NULL, 0, "x", 1);
}

static evy_status configure(evy_config *cfg) {
  char path[512];
  evy_config_on_request(cfg, answer, NULL, NULL);
  evy_config_set(cfg, "loops", loops);
  evy_config_set(cfg, "log_level", "error");
  snprintf(path, sizeof path, "%s/access.log", folder);
  evy_config_set(cfg, "access_log", path);
  snprintf(path, sizeof path, "%s/error.log", folder);
  evy_config_set(cfg, "error_log", path);
  snprintf(path, sizeof path, "unix:%s/socket", folder);
  evy_status st = evy_config_listen(cfg, path, NULL);
  return st != EVY_OK ? st : evy_config_listen(cfg, "localhost:0", NULL);
}

/* TLS comes first: its files are read by this call. */
static evy_status secure(evy_tls *tls, const char **text) {
  evy_status st = evy_tls_cert_file(tls, NULL, certificate, key, NULL);
  *text = evy_tls_error(tls);
  return st;
}

static void attempt(int left, int before) {
  const char *step = "tls", *text = "";
  char kept[600];
  evy_config *cfg = evy_config_new();
  evy_tls *tls = evy_tls_new();
  evy_server *server = NULL;
  limit((rlim_t)(before - 3 + left)); /* "." and "..", and the directory itself */
  evy_status st = certificate != NULL ? secure(tls, &text) : EVY_OK;
  if (st == EVY_OK) {
    step = "configure";
    st = configure(cfg);
    text = evy_config_error(cfg);
  }
  if (st == EVY_OK && certificate != NULL) {
    st = evy_config_listen(cfg, "127.0.0.1:0", tls);
    text = evy_config_error(cfg);
  }
  if (st == EVY_OK) {
    step = "new";
    st = evy_server_new(cfg, &server);
    text = evy_config_error(cfg);
  }
  if (st == EVY_OK) {
    step = "start";
    st = evy_server_start(server);
    text = evy_server_error(server);
  }
  snprintf(kept, sizeof kept, "%s", text);
  evy_server_free(server);
  evy_config_free(cfg);
  evy_tls_free(tls);
  limit(1000);
  printf("{\"left\":%d,\"step\":\"%s\",\"status\":\"%s\",\"text\":\"%s\",\"leaked\":%d}\n", left, step,
         evy_strname(st), kept, count_descriptors() - before);
}

int main(int argc, char **argv) {
  folder = argv[1];
  loops = argv[2];
  if (argc > 4) {
    certificate = argv[3];
    key = argv[4];
  }
  limit(1000);
  attempt(100, count_descriptors()); /* the first opens what stays open in the process */
  int before = count_descriptors();
  for (int left = 24; left >= 0; left--) {
    attempt(left, before);
  }
  return 0;
}
