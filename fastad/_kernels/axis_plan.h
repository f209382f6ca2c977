/* axis_plan.h - how a loop that ends in sums along an axis is cut: into blocks, and into units that are summed apart.
   Owns: that cut.  An array is seen as (outer, n, inner), its sums as (outer, inner).
   Must not know: kernels; whoever plans a loop includes this alone.
   Three forms.  GROUPS: all that a sum adds up lies in one block, with its neighbours.  ROWS: inner is 1, and a row takes
   several blocks; a unit is a row.  PANELS: a unit is a panel of columns, of one outer index, which is walked row by row:
   its partial sums stay in cache.
   Next: axis.h, which sums; _fusion.pxi, which asks whether a loop may have such sums. */
#ifndef FASTAD_AXIS_PLAN_H
#define FASTAD_AXIS_PLAN_H
#include "layout.h"

enum { FA_AXIS_NONE, FA_AXIS_GROUPS, FA_AXIS_ROWS, FA_AXIS_PANELS };
enum { FA_AXIS_LEAF = 8 };                   /* rows that are added one after the other, not pairwise */
enum { FA_AXIS_NARROW = 64, FA_AXIS_WIDTH = 128, FA_AXIS_FEW = 4 };
/* columns of an array, and of a panel if there are more, at least; units that threads can share */

static inline int fa_axis_form(const fa_axis *a) {
    if (a->n == 0) return FA_AXIS_NONE;
    if (a->n * a->inner <= FA_BLOCK) return FA_AXIS_GROUPS;
    return a->inner == 1 ? FA_AXIS_ROWS : FA_AXIS_PANELS;
}

/* Columns of a panel: a block at most, but so that there are panels for several threads. */
static inline int64_t fa_axis_panel(const fa_axis *a) {
    int64_t panels = a->inner / FA_BLOCK + 1, width;
    if (panels < FA_AXIS_FEW) panels = FA_AXIS_FEW;
    width = (a->inner + panels - 1) / panels;
    width = width < FA_AXIS_WIDTH ? FA_AXIS_WIDTH : (width + 63) / 64 * 64;
    return width < a->inner ? width : a->inner;
}

static inline int64_t fa_axis_panels(const fa_axis *a) { return (a->inner - 1) / fa_axis_panel(a) + 1; }

/* Elements of a block.  (Of PANELS: whole rows if a panel has all columns.) */
static inline int64_t fa_axis_block(const fa_axis *a) {
    switch (fa_axis_form(a)) {
    case FA_AXIS_GROUPS: return FA_BLOCK / (a->n * a->inner) * (a->n * a->inner);
    case FA_AXIS_PANELS: return fa_axis_panel(a) < a->inner ? fa_axis_panel(a) : FA_BLOCK / a->inner * a->inner;
    default: return FA_BLOCK;
    }
}

static inline int64_t fa_axis_units(const fa_axis *a) {
    switch (fa_axis_form(a)) {
    case FA_AXIS_GROUPS: return a->outer * a->n * a->inner / fa_axis_block(a) + 1;
    case FA_AXIS_PANELS: return a->outer * fa_axis_panels(a);
    default: return a->outer;
    }
}

/* n blocks of a unit, `stride` elements from one to the next; the last one is shorter. */
typedef struct { int64_t first, stride, n, block, last; } fa_unit;
static inline fa_unit fa_unit_of(const fa_axis *a, int64_t unit, int64_t block) {
    int64_t group = a->n * a->inner, panel = fa_axis_panel(a), panels, c, width;
    if (fa_axis_form(a) == FA_AXIS_PANELS && panel < a->inner) {
        panels = fa_axis_panels(a);
        c = unit % panels * panel;
        width = a->inner - c < panel ? a->inner - c : panel;
        return (fa_unit){unit / panels * group + c, a->inner, a->n, width, width};
    }
    return (fa_unit){unit * group, block, (group - 1) / block + 1, block, (group - 1) % block + 1};
}

/* Is it worth it?  Narrow panels are summed faster at the end, and few units are no work for several threads. */
static inline int fa_axis_fits(const fa_axis *a, int is_long) {
    if (fa_axis_form(a) == FA_AXIS_PANELS && a->inner < FA_AXIS_NARROW) return 0;
    return !is_long || fa_axis_units(a) >= FA_AXIS_FEW;
}

/* Rows of partial sums that wait for others (PANELS). */
static inline uint32_t fa_axis_levels(const fa_axis *a) {
    uint32_t levels = 0;
    if (fa_axis_form(a) == FA_AXIS_PANELS) for (int64_t n = a->n; n > FA_AXIS_LEAF; n -= n / 2) levels++;
    return levels;
}
#endif
