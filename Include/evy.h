/* evy.h - embeddable HTTP server, C ABI.  SPDX-License-Identifier: MIT
 *
 * RULES THAT HOLD FOR EVERY FUNCTION
 *  R1 Handles are opaque pointers.  *_new makes one, *_free ends your use of it;
 *     *_free(NULL) is harmless, and order does not matter: an object that others
 *     still use is only marked, and goes when its last user goes (safe for GCs).
 *     A second *_free does nothing.  A handle that is gone, or of another kind, gives
 *     what NULL gives (R9), until 65536 others were made after it.  This does not hold
 *     for evy_req, which is memory of its own: see evy_req_retain.
 *  R2 Functions that can fail return evy_status: 0 ok, > 0 ok with a remark,
 *     < 0 error.  Detailed text is kept on the object (evy_*_error), never in
 *     thread-local state, so hosts whose tasks move between threads can read it.
 *  R3 Strings in: NUL-terminated, or pointer + length; the library copies unless it
 *     says otherwise.  A length of EVY_NUL means "NUL-terminated".  Strings out:
 *     pointer, optional length, always followed by a NUL byte; owned by the object
 *     they come from.  Nothing the library returns has to be freed except handles.
 *     Lengths must be true; one that nothing can have (over 2^47) is EVY_E_ARG.
 *  R4 Lists of pairs are one block: name NUL value NUL name NUL value NUL ...
 *     (no closing NUL; the length says where it ends).  CR, LF or NUL inside a
 *     field is refused with EVY_E_FIELD, so header injection cannot happen.
 *  R5 Times are milliseconds (-1 for ever, 0 do not wait), sizes are bytes.
 *  R6 Threads: config and TLS objects are confined to one thread at a time until
 *     handed over.  evy_server_*, tasks, timers and everything on one evy_req may be
 *     called from ANY thread.  Calls on the same evy_req are serialised.  evy_wake is
 *     async-signal-safe; nothing else is.
 *  R7 Callbacks run on a server thread.  Request handlers, body callbacks and post
 *     hooks may block: the loop then moves to another thread (option threads); log
 *     and access callbacks, drops and evy_req_on_gone must not block.  They must return
 *     normally (no exception, longjmp, pthread_exit).  The library's own threads block
 *     all signals: those are for the host's threads.  `user` is passed back as given; `drop(user)`, if not
 *     NULL, is called exactly once when the library has finished with it, also when
 *     the call that was to take it failed.
 *  R8 fork: config, TLS and listening sockets survive a fork; a started server does
 *     not.  In the child every call on it, and on its requests, gives EVY_E_FORKED, except
 *     evy_server_free; what a request was can still be read.  Fork while no other thread sets
 *     up or changes a TLS object: OpenSSL has locks of its own.  A handler that forked may return
 *     in the child: its thread ends there, and with it the process.  Connections end for their
 *     clients even while a child has copies of them; listening sockets do not.
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
 * "64k" ("16m", "1g"), "true"/"on"/"yes"/"1".  UTF-8.  Copied.
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
 * such as REQUEST_METHOD cannot be overridden, nor given to a request that has none, such as
 * CONTENT_LENGTH; wsgi.url_scheme and HTTPS can).  Copied.
 * Errors: EVY_E_ARG (NULL, empty name). */
EVY_API evy_status evy_config_env(evy_config *cfg, const char *name, const char *value);

/* Listeners, any number; tls NULL = clear text.  Address forms:
 *   "host:port"         "[::1]:8443", ":8080" (all IPv4 addresses), "[::]:8080" (all IPv6
 *                       addresses).  Port 0: the kernel chooses one, see evy_server_port.
 *   "unix:/run/a.sock"  a file, removed when the server stops, by the process that bound it
 *                       and if it is still the same file.  One that a dead server left is
 *                       replaced; a live one, or any other file, is EVY_E_BIND.
 *   "unix:@name"        an abstract name (Linux): no file, no mode.
 *   "fd://3"            a socket the process was started with, as in evy_config_listen_fd.
 *   "systemd:NAME"      the sockets systemd passed under this name (FileDescriptorName=),
 *                       "systemd:" all of them.  LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES
 *                       are read by this call and stay set.
 * Behind "?", parted by "&", follows what holds for this listener alone: mode=660,
 * user=NAME, group=NAME (of a file: names or numbers, set before anybody can connect;
 * the umask is not touched), backlog=N, v6only=0 ("[::]:80" takes IPv4 as well), proxy=1 or
 * 0 (the PROXY protocol is required or not, whatever option proxy_protocol says).
 * The sockets are opened by evy_server_new, those that exist already are looked at here.
 * The TLS object is shared: free it whenever you like.  NULL: clear text.  Errors: EVY_E_ARG (also:
 * tls is no TLS object, or was freed), EVY_E_VALUE (the
 * address cannot be read, or is not UTF-8), EVY_E_BIND ("fd://", "systemd:": no such socket was passed, or
 * it is no bound stream socket), EVY_E_NOMEM, EVY_E_TLS (tls has no certificate). */
