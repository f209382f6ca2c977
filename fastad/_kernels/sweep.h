/* sweep.h - the sweeps over a tape: the one include for whoever runs one.
   Owns: nothing of its own.
   fa_forward in forward.h, fa_tangent in tangent.h, fa_reverse in reverse.h; operands.h decodes instructions.
   Must not know: Python, who recorded the tape.
   Next: layout.h for what the sweeps read, kernels.h for what one instruction does. */
#ifndef FASTAD_SWEEP_H
#define FASTAD_SWEEP_H
#include "forward.h"
#include "reverse.h"
#include "tangent.h"
#endif
