// SPDX-License-Identifier: MIT
// misuse.c - wrong use of the library, options, addresses and TLS: each gives a status and a text.
//   misuse CHAPTER CERT KEY OTHER_CERT OTHER_KEY LOCKED_CERT LOCKED_KEY
#include "misuse.h"
#include <stdlib.h>
#include <string.h>

struct misuse misuse;

bool check_at(const char *file, int line, const char *what, bool good) {
  misuse.checks++;
  if (!good) {
    misuse.failed++;
    printf("%s:%d: not so: %s\n", file, line, what);
  }
  return good;
}

bool status_at(const char *file, int line, const char *what, long long got, long long wanted) {
  bool good = check_at(file, line, what, got == wanted);
  if (!good) {
    printf("  gave %lld (%s), wanted %lld (%s)\n", got, evy_strname((evy_status)got), wanted,
           evy_strname((evy_status)wanted));
  }
  return good;
}

bool text_at(const char *file, int line, const char *what, const char *text, const char *part) {
  bool good = check_at(file, line, what, text != NULL && strstr(text, part) != NULL);
  if (!good) {
    printf("  text \"%s\" does not name \"%s\"\n", text == NULL ? "(null)" : text, part);
  }
  return good;
}

void drop_counted(void *user) { ++*(int *)user; }

static void chapter_library(void) {
  CHECK(evy_version() == EVY_VERSION_NUM);
  NAMES(evy_version_string(), "0.1.0");
  NAMES(evy_version_string(), "OpenSSL");
  CHECK(evy_feature("tls") == 1 && evy_feature("http/1.1") == 1);
  CHECK(evy_feature("no such") == 0 && evy_feature("") == 0 && evy_feature(NULL) == 0);
  for (evy_status code = EVY_E_INTERNAL; code <= EVY_END; code++) {
    CHECK(evy_strerror(code)[0] != '\0' && strcmp(evy_strerror(code), "unknown status") != 0);
    CHECK(strncmp(evy_strname(code), "EVY_", 4) == 0 && strcmp(evy_strname(code), "EVY_?") != 0);
  }
  CHECK(strcmp(evy_strname(EVY_OK), "EVY_OK") == 0);
  CHECK(strcmp(evy_strname(EVY_E_BIND), "EVY_E_BIND") == 0);
  for (int i = 0; i < 3; i++) {
    evy_status code = (evy_status[]){3, -18, INT32_MIN}[i];
    CHECK(strcmp(evy_strerror(code), "unknown status") == 0);
    CHECK(strcmp(evy_strname(code), "EVY_?") == 0);
  }
  CHECK(strcmp(evy_end_name(EVY_END_COMPLETE), "complete") == 0);
  CHECK(strcmp(evy_end_name(EVY_END_CLIENT_RESET), "client-reset") == 0);
  CHECK(strcmp(evy_end_name(EVY_END_IO), "io") == 0);
  CHECK(strcmp(evy_end_name(12), "?") == 0 && strcmp(evy_end_name(-1), "?") == 0);
}

static void chapter_config(void) {
  evy_config_free(NULL);
  evy_tls_free(NULL);
  GIVES(EVY_E_ARG, evy_config_set(NULL, "threads", "8"));
  GIVES(EVY_E_ARG, evy_config_set_int(NULL, "threads", 8));
  GIVES(EVY_E_ARG, evy_config_env(NULL, "a", "b"));
  GIVES(EVY_E_ARG, evy_config_listen(NULL, ":0", NULL));
  GIVES(EVY_E_ARG, evy_config_listen_fd(NULL, 0, NULL));
  CHECK(evy_config_get(NULL, "threads") == NULL);
  const char *none = evy_config_error(NULL);
  CHECK(none == NULL || none[0] == '\0');
  evy_config *cfg = evy_config_new();
  CHECK(strcmp(evy_config_error(cfg), "") == 0);
  GIVES(EVY_E_ARG, evy_config_set(cfg, NULL, "8"));
  GIVES(EVY_E_ARG, evy_config_set(cfg, "threads", NULL));
  GIVES(EVY_E_ARG, evy_config_set_int(cfg, NULL, 1));
  CHECK(evy_config_get(cfg, NULL) == NULL && evy_config_get(cfg, "nonsense") == NULL);
  GIVES(EVY_E_ARG, evy_config_env(cfg, NULL, "b"));
  GIVES(EVY_E_ARG, evy_config_env(cfg, "a", NULL));
  GIVES(EVY_E_ARG, evy_config_env(cfg, "", "b"));
  GIVES(EVY_E_ARG, evy_config_listen(cfg, NULL, NULL));
  GIVES(EVY_E_ARG, evy_config_listen_fd(cfg, -1, NULL));
  GIVES(EVY_E_ARG, evy_config_listen_fd(cfg, 100000, NULL));
  evy_config_free(cfg);
}

