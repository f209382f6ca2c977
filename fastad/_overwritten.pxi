"""_overwritten.pxi - what a write into most of an array leaves of what stood there (included in _tape.pyx).

Owns: the value on top of which a region is written.  Buffers that rotate in a time loop (`u0, u1, u2 = u1, u2, u0`)
have been written many times where they are written again; around the region there is still the number that filled them
(edges at rest).  So each step is what it would be with `u2 = np.zeros_like(u1)`: it does not depend on older ones, and
loops may write it in rows of other memory (_fusion.pxi).
Must not know: who writes, what is in memory.
Next: _storage.pxi (write_region).
"""

cdef enum: MOST_BELOW = 64               # writes that are looked through
cdef dict overwritten_maps = {}          # (map of a region, map or stack of an earlier write) -> is all of that inside?


cdef uint32_t below_write(Tape t, uint32_t x, Map region) except 0:
    """The number that fills the array of which x is a later version, if all that was written since lies in the region,
    or is this number (`u2[0] = 0`); else x.  A zero may have been multiplied since (`u1 *= sponge`).

    A region of less than half of the array is written where it is: to fill the rest anew would cost more.
    """
    cdef const uint32_t *ids = NULL
    cdef uint32_t y = x, k, number = 0, factor
    cdef bint scaled = False
    if 2 * region.m.nsrc < region.m.ndst or region.pieces is None:
        return x
    for k in range(MOST_BELOW):
        if t.op[y] == FA_MOVE:
            return y if is_filled(t, y) and (number == 0 or same_number(t, number, t.arg[2 * <size_t>y])) \
                and not (scaled and t.cells[t.arg[2 * <size_t>t.arg[2 * <size_t>y]]].i) \
                and t.aval[y] == t.aval[x] else x
        t.operands(y, &ids)
        if t.op[y] == FA_RESHAPE:
            y = ids[0]
            continue
        if t.op[y] == FA_MULTIPLY:
            factor, y = ids[0], ids[1]
            if t.op[y] == FA_CAPTURE:
                factor, y = y, factor
            if AVALS[t.aval[y]].nd == 0 or not keeps_zeros(t, factor):       # (guards may move what ids points to)
                return x
            scaled = True
            continue
        if t.op[y] != FA_WRITE and t.op[y] != FA_STACK:
            return x
        if not is_overwritten(region, t.attr_list[t.arg[2 * <size_t>y + 1]]):
            if t.op[y] != FA_WRITE or number and not same_number(t, number, ids[1]):
                return x
            number = ids[1]
        y = ids[0]
    return x


cdef bint is_filled(Tape t, uint32_t x) noexcept:
    """Is x an array of one constant number?"""
    cdef const fa_map *m = <const fa_map *>t.attrs[t.arg[2 * <size_t>x + 1]]
    cdef uint32_t number = t.arg[2 * <size_t>x]
    return t.op[number] == FA_CONST and AVALS[t.aval[number]].nd == 0 and m.covers


cdef bint same_number(Tape t, uint32_t a, uint32_t b) noexcept:
    """Are both the same constant number, bit by bit?"""
    return t.op[a] == FA_CONST and t.op[b] == FA_CONST and AVALS[t.aval[a]].nd == 0 and AVALS[t.aval[b]].nd == 0 \
        and AVALS[t.aval[a]].dtype == AVALS[t.aval[b]].dtype \
        and t.cells[t.arg[2 * <size_t>a]].i == t.cells[t.arg[2 * <size_t>b]].i


cdef bint keeps_zeros(Tape t, uint32_t x) except -1:
    """Is 0.0 times array x, which is the user's, 0.0?  That is guarded: another call may see another."""
    cdef object array, found
    if t.op[x] != FA_CAPTURE or not is_real(AVALS[t.aval[x]].dtype):
        return False
    array = t.captures[t.arg[2 * <size_t>x]]
    known = t.derived.setdefault("kept zeros", {})
    if x not in known:
        found = t.capture_index.get(id(array))
        known[x] = found is not None and found[0] == x and unchanged(found[1], array) \
            and bool(np.all(np.isfinite(array)) and not np.any(np.signbit(array)))
        if known[x]:
            guard_all(t, t.push(OPCODES["isfinite"], aval_id(FA_BOOL, aval_shape(t.aval[x])), x, 0), True)
            guard_all(t, t.push(OPCODES["signbit"], aval_id(FA_BOOL, aval_shape(t.aval[x])), x, 0), False)
    return known[x]


cdef int guard_all(Tape t, uint32_t mask, bint expected) except -1:
    cdef uint32_t k = t.push(FA_ALL if expected else FA_ANY, FA_AVAL_BOOL, mask,
                             t.attr_id(Axis(1, AVALS[t.aval[mask]].size, 1)))
    t.add_guard(k, expected, "finite values without a sign of an array by which zeros are multiplied")
    return 0


cdef bint is_overwritten(Map region, Attr earlier) except -1:
    """Has an earlier write or stack of numbers changed nothing outside the region?"""
    if earlier is region:
        return True
    if isinstance(earlier, Stack) and not (<Stack>earlier).has_base:
        return False
    key = region, earlier
    found = overwritten_maps.get(key)
    if found is None:
        if len(overwritten_maps) > 10000:
            overwritten_maps.clear()
        found = overwritten_maps[key] = lies_inside(region.pieces, written_positions(earlier))
    return found


cdef object written_positions(Attr earlier):
    if isinstance(earlier, Map):
        return earlier.indices()[1]
    return np.arange(earlier.fields()[0]) if earlier.positions is None else earlier.positions


cdef bint lies_inside(tuple pieces, positions) except -1:
    """Are all positions in the region, rows within rows of an array in C order?  Else False, whatever is the case."""
    if len(pieces) != 1:
        return False
    shape, _, _, offset, strides = pieces[0]
    left = positions - offset
    inside = left >= 0
    room = None                          # of one element of the dimension before
    for n, stride in zip(shape, strides):
        if stride <= 0 or room is not None and (n - 1) * stride >= room:
            return False
        room = stride
        inside &= left // stride < n
        left = left % stride
    return bool(np.all(inside & (left == 0)))
