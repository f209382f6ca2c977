"""_writing.pxi - which recording a write belongs to, and what a loop's body may write (included in _tape.pyx).

Owns: the first write into an array in a recording; arrays from around the body of a loop, which the body writes and
gets back as they were (loops.py makes them a part of the state); rows at traced positions, copies for NumPy's views.
Next: _storage.pxi (versions of a memory), _indexing.pxi (keys), loops.py.
"""

cdef Tape tape_of_write(Storage s, Tape t):
    """The tape of a write whose operands are of tape t (None: plain).

    A loop's body writes into what is from around it anew in each step, whatever it writes.
    """
    cdef Tape body
    if careful == 0:
        return t
    body = current()
    if body is not None and s.birth < body.sealed and s.leaf is None and s.state != CAPTURED:
        raise TracerError(f"{here()}: a side of a cond writes into an array from around it, but both sides are run "
                          "and recorded. Return what is new as a result of the side")
    while body is not None and not body.body:
        body = body.parent
    if body is None or body is t or within(s.born, body) or s.leaf is not None:
        return t
    if t is None:
        return body if s.state == PLAIN else None
    up = body.parent
    while up is not None and up is not t:
        up = up.parent
    return t if up is None else body


cdef bint within(Tape t, Tape around) noexcept:
    """Is t this recording, or one inside of it?"""
    while t is not None and t is not around:
        t = t.parent
    return t is not None


def seal(Tape t):
    """Until `unseal`, arrays that are there already must not be written in a recording; returns how it was before."""
    global careful
    if t is None:
        return 0
    before, t.sealed = t.sealed, births
    careful += 1
    return before


def unseal(Tape t, uint64_t before):
    global careful
    if t is not None:
        t.sealed = before
        careful -= 1


cdef int begin_write(Array a, Tape t, object value) except -1:
    """Prepare the storage of `a` for a traced write in tape t."""
    cdef Storage s = a.s
    if a.frozen or not cnp.PyArray_ISWRITEABLE(a.c):
        if s.row:
            raise TracerError(f"{here()}: the elements that a traced index has chosen are written in place; NumPy "
                              "changes the array that they are of. Write into that array: a[k] = a[k] + v")
        raise ValueError("assignment destination is read-only")
    if s.rows is not None:
        forget_rows(s, value)
    if s.state == CAPTURED:
        raise TracerError(
            f"{here()}: a traced value is written into an array that was made outside the recorded function. Make "
            "the array inside the function (np.zeros, np.empty), or copy it there (np.array(a)).")
    if s.given is not None:
        check_given(s)
    if s.otherwise:
        raise TracerError(f"{here()}: a traced value is written into an array whose memory is seen in another dtype, "
                          "too (x.view(dtype)); write into a copy (x.copy()), or use astype")
    if t.body and s.leaf is None and (s.state == PLAIN or s.tape is not t) and not within(s.born, t):
        borrow(s, t)
    if s.state == PLAIN:
        s.state = TRACED
        s.tape = t
        s.snapshot = None
        s.ver = s.fresh = 0
    elif s.tape is not t and within(s.born, t):
        adopt(s, t)
    elif s.tape is not t:
        raise TracerError(f"{here()}: an array of an outer recording is written by an inner one (a function that is "
                          "differentiated inside another must return its results)")
    return 0


cdef object given_away(Array a):
    """The memory of a plain array for code that the recorder does not see.  Views of it keep it alive, too, since its
    base is no ndarray: so a write of traced values knows whether somebody still has it (`check_given`)."""
    cdef Storage s = a.s
    if s.state != PLAIN or current() is None or cnp.PyArray_SIZE(a.c) == 0:
        return a.c
    out = np.asarray(memoryview(a.c))
    if s.given is None:
        s.given = []
    elif len(s.given) > 16:
        s.given = [ref for ref in s.given if ref() is not None]
    s.given.append(weakref.ref(out))
    return out


cdef int check_given(Storage s) except -1:
    """Before a traced write: those who have the memory as that of a plain array would not see it change."""
    for ref in s.given:
        if ref() is not None:
            raise TracerError(f"{here()}: a traced value is written into an array whose memory other code still has (a "
                              "sparse matrix, an iterator, an interpolation that was made of it) and would not see it. "
                              "Make that when the array is filled, or of a copy of it (a.copy())")
    s.given = None
    return 0


