/* SPDX-License-Identifier: MIT
 * upload - takes files of any length to disk and tells how far each has come.
 * cc upload.c $(pkg-config --cflags --libs evy) -lpthread -o upload && ./upload FOLDER [PORT [BYTES-MAX]]
 * curl -T big.iso http://127.0.0.1:8090/             201 and its Location once all of it is on disk
 * curl --data-binary @big.iso http://127.0.0.1:8090/big.iso   the same with POST
 * curl http://127.0.0.1:8090/progress/big.iso        {"received":52428800,"length":734003200}
 * curl -O http://127.0.0.1:8090/big.iso              the file; nothing of it before it is whole */
#define _GNU_SOURCE
#include <errno.h>
#include <evy.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES_MAX 200
#define UPLOADS_MAX 100

/* An upload under way. What has come lies beside its target, under a name that nobody can ask for. */
struct upload {
    struct upload *next;
    char name[NAME_BYTES_MAX + 1], partial[NAME_BYTES_MAX + 8];
    long long received, length; /* length -1: the client does not tell */
    int is_listed, fd;
};
static struct upload *uploads;
static int upload_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the list and each `received` */
static int folder;

static void respond(evy_req *req, int status, const char *text) {
    static const char fields[] = "Content-Type\0text/plain\0Retry-After\0" "5";
    evy_respond(req, status, NULL, fields, status == 503 ? sizeof fields : 24, text, strlen(text));
}

/* Letters, digits and "-._", no dot in front: no path, no hidden file, nothing to quote in JSON. */
static int is_good_name(const char *name) {
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    size_t len = strlen(name);
    return len > 0 && len <= NAME_BYTES_MAX && name[0] != '.' && strspn(name, good) == len;
}

/* ---- the list ---- */

/* Lock held. Where the name stands in the list, or the list's end. */
static struct upload **place_of(const char *name) {
    struct upload **place = &uploads;
    while (*place != NULL && strcmp((*place)->name, name) != 0) {
        place = &(*place)->next;
    }
    return place;
}

