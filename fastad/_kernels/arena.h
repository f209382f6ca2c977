/* arena.h - the memory of sweeps: zeroed, aligned to a cache line, mapped whole where it is large.
   Owns: how an arena is taken from the system and given back.
   Must not know: what is placed in it.
   The first touch of a page costs the kernel 0.5 us and more: on Linux a large arena is mapped populated, elsewhere the
   pages come one by one.  Not in huge pages: four times as fast where the machine has them ready, but where a virtual
   machine has to be given fresh memory for them 160 MB took up to a second.
   Next: layout.h (cells that point into arenas). */
#ifndef FASTAD_ARENA_H
#define FASTAD_ARENA_H
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { FA_ARENA_ALIGN = 64, FA_ARENA_LARGE = 1 << 20 };

#if defined(__linux__)
/* A page before the arena, at whose end stands what is to be given back. */
static inline size_t fa_arena_mapped(size_t bytes) { return ((bytes + 4095) & ~(size_t)4095) + 4096; }

static inline void *fa_arena_map(size_t bytes) {
    size_t mapped = fa_arena_mapped(bytes);
    char *base = (char *)mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (base == (char *)MAP_FAILED) return NULL;
    *(char **)(base + 4096 - sizeof(char *)) = base;
    return base + 4096;
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
