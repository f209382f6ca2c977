/* checksum.h - one number for the whole content of an array: another content, another number (but for one in 2**64).
   Owns: the mixing, the walk over strides.
   Must not know: dtypes, who asks.
   Eight chains of xor and multiply run side by side, so it keeps pace with memory; each step can be undone, so a change
   in one chain is never missed.
   Next: fastad/_state.pyx, which asks whether captured arrays are still the same. */
#ifndef FASTAD_CHECKSUM_H
#define FASTAD_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FA_CHAINS = 8 };
#define FA_CHECKSUM_FACTOR 0x9E3779B97F4A7C15u       /* odd, so that multiplying by it can be undone */

/* bytes that stand one after the other */
static inline void fa_checksum_run(uint64_t *h, const char *p, size_t bytes) {
    size_t step = FA_CHAINS * sizeof(uint64_t), j = 0;
    for (; j + step <= bytes; j += step) {
        uint64_t w[FA_CHAINS];
        memcpy(w, p + j, step);
        for (int k = 0; k < FA_CHAINS; k++) h[k] = (h[k] ^ w[k]) * FA_CHECKSUM_FACTOR;
    }
    for (int k = 0; j < bytes; j += sizeof(uint64_t), k++) {
        uint64_t w = 0;
        memcpy(&w, p + j, bytes - j < sizeof w ? bytes - j : sizeof w);
        h[k] = (h[k] ^ w) * FA_CHECKSUM_FACTOR;
    }
}

/* items along one axis with gaps between them */
static inline void fa_checksum_items(uint64_t *h, const char *p, intptr_t n, intptr_t stride, size_t itemsize) {
    for (intptr_t i = 0; i < n; i++)
        for (size_t j = 0; j < itemsize; j += sizeof(uint64_t)) {
            uint64_t w = 0, *lane = &h[((size_t)i + j / sizeof w) % FA_CHAINS];
            memcpy(&w, p + i * stride + (intptr_t)j, itemsize - j < sizeof w ? itemsize - j : sizeof w);
            *lane = (*lane ^ w) * FA_CHECKSUM_FACTOR;
        }
}

static inline void fa_checksum_axes(uint64_t *h, const char *p, int nd, const intptr_t *shape, const intptr_t *strides,
                                    size_t itemsize) {
    size_t dense = itemsize;                         /* bytes of the trailing axes that have no gaps */
    int k = nd;
    while (k > 0 && strides[k - 1] == (intptr_t)dense) dense *= (size_t)shape[--k];
    if (k == 0) fa_checksum_run(h, p, dense);
    else if (k == nd && nd == 1) fa_checksum_items(h, p, shape[0], strides[0], itemsize);
    else for (intptr_t i = 0; i < shape[0]; i++)
        fa_checksum_axes(h, p + i * strides[0], nd - 1, shape + 1, strides + 1, itemsize);
}

static inline uint64_t fa_checksum(const char *p, int nd, const intptr_t *shape, const intptr_t *strides, size_t itemsize) {
    uint64_t h[FA_CHAINS], sum = 0;
    for (int k = 0; k < FA_CHAINS; k++) h[k] = (uint64_t)k + 1;
    fa_checksum_axes(h, p, nd, shape, strides, itemsize);
    for (int k = 0; k < FA_CHAINS; k++) sum = ((sum ^ (sum >> 29)) ^ h[k]) * FA_CHECKSUM_FACTOR;
    return sum;
}
#endif