static void wrong_value(evy_config *cfg, const char *key, const char *value) {
  const char *before = evy_config_get(cfg, key);
  char *copy = before == NULL ? NULL : strdup(before);
  if (!GIVES(EVY_E_VALUE, evy_config_set(cfg, key, value))) {
    printf("  %s=%s\n", key, value);
  }
  NAMES(evy_config_error(cfg), key);
  NAMES(evy_config_error(cfg), value);
  CHECK(copy != NULL && strcmp(evy_config_get(cfg, key), copy) == 0); /* the old value stays */
  free(copy);
}

/* Every row of the table: known type, help, and a default that can be set again. */
static void check_table(evy_config *cfg) {
  uint32_t count = 0;
  for (const char *key; (key = evy_option_name(count)) != NULL; count++) {
    const char *type = evy_option_type(key), *standard = evy_option_default(key);
    CHECK(type != NULL && strstr("|int|size|time|bool|text|choice|", type) != NULL);
    CHECK(evy_option_help(key) != NULL && evy_option_help(key)[0] != '\0');
    if (CHECK(standard != NULL && evy_config_get(cfg, key) != NULL)) {
      if (!GIVES(EVY_OK, evy_config_set(cfg, key, standard))) {
        printf("  default of %s: %s\n", key, standard);
      }
    }
    if (type != NULL && strcmp(type, "text") != 0) {
      wrong_value(cfg, key, "many");
    }
  }
  CHECK(count > 30);
  CHECK(evy_option_name(count) == NULL && evy_option_name(UINT32_MAX) == NULL);
  CHECK(evy_option_type("nonsense") == NULL && evy_option_type(NULL) == NULL);
  CHECK(evy_option_default("nonsense") == NULL && evy_option_default(NULL) == NULL);
  CHECK(evy_option_help("nonsense") == NULL && evy_option_help(NULL) == NULL);
}

static void chapter_options(void) {
  evy_config *cfg = evy_config_new();
  check_table(cfg);
  GIVES(EVY_E_OPTION, evy_config_set(cfg, "colour", "red"));
  NAMES(evy_config_error(cfg), "colour");
  GIVES(EVY_E_OPTION, evy_config_set_int(cfg, "colour", 1));
  GIVES(EVY_E_OPTION, evy_config_set(cfg, "", "1"));
  static const char *const wrong[][2] = {
      {"threads", ""},        {"threads", "0"},         {"threads", "-3"},     {"threads", "8x"},
      {"threads", "99999999999999999999"},              {"header_timeout", "5y"},
      {"header_timeout", "-2s"}, {"max_header_size", "1q"}, {"max_header_size", "99999999999g"},
      {"keep_alive", "perhaps"}, {"body", "both"},       {"log_level", "loud"}, {"max_http_version", "2"},
      {"underscore_headers", ""}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    wrong_value(cfg, wrong[i][0], wrong[i][1]);
  }
  GIVES(EVY_E_VALUE, evy_config_set(cfg, "access_log_format", "%(nonsense)s"));
  NAMES(evy_config_error(cfg), "access_log_format");
  NAMES(evy_config_error(cfg), "nonsense");
  static const char *const right[][2] = {
      {"threads", "8"},           {"header_timeout", "30s"}, {"header_timeout", "500ms"},
      {"header_timeout", "2m"},   {"idle_timeout", "-1"},    {"max_body_size", "64k"},
      {"max_body_size", "16m"},   {"max_body_size", "1g"},   {"keep_alive", "on"},
      {"keep_alive", "yes"},      {"keep_alive", "1"},       {"keep_alive", "true"},
      {"keep_alive", "false"},    {"body", "stream"},        {"log_level", "debug"}};
  for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
    GIVES(EVY_OK, evy_config_set(cfg, right[i][0], right[i][1]));
  }
  GIVES(EVY_OK, evy_config_set_int(cfg, "threads", 4));
  CHECK(strcmp(evy_config_get(cfg, "threads"), "4") == 0);
  GIVES(EVY_OK, evy_config_set_int(cfg, "header_timeout", 250));
  GIVES(EVY_OK, evy_config_set_int(cfg, "keep_alive", 0));
  GIVES(EVY_E_VALUE, evy_config_set_int(cfg, "threads", INT64_MIN));
  GIVES(EVY_E_VALUE, evy_config_set_int(cfg, "body", 1));
  char *giant = malloc(1 << 20);
  memset(giant, 'a', (1 << 20) - 1);
  giant[(1 << 20) - 1] = '\0';
  GIVES(EVY_E_OPTION, evy_config_set(cfg, giant, "1"));
  GIVES(EVY_E_VALUE, evy_config_set(cfg, "threads", giant));
  free(giant);
  evy_config_free(cfg);
}

