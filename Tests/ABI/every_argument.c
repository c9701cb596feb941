// SPDX-License-Identifier: MIT
// every_argument.c - arguments that cannot be: lengths at the ends of their types, text that is none, blocks
// without a NUL behind them, times before all time.
#include "every.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define GIVES(wanted, call)                                                                            \
  do {                                                                                                 \
    long long got_ = (call);                                                                           \
    check(fits(wanted, got_), "%s gives %s, not %s (line %d)", #call, wanted, shown(got_), __LINE__);  \
  } while (0)

/* Longer than any object can be; EVY_NUL, the longest, means something else. */
static const size_t endless[] = {SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2, SIZE_MAX / 4,
                                 (size_t)INT64_MIN, ((size_t)1 << 47) + 1};
enum { ends = sizeof endless / sizeof endless[0] };
static const char not_utf8[] = "\xff\xfe\x80 \xc0\xaf \xed\xa0\x80 \xf8";

/* Exactly these bytes on the heap: a read behind them is seen. */
static char *block(const char *bytes, size_t len) {
  char *room = malloc(len);
  memcpy(room, bytes, len);
  return room;
}

static char *giant(size_t len) {
  char *text = malloc(len + 1);
  memset(text, 'a', len);
  text[len] = '\0';
  return text;
}

static void of_config(void) {
  evy_config *cfg = evy_config_new();
  char *much = giant(1 << 20);
  const char *wrong[] = {"", " ", "\n", not_utf8, much};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    GIVES("OPTION", evy_config_set(cfg, wrong[i], "1"));
    GIVES("OPTION", evy_config_set_int(cfg, wrong[i], 1));
    GIVES("VALUE", evy_config_set(cfg, "threads", wrong[i]));
    check(evy_config_error(cfg)[0] != '\0' && strlen(evy_config_error(cfg)) < 1024, "text of wrong %zu", i);
    check(evy_config_get(cfg, wrong[i]) == NULL, "an option that is none, %zu", i);
    check(evy_option_type(wrong[i]) == NULL && evy_option_help(wrong[i]) == NULL, "option %zu", i);
    GIVES("VALUE", evy_config_listen(cfg, wrong[i], NULL));
    GIVES("OK|ARG", evy_config_env(cfg, wrong[i], wrong[i]));
  }
  GIVES("VALUE", evy_config_set_int(cfg, "threads", INT64_MIN));
  GIVES("VALUE", evy_config_set_int(cfg, "threads", INT64_MAX));
  GIVES("VALUE", evy_config_set_int(cfg, "max_header_size", INT64_MAX));
  GIVES("VALUE", evy_config_set_int(cfg, "idle_timeout", INT64_MIN));
  GIVES("ARG", evy_config_listen_fd(cfg, INT_MIN, NULL));
  GIVES("ARG", evy_config_listen_fd(cfg, INT_MAX, NULL));
  GIVES("VALUE", evy_config_listen_fd(cfg, 0, NULL));
  /* What was lent stays where it is until the option is set again. */
  const char *lent = evy_config_get(cfg, "threads");
  check(lent == evy_config_get(cfg, "threads") && strcmp(lent, evy_option_default("threads")) == 0,
        "threads: %s", lent);
  evy_config_free(cfg);
  free(much);
}

