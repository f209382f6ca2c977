"""_attrs.pxi - attributes of structural instructions (included in _tape.pyx).

Owns: the Python side of the structs in layout.h: maps between elements, axes, matrix products, foreign calls.
Each is immutable, compared by `key`, and can be written to and read from a tape file (`fields`, `from_fields`).
Next: _kernels/structural.h (what they mean), _transform.pyx (their derivatives).
"""

cdef class Attr:
    def __eq__(self, other):
        return type(self) is type(other) and self.key == (<Attr>other).key

    def __hash__(self):
        if self.hashed == 0:
            self.hashed = hash(self.key)
        return self.hashed

    def __repr__(self):
        return f"{self.kind}{self.fields()}"

    @property
    def nbytes(self):
        """About the memory that this attribute takes: its object, its key, its tables."""
        return 300 + key_bytes(self.key)

    def fields(self):
        """What `from_fields` needs to make an equal attribute: numbers, strings, arrays, lists of those."""
        return self.key[1:]


cdef Py_ssize_t key_bytes(key) except -1:
    """Bytes of a key; tables stand in it as bytes and once more as an array."""
    cdef Py_ssize_t total = 8
    if type(key) is tuple:
        total = 48
        for x in key:
            total += key_bytes(x)
    elif type(key) is bytes:
        total = 2 * len(key)
    return total


cdef class Number(Attr):
    """One integer: the length to which WRAP and LASTWRITER refer, the side of SEARCHSORTED."""
    cdef int64_t value

    def __init__(self, int64_t value):
        self.kind = "number"
        self.value = value
        self.key = ("number", value)
        self.ptr = &self.value


cdef class Axis(Attr):
    """An array seen as (outer, n, inner); the instruction works along n."""
    cdef fa_axis a

    def __init__(self, int64_t outer, int64_t n, int64_t inner, bint reverse=False):
        self.kind = "axis"
        self.a.outer = outer
        self.a.n = n
        self.a.inner = inner
        self.a.reverse = reverse
        self.key = ("axis", outer, n, inner, bool(reverse))
        self.ptr = &self.a


cdef class Matmul(Attr):
    """A batch of matrix products (m x k) (k x n); ta, tb: the operand is stored transposed."""
    cdef fa_matmul a

    def __init__(self, int64_t batch, int64_t m, int64_t k, int64_t n, int64_t abatch, int64_t bbatch,
                 bint ta=False, bint tb=False):
        self.kind = "matmul"
        self.a.batch = batch
        self.a.m = m
        self.a.k = k
        self.a.n = n
        self.a.abatch = abatch
        self.a.bbatch = bbatch
        self.a.ta = ta
        self.a.tb = tb
        self.a.adjoint = False
        self.key = ("matmul", batch, m, k, n, abatch, bbatch, bool(ta), bool(tb))
        self.ptr = &self.a


cdef class AdjointMatmul(Matmul):
    """A product that is an adjoint: what in it is subnormal may count as zero (product_real.h says when)."""
    def __init__(self, *fields):
        Matmul.__init__(self, *fields)
        self.kind = "adjoint matmul"
        self.a.adjoint = True
        self.key = ("adjoint matmul", *self.key[1:])


cdef class Csr(Attr):
    """Pattern of a sparse matrix in CSR form, and how it is applied."""
    cdef fa_csr a
    cdef readonly object indptr, indices

    def __init__(self, int64_t nrow, int64_t ncol, int64_t ncols, indptr, indices, bint transpose=False):
        self.kind = "csr"
        self.indptr = np.array(indptr, dtype=np.int64, order="C")
        self.indices = np.array(indices, dtype=np.int64, order="C")
        self.a.nrow = nrow
        self.a.ncol = ncol
        self.a.nnz = len(self.indices)
        self.a.ncols = ncols
        self.a.transpose = transpose
        self.a.indptr = <const int64_t *>cnp.PyArray_DATA(self.indptr)
        self.a.indices = <const int64_t *>cnp.PyArray_DATA(self.indices)
        self.key = ("csr", nrow, ncol, ncols, self.indptr.tobytes(), self.indices.tobytes(), bool(transpose))
        self.ptr = &self.a

    def fields(self):
        return self.a.nrow, self.a.ncol, self.a.ncols, self.indptr, self.indices, bool(self.a.transpose)


