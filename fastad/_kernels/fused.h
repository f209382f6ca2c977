/* fused.h - many elementwise instructions as one loop, block by block.
   Owns: the executor of a fused loop, sums that end in one.
   Must not know: which instructions are put together (_fusion.pxi), who owns the memory, derivatives.
   A loop is data: a short program over slots, one iteration space of n flat elements.  A slot is a block buffer, the
   block's place in an array of n elements, or a scalar; so what is used up inside the loop never leaves the L1 cache.
   The kernels are those of single instructions, on the same operands: the bits are the same.
   A large loop is cut into chunks of blocks, which the pool's threads share; the sums of chunks are put together as one
   thread would have done it.
   Next: read.h (operands that are slices), chain.h (cheap instructions), axis.h (sums along an axis),
   weave.h (shifted results added up), forward.h, which runs a loop as one
   instruction, layout.h (fa_fused). */
#ifndef FASTAD_FUSED_H
#define FASTAD_FUSED_H
#include "pool.h"
#include "weave.h"

typedef union { fa_sumtree_f64 f64; fa_sumtree_f32 f32; } fa_anytree;
#include "axis.h"

/* ---- the loop ------------------------------------------------------------------------------------------------ */
typedef struct { char *p; intptr_t step, advance; } fa_place;

FA_FN void fa_fused_places(const fa_fused *f, const fa_cell *v, char *scratch, fa_place *at) {
    for (uint32_t s = 0; s < f->nslots; s++) {
        const fa_slot *slot = &f->slots[s];
        int item = fa_itemsize[slot->dtype];
        switch (slot->kind) {
        case FA_SLOT_BUFFER: at[s] = (fa_place){scratch + slot->at * FA_BUFFER_BYTES, item, 0}; break;
        case FA_SLOT_ROWS: at[s] = (fa_place){(char *)v[slot->cell].p + slot->at * item, item, 0}; break;
        case FA_SLOT_ARRAY: at[s] = (fa_place){(char *)v[slot->cell].p + slot->at * item, item, item}; break;
        default: at[s] = (fa_place){(char *)&v[slot->cell], 0, 0}; break;
        }
    }
}

/* Scalars that chains read fill a tile each, behind the buffers. */
FA_FN void fa_fused_spread(const fa_fused *f, const fa_cell *v, char *scratch) {
    char *y = scratch + f->nbuffers * FA_BUFFER_BYTES;
    for (uint32_t k = 0; k < f->nspread; k++, y += FA_TILE_BYTES) {
        const fa_slot *slot = &f->slots[f->spread[k]];
        int item = fa_itemsize[slot->dtype];
        fa_fill_block(FA_TILE_BYTES / item, item, (const char *)&v[slot->cell], y);
    }
}

/* The steps of all chains, with where their operands are.  tiny: where subnormal numbers are about.  Returns: have
   some chains other steps then? */
FA_FN int fa_fused_steps(const fa_fused *f, const fa_place *at, char *scratch, int tiny, fa_chainat *steps) {
    int differ = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const fa_finstr *ins = &f->instr[i];
        if (ins->kind != FA_FUSED_CHAIN) continue;
        const fa_chainset *set = fa_chain_set(ins->din);
        differ |= fa_chain_evades && set->tiny[FA_CHAIN_MULTIPLY].by8 != NULL;
        for (uint32_t k = ins->in[0]; k < (uint32_t)ins->in[0] + ins->in[1]; k++) {
            const fa_chainstep *s = &f->steps[k];
            const fa_slot *slot = &f->slots[s->slot];
            steps[k] = (fa_chainat){fa_chain_fns(set, s->code, tiny), at[s->slot].p, FA_CHAIN_FIXED};
            if (!fa_chain_has_operand(s->code)) continue;
            if (slot->kind == FA_SLOT_SCALAR)
                steps[k].p = scratch + f->nbuffers * FA_BUFFER_BYTES + slot->at * FA_TILE_BYTES;
            else if (slot->kind == FA_SLOT_ROWS) steps[k].base = FA_CHAIN_ROWS + slot->layout;
            else steps[k].base = slot->kind == FA_SLOT_ARRAY ? FA_CHAIN_ARRAY : FA_CHAIN_BLOCK;
        }
    }
    return differ;
}

