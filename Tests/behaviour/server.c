// SPDX-License-Identifier: MIT
// server.c - the test server: makes servers from its arguments, prints where they listen,
// obeys the commands on its standard input, and ends when that closes.
//   server [--listen ADDR | --listen-fd N | --tls CERT KEY | --tls-pass CERT KEY PASS |
//           --tls-set KEY VALUE | --cert NAME CERT KEY | --client-ca VERIFY FILE | --keep-tls |
//           --env NAME VALUE | --report FD | --callbacks | --access |
//           --quiet | --no-hooks | --second | --run | --pull N | --nofile N | option=value]...
// A --tls counts for the listeners after it.  Without a listener it takes 127.0.0.1:0.
#include "testserver.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct {
  evy_server *servers[2];
  bool second, run, log_callback, access_callback;
  long nofile;
  int listeners;
  int pullers; /* threads that take the requests (option pull) */
  pthread_t pulling[8];
} program;

static int fail(const char *what, const char *text) {
  fprintf(stderr, "%s: %s\n", what, text);
  return 1;
}

static int config_fail(const char *what, evy_status st, evy_config *cfg) {
  fprintf(stderr, "%s: %s: ", what, evy_strname(st));
  return fail("", evy_config_error(cfg));
}

/* ---- arguments ----------------------------------------------------------------------- */

static int set_option(evy_config *cfg, char *argument) {
  char *equals = strchr(argument, '=');
  if (equals == NULL) {
    return fail("unknown argument", argument);
  }
  *equals = '\0';
  evy_status st = evy_config_set(cfg, argument, equals + 1);
  return st == EVY_OK ? 0 : config_fail(argument, st, cfg);
}

static int listen_on(evy_config *cfg, const char *address, evy_tls *tls) {
  evy_status st = evy_config_listen(cfg, address, tls);
  program.listeners++;
  return st == EVY_OK ? 0 : config_fail(address, st, cfg);
}

static int load_pair(evy_tls **tls, char **argv, const char *pass) {
  if (*tls == NULL) {
    *tls = evy_tls_new();
  }
  evy_status st = evy_tls_cert_file(*tls, NULL, argv[0], argv[1], pass);
  return st == EVY_OK ? 0 : fail(evy_strname(st), evy_tls_error(*tls));
}

static bool set_flag(const char *name) {
  struct {
    const char *name;
    bool *flag;
  } flags[] = {{"--second", &program.second},         {"--run", &program.run},
               {"--callbacks", &program.log_callback}, {"--access", &program.access_callback},
               {"--quiet", &report_quiet}};
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
    if (strcmp(flags[i].name, name) == 0) {
      *flags[i].flag = true;
      return true;
    }
  }
  if (strcmp(name, "--no-hooks") == 0) {
    hooks_enabled = false;
    return true;
  }
  return false;
}

/* One argument with its values; *used is how many values it had. */
static int take(evy_config *cfg, evy_tls **tls, char **argv, int *used) {
  const char *name = argv[0];
  *used = 1;
  if (strcmp(name, "--listen") == 0) {
    return listen_on(cfg, argv[1], *tls);
  } else if (strcmp(name, "--listen-fd") == 0) {
    evy_status st = evy_config_listen_fd(cfg, atoi(argv[1]), *tls);
    program.listeners++;
    return st == EVY_OK ? 0 : config_fail(argv[1], st, cfg);
  } else if (strcmp(name, "--report") == 0) {
    report_fd = atoi(argv[1]);
    return 0;
  } else if (strcmp(name, "--nofile") == 0) {
    program.nofile = atol(argv[1]);
    return 0;
  } else if (strcmp(name, "--pull") == 0) {
    program.pullers = atoi(argv[1]);
    evy_status st = evy_config_set(cfg, "pull", "true");
    return st == EVY_OK ? 0 : config_fail(name, st, cfg);
  }
  *used = 2;
  if (strcmp(name, "--tls") == 0) {
    return load_pair(tls, argv + 1, NULL);
  } else if (strcmp(name, "--tls-set") == 0) {
    evy_status st = evy_tls_set(*tls, argv[1], argv[2]);
    return st == EVY_OK ? 0 : fail(evy_strname(st), evy_tls_error(*tls));
  } else if (strcmp(name, "--env") == 0) {
    evy_status st = evy_config_env(cfg, argv[1], argv[2]);
    return st == EVY_OK ? 0 : config_fail(argv[1], st, cfg);
  }
  *used = 3;
  if (strcmp(name, "--tls-pass") == 0) {
    return load_pair(tls, argv + 1, argv[3]);
  }
  int taken = tls_take(tls, argv, used);
  if (taken >= 0) {
    return taken;
  }
  *used = 0;
  return set_flag(name) ? 0 : set_option(cfg, argv[0]);
}

static int configure(evy_config *cfg, int argc, char **argv) {
  evy_tls *tls = NULL;
  int result = 0, used = 0;
  for (int i = 1; i < argc && result == 0; i += 1 + used) {
    result = take(cfg, &tls, argv + i, &used);
  }
  if (result == 0 && program.listeners == 0) {
    result = listen_on(cfg, "127.0.0.1:0", tls);
  }
  tls_release(tls);
  return result;
}

static void set_callbacks(evy_config *cfg) {
  if (program.pullers == 0) {
    atomic_fetch_add(&counters.drops_due, 1);
    evy_config_on_request(cfg, on_request, NULL, count_drop);
  }
  if (program.log_callback) {
    atomic_fetch_add(&counters.drops_due, 1);
    evy_config_on_log(cfg, on_log, NULL, count_drop);
  }
  if (program.access_callback) {
    atomic_fetch_add(&counters.drops_due, 1);
    evy_config_on_access(cfg, on_access, NULL, count_drop);
  }
}