/* 0, or the status to refuse it with. */
static int enlist(struct upload *upload) {
    int status = 0;
    pthread_mutex_lock(&lock);
    if (upload_count == UPLOADS_MAX) {
        status = 503;
    } else if (*place_of(upload->name) != NULL) {
        status = 409; /* two of them would write into one file */
    } else {
        upload->next = uploads;
        uploads = upload;
        upload_count++;
        upload->is_listed = 1;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* Removes what was not renamed; from here on the name is free for another upload. */
static void finish(struct upload *upload) {
    if (!upload->is_listed) {
        return;
    }
    if (upload->fd >= 0) {
        close(upload->fd);
        unlinkat(folder, upload->partial, 0);
    }
    pthread_mutex_lock(&lock);
    *place_of(upload->name) = upload->next;
    upload_count--;
    upload->is_listed = 0;
    pthread_mutex_unlock(&lock);
}

static void tell_progress(evy_req *req, const char *name) {
    static const char type[] = "Content-Type\0application/json";
    char text[80] = "", length[24] = "null";
    pthread_mutex_lock(&lock);
    const struct upload *upload = *place_of(name);
    if (upload != NULL) {
        if (upload->length >= 0) {
            snprintf(length, sizeof length, "%lld", upload->length);
        }
        snprintf(text, sizeof text, "{\"received\":%lld,\"length\":%s}\n", upload->received, length);
    }
    pthread_mutex_unlock(&lock);
    evy_respond(req, upload != NULL ? 200 : 404, NULL, type, sizeof type, text, strlen(text));
}

/* ---- one upload ---- */

static int write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void give_up(evy_req *req, struct upload *upload) {
    int is_full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    perror(upload->partial);
    finish(upload);
    respond(req, is_full ? 507 : 500, is_full ? "no room on the disk\n" : "cannot be written\n");
}

/* On disk before it gets its name: not even after a power cut is there half a file under that name. */
static void keep(evy_req *req, struct upload *upload) {
    char fields[NAME_BYTES_MAX + 16], text[32];
    int is_new = faccessat(folder, upload->name, F_OK, 0) < 0;
    if (fsync(upload->fd) < 0 || renameat(folder, upload->partial, folder, upload->name) < 0) {
        give_up(req, upload);
        return;
    }
    fsync(folder);
    finish(upload);
    int fields_len = snprintf(fields, sizeof fields, "Location%c/%s%c", 0, upload->name, 0);
    snprintf(text, sizeof text, "%lld bytes\n", upload->received);
    evy_respond(req, is_new ? 201 : 200, NULL, fields, (size_t)fields_len, text, strlen(text));
}

/* A piece of the body; with len 0 its end, or in st why there will be no more. Between these calls no thread
 * waits for the client. Each may block: a slow disk holds up this client, and nobody else. */
static void on_data(void *user, evy_req *req, const void *data, size_t len, evy_status st) {
    struct upload *upload = user;
    if (len > 0) {
        if (write_all(upload->fd, data, len) < 0) {
            give_up(req, upload);
            return;
        }
        pthread_mutex_lock(&lock);
        upload->received += (long long)len;
        pthread_mutex_unlock(&lock);
    } else if (st == EVY_OK) {
        keep(req, upload);
    } else {
        finish(upload);
        respond(req, st == EVY_E_LIMIT ? 413 : 400, evy_strerror(st)); /* where there still is a client */
    }
}

/* Runs once, however the request ended. */
static void on_end(void *user, evy_req *req) {
    finish(user);
    evy_req_release(req);
}

static void receive(evy_req *req, const char *name) {
    struct upload *upload = calloc(1, sizeof *upload);
    if (upload == NULL || evy_posthook_add(req, on_end, upload, free) < 0) {
        return; /* evy answers 500 */
    }
    evy_req_retain(req);
    snprintf(upload->name, sizeof upload->name, "%s", name);
    snprintf(upload->partial, sizeof upload->partial, ".%s.part", name);
    upload->length = evy_body_length(req);
    upload->fd = -1;
    /* Refused before anything was read: a client that asked (Expect: 100-continue) sends nothing at all. */
    int status = enlist(upload);
    if (status != 0) {
        respond(req, status, status == 503 ? "too many uploads\n" : "this name is being uploaded\n");
        return;
    }
    /* What a crash may have left under this name is overwritten. */
    upload->fd = openat(folder, upload->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (upload->fd < 0) {
        give_up(req, upload);
        return;
    }
    evy_body_on_data(req, on_data, upload, NULL);
}

/* ---- requests ---- */

static void send_file(evy_req *req, const char *name) {
    static const char type[] = "Content-Type\0application/octet-stream";
    struct stat facts;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode)) {
        respond(req, 404, "no such file\n");
    } else if (evy_resp_begin(req, 200, NULL, type, sizeof type, facts.st_size) == EVY_OK) {
        evy_resp_file(req, fd, 0, facts.st_size);
        evy_resp_end(req, NULL, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void answer(void *user, evy_req *req) {
    static const char progress[] = "/progress/";
    const char *method = evy_env_get(req, "REQUEST_METHOD", NULL);
    const char *path = evy_env_get(req, "PATH_INFO", NULL);
    int is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    (void)user;
    if (is_get && strncmp(path, progress, strlen(progress)) == 0) {
        tell_progress(req, path + strlen(progress));
    } else if (path[0] != '/' || !is_good_name(path + 1)) {
        respond(req, 404, "a name is letters, digits, and -._ behind the first\n");
    } else if (is_get) {
        send_file(req, path + 1);
    } else if (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0) {
        receive(req, path + 1);
    } else {
        evy_respond(req, 405, NULL, "Allow\0GET, HEAD, PUT, POST", 27, NULL, 0);
    }
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    folder = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0) {
        fprintf(stderr, "usage: upload FOLDER [PORT [BYTES-MAX]]\n");
        return 1;
    }
    snprintf(address, sizeof address, ":%s", argc > 2 ? argv[2] : "8090");
    evy_config_set(cfg, "body", "stream"); /* handlers get a request before its body */
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_set(cfg, "max_body_size", argc > 3 ? argv[3] : "10g") < 0 ||
        evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "upload: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
