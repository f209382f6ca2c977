# cython: language_level=3
"""_state.pyx - is what a recorded function has seen from outside still the same?  The part that runs at every call.

Owns: Node, one watched object with what it looked like, and `same`, the comparison (tens of nanoseconds a name);
`wrapped_within`, the look into lists that interception.py takes at every np.array.
Must not know: which objects are watched, and why (state.py builds the nodes), what is done about a change.
"""
from cpython.dict cimport PyDict_GetItem
from cpython.list cimport PyList_Check, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t, intptr_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy
cimport numpy as cnp

from fastad._tape cimport Array, Complex, Scalar

import sys

import numpy as np

from fastad._tape import is_traced

cnp.import_array()

cdef object is_traced_ = is_traced

cdef extern from "Python.h":
    bint PyCell_Check(object x)
    PyObject *PyCell_GET(object cell)
    PyObject *PyFunction_GetCode(object f)
    PyObject *PyFunction_GetGlobals(object f)
    PyObject *PyFunction_GetClosure(object f)
    PyObject *PyFunction_GetDefaults(object f)
    PyObject *PyFunction_GetKwDefaults(object f)

cdef extern from "_kernels/checksum.h" nogil:
    uint64_t fa_checksum(const char *p, int nd, const intptr_t *shape, const intptr_t *strides, size_t itemsize)

# Elements.  Arrays up to WHOLE are compared with a copy, longer ones by their checksum.  Of what a tape reads itself at
# each replay (a large matrix) beyond BOUND bytes, and of anything beyond MOST, SAMPLES are looked at: going through all
# of it would cost as much as the sweep.
cdef enum: SAMPLES = 64, WHOLE = 1024, BOUND = 1048576, MOST = 268435456

# What a node compares, besides its slots.
IDENTITY, SCALAR, ARRAY, LIST, TUPLE, DICT, SET, FUNCTION, OBJECT = range(9)
cdef enum: C_IDENTITY, C_SCALAR, C_ARRAY, C_LIST, C_TUPLE, C_DICT, C_SET, C_FUNCTION, C_OBJECT

# Where a slot finds its object, given that of the node.
GLOBAL, CELL, DEFAULT, KWDEFAULT, ATTRIBUTE, MEMBER, GETATTR, INDEX, KEY, MODULE = range(10)
cdef enum: C_GLOBAL, C_CELL, C_DEFAULT, C_KWDEFAULT, C_ATTRIBUTE, C_MEMBER, C_GETATTR, C_INDEX, C_KEY, C_MODULE

MISSING = type("Missing", (), {"__repr__": lambda self: "nothing", "__slots__": ()})()
cdef object missing = MISSING
cdef dict sample_positions = {}


def positions_of_samples(int64_t n):
    """Flat positions at which an array is sampled: all of them up to 64, else spread so that no column is favoured."""
    if n <= SAMPLES:
        return np.arange(n)
    k = np.arange(SAMPLES)
    return np.minimum(((k + (k * 0.6180339887498949) % 1.0) * (n / SAMPLES)).astype(np.int64), n - 1)


cdef class Slot:
    """One name of a node: how to reach the object, what it was, what to call it."""
    cdef readonly int how
    cdef Py_ssize_t index
    cdef readonly object key
    cdef readonly Node node
    cdef readonly str label

    def __init__(self, int how, key, Node node, str label):
        self.how = how
        self.key = key
        self.index = key if how == C_CELL or how == C_DEFAULT or how == C_INDEX else -1
        self.node = node
        self.label = label

    def value(self, owner):
        """The object that the slot finds at present; MISSING if there is none."""
        return find(self, owner)


cdef object item_or_missing(object d, object key):
    cdef PyObject *p
    if type(d) is dict:
        p = PyDict_GetItem(d, key)
        return missing if p == NULL else <object>p
    try:
        return d[key]
    except (KeyError, TypeError, IndexError):
        return missing


cdef object entry(PyObject *container, Slot s):
    """The cell, default or keyword default of a function."""
    if container == NULL or <object>container is None:
        return missing
    if s.how == C_KWDEFAULT:
        return item_or_missing(<object>container, s.key)
    if s.index >= PyTuple_GET_SIZE(<object>container):
        return missing
    return <object>PyTuple_GET_ITEM(<object>container, s.index)