/* ---- commands ------------------------------------------------------------------------ */

static void report_command(const char *name, evy_status st) {
  struct report r;
  FILE *f = report_begin(&r, "command");
  json_member(f, "name", name, strlen(name));
  const char *status = evy_strname(st);
  json_member(f, "status", status, strlen(status));
  report_end(&r);
}

/* stop N MS | wait N MS | start N | reopen N | open ID | counters N | watch N MS | reload THREADS COUNT,
 * where N is server 0 or 1. */
static void *obey(void *unused) {
  char line[128], name[32];
  (void)unused;
  while (fgets(line, sizeof line, stdin) != NULL) {
    long which = 0, ms = 0;
    if (sscanf(line, "%31s %ld %ld", name, &which, &ms) < 1) {
      continue;
    }
    evy_server *server = which == 0 || which == 1 ? program.servers[which] : NULL;
    if (strcmp(name, "stop") == 0) {
      report_command(name, evy_server_stop(server, ms));
    } else if (strcmp(name, "wait") == 0) {
      report_command(name, evy_server_wait(server, ms));
    } else if (strcmp(name, "start") == 0) {
      report_command(name, evy_server_start(server));
    } else if (strcmp(name, "reopen") == 0) {
      report_command(name, evy_server_reopen_logs(server));
    } else if (strcmp(name, "reload") == 0) {
      tls_reload(which, ms);
    } else if (strcmp(name, "counters") == 0) {
      report_counters(server);
    } else if (strcmp(name, "watch") == 0) {
      report_watch(server, ms);
    } else if (strcmp(name, "open") == 0) {
      gate_open(which);
      report_command(name, EVY_OK);
    }
  }
  gate_open_all();
  for (int i = 0; i < 2; i++) {
    evy_server_stop(program.servers[i], 0);
  }
  return NULL;
}

/* {"addresses":[..],"ports":[..],"second":port} on one line. */
static void print_place(void) {
  evy_server *server = program.servers[0];
  fputs("{\"addresses\":[", stdout);
  for (uint32_t i = 0; evy_server_address(server, i) != NULL; i++) {
    const char *address = evy_server_address(server, i);
    fputs(i == 0 ? "" : ",", stdout);
    json_text(stdout, address, strlen(address));
  }
  fputs("],\"ports\":[", stdout);
  for (uint32_t i = 0; evy_server_address(server, i) != NULL; i++) {
    printf("%s%d", i == 0 ? "" : ",", evy_server_port(server, i));
  }
  printf("],\"second\":%d}\n", evy_server_port(program.servers[1], 0));
  fflush(stdout);
}

static void report_last(void) {
  struct report r;
  FILE *f = report_begin(&r, "end");
  fprintf(f, ",\"handlers\":%ld,\"hooks_added\":%ld,\"hooks_run\":%ld,\"drops_due\":%ld,\"drops\":%ld",
          atomic_load(&counters.handlers), atomic_load(&counters.hooks_added),
          atomic_load(&counters.hooks_run), atomic_load(&counters.drops_due),
          atomic_load(&counters.drops));
  report_end(&r);
}

/* In the place of handlers. */
static void *pull(void *unused) {
  int32_t event;
  evy_req *req;
  while (evy_server_next(program.servers[0], -1, &event, &req) == EVY_OK) {
    on_request(NULL, req);
    evy_req_release(req);
  }
  return unused;
}

static void start_pulling(void) {
  const int most = sizeof program.pulling / sizeof program.pulling[0];
  for (int i = 0; i < program.pullers; i++) {
    if (i == most || pthread_create(&program.pulling[i], NULL, pull, NULL) != 0) {
      abort();
    }
  }
}

static int serve(void) {
  pthread_t control;
  for (int i = 0; i < (program.second ? 2 : 1); i++) {
    evy_status st = program.run ? EVY_OK : evy_server_start(program.servers[i]);
    if (st != EVY_OK) {
      return fail(evy_strname(st), evy_server_error(program.servers[i]));
    }
  }
  print_place();
  if (program.nofile > 0) {
    struct rlimit limit = {(rlim_t)program.nofile, (rlim_t)program.nofile};
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (pthread_create(&control, NULL, obey, NULL) != 0) {
    abort();
  }
  start_pulling();
  if (program.run) {
    report_command("run", evy_server_run(program.servers[0]));
  }
  pthread_join(control, NULL);
  for (int i = 0; i < program.pullers; i++) {
    pthread_join(program.pulling[i], NULL);
  }
  return 0;
}

int main(int argc, char **argv) {
  evy_config *cfg = evy_config_new();
  if (cfg == NULL) {
    return fail("evy_config_new", "out of memory");
  }
  int result = configure(cfg, argc, argv);
  if (result == 0) {
    set_callbacks(cfg);
  }
  for (int i = 0; result == 0 && i < (program.second ? 2 : 1); i++) {
    evy_status st = evy_server_new(cfg, &program.servers[i]);
    result = st == EVY_OK ? 0 : config_fail("evy_server_new", st, cfg);
  }
  evy_config_free(cfg); /* the servers made their snapshot */
  if (result == 0) {
    result = serve();
  }
  evy_server_free(program.servers[0]);
  evy_server_free(program.servers[1]);
  wait_for_threads();
  tls_release_kept();
  report_last();
  return result;
}
