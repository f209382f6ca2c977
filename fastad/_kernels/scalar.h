/* scalar.h - one elementwise primitive on rank-0 operands.
   Owns: the arithmetic of the opcodes that have a kernel of our own, the call of NumPy's loop with n = 1 for all the
   others, the floating-point exception flags.
   Must not know: arrays, tapes, derivatives.
   Bits: equal to NumPy's loops, and the same function computes while recording and in every sweep.
   Next: elementwise.h (whole arrays), template.h (partial derivatives). */
#ifndef FASTAD_SCALAR_H
#define FASTAD_SCALAR_H
#include <fenv.h>
#include <math.h>
#include <string.h>
#include "layout.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a bool in a cell is read through the cell's first byte: little-endian machines only"
#endif

/* not every includer uses every kernel */
#define FA_FN static __attribute__((unused))
#define FA_INLINE static inline __attribute__((always_inline, unused))
/* No instruction, but another one each time: compilers do not share the code around it between two places. */
#define FA_NOT_SHARED() __asm__ volatile ("" :: "i"(__COUNTER__))
#define FA_LIKELY(x) __builtin_expect(!!(x), 1)
#define FA_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Values travel as bytes between real numbers and integers: these types may alias anything. */
typedef int64_t __attribute__((may_alias)) fa_i64;
typedef double __attribute__((may_alias)) fa_f64;
typedef float __attribute__((may_alias)) fa_f32;
typedef uint32_t __attribute__((may_alias)) fa_u32;
/* by the suffixes of reals.h */
typedef fa_f64 fa_any_f64;
typedef fa_f32 fa_any_f32;
typedef int64_t fa_bits_f64;
typedef int32_t fa_bits_f32;

/* ---- exception flags ---------------------------------------------------------------------------------------- */
enum { FA_FPMASK = FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INVALID };

/* Some of NumPy's loops clear the flags (to hide what a comparison with NaN raised), so a sweep reads them before each
   such call.  On x86 the MXCSR bits are the FE_* bits; fetestexcept would read the x87 word as well. */
FA_INLINE int fa_fpflags(void) {
#if defined(__x86_64__) || defined(_M_X64)
    return (int)_mm_getcsr() & FA_FPMASK;
#else
    return fetestexcept(FA_FPMASK);
#endif
}

/* the flags as they were before foreign code whose exceptions say nothing */
FA_INLINE void fa_fprestore(int flags) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr((_mm_getcsr() & ~(unsigned)FE_ALL_EXCEPT) | (unsigned)flags);
#else
    feclearexcept(FE_ALL_EXCEPT);
    if (flags) feraiseexcept(flags);
#endif
}

/* Was a subnormal number met or made since the flags were cleared?  (Only x86 can tell; no exact one that was made.) */
enum { FA_FPDENORMAL = 2 };
FA_INLINE int fa_fptiny(void) {
#if defined(__x86_64__) || defined(_M_X64)
    return (_mm_getcsr() & (FA_FPDENORMAL | FE_UNDERFLOW)) != 0;
#else
    return 0;
#endif
}

FA_INLINE void fa_fpclear(void) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr(_mm_getcsr() & ~(unsigned)(FE_ALL_EXCEPT | FA_FPDENORMAL));
#else
    feclearexcept(FE_ALL_EXCEPT);
#endif
}

/* These too, for whoever looks next.  feraiseexcept sets some of them where fa_fpflags does not look. */
FA_INLINE void fa_fpraise(int flags) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr(_mm_getcsr() | (unsigned)(flags & FA_FPMASK));
#else
    if (flags) feraiseexcept(flags);
#endif
}

/* Subnormal numbers count as zero until fa_keep_subnormals(what this returned): an operation on one costs the time of a
   hundred others.  Where the processor has no such mode, they are kept: slower, and as right. */
FA_INLINE unsigned fa_drop_subnormals(void) {
#if defined(__x86_64__) || defined(_M_X64)
    unsigned mode = _mm_getcsr() & 0x8040;              /* flush results to zero, take operands as zeros */
    _mm_setcsr(_mm_getcsr() | 0x8040);
    return mode;
#else
    return 0;
#endif
}