cdef int adopt(Storage s, Tape t) except -1:
    """Move a storage whose values are of an outer recording into t, which is about to write into it."""
    if s.dirty:
        flush(s)
    s.ver = lift(t, s.tape, version_of(s), memory_of(s))
    s.tape = t
    return renewed(s)


cdef int renewed(Storage s) except -1:
    """Nothing that was read of a storage is what it holds now."""
    s.fresh = 0
    s.dirty = False
    s.reads = s.snapshot = None
    s.version += 1
    if s.ids != NULL:
        memset(s.ids, 0, s.size * sizeof(uint32_t))
    return 0


cdef int borrow(Storage s, Tape body) except -1:
    """A loop's body writes into an array from around it: remember how that was (`give_back`)."""
    if s.state == TRACED and s.dirty:
        flush(s)
    if body.borrowed is None:
        body.borrowed = []
    before = (s.tape, version_of(s)) if s.state == TRACED else (None, 0)
    body.borrowed.append((s, memory_of(s).copy(), s.state, *before))
    if s.state == TRACED:
        adopt(s, body)
    return 0


cdef int give_back(Tape body) except -1:
    """The arrays from around a loop's body as they were before it: what the loop does to them, loops.py sees to."""
    cdef Storage s
    for s, memory, state, tape, ver in body.borrowed:
        memory_of(s)[...] = memory
        s.state, s.tape, s.ver = state, tape, ver
        renewed(s)
    return 0


def borrowed(Tape body):
    """The arrays from around a loop's body into which it has written, each as all of its memory."""
    cdef list found = body.borrowed or []
    body.borrowed = None
    return [new_array(memory_of(entry[0]), entry[0]) for entry in found]


# ---- rows at traced positions ---------------------------------------------------------------------------------------
cdef object get_row(Array a, tuple entries):
    """Slices at traced positions (`a[k]`, `a[:, k]`): to NumPy a view, whose place must be fixed.

    In the body of a loop it changes from step to step: there it is a copy, which nobody may write into, and which must
    not be read when the array has been written.
    """
    cdef Tape t = current()
    cdef Array r
    if t is None or not t.body:
        return get_item(a, guarded_key(entries))
    out = laid_out(api().take_flat(a, flat_positions(a, entries)), a, entries)
    if type(out) is Array and (<Array>out).s.state == TRACED:
        r = <Array>out
        (<object>r.c).flags.writeable = False
        r.s.row = True
        a.s.rows = [row for row in a.s.rows or [] if row() is not None] + [weakref.ref(r.s)]
    return out


cdef Tape outdated = None                # closed; of rows whose array has been written, for whoever reads them


cdef int forget_rows(Storage s, object value) except -1:
    """Before a write: what a traced index has chosen of the array is a copy here, and must be read no more.

    What is being written (`h[k] = h[k - 1]`) may be.
    """
    global outdated
    cdef Storage row
    own = (<Array>value).s if type(value) is Array else None
    rows, s.rows = s.rows, None
    for reference in rows:
        row = reference()
        if row is own and row is not None:
            s.rows = [reference]
        elif row is not None:
            if outdated is None:
                outdated = Tape().finish()
            row.tape = outdated
    return 0


cdef int check_row(Tape t) except -1:
    """An error if a value of this closed tape is a row whose array has been written since."""
    if t is outdated:
        raise TracerError(f"{here()}: elements of an array that a traced index has chosen (a[k]) are used after the "
                          "array was written; to NumPy they are a view, and may have changed. Take a copy before that: "
                          "np.take(a, k, axis=0)")
    return 0


cdef int owe(object r) except -1:
    """A row at a traced position was changed in place: what came of it has to be put back before the step ends."""
    cdef Tape t = current()
    if t.owed is None:
        t.owed = []
    t.owed.append((r, here()))
    return 0


cdef int put_back(Tape t, object value) except -1:
    if t is not None and t.owed is not None:
        t.owed = [entry for entry in t.owed if entry[0] is not value]
    return 0


def owed(Tape body):
    """Where a loop's body has changed rows at traced positions and has not put them back: (value, place)."""
    found, body.owed = body.owed or [], None
    return found