static void chapter_listen(void) {
  evy_config *cfg = evy_config_new();
  evy_tls *empty = evy_tls_new();
  static const char *const wrong[] = {"",       "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
                                      "[::1",   "[::1]",     "::1:80x",    "unix:",           "host:-1",
                                      "a b:80", "unix:/tmp/x?mode=888"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    GIVES(EVY_E_VALUE, evy_config_listen(cfg, wrong[i], NULL));
    NAMES(evy_config_error(cfg), wrong[i]);
  }
  GIVES(EVY_E_TLS, evy_config_listen(cfg, "127.0.0.1:0", empty));
  NAMES(evy_config_error(cfg), "certificate");
  evy_tls_free(empty);
  /* Never clear text instead. */
  GIVES(EVY_E_ARG, evy_config_listen(cfg, "127.0.0.1:0", empty));
  NAMES(evy_config_error(cfg), "TLS object");
  GIVES(EVY_E_ARG, evy_config_listen(cfg, "127.0.0.1:0", (evy_tls *)cfg));
  evy_config_free(cfg);
}

static char *contents(const char *path, size_t *len) {
  FILE *f = fopen(path, "rb");
  char *text = calloc(1, 65536);
  *len = f == NULL ? 0 : fread(text, 1, 65535, f);
  if (f != NULL) {
    fclose(f);
  }
  return text;
}

static void tls_memory(evy_tls *tls) {
  size_t cert_len, key_len;
  char *cert = contents(misuse.cert, &cert_len), *key = contents(misuse.key, &key_len);
  GIVES(EVY_OK, evy_tls_cert_mem(tls, NULL, cert, cert_len, key, key_len, NULL));
  GIVES(EVY_OK, evy_tls_cert_mem(tls, NULL, cert, EVY_NUL, key, EVY_NUL, NULL));
  GIVES(EVY_E_TLS, evy_tls_cert_mem(tls, NULL, cert, cert_len, NULL, 0, NULL)); /* no key in it */
  GIVES(EVY_E_TLS, evy_tls_cert_mem(tls, NULL, cert, cert_len / 2, key, key_len, NULL));
  GIVES(EVY_E_TLS, evy_tls_cert_mem(tls, NULL, "rubbish", 7, key, key_len, NULL));
  GIVES(EVY_E_TLS, evy_tls_cert_mem(tls, NULL, cert, 0, key, key_len, NULL));
  GIVES(EVY_E_ARG, evy_tls_cert_mem(tls, NULL, NULL, 0, key, key_len, NULL));
  GIVES(EVY_E_ARG, evy_tls_cert_mem(NULL, NULL, cert, cert_len, key, key_len, NULL));
  memcpy(cert + cert_len, key, key_len); /* both in one block */
  GIVES(EVY_OK, evy_tls_cert_mem(tls, NULL, cert, cert_len + key_len, NULL, 0, NULL));
  free(cert);
  free(key);
}

