"""_templates.pxi - partial derivatives of the table's rows, recorded once by the tape itself (included in _tape.pyx).

Owns: the numbers of the rows that the operators name, the loops of rows that need an adapter, the recording of each
row's partials, and their packing into fa_template: a few instructions over slots that tier 0 evaluates and the
transformations stamp out.
Next: primitives.py (the rows), _kernels/template.h (how a template runs), _transform.pyx.
"""
cdef extern from "_kernels/mathematics.h" nogil:
    ctypedef struct fa_mathset:
        fa_loopfn *loop
        fa_loopfn sincos
    const fa_mathset *fa_math_set_of(int level)
    int fa_math_row(const char *row)
    bint fa_math_is_best(int k)

cdef extern from "_kernels/chain.h" nogil:
    int fa_cpu_level()
    int fa_chain_level
    bint fa_chain_evades

cdef extern from "_kernels/subnormals.h" nogil:
    bint fa_subnormals_are_slow()

cdef extern from "_kernels/template.h" nogil:
    int fa_check_template(const fa_template *t)

cdef extern from "_kernels/adapted.h" nogil:
    ctypedef struct fa_adapted:
        fa_loop inner
        int nin
        int nout
        int which
        char[8] kind
        double[8] constant
    void fa_adapted_loop(char **args, const intptr_t *n, const intptr_t *steps, void *data)

number_rows()

cdef int OP_POSITIVE = OPCODES["positive"]
cdef int OP_POWER = OPCODES["power"]
cdef int OP_FLOOR_DIVIDE = OPCODES["floor_divide"]
cdef int OP_REMAINDER = OPCODES["remainder"]
cdef int OP_RINT = OPCODES["rint"]
cdef int OP_FLOOR = OPCODES["floor"]
cdef int OP_CEIL = OPCODES["ceil"]
cdef int OP_AND = OPCODES["bitwise_and"]
cdef int OP_OR = OPCODES["bitwise_or"]
cdef int OP_XOR = OPCODES["bitwise_xor"]
cdef int OP_INVERT = OPCODES["invert"]
cdef int OP_LSHIFT = OPCODES["left_shift"]
cdef int OP_RSHIFT = OPCODES["right_shift"]


def _number_ufuncs():
    for code, row in ROWS.items():
        for ufunc in (row.ufunc, *row.also):
            if isinstance(ufunc, np.ufunc):
                UFUNC_OP[ufunc] = code


_number_ufuncs()


def row_code(ufunc):
    """Opcode of a ufunc's row, or None; resolves a SciPy row when it is met."""
    row = primitives.row_of_ufunc(ufunc)
    if row is None:
        return None
    code = ensure_row(row.name)
    UFUNC_OP[ufunc] = code
    return code


cdef int adapt_loop(int code, row) except -1:
    """The loop of a row whose ufunc has integer, complex or several results (row.signature says how)."""
    cdef PyUFuncObject *u
    cdef fa_adapted *a
    cdef int k
    ufunc = primitives.resolve(row).ufunc
    u = <PyUFuncObject *><void *>ufunc
    operands, results = row.signature.split("->")
    wanted = row.signature.translate({ord("D"): "d", ord("L"): "l", ord("z"): "D"})
    a = <fa_adapted *>calloc(1, sizeof(fa_adapted))
    a.nin, a.nout, a.which = len(operands), len(results), row.output
    for k, c in enumerate(operands + results):
        a.kind[k] = ord(c)
    for at, value in row.constants:
        a.constant[<int>at] = value
    single = wanted.translate({ord("d"): "f", ord("D"): "F"})
    ROW_NARROW[code] = any([types.replace("i", "l").replace("p", "l") == single for types in ufunc.types])
    for k in range(u.ntypes):
        if ufunc.types[k] == wanted:
            a.inner.fn = u.functions[k]
            a.inner.data = u.data[k] if u.data != NULL else NULL
            fa_prims[code].loop[0].data = a
            fa_prims[code].loop[0].fn = fa_adapted_loop
            return 0
    free(a)
    raise InternalError(f"{ufunc.__name__} has no loop for {row.signature}; it has {ufunc.types}")


fa_chain_level = fa_cpu_level()
fa_chain_evades = fa_subnormals_are_slow()


cdef bint numpy_is_wide() except -1:
    """Has NumPy the loops for AVX-512 (SVML's, on Linux alone), and this processor what they need?"""
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as features
    except ImportError:
        return False
    return sys.platform == "linux" and features.get("X86_V4", features.get("AVX512_SKX", False))


