/* poll.h - a long sweep lets Python look for Ctrl-C between its steps.
   Owns: when to look: after so much work, and not more often than fifty times a second.
   Must not know: Python (fa_poll is set by who includes the sweeps).
   Next: forward_loop.h, reverse.h, tangent.h. */
#ifndef FASTAD_POLL_H
#define FASTAD_POLL_H
#include <time.h>
#include "scalar.h"

enum { FA_PATIENCE = 4000000, FA_STEP_COST = 64 };           /* elements; what any step costs at least */

static int (*fa_poll)(void) __attribute__((unused));         /* not 0: the sweep ends, a Python error is set */
FA_FN void fa_set_poll(int (*poll)(void)) { fa_poll = poll; }
static __thread int64_t fa_patience __attribute__((tls_model("initial-exec"))) = FA_PATIENCE;
static __thread int64_t fa_polled __attribute__((tls_model("initial-exec")));

static __attribute__((noinline, unused)) int fa_look(void) {
    struct timespec now;
    int64_t tick;
#if defined(CLOCK_MONOTONIC_COARSE)
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    fa_patience = FA_PATIENCE;
    tick = (int64_t)now.tv_sec * 50 + now.tv_nsec / 20000000;
    if (tick == fa_polled) return FA_OK;
    fa_polled = tick;
    return fa_poll && fa_poll() ? FA_EFOREIGN : FA_OK;
}

FA_INLINE int fa_after_work(int64_t work) {
    return FA_UNLIKELY((fa_patience -= work) <= 0) ? fa_look() : FA_OK;
}

/* After instruction i, which is no scalar of the fast paths: FA_OK, or FA_EFOREIGN where the sweep is to end. */
FA_INLINE int fa_after_step(const fa_code *c, uint32_t i) {
    uint16_t op = c->op[i];
    int64_t work = FA_STEP_COST + c->avals[c->aval[i]].size;
    if (op == FA_FUSED) work += c->fused[c->arg[2 * (size_t)i]]->size;
    else if (op >= FA_MATMUL && op <= FA_LAPACK) work = FA_PATIENCE;         /* nobody knows how long it took */
    return fa_after_work(work);
}
#endif
