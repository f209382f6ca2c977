"""_frame.pxi - memory of a sweep over the tape itself, tier 0 (included in _tape.pyx).

Owns: where each array value lives (one place a value, except that reshapes share and a write may overwrite what nobody
reads again), binding of inputs and captured arrays, one frame per thread and tape.
Must not know: optimisation (that is _program.pyx), packing of arguments.
Next: _verbs.pxi (the sweeps that users call), _kernels/sweep.h.
"""
from libc.math cimport isfinite

cdef extern from "_kernels/arena.h":
    void *fa_arena_new(size_t bytes) nogil
    void fa_arena_free(void *p, size_t bytes) nogil


cdef enum:
    LIVES_OWN        # memory of its own in the arena
    LIVES_CONST      # a constant array
    LIVES_CAPTURE    # an array of the user's, bound at each sweep
    LIVES_WITH       # the memory of its first operand

# Uses that read no value of the operand in a reverse sweep; `old` of a WRITE may be overwritten after such uses.
cdef set VALUE_FREE = {FA_MOVE, FA_ELEMENT, FA_ERASE, FA_ASSEMBLE, FA_SUM, FA_CUMSUM}


def memory_available():
    """Bytes of memory that a sweep may hope for; a large number where the system does not tell."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 1 << 62


def array_values(Tape tape):
    """How many values of a tape are arrays."""
    return tape.layout().n


cdef class Layout:
    """Where the arrays of a tape live: n array instructions, each with its kind and its offset in the arena."""

    def __dealloc__(self):
        free(self.ids)
        free(self.lives)
        free(self.offset)
        free(self.active_offset)

    def __init__(self, Tape tape):
        cdef uint32_t i, k, count = 0, cap = 16
        cdef bint overwrites = False
        self.ids = <uint32_t *>malloc(cap * sizeof(uint32_t))
        for i in range(1, tape.n):
            if tape.aval[i] >= FA_NAVAL_SCALAR and tape.op[i] != FA_GUARD:
                if count == cap:
                    cap *= 2
                    self.ids = <uint32_t *>realloc(self.ids, cap * sizeof(uint32_t))
                self.ids[count] = i
                count += 1
                overwrites |= tape.op[i] == FA_WRITE or tape.op[i] == FA_ERASE or tape.op[i] == FA_PUT
        self.n = count
        self.ids = <uint32_t *>realloc(self.ids, max(1, count) * sizeof(uint32_t))
        self.lives = <uint8_t *>malloc(max(1, count))
        self.offset = <int64_t *>malloc(max(1, count) * sizeof(int64_t))
        cdef uint32_t *last = last_uses(tape) if overwrites else NULL
        cdef uint8_t *lives_at = <uint8_t *>calloc(tape.n, 1) if count else NULL
        try:
            for k in range(count):
                self.place(tape, self.ids[k], k, last, lives_at)
        finally:
            free(last)
            free(lives_at)

    cdef int place(self, Tape tape, uint32_t i, uint32_t k, uint32_t *last, uint8_t *lives_at) except -1:
        cdef int op = tape.op[i]
        cdef uint32_t old
        cdef const uint32_t *ids = NULL
        cdef const fa_aval *av = &AVALS[tape.aval[i]]
        self.offset[k] = 0
        if op == FA_CONST:
            self.lives[k] = LIVES_CONST
            return 0
        if op == FA_CAPTURE:
            self.lives[k] = LIVES_CAPTURE
            self.offset[k] = -1
            if bound_in_place(<cnp.ndarray>tape.captures[tape.arg[2 * <size_t>i]], av):
                return 0                 # read where it is: no memory of ours
        elif (op == FA_RESHAPE or op == FA_STOP) and AVALS[tape.aval[tape.arg[2 * <size_t>i]]].nd:
            self.lives[k] = LIVES_WITH
            return 0
        elif op == FA_WRITE or op == FA_ERASE or op == FA_PUT:
            tape.operands(i, &ids)
            old = ids[0]
            if last[old] == i and lives_at[old]:
                self.lives[k] = LIVES_WITH
                lives_at[i] = 1
                return 0
            self.lives[k] = LIVES_OWN
        else:
            self.lives[k] = LIVES_OWN
        # memory that a later write may take over: nobody reads y itself in a reverse sweep (exp' = y does)
        if self.lives[k] == LIVES_OWN and op != FA_INPUT and op < FA_STRUCTURAL_END \
                and op != FA_MAXR and op != FA_MINR and op != FA_CALL and op != FA_LAPACK:
            lives_at[i] = 1
        self.offset[k] = self.nbytes
        self.nbytes += (av.size * fa_itemsize[av.dtype] + 64) & ~63      # never touching: see room_for
        return 0


    cdef int place_active(self, Tape tape) except -1:
        """Places of tangents and adjoints: as those of the values, but of what is active alone."""
        cdef uint32_t k, i
        cdef const uint32_t *ids = NULL
        cdef const fa_aval *av
        cdef uint8_t *wanted
        if self.active_offset != NULL:
            return 0
        tape.is_active(tape.n - 1)
        wanted = <uint8_t *>malloc(tape.n)
        self.active_offset = <int64_t *>malloc(max(1, self.n) * sizeof(int64_t))
        memcpy(wanted, tape.act, tape.n)
        for k in range(self.n, 0, -1):
            if self.lives[k - 1] == LIVES_WITH and wanted[self.ids[k - 1]]:
                tape.operands(self.ids[k - 1], &ids)
                wanted[ids[0]] = 1       # the memory in which an active value lives
        for k in range(self.n):
            i = self.ids[k]
            av = &AVALS[tape.aval[i]]
            self.active_offset[k] = -1
            if wanted[i] and self.lives[k] != LIVES_WITH:
                self.active_offset[k] = self.active_nbytes
                self.active_nbytes += (av.size * fa_itemsize[av.dtype] + 63) & ~63
        free(wanted)
        return 0


cdef uint32_t *last_uses(Tape tape) except NULL:
    """For each array value: its last use, if all uses before that one are free of its value; else 0xffffffff."""
    cdef uint32_t *last = <uint32_t *>calloc(tape.n, sizeof(uint32_t))
    cdef uint8_t *blocked = <uint8_t *>calloc(tape.n, 1)
    cdef uint32_t i, j, m, x
    cdef const uint32_t *ids = NULL
    for i in range(1, tape.n):
        m = tape.operands(i, &ids)
        if tape.op[i] == FA_GUARD:
            m = 1
        for j in range(m):
            x = ids[j]
            if tape.op[i] == FA_ELEMENT and j:
                break
            if AVALS[tape.aval[x]].nd == 0:
                continue
            if blocked[x]:
                last[x] = 0xffffffff
                continue
            if last[x] == i:             # twice in the same instruction
                last[x] = 0xffffffff
                blocked[x] = 1
                continue
            last[x] = i
            if not (tape.op[i] in VALUE_FREE or ((tape.op[i] == FA_WRITE or tape.op[i] == FA_PUT) and j == 0)):
                blocked[x] = 1           # no write may come after this use
                last[x] = 0xffffffff
    for x in tape.outputs:
        last[x] = 0xffffffff
    free(blocked)
    return last


cdef class Frame:
    def __cinit__(self, Tape tape):
        self.tape = tape
        self.keep = []

    def __init__(self, Tape tape):
        cdef Layout layout = tape.layout()
        cdef int64_t need = layout.nbytes + tape.n * 8
        if need > (1 << 28) and need > memory_available():
            raise MemoryError(
                f"fastad: a sweep over this tape of {tape.n} instructions needs {need / 1e9:.2f} GB, more than is "
                "available. Record fewer steps at once, or smaller arrays.")
        self.cell_bytes = <size_t>tape.n * sizeof(fa_cell)
        self.arena_bytes = layout.nbytes
        self.v = <fa_cell *>fa_arena_new(self.cell_bytes)
        self.arena = <char *>fa_arena_new(self.arena_bytes)
        if self.v == NULL or self.arena == NULL:
            raise MemoryError(f"fastad: no memory for a sweep ({need / 1e6:.0f} MB)")
        self.point_cells(self.v, self.arena, layout.offset)
        self.load_constants()

    def __dealloc__(self):
        fa_arena_free(self.v, self.cell_bytes)
        fa_arena_free(self.t, self.cell_bytes)
        fa_arena_free(self.a, self.cell_bytes)
        free(self.active)
        fa_arena_free(self.arena, self.arena_bytes)
        fa_arena_free(self.tarena, self.active_bytes)
        fa_arena_free(self.aarena, self.active_bytes)

    cdef int point_cells(self, fa_cell *cells, char *arena, const int64_t *offset) except -1:
        """Point the cells of arrays to their memory; constants of the user's and ours only in the frame of values."""
        cdef Layout layout = self.tape.layout()
        cdef uint32_t k, i
        cdef const uint32_t *ids = NULL
        cdef bint values = cells == self.v
        for k in range(layout.n):
            i = layout.ids[k]
            if layout.lives[k] == LIVES_WITH:
                self.tape.operands(i, &ids)
                cells[i].p = cells[ids[0]].p
            elif values and layout.lives[k] == LIVES_CONST:
                cells[i].p = cnp.PyArray_DATA(self.tape.const_arrays[self.tape.arg[2 * <size_t>i]])
            else:
                cells[i].p = arena + offset[k] if offset[k] >= 0 else NULL
        return 0

    cdef int load_constants(self) except -1:
        cdef Tape t = self.tape
        cdef uint32_t i
        for i in range(1, t.n):
            if t.op[i] == FA_CONST and AVALS[t.aval[i]].nd == 0:
                self.v[i] = t.cells[t.arg[2 * <size_t>i]]
        return 0

    cdef int ensure_tangents(self) except -1:
        if self.t == NULL:
            self.t, self.tarena = self.active_memory("tangents")
        return 0

    cdef int ensure_adjoints(self) except -1:
        """Adjoints, all zero."""
        if self.a == NULL:
            self.a, self.aarena = self.active_memory("adjoints")
            return 0                     # the system gives zeros
        memset(self.a, 0, self.cell_bytes)
        memset(self.aarena, 0, self.active_bytes)
        if self.tape.layout().n:
            self.point_cells(self.a, self.aarena, self.tape.layout().active_offset)
        return 0

    cdef (fa_cell *, char *) active_memory(self, str what) except *:
        """Zeroed cells, and an arena for those of active arrays."""
        cdef Layout layout = self.tape.layout()
        cdef fa_cell *cells
        cdef char *arena
        layout.place_active(self.tape)
        self.ensure_active()
        self.active_bytes = layout.active_nbytes
        if self.active_bytes > (1 << 28) and self.active_bytes > <size_t>memory_available():
            raise MemoryError(f"fastad: {what} of this tape of {self.tape.n} instructions take "
                              f"{self.active_bytes / 1e9:.2f} GB, more than is available. Record fewer steps at once, "
                              "or smaller arrays.")
        cells = <fa_cell *>fa_arena_new(self.cell_bytes)
        arena = <char *>fa_arena_new(self.active_bytes)
        if cells == NULL or arena == NULL:
            fa_arena_free(cells, self.cell_bytes)
            fa_arena_free(arena, self.active_bytes)
            raise MemoryError(f"fastad: no memory for {what} ({self.active_bytes / 1e6:.0f} MB)")
        self.point_cells(cells, arena, layout.active_offset)
        return cells, arena

    cdef int ensure_active(self) except -1:
        if self.active == NULL:
            self.tape.is_active(self.tape.n - 1)
            self.active = <uint8_t *>malloc(self.tape.n)
            memcpy(self.active, self.tape.act, self.tape.n)
        return 0

    cdef int bind(self, list values) except -1:
        """Set inputs and captured arrays; the frame is not valid until a forward sweep has run."""
        self.valid = False
        self.set_inputs(self.v, values)
        if self.tape.captures:
            self.bind_captures()
        return 0

    cdef int set_inputs(self, fa_cell *cells, list values) except -1:
        cdef Py_ssize_t k
        cdef uint32_t i
        if len(values) != len(self.tape.inputs):
            raise ShapeError(f"tape: got {len(values)} inputs, expected {len(self.tape.inputs)}")
        for k in range(len(values)):
            i = <uint32_t>self.tape.inputs[k]
            copy_in(&cells[i], &AVALS[self.tape.aval[i]], values[k], k)
        return 0

    cdef int bind_captures(self) except -1:
        cdef Tape t = self.tape
        cdef Layout layout = t.layout()
        cdef uint32_t i
        cdef int64_t offset
        cdef cnp.ndarray array
        cdef const fa_aval *av
        for k in t.capture_ids:
            i = k
            if t.op[i] != FA_CAPTURE:    # the function had changed the array: it was made a constant
                continue
            array = <cnp.ndarray>t.captures[t.arg[2 * <size_t>i]]
            av = &AVALS[t.aval[i]]
            if cnp.PyArray_NDIM(array) != av.nd or (av.nd and not same_shape(array, av)):
                raise ShapeError(f"tape: a captured array had shape {aval_shape(t.aval[i])} when it was recorded at "
                                 f"{t.location(i)} and has {(<object>array).shape} now; record again")
            if bound_in_place(array, av):
                self.v[i].p = cnp.PyArray_DATA(array)
                continue
            if av.nd:
                offset = layout.offset[offset_index(layout, i)]
                if offset < 0:
                    raise ShapeError(f"tape: the memory layout of the array captured at {t.location(i)} was changed "
                                     "since it was recorded; record again")
                self.v[i].p = self.arena + offset
            copy_in(&self.v[i], av, np.asarray(array, dtype=DTYPES[av.dtype]), -1)
        return 0


