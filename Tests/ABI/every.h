// SPDX-License-Identifier: MIT
// every.h - what the chapters of `every` share.
#ifndef EVY_TEST_EVERY_H
#define EVY_TEST_EVERY_H
#include "abi.h"

/* Callbacks that do nothing. */
void see_request(void *user, evy_req *req);
void see_piece(void *user, evy_req *req, const void *data, size_t len, evy_status st);
void see_line(void *user, int32_t level, const char *text, size_t len);
void see_access(void *user, evy_req *req, const char *line, size_t len);
void see_task(void *user);

/* A configuration that makes servers on 127.0.0.1; a TLS object with a certificate. */
evy_config *ready_config(evy_handler_fn fn, void *user);
evy_tls *ready_tls(void);
/* Handles that are none: NULL, one of each that was freed, one of each kind that is alive. */
enum { STRANGERS = 7 };
void strangers(void *list[STRANGERS]);
void forget_strangers(void);

void every_object(void);
void every_server(void);
void every_request(void);
void every_argument(void);
#endif
