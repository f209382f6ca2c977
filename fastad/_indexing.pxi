"""_indexing.pxi - x[key] and x[key] = v for every kind of key (included in _tape.pyx).

Owns: the translation of keys.  Constant keys: NumPy indexes the concrete array (a view stays a view) or an array of
positions (a copy becomes a map).  Traced integers and masks become gathers and scatters whose positions are computed
anew at each replay; only a data-dependent length is guarded.
Next: _array.pxi (versions), numpy_api.py (take, put and friends).
"""

cdef object get_item(Array a, object key):
    cdef int64_t i, n
    if type(key) is int and cnp.PyArray_NDIM(a.c) == 1:
        n = cnp.PyArray_DIM(a.c, 0)
        i = key
        if i < 0:
            i += n
        if not 0 <= i < n:
            raise IndexError(f"index {key} is out of bounds for axis 0 with size {n}")
        if a.s.state != TRACED:
            return (<object>a.c)[i]
        return element(a, position(a, i))
    if type(key) is tuple and a.s.state == TRACED:
        i = place_of_element(a, <tuple>key)
        if i >= 0:
            return element(a, i)
    if a.s.state != TRACED and not has_traced(key):
        return wrap_plain((<object>a.c)[plain_key(key)], a.s)
    if not has_traced(key):
        if type(key) is not slice and type(key) is not int:
            pin(a.s.tape, key)
        return get_constant(a, plain_key(key))
    if has_flag(key):
        return get_item(a, decided(key))
    return get_dynamic(a, key)


cdef inline int64_t position(Array a, int64_t i) noexcept:
    """Memory position of element i of a 1-D array."""
    return (<char *>cnp.PyArray_DATA(a.c) + i * cnp.PyArray_STRIDE(a.c, 0) - a.s.base) // fa_itemsize[a.s.dtype]


cdef int64_t place_of_element(Array a, tuple key) except -2:
    """Memory position of the element at a tuple of ints, one an axis; -1: the key is something else."""
    cdef int64_t i, n, offset = 0
    cdef int d
    if len(key) != cnp.PyArray_NDIM(a.c):
        return -1
    for d in range(cnp.PyArray_NDIM(a.c)):
        if type(key[d]) is not int:
            return -1
        i = key[d]
        n = cnp.PyArray_DIM(a.c, d)
        if not -n <= i < n:
            raise IndexError(f"index {i} is out of bounds for axis {d} with size {n}")
        offset += (i + n if i < 0 else i) * cnp.PyArray_STRIDE(a.c, d)
    return (<char *>cnp.PyArray_DATA(a.c) + offset - a.s.base) // fa_itemsize[a.s.dtype]


cdef int64_t place_at(Array a, key) except -1:
    """Memory position of the element at any constant key that names a single element."""
    cdef cnp.ndarray r = (<object>a.c)[(*key, Ellipsis) if isinstance(key, tuple) else (key, Ellipsis)]
    if not shares(r, a.s):               # an index that is a 0-d array makes a copy
        return positions_of(a.s, a.c)[key]
    return (<char *>cnp.PyArray_DATA(r) - a.s.base) // fa_itemsize[a.s.dtype]


cdef bint has_traced(key) except -1:
    """Does a key contain traced values?"""
    if type(key) is Scalar:
        return True
    if type(key) is Array:
        return (<Array>key).s.state == TRACED
    if isinstance(key, (tuple, list)):
        for k in key:
            if has_traced(k):
                return True
    return False


cdef object plain_key(key):
    """The key with plain arrays in place of our wrappers."""
    if type(key) is Array:
        return (<Array>key).c
    if isinstance(key, tuple):
        return tuple([plain_key(k) for k in key])
    if isinstance(key, list):
        return [plain_key(k) for k in key]
    return key


