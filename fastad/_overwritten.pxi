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
    """The number that fills the array of which x is a later version, if all that was written since lies in the region;
    else x.

    A region of less than half of the array is written where it is: to fill the rest anew would cost more.
    """
    cdef const uint32_t *ids = NULL
    cdef uint32_t y = x, k
    if 2 * region.m.nsrc < region.m.ndst or region.pieces is None:
        return x
    for k in range(MOST_BELOW):
        if t.op[y] == FA_MOVE:
            return y if is_filled(t, y) else x
        if t.op[y] != FA_WRITE and t.op[y] != FA_STACK:
            return x
        if not is_overwritten(region, t.attr_list[t.arg[2 * <size_t>y + 1]]):
            return x
        t.operands(y, &ids)
        y = ids[0]
    return x


cdef bint is_filled(Tape t, uint32_t x) noexcept:
    """Is x an array of one constant number?"""
    cdef const fa_map *m = <const fa_map *>t.attrs[t.arg[2 * <size_t>x + 1]]
    cdef uint32_t number = t.arg[2 * <size_t>x]
    return t.op[number] == FA_CONST and AVALS[t.aval[number]].nd == 0 and m.covers


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