/* Two functions of one operand by one loop. */
FA_FN void fa_fused_twins(const fa_finstr *ins, const fa_place *at, int64_t j, int64_t m) {
    const fa_place *place[3] = {&at[ins->in[0]], &at[ins->out], &at[ins->in[1]]};
    char *args[3];
    intptr_t n = m, steps[3];
    for (int k = 0; k < 3; k++) {
        args[k] = place[k]->p + j * place[k]->advance;
        steps[k] = place[k]->step;
    }
    fa_prims[ins->op].both(args, &n, steps, NULL);
}

/* What goes on from one block to the next.  head: of the first block of a chunk that is not the loop's first, else NULL. */
typedef struct {
    fa_anytree *sums;
    fa_fringe before[FA_FUSED_WEAVES], *head;
    int differ, tiny;                        /* have chains other steps for subnormal numbers; are these the present ones? */
} fa_carried;

/* At the end of a loop, and of each block of one that has both: to read the flags is to wait for all that is under way. */
FA_INLINE void fa_fused_flags(const fa_fused *f, fa_env *env) {
    if (f->nprimal < f->n) fa_fpclear();                        /* what derivative code raises is of no one's concern */
    else env->flags |= fa_fpflags();
}
FA_INLINE int fa_fused_is_mixed(const fa_fused *f) { return f->nprimal && f->nprimal < f->n; }

/* Where a block has met subnormal numbers, the next one probably will: the front of a wave, the tail of a decay. */
FA_INLINE void fa_fused_look(const fa_fused *f, const fa_place *at, char *scratch, fa_chainat *steps,
                             fa_carried *carried, fa_env *env) {
    int tiny = fa_fptiny();
    if (tiny) {
        if (f->nprimal == f->n) env->flags |= fa_fpflags();
        fa_fpclear();
    }
    if (tiny == carried->tiny) return;
    carried->tiny = tiny;
    fa_fused_steps(f, at, scratch, tiny, steps);
}

FA_FN void fa_fused_weave(const fa_weave *w, uint32_t k, const fa_cell *v, const fa_place *at, int64_t j, int64_t m,
                          fa_carried *carried) {
    const char *x[FA_WEAVE_PARTS];
    for (uint32_t p = 0; p < w->n; p++) x[p] = at[w->slot[p]].p + j * at[w->slot[p]].advance;
    fa_weave_block(w, x, j, m, v[w->cell].p, &carried->before[k], carried->head ? &carried->head[k] : 0);
}

