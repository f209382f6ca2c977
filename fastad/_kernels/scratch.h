/* scratch.h - growing pieces of memory a thread, for the workspaces of LAPACK, of Fourier transforms, of
   the adjoints of products.
   Owns: that a sweep which has run once allocates nothing, and that a thread's memory goes with the thread.
   Must not know: who works in it.  What was given is valid until its next call in the same thread, for the same
   piece.
   Next: structural.h (FA_LAPACK), fourier.h, reverse_real.h. */
#ifndef FASTAD_SCRATCH_H
#define FASTAD_SCRATCH_H
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

enum { FA_SCRATCH_LIBRARY, FA_SCRATCH_BETWEEN, FA_SCRATCH_COLUMNS, FA_SCRATCH_ADJOINT, FA_SCRATCH_PIECES };

static pthread_key_t fa_scratch_key[FA_SCRATCH_PIECES];
static pthread_once_t fa_scratch_once = PTHREAD_ONCE_INIT;
static __thread size_t fa_scratch_bytes[FA_SCRATCH_PIECES];

static void fa_scratch_make_keys(void) {
    for (int k = 0; k < FA_SCRATCH_PIECES; k++) pthread_key_create(&fa_scratch_key[k], free);
}

/* At least so many bytes, aligned to a cache line; NULL where there are none. */
static inline void *fa_workspace_of(int piece, size_t bytes) {
    void *p;
    pthread_once(&fa_scratch_once, fa_scratch_make_keys);
    p = pthread_getspecific(fa_scratch_key[piece]);
    if (p && bytes <= fa_scratch_bytes[piece]) return p;
    free(p);
    fa_scratch_bytes[piece] = (bytes + 63) / 64 * 64 + 64;
    p = aligned_alloc(64, fa_scratch_bytes[piece]);
    pthread_setspecific(fa_scratch_key[piece], p);
    return p;
}

/* Gives back a piece that has grown beyond what is worth keeping. */
static inline void fa_workspace_trim(int piece, size_t most) {
    if (fa_scratch_bytes[piece] <= most) return;
    free(pthread_getspecific(fa_scratch_key[piece]));
    pthread_setspecific(fa_scratch_key[piece], NULL);
    fa_scratch_bytes[piece] = 0;
}

static inline void *fa_workspace(size_t bytes) { return fa_workspace_of(FA_SCRATCH_LIBRARY, bytes); }
#endif
