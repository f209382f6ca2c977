/* layout.h - what a tape and its values look like in memory.
   Owns: dtypes, opcodes of the structural primitives and of the elementwise ones that have a kernel of our own,
   the attribute structs, the code struct that the sweeps run.
   Must not know: Python, NumPy, who recorded the tape.
   Next: kernels.h (what one instruction does), sweep.h (the order of evaluation).

   A tape is static single assignment: instruction i defines value i.  Structure of arrays, 14 bytes an instruction:

     op    u16     what it does
     aval  u32     interned abstract value (dtype, weak bit, shape) of the result
     arg   2 x u32 operands, by form:
             leaf    INPUT: (input number, -)   CONST, CAPTURE: (index in their table, -)
             unary   (x, attr)                  ELEMENT: (x, flat index)   GUARD: (x, guard number)
             binary  (a, b)
             n-ary   (start in pool, attr)      pool[start] = count, then the operand ids

   A value lives in a cell.  Rank 0: in the cell itself (f64 in .f, i64 in .i, bool as 0/1 in .i, f32 in .s with the
   other half of the cell zero).
   Rank > 0: .p points to C-contiguous data (double, int64_t, uint8_t, float).  fa_data() hides the difference.
   Id 0 is reserved (FA_NOP) and means "none". */
#ifndef FASTAD_LAYOUT_H
#define FASTAD_LAYOUT_H
#include <stdint.h>
#include <stddef.h>

enum { FA_MAXD = 64 };                       /* NumPy's own limit */

enum { FA_F64, FA_I64, FA_BOOL, FA_F32, FA_NDTYPE };
static const int fa_itemsize[FA_NDTYPE] = {8, 8, 1, 4};

typedef union { double f; float s; int64_t i; void *p; } fa_cell;

typedef struct {
    uint8_t dtype, weak;                     /* weak: a Python number (NEP 50) */
    uint16_t nd;
    int64_t size;                            /* number of elements */
    const int64_t *shape;
} fa_aval;

/* The first avals are interned in this order, so that `aval == FA_AVAL_F64` is a one-compare test for a scalar. */
enum { FA_AVAL_F64, FA_AVAL_I64, FA_AVAL_BOOL, FA_AVAL_F32,
       FA_AVAL_WEAK_F64, FA_AVAL_WEAK_I64, FA_AVAL_WEAK_BOOL, FA_AVAL_WEAK_F32, FA_NAVAL_SCALAR };

static inline char *fa_data(const fa_cell *cell, const fa_aval *av) { return av->nd ? (char *)cell->p : (char *)cell; }

/* ---- opcodes ------------------------------------------------------------------------------------------------ */
enum {
    FA_NOP = 0,
    FA_INPUT, FA_CONST, FA_CAPTURE,          /* leaves */
    FA_ELEMENT,                              /* y = x.flat[arg1]; rank 0 */
    FA_RESHAPE, FA_STOP,                     /* same data; STOP has no derivative */
    FA_CAST,                                 /* dtype conversion as C does it (bool = nonzero) */
    FA_MOVE,                                 /* y = fill; y[dst] = x[src]            attr: fa_map */
    FA_ERASE,                                /* y = x; y[dst] = 0                    attr: fa_map */
    FA_WRITE,                                /* n-ary (old, v): y = old; y[dst] = v[src]   attr: fa_map */
    FA_ASSEMBLE,                             /* n-ary: y = fill; y[dst_k] = x_k[src_k] (or +=)  attr: fa_assemble */
    FA_STACK,                                /* n-ary of scalars [base first]: y[pos_k] = s_k (or +=) attr: fa_stack */
    FA_TAKE,                                 /* binary (x, idx): y = x.flat[idx] */
    FA_ADDAT,                                /* binary (idx, v): y = 0; y.flat[idx] += v */
    FA_PUT,                                  /* n-ary (old, idx, v): y = old; y.flat[idx] = v; the last one wins */
    FA_WRAP,                                 /* idx + n where negative; out of range is FA_EINDEX   attr: int64 n */
    FA_LASTWRITER,                           /* bool: position k is the last with its index   attr: int64 n */
    FA_FLATNONZERO,                          /* int64 positions, as many as y holds; the rest 0 */
    FA_SUM, FA_MAXR, FA_MINR, FA_ANY, FA_ALL, FA_ARGMAX, FA_ARGMIN,   /* over the middle axis   attr: fa_axis */
    FA_CUMSUM, FA_ARGSORT,                   /* along the middle axis   attr: fa_axis */
    FA_SEARCHSORTED,                         /* n-ary (a, v)   attr: int64 side (0 left, 1 right) */
    FA_MATMUL,                               /* n-ary (a, b)   attr: fa_matmul */
    FA_SPMM,                                 /* n-ary (data, x)   attr: fa_csr */
    FA_CALL,                                 /* n-ary   attr: fa_call; runs foreign code */
    FA_LAPACK,                               /* n-ary   attr: fa_lapack; a routine of dense linear algebra */
    FA_GUARD,                                /* compares x with what was recorded */
    FA_FUSED,                                /* in programs alone: a loop of `fused`   arg: (its index, -) */
    FA_RUN,                                  /* in programs alone: packed scalars of `runs`   arg: (its index, -) */
    FA_STRUCTURAL_END,

