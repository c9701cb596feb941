/* evy.h - embeddable HTTP server, C ABI.  SPDX-License-Identifier: MIT
 *
 * RULES THAT HOLD FOR EVERY FUNCTION
 *  R1 Handles are opaque pointers.  *_new makes one, *_free ends your use of it;
 *     *_free(NULL) is harmless, and order does not matter: an object that others
 *     still use is only marked, and goes when its last user goes (safe for GCs).
 *  R2 Functions that can fail return evy_status: 0 ok, > 0 ok with a remark,
 *     < 0 error.  Detailed text is kept on the object (evy_*_error), never in
 *     thread-local state, so hosts whose tasks move between threads can read it.
 *  R3 Strings in: NUL-terminated, or pointer + length; the library copies unless it
 *     says otherwise.  A length of EVY_NUL means "NUL-terminated".  Strings out:
 *     pointer, optional length, always followed by a NUL byte; owned by the object
 *     they come from.  Nothing the library returns has to be freed except handles.
 *  R4 Lists of pairs are one block: name NUL value NUL name NUL value NUL ...
 *     (no closing NUL; the length says where it ends).  CR, LF or NUL inside a
 *     field is refused with EVY_E_FIELD, so header injection cannot happen.
 *  R5 Times are milliseconds (-1 for ever, 0 do not wait), sizes are bytes.
 *  R6 Threads: config and TLS objects are confined to one thread at a time until
 *     handed over.  evy_server_* and everything on one evy_req may be called from
 *     ANY thread.  Calls on the same evy_req are serialised.
 *  R7 Callbacks run on a server thread.  Request handlers, body callbacks and post
 *     hooks may block: the loop then moves to another thread (option threads); log
 *     and access callbacks, drops and evy_req_on_gone must not block.  They must return
 *     normally (no exception, longjmp, pthread_exit).  The library's own threads block all signals: those are
 *     for the host's threads.  `user` is passed back as given; `drop(user)`, if not
 *     NULL, is called exactly once when the library has finished with it, also when
 *     the call that was to take it failed.
 *  R8 fork: config, TLS and listening sockets survive a fork; a started server does
 *     not.  In the child every call on it gives EVY_E_FORKED, except evy_server_free.
 *  R9 A NULL handle gives EVY_E_ARG (or NULL/0/-1), never a crash.
 */
#ifndef EVY_H
#define EVY_H
#include <stddef.h>
#include <stdint.h>

#define EVY_VERSION_MAJOR 0
#define EVY_VERSION_MINOR 1
#define EVY_VERSION_PATCH 0
#define EVY_VERSION_NUM 0x000100 /* 0xMMmmpp of this header */
#define EVY_NUL ((size_t)-1)     /* as a length: "up to the NUL byte" */
#define EVY_API extern

