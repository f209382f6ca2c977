"""_elementwise.pxi - record and compute one row of the table on scalars, arrays and numbers (included in _tape.pyx).

Owns: `apply`: promotion, broadcasting, constants, and the memory layout of results.  The recorder computes with the
executor's kernels on contiguous operands, so that a replay gives the same bits.
Next: _operands.pxi, primitives.py (the rows), _array.pxi (what a read of an array is), _kernels/elementwise.h.
"""
cdef int supported_dtype(dtype) except -1:
    """Code of the dtype as which values of `dtype` are recorded."""
    code = dtype_codes.get(dtype)
    if code is not None:
        return code
    if dtype.kind == "f" and dtype.itemsize <= 8:
        return FA_F64
    if dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize < 8):
        return FA_I64
    if dtype.kind == "c":
        raise UnsupportedError(f"{here()}: {NO_COMPLEX}")
    raise UnsupportedError(f"{here()}: dtype {dtype} is not recorded (float64, float32, int64, bool, complex128 and "
                           "complex64 are)")


def recorded_dtype(dtype):
    """Code of the dtype as which values of `dtype` are recorded."""
    return supported_dtype(dtype)


NO_COMPLEX = ("a complex value in an operation that is recorded for real ones only; write it with the real and "
              "imaginary parts (z.real, z.imag)")


cdef int code_of(object x) except -2:
    """Dtype code of an operand; -1: not an operand that we know."""
    if type(x) is Scalar:
        return (<Scalar>x).dt
    if type(x) is Array:
        return (<Array>x).s.dtype
    if PyFloat_Check(x):
        return FA_F64
    if x is True or x is False:
        return FA_BOOL
    if isinstance(x, int):
        return FA_I64
    if isinstance(x, (ndarray_type, generic_type)):
        return supported_dtype(x.dtype)
    if isinstance(x, complex):
        raise UnsupportedError(f"{here()}: {NO_COMPLEX}")
    return -1


# What an operand brings into NumPy's promotion.  Python's numbers are weak: they are of the kind at least, of no size.
cdef enum:
    WITH_BOOL = 1
    WITH_SMALL = 2                       # an integer of one or two bytes: every one is a float32
    WITH_INT = 4
    WITH_F16 = 8
    WITH_F32 = 16
    WITH_F64 = 32
    WEAK_INT = 64
    WEAK_FLOAT = 128

cdef int[4] WITH
WITH[FA_F64] = WITH_F64
WITH[FA_I64] = WITH_INT
WITH[FA_BOOL] = WITH_BOOL
WITH[FA_F32] = WITH_F32


cdef int brings(object x) except -2:
    """Which of these an operand is; -1: not an operand that we know."""
    cdef int code
    if type(x) is Scalar:
        return WITH[(<Scalar>x).dt] if not (<Scalar>x).weak else WEAK_FLOAT if (<Scalar>x).dt == FA_F64 else WEAK_INT
    if type(x) is Array:
        return WITH[(<Array>x).s.dtype]
    if isinstance(x, (ndarray_type, generic_type)):
        code = supported_dtype(x.dtype)
        if code == FA_I64 and x.dtype.itemsize <= 2:
            return WITH_SMALL
        return WITH_F16 if code == FA_F64 and x.dtype.itemsize == 2 else WITH[code]
    code = code_of(x)
    if code < 0:
        return -1
    return WEAK_FLOAT if code == FA_F64 else WEAK_INT if code == FA_I64 else WITH_BOOL


cdef int promoted(int all) except -1:
    """Dtype code of operands that bring `all` together, as NEP 50 has it.  float16 is computed in float64."""
    if all & WITH_F64 or (all & WITH_F16 and not all & WITH_F32):
        return FA_F64
    if all & WITH_F32:
        return FA_F64 if all & WITH_INT else FA_F32
    if all & WEAK_FLOAT:
        return FA_F64
    return FA_BOOL if all == WITH_BOOL else FA_I64


