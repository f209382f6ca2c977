"""_factor.pxi - the attribute of an instruction of dense linear algebra (included in _tape.pyx).

Owns: the table of routines: their operands, the size of their results, what NumPy says where they fail; and how the
tangent and reverse sweeps of a tape get their derivatives: by running small tapes, which are made from the same rules
as all derivative tapes.
Must not know: the rules (linear_rules.py: registered under "lapack_jvp", "lapack_vjp").
Next: _lapack.pxi, _banded.pxi (the routines), _kernels/structural.h (the loop over a batch).
"""
ctypedef int (*lapack_fn)(const fa_lapack *p, const double *const *x, double *y) noexcept nogil

_SINGULAR = "Singular matrix"
_NO_SVD = "SVD did not converge"
_NO_MINOR = "leading minor not positive definite"
# name: (shapes of one matrix of each operand, elements of the result, what NumPy's error says)
LAPACK = {
    "tri": (("mn",), "m*n", ""),
    "fold": (("nn",), "n*n", ""),
    "mirror": (("nn",), "n*n", ""),
    "lu": (("nn",), "n*n+n", ""),
    "lusolve": (("nn", "nk", "lu"), "n*k", _SINGULAR),
    "det": (("nn", "lu"), "1", ""),
    "logdet": (("nn", "lu"), "1", ""),
    "detsign": (("lu",), "1", ""),
    "cofactor": (("nn", "lu"), "n*n", _NO_SVD),
    "trisolve": (("nn", "nk"), "n*k", _SINGULAR),
    "chol": (("nn",), "n*n", "Matrix is not positive definite"),
    "cholrev": (("nn", "nn"), "n*n", ""),
    "posdef": (("nn",), "1", ""),
    "eigh": (("nn",), "n+n*n", "Eigenvalues did not converge"),
    "svd": (("mn",), "svd", _NO_SVD),
    "pinv": (("mn", "1"), "n*m", _NO_SVD),
    "qr": (("mn",), "qr", ""),
    "lstsq": (("mn", "mk", "1"), "n*k", "SVD did not converge in Linear Least Squares"),
    "trisystem": (("mn", "nk"), "n*k", "singular matrix"),
    "tripos": (("mn", "nk"), "n*k", _NO_MINOR),
    "trifails": (("mn",), "1", ""),
    "bandlu": (("mn",), "bandlu", ""),
    "bandsolve": (("mn", "nk", "bandlu"), "n*k", "singular matrix"),
    "bandchol": (("mn",), "bandchol", ""),
    "bandpos": (("mn", "nk", "bandchol"), "n*k", _NO_MINOR),
    "bandmul": (("mn", "nk"), "n*k", ""),
    "bandouter": (("nk", "nk"), "m*n", ""),
}
# Their results are int64: bits for other routines (the names of operands that take them), a decision; no derivative.
LAPACK_INTEGERS = ("lu", "posdef", "bandlu", "bandchol", "trifails")
LAPACK_FACTORS = ("lu", "bandlu", "bandchol")
LAPACK_BANDED = ("trisystem", "tripos", "trifails", "bandlu", "bandsolve", "bandchol", "bandpos", "bandmul",
                 "bandouter")
LAPACK_BAND = BAND                       # the unit of a band's lower diagonals in `form`
# bits of `form`
LAPACK_FORMS = {"trans": TRANS, "rows": ROWWISE, "upper": UPPER, "unit": UNIT, "full": FULL, "half": HALF, "none": NONE,
                "double": DOUBLE, "symmetric": SYMMETRIC}