cdef object get_constant(Array a, key):
    """A traced array at a constant key."""
    cdef cnp.ndarray r
    c = <object>a.c
    out = c[key]
    if not isinstance(out, ndarray_type):
        return element(a, place_at(a, key))
    r = out
    if shares(r, a.s) or r.size == 0:
        return new_array(r, a.s) if r.size else wrap_plain(empty_like(<object>r))
    return gathered(a, r, constant_map(a, key))


cdef object empty_like(r):
    """An array of no elements with the strides of another: np.concatenate asks even those for its memory order."""
    return np.ndarray(r.shape, r.dtype, np.empty(1, r.dtype), 0, r.strides)


cdef dict gather_maps = {}               # (layout of the array, index array) -> Map


cdef Map constant_map(Array a, key):
    """The map of a copy at a constant key; kept for a small index array or mask, which loops use again and again."""
    cdef cnp.ndarray c = a.c
    cdef object place = None
    if type(key) is ndarray_type and cnp.PyArray_SIZE(key) <= 64 and cnp.PyArray_IS_C_CONTIGUOUS(c):
        place = ((<object>c).shape, key.dtype.num, key.shape, key.tobytes())
        found = gather_maps.get(place)
        if found is not None:
            return <Map>found
    m = map_of_positions(cnp.PyArray_SIZE(c), np.asarray(order_of(c)[key]))
    if place is not None:
        if len(gather_maps) > 10000:
            gather_maps.clear()
        gather_maps[place] = m
    return <Map>m


cdef object order_of(c):
    """Array of flat C-order positions, in the memory layout of c."""
    out = np.empty_like(c, dtype=np.int64)
    out[...] = np.arange(c.size, dtype=np.int64).reshape(c.shape)
    return out


cdef object memory_of(Storage s):
    """All of the memory as a writeable 1-D array."""
    cdef object root = s.root
    if cnp.PyArray_IS_C_CONTIGUOUS(s.root):
        return root.reshape(-1)
    return np.lib.stride_tricks.as_strided(memory_start(s), (s.size,), (fa_itemsize[s.dtype],), writeable=True)


cdef object memory_start(Storage s):
    """The root as an array that begins at the lowest address."""
    cdef object root = s.root
    return root[(*[slice(None, None, -1) if st < 0 else slice(None) for st in root.strides], Ellipsis)]


cdef object positions_of(Storage s, cnp.ndarray c):
    """Array of memory positions in a storage, with the shape of its view c."""
    shape, offset, strides = place_of(new_array(c, s))
    return affine_positions(shape, offset, strides).reshape(shape)


def move_by_positions(Array a, cnp.ndarray result, positions):
    """An array whose elements are those of `a` at C-order positions; `result` is the concrete one, in its layout."""
    return gathered(a, result, map_of_positions(cnp.PyArray_SIZE(a.c), positions))


cdef object gathered(Array a, cnp.ndarray result, Map m):
    cdef Tape t = a.s.tape
    cdef uint32_t x = read(t, a)
    cdef uint32_t i = t.push(FA_MOVE, aval_id(a.s.dtype, (<object>result).shape), x, t.attr_id(m))
    t.locate(i)
    return fresh_array(t, i, result)


def map_of_positions(int64_t nsrc, positions):
    """The map that gathers an array of positions: affine where it is, else a table."""
    cdef tuple shape = positions.shape
    cdef list strides = []
    cdef int d
    if positions.size:
        first = positions[(0,) * len(shape)]
        for d in range(len(shape)):
            second = tuple([1 if k == d else 0 for k in range(len(shape))])
            strides.append(int(positions[second] - first) if shape[d] > 1 else 0)
        if np.array_equal(affine_positions(shape, int(first), tuple(strides)), positions.ravel()):
            return view_map(nsrc, shape, int(first), tuple(strides))
    return Map.table(nsrc, positions.size, positions)