cdef int brought(tuple xs, Py_ssize_t first) except -2:
    """What operands bring together, those before the first left out; -1 if one is neither a number nor an array."""
    cdef int all = 0, one
    cdef Py_ssize_t k
    for k in range(first, len(xs)):
        one = brings(xs[k])
        if one < 0:
            return -1
        all |= one
    if all & WITH_F32 and all & (WEAK_FLOAT | WITH_F64):
        for x in xs:
            if type(x) is Scalar and (<Scalar>x).dt == FA_F64:
                note_kinds((<Scalar>x).tape)
    return all


cdef int note_kinds(Tape t) except -1:
    """A number met float32: whether it was Python's or NumPy's decides on the dtype of the result."""
    while t is not None and t.owner != NULL:
        t.kinds_met = True
        t = t.parent
    return 0


def promote(*xs):
    """Dtype code in which NumPy computes with these operands; -1 if one is neither a number nor an array."""
    cdef int all = brought(xs, 0)
    return -1 if all < 0 else promoted(all)


def is_weak(x):
    """Is x a number of Python's, traced or not?"""
    return (<Scalar>x).weak != 0 if type(x) is Scalar else type(x) is float or type(x) is int


def weakened(x):
    """x, a traced result that plain Python would give as a float."""
    if type(x) is Scalar and (<Scalar>x).dt == FA_F64:
        (<Scalar>x).weak = 1
    return x


def python_number(x):
    """A traced number as one of Python's (`x.item()`): in double precision, and weak where it meets others."""
    cdef Scalar s
    if type(x) is not Scalar or (<Scalar>x).weak or (<Scalar>x).dt == FA_BOOL or (<Scalar>x).leaf is not None:
        return x
    s = <Scalar>cast(x, FA_F64) if (<Scalar>x).dt == FA_F32 else <Scalar>x
    s = new_scalar(s.tape, s.id, s.dt, s.v)
    s.weak = 1
    return s


cdef inline object weakly(object r, object a, object b):
    """The result of an operator on two numbers: a float of Python's if both are."""
    if type(r) is Scalar and (<Scalar>r).dt == FA_F64 and is_weak(a) and is_weak(b):
        (<Scalar>r).weak = 1
    return r


cdef object apply1(int op, object x):
    cdef Scalar s
    cdef fa_cell v
    if type(x) is Scalar:
        s = <Scalar>x
        if s.dt == FA_F64 and not ROW_BOOL[op] and s.tape.owner == PyThreadState_Get() \
                and fa_prims[op].loop[FA_F64].fn != NULL:        # ~x has none: NumPy's error, below
            v.f = fa_scalar_f64(op, s.v.f, 0.0)
            if fa_prims[op].foreign and PyErr_Occurred() != NULL:
                raise_current()
            return new_scalar(s.tape, s.tape.push(op, FA_AVAL_F64, s.id, 0), FA_F64, v)
    return apply(op, (x,))


cdef object apply2(int op, object l, object r):
    return apply(op, (l, r))


cdef int operand_dtype(int op, tuple xs) except -2:
    """Dtype in which NumPy computes `op` on these operands; -1: an operand that we do not know."""
    cdef int m, all = brought(xs, 1 if op == FA_WHERE else 0)
    if all < 0:
        return -1
    m = promoted(all)
    if op == FA_WHERE:
        return m
    if ROW_FLOAT[op]:
        return FA_F32 if m == FA_F32 and fa_prims[op].loop[FA_F32].fn != NULL else FA_F64
    if (m == FA_BOOL and not ROW_BOOLIN[op]) or (m == FA_I64 and not ROW_INT[op]) or \
            (is_real(m) and fa_prims[op].loop[m].fn == NULL and op != FA_STRONGZERO and op != FA_ZEROPRODUCT):
        ufunc = ROWS[op].ufunc           # NumPy's own error, or a dtype that we do not record
        out = ufunc(*[DTYPES[m].type(1)] * len(xs)).dtype
        raise UnsupportedError(f"{here()}: {ROWS[op].name} of {DTYPE_NAMES[m]} gives {out}, which is not recorded")
    return m