cdef int own_loop(int code, row) except -1:
    """Our loop in place of NumPy's, for the rows that say so, where it is the faster one."""
    cdef int k = fa_math_row(row.name.encode()), level = fa_cpu_level()
    if (k >= 0) != (row.ulp > 0):
        raise InternalError(f"row {row.name}: what it says of a loop of our own is not what mathematics.h says")
    if k >= 0 and fa_math_set_of(level).loop[k] != NULL and (level < 4 or not numpy_is_wide() or fa_math_is_best(k)):
        fa_prims[code].loop[FA_F64].fn = fa_math_set_of(level).loop[k]
        fa_prims[code].loop[FA_F64].data = NULL
    return 0


def own_mathematics(str name, int level, *operands):
    """A function by our own loop for an instruction set (2, 3, 4: x86-64-v2 and so on), for tests and benchmarks.

    None where there is none, or the processor cannot run it.
    """
    cdef int k = fa_math_row(name.encode())
    cdef intptr_t n
    cdef intptr_t[4] steps
    cdef int j
    cdef char *args[4]
    cdef cnp.ndarray x
    if k < 0 or not 2 <= level <= fa_cpu_level() or fa_math_set_of(level).loop[k] == NULL:
        return None
    xs = [np.ascontiguousarray(operand, dtype=np.float64) for operand in operands]
    y = np.empty_like(xs[0])
    if len(xs) != ROWS[OPCODES[name]].arity or any([operand.shape != y.shape for operand in xs]):
        raise ValueError(f"{name}: takes {ROWS[OPCODES[name]].arity} arrays of one shape")
    for j, x in enumerate([*xs, y]):
        args[j] = <char *>cnp.PyArray_DATA(x)
        steps[j] = 8
    n = y.size
    with nogil:
        fa_math_set_of(level).loop[k](args, &n, steps, NULL)
    return y


cdef int pair_twins() except -1:
    """Sine and cosine of one number are computed together."""
    cdef int sine = OPCODES["sin"], cosine = OPCODES["cos"]
    fa_prims[sine].both = fa_math_set_of(fa_cpu_level()).sincos
    if fa_prims[sine].both != NULL:
        fa_prims[sine].twin = cosine
        fa_prims[cosine].twin = sine
    return 0


pair_twins()

cdef list template_memory = []           # what the templates' pointers refer to


def build_templates():
    """Record the partial derivatives of every row; called once, when numpy_api is there."""
    for code, row in ROWS.items():
        if row.partials is not None and row.rule == "" and not isinstance(row.ufunc, str):
            record_partials(code, row)   # SciPy's when somebody uses them: ensure_row