# ---- traced keys ---------------------------------------------------------------------------------------------------
cdef tuple full_key(Array a, key):
    """The key as a tuple with one entry an axis: slices, ints, integer arrays, None; masks become positions."""
    cdef list entries = []
    cdef int used = 0
    items = key if isinstance(key, tuple) else (key,)
    items = [api().asarray(k) if isinstance(k, (list, tuple)) else k for k in items]
    for k in items:
        if k is None or k is Ellipsis:
            continue
        used += k.ndim if is_mask(k) else 1
    check_fit(a, items, used)
    seen = False
    for k in items:
        if k is Ellipsis:
            entries += [slice(None)] * (cnp.PyArray_NDIM(a.c) - used)
            seen = True
        elif is_mask(k):
            entries += api().nonzero(k)
        else:
            entries.append(k)
    if not seen:
        entries += [slice(None)] * (cnp.PyArray_NDIM(a.c) - used)
    return tuple(entries)


cdef int check_fit(Array a, items, int used) except -1:
    """Raise NumPy's own error if there are more indices than axes, or a mask is not as long as the axes under it."""
    cdef tuple shape = (<object>a.c).shape
    cdef int axis = 0
    cdef bint fits = used <= len(shape)
    for k in items if fits else ():
        if k is Ellipsis:
            axis += len(shape) - used
        elif k is not None:
            n = k.ndim if is_mask(k) else 1
            fits = fits and (not is_mask(k) or shape_of(k) == shape[axis:axis + n])
            axis += n
    if not fits:
        (<object>a.c)[tuple([concrete(k) for k in items])]
        raise IndexError(f"{here()}: an index does not fit an array of shape {shape}")
    return 0


cdef bint has_flag(key) except -1:
    """Is there a traced bool among the indices?  To NumPy it is an axis of one element or of none."""
    for k in (key if type(key) is tuple else (key,)):
        if is_flag(k):
            return True
    return False


cdef bint is_flag(k) except -1:
    return is_traced(k) and is_mask(k) and shape_of(k) == ()


cdef object decided(key):
    """The key with True or False in place of traced bools: lengths depend on them, so that they are guarded."""
    found = tuple([bool(k) if is_flag(k) else k for k in (key if type(key) is tuple else (key,))])
    if has_traced(found):
        raise UnsupportedError(f"{here()}: a bool and traced integers or masks in one index; write x[k] under "
                               "`if flag:`, or choose by np.where(flag, ...)")
    return found if type(key) is tuple else found[0]


cdef bint is_mask(k) except -1:
    return isinstance(k, (ndarray_type, Scalar)) and k.dtype == DTYPES[2] and not isinstance(k, bool)


cdef object flat_positions(Array a, tuple key):
    """Traced C-order positions into `a` of a key that has traced integers: constant part plus strides times indices."""
    cdef int axis = 0, d
    cdef list static = []
    cdef list dynamic = []
    cdef tuple shape = (<object>a.c).shape
    if len(key) == 1 and len(shape) == 1 and is_traced(key[0]) and code_of(key[0]) == FA_I64:
        return api().wrap_index(key[0], shape[0])
    advanced = [k for k in key if isinstance(k, (ndarray_type, Scalar, int, np.integer))
                and not isinstance(k, bool)]
    try:
        common = np.broadcast_shapes(*[shape_of(k) for k in advanced])
    except ValueError:
        raise IndexError("shape mismatch: indexing arrays could not be broadcast together with shapes "
                         + " ".join([str(shape_of(k)) for k in advanced])) from None
    for k in key:
        if k is None:
            static.append(None)
            continue
        if type(k) is Scalar or (type(k) is Array and (<Array>k).s.state == TRACED):
            if code_of(k) != FA_I64:
                raise IndexError("arrays used as indices must be of integer (or boolean) type")
            dynamic.append((k, shape[axis], math.prod(shape[axis + 1:])))
            static.append(np.zeros(common, dtype=np.int64))
        elif isinstance(k, (int, np.integer)):
            static.append(np.full(common, k, dtype=np.int64))
        elif type(k) is Array:
            static.append((<Array>k).c)
        else:
            static.append(k)
        axis += 1
    base = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    base = empty_axes_ok(base, shape, common)[tuple(static)]
    where = advanced_axes(key, len(common))
    total = None
    for k, extent, stride in dynamic:
        part = api().wrap_index(k, extent)
        part = part * stride if stride != 1 else part
        lead = list(shape_of(part))
        part = api().reshape(part, (1,) * where + (1,) * (len(common) - len(lead)) + tuple(lead)
                             + (1,) * (base.ndim - where - len(common))) if base.ndim else part
        total = part if total is None else total + part
    if total is None:                    # a mask that selects nothing has given constant positions
        return make_plain(base)
    return total + make_plain(base) if base.ndim else total + int(base)


