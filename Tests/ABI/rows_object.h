// SPDX-License-Identifier: MIT
// rows_object.h - one row for each function without a request: a harmless call, and what it gives.
// LIBRARY: for all. CONFIG, TLS, SERVER with their handle h, by its state:
//   0 none (NULL, freed, or of another kind)   1 fresh   2 in use: of a running server
// SERVER also: 3 in one of its handlers   4 stopped   5 in a forked child, fresh or running in the parent
// Included twice; the macros say what becomes of a row.
LIBRARY(evy_version, "256", evy_version())
LIBRARY(evy_version_string, "1", evy_version_string() != NULL)
LIBRARY(evy_feature, "0", evy_feature("\xff\xfe"))
LIBRARY(evy_strerror, "1", evy_strerror(INT32_MIN) != NULL && evy_strerror(INT32_MAX) != NULL)
LIBRARY(evy_strname, "1", evy_strname(INT32_MIN) != NULL && evy_strname(INT32_MAX) != NULL)
LIBRARY(evy_end_name, "1", evy_end_name(INT32_MIN) != NULL && evy_end_name(INT32_MAX) != NULL)
LIBRARY(evy_option_name, "1", evy_option_name(0) != NULL && evy_option_name(UINT32_MAX) == NULL)
LIBRARY(evy_option_type, "0", evy_option_type("\xff\xfe") != NULL)
LIBRARY(evy_option_default, "0", evy_option_default("\xff\xfe") != NULL)
LIBRARY(evy_option_help, "0", evy_option_help("\xff\xfe") != NULL)
LIBRARY(evy_counter_name, "1", evy_counter_name(0) != NULL && evy_counter_name(UINT32_MAX) == NULL)
LIBRARY(evy_counter_type, "1", evy_counter_type(0) != NULL && evy_counter_type(UINT32_MAX) == NULL)
LIBRARY(evy_counter_help, "1", evy_counter_help(0) != NULL && evy_counter_help(UINT32_MAX) == NULL)
LIBRARY(evy_config_new, "1", made_config())
LIBRARY(evy_tls_new, "1", made_tls())

CONFIG(evy_config_free, "0", "0", "0", (evy_config_free(h), 0))
CONFIG(evy_config_set, "ARG", "OK", "OK", evy_config_set(h, "threads", "3"))
CONFIG(evy_config_set_int, "ARG", "OK", "OK", evy_config_set_int(h, "threads", 3))
CONFIG(evy_config_get, "0", "1", "1", evy_config_get(h, "threads") != NULL)
CONFIG(evy_config_error, "0", "1", "1", evy_config_error(h) != NULL)
CONFIG(evy_config_env, "ARG", "OK", "OK", evy_config_env(h, "a", "b"))
CONFIG(evy_config_listen, "ARG", "OK", "OK", evy_config_listen(h, "127.0.0.1:0", NULL))
CONFIG(evy_config_listen_fd, "ARG", "ARG", "ARG", evy_config_listen_fd(h, -1, NULL))
CONFIG(evy_config_on_request, "ARG", "OK", "OK",
       evy_config_on_request(h, see_request, NULL, DROP(on_request)))
CONFIG(evy_config_on_log, "ARG", "OK", "OK", evy_config_on_log(h, see_line, NULL, DROP(on_log)))
CONFIG(evy_config_on_access, "ARG", "OK", "OK", evy_config_on_access(h, see_access, NULL, DROP(on_access)))
CONFIG(evy_config_python, "ARG", "UNSUPPORTED", "UNSUPPORTED", evy_config_python(h, &out))
CONFIG(evy_server_new, "ARG", "ARG", "OK", (status = evy_server_new(h, &out), evy_server_free(out), status))

