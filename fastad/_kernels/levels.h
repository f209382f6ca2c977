/* levels.h - includes the file FA_LEVEL_BODY once for each instruction set; included several times, so without a guard.
   Owns: the sets (v2: the baseline; v3: AVX2 and FMA; v4: AVX-512), the choice among them at import.
   Must not know: what the files compute.
   FA_L(name) is name_v2, name_v3 or name_v4; FA_LEVEL_BYTES: of a vector there; FA_LEVEL_FMA: has it a fused
   multiply-add?
   FA_LEVEL_SETS(name): the three in a row, for a table by fa_cpu_level() - 2.
   Next: mathematics.h, chain.h (who includes it). */
#ifndef FASTAD_LEVELS_ONCE
#define FASTAD_LEVELS_ONCE
#include <stdlib.h>

#define FA_LEVEL_JOIN_(name, level) name##_##level
#define FA_LEVEL_JOIN(name, level) FA_LEVEL_JOIN_(name, level)
#define FA_L(NAME) FA_LEVEL_JOIN(NAME, FA_LEVEL)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FA_LEVELS 3
#define FA_LEVEL_SETS(NAME) {FA_LEVEL_JOIN(NAME, v2), FA_LEVEL_JOIN(NAME, v3), FA_LEVEL_JOIN(NAME, v4)}
#define FA_LEVEL_REFERENCES(NAME) {&FA_LEVEL_JOIN(NAME, v2), &FA_LEVEL_JOIN(NAME, v3), &FA_LEVEL_JOIN(NAME, v4)}
#else
#define FA_LEVELS 1
#define FA_LEVEL_SETS(NAME) {FA_LEVEL_JOIN(NAME, v2)}
#define FA_LEVEL_REFERENCES(NAME) {&FA_LEVEL_JOIN(NAME, v2)}
#endif

/* The instruction set: the best that the processor has, or less where FASTAD_CPU says so (v2, v3, v4). */
static inline int fa_cpu_level(void) {
    const char *wanted = getenv("FASTAD_CPU");
    int level = 2;
#if FA_LEVELS == 3
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) level = 3;
    if (level == 3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl")) level = 4;
#endif
    if (wanted && wanted[0] == 'v' && wanted[1] >= '2' && wanted[1] < '0' + level) level = wanted[1] - '0';
    return level;
}
#endif

#define FA_LEVEL v2
#define FA_LEVEL_BYTES 16
#if defined(__FP_FAST_FMA) || defined(__ARM_FEATURE_FMA)
#define FA_LEVEL_FMA 1
#else
#define FA_LEVEL_FMA 0
#endif
#include FA_LEVEL_BODY
#undef FA_LEVEL
#undef FA_LEVEL_BYTES
#undef FA_LEVEL_FMA
#if FA_LEVELS == 3
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define FA_LEVEL v3
#define FA_LEVEL_BYTES 32
#define FA_LEVEL_FMA 1
#include FA_LEVEL_BODY
#undef FA_LEVEL
#undef FA_LEVEL_BYTES
#undef FA_LEVEL_FMA
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,prefer-vector-width=512")
#define FA_LEVEL v4
#define FA_LEVEL_BYTES 64
#define FA_LEVEL_FMA 1
#include FA_LEVEL_BODY
#undef FA_LEVEL
#undef FA_LEVEL_BYTES
#undef FA_LEVEL_FMA
#pragma GCC pop_options
#endif
#undef FA_LEVEL_BODY
