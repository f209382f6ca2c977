/* spool.h - buffers that go to a file and come back, in an order that is known, while the sweep computes.
   Owns: the thread that writes and reads, the order in which buffers change hands.
   Must not know: what is in a buffer, why it goes (checkpoints), Python.
   Transfer k uses buffer k modulo their number.  The sweep fills the buffer of a write, or empties that of a read, and
   passes on; the thread does the transfers one after the other: a write when it has been passed, a read as soon as the
   sweep has passed the transfer that had this buffer before.  So reads run ahead up to the next write, and nothing can
   overtake anything.
   The thread lives as long as one run through transfers: nothing of it is there at a fork between two runs.
   Next: _spool.pyx (the file), _scan_budget.pxi and _segments.pyx (who pass). */
#ifndef FASTAD_SPOOL_H
#define FASTAD_SPOOL_H
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FA_SPOOL_READY, FA_SPOOL_LATER, FA_SPOOL_FAILED };
enum { FA_SPOOL_SHORT = -1 };                /* in place of an errno: the file ended too early */

typedef struct {
    int64_t write;                           /* else a read */
    int64_t offset, bytes;                   /* in the file */
} fa_transfer;

typedef struct {
    int fd, error, stop, running;
    const fa_transfer *transfers;
    int64_t count, done, passed;             /* transfers: all; those of the thread; those of the sweep */
    char *buffers;
    int64_t size, nbuffers;                  /* bytes of one */
    int64_t bytes[2], ns[2];                 /* read, written so far, and the time of that */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
} fa_spool;

static inline int64_t fa_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* 0, an errno, or FA_SPOOL_SHORT. */
static inline int fa_transfer_now(int fd, const fa_transfer *t, char *buffer) {
    for (int64_t at = 0; at < t->bytes;) {
        ssize_t n = t->write ? pwrite(fd, buffer + at, (size_t)(t->bytes - at), (off_t)(t->offset + at))
                             : pread(fd, buffer + at, (size_t)(t->bytes - at), (off_t)(t->offset + at));
        if (n < 0 && errno != EINTR) return errno;
        if (n == 0) return FA_SPOOL_SHORT;
        if (n > 0) at += n;
    }
    return 0;
}

/* May the thread (the sweep) begin with transfer k?  Under the lock. */
static inline int fa_spool_may(const fa_spool *s, int64_t k) {
    return s->transfers[k].write ? s->passed > k : s->passed > k - s->nbuffers;
}

static inline int fa_spool_given(const fa_spool *s, int64_t k) {
    return s->transfers[k].write ? s->done > k - s->nbuffers : s->done > k;
}

static inline void *fa_spool_work(void *given) {
    fa_spool *s = (fa_spool *)given;
    pthread_mutex_lock(&s->lock);
    while (s->done < s->count && !s->stop) {
        const int64_t k = s->done;
        if (!fa_spool_may(s, k)) {
            pthread_cond_wait(&s->moved, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        const fa_transfer *t = s->transfers + k;
        const int64_t start = fa_now();
        const int error = fa_transfer_now(s->fd, t, s->buffers + k % s->nbuffers * s->size);
        const int64_t ns = fa_now() - start;
        pthread_mutex_lock(&s->lock);
        if (error) {
            s->error = error;
            break;
        }
        s->bytes[t->write != 0] += t->bytes;
        s->ns[t->write != 0] += ns;
        s->done = k + 1;
        pthread_cond_signal(&s->moved);
    }
    pthread_cond_signal(&s->moved);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Begins a run through transfers; `s` has fd, transfers, count, buffers, size, nbuffers.  0 or an errno. */
static inline int fa_spool_begin(fa_spool *s) {
    sigset_t all, before;
    int error;
    s->error = s->stop = s->running = 0;
    s->done = s->passed = 0;
    memset(s->bytes, 0, sizeof s->bytes);
    memset(s->ns, 0, sizeof s->ns);
    if (s->count == 0) return 0;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);             /* signals are for the threads of the program */
    error = pthread_create(&s->thread, NULL, fa_spool_work, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = error == 0;
    if (error) {
        pthread_cond_destroy(&s->moved);
        pthread_mutex_destroy(&s->lock);
    }
    return error;
}

static inline char *fa_spool_buffer(const fa_spool *s) { return s->buffers + s->passed % s->nbuffers * s->size; }

static inline int fa_spool_wait(fa_spool *s, int64_t k) {
    struct timespec until;
    int state;
    pthread_mutex_lock(&s->lock);
    if (!s->error && !(k < s->count ? fa_spool_given(s, k) : s->done == s->count)) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50000000;
        if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
        pthread_cond_timedwait(&s->moved, &s->lock, &until);
    }
    state = s->error ? FA_SPOOL_FAILED
            : (k < s->count ? fa_spool_given(s, k) : s->done == s->count) ? FA_SPOOL_READY : FA_SPOOL_LATER;
    pthread_mutex_unlock(&s->lock);
    return state;
}

/* Is the buffer of the next transfer the sweep's?  FA_SPOOL_LATER after a twentieth of a second: look for signals. */
static inline int fa_spool_next(fa_spool *s) { return fa_spool_wait(s, s->passed); }

/* Has everything been written and read? */
static inline int fa_spool_all(fa_spool *s) { return s->running ? fa_spool_wait(s, s->count) : FA_SPOOL_READY; }

/* The sweep has filled the buffer of the next transfer, or needs it no longer. */
static inline void fa_spool_pass(fa_spool *s) {
    pthread_mutex_lock(&s->lock);
    s->passed++;
    pthread_cond_signal(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

/* Ends the thread, after the transfer that it is at. */
static inline void fa_spool_end(fa_spool *s) {
    if (!s->running) return;
    pthread_mutex_lock(&s->lock);
    s->stop = 1;
    pthread_cond_signal(&s->moved);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    s->running = 0;
}
#endif