FA_FN void fa_fused_block(const fa_fused *f, const fa_code *c, const fa_cell *v, fa_place *at, fa_chainat *steps,
                          char *scratch, int64_t j, int64_t m, fa_carried *carried, fa_env *env) {
    for (uint32_t i = 0; i < f->n; i++) {
        const fa_finstr *ins = &f->instr[i];
        if (i && i == f->nprimal) env->flags |= fa_fpflags();
        if (ins->kind == FA_FUSED_CHAIN) {
            fa_chain_block(f, ins, steps, carried->tiny, j, m, 0);
        } else if (ins->kind == FA_FUSED_ELEMENTWISE) {
            fa_span in[3];
            for (int k = 0; k < ins->arity; k++)
                in[k] = (fa_span){at[ins->in[k]].p + j * at[ins->in[k]].advance, at[ins->in[k]].step};
            if (i < f->nprimal) env->flags |= fa_fpflags();      /* some of NumPy's loops clear them */
            fa_elementwise_block(ins->op, ins->din, ins->dout, m, in, at[ins->out].p + j * at[ins->out].advance);
        } else if (ins->kind == FA_FUSED_TWINS) {
            if (i < f->nprimal) env->flags |= fa_fpflags();
            fa_fused_twins(ins, at, j, m);
        } else if (ins->kind == FA_FUSED_READ) {
            fa_read_block(&f->reads[ins->in[0]], ins->dout, v, c->avals, c->cell_aval, j, m,
                          at[ins->out].p + j * at[ins->out].advance);
        } else if (ins->kind == FA_FUSED_AXIS) {
            const fa_place *x = &at[ins->in[0]];
            size_t waiting = f->nbuffers + (size_t)ins->in[1] * fa_axis_levels(&f->axis);
            fa_axis_add(&f->axis, ins->din, j, m, x->p + j * x->advance, at[ins->out].p,
                        scratch + waiting * FA_BUFFER_BYTES + f->nspread * FA_TILE_BYTES, &carried->sums[ins->in[1]]);
        } else if (ins->kind == FA_FUSED_WEAVE) {
            fa_fused_weave(&f->weaves[ins->in[0]], ins->in[0], v, at, j, m, carried);
        } else {
            const fa_place *x = &at[ins->in[0]];
            const char *first = x->p + j * x->advance;
            fa_anytree *sum = &carried->sums[ins->out];
            if (ins->din == FA_F64) fa_sumtree_add_f64(&sum->f64, fa_sum_f64((const double *)first, x->step != 0, m));
            else fa_sumtree_add_f32(&sum->f32, fa_sum_f32((const float *)first, x->step != 0, m));
        }
    }
    if (carried->differ) fa_fused_look(f, at, scratch, steps, carried, env);
    if (fa_fused_is_mixed(f)) fa_fused_flags(f, env);
}

FA_INLINE int fa_is_f64_sum(const fa_code *c, uint32_t cell) { return c->avals[c->cell_aval[cell]].dtype == FA_F64; }

FA_FN void fa_store_sum(const fa_code *c, fa_cell *v, uint32_t cell, const fa_anytree *sum) {
    if (fa_is_f64_sum(c, cell)) v[cell].f = fa_sumtree_end_f64(&sum->f64);
    else v[cell] = fa_cell_f32(fa_sumtree_end_f32(&sum->f32));
}

FA_INLINE int fa_fused_has_units(const fa_fused *f) { return fa_axis_form(&f->axis) > FA_AXIS_GROUPS; }

/* ---- gaps ---------------------------------------------------------------------------------------------------- */
/* n elements, mostly few: what is between two rows of a slice. */
FA_INLINE void fa_fill_gap(const fa_gaps *g, int64_t from, int64_t n, const char *base, char *y) {
    int64_t item = fa_itemsize[g->dtype];
    if (base) memcpy(y + from * item, base + from * item, (size_t)(n * item));
    else if (n > 8 || fa_itemsize[g->dtype] == 1) fa_fill(g->dtype, g->fill, n, y + from * fa_itemsize[g->dtype]);
    else if (fa_itemsize[g->dtype] == 8) for (int64_t l = 0; l < n; l++) ((fa_i64 *)y)[from + l] = g->fill.i;
    else for (int64_t l = 0; l < n; l++) ((fa_u32 *)y)[from + l] = (uint32_t)g->fill.i;
}

/* Where row r lies. */
FA_INLINE int64_t fa_gap_row(const fa_reader *to, int64_t r) {
    int64_t at = to->doff;
    for (int k = to->nd - 2; k > 0; r /= to->dim[k--].n) at += r % to->dim[k].n * to->dim[k].d;
    return to->nd > 1 ? at + r * to->dim[0].d : at;
}

enum { FA_ROWS_AHEAD = 48 };                 /* the memory of a gap is asked for so long before */

/* What lies before the rows that begin from element `begin` to `end` on, and after the last one of all: by whoever has
   computed these elements, when he has, since their lines are in his cache then (a twentieth of the time of waves). */