cdef object find(Slot s, object owner):
    cdef PyObject *p
    cdef int how = s.how
    if how == C_GLOBAL:
        return item_or_missing(<object>PyFunction_GetGlobals(owner), s.key)
    if how == C_CELL:
        cell = entry(PyFunction_GetClosure(owner), s)
        if not PyCell_Check(cell):
            return missing
        p = PyCell_GET(cell)
        return missing if p == NULL else <object>p
    if how == C_DEFAULT:
        return entry(PyFunction_GetDefaults(owner), s)
    if how == C_KWDEFAULT:
        return entry(PyFunction_GetKwDefaults(owner), s)
    if how == C_INDEX:
        if type(owner) is list:
            return <object>PyList_GET_ITEM(owner, s.index) if s.index < PyList_GET_SIZE(owner) else missing
        return owner[s.index] if s.index < len(owner) else missing
    if how == C_KEY:
        return item_or_missing(owner, s.key)
    if how == C_MODULE:
        return item_or_missing(sys.modules, s.key)
    try:
        if how == C_GETATTR:
            return getattr(owner, s.key)
        return item_or_missing(owner.__dict__, s.key)    # ATTRIBUTE of an object or module, MEMBER of a class
    except AttributeError:
        return missing


cdef class Node:
    """An object that a recorded function has seen, and what it looked like then.

    Attributes
    ----------
    kind : int
    obj : object
        The object itself: it stays alive, so that its address is its own.
    remade : bool
        A new object of its type that looks the same will do (bound methods and partials are made at each access).
    slots : list of Slot
        What can be reached from it.
    """
    cdef readonly int kind
    cdef readonly object obj
    cdef readonly bint remade            # a new object that looks the same will do
    cdef readonly list slots
    cdef readonly object items           # of a list, tuple, dict or set: a shallow copy; of a function: its code
    cdef char *memory                    # of an array
    cdef int64_t *offsets
    cdef char *samples
    cdef readonly tuple shape
    cdef int64_t nsamples, itemsize
    cdef bint whole                      # a short array without gaps: compared in one go
    cdef readonly bint checked           # compared by its checksum
    cdef uint64_t checksum

    def __init__(self, int kind, obj, bint remade=False, bint bound=False):
        self.kind = kind
        self.remade = remade
        self.obj = obj
        self.slots = []
        if kind == ARRAY:
            self.sample(memory_of(obj), bound)
        elif kind == LIST or kind == TUPLE:
            self.items = list(obj)
        elif kind == DICT:
            self.items = dict(obj)
        elif kind == SET:
            self.items = frozenset(obj)
        elif kind == FUNCTION:
            self.items = obj.__code__    # may be replaced in place (a notebook's autoreload does)

    def __dealloc__(self):
        free(self.offsets)
        free(self.samples)

    cdef int sample(self, cnp.ndarray a, bint bound) except -1:
        cdef int64_t k, rest, offset
        cdef int d
        self.whole = SAMPLES < cnp.PyArray_SIZE(a) <= WHOLE and cnp.PyArray_IS_C_CONTIGUOUS(a)
        positions = np.arange(cnp.PyArray_SIZE(a)) if self.whole else positions_of_samples(cnp.PyArray_SIZE(a))
        self.shape = (<object>a).shape
        self.nsamples = len(positions)
        self.itemsize = cnp.PyArray_ITEMSIZE(a)
        self.memory = <char *>cnp.PyArray_DATA(a)
        self.offsets = <int64_t *>malloc(max(1, self.nsamples) * sizeof(int64_t))
        self.samples = <char *>malloc(max(1, self.nsamples * self.itemsize))
        if self.offsets == NULL or self.samples == NULL:
            raise MemoryError("fastad: no memory for the samples of an array")
        for k in range(self.nsamples):
            rest = positions[k]
            offset = 0
            for d in range(cnp.PyArray_NDIM(a) - 1, -1, -1):
                offset += rest % cnp.PyArray_DIM(a, d) * cnp.PyArray_STRIDE(a, d)
                rest //= cnp.PyArray_DIM(a, d)
            self.offsets[k] = offset
            memcpy(self.samples + k * self.itemsize, self.memory + offset, self.itemsize)
        self.checked = self.nsamples < cnp.PyArray_SIZE(a) and cnp.PyArray_NBYTES(a) <= (BOUND if bound else MOST)
        if self.checked:
            self.checksum = checksum_of(a)
        return 0

    cdef bint same_array(self, cnp.ndarray a) except -1:
        cdef int64_t k
        cdef int d
        if <char *>cnp.PyArray_DATA(a) != self.memory or cnp.PyArray_NDIM(a) != len(self.shape) \
                or cnp.PyArray_ITEMSIZE(a) != self.itemsize:
            return False
        for d in range(cnp.PyArray_NDIM(a)):
            if cnp.PyArray_DIM(a, d) != <int64_t>self.shape[d]:
                return False
        if self.whole:
            return memcmp(self.memory, self.samples, self.nsamples * self.itemsize) == 0
        if self.checked:
            return checksum_of(a) == self.checksum
        if self.itemsize == 8:
            for k in range(self.nsamples):
                if (<int64_t *>(self.memory + self.offsets[k]))[0] != (<int64_t *>self.samples)[k]:
                    return False
            return True
        for k in range(self.nsamples):
            if memcmp(self.memory + self.offsets[k], self.samples + k * self.itemsize, self.itemsize):
                return False
        return True

    def sampled(self):
        """(positions, old values) of an array's samples, for messages."""
        cdef Py_ssize_t n = self.nsamples * self.itemsize
        size = memory_of(self.obj).size
        old = np.frombuffer(self.samples[:n], dtype=memory_of(self.obj).dtype)
        return np.arange(size) if self.whole else positions_of_samples(size), old

    def same(self, current):
        """Does `current`, the object that is now where this one was, look as this one did?"""
        return looks_same(self, current)