EVY_API evy_status evy_config_listen(evy_config *cfg, const char *address, evy_tls *tls);
/* A bound (and perhaps listening) stream socket of yours.  The library works on a
 * duplicate: closing yours, and stopping the server, leave the other end usable.
 * Errors: EVY_E_ARG (not a descriptor), EVY_E_VALUE (not a bound stream socket). */
EVY_API evy_status evy_config_listen_fd(evy_config *cfg, int fd, evy_tls *tls);

/* ---- TLS ----------------------------------------------------------------------- */

/* A TLS policy: TLS 1.2 and 1.3, ALPN http/1.1, one stateless ticket, no cache.
 * Ownership: yours until evy_tls_free; listeners that use it keep it alive.  A change after
 * a listener took it counts from the next evy_tls_reload or evy_config_listen on, for all. */
EVY_API evy_tls *evy_tls_new(void);
EVY_API void evy_tls_free(evy_tls *tls);
/* Certificate chain (PEM, leaf first) and private key from files; key_pem NULL: the key
 * is in cert_pem; pass NULL: the key is not encrypted.  name: the host that clients ask for
 * by SNI, "a.org", or "*.a.org" for one label in front; NULL: the DNS names inside the
 * certificate (without any, its common name).  The first certificate serves whoever asks
 * for no name or another one.  A name given outranks one read, an exact one a wildcard,
 * the earlier the later.  The same name again (NULL: the same names) replaces that pair.
 * Errors: EVY_E_ARG, EVY_E_VALUE (name), EVY_E_TLS, text in evy_tls_error ("cannot open
 * certificate cert.pem: No such file or directory", "private key key.pem does not match
 * certificate cert.pem").  On error nothing has changed. */
EVY_API evy_status evy_tls_cert_file(evy_tls *tls, const char *name, const char *cert_pem,
                                     const char *key_pem, const char *pass);
/* The same from memory.  key NULL: the key is in cert. */
EVY_API evy_status evy_tls_cert_mem(evy_tls *tls, const char *name, const void *cert,
                                    size_t cert_len, const void *key, size_t key_len,
                                    const char *pass);
/* Ask clients for a certificate that one of those in ca (PEM) vouches for.  REQUIRE: without
 * a good one the handshake fails.  OPTIONAL: all are served, SSL_CLIENT_VERIFY tells them
 * apart.  NONE (the default; ca may be NULL): not asked.  Errors: EVY_E_ARG, EVY_E_TLS. */
enum { EVY_VERIFY_NONE = 0, EVY_VERIFY_OPTIONAL = 1, EVY_VERIFY_REQUIRE = 2 };
EVY_API evy_status evy_tls_client_ca_file(evy_tls *tls, int32_t verify, const char *ca_pem);
EVY_API evy_status evy_tls_client_ca_mem(evy_tls *tls, int32_t verify, const void *ca, size_t len);
/* Keys: min_version, max_version ("1.2" or "1.3"), ciphers (TLS 1.2, OpenSSL list) and
 * ciphersuites (TLS 1.3), each in our order of preference, groups ("X25519:P-256:P-384",
 * with X25519MLKEM768 ahead where OpenSSL has it; finite fields cost a server far more than
 * a client), alpn ("http/1.1,http/1.0" in order of preference, or "off"), tickets (how many a
 * client gets, "1"; "off": no resumption), ticket_rotation (age of a ticket key, "12h"; it
 * opens tickets for one such time more; "off": never changed), ocsp_file (OCSP responses in
 * DER, paths with "," between, each stapled to the certificate it is about until it expires),
 * keylog_file (session secrets are appended, NSS format: for debugging only, who reads it
 * reads everything).  Errors: EVY_E_ARG, EVY_E_OPTION, EVY_E_VALUE. */
EVY_API evy_status evy_tls_set(evy_tls *tls, const char *key, const char *value);
/* Read every file again: certificates, keys, client CA, OCSP responses.  All or nothing: on
 * error the old ones stay in force and evy_tls_error names the file.  New handshakes get the
 * new ones; open connections and, as far as the client CA is the same, tickets stay valid.
 * Reads files, so not for a callback that must not block.  Any thread, while servers run;
 * calls are serialised.  Errors: EVY_E_ARG, EVY_E_TLS. */
EVY_API evy_status evy_tls_reload(evy_tls *tls);
/* Text of the last failure on tls, "" when there was none.  Lives until the next call, as memory as
 * long as tls. */
EVY_API const char *evy_tls_error(evy_tls *tls);

/* ---- what the host supplies ------------------------------------------------------ */

/* A request has arrived: its head, and its body too where body=buffer.  req is lent for
 * the call; to answer later, evy_req_retain it.  Runs on the thread that holds the loop;
 * when it takes longer than 2 to 4 ms (8 to 16 where none has for a second) the loop goes on
 * elsewhere, so up to `threads` handlers run side by side (threads=1: the loop waits), and up to
 * `waiting_threads` that wait for their clients in evy_body_read or evy_resp_write.  A
 * handler that returns without an answer and without a retain is answered 500 by the library. */