    FA_ELEMENTWISE = 64,                     /* elementwise primitives: rows of primitives.py */
    /* ... those with a kernel of our own, in this order (FA_OWN_NAMES); the other rows follow, numbered at import */
    FA_ADD = FA_ELEMENTWISE, FA_SUBTRACT, FA_MULTIPLY, FA_DIVIDE, FA_NEGATIVE, FA_SQUARE, FA_SQRT, FA_RECIPROCAL,
    FA_ABSOLUTE, FA_MAXIMUM, FA_MINIMUM, FA_EQUAL, FA_NOT_EQUAL, FA_LESS, FA_LESS_EQUAL, FA_GREATER, FA_GREATER_EQUAL,
    FA_WHERE,                                /* n-ary (c, a, b): selects */
    FA_STRONGZERO,                           /* strong-zero multiply (w, p): 0 where w == 0, else w * p */
    FA_ZEROPRODUCT,                          /* the same with both factors: 0 where w == 0 or p == 0, else w * p */
    FA_OWN_END,
    FA_MAX_OPCODES = 512
};
#define FA_OWN_NAMES {"add", "subtract", "multiply", "divide", "negative", "square", "sqrt", "reciprocal", \
    "absolute", "maximum", "minimum", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", \
    "where", "strongzero", "zeroproduct"}

/* how an opcode's arg is to be read */
enum { FA_FORM_LEAF, FA_FORM_UNARY, FA_FORM_BINARY, FA_FORM_NARY };

/* ---- attributes --------------------------------------------------------------------------------------------- */
/* One affine piece of a map: for every multi-index j < shape, element doff + j.dstr of the destination and
   element soff + j.sstr of the source belong together (strides in elements, may be 0 or negative). */
typedef struct {
    int32_t nd;
    int64_t soff, doff;
    const int64_t *shape, *sstr, *dstr;
} fa_piece;

/* A map between the flat elements of a source and of a destination: affine pieces, or a table.
   table: ntable >= 0 pairs (src[k], dst[k]); a NULL side means 0, 1, 2, ... */
typedef struct {
    int64_t nsrc, ndst;                      /* sizes of the two sides */
    int32_t npieces;
    const fa_piece *pieces;
    int64_t ntable;                          /* -1: pieces */
    const int64_t *src, *dst;
    uint8_t covers;                          /* every destination element is reached: no fill needed */
    uint8_t src_injective;                   /* no source element is used twice: the transpose may store */
    uint8_t dst_injective;                   /* no destination element is reached twice: may store, else += */
    fa_cell fill;                            /* in the dtype of the result */
} fa_map;

/* what a map does to its elements: the copies by item size, the additions by dtype (of bools: or) */
enum { FA_DO_COPY8, FA_DO_COPY1, FA_DO_ADDF, FA_DO_ADDI, FA_DO_OR, FA_DO_COPY4, FA_DO_ADDS, FA_NDO };
static const int fa_do_size[FA_NDO] __attribute__((unused)) = {8, 1, 8, 8, 1, 4, 4};
static const int fa_do_copy[FA_NDTYPE] __attribute__((unused)) = {FA_DO_COPY8, FA_DO_COPY8, FA_DO_COPY1, FA_DO_COPY4};
static const int fa_do_add[FA_NDTYPE] __attribute__((unused)) = {FA_DO_ADDF, FA_DO_ADDI, FA_DO_OR, FA_DO_ADDS};

