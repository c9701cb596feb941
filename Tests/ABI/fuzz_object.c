// SPDX-License-Identifier: MIT
// fuzz_object.c - random calls on configurations and TLS objects, and on the library itself.
#include "fuzz.h"
#include <string.h>

/* One of the actor's own, alive or freed; a callback has none. */
static evy_config *any_config(struct actor *a) {
  return a->in_callback || dice(a, 12) == 0 ? any_stranger(a) : PICK(a, a->configs);
}

static evy_tls *any_tls(struct actor *a) {
  return a->in_callback || dice(a, 12) == 0 ? any_stranger(a) : PICK(a, a->tls);
}

static const char *any_option(struct actor *a) {
  const char *name = evy_option_name((uint32_t)dice(a, 48));
  /* A text may be the name of a file, and a server on all processors' loops takes long. */
  bool is_safe = name != NULL && strcmp(evy_option_type(name), "text") != 0 && strcmp(name, "loops") != 0;
  return is_safe ? name : any_text(a);
}

static const char *any_value(struct actor *a) {
  static const char *const values[] = {"1",    "2",     "8",      "0",    "-1",    "4k",       "16k", "20ms",
                                       "50ms", "1s",    "true",   "off",  "stream", "auto",    "1.0", "debug",
                                       "error", "drop", "99999999999999999999", "", "both"};
  return dice(a, 8) == 0 ? any_text(a) : PICK(a, values);
}

static const char *any_address(struct actor *a) {
  static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0", "127.0.0.1:0?proxy=1",
      "unix:@evy-fuzz-abi",
      "fd://0", "fd://99999", "fd://-1", "systemd:none", "127.0.0.1:65536",
                                          "unix:/nonexistent/evy", "127.0.0.1:0?backlog=1&mode=9"};
  return dice(a, 8) == 0 ? any_text(a) : dice(a, 2) ? "127.0.0.1:0" : PICK(a, addresses);
}

/* On the library itself. */
#define ON_NOTHING(name, ...)                                                                          \
  static void do_##name(struct actor *a) {                                                             \
    (void)a;                                                                                           \
    __VA_ARGS__;                                                                                       \
  }
ON_NOTHING(evy_version, CALL("256", evy_version))
ON_NOTHING(evy_version_string, CALL("any", evy_version_string))
ON_NOTHING(evy_feature, CALL("0|1", evy_feature, any_text(a)))
ON_NOTHING(evy_strerror, CALL("any", evy_strerror, (int32_t)any_number(a)))
ON_NOTHING(evy_strname, CALL("any", evy_strname, (int32_t)any_number(a)))
ON_NOTHING(evy_end_name, CALL("any", evy_end_name, (int32_t)any_number(a)))
ON_NOTHING(evy_option_name, CALL("any", evy_option_name, (uint32_t)any_number(a)))
ON_NOTHING(evy_option_type, CALL("any", evy_option_type, any_option(a)))
ON_NOTHING(evy_option_default, CALL("any", evy_option_default, any_option(a)))
ON_NOTHING(evy_option_help, CALL("any", evy_option_help, any_option(a)))
ON_NOTHING(evy_counter_name, CALL("any", evy_counter_name, (uint32_t)any_number(a)))
ON_NOTHING(evy_counter_type, CALL("any", evy_counter_type, (uint32_t)any_number(a)))
ON_NOTHING(evy_counter_help, CALL("any", evy_counter_help, (uint32_t)any_number(a)))

#define ON_CONFIG(name, ...)                                                                           \
  static void do_##name(struct actor *a) {                                                             \
    evy_config *cfg = any_config(a);                                                                   \
    __VA_ARGS__;                                                                                       \
  }
ON_CONFIG(evy_config_set, CALL("OK|ARG|OPTION|VALUE", evy_config_set, cfg, any_option(a), any_value(a)))
ON_CONFIG(evy_config_set_int, CALL("OK|ARG|OPTION|VALUE", evy_config_set_int, cfg, any_option(a),
                                   dice(a, 2) ? (int64_t)dice(a, 9) : any_number(a)))