cdef fa_cell cell_of(value, int dtype):
    cdef fa_cell c
    c.i = 0
    if dtype == FA_F64:
        c.f = NAN if value is None else value        # x[0] = None is NumPy's NaN
    elif dtype == FA_F32:
        c.s = NAN if value is None else <float><double>value
    else:
        c.i = int(value)
    return c


cdef object np_float32 = np.float32


cdef object number_of(fa_cell c, int dtype):
    if dtype == FA_F64:
        return c.f
    if dtype == FA_F32:
        return np_float32(c.s)
    return bool(c.i) if dtype == FA_BOOL else c.i


def number_of_bits(int64_t bits, int dtype):
    """The number of rank 0 whose cell holds these bits."""
    cdef fa_cell c
    c.i = bits
    return number_of(c, dtype)


cdef class Map(Attr):
    """Which element of the source goes to which element of the destination: affine pieces, or a table.

    Make one with `Map.view`, `Map.table` or from pieces (shape, source offset, source strides, destination offset,
    destination strides); offsets and strides count elements.  `fill` is what the rest of the destination holds.
    """
    cdef fa_map m
    cdef fa_piece *pieces_
    cdef readonly tuple pieces           # or None
    cdef readonly object src, dst        # table sides, None: 0, 1, 2, ...
    cdef readonly object fill
    cdef readonly int fill_dtype
    cdef Map transposed
    cdef list keep

    def __cinit__(self):
        self.pieces_ = NULL

    def __dealloc__(self):
        free(self.pieces_)

    def __init__(self, int64_t nsrc, int64_t ndst, pieces, src, dst, bint covers, bint src_injective,
                 bint dst_injective, fill=0, int fill_dtype=0):
        self.kind = "map"
        self.pieces = pieces
        self.src = src
        self.dst = dst
        self.fill = fill
        self.fill_dtype = fill_dtype
        self.m.nsrc = nsrc
        self.m.ndst = ndst
        self.m.covers = covers
        self.m.src_injective = src_injective
        self.m.dst_injective = dst_injective
        self.m.fill = cell_of(fill, fill_dtype)
        self.m.npieces = 0
        self.m.ntable = -1
        self.m.src = self.m.dst = NULL
        self.keep = []
        self.ptr = &self.m
        if pieces is not None:
            self.set_pieces()
        else:
            self.set_table()
        self.key = ("map", nsrc, ndst, pieces, None if src is None else src.tobytes(),
                    None if dst is None else dst.tobytes(), self.m.ntable, covers, src_injective, dst_injective,
                    self.m.fill.i, fill_dtype)           # 0.0 and -0.0 are two fills

    cdef int set_pieces(self) except -1:
        cdef int k = 0
        cdef Py_ssize_t d
        self.m.npieces = len(self.pieces)
        self.pieces_ = <fa_piece *>calloc(max(1, self.m.npieces), sizeof(fa_piece))
        for shape, soff, sstr, doff, dstr in self.pieces:
            block = np.array([shape, sstr, dstr], dtype=np.int64).reshape(3, len(shape))
            self.keep.append(block)
            d = len(shape)
            self.pieces_[k].nd = d
            self.pieces_[k].soff = soff
            self.pieces_[k].doff = doff
            self.pieces_[k].shape = <const int64_t *>cnp.PyArray_DATA(block)
            self.pieces_[k].sstr = <const int64_t *>cnp.PyArray_DATA(block) + d
            self.pieces_[k].dstr = <const int64_t *>cnp.PyArray_DATA(block) + 2 * d
            k += 1
        self.m.pieces = self.pieces_
        return 0

    cdef int set_table(self) except -1:
        if self.src is not None:
            self.m.src = <const int64_t *>cnp.PyArray_DATA(self.src)
            self.m.ntable = len(self.src)
        if self.dst is not None:
            self.m.dst = <const int64_t *>cnp.PyArray_DATA(self.dst)
            self.m.ntable = len(self.dst)
        if self.m.ntable < 0:
            raise InternalError("a map by table needs at least one side")
        return 0

    def fields(self):
        return (self.m.nsrc, self.m.ndst, self.pieces, self.src, self.dst, bool(self.m.covers),
                bool(self.m.src_injective), bool(self.m.dst_injective), self.fill, self.fill_dtype)

    @staticmethod
    def view(int64_t nsrc, shape, int64_t offset, strides, bint injective=False):
        """Read a strided view of a flat source in C order; `injective`: known to touch no element twice."""
        cdef int64_t size = 1
        dstr = []
        for extent in reversed(shape):
            dstr.append(size)
            size *= extent
        piece = (tuple(shape), offset, tuple(strides), 0, tuple(reversed(dstr)))
        return Map(nsrc, size, (piece,), None, None, True, injective or distinct(shape, strides), True)

    @staticmethod
    def table(int64_t nsrc, int64_t ndst, src, dst=None, fill=0, int fill_dtype=0):
        """Element src[k] goes to element dst[k] (k where None)."""
        if src is not None:
            src = np.ascontiguousarray(src, dtype=np.int64).ravel()
        if dst is not None:
            dst = np.ascontiguousarray(dst, dtype=np.int64).ravel()
        cdef bint dst_once = dst is None or no_duplicates(dst, ndst)
        cdef int64_t n = len(src if src is not None else dst)
        return Map(nsrc, ndst, None, src, dst, dst_once and n == ndst,
                   src is None or no_duplicates(src, nsrc), dst_once, fill, fill_dtype)

    @property
    def T(self):
        """The map read backwards: what it gives to the destination, it takes to the source."""
        cdef int64_t n
        if self.transposed is None:
            pieces = None
            if self.pieces is not None:
                pieces = tuple([(shape, doff, dstr, soff, sstr) for shape, soff, sstr, doff, dstr in self.pieces])
                n = sum([math.prod(p[0]) for p in pieces])
            else:
                n = self.m.ntable
            self.transposed = Map(self.m.ndst, self.m.nsrc, pieces, self.dst, self.src,
                                  self.m.src_injective and n == self.m.nsrc, self.m.dst_injective,
                                  self.m.src_injective)
        return self.transposed

    @property
    def sizes(self):
        """(elements of the source, elements of the destination)."""
        return self.m.nsrc, self.m.ndst

    def indices(self):
        """(source, destination) positions of every pair, as int64 arrays."""
        if self.pieces is None:
            k = np.arange(self.m.ntable)
            return (k if self.src is None else self.src), (k if self.dst is None else self.dst)
        src, dst = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for shape, soff, sstr, doff, dstr in self.pieces:
            src.append(affine_positions(shape, soff, sstr))
            dst.append(affine_positions(shape, doff, dstr))
        return np.concatenate(src), np.concatenate(dst)

    def without_fill(self):
        """The same map with zeros elsewhere: its linear part."""
        if self.fill == 0 and self.fill_dtype == FA_F64:
            return self
        return Map(self.m.nsrc, self.m.ndst, self.pieces, self.src, self.dst, self.m.covers, self.m.src_injective,
                   self.m.dst_injective)


