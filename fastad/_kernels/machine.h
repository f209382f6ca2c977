/* machine.h - packed scalar code: a run of float64 instructions of a program as words that are read in one stream.
   Owns: how a run is executed.
   Must not know: how instructions were packed (_machine.pxi).
   An instruction is its code, the cell of the result, the cells of the operands: 6 to 12 bytes where there are fewer than
   65,536 cells, so that 10^5 instructions stay in the second-level cache.  Two instructions of which the first is used
   by the second alone are one (PAIR), or three (TWO products and their sum): the number between them stays in a
   register.  Each operation rounds as it does alone.
   Next: machine_loop.h (what the codes do), forward.h (what runs other instructions). */
#ifndef FASTAD_MACHINE_H
#define FASTAD_MACHINE_H
#include "operands.h"
#include "machine_code.h"

/* fa_strongzero_f64 with one branch where a comparison with NaN in mind takes two */
FA_INLINE double fa_product_or_zero(double w, double p) {
    uint64_t bits;
    memcpy(&bits, &w, sizeof bits);
    return bits << 1 ? w * p : 0.0;
}

#define FA_MACHINE fa_machine_narrow
#define FA_WORD uint16_t
#include "machine_loop.h"
#undef FA_MACHINE
#undef FA_WORD
#define FA_MACHINE fa_machine_wide
#define FA_WORD uint32_t
#include "machine_loop.h"
#undef FA_MACHINE
#undef FA_WORD

FA_INLINE void fa_run_packed(const fa_run *run, fa_cell *v, fa_env *env) {
    if (run->code) fa_code_run(run, v, env);
    else if (run->wide) fa_machine_wide((const uint32_t *)run->words, v, env);
    else fa_machine_narrow((const uint16_t *)run->words, v, env);
}
#endif