ON_CONFIG(evy_config_get, CALL("any", evy_config_get, cfg, any_option(a)))
ON_CONFIG(evy_config_env, CALL("OK|ARG", evy_config_env, cfg, any_text(a), any_text(a)))
ON_CONFIG(evy_config_listen, CALL("OK|ARG|VALUE|BIND|NOMEM|TLS", evy_config_listen, cfg, any_address(a),
                                  dice(a, 3) ? NULL : any_tls(a)))
ON_CONFIG(evy_config_listen_fd, CALL("ARG|VALUE", evy_config_listen_fd, cfg,
                                     dice(a, 2) ? 0 : (int)any_number(a) | INT32_MIN, any_tls(a)))
ON_CONFIG(evy_config_on_request, CALL("OK|ARG", evy_config_on_request, cfg,
                                      dice(a, 10) ? fuzz_request : NULL, a->world, DROP(on_request)))
ON_CONFIG(evy_config_on_log, CALL("OK|ARG", evy_config_on_log, cfg, dice(a, 10) ? fuzz_log : NULL,
                                  a->world, DROP(on_log)))
ON_CONFIG(evy_config_on_access, CALL("OK|ARG", evy_config_on_access, cfg, dice(a, 10) ? fuzz_access : NULL,
                                     a->world, DROP(on_access)))
ON_CONFIG(evy_config_python, CALL("ARG|UNSUPPORTED", evy_config_python, cfg, dice(a, 2) ? a : NULL))

/* After a failure there is a text. */
static void do_evy_config_error(struct actor *a) {
  evy_config *cfg = PICK(a, a->configs);
  if (evy_config_set(cfg, "no such option", "1") == EVY_E_OPTION) {
    const char *text = (const char *)CALL("any", evy_config_error, cfg);
    check(strstr(text, "no such option") != NULL, "text \"%s\"", text);
  } else {
    CALL("any", evy_config_error, any_config(a));
  }
}

static void do_evy_config_new(struct actor *a) {
  int place = (int)dice(a, OWN);
  if (a->in_callback || !a->config_freed[place]) {
    evy_config *cfg = (evy_config *)CALL("any", evy_config_new);
    evy_config_free(cfg);
    return;
  }
  evy_config *cfg = a->configs[place] = (evy_config *)CALL("any", evy_config_new);
  a->config_freed[place] = false;
  evy_config_listen(cfg, "127.0.0.1:0", NULL);
  evy_config_set(cfg, "error_log", "/dev/null");
  if (dice(a, 5) == 0) {
    evy_config_set(cfg, "pull", "on");
  } else {
    evy_config_on_request(cfg, fuzz_request, a->world, DROP(on_request));
  }
}

static void do_evy_config_free(struct actor *a) {
  int place = (int)dice(a, OWN);
  if (a->in_callback) {
    VOID_CALL(evy_config_free, a->world->stale_config);
    return;
  }
  VOID_CALL(evy_config_free, a->configs[place]); /* perhaps again */
  a->config_freed[place] = true;
}

#define ON_TLS(name, ...)                                                                              \
  static void do_##name(struct actor *a) {                                                             \
    evy_tls *tls = any_tls(a);                                                                         \
    __VA_ARGS__;                                                                                       \
  }
static const char *any_file(struct actor *a) {
  const char *const files[] = {cert_file, cert_file, key_file, plain_file, "/dev/null", "/nonexistent", NULL};
  return PICK(a, files);
}
ON_TLS(evy_tls_cert_file, CALL("OK|ARG|VALUE|TLS", evy_tls_cert_file, tls, dice(a, 4) ? NULL : any_text(a),
                               any_file(a), dice(a, 3) ? key_file : any_file(a), dice(a, 4) ? NULL : "x"))
ON_TLS(evy_tls_cert_mem, struct bytes b = any_bytes(a);
       CALL("ARG|VALUE|TLS", evy_tls_cert_mem, tls, dice(a, 4) ? NULL : any_text(a), b.start,
            any_length(a, b.len), b.start, any_length(a, b.len), NULL))