FA_FN void fa_fused_gaps(const fa_fused *f, const fa_cell *v, int64_t begin, int64_t end) {
    for (uint32_t k = 0; k < f->ngaps; k++) {
        const fa_gaps *g = &f->gaps[k];
        char *y = v[g->cell].p;
        const char *base = g->base ? v[g->base].p : NULL;
        int64_t n = g->reader.dim[g->reader.nd - 1].n, r = (begin + n - 1) / n, stop = (end + n - 1) / n;
        int64_t from = r ? fa_gap_row(&g->reader, r - 1) + n : 0;
        for (; r < stop; r++) {
            int64_t at = fa_gap_row(&g->reader, r);
            if (r + FA_ROWS_AHEAD < stop)
                fa_fetch_own(y + (fa_gap_row(&g->reader, r + FA_ROWS_AHEAD) - 1) * fa_itemsize[g->dtype]);
            fa_fill_gap(g, from, at - from, base, y);
            from = at + n;
        }
        if (end == f->size) fa_fill_gap(g, from, g->size - from, base, y);
    }
}

/* ---- chunks -------------------------------------------------------------------------------------------------- */
enum { FA_MOST_CHUNKS = 64 };

typedef struct {
    const fa_fused *f;
    const fa_code *c;
    const fa_cell *v;
    int level;                               /* a chunk is 2**level blocks */
    int64_t units;                           /* or so many units */
    atomic_int flags;
    fa_anytree *sums;                        /* of chunk k: nsums from k * nsums on */
    fa_fringes *ends;                        /* of chunk k */
} fa_fused_job;

/* One chain as code with all of its values in registers; what may have to change to other steps has blocks. */
FA_INLINE int fa_fused_has_no_blocks(const fa_fused *f, int differ) {
    const fa_chaincode *code = f->n == 1 && f->instr[0].kind == FA_FUSED_CHAIN && !differ
        ? fa_chain_code_of(f, &f->instr[0], 0) : NULL;
    return code && code->whole;
}

/* Elements from j to `end` without a patch: the buffers of the reads are filled once. */
FA_FN void fa_fused_between(const fa_fused *f, const fa_place *at, const fa_chainat *steps, int64_t j, int64_t end) {
    int64_t most = f->row ? f->row : f->block, length = f->row ? end - j : f->block;
    if (j >= end) return;
    for (uint32_t i = 0; i + 1 < f->n; i++) {
        const fa_finstr *ins = &f->instr[i];
        fa_fill(ins->dout, f->reads[ins->in[0]].fill, most, at[ins->out].p);
    }
    for (; j < end; j += length)
        fa_chain_block(f, &f->instr[f->n - 1], steps, 0, j, end - j < length ? end - j : length, 1);
}

/* Blocks from element `begin` to `end` where there are patches, rows between them (patches.h). */
FA_FN void fa_fused_patched(const fa_fused *f, const fa_code *c, const fa_cell *v, fa_place *at, fa_chainat *steps,
                            char *scratch, int64_t begin, int64_t end, fa_carried *carried, fa_env *env) {
    int64_t j = begin;
    for (int32_t k = 0; k < f->npatches; k++) {
        int64_t from = f->patches[k].begin, to = f->patches[k].end < end ? f->patches[k].end : end;
        if (to <= j) continue;
        if (from < j) from = j;
        if (from > end) break;
        fa_fused_between(f, at, steps, j, from);
        for (j = from; j < to; j += f->block)
            fa_fused_block(f, c, v, at, steps, scratch, j, to - j < f->block ? to - j : f->block, carried, env);
        j = to;
    }
    fa_fused_between(f, at, steps, j, end);
}

/* The blocks from element `begin` to `end`, or, where sums along an axis take several blocks each, of these units.
   ends: of a chunk, where its neighbours find its fringes. */