cdef object apply(int op, tuple xs):
    """Record and compute one elementwise primitive on scalars, arrays, ndarrays, Python numbers."""
    cdef Tape t = None
    cdef operand[3] o
    cdef int m, k, n = <int>len(xs)
    cdef list keep = []
    for x in xs:
        if type(x) is Scalar or type(x) is Array:
            t = joint_tape(t, x)
        elif isinstance(x, (list, tuple)):
            return apply(op, tuple([api().asarray(y) if isinstance(y, (list, tuple)) else y for y in xs]))
        elif is_complex(x):
            return complex_row(op, xs)
    m = operand_dtype(op, xs)
    if m < 0:
        return NotImplemented
    if t is None:
        return plain_apply(op, xs)
    for k in range(n):
        resolve_as_it_lies(t, xs[k], FA_BOOL if (op == FA_WHERE and k == 0) else m, &o[k], keep)
    cdef bint scalar = True
    for k in range(n):
        if AVALS[o[k].aval].nd:
            scalar = False
    result = scalar_result(t, op, m, n, o) if scalar else array_result(t, op, m, n, o, xs, keep)
    return cast(result, FA_F32) if ROW_NARROW[op] and promote(*xs) == FA_F32 else result


cdef object scalar_result(Tape t, int op, int m, int n, operand *o):
    cdef fa_cell[3] cells
    cdef fa_cell v
    cdef int k, out = FA_BOOL if ROW_BOOL[op] else m
    for k in range(n):
        cells[k] = o[k].cell
    if op == FA_WHERE:
        v = cells[1] if cells[0].i else cells[2]
    else:
        v = fa_scalar(op, m, cells)
        if fa_prims[op].foreign and PyErr_Occurred() != NULL:
            raise_current()
    return new_scalar(t, emit_elementwise(t, op, out, n, o), out, v)


cdef int raise_current() except -1:
    """Raise the error that a loop of NumPy's or SciPy's has set."""
    return -1


cdef uint32_t emit_elementwise(Tape t, int op, uint32_t aval, int n, operand *o) except 0:
    cdef uint32_t[3] ids
    cdef int k
    if REFUSED[op]:
        for k in range(n):
            if REFUSED[op] >> k & 1 and t.is_active(o[k].id):
                raise UnsupportedError(f"{here()}: {primitives.refusal(ROWS[op], k)}")
    if n <= 2:
        return t.push(op, aval, o[0].id, o[1].id if n == 2 else 0)
    for k in range(n):
        ids[k] = o[k].id
    return t.push_nary(op, aval, ids, n, t.attr_id(None))


cdef object array_result(Tape t, int op, int m, int n, operand *o, tuple xs, list keep):
    cdef tuple shape
    cdef int k
    cdef fa_aval_p[3] avs
    cdef charp[3] data
    cdef fa_env env
    cdef uint32_t big = 0
    cdef bint same = True
    for k in range(n):
        if AVALS[o[k].aval].nd:
            if big and aval_shape(o[k].aval) != aval_shape(big):
                same = False
            big = o[k].aval
    shape = aval_shape(big)
    cdef uint32_t out = aval_id(FA_BOOL if ROW_BOOL[op] else m, shape) if same else 0
    cdef bint by_rows = same and lies_in_rows(op, m, n, o, &AVALS[out])
    if not by_rows:
        for k in range(n):
            pack(&o[k], keep)
    if not same:
        shape = broadcast(t, n, o, keep)
        out = aval_id(FA_BOOL if ROW_BOOL[op] else m, shape)
    cdef cnp.ndarray c = new_ndarray(out)
    for k in range(n):
        avs[k] = &AVALS[o[k].aval]
        data[k] = o[k].data if avs[k].nd else <char *>&o[k].cell
    env.flags = env.has_foreign = 0
    if by_rows:
        rows_of(op, n, o, data, &AVALS[out], <char *>cnp.PyArray_DATA(c))
    else:
        fa_elementwise(op, n, avs, data, &AVALS[out], <char *>cnp.PyArray_DATA(c), &env)
    if fa_prims[op].foreign and PyErr_Occurred() != NULL:
        raise_current()
    cdef uint32_t i = emit_elementwise(t, op, out, n, o)
    t.locate(i)
    if len(shape) > 1:
        c = numpy_layout(op, xs, c)
    return fresh_array(t, i, c)


