"""_parts.pxi - a tape taken apart into plain data, and put together again (included in _tape.pyx).

Owns: the copies between the buffers of a Tape and arrays, at C speed.  Nothing is checked here: verify.py is the only
caller, and it hands back only what it has checked, so a damaged file never reaches a sweep.
Next: verify.py (what a well-formed tape is), serialize.py (its bytes).
"""

cdef object buffer_copy(const void *data, size_t nbytes, dtype):
    """The bytes at `data` as a fresh array."""
    out = np.empty(nbytes // np.dtype(dtype).itemsize, dtype)
    if nbytes:
        memcpy(cnp.PyArray_DATA(out), data, nbytes)
    return out


def tape_parts(Tape t):
    """Everything of a finished tape as arrays, lists and strings; ids of opcodes and avals are this process's."""
    cdef Py_ssize_t k
    cdef size_t n = t.n
    places = {where: format_location(where) for where in set(t.locations.values())}
    return {
        "op": buffer_copy(t.op, 2 * n, np.uint16), "aval": buffer_copy(t.aval, 4 * n, np.uint32),
        "arg": buffer_copy(t.arg, 8 * n, np.uint32).reshape(-1, 2),
        "pool": buffer_copy(t.pool, 4 * <size_t>t.npool, np.uint32),
        "cells": buffer_copy(t.cells, 8 * <size_t>t.ncells, np.int64),
        "expected": buffer_copy(t.guards, 8 * <size_t>t.nguards, np.int64),
        "guard_info": [(kind, format_location(where)) for kind, where in t.guard_info],
        "const_arrays": list(t.const_arrays), "captures": list(t.captures), "attrs": list(t.attr_list),
        "locations": {i: places[where] for i, where in t.locations.items() if where is not None},
        "inputs": list(t.inputs), "active": [not t.inactive_input[k] for k in range(len(t.inputs))],
        "outputs": list(t.outputs), "boundary": t.boundary, "ignored": sorted(t.ignored),
    }


cdef void *moved_in(void *buffer, array, dtype) except NULL:
    """`buffer`, resized to hold the content of `array`, and room for one item at least."""
    cdef cnp.ndarray a = np.ascontiguousarray(array, dtype=dtype)
    cdef void *p = realloc(buffer, max(<size_t>8, <size_t>cnp.PyArray_NBYTES(a)))
    if p == NULL:
        raise MemoryError("fastad: no memory for a tape")
    memcpy(p, cnp.PyArray_DATA(a), cnp.PyArray_NBYTES(a))
    return p


def tape_from_parts(dict parts):
    """The finished tape of which `tape_parts` gives these parts.  They must have been verified."""
    cdef Tape t = Tape()
    cdef Py_ssize_t k
    t.op = <uint16_t *>moved_in(t.op, parts["op"], np.uint16)
    t.aval = <uint32_t *>moved_in(t.aval, parts["aval"], np.uint32)
    t.arg = <uint32_t *>moved_in(t.arg, parts["arg"], np.uint32)
    t.pool = <uint32_t *>moved_in(t.pool, parts["pool"], np.uint32)
    t.cells = <fa_cell *>moved_in(t.cells, parts["cells"], np.int64)
    t.guards = <fa_guard *>moved_in(t.guards, parts["expected"], np.int64)
    t.n = t.cap = len(parts["op"])
    t.npool = len(parts["pool"])
    t.cap_pool = max(1, t.npool)
    t.ncells = len(parts["cells"])
    t.cap_cells = max(1, t.ncells)
    t.nguards = len(parts["expected"])
    t.cap_guards = max(1, t.nguards)
    t.guard_info.extend(parts["guard_info"])
    t.const_arrays.extend(parts["const_arrays"])
    t.captures.extend(parts["captures"])
    t.capture_ids.extend(np.flatnonzero(parts["op"] == FA_CAPTURE).tolist())
    for attr in parts["attrs"]:
        t.add_attr(attr)
    t.locations.update(parts["locations"])
    t.inputs.extend(parts["inputs"])
    t.outputs.extend(parts["outputs"])
    t.narrow = any([AVALS[t.aval[<uint32_t>i]].dtype == FA_F32 for i in t.inputs])
    t.boundary = parts["boundary"]
    t.ignored = frozenset(parts["ignored"])
    t.inactive_input = <uint8_t *>calloc(max(1, len(t.inputs)), 1)
    for k in range(len(t.inputs)):
        t.inactive_input[k] = not parts["active"][k]
    return t


def arena_bytes(Tape t):
    """Bytes that the arrays of one forward sweep take."""
    return t.layout().nbytes
