/* SPDX-License-Identifier: MIT
 * h2olib - the hello server of the benchmarks on libh2o 2.2 with its own event loop.
 * usage: h2olib PORT CERT KEY FILE   ("-" for no certificate; FILE is not served) */
#define H2O_USE_LIBUV 0
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static h2o_globalconf_t cfg;
static h2o_context_t context;
static h2o_accept_ctx_t acceptor;
static char *megabyte;

static int answer(h2o_handler_t *handler, h2o_req_t *r) {
    static h2o_generator_t generator = {0, 0};
    h2o_iovec_t body = {H2O_STRLIT("Hello, World!")};
    (void)handler;
    if (h2o_memis(r->method.base, r->method.len, H2O_STRLIT("POST"))) {
        body.base = h2o_mem_alloc_pool(&r->pool, 24);
        body.len = (size_t)sprintf(body.base, "%zu", r->entity.len);
    } else if (r->path.len == 3 && !memcmp(r->path.base, "/1m", 3)) {
        body.base = megabyte;
        body.len = 1 << 20;
    }
    r->res.status = 200;
    r->res.reason = "OK";
    r->res.content_length = body.len;
    h2o_add_header(&r->pool, &r->res.headers, H2O_TOKEN_CONTENT_TYPE, 0, H2O_STRLIT("text/plain"));
    h2o_start_response(r, &generator);
    h2o_send(r, &body, 1, 1);
    return 0;
}
static void on_accept(h2o_socket_t *listener, const char *error) {
    if (error) return;
    for (int i = 0; i < 64; i++) {
        h2o_socket_t *socket = h2o_evloop_socket_accept(listener);
        if (!socket) return;
        h2o_accept(&acceptor, socket);
    }
}
static void use_tls(const char *certificate, const char *key) {
    SSL_CTX *tls = acceptor.ssl_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_chain_file(tls, certificate);
    SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    h2o_ssl_register_alpn_protocols(tls, h2o_http2_alpn_protocols);
}
int main(int argc, char **argv) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (argc < 4) return 2;
    signal(SIGPIPE, SIG_IGN);
    megabyte = malloc(1 << 20);
    memset(megabyte, 'x', 1 << 20);
    h2o_config_init(&cfg);
    cfg.http1.req_timeout = cfg.http2.idle_timeout = 60000;
    h2o_hostconf_t *host = h2o_config_register_host(&cfg, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = answer;
    h2o_context_init(&context, h2o_evloop_create(), &cfg);
    acceptor.ctx = &context;
    acceptor.hosts = cfg.hosts;
    if (strcmp(argv[2], "-")) use_tls(argv[2], argv[3]);
    a.sin_port = htons((uint16_t)atoi(argv[1]));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) return 1;
    h2o_socket_t *listener = h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    for (;;) h2o_evloop_run(context.loop, INT32_MAX);
}