typedef void (*evy_handler_fn)(void *user, evy_req *req);
/* Errors: EVY_E_ARG (cfg or fn NULL; drop is called). */
EVY_API evy_status evy_config_on_request(evy_config *cfg, evy_handler_fn fn, void *user,
                                         evy_drop_fn drop);
enum { EVY_LOG_ERROR = 1, EVY_LOG_WARN = 2, EVY_LOG_INFO = 3, EVY_LOG_DEBUG = 4 };
/* One line of the server's own log, without a line end; text lives for the call.  Without
 * this callback lines go to option error_log.  Any library thread, or one that calls
 * evy_server_log; one at a time. */
typedef void (*evy_log_fn)(void *user, int32_t level, const char *text, size_t len);
EVY_API evy_status evy_config_on_log(evy_config *cfg, evy_log_fn fn, void *user,
                                     evy_drop_fn drop);
/* Options access_log and error_log: "off", "stderr", "fd:N" (a duplicate of yours is written to), or a
 * file's path, appended to; "./off" for a file with such a name.  Nobody waits for a reader or a disk:
 * 64 KiB of lines wait for them, each second anew, later ones are dropped whole, and as soon as bytes are
 * taken again one line tells how many ("evy: 977 log lines lost: its reader is too slow").  What is no
 * file gets whole lines, at most PIPE_BUF (4096) bytes a write: on a pipe, lines of several logs, loops
 * and processes never mix, but for single ones that are longer.  A pipe or terminal that the library
 * cannot open a second time (another user's) gets a thread that writes to it; evy_server_free then waits
 * at most two seconds for its reader.
 *
 * Option access_log_format.  It is "common" or "combined" as Apache and nginx write them, "json"
 * (one object a line: every field but the texts of local time, numbers as numbers, null for what is
 * absent, U+FFFD for what is not UTF-8; {"lost":977,"reason":"its reader is too slow"} for lines that
 * are missing), or a text of your own with %(field)s, %(field)d, %(field).3f as in Python.  In all but
 * json "-" stands for what is absent, and in texts the bytes ", \, below 0x20 and from 0x7f on are
 * written \xNN.  Fields:
 * texts    client_ip request_line method path query protocol host user_agent referer
 *          x_forwarded_for scheme ("http", "https") aborted (absent: complete; else an EVY_END_*
 *          name) time (UTC, "2026-11-22T16:10:56Z"), in local time date_time
 *          ("22/Nov/2026 16:10:56"), tz ("+0100"), time_local ("22/Nov/2026:16:10:56 +0100")
 *          header_id (see option request_id_header), trace_id and parent_id (32 and 16 hex
 *          digits of a valid W3C traceparent)
 * numbers  client_port status_code request_id (as evy_req_id) requests_on_connection pid; bytes:
 *          body_bytes, head_bytes, wire_bytes and acked_bytes as EVY_STAT_*; body_length
 *          (wire_bytes without informational answers, 1xx; the ancestors' name);
 *          bytes_received, the request's body without framing; wire_received, its head and framing too
 * seconds  wall_seconds ttfb (to the first byte of the answer)
 *
 * Option request_id_header, for example "X-Request-ID": environ then has HTTP_X_REQUEST_ID for
 * every request.  It is the client's where that is one value of 1 to 128 letters, digits and
 * -._~+/=:@, else 32 random hex digits made here.  evy_req_headers stays as it came. */
/* Once per finished request, after its post hooks, on a library thread, one at a time.  line is the
 * formatted access line without a line end.  req may be read (evy_env_get, evy_req_stat)
 * but no longer answered; it is NULL for a request refused before it had an environ.
 * Replaces option access_log.  Must not block. */
typedef void (*evy_access_fn)(void *user, evy_req *req, const char *line, size_t len);
EVY_API evy_status evy_config_on_access(evy_config *cfg, evy_access_fn fn, void *user,
                                        evy_drop_fn drop);

/* ---- CPython ----------------------------------------------------------------------- */

/* For the Python package, in the place of evy_config_on_request: the library calls the WSGI
 * application itself, by functions of CPython that it looks up in the process.  bridge is a
 * PyObject * with the attributes that evy.web._bridge describes; cfg and its servers keep what they
 * need of it.  The interpreter lock is held while handlers run, from one to the next, and never
 * while the library waits.  Call it with the lock held (ctypes.PyDLL), in the main interpreter.
 * Errors: EVY_E_ARG, EVY_E_UNSUPPORTED (no CPython, one without a function that is needed, or a
 * free-threaded build, which has no such lock, even where it was told to use one). */
EVY_API evy_status evy_config_python(evy_config *cfg, void *bridge);

/* ---- server ------------------------------------------------------------------------ */

