"""_structural.pxi - record and compute one structural primitive (included in _tape.pyx).

Owns: the doors through which numpy_api.py, linalg.py and control.py write instructions while a function is recorded.
They speak of traced values; ids and cells stay in here.
Next: numpy_api.py (which NumPy function becomes which primitive).
"""

def is_traced(x):
    """Is x a traced scalar, or an array into which something traced was written?"""
    if type(x) is Scalar or type(x) is Array:
        return type(x) is Scalar or (<Array>x).s.state == TRACED
    return isinstance(x, Complex) and (is_traced((<Complex>x).re) or is_traced((<Complex>x).im))


def is_wrapped(x):
    """Is x one of our stand-ins, traced or plain?"""
    return type(x) is Scalar or type(x) is Array or isinstance(x, Complex)


def is_active(x):
    """Does a derivative with respect to the inputs pass through x?"""
    cdef Tape t
    if not is_traced(x):
        return False
    if isinstance(x, Complex):
        return is_active((<Complex>x).re) or is_active((<Complex>x).im)
    t = joint_tape(None, x)
    return t.is_active((<Scalar>x).id if type(x) is Scalar else read(t, <Array>x))


def concrete(x):
    """The present value of x: a NumPy scalar or the concrete ndarray (not a copy); x itself if it is not ours."""
    if type(x) is Scalar:
        return DTYPES[(<Scalar>x).dt].type((<Scalar>x).number())
    if type(x) is Array:
        return (<Array>x).c
    return x.concrete() if isinstance(x, Complex) else x


def layouts(list xs):
    """(shape, strides, dtype number) of each array and dtype code of each number in xs; None if one is neither."""
    cdef list places = []
    cdef int code
    for x in xs:
        if type(x) is Array:
            c = <object>(<Array>x).c
        elif type(x) is ndarray_type:
            c = x
        else:
            code = code_of(x)
            if code < 0 or isinstance(x, ndarray_type):
                return None
            places.append(code)
            continue
        places.append((c.shape, c.strides, cnp.PyArray_TYPE(<cnp.ndarray>c)))
    return tuple(places)


def kind_of(x):
    """Dtype code of an operand as which it is recorded; -1: neither a number nor an array."""
    return code_of(x)


def view(Array a, cnp.ndarray c):
    """The array whose concrete one is `c`, a view of the memory of `a`."""
    return new_array(c, a.s)


def view_otherwise(Array a, cnp.ndarray c):
    """`c`, a view of the memory of `a` in another dtype: nothing traced can be written into either of them."""
    cdef object r
    if a.s.state == CAPTURED:
        return make_plain(c, True)
    r = wrap_plain(c)
    a.s.otherwise = True
    if type(r) is Array:
        (<Array>r).s.otherwise = True
    return r


def is_view_of(Array a, cnp.ndarray c):
    """Does c share the memory of a?"""
    return shares(c, a.s)


def positions_like(Array a):
    """Array of the flat C-order positions of a, in its memory layout: movers are run on it."""
    return order_of(<object>a.c)


def wrap(x):
    """Results of plain NumPy on plain arrays: recordable while this thread records."""
    return wrap_plain(x)


def tape_of(*xs):
    """The innermost open recording to which the traced ones among xs belong, or None."""
    cdef Tape t = None
    for x in xs:
        if type(x) is Scalar or type(x) is Array or isinstance(x, Complex):
            t = joint_tape(t, x)
    return t


def structural(op, xs, Attr attr, tuple shape, int dtype, want=None, Tape tape=None):
    """Record and compute one structural primitive.

    Parameters
    ----------
    op : str
        Name of a structural primitive.
    xs : sequence
        Operands: traced values, ndarrays, numbers; at least one is traced unless `tape` is given.
    attr : Attr or None
    shape, dtype
        Of the result (dtype code).
    want : sequence of int or None, optional
        Dtype codes to which the operands are converted.

    Returns
    -------
    Scalar if `shape` is (), else Array.
    """
    cdef int n = <int>len(xs)
    cdef int k
    cdef int code = OPCODES[op]
    cdef Tape t = tape if tape is not None else tape_of(*xs)
    cdef operand *o = <operand *>calloc(max(1, n), sizeof(operand))
    cdef list keep = []
    cdef uint32_t out = aval_id(dtype, shape)
    if t is None:
        free(o)
        raise InternalError(f"structural {op}: nothing is traced")
    try:
        for k in range(n):
            resolve(t, xs[k], code_of(xs[k]) if want is None or want[k] is None else want[k], &o[k], keep)
        return run_structural(t, code, n, o, attr, out, keep)
    finally:
        free(o)


cdef uint8_t[512] KEEPS_DTYPE             # 1 + the operand whose dtype the result has; 0: another one
memset(KEEPS_DTYPE, 0, sizeof(KEEPS_DTYPE))
for _code in (FA_ELEMENT, FA_RESHAPE, FA_STOP, FA_MOVE, FA_ERASE, FA_WRITE, FA_STACK, FA_TAKE, FA_PUT, FA_MAXR,
              FA_MINR):
    KEEPS_DTYPE[_code] = 1
KEEPS_DTYPE[FA_ADDAT] = 2