cdef dict ROUTINES = {
    "tri": <size_t>tri_one, "fold": <size_t>fold_one, "mirror": <size_t>mirror_one, "lu": <size_t>lu_one,
    "lusolve": <size_t>lusolve_one, "det": <size_t>det_one, "logdet": <size_t>logdet_one,
    "detsign": <size_t>detsign_one, "cofactor": <size_t>cofactor_one, "trisolve": <size_t>trisolve_one,
    "chol": <size_t>chol_one, "cholrev": <size_t>cholrev_one, "posdef": <size_t>posdef_one,
    "eigh": <size_t>eigh_one, "svd": <size_t>svd_one,
    "pinv": <size_t>pinv_one, "qr": <size_t>qr_one, "lstsq": <size_t>lstsq_one,
    "trisystem": <size_t>trisystem_one, "tripos": <size_t>trisystem_one, "trifails": <size_t>trifails_one,
    "bandlu": <size_t>bandlu_one, "bandsolve": <size_t>bandsolve_one, "bandchol": <size_t>bandchol_one,
    "bandpos": <size_t>bandpos_one, "bandmul": <size_t>bandmul_one, "bandouter": <size_t>bandouter_one}


cdef class Lapack(Attr):
    """A routine of dense linear algebra on a batch of matrices.

    Parameters
    ----------
    name : str
        One of the table LAPACK.
    batch : int
    m, n, k : int
        Sizes of one matrix; those that the routine does not know are 0.  Of a band: m diagonals.
    form : int
        Bits of LAPACK_FORMS; plus LAPACK_BAND times the number of diagonals below the main one.
    shared : int
        Bit j: operand j is one matrix for the whole batch.
    """
    cdef fa_lapack p
    cdef readonly str name
    cdef readonly dict derived           # what the sweeps run: (mode, mask of operands) -> Tape

    def __init__(self, str name, int64_t batch, int64_t m, int64_t n, int64_t k, int form=0, int shared=0):
        self.kind = "lapack"
        self.name = name
        self.derived = {}
        self.p.one = <lapack_fn><size_t>ROUTINES[name]
        self.p.batch, self.p.m, self.p.n, self.p.k = batch, m, n, k
        self.p.form, self.p.shared = form, shared
        self.p.object = <void *>self
        self.p.call.self = <void *>&self.p
        self.p.call.jvp = <foreign_jvp>factor_tangent
        self.p.call.vjp = <foreign_vjp>factor_adjoint
        for j, shape in enumerate(self.shapes()):
            self.p.size[j] = shape[1] * shape[2]
        self.p.out = self.result()[1]
        self.ptr = &self.p
        self.key = ("lapack", name, batch, m, n, k, form, shared)

    @property
    def form(self):
        """Bits of LAPACK_FORMS."""
        return self.p.form

    @property
    def shared(self):
        """Bit j: operand j is one matrix for the whole batch."""
        return self.p.shared

    @property
    def failure(self):
        """What NumPy's LinAlgError says, of the routine or of one in its derivative."""
        return LAPACK[self.name][2] or _SINGULAR

    def shapes(self):
        """(batch, rows, columns) of each operand as it lies in memory."""
        cdef dict size = {"m": self.p.m, "n": self.p.n, "k": self.p.k}
        found = []
        for j, letters in enumerate(LAPACK[self.name][0]):
            if letters == "lu":
                shape = (1, self.p.n * self.p.n + self.p.n)
            elif letters in LAPACK_FACTORS:
                shape = (1, self.band_factor(letters))
            elif letters == "1":
                shape = (1, 1)
            else:
                shape = (size[letters[0]], size[letters[1]])
                if letters[1] == "k" and self.p.form & ROWWISE:
                    shape = shape[::-1]
            found.append((1 if self.p.shared >> j & 1 else self.p.batch, *shape))
        return found

    cdef int64_t band_factor(self, str name):
        return band_factor_size(self.p.m, self.p.n, lower_diagonals(&self.p), name == "bandchol")

    def result(self):
        """(batch, elements) of the result."""
        cdef int64_t m = self.p.m, n = self.p.n, k = self.p.k, low = min(m, n), full = self.p.form & FULL
        rule = LAPACK[self.name][1]
        if rule == "svd":
            size = low + (m if full else low) * m + (n if full else low) * n
        elif rule == "qr":
            size = (m if full else low) * (m + n)
        elif rule in LAPACK_FACTORS:
            size = self.band_factor(rule)
        else:
            size = {"m*n": m * n, "n*m": n * m, "n*n": n * n, "n*n+n": n * n + n, "n+n*n": n + n * n, "n*k": n * k,
                    "1": 1}[rule]
        return self.p.batch, size