/* Option loops: event loops of one server, 1 unless set, 0 for one on each processor that the
 * process may use.  All accept from the same sockets and keep what they accepted, evenly spread; a
 * request stays with its loop.
 * Option threads holds for each loop; of max_connections each has its share.  Handlers of different
 * loops run at the same time whatever threads says; log and access callbacks still come one at a
 * time.  A server that is stepped, or gets all its threads lent, has them to bear in mind: the one
 * must have one loop, the other needs a thread for each. */

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
 * Errors: EVY_E_STATE, EVY_E_NOMEM (no thread). */
EVY_API evy_status evy_server_run(evy_server *s);
/* Drain: accept who has connected by now (as far as max_connections allows), and nobody
 * more; close idle connections, answer with `Connection: close`, let
 * requests finish for at most grace_ms (-1: for ever; 0: nobody is accepted any more), then
 * cut them; their post hooks run with EVY_END_SHUTDOWN.  Returns at once, see evy_server_wait;
 * a second call may
 * shorten the grace.  A handler that blocks is waited for: it cannot be killed.  Where others go
 * on serving the same clients, option drain_delay leaves idle connections open so much longer: a
 * request may be on its way.
 * Sockets of the host's (evy_config_listen_fd, "fd://") are left to whoever else has them, with the
 * clients that wait there; a hand-over of the socket itself loses nobody.  With option reuse_port the
 * kernel may already have chosen this process for a client on its way: the socket stays for 100 ms
 * more, in which handshakes end and are accepted, while newcomers are not heard and knock again, a
 * second later, at another process (net.ipv4.tcp_migrate_req=1 spares them that).
 * Any thread, also a handler.  Errors: EVY_E_ARG. */
EVY_API evy_status evy_server_stop(evy_server *s, int64_t grace_ms);
/* Wait until a started server has stopped and its threads have ended.  With option lent_threads,
 * and none lent, a stop needs somebody: without a limit (wait_ms -1) the calling thread does what is
 * left to do, with one nobody does, and it passes.
 * Errors: EVY_E_TIMEOUT, EVY_E_STATE (never started; or called by one of its handlers). */
EVY_API evy_status evy_server_wait(evy_server *s, int64_t wait_ms);
/* Ends your use; stops a running server with no grace and waits for its threads (called
 * from a handler it only marks, and the server goes when that handler has returned).  With
 * option lent_threads, and none lent, the calling thread does what is left to do. */
EVY_API void evy_server_free(evy_server *s);
/* Text of the last failure on s, "" when there was none.  Lives as long as s, in one place: a
 * failure on another thread may replace it while you read.  At most 1023 bytes, as all such texts. */
EVY_API const char *evy_server_error(evy_server *s);
/* Real port of listener 0, 1, ...; 0: no such listener, or a unix socket. */
EVY_API int32_t evy_server_port(evy_server *s, uint32_t listener);
/* "127.0.0.1:8080", "[::1]:8443", "unix:/run/a.sock" or "unix:@name"; NULL: no such listener.
 * Lives as long as s. */
EVY_API const char *evy_server_address(evy_server *s, uint32_t listener);

/* ---- loops and threads of the host ----------------------------------------------------- */

/* A server in a loop of yours: watch evy_server_fd for readability, wait for it at most
 * evy_server_deadline ms, then call evy_server_step; begin with any of the three instead of
 * evy_server_start.  Handlers run inside the steps, one at a time: option threads does not
 * count, and calls that would wait do not (as with threads=1), between two steps neither where
 * the thread is the one that steps.  The three may be called from one thread at a time, not
 * always the same.  evy_server_free ends such a server at once. */

/* The descriptor to watch (an epoll set): lent, do not close.  -1: evy_server_error has why. */
EVY_API int evy_server_fd(evy_server *s);
/* Milliseconds until a step is due even if the descriptor stays silent; -1: it is not. */
EVY_API int64_t evy_server_deadline(evy_server *s);
/* Wait at most wait_ms (0: not at all, -1: until something happens), then serve what is
 * there.  EVY_END: the server has stopped, all is over.
 * Errors: EVY_E_ARG, EVY_E_STATE (started otherwise; inside another step; several loops),
 * EVY_E_FORKED. */
EVY_API evy_status evy_server_step(evy_server *s, int64_t wait_ms);

/* Lend the calling thread: it holds the loop, or waits as a spare for it, and runs handlers,
 * until the server has stopped; also before evy_server_start, which it then waits for: a thread that
 * serves alone cannot wait for a client, and clients may have queued.  With option
 * lent_threads host code runs on such threads alone (best for Python, Ruby, the JVM, where a
 * callback on a foreign thread is dear): lend one more than handlers shall run side by side, for
 * one always serves the loop, and more when evy_server_short says so.  Of several loops (option
 * loops) it serves one, that which is short of threads, or has fewest.
 * Errors: EVY_E_ARG, EVY_E_STATE (the server is stepped, or the thread is in one of its handlers),
 * EVY_E_NOMEM, EVY_E_FORKED. */
EVY_API evy_status evy_server_work(evy_server *s);