cdef object run_structural(Tape t, int code, int n, operand *o, Attr attr, uint32_t out, list keep):
    cdef const fa_aval **avs = <const fa_aval **>malloc(max(1, n) * sizeof(fa_aval *))
    cdef char **data = <char **>malloc(max(1, n) * sizeof(char *))
    cdef fa_env env
    cdef fa_cell v
    cdef cnp.ndarray c = None
    cdef int k, status
    cdef const void *ptr = NULL if attr is None else attr.ptr
    v.i = 0
    if KEEPS_DTYPE[code] and AVALS[o[KEEPS_DTYPE[code] - 1].aval].dtype != AVALS[out].dtype:
        k = AVALS[o[KEEPS_DTYPE[code] - 1].aval].dtype
        raise InternalError(f"{OPNAMES[code]} of {DTYPE_NAMES[k]} was recorded as {DTYPE_NAMES[AVALS[out].dtype]}")
    matrix_products(&env)
    env.flags = env.has_foreign = 0
    try:
        for k in range(n):
            avs[k] = &AVALS[o[k].aval]
            data[k] = o[k].data if avs[k].nd else <char *>&o[k].cell
        if AVALS[out].nd:
            c = new_ndarray(out)
        status = fa_kernel(code, ptr, n, avs, data, &AVALS[out],
                           <char *>cnp.PyArray_DATA(c) if c is not None else <char *>&v, &env)
    finally:
        free(avs)
        free(data)
    if status == FA_EINDEX:
        raise IndexError("index is out of bounds")
    if status == FA_EFOREIGN:
        raise_current()
    if status == FA_ELINALG:
        raise numpy.linalg.LinAlgError((<Lapack>attr).failure)
    if status != FA_OK:
        raise MemoryError(f"fastad: {OPNAMES[code]}: no memory for its workspace")
    return record_structural(t, code, n, o, attr, out, c, v)


cdef object record_structural(Tape t, int code, int n, operand *o, Attr attr, uint32_t out, cnp.ndarray c, fa_cell v):
    cdef uint32_t *ids = <uint32_t *>malloc(max(1, n) * sizeof(uint32_t))
    cdef uint32_t i
    cdef int k
    try:
        for k in range(n):
            ids[k] = o[k].id
        if FORM[code] == FA_FORM_NARY:
            i = t.push_nary(code, out, ids, n, t.attr_id(attr))
        elif FORM[code] == FA_FORM_BINARY:
            i = t.push(code, out, ids[0], ids[1])
        else:
            i = t.push(code, out, ids[0], t.attr_id(attr))
    finally:
        free(ids)
    t.locate(i)
    return fresh_array(t, i, c) if AVALS[out].nd else new_scalar(t, i, AVALS[out].dtype, v)


def guard(Scalar x, kind):
    """Guard an integer or boolean traced scalar at its present value."""
    check_open(x.tape, x)
    x.tape.add_guard(x.id, x.v.i, kind)
    return number_of(x.v, x.dt)


def value_id(x):
    """SSA id of a traced value in the innermost open recording (for the Python layer: outputs, nesting)."""
    cdef Tape t = joint_tape(None, x)
    return (<Scalar>x).id if type(x) is Scalar else read(t, <Array>x)


def id_in(Tape t, x):
    """SSA id in recording t of any value: traced here or in an enclosing recording, ndarray, number."""
    cdef operand o
    cdef list keep = []
    joint_tape(t, x)
    resolve(t, x, code_of(x), &o, keep)
    return o.id


def make_input(Tape t, value, bint active=True, bint weak=False):
    """A traced input of recording t with a present value (a number or an ndarray, which is copied)."""
    cdef cnp.ndarray c
    cdef fa_cell v
    cdef Scalar x
    value = np.asarray(value)
    cdef int dtype = supported_dtype(value.dtype)
    cdef uint32_t i
    if value.ndim == 0:
        i = t.emit_input(dtype, active)
        v = cell_of(value[()], dtype)
        x = new_scalar(t, i, dtype, v)
        x.weak = weak
        return x
    c = np.array(value, dtype=DTYPES[dtype], order="C")
    i = t.emit_input(aval_id(dtype, value.shape), active)
    return fresh_array(t, i, c)


def wrap_value(Tape t, uint32_t i, value):
    """The traced value for SSA id i of the open recording t, whose present value is `value` (taken over)."""
    cdef int dtype = AVALS[t.aval[i]].dtype
    if AVALS[t.aval[i]].nd == 0:
        return new_scalar(t, i, dtype, cell_of(np.asarray(value)[()], dtype))
    return fresh_array(t, i, np.ascontiguousarray(value, dtype=DTYPES[dtype]).reshape(aval_shape(t.aval[i])))


cdef dict doors = {}                     # verb -> function, or "module:function" that is imported when it is called


def register(**verbs):
    """Say what stands behind the cold verbs of a Tape (called by the modules above)."""
    doors.update(verbs)


cdef object open_door(str verb):
    behind = doors.get(verb)
    if behind is None:
        raise InternalError(f"Tape.{verb}: nothing is registered for it")
    if isinstance(behind, str):
        import importlib
        module, _, name = behind.partition(":")
        behind = doors[verb] = getattr(importlib.import_module(module), name)
    return behind