cdef uint64_t checksum_of(cnp.ndarray a) noexcept:
    return fa_checksum(<char *>cnp.PyArray_DATA(a), cnp.PyArray_NDIM(a), <const intptr_t *>cnp.PyArray_DIMS(a),
                       <const intptr_t *>cnp.PyArray_STRIDES(a), cnp.PyArray_ITEMSIZE(a))


cdef cnp.ndarray memory_of(object x):
    """The elements of an array, ours or NumPy's, or of another object that has them in memory (array.array)."""
    if type(x) is Array:
        return (<Array>x).c
    return x if isinstance(x, np.ndarray) else np.asarray(x)


cdef bint equal_scalars(object a, object b) except -1:
    if type(a) is not type(b):
        return False
    if a == b:                           # 0.0 == -0.0, but 1/x tells them apart
        return a != 0 or type(a) is not float or str(a) == str(b)
    return a != a and b != b


cdef bint same_items(Node node, object current) except -1:
    """The elements of a list or tuple: the same objects, or equal scalars; mutable ones have slots of their own."""
    cdef Py_ssize_t k, n = PyList_GET_SIZE(node.items)
    cdef list old = <list>node.items
    cdef PyObject *x
    if len(current) != n:
        return False
    if not isinstance(current, (list, tuple)):       # a deque
        current = list(current)
    for k in range(n):
        x = PyList_GET_ITEM(current, k) if PyList_Check(current) else PyTuple_GET_ITEM(current, k)
        if x != PyList_GET_ITEM(old, k) and not interchangeable(<object>PyList_GET_ITEM(old, k), <object>x):
            return False
    return True


cdef bint same_entries(Node node, object current) except -1:
    cdef dict old = <dict>node.items
    if len(current) != len(old):
        return False
    for key, value in old.items():
        x = current.get(key, missing)
        if x is not value and not interchangeable(value, x):
            return False
    return True


cdef frozenset scalar_types = frozenset({float, int, bool, str, bytes, complex, type(None)})


cdef bint interchangeable(object a, object b) except -1:
    """Different objects that mean the same: equal scalars.  Tuples and functions are compared by their slots."""
    if type(a) in scalar_types:
        return equal_scalars(a, b)
    return type(a) is type(b) and (isinstance(a, np.generic) and (a == b or (a != a and b != b))
                                   or type(a).__name__ in ("tuple", "function", "method", "partial"))


cdef bint looks_same(Node node, object current) except -1:
    cdef Slot s
    cdef int kind = node.kind
    if kind == C_SCALAR:
        if current is node.obj:
            return True
        if not equal_scalars(node.obj, current):
            return False
        node.obj = current
        return True
    if current is not node.obj and not (
            (kind == C_TUPLE and type(current) is type(node.obj))
            or (kind == C_FUNCTION and type(current) is type(node.obj)
                and PyFunction_GetCode(current) == <PyObject *>node.items
                and PyFunction_GetGlobals(current) == PyFunction_GetGlobals(node.obj))
            or (node.remade and type(current) is type(node.obj))):
        return False
    if kind == C_IDENTITY:
        return True
    if kind == C_ARRAY:
        if not node.same_array(memory_of(current)):
            return False
    elif kind == C_LIST or kind == C_TUPLE:
        if not same_items(node, current):
            return False
    elif kind == C_DICT:
        if not same_entries(node, current):
            return False
    elif kind == C_SET:
        return len(current) == len(node.items) and current == node.items
    elif kind == C_FUNCTION:
        if PyFunction_GetCode(current) != <PyObject *>node.items:
            return False
    for s in node.slots:
        if not looks_same(s.node, find(s, current)):
            return False
    return True


cpdef int wrapped_within(object x) except -1:
    """0: none of our stand-ins in x or its nested lists and tuples; 1: only plain arrays of ours; 2: traced values."""
    cdef int found = 0
    if type(x) is Scalar:
        return 2
    if type(x) is Array or isinstance(x, Complex):
        return 2 if is_traced_(x) else 1
    if isinstance(x, (list, tuple)):
        for item in x:
            if type(item) is not float:
                found = max(found, wrapped_within(item))
            if found == 2:
                break
    return found