typedef struct {
    int32_t n;
    const fa_map *const *maps;
    uint8_t accumulate, covers;              /* accumulate: +=, on top of fill */
    fa_cell fill;
} fa_assemble;

typedef struct {
    int64_t n;                               /* scalars, the base not counted */
    const int64_t *pos;                      /* NULL: 0, 1, 2, ... */
    uint8_t has_base, accumulate;            /* without base: the rest is 0 */
} fa_stack;

typedef struct { int64_t outer, n, inner; uint8_t reverse; } fa_axis;   /* x seen as (outer, n, inner), C order */

/* batch of op(a) (m x k) times op(b) (k x n); a stored (m, k), or (k, m) if ta.  A batch stride of 0 repeats. */
typedef struct { int64_t batch, m, k, n, abatch, bbatch; uint8_t ta, tb, adjoint; } fa_matmul;
enum { FA_SMALL_GEMM = 64 };                 /* m * n * k up to here: a call of BLAS costs more than the product */

/* y = A x or A^T x for A of shape (nrow, ncol) in CSR; x is (ncol or nrow, ncols), C order */
typedef struct { int64_t nrow, ncol, nnz, ncols; const int64_t *indptr, *indices; uint8_t transpose; } fa_csr;

/* Foreign code: called with the operands' and the result's data; returns 0, or -1 with a Python error set, or (jvp and
   vjp of fa_lapack alone) 1 for a LinAlgError.
   jvp: the result's tangent from the operands'; tin[k] is NULL where operand k is inactive (zero).
   vjp: adds to adj[k], which is NULL where operand k is inactive. */
typedef struct {
    int (*fn)(void *self, int n, const char *const *in, char *out);
    void *self;
    int (*jvp)(void *self, int n, const char *const *in, const char *out, const char *const *tin, char *tout);
    int (*vjp)(void *self, int n, const char *const *in, const char *out, const char *adj_out, char *const *adj);
} fa_call;

/* A routine of dense linear algebra on a batch of matrices, without the GIL.  Operand j has size[j] elements a matrix, and
   is one matrix for the whole batch where bit j of `shared` is set; the result has `out` elements a matrix.
   one: 0, or 1 where NumPy raises LinAlgError.  call.jvp and call.vjp serve the tangent and reverse sweeps. */
enum { FA_LAPACK_OPERANDS = 3 };
typedef struct fa_lapack {
    fa_call call;                            /* first: the sweeps take an fa_lapack for an fa_call */
    int (*one)(const struct fa_lapack *p, const double *const *x, double *y);
    int64_t batch, m, n, k;                  /* what m, n, k are is the routine's business */
    int64_t size[FA_LAPACK_OPERANDS], out;
    int32_t form, shared;                    /* form: which triangle, transposed ... */
    void *object;
} fa_lapack;

typedef struct { int64_t expected; } fa_guard;   /* the bits of the recorded cell */

/* ---- elementwise primitives --------------------------------------------------------------------------------- */
/* NumPy's inner loop: fn(args, &n, steps, data).  Without GIL, on contiguous data or with stride 0. */
typedef void (*fa_loopfn)(char **args, const intptr_t *n, const intptr_t *steps, void *data);
typedef struct { fa_loopfn fn; void *data; } fa_loop;

/* A template: a partial derivative as a short program over slots.
   slots 0, 1, 2: the operands; 3: the result y; 4 ...: constants; then one slot an instruction. */
enum { FA_TSLOT_Y = 3, FA_TSLOT_CONST = 4, FA_MAX_TSLOTS = 128, FA_ZERO = 0xffff };
typedef struct { uint16_t op; uint8_t din, dout; uint16_t in[3]; } fa_tinstr;  /* dtypes of operands and result */
typedef struct {
    uint16_t n, nconst, out;                 /* out: the slot that holds the partial; FA_ZERO: it is zero */
    const fa_tinstr *instr;
    const fa_cell *consts;
} fa_template;

