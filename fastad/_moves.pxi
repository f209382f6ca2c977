"""_moves.pxi - moves, writes and assemblies in fewer passes over memory (included in _passes.pyx).

Owns: writes onto arrays of one number, elements that are taken out and put back, parts of assemblies, slices that meet
no erased part.
All but the second (which is algebra on finite numbers) keep every bit; where derivative code alone has such
instructions, primal ones are not looked at (_simplify.pxi).
Must not know: derivative rules, loops.
Next: _slices.pxi, _passes.pyx, _fusion.pxi (which reads assemblies block by block).
"""

cdef enum: LARGE = 4096                  # elements of arrays that are computed in loops anyway
cdef enum: MOST_ERASURES = 16            # that are looked at one by one
cdef enum: MOST_MASKED = 1 << 22         # elements of arrays that are looked at one by one


cdef uint32_t filled_write(Simplify p, uint32_t i) except? 0:
    """A write onto an array of one number as a move with that fill; 0 where it is none."""
    cdef Tape s = p.source
    cdef Tape t = p.target
    cdef uint32_t m = 0
    cdef uint32_t *x = p.mapped(i, &m)
    cdef uint32_t v = x[1], number = p.uniform(x[0])
    cdef int dtype = AVALS[s.aval[i]].dtype
    cdef fa_cell cell
    if number == 0 or AVALS[s.aval[i]].nd == 0 or AVALS[t.aval[v]].nd == 0 or not p.number(number, &cell):
        return 0
    attr = s.attr_list[s.arg[2 * <size_t>i + 1]]
    if attr.pieces is None:
        return 0
    fill = real_of(cell, dtype) if is_real(dtype) else cell.i
    if not math.isfinite(fill):
        return 0
    key = (attr, cell.i, dtype)
    if key not in p.made:
        p.made[key] = T.Map(*attr.fields()[:8], fill, dtype)
    return p.push(FA_MOVE, s.aval[i], v, t.attr_id(<Attr>p.made[key]))


cdef uint32_t without_moves(Simplify p, uint32_t i) except? 0:
    """A sum of arrays, some of which are a few elements among zeros, as a sum in which these elements stand alone.

    The sum begins with 0, which stays what it is when another 0 is added to it.
    """
    cdef Tape t = p.target
    cdef uint32_t k, y, m = 0
    cdef uint32_t *x = p.mapped(i, &m)
    cdef list maps = None
    attr = p.source.attr_list[p.source.arg[2 * <size_t>i + 1]]
    cdef const fa_assemble *a = <const fa_assemble *>(<Attr>attr).ptr
    if not a.accumulate or a.fill.i or not is_real(AVALS[p.source.aval[i]].dtype):
        return 0
    for k in range(m):
        y = without_shape(t, x[k])
        if t.op[y] == FA_MOVE and is_spread(t, y) and is_identity(<Attr>attr.maps[k]):
            maps = list(attr.maps) if maps is None else maps
            maps[k] = t.attr_list[t.arg[2 * <size_t>y + 1]]
            x[k] = t.arg[2 * <size_t>y]
    if maps is None:
        return 0
    key = (attr, tuple(maps))
    if key not in p.made:
        p.made[key] = T.Assemble(maps, *attr.fields()[1:])
    return p.push_nary(FA_ASSEMBLE, p.source.aval[i], x, m, t.attr_id(<Attr>p.made[key]))


cdef bint is_spread(Tape t, uint32_t x) noexcept:
    """Does move x put the elements of an array among zeros, each at a place of its own?"""
    cdef const fa_map *m = <const fa_map *>t.attrs[t.arg[2 * <size_t>x + 1]]
    return AVALS[t.aval[t.arg[2 * <size_t>x]]].nd and not m.covers and m.ntable < 0 and m.dst_injective \
        and m.fill.i == 0


cdef uint32_t before_erasures(Simplify p, uint32_t i) except? 0:
    """A slice of an array, parts of which were erased, as a slice of what it was before, where it meets none; else 0.

    The adjoint of `d[t] = row` takes row t of that of d and erases it: nothing needs to be erased for the next one.
    """
    cdef Tape s = p.source
    cdef Tape t = p.target
    cdef uint32_t x = p.map[s.arg[2 * <size_t>i]], y, k
    cdef int64_t[2] mine
    attr = s.attr_list[s.arg[2 * <size_t>i + 1]]
    if t.op[x] != FA_ERASE or attr.pieces is None:
        return 0
    reach_of(<Attr>attr, False, mine)
    note_erasures(p, x)
    y, first, last = p.erased[x]
    if first <= mine[1] and mine[0] <= last:             # not beside all of them: perhaps between them
        y = x
        for k in range(MOST_ERASURES):
            if t.op[y] != FA_ERASE or not apart(p, attr, t.attr_list[t.arg[2 * <size_t>y + 1]]):
                break
            y = t.arg[2 * <size_t>y]
    return 0 if y == x else p.push(FA_MOVE, s.aval[i], y, t.attr_id(<Attr>attr))