static void tls_clients(evy_tls *tls) {
  size_t len;
  char *ca = contents(misuse.cert, &len);
  GIVES(EVY_E_ARG, evy_tls_client_ca_file(NULL, EVY_VERIFY_REQUIRE, misuse.cert));
  GIVES(EVY_E_ARG, evy_tls_client_ca_file(tls, EVY_VERIFY_REQUIRE, NULL));
  GIVES(EVY_E_ARG, evy_tls_client_ca_file(tls, 3, misuse.cert));
  NAMES(evy_tls_error(tls), "3");
  GIVES(EVY_E_TLS, evy_tls_client_ca_file(tls, EVY_VERIFY_REQUIRE, misuse.key));
  NAMES(evy_tls_error(tls), misuse.key);
  GIVES(EVY_OK, evy_tls_client_ca_file(tls, EVY_VERIFY_OPTIONAL, misuse.cert));
  GIVES(EVY_E_ARG, evy_tls_client_ca_mem(NULL, EVY_VERIFY_REQUIRE, ca, len));
  GIVES(EVY_E_ARG, evy_tls_client_ca_mem(tls, EVY_VERIFY_REQUIRE, NULL, 0));
  GIVES(EVY_E_ARG, evy_tls_client_ca_mem(tls, -1, ca, len));
  GIVES(EVY_E_TLS, evy_tls_client_ca_mem(tls, EVY_VERIFY_REQUIRE, ca, len / 2));
  GIVES(EVY_OK, evy_tls_client_ca_mem(tls, EVY_VERIFY_REQUIRE, ca, len));
  GIVES(EVY_OK, evy_tls_client_ca_mem(tls, EVY_VERIFY_NONE, NULL, 0));
  GIVES(EVY_OK, evy_tls_client_ca_file(tls, EVY_VERIFY_NONE, NULL));
  GIVES(EVY_E_ARG, evy_tls_reload(NULL));
  GIVES(EVY_OK, evy_tls_reload(tls)); /* no listener has it yet */
  evy_tls *fresh = evy_tls_new();
  GIVES(EVY_E_TLS, evy_tls_reload(fresh));
  NAMES(evy_tls_error(fresh), "no certificate");
  GIVES(EVY_E_VALUE, evy_tls_cert_file(fresh, "no name", misuse.cert, misuse.key, NULL));
  NAMES(evy_tls_error(fresh), "no name");
  GIVES(EVY_OK, evy_tls_cert_file(fresh, "a.org", misuse.cert, misuse.key, NULL));
  GIVES(EVY_OK, evy_tls_cert_file(fresh, "*.a.org", misuse.cert, misuse.key, NULL));
  GIVES(EVY_OK, evy_tls_reload(fresh));
  evy_tls_free(fresh);
  free(ca);
}

static void chapter_tls(void) {
  evy_tls *tls = evy_tls_new();
  CHECK(strcmp(evy_tls_error(tls), "") == 0);
  GIVES(EVY_E_ARG, evy_tls_cert_file(NULL, NULL, misuse.cert, misuse.key, NULL));
  GIVES(EVY_E_ARG, evy_tls_cert_file(tls, NULL, NULL, misuse.key, NULL));
  GIVES(EVY_OK, evy_tls_cert_file(tls, NULL, misuse.cert, misuse.key, NULL));
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, "/nonexistent/cert.pem", misuse.key, NULL));
  NAMES(evy_tls_error(tls), "/nonexistent/cert.pem");
  NAMES(evy_tls_error(tls), "No such file");
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, misuse.cert, "/nonexistent/key.pem", NULL));
  NAMES(evy_tls_error(tls), "/nonexistent/key.pem");
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, misuse.cert, misuse.other_key, NULL));
  NAMES(evy_tls_error(tls), misuse.other_key);
  NAMES(evy_tls_error(tls), misuse.cert);
  NAMES(evy_tls_error(tls), "match");
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, misuse.key, misuse.key, NULL)); /* no certificate in it */
  NAMES(evy_tls_error(tls), misuse.key);
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, misuse.cert, NULL, NULL)); /* no key in it */
  NAMES(evy_tls_error(tls), misuse.cert);
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, "/dev/null", NULL, NULL));
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, "/", NULL, NULL));
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, misuse.locked_cert, misuse.locked_key, NULL));
  NAMES(evy_tls_error(tls), misuse.locked_key);
  GIVES(EVY_E_TLS, evy_tls_cert_file(tls, NULL, misuse.locked_cert, misuse.locked_key, "wrong"));
  NAMES(evy_tls_error(tls), misuse.locked_key);
  GIVES(EVY_OK, evy_tls_cert_file(tls, NULL, misuse.locked_cert, misuse.locked_key, "sesame"));
  tls_memory(tls);
  tls_clients(tls);
  GIVES(EVY_E_ARG, evy_tls_set(NULL, "min_version", "1.2"));
  GIVES(EVY_E_ARG, evy_tls_set(tls, NULL, "1.2"));
  GIVES(EVY_E_ARG, evy_tls_set(tls, "min_version", NULL));
  GIVES(EVY_E_OPTION, evy_tls_set(tls, "colour", "red"));
  NAMES(evy_tls_error(tls), "colour");
  static const char *const wrong[][2] = {
      {"min_version", "1.1"}, {"max_version", "2"},     {"min_version", ""},
      {"ciphers", "NO-SUCH"}, {"ciphersuites", "NONE"}, {"groups", "P-0"}};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    GIVES(EVY_E_VALUE, evy_tls_set(tls, wrong[i][0], wrong[i][1]));
    NAMES(evy_tls_error(tls), wrong[i][0]);
    NAMES(evy_tls_error(tls), wrong[i][1]);
  }
  GIVES(EVY_OK, evy_tls_set(tls, "min_version", "1.3"));
  GIVES(EVY_OK, evy_tls_set(tls, "groups", "P-256"));
  const char *none = evy_tls_error(NULL);
  CHECK(none == NULL || none[0] == '\0');
  evy_tls_free(tls);
}