def affine_positions(shape, offset, strides):
    """Flat positions offset + j . strides for all multi-indices j, in C order."""
    out = np.full((), offset, dtype=np.int64)
    for extent, stride in zip(shape, strides):
        out = out[..., None] + np.arange(extent, dtype=np.int64) * stride
    return out.ravel()


def no_duplicates(index, n):
    """Is no position of 0 ... n-1 named twice?"""
    if len(index) > n:
        return False
    seen = np.zeros(n, dtype=bool)
    seen[index] = True
    return int(np.count_nonzero(seen)) == len(index)


def distinct(shape, strides):
    """Do strides touch no element twice?  A sufficient test: each stride passes over all that the smaller ones span."""
    span = 0
    for stride, extent in sorted([(abs(s), n) for s, n in zip(strides, shape) if n > 1]):
        if stride <= span:
            return False
        span += stride * (extent - 1)
    return True


cdef bint is_identity(Attr attr) except -1:
    """Does a map move everything to its own place?"""
    cdef fa_map *m = <fa_map *>attr.ptr
    cdef int64_t expected = 1
    cdef int d
    if m.nsrc != m.ndst or m.npieces != 1 or m.ntable >= 0 or m.pieces[0].soff or m.pieces[0].doff:
        return False
    for d in range(m.pieces[0].nd - 1, -1, -1):
        if m.pieces[0].shape[d] != 1 and (m.pieces[0].sstr[d] != expected or m.pieces[0].dstr[d] != expected):
            return False
        expected *= m.pieces[0].shape[d]
    return expected == m.ndst