cdef int record_partials(int code, row) except -1:
    cdef Tape t = open_recording()
    cdef Scalar x
    cdef fa_cell v
    cdef int k
    operands = []
    try:
        for k in range(row.arity + 1):
            intervals = row.domain.intervals[min(k, len(row.domain.intervals) - 1)]
            lo, hi = intervals[len(intervals) // 2]
            v.f = 0.5 * (max(lo, -1e3) + min(hi, 1e3)) + 0.01 * k
            differentiable = k == row.arity or not REFUSED[code] >> k & 1
            operands.append(new_scalar(t, t.emit_input(FA_AVAL_F64, differentiable), FA_F64, v))
        with np.errstate(all="ignore"):
            partials = row.partials(*operands)
    finally:
        close_recording(t)
    partials = partials if row.arity > 1 else (partials,)
    for k in range(row.arity):
        pack_template(t, row.arity, partials[k], &fa_prims[code].partial[k])
        single_template(&fa_prims[code].partial[k], &fa_prims[code].partial_f32[k])
    return 0


cdef int single_template(const fa_template *p, fa_template *q) except -1:
    """The same template in float32; a row that has no loop for that is computed in float64 between two casts."""
    cdef int first = FA_TSLOT_CONST + p.nconst, i, j, m, op, dtype, n = 0
    cdef bint wide
    cdef int[128] slot
    cdef fa_tinstr *instr
    cdef fa_cell *cells
    q[0] = p[0]
    if p.out == FA_ZERO:
        return 0
    instr = <fa_tinstr *>calloc(5 * p.n + 1, sizeof(fa_tinstr))
    cells = <fa_cell *>calloc(p.nconst + 1, sizeof(fa_cell))
    for i in range(p.nconst):
        dtype = constant_dtype(p, FA_TSLOT_CONST + i)
        cells[i] = p.consts[i]
        if dtype == FA_F64:
            cells[i].i = 0
            cells[i].s = <float>p.consts[i].f
    for i in range(first):
        slot[i] = i
    for i in range(p.n):
        op = p.instr[i].op
        m = 3 if op == FA_WHERE else 1 if op == FA_CAST else fa_prims[op].arity
        wide = op >= FA_OWN_END and p.instr[i].din == FA_F64 and fa_prims[op].loop[FA_F32].fn == NULL
        if first + n + 2 * m + 1 >= FA_MAX_TSLOTS:
            raise InternalError("a partial derivative has too many instructions in float32")
        for j in range(m if wide else 0):
            instr[n].op, instr[n].din, instr[n].dout, instr[n].in_[0] = FA_CAST, FA_F32, FA_F64, slot[p.instr[i].in_[j]]
            instr[n + m - j].in_[j] = first + n
            n += 1
        if not wide:
            for j in range(m):
                instr[n].in_[j] = slot[p.instr[i].in_[j]]
        instr[n].op = op
        instr[n].din = FA_F32 if p.instr[i].din == FA_F64 and not wide else p.instr[i].din
        instr[n].dout = FA_F32 if p.instr[i].dout == FA_F64 and not wide else p.instr[i].dout
        n += 1
        if wide and p.instr[i].dout == FA_F64:
            instr[n].op, instr[n].din, instr[n].dout, instr[n].in_[0] = FA_CAST, FA_F64, FA_F32, first + n - 1
            n += 1
        slot[first + i] = first + n - 1
    q.n = n
    q.out = slot[p.out]
    q.instr = instr
    q.consts = cells
    if fa_check_template(q) != 0:
        raise InternalError("a partial derivative was packed into a float32 template that cannot run")
    return 0


cdef int constant_dtype(const fa_template *p, int at) except -1:
    """Dtype of the constant in a slot: that of the instruction which reads it."""
    cdef int i, j
    for i in range(p.n):
        for j in range(3 if p.instr[i].op == FA_WHERE else 1 if p.instr[i].op == FA_CAST
                       else fa_prims[p.instr[i].op].arity):
            if p.instr[i].in_[j] == at:
                return FA_BOOL if p.instr[i].op == FA_WHERE and j == 0 else p.instr[i].din
    return FA_F64


cdef int pack_template(Tape t, int arity, object partial, fa_template *p) except -1:
    """Pack what `partial` depends on; inputs 1 ... arity are the operands, input arity + 1 is y."""
    cdef uint32_t i, j, m, root
    cdef const uint32_t *ids = NULL
    cdef dict slot = {}
    cdef list consts = []
    cdef list chain = []
    if type(partial) is not Scalar:
        if partial == 0:
            p.out = FA_ZERO
            p.n = p.nconst = 0
            return 0
        root = t.const_f64(float(partial))
    else:
        root = (<Scalar>partial).id
    needed = {root}
    for i in range(root, 0, -1):
        if i in needed:
            m = t.operands(i, &ids)
            for j in range(m):
                needed.add(ids[j])
    for k in range(arity + 1):
        slot[t.inputs[k]] = FA_TSLOT_Y if k == arity else k
    for i in sorted(needed):
        if t.op[i] == FA_CONST:
            slot[i] = FA_TSLOT_CONST + len(consts)
            consts.append(i)
    for i in sorted(needed):
        if i not in slot:
            slot[i] = FA_TSLOT_CONST + len(consts) + len(chain)
            chain.append(i)
    return fill_template(t, p, slot, consts, chain, root)


cdef int fill_template(Tape t, fa_template *p, dict slot, list consts, list chain, uint32_t root) except -1:
    cdef fa_tinstr *instr = <fa_tinstr *>calloc(max(1, len(chain)), sizeof(fa_tinstr))
    cdef fa_cell *cells = <fa_cell *>calloc(max(1, len(consts)), sizeof(fa_cell))
    cdef const uint32_t *ids = NULL
    cdef uint32_t i, j, m
    cdef int k = 0
    if FA_TSLOT_CONST + len(consts) + len(chain) > FA_MAX_TSLOTS:
        raise InternalError("a partial derivative has too many instructions")
    for i in consts:
        cells[k] = t.cells[t.arg[2 * <size_t>i]]
        k += 1
    k = 0
    for i in chain:
        m = t.operands(i, &ids)
        instr[k].op = t.op[i]
        instr[k].dout = AVALS[t.aval[i]].dtype
        instr[k].din = AVALS[t.aval[ids[m - 1]]].dtype
        for j in range(m):
            instr[k].in_[j] = slot[ids[j]]
        k += 1
    p.n = len(chain)
    p.nconst = len(consts)
    p.out = slot[root]
    p.instr = instr
    p.consts = cells
    if fa_check_template(p) != 0:
        raise InternalError("a partial derivative was packed into a template that cannot run")
    return 0