cdef inline bint bound_in_place(cnp.ndarray array, const fa_aval *av) noexcept:
    """Can a sweep read the user's array where it is?"""
    return av.nd > 0 and cnp.PyArray_TYPE(array) == NPY_TYPE[av.dtype] and cnp.PyArray_IS_C_CONTIGUOUS(array) \
        and cnp.PyArray_ISBEHAVED_RO(array)


cdef uint32_t offset_index(Layout layout, uint32_t i) noexcept:
    """Position of array instruction i in a layout (bisection)."""
    cdef uint32_t lo = 0, hi = layout.n, mid
    while lo < hi:
        mid = (lo + hi) >> 1
        if layout.ids[mid] < i:
            lo = mid + 1
        else:
            hi = mid
    return lo


cdef int copy_in(fa_cell *cell, const fa_aval *av, object value, Py_ssize_t k) except -1:
    """Copy a value of the user's into the memory of an input, checking shape and dtype first."""
    cdef cnp.ndarray array
    if av.nd == 0 and av.dtype == FA_F64 and PyFloat_Check(value):
        cell.f = PyFloat_AS_DOUBLE(value)
        return 0
    if type(value) is np.ndarray:
        array = <cnp.ndarray>value
        if cnp.PyArray_TYPE(array) == NPY_TYPE[av.dtype] and cnp.PyArray_IS_C_CONTIGUOUS(array) \
                and cnp.PyArray_NDIM(array) == av.nd and cnp.PyArray_ISNOTSWAPPED(array) \
                and (av.nd == 0 or same_shape(array, av)):
            if av.nd == 0:               # the whole cell, of which a small number fills a part
                cell.i = 0
            memcpy(fa_data(cell, av), cnp.PyArray_DATA(array), av.size * fa_itemsize[av.dtype])
            return 0
    if isinstance(value, (Scalar, Array)):
        raise TracerError("a tape was called with a traced value; use the function (ad.grad, ad.jvp ...) to nest")
    name = "input" if k < 0 else f"input {k}"
    if value is None or isinstance(value, (str, bytes)) or type(value).__name__ == "MaskedArray":
        raise ShapeError(f"tape: {name} is {type(value).__name__}, recorded with {DTYPE_NAMES[av.dtype]}; pass numbers "
                         "or plain arrays")
    array = np.asarray(value)
    if (<object>array).shape != tuple([av.shape[d] for d in range(av.nd)]):
        raise ShapeError(f"tape: {name} has shape {(<object>array).shape}, recorded with "
                         f"{tuple([av.shape[d] for d in range(av.nd)])}; record again for another shape")
    if array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, DTYPES[av.dtype], "same_kind"):
        raise ShapeError(f"tape: {name} has dtype {array.dtype}, recorded with {DTYPE_NAMES[av.dtype]}")
    array = np.asarray(array, dtype=DTYPES[av.dtype], order="C")     # (ascontiguousarray makes rank 0 rank 1)
    if av.nd == 0:
        cell[0] = cell_of(array[()], av.dtype)
    else:
        memcpy(cell.p, cnp.PyArray_DATA(array), av.size * fa_itemsize[av.dtype])
    return 0


cdef inline bint same_shape(cnp.ndarray array, const fa_aval *av) noexcept:
    cdef int d
    for d in range(av.nd):
        if cnp.PyArray_DIM(array, d) != av.shape[d]:
            return False
    return True


cdef object copy_out(const fa_cell *cell, const fa_aval *av):
    """A fresh ndarray (or NumPy scalar) with a value of the tape."""
    cdef cnp.npy_intp[64] dims
    cdef cnp.ndarray array
    cdef int d
    if av.nd == 0:
        if av.dtype == FA_F64:
            return np_float64(cell.f)
        if av.dtype == FA_F32:
            return np_float32(cell.s)
        return np.bool_(cell.i != 0) if av.dtype == FA_BOOL else np.int64(cell.i)
    for d in range(av.nd):
        dims[d] = av.shape[d]
    array = cnp.PyArray_SimpleNew(av.nd, dims, NPY_TYPE[av.dtype])
    if av.size:
        memcpy(cnp.PyArray_DATA(array), cell.p, av.size * fa_itemsize[av.dtype])
    return array


cdef object np_float64 = np.float64