cdef object empty_axes_ok(base, shape, common):
    if 0 in shape and math.prod(common):
        raise IndexError("index is out of bounds for axis with size 0")
    return base


cdef int advanced_axes(tuple key, int ncommon) except -1:
    """Axis of the result at which the broadcast index dimensions stand: in place if adjacent, else in front."""
    cdef int at = 0, first = -1
    cdef bint ended = False
    for k in key:
        if isinstance(k, (ndarray_type, Scalar, int, np.integer)) and not isinstance(k, bool):
            if ended:
                return 0
            if first < 0:
                first = at
        else:
            ended = ended or first >= 0
            at += 1
    return first


cdef object get_dynamic(Array a, key):
    cdef tuple entries = full_key(a, key)
    if basic_only(entries) and not all_scalar(entries):
        return get_row(a, entries)
    pin(current(), key)
    positions = flat_positions(a, entries)
    if a.s.state != TRACED and type(positions) is Array and (<Array>positions).s.state != TRACED:
        return wrap_plain((<object>a.c).reshape(-1)[(<Array>positions).c])   # a mask that selects nothing
    return laid_out(api().take_flat(a, positions), a, entries)


cdef object laid_out(r, Array a, tuple entries):
    """A gathered array in the memory layout that NumPy gives it: it decides whether a later ravel is a view."""
    cdef cnp.ndarray like
    if type(r) is not Array or cnp.PyArray_NDIM((<Array>r).c) < 2 or (<Array>r).s.state != TRACED:
        return r
    like = (<object>a.c)[tuple([concrete(k) for k in entries])]
    if cnp.PyArray_IS_C_CONTIGUOUS(like):
        return r
    out = np.empty_like(like)
    out[...] = (<Array>r).c
    return fresh_array((<Array>r).s.tape, read((<Array>r).s.tape, <Array>r), out)


cdef bint basic_only(tuple key) except -1:
    for k in key:
        if isinstance(k, ndarray_type) and k.ndim:
            return False
    return True


cdef bint all_scalar(tuple key) except -1:
    for k in key:
        if k is None or isinstance(k, slice):
            return False
    return True


cdef tuple guarded_key(tuple key):
    return tuple([k.__index__() if type(k) is Scalar or type(k) is Array else k for k in key])