cdef cnp.ndarray new_ndarray(uint32_t a):
    cdef cnp.npy_intp[64] dims
    cdef int d
    for d in range(AVALS[a].nd):
        dims[d] = AVALS[a].shape[d]
    return cnp.PyArray_SimpleNew(AVALS[a].nd, dims, NPY_TYPE[AVALS[a].dtype])


cdef cnp.ndarray numpy_layout(int op, tuple xs, cnp.ndarray c):
    """Give a result the memory layout that NumPy would: it decides whether a later reshape is a view."""
    cdef bint ordered = True
    cdef list arrays = []
    for x in xs:
        if type(x) is Array:
            x = (<Array>x).c
        if isinstance(x, ndarray_type):
            arrays.append(x)
            if cnp.PyArray_NDIM(x) > 1 and not strides_fall(x):
                ordered = False
    if ordered:
        return c
    it = np.nditer(arrays + [None], op_flags=[["readonly"]] * len(arrays) + [["writeonly", "allocate"]],
                   flags=["zerosize_ok"], op_dtypes=[None] * len(arrays) + [(<object>c).dtype])
    out = it.operands[len(arrays)]
    out[...] = c
    return out


cdef bint strides_fall(cnp.ndarray x) noexcept:
    """Are the axes in C order, as in any slice of an array that is?"""
    cdef cnp.npy_intp above = 0
    cdef int d
    if cnp.PyArray_IS_C_CONTIGUOUS(x):
        return True
    for d in range(cnp.PyArray_NDIM(x) - 1, -1, -1):
        if cnp.PyArray_DIM(x, d) > 1:
            if cnp.PyArray_STRIDE(x, d) <= above:
                return False
            above = cnp.PyArray_STRIDE(x, d)
    return True


cdef tuple broadcast(Tape t, int n, operand *o, list keep):
    """Bring operands to one shape: rank 0 where they hold one element, else by a repeating view."""
    cdef int k
    cdef tuple shape
    cdef cnp.ndarray c
    shape = common_shape(tuple([aval_shape(o[k].aval) for k in range(n)]))
    for k in range(n):
        own = aval_shape(o[k].aval)
        if own == shape or not own:
            continue
        if AVALS[o[k].aval].size == 1:
            o[k].cell.i = 0
            memcpy(&o[k].cell, o[k].data, fa_itemsize[AVALS[o[k].aval].dtype])
            o[k].aval = AVALS[o[k].aval].dtype
            o[k].id = t.push(FA_RESHAPE, o[k].aval, o[k].id, t.attr_id(None))
            o[k].data = NULL
            continue
        broadcast_one(t, &o[k], own, shape, keep)
    return shape


cdef int broadcast_one(Tape t, operand *o, tuple own, tuple shape, list keep) except -1:
    cdef int dtype = AVALS[o.aval].dtype
    cdef fa_aval *av = &AVALS[o.aval]
    cdef uint32_t out = aval_id(dtype, shape)
    cdef cnp.ndarray c = new_ndarray(out)
    cdef fa_env env
    m = broadcast_map(own, shape)
    fa_kernel(FA_MOVE, (<Attr>m).ptr, 1, <const fa_aval *const *>&av, &o.data, &AVALS[out],
              <char *>cnp.PyArray_DATA(c), &env)
    o.id = t.push(FA_MOVE, out, o.id, t.attr_id(m))
    o.aval = out
    keep.append(c)
    o.data = <char *>cnp.PyArray_DATA(c)
    return 0


cdef dict common_shapes = {}             # shapes -> what NumPy broadcasts them to


