/* native.h - a loop over numbers as machine code that a compiler has made at run time.
   Owns: how such code is called, piece by piece, so that Ctrl-C is seen; what it calls back for all that is no plain
   arithmetic: the very kernels of the machine, so that the bits are the same.
   Must not know: LLVM, how the code was written (llvm_loops.py), when it pays (llvm_code.py).
   Next: burst.h (the same loops without a compiler). */
#ifndef FASTAD_NATIVE_H
#define FASTAD_NATIVE_H
#include "machine.h"
#include "poll.h"

/* Some steps of the loop: `state` before and after them, `base` where the first of them reads and writes (afterwards:
   where the next one does). */
typedef void (*fa_native_fn)(double *state, char **base, int64_t steps, fa_env *env);

enum { FA_NATIVE_WORK = 1 << 17 };           /* instructions between two looks at the clock */

/* What machine_loop.h does for LOOP: one of NumPy's loops (or ours in its place) on a number. */
FA_FN double fa_native_number(fa_env *env, uint32_t op, double a, double b) {
    env->flags |= fa_fpflags();
    env->has_foreign |= fa_prims[op].foreign & 1;
    return fa_loop_once((uint16_t)op, FA_F64, fa_cell_f64(a), fa_cell_f64(b), fa_cell_f64(a)).f;
}

/* Any elementwise primitive; din: dtype of the operands. */
FA_FN int64_t fa_native_cells(fa_env *env, uint32_t op, uint32_t din, int64_t a, int64_t b, int64_t c) {
    env->flags |= fa_fpflags();
    env->has_foreign |= fa_prims[op].foreign >> din & 1;
    return fa_scalar_cells((uint16_t)op, (int)din, (fa_cell){.i = a}, (fa_cell){.i = b}, (fa_cell){.i = c}).i;
}

FA_FN int64_t fa_native_cast(uint32_t din, uint32_t dout, int64_t x) {
    return fa_cast_cell((int)din, (int)dout, (fa_cell){.i = x}).i;
}

/* `work`: instructions of a step.  Returns FA_OK, FA_EFOREIGN. */
FA_FN int fa_run_native(fa_native_fn fn, int64_t work, double *state, char **base, int64_t steps, fa_env *env) {
    const int64_t most = 1 + FA_NATIVE_WORK / work;
    int code = FA_OK;
    fa_fpclear();
    while (steps > 0 && code == FA_OK) {
        const int64_t n = steps < most ? steps : most;
        fn(state, base, n, env);
        steps -= n;
        code = fa_after_work(n * work);
    }
    env->flags |= fa_fpflags();
    return code;
}
#endif
