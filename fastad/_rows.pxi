"""_rows.pxi - the rows of primitives.py in the heart: opcodes, NumPy's and SciPy's inner loops (included in _tape.pyx).

Owns: the numbering of the rows, the search for a ufunc's loop of each dtype.
Must not know: derivatives (_templates.pxi records them).  Next: primitives.py (the rows), _kernels/layout.h (fa_prim).
"""
cdef int number_rows() except -1:
    """Give each row its opcode (those with a kernel of their own have theirs in layout.h) and fetch NumPy's loops."""
    cdef int k, code
    own = {fa_own_names[k].decode(): FA_ELEMENTWISE + k for k in range(FA_OWN_END - FA_ELEMENTWISE)}
    cdef int following = FA_OWN_END
    for row in primitives.TABLE:
        if row.name in own:
            code = own.pop(row.name)
        else:
            code = following
            following += 1
        OPCODES[row.name] = code
        OPNAMES[code] = row.name
        ROWS[code] = row
        describe_row(code, row)
    if own:
        raise InternalError(f"primitives.py has no row for {sorted(own)}")
    return 0


cdef int describe_row(int code, row) except -1:
    cdef fa_prim *p = &fa_prims[code]
    cdef int k
    p.arity = row.arity
    p.differentiable = row.differentiable
    for k in range(FA_NDTYPE):
        p.foreign |= ("fibf"[k] in row.foreign) << k
    for at, _ in row.refused:
        REFUSED[code] |= 1 << <int>at
    FORM[code] = FA_FORM_UNARY if row.arity == 1 else FA_FORM_BINARY if row.arity == 2 else FA_FORM_NARY
    ROW_FLOAT[code] = row.dtypes == "f"
    ROW_INT[code] = "i" in row.dtypes
    ROW_BOOLIN[code] = "b" in row.dtypes
    ROW_BOOL[code] = row.result == "bool"
    if isinstance(row.ufunc, np.ufunc):
        fetch_loops(code, row, row.ufunc)
        own_loop(code, row)
    return 0


cdef int fetch_loops(int code, row, ufunc) except -1:
    """Find the inner loops of `ufunc` for operands of each dtype; SciPy has none for float32 in places."""
    cdef PyUFuncObject *u = <PyUFuncObject *><void *>ufunc
    cdef int k, j, d, out
    for d in range(FA_NDTYPE):
        if "fibf"[d] not in row.dtypes:
            continue
        out = NPY_TYPE[2] if row.result == "bool" else NPY_TYPE[d]
        for k in range(u.ntypes):
            for j in range(u.nargs):
                if u.types[k * u.nargs + j] != (NPY_TYPE[d] if j < u.nin else out):
                    break
            else:
                if u.functions[k] != NULL:
                    fa_prims[code].loop[d].fn = u.functions[k]
                    fa_prims[code].loop[d].data = u.data[k] if u.data != NULL else NULL
                break
        if fa_prims[code].loop[d].fn == NULL and not row.own and d != FA_F32:
            raise InternalError(f"NumPy {np.__version__} has no {DTYPE_NAMES[d]} loop for {row.name}")
    return 0


def ensure_row(name):
    """Resolve a row whose ufunc lives in SciPy; returns its opcode."""
    code = OPCODES[name]
    row = ROWS[code]
    if isinstance(row.ufunc, str) and fa_prims[<int>code].loop[0].fn == NULL:
        if row.signature:
            adapt_loop(code, row)
        else:
            fetch_loops(code, row, primitives.resolve(row))
        record_partials(code, row)       # may need other rows of SciPy, and they this one: its loop is there
    return code


def row_takes(name, int dtype):
    """Has a row a loop for operands of this dtype, of its ufunc's or of ours?"""
    code = ensure_row(name)
    return fa_prims[<int>code].loop[dtype].fn != NULL or ROWS[code].own