# ---- writing -------------------------------------------------------------------------------------------------------
cdef int set_item(Array a, object key, object value) except -1:
    cdef int64_t i, n
    cdef Storage s = a.s
    cdef cnp.ndarray r
    if s.state == TRACED and s.tape.owner != PyThreadState_Get() and s.leaf is None:
        check_open(s.tape, a)
    if type(key) is int and cnp.PyArray_NDIM(a.c) == 1 and (s.state == TRACED or type(value) is Scalar):
        n = cnp.PyArray_DIM(a.c, 0)
        i = key
        if i < 0:
            i += n
        if not 0 <= i < n:
            raise IndexError(f"index {key} is out of bounds for axis 0 with size {n}")
        if type(value) is Scalar or PyFloat_Check(value):
            return put_element(a, position(a, i), value)
    if type(key) is tuple and s.state == TRACED and type(value) is Scalar:
        i = place_of_element(a, <tuple>key)
        if i >= 0:
            return put_element(a, i, value)
    if is_complex(value):
        api().put_complex(a, key, value)
        return 0
    if has_traced(key):
        return set_dynamic(a, key, value)
    given = key
    key = plain_key(given)
    if s.state != TRACED and joint_tape(None, list_probe(value)) is None and not isinstance(value, (list, tuple)) \
            and tape_of_write(s, None) is None:
        if a.frozen:
            raise ValueError("assignment destination is read-only")
        if s.rows is not None:
            forget_rows(s, value)
        (<object>a.c)[key] = (<Array>value).c if type(value) is Array else value
        return 0
    if isinstance(value, (list, tuple)):
        value = api().asarray(value)
        return set_item(a, given, value)
    if is_basic(key):
        out = (<object>a.c)[key if isinstance(key, tuple) else (key,)]
        if not isinstance(out, ndarray_type):
            return put_element(a, place_at(a, key), value)
        r = out
        if r.size == 0:
            np.broadcast_to(np.empty(shape_of(value)), (<object>r).shape)
            return 0
        return store(new_array(r, s), value)
    pin(current(), given)
    return set_table(a, key, value)


cdef object list_probe(value):
    return value


cdef bint is_basic(key) except -1:
    items = key if isinstance(key, tuple) else (key,)
    for k in items:
        if not (k is None or k is Ellipsis or isinstance(k, slice) or
                (isinstance(k, (int, np.integer)) and not isinstance(k, (bool, np.bool_)))):
            return False
    return True


cdef int set_table(Array a, key, value) except -1:
    """x[constant index arrays or masks] = value; of duplicates the last one wins."""
    positions = np.asarray(positions_of(a.s, a.c)[key])
    return scatter(a, positions, value, (<object>a.c)[key].shape)


cdef int scatter(Array a, positions, value, tuple shape) except -1:
    """Write `value`, repeated to `shape`, at constant memory positions."""
    cdef Storage s = a.s
    cdef Tape t = tape_of_write(s, joint_tape(s.tape if s.state == TRACED else None, value))
    cdef operand o
    cdef list keep = []
    cdef uint32_t[2] ids
    cdef const int64_t *pos
    cdef int64_t k
    if positions.size == 0:
        return 0
    begin_write(a, t, value)
    resolve(t, value, s.dtype, &o, keep)
    own = aval_shape(o.aval)
    n = AVALS[o.aval].size
    src = np.broadcast_to(np.arange(n, dtype=np.int64).reshape(own), shape).ravel()
    flat = positions.ravel()
    _, last = np.unique(flat[::-1], return_index=True)
    last = np.sort(len(flat) - 1 - last)
    src, flat = src[last], np.ascontiguousarray(flat[last])
    if s.dirty:
        flush(s)
    ids[0] = version_of(s)
    ids[1] = o.id
    s.ver = t.push_nary(FA_WRITE, aval_id(s.dtype, (s.size,)), ids, 2, t.attr_id(Map.table(n, s.size, src, flat)))
    t.locate(s.ver)
    s.fresh = 0
    s.version += 1
    memory_of(s)[flat] = keep[-1].ravel()[src] if o.data != NULL else number_of(o.cell, s.dtype)
    if s.ids != NULL:
        pos = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>flat)
        for k in range(len(flat)):
            s.ids[pos[k]] = 0
    return 0