typedef struct {
    uint8_t arity, differentiable;
    fa_loop loop[FA_NDTYPE];                 /* by the dtype of the operands; fn NULL: none */
    fa_template partial[3];                  /* by operand (WHERE, STRONGZERO, ZEROPRODUCT: own rules) */
    uint8_t foreign;                         /* bit d: the loop for dtype d may take the GIL and set a Python error */
    fa_template partial_f32[3];              /* the same in float32; they are zero where the others are */
    uint16_t twin;                           /* opcode whose float64 result comes with this one's; 0: none */
    fa_loopfn both;                          /* the loop of both (of one of the two): args (x, result, the twin's) */
} fa_prim;

extern fa_prim fa_prims[FA_MAX_OPCODES];     /* filled at import from primitives.py */

/* ---- fused loops: many instructions over one iteration space, in programs only (fused.h) ---------------------- */
enum { FA_BLOCK = 512 };                     /* elements; 4 KiB an operand: a dozen stay in L1 */
enum { FA_BUFFER_BYTES = 8 * FA_BLOCK + 64 };    /* of a block buffer: no two begin at the same place of a page */
enum { FA_FEW_BUFFERS = 8 };                 /* they stay in the first-level cache beside what else a loop reads */
enum { FA_FUSED_MEMBERS = 64, FA_FUSED_SLOTS = 256, FA_FUSED_SUMS = 8, FA_FUSED_AXES = 4, FA_READER_DIMS = 6 };
enum { FA_FUSED_ELEMENTWISE, FA_FUSED_READ, FA_FUSED_SUM, FA_FUSED_STORE, FA_FUSED_CHAIN, FA_FUSED_TWINS,
       FA_FUSED_AXIS, FA_FUSED_WEAVE };
enum { FA_SLOT_BUFFER, FA_SLOT_ARRAY, FA_SLOT_SCALAR, FA_SLOT_ROWS };

/* Chains of cheap instructions run step by step on tiles of eight vectors; each step leaves its result in registers: real
   numbers, or masks as wide as they are.  In memory a mask is bytes: what has one there stands between MASK_STORE and
   WHERE_NO.  The binary ones before EQUAL have a second form, with the operands exchanged; those from NEGATIVE on have no
   operand in memory; WHERE has two, the second in a step of its own, OPERAND. */
enum {
    FA_CHAIN_END, FA_CHAIN_STORE, FA_CHAIN_LOAD,
    FA_CHAIN_FETCH, FA_CHAIN_FETCH_OWN,      /* what will soon be read, or written, comes into the cache */
    FA_CHAIN_ADD, FA_CHAIN_SUBTRACT = FA_CHAIN_ADD + 2,
    FA_CHAIN_MULTIPLY = FA_CHAIN_ADD + 4, FA_CHAIN_DIVIDE = FA_CHAIN_ADD + 6, FA_CHAIN_STRONGZERO = FA_CHAIN_ADD + 8,
    FA_CHAIN_ZEROPRODUCT = FA_CHAIN_ADD + 10, FA_CHAIN_MAXIMUM = FA_CHAIN_ADD + 12,
    FA_CHAIN_MINIMUM = FA_CHAIN_ADD + 14,
    FA_CHAIN_EQUAL = FA_CHAIN_ADD + 16, FA_CHAIN_NOT_EQUAL, FA_CHAIN_LESS, FA_CHAIN_LESS_EQUAL, FA_CHAIN_GREATER,
    FA_CHAIN_GREATER_EQUAL,
    FA_CHAIN_WHERE_MASK, FA_CHAIN_OPERAND,   /* what is in registers: the mask */
    FA_CHAIN_MASK_STORE, FA_CHAIN_MASK_LOAD, FA_CHAIN_AND, FA_CHAIN_OR, FA_CHAIN_XOR,
    FA_CHAIN_WHERE_YES, FA_CHAIN_WHERE_NO,   /* what is in registers: chosen where the mask is set, where it is not */
    FA_CHAIN_NEGATIVE, FA_CHAIN_SQUARE, FA_CHAIN_RECIPROCAL, FA_CHAIN_ABSOLUTE, FA_CHAIN_SQRT, FA_CHAIN_SIGN,
    FA_CHAIN_NOT, FA_CHAIN_NUMBER,           /* of a mask: 1 or 0 */
    FA_CHAIN_TWICE, FA_CHAIN_FOUR_TIMES, FA_CHAIN_MINUS_TWICE, FA_CHAIN_MINUS_FOUR_TIMES,
    FA_CHAIN_CODES
};
enum { FA_TILE_BYTES = 512, FA_CHAIN_TILES = 128, FA_MOST_FAR = 16,
       FA_MOST_STEPS = 5 * FA_FUSED_MEMBERS + FA_MOST_FAR };
