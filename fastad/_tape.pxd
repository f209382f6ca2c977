"""_tape.pxd - the heart's table of contents: the C layout, the tape, its attributes, the traced scalar and array.

Start here; then _tape.pyx (the tape), _attrs.pxi (attributes of instructions), _scalar.pxi, _storage.pxi and _array.pxi
(traced scalars and arrays), _frame.pxi (memory of a sweep).  Nothing here knows SciPy, or any derivative rule that is
not in the table.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, int64_t, int32_t, uint64_t, intptr_t
cimport numpy as cnp

# The callbacks of FA_CALL: 0, or -1 with a Python error set.
ctypedef int (*foreign_fn)(void *self, int n, const char *const *x, char *out) noexcept
ctypedef int (*foreign_jvp)(void *self, int n, const char *const *x, const char *y, const char *const *tin,
                            char *tout) noexcept
ctypedef int (*foreign_vjp)(void *self, int n, const char *const *x, const char *y, const char *w,
                            char *const *adj) noexcept

cdef extern from "_kernels/layout.h" nogil:
    enum:
        FA_MAXD, FA_F64, FA_I64, FA_BOOL, FA_F32, FA_NDTYPE
        FA_AVAL_F64, FA_AVAL_I64, FA_AVAL_BOOL, FA_AVAL_F32
        FA_AVAL_WEAK_F64, FA_AVAL_WEAK_I64, FA_AVAL_WEAK_BOOL, FA_AVAL_WEAK_F32, FA_NAVAL_SCALAR
        FA_NOP, FA_INPUT, FA_CONST, FA_CAPTURE, FA_ELEMENT, FA_RESHAPE, FA_STOP, FA_CAST, FA_MOVE, FA_ERASE, FA_WRITE
        FA_ASSEMBLE, FA_STACK, FA_TAKE, FA_ADDAT, FA_PUT, FA_WRAP, FA_LASTWRITER, FA_FLATNONZERO
        FA_SUM, FA_MAXR, FA_MINR, FA_ANY, FA_ALL, FA_ARGMAX, FA_ARGMIN, FA_CUMSUM, FA_ARGSORT, FA_SEARCHSORTED
        FA_MATMUL, FA_SPMM, FA_CALL, FA_LAPACK, FA_GUARD, FA_FUSED, FA_RUN, FA_STRUCTURAL_END
        FA_ELEMENTWISE, FA_ADD, FA_SUBTRACT, FA_MULTIPLY, FA_DIVIDE, FA_NEGATIVE, FA_SQUARE, FA_SQRT, FA_RECIPROCAL
        FA_ABSOLUTE, FA_MAXIMUM, FA_MINIMUM, FA_EQUAL, FA_NOT_EQUAL, FA_LESS, FA_LESS_EQUAL, FA_GREATER
        FA_GREATER_EQUAL, FA_WHERE, FA_STRONGZERO, FA_ZEROPRODUCT, FA_OWN_END
        FA_MAX_OPCODES
        FA_FORM_LEAF, FA_FORM_UNARY, FA_FORM_BINARY, FA_FORM_NARY
        FA_TSLOT_Y, FA_TSLOT_CONST, FA_MAX_TSLOTS, FA_ZERO
        FA_OK, FA_EGUARD, FA_EINDEX, FA_EFOREIGN, FA_ENOMEM, FA_ELINALG
    const int[4] fa_itemsize
    const int[4] fa_do_copy
    const int[4] fa_do_add
    ctypedef union fa_cell:
        double f
        float s
        int64_t i
        void *p
    ctypedef struct fa_aval:
        uint8_t dtype
        uint8_t weak
        uint16_t nd
        int64_t size
        const int64_t *shape
    char *fa_data(const fa_cell *cell, const fa_aval *av)
    ctypedef struct fa_piece:
        int32_t nd
        int64_t soff
        int64_t doff
        const int64_t *shape
        const int64_t *sstr
        const int64_t *dstr
    ctypedef struct fa_map:
        int64_t nsrc
        int64_t ndst
        int32_t npieces
        const fa_piece *pieces
        int64_t ntable
        const int64_t *src
        const int64_t *dst
        uint8_t covers
        uint8_t src_injective
        uint8_t dst_injective
        fa_cell fill
    ctypedef struct fa_assemble:
        int32_t n
        const fa_map *const *maps
        uint8_t accumulate
        uint8_t covers
        fa_cell fill
    ctypedef struct fa_stack:
        int64_t n
        const int64_t *pos
        uint8_t has_base
        uint8_t accumulate
    ctypedef struct fa_axis:
        int64_t outer
        int64_t n
        int64_t inner
        uint8_t reverse
    ctypedef struct fa_matmul:
        int64_t batch
        int64_t m
        int64_t k
        int64_t n
        int64_t abatch
        int64_t bbatch
        uint8_t ta
        uint8_t tb
        uint8_t adjoint
    ctypedef struct fa_csr:
        int64_t nrow
        int64_t ncol
        int64_t nnz
        int64_t ncols
        const int64_t *indptr
        const int64_t *indices
        uint8_t transpose
    ctypedef struct fa_call:
        foreign_fn fn
        void *self
        foreign_jvp jvp
        foreign_vjp vjp
    ctypedef struct fa_lapack:
        fa_call call
        int (*one)(const fa_lapack *p, const double *const *x, double *y) noexcept nogil
        int64_t batch
        int64_t m
        int64_t n
        int64_t k
        int64_t[3] size
        int64_t out
        int32_t form
        int32_t shared
        void *object
    ctypedef struct fa_guard:
        int64_t expected
    ctypedef void (*fa_loopfn)(char **args, const intptr_t *n, const intptr_t *steps, void *data) noexcept nogil
    ctypedef struct fa_loop:
        fa_loopfn fn
        void *data
    ctypedef struct fa_tinstr:
        uint16_t op
        uint8_t din
        uint8_t dout
        uint16_t[3] in_ "in"
    ctypedef struct fa_template:
        uint16_t n
        uint16_t nconst
        uint16_t out
        const fa_tinstr *instr
        const fa_cell *consts
    ctypedef struct fa_prim:
        uint8_t arity
        uint8_t differentiable
        fa_loop[4] loop
        fa_template[3] partial
        fa_template[3] partial_f32
        uint16_t twin
        fa_loopfn both
        uint8_t foreign
    ctypedef struct fa_fused:
        int64_t size
        uint32_t n
        uint32_t nprimal
        uint32_t nslots
        uint32_t nsums
        uint32_t scratch
        uint32_t shared
        bint patched
        const void *instr
        const void *slots
        const void *reads
        const uint32_t *sums
        const void *steps
        const void *spread
        uint32_t nsteps
        uint32_t nspread
        uint32_t nbuffers
        uint32_t nrows
        uint32_t ngaps
        uint32_t nchains
        void *code
        const void *rows
        const void *gaps
        int64_t row
        int64_t block
        fa_axis axis
        uint32_t naxes
        uint32_t nweaves
        const void *weaves
    ctypedef struct fa_run:
        const void *words
        size_t nwords
        int wide
        const char *code
    ctypedef struct fa_code:
        uint32_t n
        const uint16_t *op
        const uint32_t *aval
        const uint32_t *arg
        const uint32_t *dst
        const uint32_t *pool
        const uint32_t *cell_aval
        const fa_aval *avals
        void *const *attrs
        const fa_guard *guards
        const fa_fused *const *fused
        const fa_run *runs
        uint32_t begin
    ctypedef struct fa_env:
        uint32_t where
        int flags
        void (*dgemm)(int, int, int64_t, int64_t, int64_t, const double *, const double *, double *,
                      double) noexcept nogil
        int has_foreign
        void (*sgemm)(int, int, int64_t, int64_t, int64_t, const float *, const float *, float *, float) noexcept nogil


cdef inline bint is_f64(uint32_t aval) noexcept nogil:
    """Is it a float64 scalar?"""
    return aval == FA_AVAL_F64 or aval == FA_AVAL_WEAK_F64


cdef extern from "_kernels/layout.h" nogil:
    enum: FA_MOST_STATE
    ctypedef struct fa_stream:
        int32_t base
        int32_t pointers
        uint32_t cell
        uint32_t count
        int64_t offset
        int64_t stride
    ctypedef struct fa_column:
        const uint32_t *cells
        int64_t offset
        int64_t stride
    ctypedef struct fa_burst:
        const fa_run *run
        uint32_t steps
        uint32_t work
        uint32_t nstate
        uint32_t nin
        uint32_t nkept
        uint32_t nout
        int backwards
        const uint32_t *state
        const uint32_t *next
        const fa_stream *in_ "in"
        const fa_stream *kept
        const fa_column *out

cdef inline bint is_real(int dtype) noexcept nogil:
    """Is it a dtype of real numbers, which have derivatives?"""
    return dtype == FA_F64 or dtype == FA_F32


# ---- abstract values: interned (dtype, weak, shape); the table never moves, so sweeps may read it without the GIL
cdef fa_aval *AVALS
cdef uint32_t aval_id(int dtype, tuple shape) except? 0xffffffff
cdef tuple aval_shape(uint32_t a)


# ---- doors for the other compiled modules (_exports.pxi and where they are defined)
cdef fa_prim *PRIMS                      # the table's loops and templates, by opcode
cdef uint8_t *FORMS                      # how arg is to be read, by opcode
cdef const fa_template *partial_of(int op, int dtype, int k) noexcept nogil
cdef fa_cell scalar_kernel(uint16_t op, int din, const fa_cell *x) noexcept nogil
cdef int run_code(fa_code *c, uint32_t boundary, fa_cell *v, fa_env *env) noexcept nogil
cdef char *make_code(fa_run *runs, uint32_t nruns, uint32_t ncells, size_t *nbytes) noexcept nogil
cdef char *make_chain_code(const fa_fused *const *fused, uint32_t n, size_t *nbytes) noexcept nogil
cdef void free_code(char *code, size_t nbytes) noexcept nogil
cdef int run_bursts(const fa_burst *b, fa_cell *v, int64_t place, int64_t runs, const char *const *x, char *out,
                    char *kept, fa_env *env) noexcept nogil
ctypedef void (*fa_native_fn)(double *state, char **base, int64_t steps, fa_env *env) noexcept nogil
cdef int run_native(fa_native_fn fn, int64_t work, double *state, char **base, int64_t steps,
                    fa_env *env) noexcept nogil
cdef void raise_flags(int flags) noexcept nogil
cdef int run_flat(fa_code *c, uint32_t boundary, fa_cell *v, fa_env *env) noexcept nogil
cdef uint32_t capture(Tape t, array) except 0
cdef int matrix_products(fa_env *env) noexcept nogil
cdef int copy_in(fa_cell *cell, const fa_aval *av, object value, Py_ssize_t k) except -1
cdef object copy_out(const fa_cell *cell, const fa_aval *av)
cdef int report_flags(int flags) except -1
cdef int flags_to_report(Tape t, int flags) except -1


cdef class Tape
cdef class Frame
cdef class Array
cdef class Complex


cdef class Attr:
    """Attribute of a structural instruction: immutable, compared by key, with the C struct that the kernels read."""
    cdef void *ptr
    cdef readonly object key
    cdef readonly str kind
    cdef Py_hash_t hashed                # of the key, which Python would go through anew each time; 0: not yet


cdef class Tape:
    # the instructions (layout.h)
    cdef uint16_t *op
    cdef uint32_t *aval
    cdef uint32_t *arg
    cdef uint32_t n, cap
    cdef uint32_t *pool
    cdef uint32_t npool, cap_pool
    # constants of rank 0; CONST of rank > 0 index const_arrays
    cdef fa_cell *cells
    cdef uint32_t ncells, cap_cells
    cdef readonly list const_arrays
    cdef readonly list captures          # ndarrays bound by reference
    cdef readonly list capture_ids       # their instructions
    cdef readonly list attr_list
    cdef dict attr_index
    cdef void **attrs
    cdef uint32_t nattrs, cap_attrs
    cdef fa_guard *guards
    cdef readonly list guard_info        # (kind, location) by guard
    cdef uint32_t nguards, cap_guards
    cdef dict locations                  # instruction -> location, array level
    cdef bint every_line                 # of scalar instructions too
    # interface
    cdef readonly list inputs            # ids
    cdef readonly list outputs           # ids
    cdef object signature_               # how the Python layer packs and unpacks (trees, names, argnums)
    cdef bint flat, lone_in, lone_out    # the arguments are the inputs; the only argument, the only result
    # recording
    cdef void *owner                     # PyThreadState of the recording thread; NULL once it is finished
    cdef readonly Tape parent            # the recording in which this one is nested
    cdef dict lifted                     # nested recordings: id in the parent -> input here
    cdef readonly list lifted_from
    cdef readonly list lifted_values     # their values when they were met
    cdef public bint body                # a loop's: it may write into arrays of the recordings around it
    cdef uint64_t sealed                 # storages born before this number may not be written; 0: all may
    cdef list owed                       # (value, place): rows that were changed, and not yet put back (`owe`)
    cdef list borrowed                   # (storage, its memory, state, tape and version before the first such write)
    cdef bint eager                      # define-by-run (variable, backward): captured arrays are copied
    cdef object recorder                 # what the Python layer keeps while it records
    cdef dict capture_index
    cdef uint64_t[64] const_bits
    cdef uint32_t[64] const_id
    cdef uint8_t *act
    cdef uint32_t nact
    cdef uint8_t *inactive_input
    # execution
    cdef public object ignored           # floating-point errors that the function ignored: of divide, over, invalid
    cdef public uint32_t boundary        # from here on instructions are derivative code; 0: none is
    cdef object frames                   # thread-local Frame of tier 0
    cdef readonly dict derived           # derivative tapes and programs, by name
    cdef public object program
    cdef uint8_t *shares                 # WRITE and friends that may overwrite their operand (built with the frame)
    cdef bint narrow                     # an input is float32
    cdef public bint kinds_met           # a float64 number has met float32
    cdef public object kinds             # then: which inputs are Python's floats, where NumPy's promote otherwise
    cdef object __weakref__

    cdef int grow(self) except -1
    cdef uint32_t push(self, int op, uint32_t aval, uint32_t a, uint32_t b) except 0
    cdef uint32_t push_nary(self, int op, uint32_t aval, const uint32_t *ids, uint32_t count, uint32_t attr) except 0
    cdef uint32_t attr_id(self, Attr attr) except? 0xffffffff
    cdef uint32_t add_attr(self, Attr attr) except? 0xffffffff
    cdef uint32_t push_capture(self, object array) except 0
    cdef uint32_t const_f64(self, double x) except 0
    cdef uint32_t const_cell(self, int dtype, fa_cell x) except 0
    cdef uint32_t const_real(self, int dtype, double x) except 0
    cdef uint32_t const_f32(self, fa_cell c) except 0
    cdef int locate(self, uint32_t i) except -1
    cdef int add_guard(self, uint32_t x, int64_t expected, str kind) except -1
    cdef bint is_active(self, uint32_t i) except -1
    cdef int form(self, uint32_t i) noexcept nogil
    cdef uint32_t operands(self, uint32_t i, const uint32_t **ids) noexcept nogil
    cdef fa_code code(self) noexcept
    cdef Layout layout(self)
    cdef Frame frame(self)
    cdef int done(self, Frame f) except -1
    cdef Frame passing_frame(self)
    cdef Frame swept(self, str verb)
    cdef int run_forward(self, Frame f, list values) except -1
    cdef int run_reverse(self, Frame f, list seeds) except -1
    cdef int set_tangents(self, Frame f, list tangents) except -1
    cdef int run_tangent(self, Frame f, list tangents) except -1
    cdef list tangent_outputs(self, Frame f, list tangents)
    cdef int raise_status(self, int status, fa_env *env) except -1
    cdef list run_values(self, list values)
    cdef list read_outputs(self, fa_cell *cells)
    cdef list read_inputs(self, fa_cell *cells)
    cdef int seed(self, fa_cell *cells, uint32_t i, object w) except -1
    cdef list values_of(self, tuple args, dict kwargs)
    cdef int check_narrow(self, list values) except -1
    cdef object pack_outputs(self, list out)
    cdef object pack_gradients(self, list adjoints)
    cdef list seeds_of(self, object w)


cdef inline uint32_t append(Tape t, int op, uint32_t aval, uint32_t a, uint32_t b) except 0:
    """`Tape.push` without a call, for those who write millions of instructions."""
    cdef uint32_t i = t.n
    if i == t.cap or t.every_line:
        return t.push(op, aval, a, b)
    t.op[i] = op
    t.aval[i] = aval
    t.arg[2 * <size_t>i] = a
    t.arg[2 * <size_t>i + 1] = b
    t.n = i + 1
    return i


cdef inline uint32_t operands_of(Tape t, uint32_t i, const uint32_t **ids) noexcept nogil:
    """`Tape.operands` without a call."""
    cdef int form = FORMS[t.op[i]]
    ids[0] = &t.arg[2 * <size_t>i]
    if form == FA_FORM_NARY:
        ids[0] = &t.pool[t.arg[2 * <size_t>i] + 1]
        return t.pool[t.arg[2 * <size_t>i]]
    return form - FA_FORM_LEAF


cdef class Layout:
    cdef uint32_t n
    cdef uint32_t *ids
    cdef uint8_t *lives
    cdef int64_t *offset
    cdef int64_t nbytes
    cdef int64_t *active_offset          # of tangents and adjoints; -1: none.  NULL until a sweep needs them
    cdef int64_t active_nbytes
    cdef int place_active(self, Tape tape) except -1
    cdef int place(self, Tape tape, uint32_t i, uint32_t k, uint32_t *last, uint8_t *lives_at) except -1


cdef class Frame:
    """Memory of one sweep: cells and an arena, for one tape (or program) in one thread."""
    cdef Tape tape
    cdef fa_cell *v                      # values
    cdef fa_cell *t                      # tangents, or NULL
    cdef fa_cell *a                      # adjoints, or NULL
    cdef char *arena
    cdef char *tarena
    cdef char *aarena
    cdef size_t cell_bytes, arena_bytes, active_bytes
    cdef uint8_t *active
    cdef readonly bint busy, valid
    cdef bint covered                    # a sweep within this one has taken its place as the frame of the thread
    cdef list keep
    cdef int point_cells(self, fa_cell *cells, char *arena, const int64_t *offset) except -1
    cdef (fa_cell *, char *) active_memory(self, str what) except *
    cdef int load_constants(self) except -1
    cdef int ensure_tangents(self) except -1
    cdef int ensure_adjoints(self) except -1
    cdef int ensure_active(self) except -1
    cdef int bind_captures(self) except -1
    cdef int bind(self, list values) except -1
    cdef int set_inputs(self, fa_cell *cells, list values) except -1


cdef class Scalar:
    cdef Tape tape
    cdef fa_cell v
    cdef uint32_t id
    cdef uint8_t dt, weak
    cdef object leaf                     # define-by-run: the leaf's record
    cdef object number(self)


cdef class Storage:
    cdef Tape tape                       # None: plain or captured
    cdef cnp.ndarray root                # the memory, of which every array on this storage is a view
    cdef char *base
    cdef int64_t size                    # in elements
    cdef int dtype
    cdef int state                       # PLAIN, CAPTURED, TRACED
    cdef uint32_t version                # bumped by each write
    cdef uint32_t ver                    # SSA value of the memory, as a 1-D array in memory order; 0: none yet
    cdef uint32_t fresh                  # SSA value of `fresh_of`, from which ver is made when it is needed
    cdef Array fresh_of
    cdef uint32_t *ids                   # SSA scalar of each element, 0: not known
    cdef bint dirty                      # ids are newer than ver, between these two
    cdef int64_t dirty_from, dirty_to
    cdef dict reads                      # place of a view -> SSA value that was read there, at reads_version
    cdef uint32_t reads_version
    cdef object snapshot
    cdef uint32_t snapshot_id
    cdef object leaf                     # define-by-run: the record of the variable whose memory it is
    cdef Tape born                       # the nested recording in which it was made; None: in an outermost one
    cdef uint64_t birth                  # a number that rises from storage to storage
    cdef bint row                        # a copy of elements at traced positions, where NumPy has a view
    cdef list rows                       # weak references to such copies of its elements
    cdef bint otherwise                  # is its memory seen in another dtype, too?
    cdef list given                      # weak references to what other code got to see its memory
    cdef object __weakref__


cdef class Array:
    cdef cnp.ndarray c                   # the concrete array: NumPy decides what is a view
    cdef Storage s
    cdef uint32_t read_version, read_id
    cdef bint frozen
    cdef object leaf
    cdef object __weakref__


cdef class Complex:
    cdef public object re
    cdef public object im
    cdef public object pairs


cdef inline uint32_t without_shape(Tape t, uint32_t x) noexcept:
    """The value, not of rank 0, of which x is a reshape."""
    while t.op[x] == FA_RESHAPE and AVALS[t.aval[t.arg[2 * <size_t>x]]].nd:
        x = t.arg[2 * <size_t>x]
    return x


# ---- what is asked of maps (_attrs.pxi)
cdef bint is_identity(Attr attr) except -1
cdef int64_t pairs(Attr m) except -1
