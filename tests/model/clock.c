/* A clock that stands still until a test moves it. Preloaded into Valkey, it reads the time from a shared file: microseconds
 * since 1970, one number for all clocks, or idle times would not move with times to live. Valkey would count the processor's
 * cycles instead where /proc/cpuinfo says that they are steady; so that file is not there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

/* It ends with the test that started it, however that ends. */
__attribute__((constructor)) static void end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

static int64_t now(void) {
    static volatile int64_t *moved;
    if (!moved) {
        void *shared = mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, open(getenv("MODEL_CLOCK"), O_RDONLY), 0);
        if (shared == MAP_FAILED) abort();
        moved = shared;
    }
    return *moved;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    *time = (struct timespec){now() / 1000000, now() % 1000000 * 1000};
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    *time = (struct timeval){now() / 1000000, now() % 1000000};
    return 0;
}

time_t time(time_t *seconds) {
    time_t value = now() / 1000000;
    if (seconds) *seconds = value;
    return value;
}

FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    if (strcmp(path, "/proc/cpuinfo")) return real(path, mode);
    errno = ENOENT;
    return NULL;
}

FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }
