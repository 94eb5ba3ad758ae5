/* A clock that stands still until a test moves it. Preloaded into Valkey, it reads the time from a shared file: microseconds
 * since 1970, one number for all clocks, or idle times would not move with times to live. Valkey would count the processor's
 * cycles instead where /proc/cpuinfo says that they are steady; so that file is not there. */
#define _GNU_SOURCE
#include <dlfcn.h>
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

static volatile int64_t *now;

__attribute__((constructor)) static void begin(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test that started it, however that ends */
    now = mmap(NULL, sizeof *now, PROT_READ, MAP_SHARED, open(getenv("MODEL_CLOCK"), O_RDONLY), 0);
    if (now == MAP_FAILED) abort();
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    (void)clock;
    *time = (struct timespec){*now / 1000000, *now % 1000000 * 1000};
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    *time = (struct timeval){*now / 1000000, *now % 1000000};
    return 0;
}

time_t time(time_t *seconds) {
    if (seconds) *seconds = *now / 1000000;
    return *now / 1000000;
}

FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    return strcmp(path, "/proc/cpuinfo") ? real(path, mode) : NULL;
}

FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }
