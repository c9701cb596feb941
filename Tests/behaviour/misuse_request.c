// SPDX-License-Identifier: MIT
// misuse_request.c - every request function without a request, and with wrong arguments in a handler.
#include "misuse.h"
#include <string.h>

static void hook_nothing(void *user, evy_req *req) { (void)user, (void)req; }
static void piece_nothing(void *user, evy_req *req, const void *data, size_t len, evy_status st) {
  (void)user, (void)req, (void)data, (void)len, (void)st;
}

void chapter_null_request(void) {
  size_t len = 77;
  char byte;
  int drops = 0;
  CHECK(evy_env_get(NULL, "PATH_INFO", &len) == NULL);
  CHECK(evy_env_count(NULL) == 0 && evy_env_at(NULL, 0, NULL, NULL) == NULL);
  CHECK(evy_env_block(NULL, NULL) == NULL && evy_req_headers(NULL, NULL) == NULL);
  GIVES(EVY_E_ARG, evy_env_set(NULL, "a", "b", 1));
  CHECK(evy_req_server(NULL) == NULL && evy_req_id(NULL) == 0 && evy_req_user(NULL) == NULL);
  evy_req_set_user(NULL, &len);
  evy_req_retain(NULL);
  evy_req_release(NULL);
  CHECK(evy_req_gone(NULL) <= 0);
  GIVES(-1, evy_body_length(NULL));
  CHECK(evy_body_buffer(NULL, &len) == NULL && len == 0);
  CHECK(evy_body_buffer(NULL, NULL) == NULL);
  GIVES(EVY_E_ARG, evy_body_read(NULL, &byte, 1, 0));
  GIVES(EVY_E_ARG, evy_body_on_data(NULL, piece_nothing, &drops, drop_counted));
  CHECK(drops == 1);
  GIVES(EVY_E_ARG, evy_body_pause(NULL, 1));
  GIVES(EVY_E_ARG, evy_respond(NULL, 200, NULL, NULL, 0, NULL, 0));
  GIVES(EVY_E_ARG, evy_resp_begin(NULL, 200, NULL, NULL, 0, -1));
  GIVES(EVY_E_ARG, evy_resp_write(NULL, "x", 1, 0));
  GIVES(EVY_E_ARG, evy_resp_end(NULL, NULL, 0));
  GIVES(EVY_E_ARG, evy_inform(NULL, 103, NULL, 0));
  GIVES(EVY_E_ARG, evy_resp_flush(NULL));
  GIVES(EVY_E_ARG, evy_resp_writev(NULL, NULL, 0, 0));
  GIVES(EVY_E_ARG, evy_respond_ref(NULL, 200, NULL, NULL, 0, "x", 1, NULL, NULL));
  GIVES(EVY_E_ARG, evy_resp_write_ref(NULL, "x", 1, NULL, NULL));
  GIVES(EVY_E_ARG, evy_resp_file(NULL, 0, 0, -1));
  GIVES(EVY_E_ARG, evy_resp_on_writable(NULL, NULL, NULL, NULL));
  GIVES(EVY_E_ARG, evy_req_on_gone(NULL, NULL, NULL, NULL));
  GIVES(EVY_E_ARG, evy_req_take_socket(NULL, NULL));
  GIVES(EVY_E_ARG, evy_resp_abort(NULL));
  GIVES(EVY_E_ARG, evy_posthook_add(NULL, hook_nothing, &drops, drop_counted));
  CHECK(drops == 2);
  GIVES(-1, evy_req_stat(NULL, EVY_STAT_STATUS));
}

static void wrong_environ(evy_req *req) {
  size_t len = 0;
  CHECK(evy_env_get(req, NULL, &len) == NULL);
  CHECK(evy_env_get(req, "", &len) == NULL);
  CHECK(evy_env_at(req, UINT32_MAX, NULL, &len) == NULL);
  CHECK(evy_env_at(req, 0, NULL, NULL) != NULL);
  CHECK(evy_env_block(req, NULL) != NULL && evy_req_headers(req, NULL) != NULL);
  GIVES(EVY_E_ARG, evy_env_set(req, NULL, "b", 1));
  GIVES(EVY_E_ARG, evy_env_set(req, "a", NULL, 1));
  GIVES(EVY_OK, evy_env_set(req, "a", "bcd", 2));
  CHECK(strcmp(evy_env_get(req, "a", &len), "bc") == 0 && len == 2);
  GIVES(-1, evy_req_stat(req, 14));
  GIVES(-1, evy_req_stat(req, -1));
  GIVES(-1, evy_req_stat(req, EVY_STAT_US_FIRST_BYTE));
}

static void wrong_answers(evy_req *req) {
  GIVES(EVY_E_ARG, evy_respond(req, 99, NULL, NULL, 0, NULL, 0));
  GIVES(EVY_E_ARG, evy_respond(req, 200, NULL, NULL, 5, NULL, 0));
  GIVES(EVY_E_ARG, evy_respond(req, 200, NULL, NULL, 0, NULL, 5));
  GIVES(EVY_E_FIELD, evy_respond(req, 200, NULL, "name without value", EVY_NUL, NULL, 0));
  GIVES(EVY_E_FIELD, evy_respond(req, 200, NULL, "a\0b\0c", 5, NULL, 0));
  GIVES(EVY_E_FIELD, evy_respond(req, 200, "bad\nreason", NULL, 0, NULL, 0));
  GIVES(EVY_E_ARG, evy_resp_begin(req, 200, NULL, NULL, 0, -2));
  GIVES(EVY_E_STATE, evy_resp_write(req, "x", 1, 0));
  GIVES(EVY_OK, evy_resp_begin(req, 200, NULL, NULL, 0, -1));
  GIVES(EVY_E_ARG, evy_resp_write(req, NULL, 3, 0));
  GIVES(EVY_OK, evy_resp_write(req, NULL, 0, 0));
  GIVES(EVY_OK, evy_resp_write(req, "hello", 5, -1));
  GIVES(EVY_OK, evy_resp_end(req, NULL, 0));
}

/* Called with req from the one request of chapter_in_handler. */
static void misbehave(void *user, evy_req *req) {
  int *drops = user;
  char byte;
  size_t len = 9;
  GIVES(EVY_E_ARG, evy_posthook_add(req, NULL, drops, drop_counted));
  CHECK(*drops == 1);
  GIVES(EVY_E_ARG, evy_body_on_data(req, NULL, drops, drop_counted));
  CHECK(*drops == 2);
  GIVES(EVY_E_ARG, evy_body_read(req, NULL, 10, 0));
  GIVES(0, evy_body_read(req, &byte, 1, 0));
  GIVES(0, evy_body_length(req));
  evy_body_buffer(req, &len);
  CHECK(len == 0);
  wrong_environ(req);
  wrong_answers(req);
  GIVES(EVY_OK, evy_posthook_add(req, hook_nothing, drops, drop_counted));
  CHECK(*drops == 2);
}

void chapter_in_handler(void) {
  int drops = 0;
  evy_server *server = started_server(misbehave, &drops);
  CHECK(fetch(evy_server_port(server, 0)) == 1);
  evy_server_free(server);
  CHECK(drops == 3);
}