cdef int set_dynamic(Array a, key, value) except -1:
    """x[traced integers or mask] = value."""
    cdef tuple entries
    if is_mask(key) and shape_of(key) == (<object>a.c).shape and math.prod(shape_of(value)) == 1:
        value = api().reshape(api().asarray(value), ()) if shape_of(value) else value
        return store(a, api().where(key, api().cast_to(value, a.s.dtype), a))
    if is_flag(key) and len(shape_of(value)) <= cnp.PyArray_NDIM(a.c):
        return store(a, api().where(key, api().cast_to(api().asarray(value), a.s.dtype), a))
    if has_flag(key):
        return set_item(a, decided(key), value)
    entries = full_key(a, key)
    if basic_only(entries) and not all_scalar(entries) and not (current() is not None and current().body):
        return set_item(a, guarded_key(entries), value)
    pin(current(), key)
    put_back(current(), value)
    positions = flat_positions(a, entries)
    if not is_traced(positions):         # a mask that selects nothing
        return 0
    if a.s.rows is None:
        return store(a, api().put_flat(a, positions, value))
    forget_rows(a.s, value)
    rows, a.s.rows = a.s.rows, None
    store(a, api().put_flat(a, positions, value))
    a.s.rows = rows
    return 0


# ---- index arrays --------------------------------------------------------------------------------------------------
cdef int pin(Tape t, key) except -1:
    """Guard the user's own arrays in a constant key: a recording keeps the positions that they name, not the arrays.

    An array that only the running expression holds (`x[k + 1]`) cannot be changed by anybody, and is not guarded.
    """
    if t is None or t.eager or t.owner != PyThreadState_Get() or \
            not (type(key) is Array or type(key) is tuple or isinstance(key, ndarray_type)):
        return 0
    if not is_user_code(PyFrame_GetCode(PyEval_GetFrame())):     # positions that we have computed ourselves
        return 0
    if type(key) is Array:
        if (<Array>key).s.state == CAPTURED:
            pin_array(t, (<Array>key).c)
    elif isinstance(key, ndarray_type):
        if Py_REFCNT(key) > 1 or not cnp.PyArray_CHKFLAGS(<cnp.ndarray>key, cnp.NPY_ARRAY_OWNDATA):
            pin_array(t, key)
    elif type(key) is tuple:
        for k in key:
            if type(k) is Array or (isinstance(k, ndarray_type) and (
                    Py_REFCNT(k) > 2 or not cnp.PyArray_CHKFLAGS(<cnp.ndarray>k, cnp.NPY_ARRAY_OWNDATA))):
                pin(t, k)
    return 0


cdef int pin_array(Tape t, array) except -1:
    cdef tuple shape = array.shape
    cdef uint32_t i
    if array.size == 0 or array.dtype.kind not in "iub":
        return 0
    found = t.capture_index.get(id(array))
    if found is not None and (found[3] != shape or not unchanged(found[1], array)):
        freeze_capture(t, found[0], found[1], array)
        del t.capture_index[id(array)]
        return 0                         # f itself changes it: what it will be is no matter of the outside
    if found is not None:
        i = found[0]
    else:
        i = t.push_capture(array)
        t.capture_index[id(array)] = (i, array.copy(order="C"), array, shape)
        t.locate(i)
    pinned = t.derived.setdefault("pinned", set())
    if i not in pinned:
        pinned.add(i)
        guard_array(t, i, array, "an index array")
    return 0


cdef frozenset DISPATCHERS = frozenset(("function", "call", "derive", "ufunc", "settled", "record", "joined", "insert",
                                        "append", "pad", "widths", "_filled", "diag", "diagflat"))


def pinned(key):
    """For the implementation of a NumPy function: an index array among its arguments, guarded if it is the user's."""
    cdef Tape t = current()
    if t is None or t.eager or not isinstance(key, ndarray_type):
        return key
    frame = sys._getframe(1)             # of the implementation's caller: dispatchers of ours, then who called NumPy
    while frame.f_code.co_name in DISPATCHERS and not is_user_code(frame.f_code):
        frame = frame.f_back
    if is_user_code(frame.f_code):
        if type(key) is not Array:
            pin_array(t, key)
        elif (<Array>key).s.state == CAPTURED:
            pin_array(t, (<Array>key).c)
    return key