static void log_nothing(void *user, int32_t level, const char *text, size_t len) {
  (void)user, (void)level, (void)text, (void)len;
}
static void access_nothing(void *user, evy_req *req, const char *line, size_t len) {
  (void)user, (void)req, (void)line, (void)len;
}

/* drop comes exactly once: for what was refused, for what was replaced, and at the end. */
static void chapter_drops(void) {
  int refused = 0, replaced = 0, kept = 0, none = 0, logs = 0, access = 0;
  GIVES(EVY_E_ARG, evy_config_on_request(NULL, answer_hello, &refused, drop_counted));
  CHECK(refused == 1);
  evy_config *cfg = evy_config_new();
  GIVES(EVY_E_ARG, evy_config_on_request(cfg, NULL, &none, drop_counted));
  CHECK(none == 1);
  GIVES(EVY_E_ARG, evy_config_python(NULL, &none));
  GIVES(EVY_E_ARG, evy_config_python(cfg, NULL));
  NAMES(evy_config_error(cfg), "NULL");
  GIVES(EVY_E_UNSUPPORTED, evy_config_python(cfg, &none)); /* not a Python program */
  NAMES(evy_config_error(cfg), "Py");
  GIVES(EVY_E_ARG, evy_config_on_log(NULL, log_nothing, &refused, drop_counted));
  GIVES(EVY_E_ARG, evy_config_on_access(NULL, access_nothing, &refused, drop_counted));
  CHECK(refused == 3);
  GIVES(EVY_OK, evy_config_on_request(cfg, answer_hello, &replaced, drop_counted));
  GIVES(EVY_OK, evy_config_on_request(cfg, answer_hello, &kept, drop_counted));
  GIVES(EVY_OK, evy_config_on_log(cfg, log_nothing, &logs, drop_counted));
  GIVES(EVY_OK, evy_config_on_access(cfg, access_nothing, &access, drop_counted));
  GIVES(EVY_OK, evy_config_listen(cfg, "127.0.0.1:0", NULL));
  evy_server *server = NULL;
  GIVES(EVY_OK, evy_server_new(cfg, &server));
  evy_config_free(cfg);
  CHECK(replaced == 1 && kept == 0 && logs == 0 && access == 0);
  GIVES(EVY_OK, evy_server_start(server));
  CHECK(fetch(evy_server_port(server, 0)) == 1);
  evy_server_free(server);
  CHECK(kept == 1 && logs == 1 && access == 1 && replaced == 1 && refused == 3 && none == 1);
  cfg = evy_config_new();
  GIVES(EVY_OK, evy_config_on_request(cfg, answer_hello, &kept, drop_counted));
  evy_config_free(cfg); /* never used by a server */
  CHECK(kept == 2);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } chapters[] = {{"library", chapter_library}, {"config", chapter_config},
                  {"options", chapter_options}, {"listen", chapter_listen},
                  {"tls", chapter_tls},         {"drops", chapter_drops},
                  {"server", chapter_server},   {"free-order", chapter_free_order},
                  {"fork", chapter_fork},       {"null-request", chapter_null_request},
                  {"in-handler", chapter_in_handler}, {"seeing", chapter_seeing}};
  if (argc != 8) {
    fprintf(stderr, "misuse CHAPTER CERT KEY OTHER_CERT OTHER_KEY LOCKED_CERT LOCKED_KEY\n");
    return 2;
  }
  misuse = (struct misuse){argv[2], argv[3], argv[4], argv[5], argv[6], argv[7], 0, 0};
  for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++) {
    if (strcmp(chapters[i].name, argv[1]) == 0) {
      chapters[i].run();
    }
  }
  printf("%d checks, %d failed\n", misuse.checks, misuse.failed);
  return misuse.failed == 0 ? 0 : 1;
}
