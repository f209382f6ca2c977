/* pool.h - the threads that share large loops.
   Owns: the workers, how a job is handed to them and how it ends.
   Must not know: what a job computes.
   A job is cut into chunks by index, and each thread has its share of them, neighbours, first: the next loop over these
   arrays finds them in the cache of the same processor.  Who is done takes from the others' shares, so that results
   must not depend on who took which.  The caller works, too.  One job at a time: a second caller (another Python thread) finds the pool busy and
   does all of his chunks himself.  Workers spin for some ten microseconds after a job, then sleep.
   After a fork the child begins without workers; they are started when there is a job for them.
   (Not OpenMP: a forked child hangs in libgomp's first parallel region.)
   Next: fused.h, whose loops are the jobs. */
#ifndef FASTAD_POOL_H
#define FASTAD_POOL_H
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define FA_PAUSE() _mm_pause()
#else
#define FA_PAUSE() atomic_signal_fence(memory_order_seq_cst)
#endif

enum { FA_POOL_MOST = 64, FA_POOL_SPINS = 600 };

/* This thread takes no help: it is one of several that have as much to do. */
static _Thread_local int fa_pool_alone;

typedef void (*fa_task)(void *job, int64_t chunk, int is_worker);

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_int wanted;                       /* threads of a job, the caller's among them */
    int started;                             /* workers; only who holds `busy` changes it */
    atomic_int busy;
    atomic_int sleeping, inside;             /* workers that sleep; that are, perhaps, in the job */
    atomic_uint_fast64_t number, open;       /* of the newest job; of the one that may be joined (0: none) */
    struct { _Alignas(64) atomic_int_fast64_t next; } share[FA_POOL_MOST];
    int nshares;
    int64_t nchunks;
    fa_task task;
    void *job;
    int prepared;
} fa_pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .wanted = 1};

/* Where the share of thread k begins. */
static inline int64_t fa_pool_share(int k) { return fa_pool.nchunks * k / fa_pool.nshares; }

/* who: 0 is the caller, the workers follow. */
static inline void fa_pool_take(int who) {
    for (int k = 0; k < fa_pool.nshares; k++) {
        int of = (who + k) % fa_pool.nshares;
        int64_t chunk, end = fa_pool_share(of + 1);
        while ((chunk = atomic_fetch_add(&fa_pool.share[of].next, 1)) < end) fa_pool.task(fa_pool.job, chunk, who != 0);
    }
}

/* Waits for another job than `last`; its number. */
static inline uint64_t fa_pool_wait(uint64_t last) {
    uint64_t number;
    for (int k = 0; k < FA_POOL_SPINS; k++) {
        if ((number = atomic_load(&fa_pool.number)) != last) return number;
        FA_PAUSE();
    }
    pthread_mutex_lock(&fa_pool.lock);
    atomic_fetch_add(&fa_pool.sleeping, 1);
    while ((number = atomic_load(&fa_pool.number)) == last) pthread_cond_wait(&fa_pool.wake, &fa_pool.lock);
    atomic_fetch_sub(&fa_pool.sleeping, 1);
    pthread_mutex_unlock(&fa_pool.lock);
    return number;
}

static void *fa_pool_worker(void *index) {
    uint64_t last = 0;
    for (;;) {
        last = fa_pool_wait(last);
        if ((intptr_t)index >= atomic_load(&fa_pool.wanted)) continue;
        atomic_fetch_add(&fa_pool.inside, 1);        /* first in, then the look whether the job is still open: */
        if (atomic_load(&fa_pool.open) == last) fa_pool_take((int)(intptr_t)index);
        atomic_fetch_sub(&fa_pool.inside, 1);        /* the caller closes it, then waits until nobody is in */
    }
    return NULL;
}

static void fa_pool_forked(void) {
    pthread_mutex_init(&fa_pool.lock, NULL);
    pthread_cond_init(&fa_pool.wake, NULL);
    fa_pool.started = 0;
    atomic_store(&fa_pool.busy, 0);
    atomic_store(&fa_pool.sleeping, 0);
    atomic_store(&fa_pool.inside, 0);
    atomic_store(&fa_pool.open, 0);
}

/* As many workers as are wanted, or as the system gives. */
static inline void fa_pool_start(int workers) {
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t detached;
    if (!fa_pool.prepared) {
        pthread_atfork(NULL, NULL, fa_pool_forked);
        fa_pool.prepared = 1;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);     /* Ctrl-C is for Python's own threads */
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    while (fa_pool.started < workers) {
        if (pthread_create(&thread, &detached, fa_pool_worker, (void *)(intptr_t)(fa_pool.started + 1))) break;
        fa_pool.started++;
    }
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Runs task(job, chunk, ...) for every chunk below nchunks; returns when all are done. */
static inline void fa_pool_run(fa_task task, void *job, int64_t nchunks) {
    int free = 0, workers = atomic_load(&fa_pool.wanted) - 1;
    if (fa_pool_alone || workers < 1 || nchunks < 2 || !atomic_compare_exchange_strong(&fa_pool.busy, &free, 1)) {
        for (int64_t chunk = 0; chunk < nchunks; chunk++) task(job, chunk, 0);
        return;
    }
    if (fa_pool.started < workers) fa_pool_start(workers);
    fa_pool.task = task;
    fa_pool.job = job;
    fa_pool.nchunks = nchunks;
    fa_pool.nshares = workers + 1;
    for (int k = 0; k <= workers; k++) atomic_store(&fa_pool.share[k].next, fa_pool_share(k));
    atomic_store(&fa_pool.open, atomic_load(&fa_pool.number) + 1);
    atomic_fetch_add(&fa_pool.number, 1);
    if (atomic_load(&fa_pool.sleeping)) {
        pthread_mutex_lock(&fa_pool.lock);
        pthread_cond_broadcast(&fa_pool.wake);
        pthread_mutex_unlock(&fa_pool.lock);
    }
    fa_pool_take(0);
    atomic_store(&fa_pool.open, 0);
    for (int k = 0; atomic_load(&fa_pool.inside); k++)
        if (k < FA_POOL_SPINS) FA_PAUSE();
        else sched_yield();                          /* the system has taken a worker's processor away */
    atomic_store(&fa_pool.busy, 0);
}

static inline int fa_pool_work_alone(int alone) {
    int before = fa_pool_alone;
    fa_pool_alone = alone;
    return before;
}

static inline int fa_pool_threads(void) { return atomic_load(&fa_pool.wanted); }

static inline void fa_pool_set_threads(int n) {
    atomic_store(&fa_pool.wanted, n < 1 ? 1 : n > FA_POOL_MOST ? FA_POOL_MOST : n);
}
#endif