/* With option lent_threads: wait at most wait_ms (-1: for ever) until requests are in want of one
 * more lent thread: fewer handlers run than option threads allows, and yet a request waits, for
 * all lent threads are taken, some by handlers that wait for their clients; or has waited for
 * some milliseconds.  EVY_OK: lend one, with evy_server_work; EVY_END: the server has stopped.
 * Errors: EVY_E_ARG, EVY_E_TIMEOUT, EVY_E_STATE (lent_threads is off; called by one of its
 * handlers), EVY_E_FORKED. */
EVY_API evy_status evy_server_short(evy_server *s, int64_t wait_ms);

enum {
  EVY_EVENT_REQUEST = 1, /* a new request */
  EVY_EVENT_DONE = 2     /* the end of a request: a post hook added with fn NULL */
};
/* Pull, with option pull: threads of yours take requests here instead of a handler (for Go,
 * Lua, green threads).  *req is retained for you: evy_req_release it, when you have answered
 * or after DONE (one release for each event).  What nobody has taken at the end of a stop's
 * grace is cut, and answered by nobody.
 * EVY_END: the server has stopped, and no event is left.  Errors: EVY_E_ARG, EVY_E_AGAIN
 * (wait_ms has passed, or evy_wake), EVY_E_STATE (no option pull), EVY_E_FORKED. */
EVY_API evy_status evy_server_next(evy_server *s, int64_t wait_ms, int32_t *event,
                                   evy_req **req);
/* Ends a wait of evy_server_step or evy_server_next, or the next one.  Any thread; the one
 * function that may be called in a signal handler. */
EVY_API void evy_wake(evy_server *s);

/* ---- tasks and timers ------------------------------------------------------------------ */

/* Called where handlers run; may block as they may. */
typedef void (*evy_task_fn)(void *user);
/* Run fn soon on the loop that owns req, or on the first loop where req is NULL (it has the timers
 * too, and is the last to end).  They begin in the order posted; where one blocks, others go on
 * beside it.  A server that ends first calls drop alone.
 * Any thread, also before the start.
 * Errors: EVY_E_ARG, EVY_E_STATE (the server has ended), EVY_E_FORKED. */
EVY_API evy_status evy_loop_post(evy_server *s, evy_req *req, evy_task_fn fn, void *user,
                                 evy_drop_fn drop);
/* Run fn in first_ms, then every every_ms (0: once).  Exact to the millisecond as far as the
 * loop is free; missed turns of a period are left out.  An id > 0, or an error as above (also
 * EVY_E_ARG for a negative time).  Any thread. */
EVY_API int64_t evy_timer_start(evy_server *s, int64_t first_ms, int64_t every_ms,
                                evy_task_fn fn, void *user, evy_drop_fn drop);
/* fn will not run again; where it runs just now, drop follows when it has returned.
 * Errors: EVY_E_ARG, EVY_E_STATE (over already, or no such timer), EVY_E_FORKED. */
EVY_API evy_status evy_timer_stop(evy_server *s, int64_t id);

/* ---- seeing inside ------------------------------------------------------------------- */

/* What a server has done so far and is doing now.  Numbers stay what they are in later
 * versions; new ones come behind.  Counters only grow, from 0 when the server is made, and
 * are counted whether it logs or not; a gauge (g) is a level and can fall.
 *
 * A request is counted in REQUESTS_TOTAL once its head is complete or refused, and once it is
 * over in exactly one EVY_N_STATUS_* and exactly one EVY_N_END_*.  It is over when its post
 * hooks have run; without hooks, logs or a retain when the kernel has taken its last byte.
 * Of pipelined answers that left together, none is over before all are. */
