// SPDX-License-Identifier: MIT
// routes_hook.c - routes that show the environ, and post hooks that report the figures.
#include "testserver.h"
#include <stdlib.h>
#include <string.h>

/* ---- post hooks --------------------------------------------------------------------- */

struct hook {
  char name[32];
  long gate;
  int children; /* how many further hooks it adds when it runs */
};

static void hook_run(void *user, evy_req *req) {
  struct hook *hook = user;
  atomic_fetch_add(&counters.hooks_run, 1);
  if (hook->gate >= 0) {
    report_call(req, "hook-waits", EVY_OK);
    gate_wait(hook->gate);
  }
  for (int i = 0; i < hook->children; i++) {
    add_hook(req, "child", -1, 0);
  }
  if (report_quiet) {
    return;
  }
  struct report r;
  FILE *f = report_begin(&r, "hook");
  size_t note_len = 0;
  json_member(f, "name", hook->name, strlen(hook->name));
  report_request(f, req);
  report_stats(f, req);
  const char *note = evy_env_get(req, "x.note", &note_len);
  json_member(f, "note", note, note_len);
  fprintf(f, ",\"gone\":%d", evy_req_gone(req));
  report_end(&r);
}

static void hook_drop(void *user) {
  atomic_fetch_add(&counters.drops, 1);
  free(user);
}

evy_status add_hook(evy_req *req, const char *name, long gate, int children) {
  struct hook *hook = calloc(1, sizeof *hook);
  if (hook == NULL) {
    abort();
  }
  snprintf(hook->name, sizeof hook->name, "%s", name);
  hook->gate = gate;
  hook->children = children;
  atomic_fetch_add(&counters.drops_due, 1);
  evy_status st = evy_posthook_add(req, hook_run, hook, hook_drop);
  if (st == EVY_OK) {
    atomic_fetch_add(&counters.hooks_added, 1);
  }
  return st;
}

/* /hooks?n=3&children=1&gate=2: hooks h1 h2 h3; h1 adds children; h1 waits at the gate. */
static void several_hooks(evy_req *req, const char *query) {
  long count = query_number(query, "n", 3);
  for (long i = 1; i <= count; i++) {
    char name[32];
    snprintf(name, sizeof name, "h%ld", i);
    long gate = i == 1 ? query_number(query, "gate", -1) : -1;
    int children = i == 1 ? (int)query_number(query, "children", 0) : 0;
    report_call(req, "add", add_hook(req, name, gate, children));
  }
  answer_text(req, 200, "hooked");
}

/* A hook after the answer: still before the request is over, so it is taken. */
static void hook_after_answer(evy_req *req, const char *query) {
  (void)query;
  answer_text(req, 200, "answered");
  report_call(req, "add-late", add_hook(req, "late", -1, 0));
}

/* ---- environ ------------------------------------------------------------------------ */

static void write_pairs(FILE *f, const char *block, size_t len) {
  fputc('[', f);
  for (size_t at = 0; block != NULL && at < len;) {
    size_t name_len = strnlen(block + at, len - at);
    size_t value_at = at + name_len + 1;
    size_t value_len = value_at < len ? strnlen(block + value_at, len - value_at) : 0;
    fputs(at == 0 ? "[" : ",[", f);
    json_text(f, block + at, name_len);
    fputc(',', f);
    json_text(f, block + value_at, value_len);
    fputc(']', f);
    at = value_at + value_len + 1;
  }
  fputc(']', f);
}

/* Every key by index; "same" tells that evy_env_get by name gives the same bytes. */
static void write_indexed(FILE *f, evy_req *req) {
  uint32_t count = evy_env_count(req);
  bool same = true;
  fputs(",\"at\":[", f);
  for (uint32_t i = 0; i < count; i++) {
    const char *name = NULL;
    size_t len = 0, named_len = 0;
    const char *value = evy_env_at(req, i, &name, &len);
    if (value == NULL || name == NULL) {
      same = false;
      break;
    }
    const char *named = evy_env_get(req, name, &named_len);
    same = same && named != NULL && named_len == len && memcmp(named, value, len) == 0;
    same = same && value[len] == '\0' && evy_env_get(req, name, NULL) != NULL;
    fputs(i == 0 ? "[" : ",[", f);
    json_text(f, name, strlen(name));
    fputc(',', f);
    json_text(f, value, len);
    fputc(']', f);
  }
  const char *past = evy_env_at(req, count, NULL, NULL);
  fprintf(f, "],\"same\":%s,\"past\":%s,\"absent\":%s", same ? "true" : "false",
          past == NULL ? "null" : "1", evy_env_get(req, "NO_SUCH", NULL) == NULL ? "null" : "1");
}

/* The environ in its three forms and the raw header list, as one JSON object. */
static void environ_dump(evy_req *req, const char *query) {
  (void)query;
  char *text = NULL;
  size_t size = 0, len = 0;
  FILE *f = open_memstream(&text, &size);
  if (f == NULL) {
    abort();
  }
  const char *block = evy_env_block(req, &len);
  fputs("{\"block\":", f);
  write_pairs(f, block, len);
  write_indexed(f, req);
  fputs(",\"headers\":", f);
  const char *fields = evy_req_headers(req, &len);
  write_pairs(f, fields, len);
  fprintf(f, ",\"id\":%llu}", (unsigned long long)evy_req_id(req));
  fclose(f);
  static const char json[] = "Content-Type\0application/json";
  evy_respond(req, 200, NULL, json, sizeof json, text, size);
  free(text);
}

/* Adds and replaces keys; hooks and the access callback see "x.note". */
static void environ_set(evy_req *req, const char *query) {
  char note[64];
  long len = query_text(query, "note", note, sizeof note);
  report_call(req, "set", evy_env_set(req, "x.note", "first", EVY_NUL));
  report_call(req, "replace", evy_env_set(req, "x.note", note, len < 0 ? 0 : (size_t)len));
  report_call(req, "overwrite", evy_env_set(req, "REQUEST_METHOD", "HEAD", EVY_NUL));
  report_call(req, "no-name", evy_env_set(req, "", "x", 1));
  size_t method_len = 0;
  const char *method = evy_env_get(req, "REQUEST_METHOD", &method_len);
  answer_text(req, 200, method != NULL ? method : "absent");
}

/* One pointer travels with the request; its server and number are known. */
static void user_pointer(evy_req *req, const char *query) {
  (void)query;
  int mine = 0;
  bool none = evy_req_user(req) == NULL;
  evy_req_set_user(req, &mine);
  bool kept = evy_req_user(req) == &mine;
  evy_req_set_user(req, NULL);
  bool server = evy_req_server(req) != NULL && evy_server_port(evy_req_server(req), 0) > 0;
  char text[64];
  snprintf(text, sizeof text, "%d%d%d%d", none, kept, server, evy_req_gone(req));
  answer_text(req, 200, text);
}

const struct route hook_routes[] = {{"/hooks", several_hooks},
                                    {"/hook-after-answer", hook_after_answer},
                                    {"/env", environ_dump},
                                    {"*", environ_dump},
                                    {"/env-set", environ_set},
                                    {"/user", user_pointer},
                                    {NULL, NULL}};