static void of_tls(void) {
  evy_tls *tls = evy_tls_new();
  size_t cert_len, key_len;
  char *cert = contents(cert_file, &cert_len), *key = contents(key_file, &key_len), *much = giant(1 << 20);
  char *exact_cert = block(cert, cert_len), *exact_key = block(key, key_len);
  GIVES("OK", evy_tls_cert_mem(tls, NULL, exact_cert, cert_len, exact_key, key_len, NULL));
  GIVES("OK", evy_tls_client_ca_mem(tls, EVY_VERIFY_REQUIRE, exact_cert, cert_len));
  for (int i = 0; i < ends; i++) {
    GIVES("ARG", evy_tls_cert_mem(tls, NULL, cert, endless[i], key, key_len, NULL));
    GIVES("ARG", evy_tls_cert_mem(tls, NULL, cert, cert_len, key, endless[i], NULL));
    GIVES("ARG", evy_tls_client_ca_mem(tls, EVY_VERIFY_REQUIRE, cert, endless[i]));
    check(evy_tls_error(tls)[0] != '\0', "no text");
  }
  GIVES("ARG", evy_tls_client_ca_file(tls, INT32_MIN, cert_file));
  GIVES("ARG", evy_tls_client_ca_file(tls, INT32_MAX, cert_file));
  const char *wrong[] = {"", "\n", not_utf8, much};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    GIVES("OPTION", evy_tls_set(tls, wrong[i], "1"));
    GIVES("VALUE", evy_tls_set(tls, "min_version", wrong[i]));
    GIVES("VALUE", evy_tls_set(tls, "alpn", wrong[i]));
    GIVES("VALUE|TLS", evy_tls_cert_file(tls, wrong[i], cert_file, key_file, NULL));
    GIVES("TLS", evy_tls_cert_file(tls, NULL, wrong[i], key_file, NULL));
    GIVES("OK|TLS", evy_tls_cert_mem(tls, NULL, cert, cert_len, key, key_len, wrong[i]));
  }
  evy_tls_free(tls);
  free(cert), free(key), free(exact_cert), free(exact_key), free(much);
}

static void of_server(evy_server *server) {
  static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
  int64_t figures[64];
  char *exact = block("no NUL behind this", 18), room[4];
  for (int i = 0; i < ends; i++) {
    GIVES("ARG", evy_server_log(server, EVY_LOG_INFO, "x", endless[i]));
  }
  GIVES("OK", evy_server_log(server, EVY_LOG_ERROR, exact, 18));
  GIVES("OK", evy_server_log(server, EVY_LOG_ERROR, not_utf8, EVY_NUL));
  GIVES("ARG", evy_server_log(server, INT32_MIN, "x", 1));
  GIVES("ARG", evy_server_set_log_level(server, INT32_MAX));
  check(evy_server_error(server)[0] != '\0', "no text");
  GIVES("46", evy_server_counters(server, figures, 64));
  GIVES("ARG", evy_server_metrics(server, NULL, SIZE_MAX));
  GIVES("+", evy_server_metrics(server, room, sizeof room));
  check(room[0] == '\0', "half a text");
  GIVES("0", evy_server_port(server, UINT32_MAX));
  check(evy_server_address(server, UINT32_MAX) == NULL, "an address");
  GIVES("ARG", evy_server_next(server, 0, NULL, NULL));
  GIVES("ARG", evy_loop_post(server, NULL, NULL, NULL, DROP(posted)));
  GIVES("ARG", evy_timer_start(server, 0, 0, NULL, NULL, DROP(timer)));
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    bool is_negative = times[i] < 0;
    GIVES(is_negative ? "ARG" : "+", evy_timer_start(server, times[i], 0, see_task, NULL, DROP(timer)));
    GIVES(is_negative ? "ARG" : "+", evy_timer_start(server, 1000000, times[i], see_task, NULL, DROP(timer)));
    GIVES("STATE", evy_timer_stop(server, times[i]));
  }
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    GIVES("OK", evy_server_stop(server, times[i])); /* the last cannot lengthen the first */
  }
  GIVES("OK", evy_server_wait(server, INT64_MIN)); /* for ever */
  GIVES("OK", evy_server_wait(server, INT64_MAX));
  free(exact);
}