TLS(evy_tls_free, "0", "0", "0", (evy_tls_free(h), 0))
TLS(evy_tls_cert_file, "ARG", "OK", "OK", evy_tls_cert_file(h, NULL, cert_file, key_file, NULL))
TLS(evy_tls_cert_mem, "ARG", "TLS", "TLS", evy_tls_cert_mem(h, NULL, "x", 1, "x", 1, NULL))
TLS(evy_tls_client_ca_file, "ARG", "OK", "OK", evy_tls_client_ca_file(h, EVY_VERIFY_OPTIONAL, cert_file))
TLS(evy_tls_client_ca_mem, "ARG", "OK", "OK", evy_tls_client_ca_mem(h, EVY_VERIFY_NONE, NULL, 0))
TLS(evy_tls_set, "ARG", "OK", "OK", evy_tls_set(h, "min_version", "1.3"))
TLS(evy_tls_reload, "ARG", "TLS", "OK", evy_tls_reload(h))
TLS(evy_tls_error, "0", "1", "1", evy_tls_error(h) != NULL)

SERVER(evy_server_free, "0", "0", "0", "0", "0", "0", (evy_server_free(h), 0))
SERVER(evy_server_start, "ARG", "OK", "STATE", "STATE", "STATE", "FORKED", evy_server_start(h))
SERVER(evy_server_run, "ARG", "OK", "STATE", "STATE", "STATE", "FORKED", until_stopped(h, evy_server_run))
SERVER(evy_server_stop, "ARG", "OK", "OK", "OK", "OK", "FORKED", evy_server_stop(h, 0))
SERVER(evy_server_wait, "ARG", "STATE", "TIMEOUT", "STATE", "OK", "FORKED", evy_server_wait(h, 0))
SERVER(evy_server_error, "0", "1", "1", "1", "1", "1", evy_server_error(h) != NULL)
SERVER(evy_server_port, "0", "+", "+", "+", "+", "+", evy_server_port(h, 0))
SERVER(evy_server_address, "0", "1", "1", "1", "1", "1", evy_server_address(h, 0) != NULL)
SERVER(evy_server_fd, "-1", "+", "-1", "-1", "-1", "-1", evy_server_fd(h))
SERVER(evy_server_deadline, "-1", "any", "-1", "-1", "-1", "-1", evy_server_deadline(h))
SERVER(evy_server_step, "ARG", "OK", "STATE", "STATE", "STATE", "FORKED", evy_server_step(h, 0))
SERVER(evy_server_work, "ARG", "OK", "OK", "STATE", "OK", "FORKED", until_stopped(h, evy_server_work))
SERVER(evy_server_short, "ARG", "STATE", "STATE", "STATE", "STATE", "FORKED", evy_server_short(h, 0))
SERVER(evy_server_next, "ARG", "STATE", "STATE", "STATE", "STATE", "FORKED",
       evy_server_next(h, 0, &event, &request))
SERVER(evy_wake, "0", "0", "0", "0", "0", "0", (evy_wake(h), 0))
SERVER(evy_loop_post, "ARG", "OK", "OK", "OK", "STATE", "FORKED",
       evy_loop_post(h, NULL, see_task, NULL, DROP(posted)))
SERVER(evy_timer_start, "ARG", "+", "+", "+", "STATE", "FORKED",
       evy_timer_start(h, 1000, 0, see_task, NULL, DROP(timer)))
SERVER(evy_timer_stop, "ARG", "STATE", "STATE", "STATE", "STATE", "FORKED", evy_timer_stop(h, 1))
SERVER(evy_server_counters, "0", "46", "46", "46", "46", "0", evy_server_counters(h, figures, 64))
SERVER(evy_server_metrics, "ARG", "+", "+", "+", "+", "FORKED", evy_server_metrics(h, metrics, 16384))
SERVER(evy_server_log, "ARG", "OK", "OK", "OK", "OK", "FORKED", evy_server_log(h, EVY_LOG_INFO, "x", 1))
SERVER(evy_server_reopen_logs, "ARG", "OK", "OK", "OK", "OK", "FORKED", evy_server_reopen_logs(h))
SERVER(evy_server_set_log_level, "ARG", "OK", "OK", "OK", "OK", "FORKED",
       evy_server_set_log_level(h, EVY_LOG_ERROR))
SERVER(evy_server_log_level, "0", "+", "+", "+", "+", "+", evy_server_log_level(h))
