/* SPDX-License-Identifier: MIT
 * files - serves the files of a folder; the kernel moves them to the socket, no byte is copied here.
 * cc files.c $(pkg-config --cflags --libs evy) -o files && ./files FOLDER [PORT]
 * curl http://127.0.0.1:8090/some/file */
#define _GNU_SOURCE
#include <evy.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int folder;

static void refuse(evy_req *req, int status) {
    evy_respond(req, status, NULL, NULL, 0, NULL, 0);
}

/* No step up, no absolute path, no NUL inside: what is opened lies in the folder. */
static int is_inside(const char *path, size_t len) {
    if (strlen(path) != len || path[0] == '\0' || path[0] == '/') {
        return 0;
    }
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) {
            return 0;
        }
    }
    return 1;
}

static void answer(void *user, evy_req *req) {
    static const char type[] = "Content-Type\0application/octet-stream";
    size_t len = 0;
    const char *path = evy_env_get(req, "PATH_INFO", &len);
    struct stat facts;
    (void)user;
    if (path == NULL || len < 2 || !is_inside(path + 1, len - 1)) {
        refuse(req, 404);
        return;
    }
    int fd = openat(folder, path + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode)) {
        refuse(req, 404);
    } else if (evy_resp_begin(req, 200, NULL, type, sizeof type, facts.st_size) == EVY_OK) {
        /* Queued: it goes out as fast as the client reads, after this handler has returned. */
        evy_resp_file(req, fd, 0, facts.st_size);
        evy_resp_end(req, NULL, 0);
    }
    close(fd); /* evy works on a duplicate */
}

int main(int argc, char **argv) {
    char address[64];
    evy_server *server = NULL;
    evy_config *cfg = evy_config_new();
    folder = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0) {
        fprintf(stderr, "usage: files FOLDER [PORT]\n");
        return 1;
    }
    snprintf(address, sizeof address, ":%s", argc > 2 ? argv[2] : "8090");
    evy_config_on_request(cfg, answer, NULL, NULL);
    if (evy_config_listen(cfg, address, NULL) < 0 || evy_server_new(cfg, &server) < 0) {
        fprintf(stderr, "files: %s\n", evy_config_error(cfg));
        return 1;
    }
    evy_config_free(cfg);
    printf("http://127.0.0.1:%d/\n", (int)evy_server_port(server, 0));
    fflush(stdout);
    evy_status st = evy_server_run(server);
    evy_server_free(server);
    return st < 0;
}