static void of_answer(evy_req *req, const char *head) {
  evy_slice much = {"x", 0};
  for (int i = 0; i < ends; i++) {
    much.len = endless[i];
    GIVES("ARG", evy_respond(req, 200, NULL, "", endless[i], NULL, 0));
    GIVES("ARG", evy_respond(req, 200, NULL, NULL, 0, "x", endless[i]));
    GIVES("ARG", evy_respond_ref(req, 200, NULL, NULL, 0, "x", endless[i], NULL, DROP(lent)));
    GIVES("ARG", evy_respond_ref(req, 200, NULL, "", endless[i], "x", 1, NULL, DROP(lent)));
    GIVES("ARG", evy_inform(req, 103, "", endless[i]));
    GIVES("ARG", evy_env_set(req, "a", "b", endless[i]));
    GIVES("ARG|OK", evy_resp_begin(req, 200, NULL, "", endless[i], -1));
    GIVES("ARG", evy_resp_write(req, "x", endless[i], 0));
    GIVES("ARG", evy_resp_write_ref(req, "x", endless[i], NULL, DROP(lent)));
    GIVES("ARG", evy_resp_writev(req, &much, 1, 0));
    GIVES("ARG", evy_resp_writev(req, &much, endless[i], 0));
    GIVES("ARG", evy_resp_end(req, "", endless[i]));
  }
  GIVES("ARG", evy_resp_writev(req, NULL, 1, 0));
  static const int32_t statuses[] = {INT32_MIN, -1, 0, 99, 101, 199, 600, INT32_MAX};
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    GIVES("ARG", evy_respond(req, statuses[i], NULL, NULL, 0, NULL, 0));
    GIVES("ARG", evy_resp_begin(req, statuses[i], NULL, NULL, 0, -1));
    GIVES(statuses[i] == 199 ? "OK" : "ARG", evy_inform(req, statuses[i], NULL, 0));
  }
  GIVES("ARG", evy_resp_begin(req, 200, NULL, NULL, 0, INT64_MIN));
  GIVES("FIELD", evy_respond(req, 200, NULL, head, 5, NULL, 0)); /* a name alone */
  GIVES("FIELD", evy_respond(req, 200, not_utf8 + 12, "a\0b\0\0c", 7, NULL, 0));
  GIVES("FIELD", evy_respond(req, 200, "no\r\nway", NULL, 0, NULL, 0));
}

/* The one request of the chapter. */
static void in_handler(void *user, evy_req *req) {
  char *head = block("a\0b\0c", 5), byte;
  (void)user;
  of_answer(req, head);
  GIVES("0", evy_body_read(req, &byte, SIZE_MAX / 2, INT64_MIN));
  GIVES("ARG", evy_body_read(req, &byte, 0, 0));
  GIVES("-1", evy_req_stat(req, INT32_MIN));
  GIVES("-1", evy_req_stat(req, INT32_MAX));
  check(evy_env_at(req, UINT32_MAX, NULL, NULL) == NULL, "an entry");
  check(evy_env_get(req, not_utf8, NULL) == NULL, "an entry");
  GIVES("OK", evy_env_set(req, not_utf8, not_utf8, EVY_NUL));
  check(evy_env_get(req, not_utf8, NULL) != NULL, "no entry");
  GIVES("ARG", evy_req_take_socket(req, NULL));
  GIVES("OK", evy_resp_begin(req, 200, NULL, NULL, 0, INT64_MAX));
  GIVES("OK", evy_resp_write(req, "0123456789", 10, INT64_MIN));
  GIVES("ARG", evy_resp_file(req, -1, 0, -1));
  GIVES("ARG", evy_resp_file(req, INT_MAX, 0, -1));
  GIVES("ARG", evy_resp_file(req, 0, INT64_MAX, INT64_MAX));
  GIVES("ARG", evy_resp_file(req, 0, INT64_MIN, INT64_MIN));
  GIVES("OK", evy_resp_end(req, NULL, 0)); /* short of its length: cut */
  free(head);
}

void every_argument(void) {
  evy_server *server = NULL;
  evy_config *cfg = ready_config(in_handler, NULL);
  evy_config_on_log(cfg, see_line, NULL, DROP(on_log));
  of_config();
  of_tls();
  check(evy_server_new(cfg, &server) == EVY_OK && evy_server_start(server) == EVY_OK, "no server");
  evy_config_free(cfg);
  check(fetch(evy_server_port(server, 0), "/") == 199, "no answer"); /* the first that is heard */
  of_server(server);
  evy_server_free(server);
}