FA_FN void fa_fused_blocks(const fa_fused *f, const fa_code *c, const fa_cell *v, char *scratch, int64_t begin,
                           int64_t end, fa_anytree *sums, fa_fringes *ends, fa_env *env) {
    fa_place at[FA_FUSED_SLOTS];
    fa_chainat steps[FA_MOST_STEPS];
    fa_carried carried;
    carried.sums = sums;
    carried.head = begin ? ends->head : 0;
    if (f->nweaves) memset(carried.before, 0, sizeof carried.before);
    fa_fused_places(f, v, scratch, at);
    fa_fused_spread(f, v, scratch);
    carried.tiny = 0;
    carried.differ = fa_fused_steps(f, at, scratch, 0, steps);
    for (uint32_t k = 0; k < f->nsums; k++) fa_sumtree_begin_f64(&sums[k].f64);      /* both begin alike */
    if (fa_fused_has_units(f)) {
        carried.head = 0;
        for (int64_t unit = begin; unit < end; unit++) {
            fa_unit u = fa_unit_of(&f->axis, unit, f->block);
            for (int64_t k = 0; k < u.n; k++)
                fa_fused_block(f, c, v, at, steps, scratch, u.first + k * u.stride, k + 1 < u.n ? u.block : u.last,
                               &carried, env);
        }
        fa_fused_flags(f, env);
        return;
    }
    int64_t block = fa_fused_has_no_blocks(f, carried.differ) ? end - begin : f->block;
    int patched = f->patched && !carried.differ;
    if (patched) fa_fused_patched(f, c, v, at, steps, scratch, begin, end, &carried, env);
    for (int64_t j = begin; j < end && !patched; j += block, carried.head = 0)
        fa_fused_block(f, c, v, at, steps, scratch, j, end - j < block ? end - j : block, &carried, env);
    fa_fused_gaps(f, v, begin, end);
    for (uint32_t k = 0; k < f->nweaves; k++) {
        const fa_weave *w = &f->weaves[k];
        if (end < f->size) ends->tail[k] = carried.before[k];
        else fa_weave_fringe(w, &carried.before[k], 0, w->reach,
                             (char *)v[w->cell].p + (w->first + end) * fa_itemsize[w->dtype]);
    }
    fa_fused_flags(f, env);
}

/* A worker's block buffers, kept as long as it lives. */
FA_FN char *fa_worker_scratch(void) {
    static _Thread_local char *scratch;
    if (!scratch && posix_memalign((void **)&scratch, 64, (size_t)FA_FUSED_SLOTS * FA_BUFFER_BYTES)) scratch = NULL;
    return scratch;
}

FA_FN void fa_fused_chunk(void *job, int64_t chunk, int is_worker) {
    fa_fused_job *shared = job;
    const fa_fused *f = shared->f;
    int64_t length = shared->units ? shared->units : f->block << shared->level, begin = chunk * length;
    int64_t size = shared->units ? fa_axis_units(&f->axis) : f->size;
    int64_t end = size - begin < length ? size : begin + length;
    fa_anytree trees[FA_FUSED_AXES];
    fa_env env = {0};
    fa_fpclear();
    fa_fused_blocks(f, shared->c, shared->v, is_worker ? fa_worker_scratch() : (char *)shared->v[f->scratch].p, begin,
                    end, f->naxes ? trees : &shared->sums[chunk * f->nsums], &shared->ends[chunk], &env);
    atomic_fetch_or(&shared->flags, env.flags);
}