cdef object singular(Tape t, uint32_t i):
    """The error of a routine that failed in a sweep at instruction i."""
    cdef str why = (<Lapack>t.attr_list[t.arg[2 * <size_t>i + 1]]).failure
    where = t.location(i)
    for x in t.instruction(i)[1] if where is None else ():       # derivative code: where its operand was recorded
        where = where or t.location(x)
    return LinAlgDivergence(f"{why} (recorded at {where or 'a line that is not known'})", where, why)


# ---- the sweeps of tier 0 -------------------------------------------------------------------------------------------
cdef enum: KEPT_BYTES = 1048576


cdef object seen_at(const char *data, tuple shape, int dtype):
    """An array that looks at the memory of a sweep."""
    cdef cnp.npy_intp[3] dims
    cdef int k
    for k in range(<int>len(shape)):
        dims[k] = shape[k]
    return cnp.PyArray_SimpleNewFromData(<int>len(shape), dims, NPY_TYPE[dtype], <void *>data)


cdef list operands_at(Lapack a, int n, const char *const *x):
    """The operands, each as (batch, rows, columns)."""
    cdef tuple kinds = LAPACK[a.name][0]
    return [seen_at(x[j], shape, FA_I64 if kinds[j] in LAPACK_FACTORS else FA_F64)
            for j, shape in enumerate(a.shapes())]


cdef object small_tape(Lapack a, str mode, int mask):
    found = a.derived.get((mode, mask))
    if found is None:
        found = a.derived[mode, mask] = open_door("lapack_" + mode)(a, mask)
    return found


cdef list swept(Lapack a, str mode, int mask, list values):
    """The results of a small tape.  It outlives the sweep that needs it: it does not keep the memory of large ones."""
    cdef Tape t = small_tape(a, mode, mask)
    try:
        return t.sweep(values)
    finally:
        if t.layout().nbytes > KEPT_BYTES and t.frames is not None:
            t.frames.frame = None


cdef int factor_tangent(void *self, int n, const char *const *x, const char *y, const char *const *tin,
                        char *tout) except -1 with gil:
    cdef Lapack a = <Lapack>(<fa_lapack *>self).object
    cdef int j, mask = 0
    values = operands_at(a, n, x) + [seen_at(y, a.result(), FA_F64)]
    for j in range(n):
        if tin[j] != NULL:
            mask |= 1 << j
            values.append(seen_at(tin[j], a.shapes()[j], FA_F64))
    try:
        dot, = swept(a, "jvp", mask, values)
    except LinAlgDivergence:
        return 1
    memcpy(tout, cnp.PyArray_DATA(<cnp.ndarray>dot), a.p.batch * a.p.out * 8)
    return 0


cdef int factor_adjoint(void *self, int n, const char *const *x, const char *y, const char *w,
                        char *const *adj) except -1 with gil:
    cdef Lapack a = <Lapack>(<fa_lapack *>self).object
    cdef int j, mask = 0
    for j in range(n):
        mask |= (adj[j] != NULL) << j
    shape = a.result()
    try:
        bars = swept(a, "vjp", mask, operands_at(a, n, x) + [seen_at(y, shape, FA_F64), seen_at(w, shape, FA_F64)])
    except LinAlgDivergence:
        return 1
    given = iter(bars)
    for j in range(n):
        if adj[j] != NULL:
            to = seen_at(adj[j], a.shapes()[j], FA_F64)
            np.add(to, next(given), to)
    return 0


ATTR_KINDS["lapack"] = Lapack
