/* patches.h - loops that read arrays which are one number but for a few rows: what receivers send back.
   Owns: where in such a loop its reads are something else than their fill (patches).
   Must not know: who runs the loop (fused.h), which instructions make it.
   Between the patches the block buffers hold the fill for good: nothing is read, and rows need no blocks.
   Next: fused.h. */
#ifndef FASTAD_PATCHES_H
#define FASTAD_PATCHES_H
#include <string.h>
#include "chain_plan.h"

/* One more, in ascending order and apart from each other; 0: there are too many. */
static inline int fa_patch_add(fa_fused *f, int64_t begin, int64_t end) {
    int32_t k = 0, n;
    while (k < f->npatches && f->patches[k].end < begin) k++;
    for (n = k; n < f->npatches && f->patches[n].begin <= end; n++) {
        if (f->patches[n].begin < begin) begin = f->patches[n].begin;
        if (f->patches[n].end > end) end = f->patches[n].end;
    }
    if (n == k && f->npatches == FA_MOST_PATCHES) return 0;
    memmove(&f->patches[k + 1], &f->patches[n], (size_t)(f->npatches - n) * sizeof *f->patches);
    f->npatches += 1 - (n - k);
    f->patches[k] = (fa_patch){begin, end};
    return 1;
}

/* Is this one chain on what reads fill?  (Its other buffers, from step to step, begin anew in each row.) */
static inline int fa_patches_may_be(const fa_fused *f) {
    uint8_t filled[FA_FUSED_SLOTS] = {0};    /* by the number of the buffer: slots share them, one after the other */
    const fa_finstr *chain = f->n ? &f->instr[f->n - 1] : 0;
    if (f->n < 2 || chain->kind != FA_FUSED_CHAIN || f->row > f->block || (f->nprimal && f->nprimal < f->n)
        || f->naxes || f->nweaves) return 0;
    for (uint32_t i = 0; i + 1 < f->n; i++) {
        const fa_slot *out = &f->slots[f->instr[i].out];
        if (f->instr[i].kind != FA_FUSED_READ || out->kind != FA_SLOT_BUFFER || out->dtype != chain->din) return 0;
        filled[out->at] = 1;
    }
    for (uint32_t k = chain->in[0]; k < (uint32_t)chain->in[0] + chain->in[1]; k++) {
        const fa_chainstep *s = &f->steps[k];
        if ((s->code == FA_CHAIN_STORE || s->code == FA_CHAIN_MASK_STORE) && f->slots[s->slot].kind == FA_SLOT_BUFFER
            && filled[f->slots[s->slot].at]) return 0;
    }
    return 1;
}

/* Finds them.  Where the loop has none, or is changed in most of its elements, `patched` stays 0. */
static inline void fa_patches_find(fa_fused *f) {
    int64_t changed = 0;
    f->patched = f->npatches = 0;
    if (!fa_patches_may_be(f)) return;
    for (uint32_t i = 0; i + 1 < f->n; i++) {
        const fa_fread *read = &f->reads[f->instr[i].in[0]];
        if (!read->fills && !read->runs) return;
        for (uint32_t k = 0; k < read->n; k++) {
            const fa_reader *r = &read->parts[k].reader;
            if (!fa_patch_add(f, r->doff, r->doff + r->reach)) return;
        }
    }
    for (int32_t k = 0; k < f->npatches; k++) changed += f->patches[k].end - f->patches[k].begin;
    f->patched = 2 * changed <= f->size;
}
#endif