/* Where a chunk of n elements from `begin` on meets the one before it; the last one may be shorter than a fringe. */
FA_FN void fa_fused_meet(const fa_weave *w, const fa_fringe *before, const fa_fringe *head, int64_t n, char *y) {
    const char *next[FA_WEAVE_PARTS];
    int64_t item = fa_itemsize[w->dtype], m = n < w->reach ? n : w->reach;
    fa_fringe last = *before;
    for (uint32_t p = 0; p < w->n; p++) next[p] = head->part[p];
    fa_weave_fringe(w, before, next, m, y);
    if (m == w->reach) return;
    for (uint32_t p = 0; p < w->n; p++) {
        memmove(last.part[p], last.part[p] + m * item, (size_t)((w->reach - m) * item));
        memcpy(last.part[p] + (w->reach - m) * item, head->part[p], (size_t)(m * item));
    }
    fa_weave_fringe(w, &last, 0, w->reach, y + m * item);
}

FA_FN void fa_fused_join(const fa_fused_job *job, int64_t chunks, fa_env *env) {
    const fa_fused *f = job->f;
    for (uint32_t k = 0; k < f->nweaves; k++) {
        const fa_weave *w = &f->weaves[k];
        for (int64_t chunk = 1; chunk < chunks; chunk++) {
            int64_t begin = chunk * (f->block << job->level);
            fa_fused_meet(w, &job->ends[chunk - 1].tail[k], &job->ends[chunk].head[k], f->size - begin,
                          (char *)job->v[w->cell].p + (w->first + begin) * fa_itemsize[w->dtype]);
        }
    }
    if (f->nweaves) fa_fused_flags(f, env);
}

FA_FN void fa_run_fused_shared(const fa_code *c, fa_cell *v, const fa_fused *f, fa_env *env) {
    fa_anytree sums[FA_MOST_CHUNKS * FA_FUSED_SUMS], all;
    fa_fringes ends[FA_MOST_CHUNKS];
    fa_fused_job job = {f, c, v, 3, 0, 0, sums, ends};
    int64_t blocks = (f->size + f->block - 1) / f->block, units = fa_axis_units(&f->axis), chunks;
    while ((blocks + ((int64_t)1 << job.level) - 1) >> job.level > FA_MOST_CHUNKS) job.level++;
    chunks = (blocks + ((int64_t)1 << job.level) - 1) >> job.level;
    if (fa_fused_has_units(f)) {
        job.units = (units - 1) / FA_MOST_CHUNKS + 1;
        chunks = (units - 1) / job.units + 1;
    }
    fa_pool_run(fa_fused_chunk, &job, chunks);
    env->flags |= atomic_load(&job.flags);
    fa_fused_join(&job, chunks, env);
    for (uint32_t k = 0; k < f->nsums; k++) {
        int is_f64 = fa_is_f64_sum(c, f->sums[k]);
        fa_sumtree_begin_f64(&all.f64);
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            const fa_anytree *part = &sums[chunk * f->nsums + k];
            if (is_f64) fa_sumtree_join_f64(&all.f64, &part->f64, job.level);
            else fa_sumtree_join_f32(&all.f32, &part->f32, job.level);
        }
        fa_store_sum(c, v, f->sums[k], &all);
    }
}

/* Runs the loop.  Cells of arrays point to their memory; results of sums are written last, so that their cells may be
   those of scalars that die here. */
FA_FN int fa_run_fused(const fa_code *c, fa_cell *v, const fa_fused *f, fa_env *env) {
    fa_anytree sums[FA_FUSED_SUMS];
    env->flags |= fa_fpflags();
    if (fa_fused_has_units(f)) fa_fused_gaps(f, v, 0, f->size);
    for (uint32_t k = 0; k < f->nweaves; k++) fa_weave_gaps(&f->weaves[k], f->size, v[f->weaves[k].cell].p);
    if (f->shared && fa_pool_threads() > 1) {
        fa_run_fused_shared(c, v, f, env);
        return FA_OK;
    }
    fa_fused_blocks(f, c, v, (char *)v[f->scratch].p, 0, fa_fused_has_units(f) ? fa_axis_units(&f->axis) : f->size, sums, 0,
                    env);
    for (uint32_t k = 0; k < f->nsums; k++) fa_store_sum(c, v, f->sums[k], &sums[k]);
    return FA_OK;
}
#endif