enum {
  EVY_N_CONNECTIONS_OPEN = 0,     /* g: idle ones included */
  EVY_N_CONNECTIONS_TOTAL = 1,    /* accepted */
  EVY_N_CONNECTIONS_REFUSED = 2,  /* of those, closed at once for lack of memory */
  EVY_N_CONNECTIONS_EVICTED = 3,  /* idle ones closed to make room for new ones */
  EVY_N_ACCEPT_PAUSES = 4,        /* accepting stopped: max_connections, or no descriptors */
  EVY_N_REQUESTS_ACTIVE = 5,      /* g: begun and not over */
  EVY_N_REQUESTS_QUEUED = 6,      /* g: callbacks that wait for a thread (option threads) */
  EVY_N_REQUESTS_TOTAL = 7,
  EVY_N_STATUS_NONE = 8,          /* over without a byte of an answer */
  EVY_N_STATUS_1XX = 9,
  EVY_N_STATUS_2XX = 10,
  EVY_N_STATUS_3XX = 11,
  EVY_N_STATUS_4XX = 12,
  EVY_N_STATUS_5XX = 13,
  EVY_N_END_COMPLETE = 14,        /* over with EVY_END_COMPLETE, and so on */
  EVY_N_END_CLIENT_RESET = 15,
  EVY_N_END_CLIENT_CLOSED = 16,
  EVY_N_END_WRITE_TIMEOUT = 17,
  EVY_N_END_READ_TIMEOUT = 18,
  EVY_N_END_HANDLER_ERROR = 19,
  EVY_N_END_ABORTED = 20,
  EVY_N_END_SHUTDOWN = 21,
  EVY_N_END_LIMIT = 22,
  EVY_N_END_PROTOCOL = 23,
  EVY_N_END_IO = 24,
  EVY_N_END_UPGRADED = 25,
  EVY_N_REFUSED_MALFORMED = 26,   /* answered by the library: 400 */
  EVY_N_REFUSED_LIMIT = 27,       /* 413, 414, 431 */
  EVY_N_REFUSED_UNSUPPORTED = 28, /* 417, 501, 505 */
  EVY_N_REFUSED_TIMEOUT = 29,     /* 408 */
  EVY_N_TIMEOUT_HANDSHAKE = 30,   /* deadlines that passed: handshake_timeout */
  EVY_N_TIMEOUT_HEADER = 31,      /* header_timeout, also of silent new connections */
  EVY_N_TIMEOUT_IDLE = 32,        /* idle_timeout */
  EVY_N_TIMEOUT_BODY = 33,        /* body_timeout, body_min_rate */
  EVY_N_TIMEOUT_WRITE = 34,       /* write_timeout */
  EVY_N_TIMEOUT_LINGER = 35,      /* linger_timeout */
  EVY_N_TLS_HANDSHAKES = 36,      /* completed */
  EVY_N_TLS_FAILURES = 37,        /* begun and never completed, whoever's fault it was */
  EVY_N_BYTES_IN = 38,            /* on the clients' sockets, TLS included */
  EVY_N_BYTES_OUT = 39,           /* taken by the kernel, TLS included */
  EVY_N_THREADS_BUSY = 40,        /* g: threads in callbacks of the host */
  EVY_N_THREADS_TOTAL = 41,       /* g: the loop's thread, busy ones and spares */
  EVY_N_LOOP_LAG_US = 42,         /* g: microseconds of the loop's last turn, from its wake-up
                                   * to its end: so long a new event may have waited */
  EVY_N_LOOP_LAG_MAX_US = 43,     /* g: of its longest turn */
  EVY_N_LOOP_TURNS = 44,          /* turns: LOOP_BUSY_US by these is the mean lag, and */
  EVY_N_LOOP_BUSY_US = 45         /* over wall time the share in which the loop was busy */
};
/* Store the first n counters in out; returns how many exist, whatever n is (out may be NULL
 * with n 0).  The figures are one snapshot: a request that is over is in all of its counters
 * or in none, so that REQUESTS_TOTAL = REQUESTS_ACTIVE + all END_*, and all STATUS_* = all
 * END_*, always.  REQUESTS_QUEUED and THREADS_* are taken a moment later.
 * Cheap, never waits for a request.  From evy_server_new to evy_server_free, also stopped.
 * Any thread, also a callback.  0: NULL, or forked. */
EVY_API uint32_t evy_server_counters(evy_server *s, int64_t *out, uint32_t n);
/* Walk the counters: index 0, 1, ... until NULL.  The name is that of a Prometheus series
 * (evy_responses_total{status="2xx"}), the type "counter" or "gauge", help one line.
 * Static texts.  Any thread. */
EVY_API const char *evy_counter_name(uint32_t index);
EVY_API const char *evy_counter_type(uint32_t index);
EVY_API const char *evy_counter_help(uint32_t index);
/* All counters in the text format of Prometheus (0.0.4; Content-Type "text/plain;
 * version=0.0.4"), NUL-terminated, into out, which has room for cap bytes.  Returns the
 * length without the NUL; where that is not less than cap, only "" was stored.  The text is
 * always shorter than 16384 bytes.  Any thread, also a callback.
 * Errors: EVY_E_ARG (NULL), EVY_E_NOMEM, EVY_E_FORKED. */
EVY_API int64_t evy_server_metrics(evy_server *s, char *out, size_t cap);

/* One line of yours in the server's own log: to evy_config_on_log, or to option error_log.
 * level EVY_LOG_*; lines less important than the log level are dropped, and that is EVY_OK.
 * text is copied; bytes below 0x20 except tab, line ends too, 0x7f, and those of U+0080 to U+009F,
 * U+2028 and U+2029 are written \xNN, so that no text of a client can forge a line or steer a
 * terminal; what is not UTF-8 becomes U+FFFD.
 * Any thread.  Errors: EVY_E_ARG (NULL, no such level), EVY_E_STATE (called by the callback
 * of evy_config_on_log), EVY_E_FORKED. */
EVY_API evy_status evy_server_log(evy_server *s, int32_t level, const char *text, size_t len);
/* Open the files of options access_log and error_log anew, for log rotation: lines before this
 * call are in the old files, but for those that a full disk or slow reader holds back, which may go
 * to the new ones.  What is no file stays as it is.  All are tried; where one cannot be opened its old
 * file is kept, and the text names the first.
 * Any thread.  Errors: EVY_E_ARG, EVY_E_IO, EVY_E_FORKED. */
