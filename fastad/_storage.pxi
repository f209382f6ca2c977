"""_storage.pxi - storages and their versions: which SSA value the memory of an array holds (included in _tape.pyx).

Owns: reads, which take the current version; writes, which make the next one; the per-element table that turns
`y[i] = s; y[i-1]` into no instruction at all; captured arrays and the check that f did not change them.
A storage in which nothing traced has been written is plain: its concrete memory says all.
Next: _array.pxi (the traced array), _indexing.pxi (keys).
"""

cdef enum: DIRTY = 0x80000000            # an id in the element table that is newer than the storage's version

cdef dict view_maps = {}                 # (size, shape, offset, strides) -> Map


cdef Map view_map(int64_t size, tuple shape, int64_t offset, tuple strides):
    key = (size, shape, offset, strides)
    found = view_maps.get(key)
    if found is None:
        if len(view_maps) > 10000:
            view_maps.clear()
        found = view_maps[key] = Map.view(size, shape, offset, strides)
    return <Map>found


cdef uint64_t births = 0                 # storages so far


cdef Storage new_storage(cnp.ndarray c, int dtype, int state):
    global births
    cdef Storage s = Storage.__new__(Storage)
    cdef int64_t span = 0, low = 0
    cdef int d
    s.root = c
    s.dtype = dtype
    s.state = state
    if careful:
        s.born = current()
    s.birth = births
    births += 1
    s.base = <char *>cnp.PyArray_DATA(c)
    s.size = cnp.PyArray_SIZE(c)
    if not cnp.PyArray_IS_C_CONTIGUOUS(c) and s.size:
        for d in range(cnp.PyArray_NDIM(c)):
            if cnp.PyArray_STRIDE(c, d) < 0:
                low += cnp.PyArray_STRIDE(c, d) * (cnp.PyArray_DIM(c, d) - 1)
            else:
                span += cnp.PyArray_STRIDE(c, d) * (cnp.PyArray_DIM(c, d) - 1)
        s.base += low
        s.size = (span - low) // cnp.PyArray_ITEMSIZE(c) + 1
    return s


cdef inline Array new_array(cnp.ndarray c, Storage s):
    cdef Array a = Array.__new__(Array)
    a.c = c
    a.s = s
    return a


cdef Array fresh_array(Tape t, uint32_t i, cnp.ndarray c):
    """The array that an instruction has made: value i, concrete c, nothing else shares its memory."""
    cdef Storage s = new_storage(c, AVALS[t.aval[i]].dtype, TRACED)
    cdef Array a = new_array(c, s)
    s.tape = t
    s.fresh = i
    a.read_id = i
    return a


cdef object wrap_plain(object r, Storage s=None):
    """The result of plain NumPy on plain arrays: recordable while this thread records."""
    cdef Storage home
    if isinstance(r, ndarray_type):
        if current() is None or r.dtype not in dtype_codes:
            return plain_complex(r, False) if type(r) is ndarray_type else r
        if s is not None and shares(r, s):
            return new_array(r, s)
        root = r
        while isinstance(root.base, ndarray_type):
            root = root.base
        if root.dtype != r.dtype:
            root = r
        home = new_storage(root, dtype_codes[r.dtype], PLAIN)
        return new_array(r, home)
    if isinstance(r, tuple):
        return tuple([wrap_plain(x, s) for x in r])
    if isinstance(r, list):
        return [wrap_plain(x, s) for x in r]
    return r


cdef bint shares(cnp.ndarray r, Storage s) noexcept:
    """Is r a view of the storage's memory?"""
    cdef char *p = <char *>cnp.PyArray_DATA(r)
    return s.base <= p < s.base + s.size * fa_itemsize[s.dtype] and cnp.PyArray_SIZE(r) > 0


def make_plain(array, bint captured=False):
    """An ndarray as a recordable array with nothing traced in it; `captured`: the user's own, bound by reference."""
    cdef cnp.ndarray c = array
    cdef Array a
    if array.dtype not in dtype_codes:
        return plain_complex(array, captured)
    if not captured:
        return wrap_plain(array)
    root = array
    while isinstance(root.base, ndarray_type) and root.base.dtype == array.dtype:
        root = root.base
    return new_array(c, new_storage(root, dtype_codes[array.dtype], CAPTURED))


