/* burst.h - a loop over numbers, several steps of which are one run of packed scalar code.
   Owns: what moves between memory and cells before and after such a run.
   Must not know: what the steps compute, which cells they were given (scan_bursts.py).
   A step of such a loop takes some ten nanoseconds, so a call for each, with the flags of the processor read and
   cleared, would take as long again.  What is kept of the steps lies side by side in the cells as in memory.
   Next: machine.h. */
#ifndef FASTAD_BURST_H
#define FASTAD_BURST_H
#include "machine.h"
#include "poll.h"

FA_INLINE void fa_stream_read(const fa_stream *s, uint32_t steps, int64_t place, const char *const *x, fa_cell *v) {
    const char *from = x[s->base] + s->offset + place * s->stride;
    fa_cell *to = v + s->cell;
    if (s->pointers) {
        for (uint32_t q = 0; q < steps; q++) to[q].p = (char *)from + (int64_t)q * s->stride;
    } else if (s->stride == 8 * (int64_t)s->count) {
        memcpy(to, from, (size_t)s->stride * steps);
    } else {
        for (uint32_t q = 0; q < steps; q++)
            memcpy(to + (size_t)q * s->count, from + (int64_t)q * s->stride, 8 * (size_t)s->count);
    }
}

/* Runs `runs` times `steps` steps.  place: of the first run in memory, the least of its steps'.  out: the result;
   kept: where the streams of `kept` count from.  Returns FA_OK, FA_EFOREIGN. */
FA_FN int fa_run_bursts(const fa_burst *b, fa_cell *v, int64_t place, int64_t runs, const char *const *x, char *out,
                        char *kept, fa_env *env) {
    const int64_t onward = b->backwards ? -(int64_t)b->steps : (int64_t)b->steps;
    fa_cell state[FA_MOST_STATE];
    int code = FA_OK;
    fa_fpclear();
    for (; runs > 0 && code == FA_OK; runs--, place += onward) {
        for (uint32_t k = 0; k < b->nin; k++) fa_stream_read(&b->in[k], b->steps, place, x, v);
        fa_run_packed(b->run, v, env);
        for (uint32_t k = 0; k < b->nkept; k++) {
            const fa_stream *s = &b->kept[k];
            memcpy(kept + s->offset + place * s->stride, v + s->cell, (size_t)s->stride * b->steps);
        }
        for (uint32_t k = 0; k < b->nout; k++) {
            const fa_column *c = &b->out[k];
            char *to = out + c->offset + place * c->stride;
            for (uint32_t q = 0; q < b->steps; q++, to += c->stride) memcpy(to, &v[c->cells[q]], 8);
        }
        for (uint32_t k = 0; k < b->nstate; k++) state[k] = v[b->next[k]];
        for (uint32_t k = 0; k < b->nstate; k++) v[b->state[k]] = state[k];
        code = fa_after_work(b->work);
    }
    env->flags |= fa_fpflags();
    return code;
}
#endif