cdef uint32_t nothing_left(Simplify p, uint32_t i) except? 0:
    """Zeros in place of instruction i, if it erases what was left of an array; else 0.

    What was added since to a part that is erased later does not count: the adjoint of edges that are set from the
    inside (`u[0] = u[1]`), and then of the inside.
    """
    cdef Tape s = p.source
    cdef Tape t = p.target
    cdef const uint32_t *ids = NULL
    cdef int64_t size = AVALS[s.aval[i]].size, erased
    cdef uint32_t first = p.map[s.arg[2 * <size_t>i]], x = first, zero
    cdef int k, n = 0
    attr = s.attr_list[s.arg[2 * <size_t>i + 1]]
    erased = pairs(<Attr>attr)
    while n < MOST_ERASURES and (t.op[x] == FA_ERASE or t.op[x] == FA_WRITE):
        erased += pairs(<Attr>t.attr_list[t.arg[2 * <size_t>x + 1]]) if t.op[x] == FA_ERASE else 0
        t.operands(x, &ids)
        x = ids[0]
        n += 1
    if erased < size or size > MOST_MASKED:
        return 0
    chain, x = [("erase", attr)], first
    for k in range(n):
        chain.append(("erase" if t.op[x] == FA_ERASE else "write", t.attr_list[t.arg[2 * <size_t>x + 1]]))
        t.operands(x, &ids)
        x = ids[0]
    key = tuple(chain)
    if key not in p.made:
        p.made[key] = erases_all(key, size)
    if not p.made[key]:
        return 0
    zero = p.constant(AVALS[s.aval[i]].dtype, 0.0)
    return p.push(FA_MOVE, s.aval[i], zero, t.attr_id(<Attr>T.Map.view(1, (size,), 0, (0,), size <= 1)))


cdef bint erases_all(chain, int64_t size) except -1:
    """Do the erasures of a chain, the last one first, leave nothing?  What they do not erase must not be written."""
    mask = np.zeros(size, bool)
    for kind, attr in chain:
        at = attr.indices()[1]
        if kind == "erase":
            mask[at] = True
        elif not mask[at].all():
            return False
    return bool(mask.all())


cdef bint apart(Simplify p, window, erased) except -1:
    """Does a slice surely read nothing of what was erased?"""
    key = window, erased
    if key not in p.made:
        p.made[key] = len(window.pieces) == 1 and erased.pieces is not None \
            and pieces_in(erased.pieces, window.pieces[0]) == ()
    return p.made[key]


cdef int note_erasures(Simplify p, uint32_t x) except -1:
    """Remember for x, which is made by erasing, (what it was before all erasures, first position erased, last one)."""
    cdef Tape t = p.target
    cdef list chain = []
    cdef int64_t[2] mine
    cdef uint32_t y = x
    while t.op[y] == FA_ERASE and y not in p.erased:
        chain.append(y)
        y = t.arg[2 * <size_t>y]
    root, first, last = p.erased[y] if y in p.erased else (y, 1 << 62, -1)
    for k in reversed(chain):
        reach_of(<Attr>t.attr_list[t.arg[2 * <size_t>k + 1]], True, mine)
        root, first, last = p.erased[k] = root, min(first, mine[0]), max(last, mine[1])
    return 0


cdef int reach_of(Attr attr, bint destination, int64_t *ends) noexcept:
    """The first and the last position in the source, or the destination, of a map; of a table, of everything."""
    cdef const fa_map *m = <const fa_map *>attr.ptr
    cdef const fa_piece *q
    cdef int64_t low, high, step
    cdef int k, d
    ends[0], ends[1] = m.nsrc + m.ndst, -1
    if m.ntable >= 0:
        ends[0], ends[1] = 0, (m.ndst if destination else m.nsrc) - 1
    for k in range(m.npieces):
        q = &m.pieces[k]
        low = high = q.doff if destination else q.soff
        for d in range(q.nd):
            if q.shape[d] == 0:
                break
            step = (q.shape[d] - 1) * (q.dstr[d] if destination else q.sstr[d])
            low += min(step, 0)
            high += max(step, 0)
        else:
            ends[0], ends[1] = min(ends[0], low), max(ends[1], high)
    return 0