def recordable(array):
    """An ndarray that nobody else holds as a recordable array, even if no recording is open (define-by-run)."""
    cdef cnp.ndarray c = array
    if array.dtype not in dtype_codes:
        return plain_complex(array, False)
    return new_array(c, new_storage(c, dtype_codes[array.dtype], PLAIN))


# ---- reading -------------------------------------------------------------------------------------------------------
cdef uint32_t read(Tape t, Array a) except 0:
    """SSA value of an array as it is now, in the tape t."""
    cdef Storage s = a.s
    cdef uint32_t i
    if s.state == PLAIN:
        return snapshot(t, a)
    if s.state == CAPTURED:
        return t.emit_const(a.c) if t.eager else capture(t, a.c)
    if a.read_id == 0 or a.read_version != s.version:
        a.read_id = read_view(s.tape, a)
        a.read_version = s.version
    return a.read_id if s.tape is t else lift(t, s.tape, a.read_id, a.c)


cdef uint32_t snapshot(Tape t, Array a) except 0:
    """A plain array as a constant; the last one is used again while the content is the same."""
    cdef Storage s = a.s
    key = ((<object>a.c).shape, (<object>a.c).strides, <size_t>cnp.PyArray_DATA(a.c))
    if s.tape is t and s.snapshot is not None and s.snapshot[0] == key \
            and same_bytes(<cnp.ndarray>t.constant(s.snapshot_id), contiguous(a.c)):
        return s.snapshot_id
    cdef uint32_t i = t.emit_const(a.c) if cnp.PyArray_NDIM(a.c) == 0 else constant_array(t, a.c, s.dtype)
    if cnp.PyArray_NDIM(a.c) and t.op[i] == FA_CONST:
        s.tape = t
        s.snapshot = (key,)
        s.snapshot_id = i
    return i


cdef uint32_t constant_array(Tape t, cnp.ndarray c, int dtype) except 0:
    """An array constant; one that repeats a single number takes no memory in the tape."""
    cdef uint32_t i
    cdef fa_cell x
    cdef cnp.ndarray flat = contiguous(c)
    if repeats_one(<char *>cnp.PyArray_DATA(flat), cnp.PyArray_SIZE(flat), cnp.PyArray_ITEMSIZE(flat)):
        x = cell_of((<object>flat).item(0), dtype)
        if not isnan_cell(x, dtype):
            i = t.const_f64(x.f) if dtype == FA_F64 else t.const_cell(dtype, x)
            shape = (<object>c).shape
            return t.push(FA_MOVE, aval_id(dtype, shape), i, t.attr_id(view_map(1, shape, 0, (0,) * len(shape))))
    return t.emit_const(c)


cdef inline bint isnan_cell(fa_cell x, int dtype) noexcept:
    return x.f != x.f if dtype == FA_F64 else x.s != x.s if dtype == FA_F32 else False


cdef inline bint repeats_one(const char *data, int64_t n, int64_t itemsize) noexcept:
    """Are n > 1 elements all the same bytes?"""
    return n > 1 and memcmp(data, data + itemsize, (n - 1) * itemsize) == 0


