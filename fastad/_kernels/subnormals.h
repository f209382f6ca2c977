/* subnormals.h - does this processor need long for numbers too small for their type's usual range?
   Owns: the measurement at import.
   Must not know: who takes another way then (chain.h).
   Intel's take some 150 cycles for an operation on one, AMD's since Zen no more than for any other.
   FASTAD_SUBNORMALS=slow or =fast in the environment says so instead.
   Next: chain_steps.h (the steps for subnormal numbers). */
#ifndef FASTAD_SUBNORMALS_H
#define FASTAD_SUBNORMALS_H
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <x86intrin.h>

/* Cycles of a hundred multiplications of x by 1, one after the other. */
static inline unsigned long long fa_cycles_of_products(float x) {
    unsigned long long from = __rdtsc();
    for (int k = 0; k < 100; k++) __asm__ volatile("mulss %1, %0" : "+x"(x) : "x"(1.0f));
    return __rdtsc() - from;
}

static inline int fa_subnormals_are_slow(void) {
    const char *said = getenv("FASTAD_SUBNORMALS");
    unsigned long long usual = ~0ull, subnormal = ~0ull;
    unsigned flags = _mm_getcsr();
    if (said && !strcmp(said, "slow")) return 1;
    if (said && !strcmp(said, "fast")) return 0;
    for (int k = 0; k < 10; k++) {           /* the best of each: an interruption costs some of them */
        unsigned long long a = fa_cycles_of_products(1.0f), b = fa_cycles_of_products(1e-40f);
        if (a < usual) usual = a;
        if (b < subnormal) subnormal = b;
    }
    _mm_setcsr(flags);
    return subnormal > 4 * usual;
}
#else
static inline int fa_subnormals_are_slow(void) { return 0; }     /* (fa_fptiny cannot tell of them there) */
#endif
#endif