#ifdef __cplusplus
extern "C" {
#endif

/* ---- library ----------------------------------------------------------------- */

/* The loaded library's version as 0xMMmmpp.  Any thread; cannot fail. */
EVY_API uint32_t evy_version(void);
/* "0.1.0 (OpenSSL 3.0.19, epoll)".  Static text.  Any thread; cannot fail. */
EVY_API const char *evy_version_string(void);
/* 1 when the library was built with the feature ("tls", "http/1.1"), else 0. */
EVY_API int32_t evy_feature(const char *name);

typedef int32_t evy_status;
enum {
  EVY_OK = 0,
  EVY_FULL = 1,           /* taken, but above the high-water mark: slow down */
  EVY_END = 2,            /* no more: end of body, server stopped */
  EVY_E_ARG = -1,         /* bad argument */
  EVY_E_NOMEM = -2,       /* out of memory, threads or descriptors */
  EVY_E_STATE = -3,       /* not allowed now (started, already answered, ...) */
  EVY_E_AGAIN = -4,       /* nothing yet, would have to wait */
  EVY_E_TIMEOUT = -5,     /* the time given, or one of the deadlines, has passed */
  EVY_E_GONE = -6,        /* the peer is gone: stop producing */
  EVY_E_LIMIT = -7,       /* a configured limit was passed */
  EVY_E_OPTION = -8,      /* unknown option (newer caller, older library) */
  EVY_E_VALUE = -9,       /* option known, value not */
  EVY_E_FIELD = -10,      /* bad header name or value */
  EVY_E_PROTOCOL = -11,   /* the peer broke HTTP */
  EVY_E_BIND = -12,       /* address in use, denied, not resolvable */
  EVY_E_TLS = -13,        /* certificate, key or policy */
  EVY_E_IO = -14,         /* a system call failed */
  EVY_E_FORKED = -15,     /* the server was started by a parent process */
  EVY_E_UNSUPPORTED = -16,
  EVY_E_INTERNAL = -17
};
/* Static text of a status ("address in use or not usable") and its name
 * ("EVY_E_BIND").  An unknown code gives "unknown status" / "EVY_?". */
EVY_API const char *evy_strerror(evy_status code);
EVY_API const char *evy_strname(evy_status code);

typedef struct evy_config evy_config; /* what a server will be */
typedef struct evy_tls evy_tls;       /* certificates and TLS policy, shareable */
typedef struct evy_server evy_server; /* a server */
typedef struct evy_req evy_req;       /* one request and its response */
typedef void (*evy_drop_fn)(void *user);

/* ---- options (one table serves C, Python, Swift and every command line) ------- */

/* A configuration with every option at its default.  NULL: out of memory.
 * Ownership: yours, until evy_config_free.  It may be freed right after
 * evy_server_new and may make any number of servers. */
EVY_API evy_config *evy_config_new(void);
EVY_API void evy_config_free(evy_config *cfg);

/* Set an option by name.  value is text: "8", "30s" ("500ms", "2m", "-1" for ever),
 * "64k" ("16m", "1g"), "true"/"on"/"yes"/"1".  Copied.
 * Errors: EVY_E_ARG (NULL), EVY_E_OPTION, EVY_E_VALUE; evy_config_error has the text. */
EVY_API evy_status evy_config_set(evy_config *cfg, const char *key, const char *value);
/* The same with a number: counts and booleans as such, sizes in bytes, times in ms. */
EVY_API evy_status evy_config_set_int(evy_config *cfg, const char *key, int64_t value);
/* The value as set, or the default; NULL: no such option.  Lives as long as cfg and
 * until the option is set again. */
EVY_API const char *evy_config_get(evy_config *cfg, const char *key);
/* Text of the last failure on cfg, "" when there was none.  Lives until the next call. */
EVY_API const char *evy_config_error(evy_config *cfg);

/* Walk the table of options: index 0, 1, ... until NULL.  type is one of "int" "size"
 * "time" "bool" "text" "choice"; help is one line.  Static texts; NULL: unknown key. */
EVY_API const char *evy_option_name(uint32_t index);
EVY_API const char *evy_option_type(const char *key);
EVY_API const char *evy_option_default(const char *key);
EVY_API const char *evy_option_help(const char *key);

/* A pair that every request's environ gets ahead of the request's own (a request key
 * such as REQUEST_METHOD cannot be overridden, wsgi.url_scheme can).  Copied.
 * Errors: EVY_E_ARG (NULL, empty name). */
EVY_API evy_status evy_config_env(evy_config *cfg, const char *name, const char *value);

/* Listeners, any number; tls NULL = clear text.  Address forms: "host:port",
 * "[::1]:8443", ":8080" (all IPv4 addresses), "[::]:8080" (all IPv6 addresses),
 * "unix:/run/a.sock" (mode by "?mode=660").  Port 0: the kernel chooses one, see
 * evy_server_port.  The sockets are opened by evy_server_new.  The TLS object is
 * shared: free it whenever you like.  Errors: EVY_E_ARG, EVY_E_VALUE (the address
 * cannot be read), EVY_E_TLS (tls has no certificate). */
EVY_API evy_status evy_config_listen(evy_config *cfg, const char *address, evy_tls *tls);
/* A bound (and perhaps listening) stream socket of yours.  The library works on a
 * duplicate: closing yours, and stopping the server, leave the other end usable.
 * Errors: EVY_E_ARG (not a descriptor), EVY_E_VALUE (not a bound stream socket). */
EVY_API evy_status evy_config_listen_fd(evy_config *cfg, int fd, evy_tls *tls);

/* ---- TLS ----------------------------------------------------------------------- */

/* A TLS policy: TLS 1.2 and 1.3, ALPN http/1.1, one stateless ticket, no cache.
 * Ownership: yours until evy_tls_free; listeners that use it keep it alive. */
EVY_API evy_tls *evy_tls_new(void);
EVY_API void evy_tls_free(evy_tls *tls);
/* Certificate chain (PEM, leaf first) and private key from files; key_pem NULL: the key
 * is in cert_pem; pass NULL: the key is not encrypted.  Replaces an earlier pair.
 * Errors: EVY_E_ARG, EVY_E_TLS, text in evy_tls_error ("cannot open certificate
 * cert.pem: No such file or directory", "private key key.pem does not match
 * certificate cert.pem").  On error the earlier pair stays. */
EVY_API evy_status evy_tls_cert_file(evy_tls *tls, const char *cert_pem, const char *key_pem,
                                     const char *pass);
/* The same from memory.  key NULL: the key is in cert. */
EVY_API evy_status evy_tls_cert_mem(evy_tls *tls, const void *cert, size_t cert_len,
                                    const void *key, size_t key_len, const char *pass);
/* Keys: min_version, max_version ("1.2" or "1.3"), ciphers (TLS 1.2, OpenSSL list),
 * ciphersuites (TLS 1.3), groups.  Errors: EVY_E_ARG, EVY_E_OPTION, EVY_E_VALUE. */
EVY_API evy_status evy_tls_set(evy_tls *tls, const char *key, const char *value);
/* Text of the last failure on tls, "" when there was none.  Lives until the next call. */
EVY_API const char *evy_tls_error(evy_tls *tls);

/* ---- what the host supplies ------------------------------------------------------ */

/* A request has arrived: its head, and its body too where body=buffer.  req is lent for
 * the call; to answer later, evy_req_retain it.  Runs on the thread that holds the loop;
 * when it takes longer than 2 to 4 ms the loop goes on elsewhere, so up to `threads`
 * handlers run side by side (threads=1: the loop waits).  A handler that returns without
 * an answer and without a retain is answered 500 by the library. */
typedef void (*evy_handler_fn)(void *user, evy_req *req);
/* Errors: EVY_E_ARG (cfg or fn NULL; drop is called). */
EVY_API evy_status evy_config_on_request(evy_config *cfg, evy_handler_fn fn, void *user,
                                         evy_drop_fn drop);
enum { EVY_LOG_ERROR = 1, EVY_LOG_WARN = 2, EVY_LOG_INFO = 3, EVY_LOG_DEBUG = 4 };
/* One line of the server's own log, without a line end; text lives for the call.  Without
 * this callback lines go to option error_log.  Any library thread, one at a time. */
typedef void (*evy_log_fn)(void *user, int32_t level, const char *text, size_t len);
EVY_API evy_status evy_config_on_log(evy_config *cfg, evy_log_fn fn, void *user,
                                     evy_drop_fn drop);
/* Once per finished request, after its post hooks, on a library thread.  line is the
 * formatted access line without a line end.  req may be read (evy_env_get, evy_req_stat)
 * but no longer answered; it is NULL for a request refused before it had an environ.
 * Replaces option access_log.  Must not block. */
typedef void (*evy_access_fn)(void *user, evy_req *req, const char *line, size_t len);
EVY_API evy_status evy_config_on_access(evy_config *cfg, evy_access_fn fn, void *user,
                                        evy_drop_fn drop);

/* ---- server ------------------------------------------------------------------------ */

/* Take a snapshot of cfg, then open, bind and listen on its addresses: from here on
 * clients can connect, and wait.  On failure *out is NULL, nothing stays open, and
 * evy_config_error(cfg) says which address or option and why.
 * Errors: EVY_E_ARG (also: no listener, no handler), EVY_E_BIND, EVY_E_TLS,
 * EVY_E_VALUE, EVY_E_NOMEM. */
EVY_API evy_status evy_server_new(evy_config *cfg, evy_server **out);
/* Serve on the library's own threads; returns once connections are accepted.
 * Errors: EVY_E_STATE (started, or stopped before), EVY_E_NOMEM (no thread). */
EVY_API evy_status evy_server_start(evy_server *s);
/* Serve on the calling thread, which holds the loop or runs handlers like the library's
 * own; returns EVY_OK after evy_server_stop has ended the server.
 * Errors: EVY_E_STATE. */
EVY_API evy_status evy_server_run(evy_server *s);
/* Drain: stop accepting, close idle connections, answer with `Connection: close`, let
 * requests finish for at most grace_ms (-1: for ever), then cut them; their post hooks
 * run with EVY_END_SHUTDOWN.  Returns at once, see evy_server_wait; a second call may
 * shorten the grace.  A handler that blocks is waited for: it cannot be killed.
 * Any thread, also a handler.  Errors: EVY_E_ARG. */
EVY_API evy_status evy_server_stop(evy_server *s, int64_t grace_ms);
/* Wait until a started server has stopped and its threads have ended.
 * Errors: EVY_E_TIMEOUT, EVY_E_STATE (never started; or called by one of its handlers). */
EVY_API evy_status evy_server_wait(evy_server *s, int64_t wait_ms);
/* Ends your use; stops a running server with no grace and waits for its threads (called
 * from a handler it only marks, and the server goes when that handler has returned). */
EVY_API void evy_server_free(evy_server *s);
/* Text of the last failure on s, "" when there was none.  Lives until the next call. */
EVY_API const char *evy_server_error(evy_server *s);
/* Real port of listener 0, 1, ...; 0: no such listener, or a unix socket. */
EVY_API int32_t evy_server_port(evy_server *s, uint32_t listener);
/* "127.0.0.1:8080", "[::1]:8443" or "unix:/run/a.sock"; NULL: no such listener.
 * Lives as long as s. */
EVY_API const char *evy_server_address(evy_server *s, uint32_t listener);

/* ---- request: environ (CGI / WSGI names) --------------------------------------------- */

/* REQUEST_METHOD SCRIPT_NAME PATH_INFO (percent-decoded bytes) RAW_PATH_INFO QUERY_STRING
 * (always) REQUEST_URI RAW_URI SERVER_PROTOCOL SERVER_NAME SERVER_PORT SERVER_SOFTWARE
 * GATEWAY_INTERFACE REMOTE_ADDR REMOTE_PORT wsgi.url_scheme HTTPS ("on" under TLS, else
 * absent) CONTENT_TYPE CONTENT_LENGTH (where sent) HTTP_* (repeats joined with ", ",
 * Cookie with "; "; an absolute request target wins over Host; on a unix socket the names
 * are "unix" and the ports ""; names that hold "_" are dropped unless option underscore_headers
 * says otherwise), then the pairs of evy_config_env and evy_env_set.
 * Lifetime: until the request ends, that is for the whole handler, hooks and access
 * callback, and for as long as the request is retained. */

/* Value of one key, its length in *len where len is not NULL.  NULL: absent. */
EVY_API const char *evy_env_get(evy_req *req, const char *name, size_t *len);
/* Number of keys; with evy_env_at they can be walked from 0 (NULL: no such index). */
EVY_API uint32_t evy_env_count(evy_req *req);
EVY_API const char *evy_env_at(evy_req *req, uint32_t index, const char **name, size_t *len);
/* All of it as one block (R4), with its length.  A later evy_env_set is not in it. */
EVY_API const char *evy_env_block(evy_req *req, size_t *len);
/* Add or replace a key for the hooks and the log; the server's own view of the request
 * does not change.  Copied.  Errors: EVY_E_ARG, EVY_E_NOMEM. */
EVY_API evy_status evy_env_set(evy_req *req, const char *name, const char *value, size_t len);
/* Header fields as they came: order and case kept, repeats apart, as in R4. */
EVY_API const char *evy_req_headers(evy_req *req, size_t *len);
/* The server that got the request: lent, do not free. */
EVY_API evy_server *evy_req_server(evy_req *req);
/* A number unique in this process and > 0; 0 for NULL. */
EVY_API uint64_t evy_req_id(evy_req *req);
/* One pointer of yours that travels with the request. */
EVY_API void evy_req_set_user(evy_req *req, void *user);
EVY_API void *evy_req_user(evy_req *req);
/* Keep a request beyond its handler: answer it later, from any thread.  When the last
 * reference goes and no answer was finished, the library answers 500 (or cuts an answer
 * that had begun).  Every retain needs one release. */
EVY_API void evy_req_retain(evy_req *req);
EVY_API void evy_req_release(evy_req *req);
/* 1 once the client is known to have gone away (closed, reset, timed out), else 0. */
EVY_API int32_t evy_req_gone(evy_req *req);

/* ---- request body --------------------------------------------------------------------- */

/* A client that asked for it (Expect: 100-continue) gets 100 Continue at the first read;
 * answering without a read does not send it.  body=buffer (the default) takes the whole
 * body before the handler runs; body=stream leaves it to the calls below. */

/* Declared length in bytes; 0: no body; -1: not known (chunked), or NULL. */
EVY_API int64_t evy_body_length(evy_req *req);
/* The whole body, body=buffer only; NULL: stream mode, or NULL handle.  *len is set. */
EVY_API const void *evy_body_buffer(evy_req *req, size_t *len);
/* Pull up to cap bytes: > 0 bytes, 0 at the end, < 0 error.  Waits at most wait_ms for
 * the first byte (inside a handler the loop moves on meanwhile; with threads=1 and
 * inside a body callback it never waits: EVY_E_AGAIN).
 * Errors: EVY_E_ARG, EVY_E_AGAIN (wait_ms 0), EVY_E_TIMEOUT, EVY_E_GONE (the client left
 * in mid-body), EVY_E_LIMIT (max_body_size), EVY_E_PROTOCOL (broken chunks), EVY_E_STATE
 * (evy_body_on_data is in use). */
EVY_API int64_t evy_body_read(evy_req *req, void *buf, size_t cap, int64_t wait_ms);
/* Push: fn gets each piece as it arrives; data lives for the call.  The last call has
 * len 0 and st EVY_OK, or the error that ended the body as in evy_body_read; where the
 * answer ends before the body, no further call comes.  Register
 * it in the handler; the request must be retained until then to be answered later.
 * Errors: EVY_E_ARG, EVY_E_STATE (already registered, or reading has begun). */
typedef void (*evy_body_fn)(void *user, evy_req *req, const void *data, size_t len,
                            evy_status st);
EVY_API evy_status evy_body_on_data(evy_req *req, evy_body_fn fn, void *user,
                                    evy_drop_fn drop);
/* Back pressure: paused 1 stops the pieces (and, soon, the client), 0 lets them flow. */
EVY_API evy_status evy_body_pause(evy_req *req, int32_t paused);
/* Trailer fields behind a chunked body, R4, once its end has been read; NULL: none, not yet, or
 * NULL handle.  Checked like headers and never among them; forbidden ones (see evy_resp_end) are
 * dropped.  Lives as long as req. */
EVY_API const char *evy_body_trailers(evy_req *req, size_t *len);

/* ---- response --------------------------------------------------------------------------- */

/* Headers are R4 pairs, names and values checked (EVY_E_FIELD).  Date, Content-Length,
 * Transfer-Encoding and Connection are the library's: the host's own Date and
 * Content-Length are used, its `Connection: close` is obeyed, every other hop-by-hop field is
 * dropped.  A Content-Length that is not the length of the body given is EVY_E_FIELD, and
 * after EVY_E_FIELD or EVY_E_ARG the request can still be answered.  reason NULL: the
 * standard phrase.  HEAD, 1xx, 204 and 304 never get a body on the wire. */

/* The whole answer in one call, copied.  headers may be NULL with length 0.
 * Errors: EVY_E_ARG (status not 200..599), EVY_E_FIELD, EVY_E_STATE (already answered),
 * EVY_E_GONE (the client has left; hooks run all the same), EVY_E_NOMEM. */
EVY_API evy_status evy_respond(evy_req *req, int32_t status, const char *reason,
                               const char *headers, size_t headers_len, const void *body,
                               size_t body_len);
/* Begin a streamed answer.  length -1: not known (chunked; or, for HTTP/1.0, until the
 * connection closes).  A length promised here, or by a Content-Length header, is kept: bytes
 * over it are dropped with a log line, too few cut the connection (EVY_END_HANDLER_ERROR).
 * Errors as evy_respond. */
EVY_API evy_status evy_resp_begin(evy_req *req, int32_t status, const char *reason,
                                  const char *headers, size_t headers_len, int64_t length);
/* Hand over a piece, copied; len 0 does nothing.  While more than write_high_water bytes
 * wait, the call waits up to wait_ms for room (inside a handler the loop moves on
 * meanwhile).  EVY_FULL: taken, still above the mark (always the case, instead of waiting,
 * with threads=1 inside a handler).  EVY_E_GONE: the client left, stop.
 * Errors: EVY_E_ARG, EVY_E_STATE (not begun, ended), EVY_E_GONE, EVY_E_TIMEOUT
 * (write_timeout has ended the connection), EVY_E_NOMEM. */
EVY_API evy_status evy_resp_write(evy_req *req, const void *data, size_t len, int64_t wait_ms);
/* End a streamed answer.  trailers: R4 pairs or NULL; they go out where the answer is chunked, and
 * nowhere else.  Fields that frame, route, authenticate, condition or decode a message are refused
 * (RFC 9110 6.5.1), and the answer can still be ended.
 * Errors: EVY_E_ARG, EVY_E_FIELD, EVY_E_STATE, EVY_E_GONE. */
EVY_API evy_status evy_resp_end(evy_req *req, const char *trailers, size_t trailers_len);
/* Cut the connection, so the client sees an error; before the head was sent too.
 * The outcome is EVY_END_ABORTED.  Errors: EVY_E_ARG, EVY_E_STATE (answer complete). */
EVY_API evy_status evy_resp_abort(evy_req *req);

/* ---- response, more ways ------------------------------------------------------------------ */

/* An informational answer (100, 102, 103 ...; any number) ahead of the real one; headers as
 * above.  HTTP/1.0 clients know none: they get none, and the call is EVY_OK.  Under 100 a client
 * that waits to send its body begins.  Counts as framing (EVY_STAT_HEAD_OUT).
 * Errors: EVY_E_ARG (status not 100, 102..199), EVY_E_FIELD, EVY_E_STATE (the answer has begun),
 * EVY_E_GONE, EVY_E_NOMEM. */
EVY_API evy_status evy_inform(evy_req *req, int32_t status, const char *headers,
                              size_t headers_len);
/* Send what is queued now.  Output otherwise leaves when the handler returns, waits in a call, or
 * has run for 2 to 4 ms (never sooner than that with threads=1); from other threads it is on its
 * way at once, and this does nothing.  Nothing waits for more to fill a packet.
 * Errors: EVY_E_ARG, EVY_E_STATE (the request is over), EVY_E_GONE. */
EVY_API evy_status evy_resp_flush(evy_req *req);
/* evy_resp_write for several pieces, copied, as one chunk.  Errors as evy_resp_write. */
typedef struct {
  const void *data;
  size_t len; /* or EVY_NUL */
} evy_slice;
EVY_API evy_status evy_resp_writev(evy_req *req, const evy_slice *slices, size_t count,
                                   int64_t wait_ms);
/* evy_respond and evy_resp_write without the copy: the bytes must live, and not change, until
 * drop(user), which is called exactly once: when the kernel (under TLS: the cipher) has taken the
 * last of them, when the connection is gone, or before the call returns (it failed, no body goes
 * out, or the piece is under 4 KiB and was copied).  drop comes on any library thread, no lock is
 * held, and it must not block.  Never waits: EVY_FULL means that a writer should (see
 * evy_resp_on_writable).  Order among all kinds of pieces is kept.
 * Errors as evy_respond and evy_resp_write. */
EVY_API evy_status evy_respond_ref(evy_req *req, int32_t status, const char *reason,
                                   const char *headers, size_t headers_len, const void *body,
                                   size_t body_len, void *user, evy_drop_fn drop);
EVY_API evy_status evy_resp_write_ref(evy_req *req, const void *data, size_t len, void *user,
                                      evy_drop_fn drop);
/* A piece that is part of a regular file; length -1: to its end.  fd is duplicated, its position
 * neither used nor moved; close yours whenever you like.  Goes by sendfile(2), under TLS through
 * a read of 32 KiB at a time, and at most 1 MiB in one turn of the loop, which waits for the disk.
 * A file that gets shorter before it was sent cuts the connection (EVY_END_HANDLER_ERROR).
 * Never waits: EVY_FULL as above.  Errors: EVY_E_ARG (no regular file, or the part is not inside
 * it), EVY_E_STATE (not begun, ended), EVY_E_GONE, EVY_E_NOMEM. */
EVY_API evy_status evy_resp_file(evy_req *req, int fd, int64_t offset, int64_t length);
/* fn is called after each EVY_FULL, as soon as at most write_low_water bytes wait; it runs where
 * handlers run, never beside the request's handler or another of its callbacks, and not after
 * the end of the answer or of the connection (see evy_req_on_gone).  Once per request; drop when
 * the request is over.  Errors: EVY_E_ARG, EVY_E_STATE (registered already, or answered),
 * EVY_E_GONE; then fn never runs, and drop has been called. */
EVY_API evy_status evy_resp_on_writable(evy_req *req, evy_handler_fn fn, void *user,
                                        evy_drop_fn drop);
/* fn is called once when the client leaves (as evy_req_gone tells it) before the answer was
 * ended: to stop work that nobody waits for.  It comes on the loop's thread, also while the
 * request's handler runs on another one, and must not block.  Not after evy_resp_abort.
 * Errors: EVY_E_ARG, EVY_E_STATE (registered already, or answered), EVY_E_GONE (left already);
 * then fn never runs, and drop has been called. */
EVY_API evy_status evy_req_on_gone(evy_req *req, evy_handler_fn fn, void *user,
                                   evy_drop_fn drop);

/* ---- post hooks and the outcome ----------------------------------------------------------- */

/* fn runs exactly once, in the order added, after the last byte of the answer was taken by
 * the kernel, or when the client left early, a deadline passed, the answer was aborted or
 * the server stopped; before the access line and before the connection's next request.
 * environ and the figures below are readable in it.  It runs where handlers run, and may
 * add further hooks.  Errors: EVY_E_ARG, EVY_E_STATE (the request is over), EVY_E_NOMEM;
 * then fn never runs, and drop has been called. */
EVY_API evy_status evy_posthook_add(evy_req *req, evy_handler_fn fn, void *user,
                                    evy_drop_fn drop);
/* What evy_req_stat tells.  Byte counts are what the kernel took, before TLS. */
enum {
  EVY_STAT_STATUS = 0,         /* status sent, 0 if none */
  EVY_STAT_END = 1,            /* how it ended, EVY_END_* */
  EVY_STAT_HEAD_OUT = 2,       /* head, 1xx and chunk framing */
  EVY_STAT_BODY_OUT = 3,       /* body without framing */
  EVY_STAT_WIRE_OUT = 4,       /* both: all bytes of this response */
  EVY_STAT_ACKED = 5,          /* of WIRE_OUT, acknowledged by the peer's TCP so far; -1
                                * not known (unix socket).  After a reset: what arrived. */
  EVY_STAT_CONTENT_LENGTH = 6, /* promised body length, -1 none */
  EVY_STAT_BODY_IN = 7,        /* request body without framing */
  EVY_STAT_WIRE_IN = 8,        /* request head, framing and body */
  EVY_STAT_US_TOTAL = 9,       /* microseconds from the complete head to the end */
  EVY_STAT_US_FIRST_BYTE = 10, /* to the first byte of the answer, -1 none */
  EVY_STAT_REQUESTS = 11,      /* how many requests this connection has brought, 1... */
  EVY_STAT_KEPT_ALIVE = 12,    /* 1: the connection goes on */
  EVY_STAT_TLS = 13            /* 1: over TLS */
};
enum {
  EVY_END_COMPLETE = 0,      /* "complete": every byte was taken by the kernel */
  EVY_END_CLIENT_RESET = 1,  /* "client-reset" */
  EVY_END_CLIENT_CLOSED = 2, /* "client-closed": closed its side first */
  EVY_END_WRITE_TIMEOUT = 3, /* "write-timeout": did not read for write_timeout */
  EVY_END_READ_TIMEOUT = 4,  /* "read-timeout": its body came too slowly */
  EVY_END_HANDLER_ERROR = 5, /* "handler-error": no answer, or a short one */
  EVY_END_ABORTED = 6,       /* "aborted": evy_resp_abort */
  EVY_END_SHUTDOWN = 7,      /* "shutdown": cut at the end of the grace */
  EVY_END_LIMIT = 8,         /* "limit": max_body_size */
  EVY_END_PROTOCOL = 9,      /* "protocol": its body was malformed */
  EVY_END_IO = 10,           /* "io": any other error of the connection */
  EVY_END_UPGRADED = 11      /* "upgraded": the host took the connection over */
};
/* One figure; -1: not known (yet), unknown to this library, or NULL. */
EVY_API int64_t evy_req_stat(evy_req *req, int32_t what);
/* Static name of an EVY_END_* ("client-reset"); "?" for an unknown one. */
EVY_API const char *evy_end_name(int32_t end);

/* ---- taking the connection over ------------------------------------------------------------- */

/* The connection becomes yours, for protocols evy does not speak: *fd is a blocking stream socket,
 * which you close; the first byte you send, a status line if any, is the answer.  What was sent
 * with evy_inform goes out before it, what the client sent behind its request is what you read
 * first.  In clear text, with nothing read ahead, it is the connection's own socket, and the post
 * hooks run as soon as the handler has returned; else one end of a pair that the loop pumps: plain
 * I/O and shutdown(2) work as ever, the hooks run when both sides have ended, or you have closed,
 * and their figures count what went through.  Either way the outcome is EVY_END_UPGRADED, and
 * EVY_STAT_STATUS is 0.  The server's stop waits for a pumped connection as for a request.
 * In the request's handler, or, where the request was retained, on any thread: the call waits until
 * the handler has returned.  With threads=1 do no I/O on it inside a handler: nobody would pump.
 * Errors: EVY_E_ARG, EVY_E_STATE (answered or begun, body not read to its end), EVY_E_GONE,
 * EVY_E_NOMEM (no descriptor; the request can still be answered). */
EVY_API evy_status evy_req_take_socket(evy_req *req, int *fd);

#ifdef __cplusplus
}
#endif
#endif /* EVY_H */