cdef tuple place_of(Array a):
    """(shape, offset, strides) of an array in its storage, in elements."""
    cdef Storage s = a.s
    cdef int64_t item = fa_itemsize[s.dtype]
    cdef int d, nd = cnp.PyArray_NDIM(a.c)
    cdef int64_t offset = (<char *>cnp.PyArray_DATA(a.c) - s.base) // item
    cdef list strides = []
    cdef list shape = []
    for d in range(nd):
        shape.append(cnp.PyArray_DIM(a.c, d))
        strides.append(cnp.PyArray_STRIDE(a.c, d) // item)
    return tuple(shape), offset, tuple(strides)


cdef inline bint is_whole(Array a) noexcept:
    """Is the array all of its storage, in memory order?"""
    return cnp.PyArray_SIZE(a.c) == a.s.size and cnp.PyArray_IS_C_CONTIGUOUS(a.c)


cdef uint32_t read_view(Tape t, Array a) except 0:
    cdef Storage s = a.s
    cdef uint32_t ver
    cdef uint32_t found
    cdef tuple shape
    if cnp.PyArray_SIZE(a.c) == 0:
        return t.emit_const(a.c)
    if s.dirty:
        found = stack_of_elements(t, a)
        if found:
            return found
        flush(s)
    ver = version_of(s)
    shape = (<object>a.c).shape
    if is_whole(a) and len(shape):
        return ver if len(shape) == 1 else t.push(FA_RESHAPE, aval_id(s.dtype, shape), ver, t.attr_id(None))
    place = place_of(a)
    if s.reads is None or s.reads_version != s.version:
        s.reads = {}
        s.reads_version = s.version
    read_before = s.reads.get(place)     # x[1:] makes another view at each use, of the same elements
    if read_before is None:
        shape, offset, strides = place
        if not shape:
            return t.push(FA_ELEMENT, s.dtype, ver, offset)
        read_before = s.reads[place] = t.push(FA_MOVE, aval_id(s.dtype, shape), ver,
                                              t.attr_id(view_map(s.size, shape, offset, strides)))
    return <uint32_t>read_before


cdef uint32_t stack_of_elements(Tape t, Array a) except? 0:
    """If the SSA scalars of all elements of the view are known: their stack; else 0."""
    cdef Storage s = a.s
    cdef int64_t k, n = cnp.PyArray_SIZE(a.c)
    cdef uint32_t *ids
    cdef uint32_t i
    cdef cnp.ndarray positions
    cdef const int64_t *pos = NULL
    if s.ids == NULL:
        return 0
    if s.ids[(<char *>cnp.PyArray_DATA(a.c) - s.base) // fa_itemsize[s.dtype]] == 0:
        return 0                         # its first one is not
    if not is_whole(a):
        positions = affine_positions(*place_of(a))
        pos = <const int64_t *>cnp.PyArray_DATA(positions)
    for k in range(n):
        if s.ids[pos[k] if pos != NULL else k] == 0:
            return 0
    if n == 1 and cnp.PyArray_NDIM(a.c) == 0:
        return s.ids[pos[0] if pos != NULL else 0] & ~DIRTY
    ids = <uint32_t *>malloc(n * sizeof(uint32_t))
    for k in range(n):
        ids[k] = s.ids[pos[k] if pos != NULL else k] & ~DIRTY
    try:
        i = t.push_nary(FA_STACK, aval_id(s.dtype, (<object>a.c).shape), ids, n, t.attr_id(Stack(n)))
    finally:
        free(ids)
    if is_whole(a):
        set_version(s, i, cnp.PyArray_NDIM(a.c))
        for k in range(n):
            s.ids[k] &= ~DIRTY
        s.dirty = False
    return i


cdef int set_version(Storage s, uint32_t i, int nd) except -1:
    """Value i, C order, is now the whole memory."""
    s.fresh = 0
    s.ver = i if nd == 1 else s.tape.push(FA_RESHAPE, aval_id(s.dtype, (s.size,)), i, s.tape.attr_id(None))
    return 0


cdef uint32_t version_of(Storage s) except 0:
    """SSA value of the memory, 1-D, in memory order."""
    cdef Tape t = s.tape
    cdef cnp.ndarray flat
    if s.ver:
        return s.ver
    if s.fresh == 0:
        s.ver = constant_array(t, memory_of(s), s.dtype)
    elif cnp.PyArray_IS_C_CONTIGUOUS(s.root):
        set_version(s, s.fresh, cnp.PyArray_NDIM(s.root))
    else:
        shape, offset, strides = place_of(new_array(s.root, s))
        s.ver = t.push(FA_MOVE, aval_id(s.dtype, (s.size,)), s.fresh,
                       t.attr_id(view_map(s.size, shape, offset, strides).T))
        s.fresh = 0
    return s.ver


cdef int flush(Storage s) except -1:
    """Make the next version out of the elements that were written one by one."""
    cdef Tape t = s.tape
    cdef int64_t k, n = 0
    cdef uint32_t *ids
    cdef bint all_known
    cdef cnp.ndarray positions
    cdef int64_t *pos
    for k in range(s.dirty_from, s.dirty_to):
        n += (s.ids[k] & DIRTY) != 0
    all_known = n == s.size
    cdef uint32_t base = 0
    if not all_known:
        base = version_of(s)
    ids = <uint32_t *>malloc((n + 1) * sizeof(uint32_t))
    positions = np.empty(n, dtype=np.int64)
    pos = <int64_t *>cnp.PyArray_DATA(positions)
    ids[0] = base
    n = 0
    for k in range(s.dirty_from, s.dirty_to):
        if s.ids[k] & DIRTY:
            s.ids[k] &= ~DIRTY
            pos[n] = k
            n += 1
            ids[n] = s.ids[k]
    try:
        if all_known:
            s.ver = t.push_nary(FA_STACK, aval_id(s.dtype, (s.size,)), ids + 1, n, t.attr_id(Stack(n)))
        else:
            s.ver = t.push_nary(FA_STACK, aval_id(s.dtype, (s.size,)), ids, n + 1,
                                t.attr_id(Stack(n, positions, True)))
    finally:
        free(ids)
    s.fresh = 0
    s.dirty = False
    return 0


cdef object element(Array a, int64_t k):
    """The scalar at memory position k of a traced storage: the one that was written there, or a read."""
    cdef Storage s = a.s
    cdef Tape t = s.tape
    cdef fa_cell v
    cdef uint32_t i = 0
    if t.owner != PyThreadState_Get():
        t = joint_tape(None, a)          # a variable joins a pass; anything else is an error
    load_cell(s, k, &v)
    if s.ids == NULL:
        s.ids = <uint32_t *>calloc(max(1, s.size), sizeof(uint32_t))
    i = s.ids[k] & ~DIRTY
    if i == 0:
        if s.ver == 0 and s.fresh == 0:  # this element was never traced
            return number_of(v, s.dtype) if s.dtype != FA_F64 else np_float64(v.f)
        i = t.push(FA_ELEMENT, s.dtype, version_of(s), k)
        s.ids[k] = i
    return new_scalar(t, i, s.dtype, v)


cdef inline int load_cell(Storage s, int64_t k, fa_cell *v) except -1:
    v.i = 0
    if s.dtype == FA_F64:
        v.f = (<double *>s.base)[k]
    elif s.dtype == FA_F32:
        v.s = (<float *>s.base)[k]
    elif s.dtype == FA_I64:
        v.i = (<int64_t *>s.base)[k]
    else:
        v.i = (<uint8_t *>s.base)[k]
    return 0


# ---- writing -------------------------------------------------------------------------------------------------------
cdef int put_element(Array a, int64_t k, object value) except -1:
    """y[position k of the memory] = scalar."""
    cdef Storage s = a.s
    cdef Tape t = s.tape if s.state == TRACED else None
    cdef operand o
    cdef list keep = []
    cdef Scalar x
    if type(value) is Scalar and (<Scalar>value).dt == s.dtype and s.state == TRACED and \
            (<Scalar>value).tape is t and t.owner == PyThreadState_Get() and not a.frozen and s.rows is None \
            and careful == 0 and cnp.PyArray_ISWRITEABLE(a.c):
        o.id = (<Scalar>value).id
        o.cell = (<Scalar>value).v
    else:
        t = tape_of_write(s, joint_tape(t, value))
        begin_write(a, t, value)
        resolve(t, value, s.dtype, &o, keep)
        if AVALS[o.aval].nd:
            if AVALS[o.aval].size != 1:
                raise ValueError("setting an array element with a sequence.")
            o.id = t.push(FA_RESHAPE, s.dtype, o.id, t.attr_id(None))
            o.cell.i = 0
            memcpy(&o.cell, o.data, fa_itemsize[s.dtype])
    if s.ids == NULL:
        s.ids = <uint32_t *>calloc(max(1, s.size), sizeof(uint32_t))
    s.ids[k] = o.id | DIRTY
    s.dirty_from = min(s.dirty_from, k) if s.dirty else k
    s.dirty_to = max(s.dirty_to, k + 1) if s.dirty else k + 1
    s.dirty = True
    s.version += 1
    if s.dtype == FA_F64:
        (<double *>s.base)[k] = o.cell.f
    elif s.dtype == FA_F32:
        (<float *>s.base)[k] = o.cell.s
    elif s.dtype == FA_I64:
        (<int64_t *>s.base)[k] = o.cell.i
    else:
        (<uint8_t *>s.base)[k] = o.cell.i != 0
    return 0


cdef inline bint same_place(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Are these the same elements in the same order?"""
    cdef int d
    if cnp.PyArray_DATA(a) != cnp.PyArray_DATA(b) or cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d) or cnp.PyArray_STRIDE(a, d) != cnp.PyArray_STRIDE(b, d):
            return False
    return True


cdef int store(Array a, object value) except -1:
    """a[...] = value, as NumPy broadcasts and casts it."""
    cdef Storage s = a.s
    cdef Tape t = tape_of_write(s, joint_tape(s.tape if s.state == TRACED else None, value))
    cdef operand o
    cdef list keep = []
    cdef uint32_t i
    if type(value) is Array and (<Array>value).s is s and same_place((<Array>value).c, a.c):
        if a.frozen or not cnp.PyArray_ISWRITEABLE(a.c):
            raise ValueError("assignment destination is read-only")
        return 0                         # y[1:] += v ends with y[1:] = the view that has just been written
    if t is None:
        (<object>a.c)[...] = (<Array>value).c if type(value) is Array else value
        return 0
    if cnp.PyArray_SIZE(a.c) == 0:
        np.broadcast_to(np.empty(shape_of(value)), (<object>a.c).shape)
        return 0
    if cnp.PyArray_NDIM(a.c) == 0:
        return put_element(a, (<char *>cnp.PyArray_DATA(a.c) - s.base) // fa_itemsize[s.dtype], value)
    begin_write(a, t, value)
    if isinstance(value, (list, tuple)):
        value = api().asarray(value)
    resolve(t, value, s.dtype, &o, keep)
    concrete = (<Array>value).c if type(value) is Array else value
    shape, offset, strides = place_of(a)
    own = aval_shape(o.aval)
    while len(own) > len(shape) and own[0] == 1:
        own = own[1:]
    i = write_region(t, s, a, &o, own, shape, offset, strides)
    if o.data != NULL:
        concrete = keep[-1].reshape(own)
        (<object>a.c)[...] = concrete
    else:
        (<object>a.c)[...] = number_of(o.cell, s.dtype)
    forget_elements(s, shape, offset, strides)
    s.version += 1
    t.locate(i)
    if own == shape and o.data != NULL and aval_shape(o.aval) == own:
        a.read_id = o.id                 # what was written is what a read of this view gives
        a.read_version = s.version
    return 0


cdef uint32_t write_region(Tape t, Storage s, Array a, operand *o, tuple own, tuple shape, int64_t offset,
                           tuple strides) except 0:
    """Next version of the storage, with value o (of shape `own`) in the region; returns the last instruction."""
    cdef uint32_t[2] ids
    cdef Map m
    if own != shape:
        if common_shape((own, shape)) != shape:      # (or NumPy's own error)
            raise ValueError(f"could not broadcast input array from shape {own} into shape {shape}")
    if is_whole(a) and own == shape:
        if s.ids != NULL:
            memset(s.ids, 0, s.size * sizeof(uint32_t))
        s.dirty = False
        set_version(s, o.id, len(aval_shape(o.aval)))
        return s.ver
    if s.dirty:
        flush(s)
    m = write_map(own, shape, offset, strides, s.size)
    ids[0] = version_of(s)
    if own == shape:
        ids[0] = below_write(t, ids[0], m)
    ids[1] = o.id
    s.ver = t.push_nary(FA_WRITE, aval_id(s.dtype, (s.size,)), ids, 2, t.attr_id(m))
    s.fresh = 0
    return s.ver


cdef dict write_maps = {}


cdef Map write_map(tuple own, tuple shape, int64_t offset, tuple strides, int64_t size):
    """Map of a value of shape `own`, repeated to `shape`, into a region of a storage."""
    cdef int64_t n = 1
    key = (own, shape, offset, strides, size)
    found = write_maps.get(key)
    if found is None:
        if len(write_maps) > 10000:
            write_maps.clear()
        sstr = []
        for extent in reversed(own):
            sstr.append(0 if extent == 1 else n)
            n *= extent
        sstr = tuple([0] * (len(shape) - len(own)) + sstr[::-1])
        if distinct(shape, strides):
            found = Map(n, size, ((shape, 0, sstr, offset, strides),), None, None, False, distinct(shape, sstr), True)
        else:
            found = Map.table(n, size, *last_written(own, shape, offset, strides, size))
        write_maps[key] = found
    return <Map>found


cdef tuple last_written(tuple own, tuple shape, int64_t offset, tuple strides, int64_t size):
    """Of a value of shape `own` and a region that overlaps itself (windows of an array): which element stays where,
    by the order in which NumPy writes."""
    last = np.full(size, -1, dtype=np.int64)
    region = np.lib.stride_tricks.as_strided(last[offset:], shape, [8 * k for k in strides])
    region[...] = np.broadcast_to(np.arange(np.prod(own, dtype=np.int64), dtype=np.int64).reshape(own), shape)
    where = np.flatnonzero(last >= 0)
    return last[where], where


cdef int forget_elements(Storage s, tuple shape, int64_t offset, tuple strides) except -1:
    cdef cnp.ndarray positions
    cdef const int64_t *pos
    cdef int64_t k
    if s.ids == NULL:
        return 0
    positions = affine_positions(shape, offset, strides)
    pos = <const int64_t *>cnp.PyArray_DATA(positions)
    for k in range(cnp.PyArray_SIZE(positions)):
        s.ids[pos[k]] = 0
    return 0


# ---- captured arrays -----------------------------------------------------------------------------------------------
cdef enum: SMALL = 4096


cdef object fingerprint(array):
    """What tells whether a captured array was changed: a copy of a small one, sums and samples of a large one."""
    if array.size <= SMALL:
        return array.copy(order="C")
    step = array.size // 64
    if array.flags.c_contiguous and array.dtype.itemsize in (4, 8):
        whole = array.reshape(-1).view(f"i{array.dtype.itemsize}")
        return int(whole.sum(dtype=np.int64)), array.reshape(-1)[::step].copy()
    return None, array.flat[::step].copy()


cdef inline bint same_bytes(cnp.ndarray was, cnp.ndarray now) noexcept:
    """Do two C-contiguous arrays hold the same?"""
    return cnp.PyArray_NBYTES(was) == cnp.PyArray_NBYTES(now) and \
        memcmp(cnp.PyArray_DATA(was), cnp.PyArray_DATA(now), cnp.PyArray_NBYTES(was)) == 0


cdef bint unchanged(old, array) except -1:
    if isinstance(old, ndarray_type) and cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray>array):
        return same_bytes(old, array)    # a loop uses the same array many times
    new = fingerprint(array)
    if isinstance(old, tuple):
        return old[0] == new[0] and np.array_equal(old[1], new[1], equal_nan=array.dtype.kind == "f")
    return np.array_equal(old, new, equal_nan=array.dtype.kind == "f")


cdef uint32_t capture(Tape t, array) except 0:
    """Bind an ndarray of the user's by reference; one that f has changed meanwhile becomes a constant."""
    cdef tuple shape = array.shape
    cdef uint32_t new
    found = t.capture_index.get(id(array))
    if found is not None:
        i, old, _, was = found
        if was == shape and unchanged(old, array):
            return i
        freeze_capture(t, i, old, array)
    new = t.push_capture(array)
    t.capture_index[id(array)] = (new, fingerprint(array), array, shape)     # held, so its id stays its own
    t.locate(new)
    note_temporary(t, new, array)
    return new


cdef int freeze_capture(Tape t, uint32_t i, old, array) except -1:
    """The function has changed an array after using it: keep what it had used."""
    cdef int dtype = AVALS[t.aval[i]].dtype
    cdef fa_cell x
    if isinstance(old, tuple):
        raise TracerError(f"{t.location(i)}: a large array of shape {array.shape} was used with traced values and "
                          "then changed in place by the function. Use a copy (np.array(a)) for the one or the other.")
    t.op[i] = FA_CONST
    if old.ndim == 0:
        x = cell_of(old[()], dtype)
        if t.ncells == t.cap_cells:
            t.cap_cells *= 2
            t.cells = <fa_cell *>realloc(t.cells, t.cap_cells * sizeof(fa_cell))
        t.cells[t.ncells] = x
        t.arg[2 * <size_t>i] = t.ncells
        t.ncells += 1
        return 0
    value = np.array(old, dtype=DTYPES[dtype], order="C")
    t.const_arrays.append(value)
    t.arg[2 * <size_t>i] = len(t.const_arrays) - 1
    return 0


def check_captures(Tape t):
    """At the end of a recording: captured arrays that the function itself has changed become constants."""
    for i, old, array, _ in list(t.capture_index.values()):
        if t.op[<uint32_t>i] == FA_CAPTURE and not unchanged(old, array):
            freeze_capture(t, i, old, array)
    settle_all(t)


cdef class Storage:
    def __dealloc__(self):
        free(self.ids)
