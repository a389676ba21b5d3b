/* Faults of the machine, for a process that this library is preloaded into (LD_PRELOAD).

   FAULT_CONTROL names a file of eight 64-bit integers, shared with the test, which sets them while the process runs.
   FAULT_FILES is a part of the paths that the disk's faults concern. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { CLOCK_OFFSET, WRITE_ERRNO, READ_ERRNO, SYNC_MICROSECONDS, KILL_AT, THREAD_ERRNO, OPERATIONS, SLOTS = 8 };

static volatile int64_t *shared;
static const char *files;

/* Looked up once: a signal handler that writes must not enter the dynamic linker, which it may have interrupted. */
#define REAL(name) ({ \
    static __typeof__(&name) found; \
    if (!found) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    found; \
})

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULT_CONTROL");
    files = getenv("FAULT_FILES");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, SLOTS * sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) shared = mapped;
}

static int concerns_path(const char *path) { return shared && files && path && strstr(path, files) != NULL; }

/* Not inlined: its buffer must not be on the stack of a call that writes to a socket. Python's signal handlers write to
   one, and run on an alternate stack of a few kilobytes. */
__attribute__((noinline)) static int concerns_file(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return concerns_path(path);
}

static int concerns(int descriptor) {
    struct stat64 found;
    if (!shared || !files || fstat64(descriptor, &found)) return 0;
    return (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode)) && concerns_file(descriptor);
}

/* Count an operation that changes a file, kill the process if its turn has come, and return the error to report. */
static int failure(int is_concerned) {
    if (!is_concerned) return 0;
    int64_t number = __sync_add_and_fetch(&shared[OPERATIONS], 1);
    if (number == shared[KILL_AT]) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return (int)shared[WRITE_ERRNO];
}

/* A full disk, or a quota that is used up, refuses what makes a file longer, and nothing else. */
static int is_full(int error) { return error == ENOSPC || error == EDQUOT; }

static int failure_to_write(int file, off64_t end) {
    struct stat64 found;
    int error = failure(concerns(file));
    if (is_full(error) && !fstat64(file, &found) && end <= found.st_size) return 0;
    return error;
}

static int failure_but_full(int is_concerned) {
    int error = failure(is_concerned);
    return is_full(error) ? 0 : error;
}

#define FAIL_IF(error) do { int found = (error); if (found) { errno = found; return -1; } } while (0)

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    FAIL_IF(failure_to_write(file, at + (off64_t)size));
    return REAL(pwrite)(file, data, size, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    FAIL_IF(failure_to_write(file, at + (off64_t)size));
    return REAL(pwrite64)(file, data, size, at);
}

ssize_t write(int file, const void *data, size_t size) {
    FAIL_IF(failure_to_write(file, INT64_MAX));
    return REAL(write)(file, data, size);
}

ssize_t pread(int file, void *data, size_t size, off_t at) {
    FAIL_IF(shared && shared[READ_ERRNO] && concerns(file) ? (int)shared[READ_ERRNO] : 0);
    return REAL(pread)(file, data, size, at);
}

ssize_t pread64(int file, void *data, size_t size, off64_t at) {
    FAIL_IF(shared && shared[READ_ERRNO] && concerns(file) ? (int)shared[READ_ERRNO] : 0);
    return REAL(pread64)(file, data, size, at);
}

int ftruncate(int file, off_t size) {
    FAIL_IF(failure_but_full(concerns(file)));
    return REAL(ftruncate)(file, size);
}

int ftruncate64(int file, off64_t size) {
    FAIL_IF(failure_but_full(concerns(file)));
    return REAL(ftruncate64)(file, size);
}

static int synced(int file) {
    int is_concerned = concerns(file);
    FAIL_IF(failure_but_full(is_concerned));
    if (is_concerned && shared[SYNC_MICROSECONDS]) usleep((useconds_t)shared[SYNC_MICROSECONDS]);
    return 0;
}

int fsync(int file) {
    if (synced(file)) return -1;
    return REAL(fsync)(file);
}

int fdatasync(int file) {
    if (synced(file)) return -1;
    return REAL(fdatasync)(file);
}

int unlink(const char *path) {
    FAIL_IF(failure_but_full(concerns_path(path)));
    return REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    FAIL_IF(failure_but_full(concerns_path(from)));
    return REAL(rename)(from, to);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    if (shared && shared[THREAD_ERRNO]) return (int)shared[THREAD_ERRNO];
    return REAL(pthread_create)(thread, attributes, run, argument);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (!result && shared && clock == CLOCK_REALTIME) now->tv_sec += shared[CLOCK_OFFSET];
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}
