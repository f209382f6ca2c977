/* kernels.h - what one instruction does: the one include for whoever computes values.
   Owns: nothing of its own.
   Scalars in scalar.h, whole arrays in elementwise.h, partial derivatives in template.h, moving elements in move.h,
   reductions and order in reduce.h, matrix products in products.h, opcode by opcode in structural.h.
   Next: sweep.h (the order of evaluation). */
#ifndef FASTAD_KERNELS_H
#define FASTAD_KERNELS_H
#include "elementwise.h"
#include "structural.h"
#include "template.h"
#endif