cdef tuple common_shape(tuple shapes):
    """np.broadcast_shapes, asked once for the same shapes."""
    found = common_shapes.get(shapes)
    if found is None:
        if len(common_shapes) > 10000:
            common_shapes.clear()
        found = common_shapes[shapes] = np.broadcast_shapes(*shapes)
    return <tuple>found


def broadcast_map(tuple own, tuple shape):
    """Map that repeats an array of shape `own` to `shape`."""
    cdef int64_t step = 1
    strides = []
    for extent in reversed(own):
        strides.append(0 if extent == 1 else step)
        step *= extent
    strides += [0] * (len(shape) - len(own))
    strides.reverse()
    return view_map(step, shape, 0, tuple(strides))


cdef object plain_apply(int op, tuple xs):
    """An elementwise primitive on arrays in which nothing is traced: NumPy does it."""
    ufunc = primitives.resolve(ROWS[op])
    xs = tuple([(<Array>x).c if type(x) is Array else x for x in xs])
    return wrap_plain(np.where(*xs) if op == FA_WHERE else ufunc(*xs))


cdef object power(object l, object r):
    """l ** r, by the shortcuts for constant exponents that NumPy takes."""
    if is_complex(l) or is_complex(r):
        return complex_row(OP_POWER, (l, r))
    if type(r) is not Scalar and type(r) is not Array and isinstance(r, (int, float, generic_type)) \
            and is_real(code_of(l)) and (code_of(l) == FA_F64 or promote(l, r) == FA_F32):
        if r == 2:
            return apply1(FA_SQUARE, l)
        if r == 1:
            return apply1(OP_POSITIVE, l)
        if r == 0.5:
            return apply1(FA_SQRT, l)
        if r == -1:
            return apply1(FA_RECIPROCAL, l)
    return apply2(OP_POWER, l, r)


with np.errstate(invalid="ignore"):       # since 2.3 np.power takes them as well: the loop gives inf
    POWER_SHORTCUTS = bool(np.isnan(np.power(np.full(1, -np.inf), 0.5))[0])
cdef bint power_shortcuts = POWER_SHORTCUTS


cdef object called2(int op, object l, object r):
    """A ufunc of two operands, called by its name."""
    return power(l, r) if op == OP_POWER and power_shortcuts else apply2(op, l, r)


def called(op, *operands):
    """A ufunc of the table, called by its name, on traced operands."""
    return called2(op, operands[0], operands[1]) if len(operands) == 2 else apply(op, operands)


cdef object both(object quotient, object a, object b):
    """divmod."""
    return NotImplemented if quotient is NotImplemented else (quotient, apply2(OP_REMAINDER, a, b))


def elementwise(op, *operands):
    """Record one row of the table on traced operands (`op`: name or opcode)."""
    return apply(OPCODES[op] if isinstance(op, str) else op, operands)


cdef object cast(object x, int dtype):
    """x converted to a dtype as `astype` does; x itself if it has that dtype."""
    cdef operand o
    cdef list keep = []
    cdef Tape t = joint_tape(None, x)
    if code_of(x) == dtype:
        return x
    if t is None:                        # nothing in it is traced: NumPy does it
        return wrap_plain(concrete(x).astype(DTYPES[dtype]))
    resolve(t, x, dtype, &o, keep)
    if AVALS[o.aval].nd == 0:
        return new_scalar(t, o.id, dtype, o.cell)
    t.locate(o.id)
    return fresh_array(t, o.id, <cnp.ndarray>keep[-1])


def astype(x, dtype):
    """x converted to float64, float32, int64, bool, complex128 or complex64 (other dtypes are refused)."""
    code = dtype_codes.get(np.dtype(dtype))
    if code is None or isinstance(x, Complex):
        if code is not None or np.dtype(dtype).kind == "c":
            return api().complex_cast(x, np.dtype(dtype))
        raise UnsupportedError(f"{here()}: astype({np.dtype(dtype)}): float64, float32, int64, bool, complex128 and "
                               "complex64 are recorded")
    return cast(x, code)
