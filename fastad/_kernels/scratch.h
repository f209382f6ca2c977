/* scratch.h - one growing piece of memory a thread, for the workspaces of LAPACK.
   Owns: that a sweep which has run once allocates nothing, and that a thread's memory goes with the thread.
   Must not know: who works in it.  What fa_scratch gave is valid until its next call in the same thread.
   Next: structural.h (FA_LAPACK). */
#ifndef FASTAD_SCRATCH_H
#define FASTAD_SCRATCH_H
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

static pthread_key_t fa_scratch_key;
static pthread_once_t fa_scratch_once = PTHREAD_ONCE_INIT;
static __thread size_t fa_scratch_bytes;

static void fa_scratch_make_key(void) { pthread_key_create(&fa_scratch_key, free); }

/* At least so many bytes, aligned to a cache line; NULL where there are none. */
static inline void *fa_workspace(size_t bytes) {
    void *p;
    pthread_once(&fa_scratch_once, fa_scratch_make_key);
    p = pthread_getspecific(fa_scratch_key);
    if (p && bytes <= fa_scratch_bytes) return p;
    free(p);
    fa_scratch_bytes = (bytes + 63) / 64 * 64 + 64;
    p = aligned_alloc(64, fa_scratch_bytes);
    pthread_setspecific(fa_scratch_key, p);
    return p;
}
#endif
