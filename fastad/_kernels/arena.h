/* arena.h - the memory of sweeps: zeroed, aligned to a cache line, mapped whole where it is large.
   Owns: how an arena is taken from the system and given back.
   Must not know: what is placed in it.
   The first touch of a page costs the kernel 0.5 us and more: on Linux a large arena is mapped populated, elsewhere the
   pages come one by one.  From FA_ARENA_HUGE on it asks for huge pages, as NumPy does for its arrays: a sweep over
   160 MB is up to three times as fast, since no page has to be looked up for every 4 KB, and 80 pages are populated in
   a sixth of the time of 40,000.  Memory that a virtual machine must get from its host first takes longest, in any
   pages (160 MB: half a second): of what is very large a second thread asks for one half, which takes two thirds of it.
   Next: layout.h (cells that point into arenas). */
#ifndef FASTAD_ARENA_H
#define FASTAD_ARENA_H
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <pthread.h>
#include <sys/mman.h>
#endif

enum { FA_ARENA_ALIGN = 64, FA_ARENA_LARGE = 1 << 20, FA_HUGE_PAGE = 1 << 21, FA_ARENA_HUGE = 2 * FA_HUGE_PAGE,
       FA_ARENA_HALVES = 16 * FA_HUGE_PAGE };

#if defined(__linux__)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23                              /* headers may be older than the system */
#endif

static inline size_t fa_arena_pages(size_t bytes) { return (bytes + 4095) & ~(size_t)4095; }

typedef struct { char *from; size_t bytes; } fa_arena_part;

/* The advice may be refused (before Linux 5.14): then the pages come one by one. */
static inline void *fa_arena_populate(void *part) {
    fa_arena_part *p = part;
    madvise(p->from, p->bytes, MADV_POPULATE_WRITE);
    return NULL;
}

static inline void fa_arena_populate_halves(char *p, size_t bytes) {
    size_t half = bytes / 2 & ~(size_t)(FA_HUGE_PAGE - 1);
    fa_arena_part first = {p, half}, second = {p + half, bytes - half};
    pthread_t helper;
    int alone = bytes < FA_ARENA_HALVES || pthread_create(&helper, NULL, fa_arena_populate, &second);
    if (alone) first.bytes = bytes;
    fa_arena_populate(&first);
    if (!alone) pthread_join(helper, NULL);
}

/* What is mapped: a page before the arena, at whose end stands what is to be given back, and room to begin at a huge
   page. */
static inline size_t fa_arena_mapped(size_t bytes) {
    return fa_arena_pages(bytes) + 4096 + (bytes >= FA_ARENA_HUGE ? FA_HUGE_PAGE : 0);
}

/* The advice may be refused: then the pages are small. */
static inline void *fa_arena_map(size_t bytes) {
    char *base = (char *)mmap(NULL, fa_arena_mapped(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == (char *)MAP_FAILED) return NULL;
    char *p = base + 4096;
    if (bytes >= FA_ARENA_HUGE) {
        p += -(uintptr_t)p & (FA_HUGE_PAGE - 1);
        madvise(p, bytes & ~(size_t)(FA_HUGE_PAGE - 1), MADV_HUGEPAGE);
    }
    fa_arena_populate_halves(p, fa_arena_pages(bytes));
    *(char **)(p - sizeof(char *)) = base;
    return p;
}
#endif

/* Zeroed memory for at least one byte, or NULL.  Give it back by fa_arena_free with the same number of bytes. */
static inline void *fa_arena_new(size_t bytes) {
#if defined(__linux__)
    if (bytes >= FA_ARENA_LARGE) return fa_arena_map(bytes);
#endif
    char *raw = (char *)calloc(bytes + FA_ARENA_ALIGN + sizeof(char *), 1);
    if (!raw) return NULL;
    uintptr_t at = (uintptr_t)raw + sizeof(char *) + FA_ARENA_ALIGN - 1;
    char *p = raw + ((at & ~(uintptr_t)(FA_ARENA_ALIGN - 1)) - (uintptr_t)raw);
    *(char **)(p - sizeof(char *)) = raw;
    return p;
}

static inline void fa_arena_free(void *p, size_t bytes) {
    if (!p) return;
    char *base = *(char **)((char *)p - sizeof(char *));
#if defined(__linux__)
    if (bytes >= FA_ARENA_LARGE) {
        munmap(base, fa_arena_mapped(bytes));
        return;
    }
#endif
    (void)bytes;
    free(base);
}
#endif
