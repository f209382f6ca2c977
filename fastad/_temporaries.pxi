"""_temporaries.pxi - arrays of plain NumPy that a function makes anew in each step, held once (included in _tape.pyx).

Owns: which captured arrays nobody else can reach, so that they never change; of equal ones the first stands for all.
`(1 - sponge) * u` in a time loop makes the same array in each step: a tape would keep thousands of them, and read each
from memory.
Must not know: who captures, what is computed from it.
Next: _storage.pxi (capture), _passes.pyx (one instruction for each array).
"""

cdef enum: MOST_WAITING = 8              # captures after which an array is looked at: its expression is done by then
cdef enum: MOST_KNOWN = 16               # different arrays of one shape that are remembered


cdef int note_temporary(Tape t, uint32_t i, cnp.ndarray array) except -1:
    """Look at capture i later, if it might be an array that only an expression of the function has held."""
    if cnp.PyArray_SIZE(array) <= SMALL or not cnp.PyArray_CHKFLAGS(array, cnp.NPY_ARRAY_OWNDATA) \
            or not cnp.PyArray_IS_C_CONTIGUOUS(array):
        return 0
    waiting, known = t.derived.setdefault("temporaries", ([], {}))
    waiting.append(i)
    if len(waiting) > MOST_WAITING:
        settle(t, waiting.pop(0), known)
    return 0


cdef int settle(Tape t, uint32_t i, dict known) except -1:
    """If nobody else can reach captured array i, an equal one that is known takes its place."""
    cdef uint32_t slot = t.arg[2 * <size_t>i]
    if t.op[i] != FA_CAPTURE:
        return 0
    array = t.captures[slot]
    found = t.capture_index.get(id(array))
    if found is None or found[0] != i or Py_REFCNT(array) != 3 or not unchanged(found[1], array):
        return 0                         # (3: the list of captures, the index of captures, `array` here)
    for other in known.setdefault(t.aval[i], []):
        if same_bytes(other, array):
            t.captures[slot] = other
            del t.capture_index[id(array)]
            return 0
    known[t.aval[i]].append(array)
    if len(known[t.aval[i]]) > MOST_KNOWN:
        del known[t.aval[i]][0]
    return 0


cdef int settle_all(Tape t) except -1:
    """At the end of a recording."""
    waiting, known = t.derived.pop("temporaries", ([], {}))
    for i in waiting:
        settle(t, i, known)
    return 0
