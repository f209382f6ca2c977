"""_operands.pxi - what an instruction takes: the ids of its operands, and their present values (included in _tape.pyx).

Owns: on which tape values meet; constants, captured arrays and conversions as operands; where the data of each is, and
whether they have to be copied to be computed with: arithmetic runs on slices row by row, where they lie.
Must not know: what is computed.
Next: _elementwise.pxi and _structural.pxi (who takes them), _storage.pxi (reads), _kernels/elementwise.h.
"""

cdef Tape joint_tape(Tape t, object x):
    """The innermost of two tapes that are open in this thread."""
    cdef Tape u = None
    if type(x) is Scalar:
        u = (<Scalar>x).tape
        if u.owner != PyThreadState_Get():
            if (<Scalar>x).leaf is not None:
                u = (<Scalar>x).leaf.attach(x)
            else:
                check_open(u, x)
    elif type(x) is Array and (<Array>x).s.state == TRACED:
        u = (<Array>x).s.tape
        if u.owner != PyThreadState_Get():
            if (<Array>x).s.leaf is not None:
                u = (<Array>x).s.leaf.attach(x)
            else:
                check_open(u, x)
    elif isinstance(x, Complex):
        return joint_tape(joint_tape(t, (<Complex>x).re), (<Complex>x).im)
    if u is None or u is t:
        return t
    if t is None:
        return u
    cdef Tape up = u.parent
    while up is not None:
        if up is t:
            return u
        up = up.parent
    up = t.parent
    while up is not None:
        if up is u:
            return t
        up = up.parent
    raise EscapedTracerError(f"{here()}: traced values of two unrelated recordings meet; return them from the one, "
                             "and pass them to the other as arguments")


cdef uint32_t lift(Tape t, Tape home, uint32_t i, object value) except 0:
    """Id in t of value i (concrete: `value`) of `home`, a recording around t: it becomes an input of t."""
    if home is t:
        return i
    if t.parent is None:
        raise InternalError("lift: the value's recording does not enclose this one")
    i = lift(t.parent, home, i, value)
    found = t.lifted.get(i)
    if found is None:
        found = t.emit_input(t.parent.aval[i], t.parent.is_active(i))
        t.lifted[i] = found
        t.lifted_from.append(i)
        t.lifted_values.append(np.array(value))
    return <uint32_t>found


cdef uint32_t lift_scalar(Tape t, Scalar x) except 0:
    return lift(t, x.tape, x.id, x.number())


cdef int resolve(Tape t, object x, int want, operand *o, list keep) except -1:
    """Id, aval and contiguous concrete data of an operand in dtype `want`; what holds the data is last in `keep`."""
    resolve_as_it_lies(t, x, want, o, keep)
    return pack(o, keep)


cdef int resolve_as_it_lies(Tape t, object x, int want, operand *o, list keep) except -1:
    """The same, but an array of that dtype is not copied to be contiguous."""
    cdef cnp.ndarray c
    cdef int have
    o.data = NULL
    o.strided = NULL
    if type(x) is Scalar:
        o.cell = (<Scalar>x).v
        have = (<Scalar>x).dt
        o.id = (<Scalar>x).id if (<Scalar>x).tape is t else lift_scalar(t, <Scalar>x)
        o.aval = have
    elif type(x) is Array:
        have = (<Array>x).s.dtype
        o.id = read(t, <Array>x)
        set_data(t, (<Array>x).c, have, o, keep)
    elif isinstance(x, ndarray_type):
        have = supported_dtype(x.dtype)
        o.id = t.emit_const(x) if t.eager else capture(t, x)
        c = x
        if cnp.PyArray_TYPE(c) != NPY_TYPE[have] or not cnp.PyArray_ISBEHAVED_RO(c):
            c = np.ascontiguousarray(x, dtype=DTYPES[have]).reshape(x.shape)
        set_data(t, c, have, o, keep)
    else:
        o.cell = cell_of(x, want)
        o.aval = want
        o.id = t.const_f64(o.cell.f) if want == FA_F64 else t.const_f32(o.cell) if want == FA_F32 else \
            t.const_cell(want, o.cell)
        if want == FA_F32 and x is not None and isfinite(<double>x) and not isfinite(<double>o.cell.s):
            np.float32(0) * x                # NumPy's own warning or error: it overflows float32
        return 0
    if have != want:
        pack(o, keep)
        convert(t, o, have, want, keep)
    return 0