FA_INLINE void fa_keep_subnormals(unsigned mode) {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_setcsr((_mm_getcsr() & ~0x8040u) | mode);
#else
    (void)mode;
#endif
}

/* ---- conversions -------------------------------------------------------------------------------------------- */
/* NaN and what does not fit: as x86 and NumPy do it.  A plain cast would be undefined behaviour. */
FA_INLINE int64_t fa_f64_to_i64(double x) {
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

FA_INLINE int fa_is_real(int dtype) { return dtype == FA_F64 || dtype == FA_F32; }

/* a float32 fills half a cell: the other half is zero, so that equal numbers are equal cells */
FA_INLINE fa_cell fa_cell_f64(double x) { return (fa_cell){.f = x}; }
FA_INLINE fa_cell fa_cell_f32(float x) {
    fa_cell y = {.i = 0};
    y.s = x;
    return y;
}

FA_INLINE fa_cell fa_cast_cell(int din, int dout, fa_cell x) {
    fa_cell y = {.i = 0};
    if (din == dout || (din == FA_BOOL && dout == FA_I64)) return x;
    if (fa_is_real(din)) {
        double v = din == FA_F64 ? x.f : (double)x.s;
        if (dout == FA_BOOL) y.i = v != 0;
        else if (dout == FA_I64) y.i = fa_f64_to_i64(v);
        else y = dout == FA_F64 ? fa_cell_f64(v) : fa_cell_f32((float)v);
    } else if (dout == FA_BOOL) y.i = x.i != 0;
    else y = dout == FA_F64 ? fa_cell_f64((double)x.i) : fa_cell_f32((float)x.i);
    return y;
}

/* ---- own arithmetic ----------------------------------------------------------------------------------------- */
FA_INLINE double fa_sqrt_f64(double x) { return sqrt(x); }
FA_INLINE float fa_sqrt_f32(float x) { return sqrtf(x); }
FA_INLINE double fa_abs_f64(double x) { return fabs(x); }
FA_INLINE float fa_abs_f32(float x) { return fabsf(x); }

/* NumPy's loop on one element, always with the step of contiguous data.  The result cell may be an operand. */
FA_FN fa_cell fa_loop_once(uint16_t op, int dtype, fa_cell a, fa_cell b, fa_cell c) {
    const fa_prim *prim = &fa_prims[op];
    const fa_loop *loop = &prim->loop[dtype];
    fa_cell y;
    intptr_t n = 1, step = fa_itemsize[dtype], steps[4] = {step, step, step, step};
    char *args[4] = {(char *)&a, (char *)&b, (char *)&c, (char *)&y};
    y.i = 0;
    steps[prim->arity] = 8;
    args[prim->arity] = (char *)&y;
    loop->fn(args, &n, steps, loop->data);
    return y;
}

#define FA_BODY "scalar_real.h"
#include "reals.h"

/* Any elementwise primitive on cells.  din: dtype of the operands (WHERE: of the two it chooses from).
   Operands beyond the primitive's arity are not looked at.  A bool result is a full cell, 0 or 1 in .i. */
static inline __attribute__((unused)) fa_cell fa_scalar_cells(uint16_t op, int din, fa_cell a, fa_cell b, fa_cell c) {
    fa_cell y;
    if (op == FA_WHERE) return a.i ? b : c;
    if (op < FA_OWN_END && fa_is_real(din)) {
        if (op >= FA_EQUAL && op <= FA_GREATER_EQUAL) {
            y.i = din == FA_F64 ? fa_compare_f64(op, a.f, b.f) : fa_compare_f32(op, a.s, b.s);
            return y;
        }
        return din == FA_F64 ? fa_cell_f64(fa_scalar_f64(op, a.f, b.f)) : fa_cell_f32(fa_scalar_f32(op, a.s, b.s));
    }
    return fa_loop_once(op, din, a, b, c);
}

/* the same with the operands in a row */
static inline __attribute__((unused)) fa_cell fa_scalar(uint16_t op, int din, const fa_cell *in) {
    int arity = op == FA_WHERE ? 3 : fa_prims[op].arity;
    return fa_scalar_cells(op, din, in[0], in[arity > 1 ? 1 : 0], in[arity > 2 ? 2 : 0]);
}
#endif