cdef uint32_t put_back(Simplify p, uint32_t i) except? 0:
    """w where elements of w are erased, and added where they were; else 0.  (The adjoint of `u[i] += s`.)"""
    cdef Tape t = p.target
    cdef Tape s = p.source
    cdef const fa_stack *st = <const fa_stack *>s.attrs[s.arg[2 * <size_t>i + 1]]
    cdef uint32_t k, w, erasing, m = 0
    cdef uint32_t *x
    if not st.has_base or not st.accumulate or st.n > 8 or st.pos == NULL:
        return 0
    x = p.mapped(i, &m)
    erasing = without_shape(t, x[0])
    if t.op[erasing] != FA_ERASE:
        return 0
    w = t.arg[2 * <size_t>erasing]
    positions = set()
    for k in range(1, m):
        if t.op[x[k]] != FA_ELEMENT or t.arg[2 * <size_t>x[k]] != w or t.arg[2 * <size_t>x[k] + 1] != st.pos[k - 1]:
            return 0
        positions.add(st.pos[k - 1])
    erased = (<Attr>t.attr_list[t.arg[2 * <size_t>erasing + 1]])
    if len(positions) != st.n or erased.sizes[0] > 8 and pairs(<Attr>erased) > 8 \
            or set(erased.indices()[1].tolist()) != positions:
        return 0
    return w if p.fits(w, i) else p.push(FA_RESHAPE, s.aval[i], w, t.attr_id(None))


cdef uint32_t added_part(Simplify p, uint32_t i) except? 0:
    """A write of w[part] + v onto w as w + (v among zeros), where w is computed, too: in one loop then; else 0.

    These zeros are -0.0, which changes no number that it is added to.  One part only: a second one is cheaper in place.
    """
    cdef Tape s = p.source
    cdef Tape t = p.target
    cdef uint32_t k, w, v, y, m = 0
    cdef uint32_t *x = p.mapped(i, &m)
    cdef int dtype = AVALS[s.aval[i]].dtype
    attr = s.attr_list[s.arg[2 * <size_t>i + 1]]
    w, v = x[0], x[1]
    x[0] = without_shape(t, w)
    if AVALS[s.aval[i]].size < LARGE or not is_real(dtype) or attr.pieces is None or t.op[v] != FA_ADD \
            or not (t.op[x[0]] == FA_ASSEMBLE or t.op[x[0]] >= FA_ELEMENTWISE) or has_part(t, x[0]):
        return 0
    for k in range(2):
        y = t.arg[2 * <size_t>v + k]
        if t.op[y] == FA_MOVE and t.arg[2 * <size_t>y] == w and t.attr_list[t.arg[2 * <size_t>y + 1]] == attr.T:
            v = t.arg[2 * <size_t>v + 1 - k]
            break
    else:
        return 0
    if AVALS[t.aval[v]].nd == 0:
        return 0
    if t.op[x[0]] == FA_ASSEMBLE:
        return one_more(p, i, x[0], v)
    key = (attr, "part", dtype)
    if key not in p.made:
        p.made[key] = T.Map(*attr.fields()[:8], -0.0, dtype)
    return p.push(FA_ADD, s.aval[i], w, p.push(FA_MOVE, s.aval[i], v, t.attr_id(<Attr>p.made[key])))


cdef bint has_part(Tape t, uint32_t x) noexcept:
    """Is x a sum with a part among zeros, or an assembly that is none?"""
    cdef uint32_t y = t.arg[2 * <size_t>x + 1]
    cdef const fa_assemble *a
    cdef int k
    if t.op[x] == FA_ASSEMBLE:
        a = <const fa_assemble *>t.attrs[y]
        for k in range(a.n):
            if 4 * a.maps[k].nsrc <= a.maps[k].ndst:
                return True
        return not a.accumulate or a.fill.i or a.n == 8
    return t.op[x] == FA_ADD and t.op[y] == FA_MOVE and AVALS[t.aval[y]].nd \
        and not (<const fa_map *>t.attrs[t.arg[2 * <size_t>y + 1]]).covers


cdef uint32_t one_more(Simplify p, uint32_t i, uint32_t x, uint32_t v) except 0:
    """In place of write i: assembly x of the target with v as one more part."""
    cdef Tape t = p.target
    cdef const uint32_t *ids = NULL
    cdef uint32_t k, m = t.operands(x, &ids)
    cdef uint32_t[8] parts
    for k in range(m):
        parts[k] = ids[k]
    parts[m] = v
    attr, more = t.attr_list[t.arg[2 * <size_t>x + 1]], p.source.attr_list[p.source.arg[2 * <size_t>i + 1]]
    key = (attr, more)
    if key not in p.made:
        p.made[key] = T.Assemble([*attr.maps, more], *attr.fields()[1:])
    return p.push_nary(FA_ASSEMBLE, p.source.aval[i], parts, m + 1, t.attr_id(<Attr>p.made[key]))