EVY_API evy_status evy_server_reopen_logs(evy_server *s);
/* The least important level that the log takes from here on, instead of option log_level.
 * Any thread, at any time.  Errors: EVY_E_ARG (NULL, no such level), EVY_E_FORKED. */
EVY_API evy_status evy_server_set_log_level(evy_server *s, int32_t level);
/* EVY_LOG_*; 0 for NULL.  What is above it need not be formatted at all.  Any thread. */
EVY_API int32_t evy_server_log_level(evy_server *s);

/* ---- request: environ (CGI / WSGI names) --------------------------------------------- */

/* REQUEST_METHOD SCRIPT_NAME PATH_INFO (the percent-decoded path; option script_name, which is not
 * encoded either, is taken off where it begins with that) RAW_PATH_INFO (all of the path, as sent)
 * QUERY_STRING (always) REQUEST_URI RAW_URI SERVER_PROTOCOL SERVER_NAME SERVER_PORT SERVER_SOFTWARE
 * GATEWAY_INTERFACE REMOTE_ADDR REMOTE_PORT wsgi.url_scheme HTTPS ("on" under TLS, else
 * absent) SSL_PROTOCOL ("TLSv1.3") SSL_CIPHER SSL_SERVER_NAME (where the client asked for one)
 * SSL_CLIENT_VERIFY ("NONE", "SUCCESS", "FAILED:reason") SSL_CLIENT_CERT (PEM; the good and
 * the bad) SSL_CLIENT_S_DN SSL_CLIENT_I_DN (RFC 2253, of a good one only), all under TLS only,
 * CONTENT_TYPE CONTENT_LENGTH (where sent) HTTP_* (repeats joined with ", ",
 * Cookie with "; "; an absolute request target wins over Host; on a unix socket the names
 * are "unix" and the ports ""; names that hold "_" are dropped unless option underscore_headers
 * says otherwise), then the pairs of evy_config_env and evy_env_set.
 * Lifetime: until the request ends, that is for the whole handler, hooks and access
 * callback, and for as long as the request is retained. */

/* Behind proxies.  Option proxy_protocol=require: every connection begins with a PROXY
 * protocol header (version 1 or 2, ahead of TLS too); REMOTE_ADDR, REMOTE_PORT, SERVER_NAME
 * and SERVER_PORT are what it says, LOCAL and UNKNOWN keep the socket's.  Without a good
 * header a connection is closed unanswered, with one log line (info); it has header_timeout
 * to come.  Only the proxies may be able to reach such a listener.
 * Option trusted_proxies lists the peers whose forwarded headers count, by the address the
 * connection came from or the PROXY header told; from everybody else they change nothing,
 * and as HTTP_* keys they can be read in any case.  Option forwarded_headers says which
 * count: name those that your proxies set themselves, for others are the client's own.
 *   REMOTE_ADDR      the first address in X-Forwarded-For, from the right, that is not trusted
 *                    (the leftmost where all are; what is no address ends the search: the
 *                    one to its right counts).  REMOTE_PORT: as given with it, or "".
 *   wsgi.url_scheme  X-Forwarded-Proto (http, https, ws, wss); HTTPS follows.
 *   HTTP_HOST, SERVER_NAME, SERVER_PORT  X-Forwarded-Host; the port as given there, by
 *                    X-Forwarded-Port, or implied by the scheme.
 * Of a list, the entry of the first trusted proxy counts.  forwarded_headers=forwarded: all
 * of these from Forwarded (RFC 7239) instead; a malformed one, which a client can make of what
 * its proxy adds to it, is refused with 400, as is one of more than 64 elements.  The access
 * log's client_ip is REMOTE_ADDR; with log_x_forwarded_for it is the peer's own address, with
 * the header ahead of it if the peer is trusted, or trusted_proxies is empty. */

/* Value of one key, its length in *len where len is not NULL.  NULL: absent. */
EVY_API const char *evy_env_get(evy_req *req, const char *name, size_t *len);
/* Number of keys; with evy_env_at they can be walked from 0 (NULL: no such index). */
EVY_API uint32_t evy_env_count(evy_req *req);
EVY_API const char *evy_env_at(evy_req *req, uint32_t index, const char **name, size_t *len);
/* All of it as one block (R4), with its length.  A later evy_env_set is not in it.  NULL: out
 * of memory, or a value holds a NUL byte (option allow_encoded_nul, evy_env_set), behind which
 * the block would go on with keys of a client's choice: walk it with evy_env_at. */
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
 * that had begun).  Every retain needs one release.  A request is there for its callbacks, and as
 * long as it is retained: a pointer kept beyond that, or one release too many, is for you to avoid.
 * It may be refused, as NULL is, and it may be another client's request by then. */
EVY_API void evy_req_retain(evy_req *req);
EVY_API void evy_req_release(evy_req *req);
/* 1 once the client is known to have gone away (closed, reset, timed out), else 0. */
EVY_API int32_t evy_req_gone(evy_req *req);

/* ---- request body --------------------------------------------------------------------- */

