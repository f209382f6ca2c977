/* axis.h - sums along an axis at the end of a loop, block by block, in the order of the kernel alone (reduce_real.h).
   Owns: which partial sums a row goes to, when two of them are put together.
   Must not know: what computes the blocks.
   Rows are added pairwise: halves of the axis, halves of these, down to leaves of eight rows.  They come in their order, so
   that only left halves wait for right ones, one on each level; what is complete on level 0 is the result.
   Next: axis_plan.h (units), fused.h, which includes this. */
#ifndef FASTAD_AXIS_H
#define FASTAD_AXIS_H
#include "axis_plan.h"
#include "reduce.h"

/* The leaf of a row.  level: of its sum; ends: how many right halves end with it. */
typedef struct { int64_t lo, n; int level, ends; } fa_leaf;

FA_INLINE fa_leaf fa_leaf_of(int64_t n, int64_t row) {
    fa_leaf leaf = {0, n, 0, 0};
    while (leaf.n > FA_AXIS_LEAF) {
        int64_t half = leaf.n / 2;
        if (row < leaf.lo + half) {
            leaf.n = half;
            leaf.ends = 0;
        } else {
            leaf.lo += half;
            leaf.n -= half;
            leaf.level++;
            leaf.ends++;
        }
    }
    return leaf;
}

#define FA_BODY "axis_real.h"
#include "reals.h"

/* m elements from j on, x, into the sums y.  waiting: memory for partial sums; tree: of a row that takes several blocks. */
FA_FN void fa_axis_add(const fa_axis *a, int dtype, int64_t j, int64_t m, const char *x, char *y, char *waiting,
                       fa_anytree *tree) {
    if (dtype == FA_F64)
        fa_axis_add_f64(a, j, m, (const double *)x, (double *)y, waiting, &tree->f64);
    else fa_axis_add_f32(a, j, m, (const float *)x, (float *)y, waiting, &tree->f32);
}
#endif
