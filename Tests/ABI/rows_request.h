// SPDX-License-Identifier: MIT
// rows_request.h - one row for each function that gets an evy_req, here h: a harmless call, and what it gives
//   0 without a request (NULL, or a handle of another kind)   1 in the handler, with nothing done yet
//   2 in the handler, answered          3 in a post hook         4 in the access callback
//   5 over, kept by a retain, on another thread                  6 unanswered, the client has left, same
//   7 unanswered, the server is stopped and freed, same
// Included twice; ROW says what becomes of a row.
/*  function             0        1       2        3        4        5        6        7      the call   */
ROW(evy_env_get,         "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    evy_env_get(h, "PATH_INFO", &len) != NULL)
ROW(evy_env_count,       "0",     "+",    "+",     "+",     "+",     "+",     "+",     "+",
    evy_env_count(h))
ROW(evy_env_at,          "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    evy_env_at(h, 0, &text, &len) != NULL)
ROW(evy_env_block,       "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    evy_env_block(h, &len) != NULL)
ROW(evy_env_set,         "ARG",   "OK",   "OK",    "OK",    "OK",    "OK",    "OK",    "OK",
    evy_env_set(h, "a", "b", 1))
ROW(evy_req_headers,     "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    evy_req_headers(h, &len) != NULL)
ROW(evy_req_server,      "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    evy_req_server(h) != NULL)
ROW(evy_req_id,          "0",     "+",    "+",     "+",     "+",     "+",     "+",     "+",
    (long long)evy_req_id(h))
ROW(evy_req_set_user,    "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    (evy_req_set_user(h, &len), evy_req_user(h) == &len))
ROW(evy_req_user,        "0",     "0",    "0",     "0",     "0",     "0",     "0",     "0",
    evy_req_user(h) != NULL)
ROW(evy_req_retain,      "0",     "0",    "0",     "0",     "0",     "0",     "0",     "0",
    (evy_req_retain(h), evy_req_release(h), 0))
ROW(evy_req_release,     "0",     "0",    "0",     "0",     "0",     "0",     "0",     "0",
    (evy_req_retain(h), evy_req_retain(h), evy_req_release(h), evy_req_release(h), 0))
ROW(evy_req_gone,        "0",     "0",    "0",     "0|1",   "0|1",   "0|1",   "1",     "0|1",
    evy_req_gone(h))
ROW(evy_body_length,     "-1",    "0",    "0",     "0",     "0",     "0",     "0",     "0",
    evy_body_length(h))
ROW(evy_body_buffer,     "0",     "1",    "1",     "1",     "1",     "1",     "1",     "1",
    evy_body_buffer(h, &len) != NULL)
ROW(evy_body_read,       "ARG",   "0",    "0",     "0",     "0",     "0",     "0",     "0",
    evy_body_read(h, &byte, 1, 0))
ROW(evy_body_on_data,    "ARG",   "OK",   "OK",    "STATE", "STATE", "STATE", "STATE|OK", "STATE",
    evy_body_on_data(h, see_piece, NULL, DROP(on_data)))
ROW(evy_body_pause,      "ARG",   "STATE", "STATE", "STATE", "STATE", "STATE", "STATE", "STATE",
    evy_body_pause(h, 1))
ROW(evy_body_trailers,   "0",     "0",    "0",     "0",     "0",     "0",     "0",     "0",
    evy_body_trailers(h, &len) != NULL)
ROW(evy_respond,         "ARG",   "OK",   "STATE", "STATE", "STATE", "STATE", "GONE",  "GONE|STATE",
    evy_respond(h, 200, NULL, NULL, 0, "hello", 5))
ROW(evy_resp_begin,      "ARG",   "OK",   "STATE", "STATE", "STATE", "STATE", "GONE",  "GONE|STATE",
    evy_resp_begin(h, 200, NULL, NULL, 0, -1))
ROW(evy_resp_write, "ARG", "STATE", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_write(h, "x", 1, 0))
ROW(evy_resp_end, "ARG", "STATE", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_end(h, NULL, 0))
ROW(evy_resp_abort,      "ARG",   "OK",   "STATE", "STATE", "STATE", "STATE", "OK|STATE", "STATE",
    evy_resp_abort(h))
ROW(evy_inform, "ARG", "OK", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_inform(h, 103, NULL, 0))
ROW(evy_resp_flush, "ARG", "OK", "OK", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_flush(h))
ROW(evy_resp_writev, "ARG", "STATE", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_writev(h, &(evy_slice){"x", 1}, 1, 0))
ROW(evy_respond_ref,     "ARG",   "OK",   "STATE", "STATE", "STATE", "STATE", "GONE",  "GONE|STATE",
    evy_respond_ref(h, 200, NULL, NULL, 0, large, sizeof large, NULL, DROP(lent)))
ROW(evy_resp_write_ref, "ARG", "STATE", "STATE", "STATE|GONE", "STATE|GONE",
    "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_write_ref(h, large, sizeof large, NULL, DROP(lent)))
ROW(evy_resp_file, "ARG", "STATE", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_file(h, file, 0, -1))
ROW(evy_resp_on_writable, "ARG", "OK", "STATE", "STATE|GONE", "STATE|GONE",
    "STATE|GONE", "GONE", "GONE|STATE",
    evy_resp_on_writable(h, see_request, NULL, DROP(on_writable)))
ROW(evy_req_on_gone, "ARG", "OK", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    evy_req_on_gone(h, see_request, NULL, DROP(on_gone)))
ROW(evy_posthook_add,    "ARG",   "OK",   "OK",    "OK",    "STATE", "STATE", "STATE|OK", "STATE",
    evy_posthook_add(h, see_request, NULL, DROP(posthook)))
ROW(evy_req_stat,        "-1",    "0",    "0",     "200",   "200",   "200",   "0",     "0",
    evy_req_stat(h, EVY_STAT_STATUS))
ROW(evy_req_take_socket, "ARG", "OK", "STATE", "STATE|GONE", "STATE|GONE", "STATE|GONE", "GONE", "GONE|STATE",
    take_socket(h))