/* tile: the largest; tiles: operands of one chain, at most four an instruction; steps: of a loop, of which so many bring
   something into the cache */
typedef struct { uint8_t code, tile, fresh; uint16_t slot; } fa_chainstep;   /* fresh: it has not been written before */

/* in: slots; of READ the number of a read; of CHAIN the first step, the number of steps, its own number; of TWINS the
   operand and the twin's result; of AXIS, a sum along the loop's axis, a slot and its number; of WEAVE its number.
   arity of CHAIN: what it may do.  STORE, into a slot by rows or a copy of one, is in chains alone.
   step: of an elementwise instruction, if it may be in a chain; else 0. */
enum { FA_CHAIN_MAY_OVERLAP = 1, FA_CHAIN_BY_ROWS = 2, FA_CHAIN_MAY_READ = 4 };
typedef struct { uint16_t op; uint8_t kind, arity, din, dout; uint16_t in[3], out; uint8_t step; } fa_finstr;
/* ROWS: a slice of an array, read or written in place: rows of neighbours, `row` elements each, which lie as
   `rows[layout]` says */
enum { FA_MOST_LAYOUTS = 4 };
typedef struct { int32_t nd; int64_t n[FA_READER_DIMS], s[FA_READER_DIMS]; } fa_rows;
typedef struct {
    uint8_t kind, dtype, layout;
    uint32_t cell;                           /* of an array or a scalar */
    int64_t at;                              /* number of the buffer, of the scalar that is spread out; first element */
    uint8_t far;                             /* of an array: it is not in the cache */
} fa_slot;

typedef struct { int64_t n, d, s, reach; } fa_rdim;
typedef struct { int32_t nd; int64_t doff, soff, reach; fa_rdim dim[FA_READER_DIMS]; } fa_reader;
typedef struct { uint32_t cell; int what; fa_reader reader; } fa_part;
/* The parts in their order: copied (the last one wins) or added, on top of fill; runs: met run by run (read.h). */
enum { FA_READ_PARTS = 8 };                  /* of a read that is met so */
/* An array of which a loop writes the destinations of `reader`, by STORE; what lies between them is filled, or that of
   the array `base` (a cell; 0: none). */
typedef struct { uint32_t cell, base; int dtype; int64_t size; fa_cell fill; fa_reader reader; } fa_gaps;
typedef struct { uint32_t n; uint8_t fills, adds, runs; fa_cell fill; const fa_part *parts; } fa_fread;
/* An array, longer than the loop, in which results of it (slots) are added up, shifted by a few elements (weave.h). */
enum { FA_FUSED_WEAVES = 2, FA_WEAVE_PARTS = 4, FA_WEAVE_REACH = 16 };
typedef struct {
    uint32_t cell, n;
    int dtype;
    int64_t size, first, reach, shift[FA_WEAVE_PARTS];       /* first: of the part without shift; reach: the largest one */
    uint16_t slot[FA_WEAVE_PARTS];
} fa_weave;

/* Elements of a loop from `begin` to `end` (patches.h). */
enum { FA_MOST_PATCHES = 8 };
typedef struct { int64_t begin, end; } fa_patch;

/* A chain as code of the processor; run: NULL until there is some (chain_code.h).  whole: it needs no block buffers. */
typedef struct { const char *run; int64_t whole; } fa_chaincode;

typedef struct {
    int64_t size;                            /* elements of the iteration space */
    uint32_t n, nprimal, nslots, nsums, scratch;     /* primal instructions come first; scratch: a cell */
    uint32_t shared;                         /* is it long enough for several threads? */
    const fa_finstr *instr;
    const fa_slot *slots;
    const fa_fread *reads;
    const uint32_t *sums;                    /* cells of the results */
    const fa_chainstep *steps;
    const uint16_t *spread;                  /* slots of scalars, spread out behind the buffers */
    uint32_t nsteps, nspread, nbuffers, nrows, ngaps, nchains;
    fa_chaincode *code;                      /* of each chain; NULL: none ever */
    const fa_rows *rows;
    const fa_gaps *gaps;
    int64_t row, block;                      /* elements of a row (0: no slot has rows), of a block */
    fa_axis axis;                            /* along which AXIS sums; n is 0: there is none, else no SUM (axis_plan.h) */
    uint32_t naxes, nweaves;
    const fa_weave *weaves;
    int32_t patched, npatches;               /* is it known where its reads are something else than their fill? */
    fa_patch patches[FA_MOST_PATCHES];
} fa_fused;

