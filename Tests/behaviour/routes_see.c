// SPDX-License-Identifier: MIT
// routes_see.c - what a host sees of its server: counters, metrics, its own lines in the log.
#include "testserver.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOM 256

/* ,"counters":{name:value,...}: every one of them, by the names of evy_counter_name. */
static void write_counters(FILE *f, evy_server *server) {
  int64_t values[ROOM];
  uint32_t count = evy_server_counters(server, values, ROOM);
  fputs(",\"counters\":{", f);
  for (uint32_t i = 0; i < count && i < ROOM; i++) {
    const char *name = evy_counter_name(i);
    fputs(i == 0 ? "" : ",", f);
    json_text(f, name, strlen(name));
    fprintf(f, ":%lld", (long long)values[i]);
  }
  fputc('}', f);
}

void report_counters(evy_server *server) {
  struct report r;
  write_counters(report_begin(&r, "counters"), server);
  report_end(&r);
}

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t sum(const int64_t *values, int from, int to) {
  int64_t total = 0;
  for (int i = from; i <= to; i++) {
    total += values[i];
  }
  return total;
}

/* Snapshots for so long, beside whatever the server does: how many, and how many broke a promise. */
void report_watch(evy_server *server, long ms) {
  int64_t values[ROOM] = {0}, before[ROOM] = {0};
  long looks = 0, torn = 0, shrunk = 0;
  uint32_t count = evy_server_counters(server, before, ROOM);
  for (int64_t end = milliseconds() + ms; milliseconds() < end;) {
    evy_server_counters(server, values, ROOM);
    int64_t ended = sum(values, EVY_N_END_COMPLETE, EVY_N_END_UPGRADED);
    torn += values[EVY_N_REQUESTS_TOTAL] != values[EVY_N_REQUESTS_ACTIVE] + ended;
    torn += ended != sum(values, EVY_N_STATUS_NONE, EVY_N_STATUS_5XX);
    torn += values[EVY_N_REQUESTS_ACTIVE] < 0 || values[EVY_N_CONNECTIONS_OPEN] < 0;
    for (uint32_t i = 0; i < count && i < ROOM; i++) {
      shrunk += strcmp(evy_counter_type(i), "counter") == 0 && values[i] < before[i];
    }
    memcpy(before, values, sizeof before);
    looks++;
  }
  struct report r;
  FILE *f = report_begin(&r, "watched");
  fprintf(f, ",\"looks\":%ld,\"torn\":%ld,\"shrunk\":%ld", looks, torn, shrunk);
  report_end(&r);
}

/* /counters: from inside a handler, so this request is one of the active ones. */
static void show_counters(evy_req *req, const char *query) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  (void)query;
  if (f == NULL) {
    abort();
  }
  fputs("{\"types\":{", f);
  for (uint32_t i = 0; evy_counter_name(i) != NULL; i++) {
    fputs(i == 0 ? "" : ",", f);
    json_text(f, evy_counter_name(i), strlen(evy_counter_name(i)));
    fputc(':', f);
    json_text(f, evy_counter_type(i), strlen(evy_counter_type(i)));
  }
  fputc('}', f);
  write_counters(f, evy_req_server(req));
  fputc('}', f);
  fclose(f);
  evy_respond(req, 200, NULL, NULL, 0, text, size);
  free(text);
}

/* /metrics?cap=N: the text of Prometheus, through a buffer of N bytes. */
static void show_metrics(evy_req *req, const char *query) {
  static const char type[] = "Content-Type\0text/plain; version=0.0.4";
  size_t cap = (size_t)query_number(query, "cap", 16384);
  char *text = malloc(cap + 1);
  if (text == NULL) {
    abort();
  }
  memset(text, '#', cap + 1);
  int64_t length = evy_server_metrics(evy_req_server(req), text, cap);
  if (text[cap] != '#' || (cap > 0 && length >= (int64_t)cap && text[0] != '\0')) {
    answer_text(req, 500, "the buffer was overrun, or holds half a text");
  } else if (length < 0 || length >= (int64_t)cap) {
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)length);
    answer_text(req, 507, number);
  } else if (text[length] != '\0') {
    answer_text(req, 500, "no NUL behind the text");
  } else {
    evy_respond(req, 200, NULL, type, sizeof type, text, (size_t)length);
  }
  free(text);
}

/* /log?level=2&text=...: a line of the host's; the answer names the status. */
static void write_line(evy_req *req, const char *query) {
  char text[512];
  long len = query_text(query, "text", text, sizeof text);
  evy_server *server = evy_req_server(req);
  int32_t level = (int32_t)query_number(query, "level", EVY_LOG_INFO);
  answer_text(req, 200, evy_strname(evy_server_log(server, level, text, len < 0 ? 0 : (size_t)len)));
}

/* /level?set=1: the level from here on; the answer is the one that holds now. */
static void set_level(evy_req *req, const char *query) {
  char text[64];
  evy_server *server = evy_req_server(req);
  evy_status st = evy_server_set_log_level(server, (int32_t)query_number(query, "set", 0));
  snprintf(text, sizeof text, "%s %d", evy_strname(st), (int)evy_server_log_level(server));
  answer_text(req, 200, text);
}

/* /key?name=X: a key of environ asked for twice, and what the list of all keys says of it. */
static void show_key(evy_req *req, const char *query) {
  char name[64], text[512];
  query_text(query, "name", name, sizeof name);
  const char *value = evy_env_get(req, name, NULL);
  const char *again = evy_env_get(req, name, NULL);
  const char *listed = NULL, *key = NULL;
  for (uint32_t i = 0; i < evy_env_count(req); i++) {
    const char *found = evy_env_at(req, i, &key, NULL);
    listed = strcmp(key, name) == 0 ? found : listed;
  }
  snprintf(text, sizeof text, "%s|%s|%s", value != NULL ? value : "-", again != NULL ? again : "-",
           listed != NULL ? listed : "-");
  answer_text(req, 200, text);
}

const struct route see_routes[] = {{"/counters", show_counters}, {"/metrics", show_metrics},
                                   {"/log", write_line},         {"/level", set_level},
                                   {"/key", show_key},           {NULL, NULL}};
