// SPDX-License-Identifier: MIT
// tls_control.c - certificates by name and client authorities from arguments, reloads by command.
#include "testserver.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct {
  evy_tls *tls; /* where --keep-tls was given */
  bool keeps;
  long count;
} control;

static evy_status load_named(evy_tls *tls, char **argv) {
  const char *name = strcmp(argv[0], "-") == 0 ? NULL : argv[0];
  return evy_tls_cert_file(tls, name, argv[1], argv[2], NULL);
}

/* --keep-tls | --client-ca VERIFY FILE | --cert NAME CERT KEY (NAME "-": as in the certificate) */
int tls_take(evy_tls **tls, char **argv, int *used) {
  evy_status st;
  if (strcmp(argv[0], "--keep-tls") == 0) {
    control.keeps = true;
    *used = 0;
    return 0;
  }
  bool is_ca = strcmp(argv[0], "--client-ca") == 0;
  if (!is_ca && strcmp(argv[0], "--cert") != 0) {
    return -1;
  }
  if (*tls == NULL) {
    *tls = evy_tls_new();
  }
  if (is_ca) {
    *used = 2;
    st = evy_tls_client_ca_file(*tls, atoi(argv[1]), argv[2]);
  } else {
    *used = 3;
    st = load_named(*tls, argv + 1);
  }
  if (st != EVY_OK) {
    fprintf(stderr, "%s: %s\n", evy_strname(st), evy_tls_error(*tls));
    return 1;
  }
  return 0;
}

void tls_release(evy_tls *tls) {
  if (control.keeps) {
    control.tls = tls;
  } else {
    evy_tls_free(tls); /* the listeners keep it */
  }
}

void tls_release_kept(void) { evy_tls_free(control.tls); }

static void report_reload(evy_status st) {
  struct report r;
  FILE *f = report_begin(&r, "reload");
  const char *status = evy_strname(st), *text = evy_tls_error(control.tls);
  json_member(f, "status", status, strlen(status));
  json_member(f, "text", text, strlen(text));
  report_end(&r);
}

static void *reload_often(void *failed) {
  for (long i = 0; i < control.count; i++) {
    if (evy_tls_reload(control.tls) != EVY_OK) {
      atomic_fetch_add((atomic_long *)failed, 1);
    }
  }
  return NULL;
}

/* threads 0: here, once; else `count` times on each of so many threads. */
void tls_reload(long threads, long count) {
  pthread_t running[16];
  atomic_long failed = 0;
  if (threads <= 0 || threads > 16) {
    report_reload(evy_tls_reload(control.tls));
    return;
  }
  control.count = count;
  for (long i = 0; i < threads; i++) {
    if (pthread_create(&running[i], NULL, reload_often, &failed) != 0) {
      abort();
    }
  }
  for (long i = 0; i < threads; i++) {
    pthread_join(running[i], NULL);
  }
  report_reload(atomic_load(&failed) == 0 ? EVY_OK : EVY_E_TLS);
}