cdef inline cnp.ndarray contiguous(cnp.ndarray c):
    return c if cnp.PyArray_IS_C_CONTIGUOUS(c) else cnp.PyArray_GETCONTIGUOUS(c)


cdef int set_data(Tape t, cnp.ndarray c, int dtype, operand *o, list keep) except -1:
    o.aval = t.aval[o.id]
    if cnp.PyArray_NDIM(c) == 0:
        o.cell = cell_of((<object>c)[()], dtype)
        return 0
    keep.append(c)
    o.data = <char *>cnp.PyArray_DATA(c)
    if not cnp.PyArray_IS_C_CONTIGUOUS(c):
        o.strided = <void *>c
    return 0


cdef int pack(operand *o, list keep) except -1:
    """Make the data of an operand contiguous."""
    cdef cnp.ndarray c
    if o.strided != NULL:
        c = cnp.PyArray_GETCONTIGUOUS(<cnp.ndarray>o.strided)
        keep.append(c)
        o.data = <char *>cnp.PyArray_DATA(c)
        o.strided = NULL
    return 0


cdef int convert(Tape t, operand *o, int have, int want, list keep) except -1:
    cdef fa_aval *av = &AVALS[o.aval]
    cdef uint32_t target = aval_id(want, aval_shape(o.aval))
    cdef fa_aval *out = &AVALS[target]
    cdef cnp.ndarray c
    cdef fa_cell y
    cdef char *data = o.data if av.nd else <char *>&o.cell
    cdef fa_env env
    o.id = t.push(FA_CAST, target, o.id, t.attr_id(None))
    o.aval = target
    env.flags = env.has_foreign = 0
    if av.nd == 0:
        y.i = 0
        fa_kernel(FA_CAST, NULL, 1, <const fa_aval *const *>&av, &data, out, <char *>&y, &env)
        o.cell = y
    else:
        c = np.empty(aval_shape(target), dtype=DTYPES[want])
        fa_kernel(FA_CAST, NULL, 1, <const fa_aval *const *>&av, &data, out, <char *>cnp.PyArray_DATA(c), &env)
        keep.append(c)
        o.data = <char *>cnp.PyArray_DATA(c)
    return 0


cdef enum: LEAST_ROW = 32                # elements, from which on a row is computed where it lies


cdef bint lies_in_rows(int op, int m, int n, operand *o, const fa_aval *out) noexcept:
    """Are operands slices, each row of which lies in one piece, and is this arithmetic, which needs no copy of them?"""
    cdef int k, last = out.nd - 1
    cdef bint strided = False
    if not fa_is_arithmetic(op, m, out.dtype) or out.shape[last] < LEAST_ROW:
        return False
    for k in range(n):
        if o[k].strided != NULL:
            strided = True
            if cnp.PyArray_STRIDE(<cnp.ndarray>o[k].strided, last) != fa_itemsize[m]:
                return False
    return strided


cdef void rows_of(int op, int n, operand *o, char **data, const fa_aval *out, char *y) noexcept:
    """Arithmetic on operands that lie in rows; contiguous ones do, too."""
    cdef int64_p[2] strides
    cdef int64_t[64] whole
    cdef int64_t step = fa_itemsize[out.dtype]
    cdef int k
    for k in range(out.nd - 1, -1, -1):
        whole[k] = step
        step *= out.shape[k]
    strides[0] = strides[1] = NULL
    for k in range(n):
        if o[k].strided != NULL:
            strides[k] = <int64_p>cnp.PyArray_STRIDES(<cnp.ndarray>o[k].strided)
        elif AVALS[o[k].aval].nd:
            strides[k] = &whole[0]
    fa_arithmetic_rows(op, out, data, strides, y)
