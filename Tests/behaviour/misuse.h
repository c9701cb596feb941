// SPDX-License-Identifier: MIT
// misuse.h - checks that count instead of ending the program, shared by the chapters of misuse.
#ifndef EVY_MISUSE_H
#define EVY_MISUSE_H
#include <evy.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

struct misuse {
  const char *cert, *key;           /* a pair */
  const char *other_cert, *other_key; /* another pair */
  const char *locked_cert, *locked_key; /* pass phrase "sesame" */
  atomic_int checks, failed; /* handlers count too, on threads of the library */
};
extern struct misuse misuse;

bool check_at(const char *file, int line, const char *what, bool good);
bool status_at(const char *file, int line, const char *what, long long got, long long wanted);
bool text_at(const char *file, int line, const char *what, const char *text, const char *part);

#define CHECK(condition) check_at(__FILE__, __LINE__, #condition, (condition))
/* The call returns this status. */
#define GIVES(status, call) status_at(__FILE__, __LINE__, #call, (call), (status))
/* The text is there and names the culprit. */
#define NAMES(text, part) text_at(__FILE__, __LINE__, #text, (text), (part))

void drop_counted(void *user); /* user is an int that counts */
void answer_hello(void *user, evy_req *req);
/* A server on 127.0.0.1:0 whose handler is fn, started. */
evy_server *started_server(evy_handler_fn fn, void *user);
/* Sends one GET and reads to the end; 1 when the answer starts with HTTP/1.1 200. */
int fetch(int port);

void chapter_server(void);
void chapter_free_order(void);
void chapter_fork(void);
void chapter_null_request(void);
void chapter_in_handler(void);
void chapter_seeing(void);
#endif