cdef int64_t pairs(Attr m) except -1:
    """How many elements a map moves."""
    cdef const fa_map *p = <const fa_map *>m.ptr
    cdef int64_t n, total = 0
    cdef int k, d
    if p.ntable >= 0:
        return p.ntable
    for k in range(p.npieces):
        n = 1
        for d in range(p.pieces[k].nd):
            n *= p.pieces[k].shape[d]
        total += n
    return total


cdef class Assemble(Attr):
    """Several sources, each with its map into one destination."""
    cdef fa_assemble a
    cdef readonly tuple maps
    cdef readonly object fill
    cdef readonly int fill_dtype
    cdef const fa_map **maps_

    def __dealloc__(self):
        free(self.maps_)

    def __init__(self, maps, bint accumulate=False, bint covers=False, fill=0, int fill_dtype=0):
        cdef Py_ssize_t k
        self.kind = "assemble"
        self.maps = tuple(maps)
        self.fill = fill
        self.fill_dtype = fill_dtype
        self.maps_ = <const fa_map **>malloc(max(1, len(self.maps)) * sizeof(fa_map *))
        for k in range(len(self.maps)):
            self.maps_[k] = &(<Map>self.maps[k]).m
        self.a.n = len(self.maps)
        self.a.maps = self.maps_
        self.a.accumulate = accumulate
        self.a.covers = covers
        self.a.fill = cell_of(fill, fill_dtype)
        self.key = ("assemble", tuple([m.key for m in self.maps]), bool(accumulate), bool(covers), fill, fill_dtype)
        self.ptr = &self.a

    def fields(self):
        return list(self.maps), bool(self.a.accumulate), bool(self.a.covers), self.fill, self.fill_dtype


cdef class Stack(Attr):
    """Scalars that are put (or added) at positions of an array, over a base or over zeros."""
    cdef fa_stack a
    cdef readonly object positions
    cdef readonly bint has_base, accumulate

    def __init__(self, int64_t n, positions=None, bint has_base=False, bint accumulate=False):
        self.kind = "stack"
        self.positions = None if positions is None else np.ascontiguousarray(positions, dtype=np.int64)
        self.has_base = has_base
        self.accumulate = accumulate
        self.a.n = n
        self.a.pos = NULL if positions is None else <const int64_t *>cnp.PyArray_DATA(self.positions)
        self.a.has_base = has_base
        self.a.accumulate = accumulate
        self.key = ("stack", n, None if positions is None else self.positions.tobytes(), has_base, accumulate)
        self.ptr = &self.a

    def fields(self):
        return self.a.n, self.positions, self.has_base, self.accumulate


ATTR_KINDS = {"number": Number, "axis": Axis, "matmul": Matmul,
              "adjoint matmul": AdjointMatmul, "csr": Csr, "map": Map, "assemble": Assemble,
              "stack": Stack}
