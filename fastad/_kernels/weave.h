/* weave.h - shifted results of a loop added up to one array while they are in cache: adjoints of x[1:] and x[:-1].
   Owns: where the parts of one element meet, at the ends of blocks and of chunks.
   Must not know: what computes the parts.
   Element t of the array is the sum of part p at t - first - shift[p], on top of zero, in the order of the parts.  A part
   that is not there is +0, which changes no such sum.  The first `reach` elements of a block need the end of the block
   before it, a fringe; between chunks of several threads fringes are kept until both sides are there.
   Next: read.h (the same sum, from whole arrays), fused.h, which includes this. */
#ifndef FASTAD_WEAVE_H
#define FASTAD_WEAVE_H
#include "read.h"

typedef struct { char part[FA_WEAVE_PARTS][8 * FA_WEAVE_REACH]; } fa_fringe;
typedef struct { fa_fringe head[FA_FUSED_WEAVES], tail[FA_FUSED_WEAVES]; } fa_fringes;   /* of a chunk */

/* m <= reach elements at y, behind `before`; next: the parts from there on, NULL for zeros. */
FA_FN void fa_weave_fringe(const fa_weave *w, const fa_fringe *before, const char *const *next, int64_t m, char *y) {
    char joined[FA_WEAVE_PARTS][16 * FA_WEAVE_REACH] __attribute__((aligned(64)));
    const char *x[FA_WEAVE_PARTS];
    const fa_cell zero = {.i = 0};
    int64_t item = fa_itemsize[w->dtype];
    for (uint32_t p = 0; p < w->n; p++) {
        memcpy(joined[p], before->part[p], (size_t)(w->reach * item));
        if (next) memcpy(joined[p] + w->reach * item, next[p], (size_t)(m * item));
        else memset(joined[p] + w->reach * item, 0, (size_t)(m * item));
        x[p] = joined[p] + (w->reach - w->shift[p]) * item;
    }
    fa_sum_runs(w->dtype, x, (int)w->n, &zero, m, y);
}

/* One block of m elements from j on; x: the parts' blocks.  `before` becomes the end of this one.  head: where the
   beginning is kept, of a chunk's first block, whose first elements wait; else NULL. */
FA_FN void fa_weave_block(const fa_weave *w, const char *const *x, int64_t j, int64_t m, char *y, fa_fringe *before,
                          fa_fringe *head) {
    const char *from[FA_WEAVE_PARTS];
    const fa_cell zero = {.i = 0};
    int64_t item = fa_itemsize[w->dtype], reach = w->reach, lead = m < reach ? m : reach;
    y += (w->first + j) * item;
    if (!head) fa_weave_fringe(w, before, x, lead, y);
    for (uint32_t p = 0; p < w->n; p++) {
        char *end = before->part[p];
        if (head) memcpy(head->part[p], x[p], (size_t)(lead * item));
        memmove(end, end + lead * item, (size_t)((reach - lead) * item));
        memcpy(end + (reach - lead) * item, x[p] + (m - lead) * item, (size_t)(lead * item));
        from[p] = x[p] + (reach - w->shift[p]) * item;
    }
    if (m > reach) fa_sum_runs(w->dtype, from, (int)w->n, &zero, m - reach, y + reach * item);
}

/* What no part reaches. */
FA_FN void fa_weave_gaps(const fa_weave *w, int64_t n, char *y) {
    int64_t item = fa_itemsize[w->dtype], end = w->first + n + w->reach;
    memset(y, 0, (size_t)(w->first * item));
    memset(y + end * item, 0, (size_t)((w->size - end) * item));
}
#endif