/* ---- packed scalar code, in programs only (machine.h) ----------------------------------------------------------- */
enum {
    FA_M_END,
    FA_M_ADD, FA_M_SUBTRACT, FA_M_MULTIPLY, FA_M_DIVIDE, FA_M_NEGATIVE, FA_M_SQUARE, FA_M_SQRT, FA_M_RECIPROCAL,
    FA_M_ABSOLUTE, FA_M_MAXIMUM, FA_M_MINIMUM, FA_M_STRONGZERO, FA_M_ZEROPRODUCT,
    FA_M_WHERE, FA_M_COMPARE, FA_M_LOOP, FA_M_ELEMENT,
    FA_M_PAIRS,                              /* inner: add, subtract, multiply, strongzero */
    FA_M_TWOS = FA_M_PAIRS + 4 * 8,          /* inner: multiply or strongzero, twice */
    FA_M_CODES = FA_M_TWOS + 4 * 2
};
#define FA_M_PAIR(INNER, OUTER) (FA_M_PAIRS + 8 * (INNER) + (OUTER))
#define FA_M_TWO(INNERS, OUTER) (FA_M_TWOS + 2 * (INNERS) + (OUTER))
/* wide: words of 32 bits, not 16.  code: the same for the processor itself, or NULL (machine_code.h) */
typedef struct { const void *words; size_t nwords; int wide; const char *code; } fa_run;

/* ---- loops over numbers, of which several steps are one run (burst.h) ------------------------------------------- */
/* Numbers of each step, `count` of them, at base + offset + step * stride (bytes); their cells follow one another in
   the order of memory.  Of arrays (`pointers`) the cell gets the address. */
typedef struct {
    int32_t base, pointers;
    uint32_t cell, count;
    int64_t offset, stride;
} fa_stream;

/* One number of each step, at offset + step * stride of the result; its cells by the order of memory. */
typedef struct { const uint32_t *cells; int64_t offset, stride; } fa_column;

typedef struct {
    const fa_run *run;
    uint32_t steps, work, nstate, nin, nkept, nout;          /* work: instructions */
    int backwards;                           /* the first step of a run has the last place in memory */
    const uint32_t *state, *next;            /* cells of the state before the first step, after the last */
    const fa_stream *in, *kept;
    const fa_column *out;
} fa_burst;

enum { FA_MOST_STATE = 64 };                 /* numbers of the state of such a loop */

/* ---- code ----------------------------------------------------------------------------------------------------- */
typedef struct {
    uint32_t n;
    const uint16_t *op;
    const uint32_t *aval, *arg;
    const uint32_t *dst;                     /* cell of each result; NULL: cell i (a tape that runs itself) */
    const uint32_t *pool;
    const uint32_t *cell_aval;               /* aval of each cell (the tape itself: == aval) */
    const fa_aval *avals;
    void *const *attrs;
    const fa_guard *guards;
    const fa_fused *const *fused;            /* loops of a program; NULL: none */
    const fa_run *runs;                      /* packed scalars of a program; NULL: none */
    uint32_t begin;                          /* the sweep starts here (the tangent and reverse sweeps take all) */
} fa_code;

enum { FA_OK, FA_EGUARD, FA_EINDEX, FA_EFOREIGN, FA_ENOMEM, FA_EOPCODE, FA_ELINALG };

typedef struct {
    uint32_t where;                          /* the instruction that ended the sweep */
    int flags;                               /* floating-point exceptions, FE_* bits, of the whole sweep */
    void (*dgemm)(int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c, double beta);
                                             /* row-major c = op(a) op(b) + beta c */
    int has_foreign;                         /* a loop or call of the sweep may have set a Python error */
    void (*sgemm)(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c,
                  float beta);
} fa_env;
#endif
