// SPDX-License-Identifier: MIT
// report.c - turns what happens in the test server into JSON lines on one descriptor.
// Each line leaves in one write(2) under a lock, so lines of several threads never mix.
#include "testserver.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int report_fd = -1;
bool report_quiet = false;
struct counters counters;
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;

void json_text(FILE *f, const char *bytes, size_t count) {
  fputc('"', f);
  for (size_t i = 0; i < count; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\') {
      fprintf(f, "\\%c", c);
    } else if (c < 0x20 || c >= 0x7f) {
      fprintf(f, "\\u%04x", c); /* bytes become the same Latin-1 characters */
    } else {
      fputc(c, f);
    }
  }
  fputc('"', f);
}

void json_member(FILE *f, const char *name, const char *bytes, size_t count) {
  fprintf(f, ",\"%s\":", name);
  if (bytes == NULL) {
    fputs("null", f);
  } else {
    json_text(f, bytes, count);
  }
}

FILE *report_begin(struct report *r, const char *event) {
  r->text = NULL;
  r->size = 0;
  r->file = open_memstream(&r->text, &r->size);
  if (r->file == NULL) {
    abort();
  }
  fputs("{\"event\":", r->file);
  json_text(r->file, event, strlen(event));
  return r->file;
}

void report_end(struct report *r) {
  fputs("}\n", r->file);
  fclose(r->file);
  if (report_fd >= 0) {
    pthread_mutex_lock(&report_lock);
    for (size_t done = 0; done < r->size;) {
      ssize_t n = write(report_fd, r->text + done, r->size - done);
      if (n <= 0) {
        break;
      }
      done += (size_t)n;
    }
    pthread_mutex_unlock(&report_lock);
  }
  free(r->text);
}

static void env_member(FILE *f, evy_req *req, const char *member, const char *key) {
  size_t len = 0;
  const char *value = evy_env_get(req, key, &len);
  json_member(f, member, value, len);
}

void report_request(FILE *f, evy_req *req) {
  fprintf(f, ",\"id\":%llu", (unsigned long long)evy_req_id(req));
  env_member(f, req, "method", "REQUEST_METHOD");
  env_member(f, req, "path", "PATH_INFO");
  env_member(f, req, "query", "QUERY_STRING");
}

void report_stats(FILE *f, evy_req *req) {
  static const char *const names[] = {
      "status",         "end",     "head_out", "body_out", "wire_out",      "acked",
      "content_length", "body_in", "wire_in",  "us_total", "us_first_byte", "requests",
      "kept_alive",     "tls"};
  for (int32_t i = 0; i < (int32_t)(sizeof names / sizeof names[0]); i++) {
    fprintf(f, "%s\"%s\":%lld", i == 0 ? ",\"stats\":{" : ",", names[i],
            (long long)evy_req_stat(req, i));
  }
  const char *end = evy_end_name((int32_t)evy_req_stat(req, EVY_STAT_END));
  fputc('}', f);
  json_member(f, "end", end, end == NULL ? 0 : strlen(end));
}

void report_call(evy_req *req, const char *step, int64_t result) {
  struct report r;
  FILE *f = report_begin(&r, "call");
  report_request(f, req);
  json_member(f, "step", step, strlen(step));
  fprintf(f, ",\"result\":%lld", (long long)result);
  if (result <= 0 && result > -100) {
    const char *name = evy_strname((evy_status)result);
    json_member(f, "name", name, strlen(name));
  }
  report_end(&r);
}

/* ---- query values ------------------------------------------------------------------ */

static int hex(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

long query_text(const char *query, const char *key, char *out, size_t capacity) {
  size_t key_len = strlen(key);
  out[0] = '\0';
  for (const char *p = query; p != NULL && *p != '\0';) {
    const char *stop = p + strcspn(p, "&");
    if ((size_t)(stop - p) > key_len && p[key_len] == '=' && memcmp(p, key, key_len) == 0) {
      size_t n = 0;
      for (p += key_len + 1; p < stop && n + 1 < capacity; p++) {
        if (*p == '%' && stop - p > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
          out[n++] = (char)(hex(p[1]) * 16 + hex(p[2]));
          p += 2;
        } else {
          out[n++] = *p;
        }
      }
      out[n] = '\0';
      return (long)n;
    }
    p = *stop == '&' ? stop + 1 : stop;
  }
  return -1;
}

long query_number(const char *query, const char *key, long fallback) {
  char text[32];
  return query_text(query, key, text, sizeof text) > 0 ? strtol(text, NULL, 10) : fallback;
}

/* ---- gates -------------------------------------------------------------------------- */

enum { gate_count = 64 };
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_is_open[gate_count];

void gate_wait(long id) {
  pthread_mutex_lock(&gate_lock);
  while (id >= 0 && id < gate_count && !gate_is_open[id]) {
    pthread_cond_wait(&gate_changed, &gate_lock);
  }
  pthread_mutex_unlock(&gate_lock);
}

static void gates_open(long first, long last) {
  pthread_mutex_lock(&gate_lock);
  for (long id = first; id <= last; id++) {
    gate_is_open[id] = true;
  }
  pthread_cond_broadcast(&gate_changed);
  pthread_mutex_unlock(&gate_lock);
}

void gate_open(long id) {
  if (id >= 0 && id < gate_count) {
    gates_open(id, id);
  }
}

void gate_open_all(void) { gates_open(0, gate_count - 1); }

void sleep_ms(long ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  while (nanosleep(&t, &t) != 0) {
  }
}

/* ---- threads of the host ------------------------------------------------------------ */

struct job {
  void (*body)(void *);
  void *argument;
};

static void *run_job(void *argument) {
  struct job job = *(struct job *)argument;
  free(argument);
  job.body(job.argument);
  atomic_fetch_sub(&counters.threads, 1);
  return NULL;
}

void start_thread(void (*body)(void *), void *argument) {
  struct job *job = malloc(sizeof *job);
  pthread_t thread;
  if (job == NULL) {
    abort();
  }
  *job = (struct job){body, argument};
  atomic_fetch_add(&counters.threads, 1);
  if (pthread_create(&thread, NULL, run_job, job) != 0) {
    abort();
  }
  pthread_detach(thread);
}

void wait_for_threads(void) {
  for (int i = 0; i < 5000 && atomic_load(&counters.threads) > 0; i++) {
    sleep_ms(1);
  }
}

void fill_pattern(unsigned char *out, size_t count, uint64_t offset) {
  enum { PERIOD = 251 };
  size_t done = count < PERIOD ? count : PERIOD;
  for (size_t i = 0; i < done; i++) {
    out[i] = (unsigned char)((offset + i) % PERIOD);
  }
  /* Megabytes of it are asked for in one moment where latencies are taken: by doubling what is there. */
  for (size_t part; done < count; done += part) {
    part = count - done < done ? count - done : done;
    memcpy(out + done, out, part);
  }
}