ON_TLS(evy_tls_client_ca_file, CALL("OK|ARG|TLS", evy_tls_client_ca_file, tls, (int32_t)dice(a, 4) - 1,
                                    any_file(a)))
ON_TLS(evy_tls_client_ca_mem, struct bytes b = any_bytes(a);
       CALL("OK|ARG|TLS", evy_tls_client_ca_mem, tls, (int32_t)dice(a, 4) - 1, b.start,
            any_length(a, b.len)))
ON_TLS(evy_tls_reload, CALL("OK|ARG|TLS", evy_tls_reload, dice(a, 2) ? a->world->tls : tls))
ON_TLS(evy_tls_error, CALL("any", evy_tls_error, dice(a, 2) ? a->world->tls : tls))

static void do_evy_tls_set(struct actor *a) {
  static const char *const keys[] = {"min_version", "max_version", "ciphers", "ciphersuites",
                                     "groups", "alpn", "tickets", "ticket_rotation", "ocsp_file"};
  static const char *const values[] = {"1.2", "1.3", "off", "1", "12h", "P-256", "http/1.1", "ALL", "1.1"};
  CALL("OK|ARG|OPTION|VALUE", evy_tls_set, any_tls(a), dice(a, 8) ? PICK(a, keys) : any_text(a),
       dice(a, 8) ? PICK(a, values) : any_text(a));
}

static void do_evy_tls_new(struct actor *a) {
  int place = (int)dice(a, OWN);
  if (a->in_callback || !a->tls_freed[place]) {
    evy_tls *tls = (evy_tls *)CALL("any", evy_tls_new);
    evy_tls_free(tls);
    return;
  }
  a->tls[place] = (evy_tls *)CALL("any", evy_tls_new);
  a->tls_freed[place] = false;
}

static void do_evy_tls_free(struct actor *a) {
  int place = (int)dice(a, OWN);
  if (a->in_callback) {
    VOID_CALL(evy_tls_free, a->world->stale_tls);
    return;
  }
  VOID_CALL(evy_tls_free, a->tls[place]);
  a->tls_freed[place] = true;
}

#define ROW(name, flags) {#name, do_##name, flags}
const struct call object_calls[] = {
    ROW(evy_version, PLAIN), ROW(evy_version_string, PLAIN), ROW(evy_feature, PLAIN),
    ROW(evy_strerror, PLAIN), ROW(evy_strname, PLAIN), ROW(evy_end_name, PLAIN),
    ROW(evy_option_name, PLAIN), ROW(evy_option_type, PLAIN), ROW(evy_option_default, PLAIN),
    ROW(evy_option_help, PLAIN), ROW(evy_counter_name, PLAIN), ROW(evy_counter_type, PLAIN),
    ROW(evy_counter_help, PLAIN), ROW(evy_config_new, BLOCKS), ROW(evy_config_free, BLOCKS),
    ROW(evy_config_set, BLOCKS), ROW(evy_config_set_int, BLOCKS), ROW(evy_config_get, BLOCKS),
    ROW(evy_config_error, BLOCKS), ROW(evy_config_env, BLOCKS), ROW(evy_config_listen, BLOCKS),
    ROW(evy_config_listen_fd, BLOCKS), ROW(evy_config_on_request, BLOCKS),
    ROW(evy_config_on_log, BLOCKS), ROW(evy_config_on_access, BLOCKS),
    ROW(evy_config_python, BLOCKS | LEFT_TO_FEW), ROW(evy_tls_new, BLOCKS), ROW(evy_tls_free, BLOCKS),
    ROW(evy_tls_cert_file, BLOCKS | LEFT_TO_FEW), ROW(evy_tls_cert_mem, BLOCKS | LEFT_TO_FEW),
    ROW(evy_tls_client_ca_file, BLOCKS | LEFT_TO_FEW), ROW(evy_tls_client_ca_mem, BLOCKS | LEFT_TO_FEW),
    ROW(evy_tls_set, BLOCKS), ROW(evy_tls_reload, BLOCKS | LEFT_TO_FEW), ROW(evy_tls_error, BLOCKS)};
const int object_call_count = sizeof object_calls / sizeof object_calls[0];