/* A client that asked for it (Expect: 100-continue) gets 100 Continue at the first read;
 * answering without a read does not send it.  body=buffer (the default) takes the whole
 * body before the handler runs; body=stream leaves it to the calls below; body=auto takes it
 * before where the client has said that it is no longer than 64 KiB and does not wait for 100
 * Continue, so that a slow small upload holds no thread: evy_body_buffer tells which it was. */

/* Declared length in bytes; 0: no body; -1: not known (chunked), or NULL. */
EVY_API int64_t evy_body_length(evy_req *req);
/* The whole body, where the library has taken it; NULL: it has to be read, or NULL handle.
 * *len is set.  From then on evy_body_on_data gives EVY_E_STATE. */
EVY_API const void *evy_body_buffer(evy_req *req, size_t *len);
/* Pull up to cap bytes: > 0 bytes, 0 at the end, < 0 error.  Waits at most wait_ms for
 * the first byte (inside a handler the loop moves on meanwhile; with threads=1, with one
 * lent thread, and inside a body callback it never waits: EVY_E_AGAIN).
 * Errors: EVY_E_ARG, EVY_E_AGAIN (wait_ms 0; or no thread can be had to go on meanwhile),
 * EVY_E_TIMEOUT, EVY_E_GONE (the client left
 * in mid-body), EVY_E_LIMIT (max_body_size), EVY_E_PROTOCOL (broken chunks), EVY_E_STATE
 * (evy_body_on_data is in use; or the answer has ended: what is left of the body is thrown away). */
EVY_API int64_t evy_body_read(evy_req *req, void *buf, size_t cap, int64_t wait_ms);
/* Push: fn gets each piece as it arrives; data lives for the call.  The last call has
 * len 0 and st EVY_OK, or the error that ended the body as in evy_body_read; where the
 * answer ends before the body, no further call comes.  Register
 * it in the handler; the request must be retained until then to be answered later.
 * Errors: EVY_E_ARG, EVY_E_STATE (already registered, or reading has begun, or
 * evy_body_buffer has lent the body). */
typedef void (*evy_body_fn)(void *user, evy_req *req, const void *data, size_t len,
                            evy_status st);
EVY_API evy_status evy_body_on_data(evy_req *req, evy_body_fn fn, void *user,
                                    evy_drop_fn drop);
/* Back pressure: paused 1 stops the pieces (and, soon, the client), 0 lets them flow.
 * When the client goes meanwhile, what waits is dropped, and the last call comes all the same.
 * Errors: EVY_E_ARG, EVY_E_STATE (evy_body_on_data is not in use). */
EVY_API evy_status evy_body_pause(evy_req *req, int32_t paused);
/* Trailer fields behind a chunked body, R4, once its end has been read; NULL: none, not yet, or
 * NULL handle.  Checked like headers and never among them; forbidden ones (see evy_resp_end) are
 * dropped.  Lives as long as req. */
EVY_API const char *evy_body_trailers(evy_req *req, size_t *len);

/* ---- response --------------------------------------------------------------------------- */

/* Headers are R4 pairs, names and values checked (EVY_E_FIELD).  Date, Content-Length,
 * Transfer-Encoding and Connection are the library's: the host's own Date and
 * Content-Length are used, its `Connection: close` is obeyed, every other hop-by-hop field is
 * dropped, but for Upgrade in a 426.  A Content-Length that is not the length of the body
 * given or promised is EVY_E_FIELD (an empty one for HEAD says nothing about that of GET), and
 * after EVY_E_FIELD or EVY_E_ARG the request can still be answered.
 * reason NULL: the standard phrase.  HEAD, 1xx, 204 and 304 never get a body on the wire.
 * Where write_timeout has ended the connection, EVY_E_TIMEOUT comes in the place of EVY_E_GONE
 * in all that follows. */

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
 * The outcome is EVY_END_ABORTED.  Errors: EVY_E_ARG, EVY_E_STATE (answer complete, or request over). */
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
 * the request is over and released.  Errors: EVY_E_ARG, EVY_E_STATE (registered already, or answered),
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
 * then fn never runs, and drop has been called.  With option pull fn may be NULL: the end
 * comes as EVY_EVENT_DONE (user is dropped at once; evy_req_set_user is there for it). */
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
  EVY_END_PROTOCOL = 9,      /* "protocol": its body, or its TLS, was malformed */
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
 * The end of what you read says that no more comes, not that nothing is missing: under TLS too
 * somebody on the way may have cut it, so a protocol should tell its end by itself.
 * In the request's handler, or, where the request was retained, on any thread: the call waits until
 * the handler has returned (a thread that steps the server takes it in the handler, later it gets
 * EVY_E_STATE).  With threads=1 do no I/O on it inside a handler: nobody would pump.
 * Errors: EVY_E_ARG, EVY_E_STATE (answered or begun, body not read to its end), EVY_E_GONE,
 * EVY_E_NOMEM (no descriptor; the request can still be answered). */
EVY_API evy_status evy_req_take_socket(evy_req *req, int *fd);

#ifdef __cplusplus
}
#endif
#endif /* EVY_H */
