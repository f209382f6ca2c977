"""scipy_sparse.py - scipy.sparse matrices whose entries are traced.

Owns: `Recorded`, what becomes of a matrix of SciPy's that is made of traced entries (its class is a subclass of SciPy's
own): the places are fixed numbers, the entries one traced vector.  Operators, products, parts and conversions are here;
what only moves entries is SciPy's own code, run on a matrix of their positions.
Must not know: who makes such a matrix (scipy_sparse_makers.py), who solves with it (scipy_sparse_solvers.py), how
entries are brought in order (scipy_sparse_places.py).
Next: sparse_products.py (matrices of constants; the door through which their operators come here).
"""
from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp

from fastad import _tape as T
from fastad import sparse_products
from fastad.errors import UnsupportedError
from fastad.operands import asarray, is_array, live, refusal, shape_of
from fastad.scipy_sparse_algebra import (
    AsMatrix,
    at_entries,
    entries_of,
    has_traced_data,
    of_both,
    of_product,
    of_sum,
    times_vectors,
    zeros,
)
from fastad.scipy_sparse_cells import OF_A_DICT, Cells
from fastad.scipy_sparse_places import places

FORMATS = ("csr", "csc", "coo", "dia", "lil", "dok", "bsr")
_classes: dict[type, type] = {}

# Functions that keep zeros: SciPy has them as methods.
ENTRYWISE = ("sqrt", "sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "expm1", "log1p", "sign",
             "trunc", "floor", "ceil", "rint", "deg2rad", "rad2deg", "conjugate", "conj")


# ---- matrices --------------------------------------------------------------------------------------------------------

def is_recorded(x: Any) -> bool:
    """Is x a sparse matrix with traced entries?"""
    return isinstance(x, Recorded)


def recorded_class(cls: type) -> type:
    """The class of such matrices that is a subclass of one of SciPy's."""
    if issubclass(cls, Recorded):
        return cls
    found = _classes.get(cls)
    if found is None:
        # SciPy's class comes first, for otherwise an object of it could not become one of this class.
        body: dict[str, Any] = {**vars(Recorded), "__module__": cls.__module__, "_own": cls}
        for name in dir(cls):
            if not name.startswith("_") and name not in vars(Recorded) and name not in KEPT_AS_THEY_ARE:
                body[name] = _refusing(name)
        if issubclass(cls, dict):
            body.update(OF_A_DICT, _dict=_refusing("keys"))        # SciPy's dictionary does not know traced entries
        found = _classes[cls] = type(cls.__name__, (cls, Recorded), body)
    return found


KEPT_AS_THEY_ARE = {"shape", "format", "ndim", "maxprint"}


def _refusing(name: str) -> Any:
    def refuse(self: Any) -> Any:
        raise refusal(f"scipy.sparse {self.format} matrix: .{name}", "of a sparse matrix with traced entries these are "
                      "recorded: operators, indices, .T, .multiply, .power, .diagonal, .setdiag, .sum, .mean, .trace, "
                      "conversions, .toarray and .data; of csr, csc and coo")
    return property(refuse)


def build(cls: type, shape: Any, rows: Any, columns: Any, entries: Any, shared: bool = False) -> Any:
    """A matrix of a class of SciPy's with entries at these places."""
    found = recorded_class(cls)
    matrix: Any = (dict if issubclass(found, dict) else object).__new__(found)        # a dok matrix is a dict, too
    fill(matrix, shape, rows, columns, entries, shared)
    return matrix


def fill(matrix: Any, shape: Any, rows: Any, columns: Any, entries: Any, shared: bool = False) -> None:
    """Set what a matrix consists of; `shared`: the vector stays that of somebody else, where SciPy makes no copy."""
    matrix._shape = shape = tuple(map(int, shape))
    if len(shape) != 2:
        raise refusal("scipy.sparse", f"sparse arrays of {len(shape)} dimensions are not recorded, those of two are")
    if len(rows) and (rows.min() < 0 or columns.min() < 0 or rows.max() >= shape[0] or columns.max() >= shape[1]):
        raise ValueError(f"an index of an entry is outside of a matrix of shape {shape}")
    matrix.maxprint = 50
    if matrix.format != "coo":
        found = places(shape, rows, columns, matrix.format == "csc")
        rows, columns, brought = found.rows, found.columns, found.brought(entries)
        entries, shared = brought, shared or brought is not entries
    entries = entries if shared else entries.copy()
    matrix.rows_of_entries, matrix.columns_of_entries, matrix.entries = rows, columns, entries


def container(x: Any, name: str) -> Any:
    """SciPy's class of a format, of arrays or of matrices as x is."""
    return getattr(sp, f"{name}_{'array' if isinstance(x, sp.sparray) else 'matrix'}")


def positions(matrix: Any, first: int = 1) -> Any:
    """The plain matrix that holds the position of each entry, counted from 1."""
    numbers = np.arange(first, first + len(matrix.rows_of_entries))
    own = matrix._own if matrix.format in ("csr", "csc", "coo", "lil") else container(matrix, "csr")
    coo = container(matrix, "coo")((numbers, (matrix.rows_of_entries, matrix.columns_of_entries)), shape=matrix.shape)
    return coo if own.__name__.startswith("coo") else coo.asformat(own.__name__[:3])


def moved(run: Any, *matrices: Any) -> Any:
    """What `run`, which only moves entries, makes of matrices: it is called with those of their positions."""
    whole = [x if is_recorded(x) else build(container(x, "coo"), x.shape, *entries_of(x)) for x in matrices]
    # One place has one position: entries of one place are added up before.
    whole = [x.once() if x.format != "coo" else x.once().asformat("coo") for x in whole]
    vectors = [x.entries for x in whole]
    starts = np.cumsum([1] + [len(x.rows_of_entries) for x in whole])
    with T.Undisturbed(), warnings.catch_warnings():
        warnings.simplefilter("ignore", sp.SparseEfficiencyWarning)
        out = run(*[positions(x, int(first)) for x, first in zip(whole, starts, strict=False)])
    return carried(out, vectors[0] if len(vectors) == 1 else np.concatenate(vectors))


def carried(out: Any, vector: Any) -> Any:
    """A matrix, array or number of positions with the entries in their place; 0 is no entry."""
    if sp.issparse(out):
        with T.Undisturbed():
            coo = out.tocoo()
            keep = coo.data > 0
            rows, columns, at = (np.asarray(v[keep], dtype=np.int64) for v in (coo.row, coo.col, coo.data))
        return build(type(out), out.shape, rows, columns, vector[at - 1])
    if isinstance(out, np.matrix):
        return AsMatrix(carried(np.asarray(out), vector))
    out = np.asarray(out)
    if out.ndim == 0:
        return vector[int(out) - 1] if out else vector.dtype.type(0)
    flat, (at,) = zeros((out.size,), vector.dtype), np.nonzero(out.ravel())
    flat[at] = vector[out.ravel()[at] - 1]
    return flat.reshape(out.shape)


# ---- results ---------------------------------------------------------------------------------------------------------

def first_recorded(*xs: Any) -> Any:
    return next(x for x in xs if is_recorded(x))


def times_sparse(a: Any, b: Any) -> Any:
    """A B of two sparse matrices."""
    return build(container(first_recorded(a, b), "csr"), (a.shape[0], b.shape[1]), *of_product(a, b))


def plus(a: Any, b: Any, sign: int = 1) -> Any:
    """A + B, A - B."""
    like = first_recorded(a, b)
    return build(container(like, like.format if like.format == "csc" else "csr"), a.shape, *of_sum(a, b, sign))


def entrywise(a: Any, b: Any) -> Any:
    """The product of two sparse matrices, element by element."""
    return build(container(first_recorded(a, b), "csr"), a.shape, *of_both(a, b))


def scaled(a: Any, entries: Any) -> Any:
    """Other entries at the same places."""
    return build(a._own, a.shape, a.rows_of_entries, a.columns_of_entries, entries, True)


class Recorded(Cells):
    """A sparse matrix with traced entries; see the top of the file."""

    __slots__ = ()                       # SciPy's objects become such ones: nothing may be added to their layout

    _own: Any
    format: str
    shape: tuple[int, int]
    rows_of_entries: Any
    columns_of_entries: Any
    entries: Any

    # -- what it is

    @property
    def data(self) -> Any:
        self.have("data", "csr", "csc", "coo")
        return self.entries

    @data.setter
    def data(self, x: Any) -> None:
        self.have("data", "csr", "csc", "coo")
        x = asarray(x)
        if shape_of(x) != shape_of(self.entries):
            raise ValueError(f"data of shape {shape_of(x)} for {shape_of(self.entries)[0]} entries")
        self.entries = live(x)

    @property
    def indices(self) -> Any:
        self.have("indices", "csr", "csc")
        return self.rows_of_entries if self.format == "csc" else self.columns_of_entries

    @property
    def indptr(self) -> Any:
        self.have("indptr", "csr", "csc")
        return places(self.shape, self.rows_of_entries, self.columns_of_entries, self.format == "csc").pattern.indptr

    @property
    def row(self) -> Any:
        self.have("row", "coo")
        return self.rows_of_entries

    @property
    def col(self) -> Any:
        self.have("col", "coo")
        return self.columns_of_entries

    @property
    def coords(self) -> Any:
        return self.row, self.col

    def have(self, name: str, *formats: str) -> None:
        if self.format not in formats:
            raise refusal(f"scipy.sparse {self.format} matrix: .{name}", "convert it by .tocsr() or .tocoo() before")

    @property
    def dtype(self) -> Any:
        return self.entries.dtype

    @property
    def nnz(self) -> int:
        return len(self.rows_of_entries)

    @property
    def size(self) -> int:
        return len(self.rows_of_entries)

    def getnnz(self, axis: Any = None) -> Any:
        if axis is None:
            return self.nnz
        return np.bincount(self.columns_of_entries if axis in (0, -2) else self.rows_of_entries,
                           minlength=self.shape[1 if axis in (0, -2) else 0])

    def get_shape(self) -> Any:
        return self.shape

    def getformat(self) -> str:
        return self.format

    has_canonical_format = has_sorted_indices = True

    def sum_duplicates(self) -> None:
        if self.format == "coo":
            other = self.tocsr()
            self.rows_of_entries, self.columns_of_entries, self.entries = entries_of(other)

    def sort_indices(self) -> None:
        """They are sorted."""

    def sorted_indices(self) -> Any:
        return self.copy()

    def prune(self) -> None:
        """Nothing is unused."""

    def eliminate_zeros(self) -> None:
        """What is zero here need not be so elsewhere: it stays."""

    def __repr__(self) -> str:
        return f"<{self.format} matrix with {self.nnz} traced entries, shape {self.shape}>"

    __str__ = __repr__

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all().")

    def refill(self, rows: Any, columns: Any, entries: Any) -> None:
        fill(self, self.shape, rows, columns, entries)

    # -- conversions

    def once(self) -> Any:
        """The matrix with each place once."""
        return self if self.format != "coo" else self.tocsr()

    def asformat(self, format: Any, copy: bool = False) -> Any:
        if format is None or format == self.format:
            return self.copy() if copy else self
        if format not in FORMATS:
            raise ValueError(f"Format {format} is unknown.")
        return build(container(self, format), self.shape, *entries_of(self), format == "coo" and not copy)

    def tocsr(self, copy: bool = False) -> Any:
        return self.asformat("csr", copy)

    def tocsc(self, copy: bool = False) -> Any:
        return self.asformat("csc", copy)

    def tocoo(self, copy: Any = None) -> Any:
        default = inspect.signature(self._own.tocoo).parameters["copy"].default      # SciPy's versions differ
        return self.asformat("coo", default if copy is None else copy)

    def tolil(self, copy: bool = False) -> Any:
        return self.asformat("lil", copy)

    def todia(self, copy: bool = False) -> Any:
        return self.asformat("dia", copy)

    def todok(self, copy: bool = False) -> Any:
        return self.asformat("dok", copy)

    def copy(self) -> Any:
        return scaled(self, self.entries.copy())

    def astype(self, dtype: Any, casting: str = "unsafe", copy: bool = True) -> Any:
        return scaled(self, self.entries.astype(dtype))

    def toarray(self, order: Any = None, out: Any = None) -> Any:
        if out is not None:
            raise refusal("scipy.sparse .toarray", "out= is not recorded; use what is returned")
        a = self.once()
        full = zeros(a.shape, a.dtype)
        full[a.rows_of_entries, a.columns_of_entries] = a.entries
        return full

    def todense(self, order: Any = None, out: Any = None) -> Any:
        if not isinstance(self, sp.sparray):
            raise refusal("scipy.sparse .todense", "matrices of class np.matrix are not recorded; use .toarray()")
        return self.toarray(order, out)

    # -- what moves entries

    def transpose(self, axes: Any = None, copy: bool = False) -> Any:
        name = {"csr": "csc", "csc": "csr"}.get(self.format, self.format)
        return build(container(self, name), self.shape[::-1], self.columns_of_entries, self.rows_of_entries,
                     self.entries, not copy)

    @property
    def T(self) -> Any:
        return self.transpose()

    def getH(self) -> Any:
        return self.transpose().conjugate()

    def reshape(self, *args: Any, **kwargs: Any) -> Any:
        return moved(lambda p: p.reshape(*args, **kwargs), self)

    def __getitem__(self, key: Any) -> Any:
        place = self.cell(key)
        if place is not None:
            return self.cells_now().get(place, 0.0)
        return moved(lambda p: p[key], self if self.format in ("csr", "csc", "lil") else self.tocsr())

    def getrow(self, i: int) -> Any:
        return self.tocsr()[i:i + 1 or None]

    def getcol(self, j: int) -> Any:
        return self.tocsr()[:, j:j + 1 or None]

    def diagonal(self, k: int = 0) -> Any:
        return moved(lambda p: p.diagonal(k), self)

    def trace(self, offset: int = 0) -> Any:
        return np.sum(self.diagonal(offset))

    def __setitem__(self, key: Any, x: Any) -> None:
        place = self.cell(key)
        if place is not None and not shape_of(x) and not sp.issparse(x):
            self.put_cell(place, x)
            return
        if sp.issparse(x):
            x = x.toarray()
        self.write(x, lambda p, numbers: p.__setitem__(key, numbers))

    def setdiag(self, values: Any, k: int = 0) -> None:
        self.write(values, lambda p, numbers: p.setdiag(numbers, k))

    def write(self, x: Any, run: Any) -> None:
        """Write x as `run` does it with positions: behind those of the entries come the ones of x."""
        a, x = self.once(), asarray(x)
        x = x if is_array(x) else np.array([x])
        n, shape = len(a.rows_of_entries), shape_of(x)
        numbers = np.arange(n + 1, n + 1 + int(np.prod(shape))).reshape(shape)
        x = np.reshape(live(x), (-1,))
        with T.Undisturbed(), warnings.catch_warnings():
            warnings.simplefilter("ignore", sp.SparseEfficiencyWarning)
            p = positions(a)
            run(p, numbers if numbers.size > 1 else int(numbers.ravel()[0]))
            coo = p.tocoo()
        rows, columns, at = (np.asarray(v, dtype=np.int64) for v in (coo.row, coo.col, coo.data))
        vars(self).pop("cells", None)
        fill(self, a.shape, rows, columns, np.concatenate((a.entries, x))[at - 1])

    # -- sums

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        if dtype is not None or out is not None:
            raise refusal("scipy.sparse .sum", "dtype= and out= are not recorded")
        if axis is None:
            return np.sum(self.entries)
        down = axis in (0, -2)
        y = times_vectors(self, np.ones(self.shape[0 if down else 1]), down)
        if isinstance(self, sp.sparray):
            return y
        return AsMatrix(y[None, :] if down else y[:, None])

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        count = self.shape[0] * self.shape[1] if axis is None else self.shape[0 if axis in (0, -2) else 1]
        y = self.sum(axis, dtype, out)
        return AsMatrix(y.A / count) if isinstance(y, AsMatrix) else y / count

    # -- operators

    def __matmul__(self, x: Any) -> Any:
        if sp.issparse(x):
            return times_sparse(self, x)
        if not shape_of(x):
            raise ValueError("Scalar operands are not allowed, use '*' instead")
        return times_vectors(self, x)

    def __rmatmul__(self, x: Any) -> Any:
        if sp.issparse(x):
            return times_sparse(x, self)
        x = asarray(x)
        return times_vectors(self, x.T, True).T if len(shape_of(x)) == 2 else times_vectors(self, x, True)

    def dot(self, x: Any) -> Any:
        return self.__mul__(x) if not sp.issparse(x) and not shape_of(x) else self @ x

    def __mul__(self, x: Any) -> Any:
        if isinstance(self, sp.sparray) or not (sp.issparse(x) or shape_of(x)):
            return self.multiply(x)
        return self @ x

    def __rmul__(self, x: Any) -> Any:
        if isinstance(self, sp.sparray) or not (sp.issparse(x) or shape_of(x)):
            return self.multiply(x)
        return self.__rmatmul__(x)

    def multiply(self, x: Any) -> Any:
        if sp.issparse(x):
            if x.shape != self.shape:
                raise refusal("scipy.sparse .multiply", "the product of two sparse matrices of one shape is recorded; "
                              "for one that is broadcast, pass x.toarray()")
            return entrywise(self, x)
        a = self.once()
        return scaled(a, a.entries * at_entries(a, x))

    def __truediv__(self, x: Any) -> Any:
        if sp.issparse(x):
            raise refusal("scipy.sparse", "the quotient of two sparse matrices has no entries where both are 0")
        a = self.once()
        return scaled(a, a.entries / at_entries(a, x))

    def __rtruediv__(self, x: Any) -> Any:
        raise refusal("scipy.sparse", "a quotient by a sparse matrix is infinite where it has no entries")

    def power(self, n: Any, dtype: Any = None) -> Any:
        if not n:
            raise refusal("scipy.sparse", "the power 0 is 1 at all places, with an entry or not: np.ones(A.shape)")
        a = self.once()
        return scaled(a, a.entries**n)

    def __pow__(self, n: Any) -> Any:
        if isinstance(self, sp.sparray):
            return self.power(n)
        if not isinstance(n, int) or n < 1:
            raise refusal("scipy.sparse", "powers of a matrix are recorded for whole numbers from 1")
        y = self
        for _ in range(n - 1):
            y = y @ self
        return y

    def __neg__(self) -> Any:
        return scaled(self, -self.entries)

    def __abs__(self) -> Any:
        a = self.once()
        return scaled(a, np.abs(a.entries))

    def __add__(self, x: Any) -> Any:
        if sp.issparse(x):
            return plus(self, x)
        if not shape_of(x) and not T.is_wrapped(x) and x == 0:
            return self.copy()
        raise self.dense()

    __radd__ = __add__

    def __sub__(self, x: Any) -> Any:
        if sp.issparse(x):
            return plus(self, x, -1)
        if not shape_of(x) and not T.is_wrapped(x) and x == 0:
            return self.copy()
        raise self.dense()

    def __rsub__(self, x: Any) -> Any:
        return -self + x

    def dense(self) -> UnsupportedError:
        return refusal("scipy.sparse", "the sum of a sparse matrix and an array is full: write A.toarray() + x")

    def __iadd__(self, x: Any) -> Any:
        return self + x

    def __isub__(self, x: Any) -> Any:
        return self - x

    def __imul__(self, x: Any) -> Any:
        if sp.issparse(x) or shape_of(x):
            return self * x
        self.entries = self.entries * x
        return self

    def __itruediv__(self, x: Any) -> Any:
        if sp.issparse(x) or shape_of(x):
            return self / x
        self.entries = self.entries / x
        return self

    def compared(self, x: Any) -> Any:
        raise refusal("scipy.sparse", "comparisons of sparse matrices are not recorded; compare their .data")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = compared
    __hash__ = None

    @property
    def real(self) -> Any:
        return scaled(self, self.entries.real)

    @property
    def imag(self) -> Any:
        return scaled(self, self.entries.imag)


def _of_entries(name: str) -> Any:
    def method(self: Any) -> Any:
        a = self if name.startswith("conj") else self.once()
        return scaled(a, getattr(np, name)(a.entries))
    method.__name__ = name
    return method


for _name in ENTRYWISE:
    setattr(Recorded, _name, _of_entries(_name))


# ---- what meets a matrix of constants --------------------------------------------------------------------------------

def constants(a: Any) -> Recorded:
    """A matrix of constants as one whose entries are read again at each replay."""
    found: Recorded = build(type(a), a.shape, *entries_of(a))
    return found


def by_array(a: Any, x: Any, divided: bool, rdivide: bool = False) -> Any:
    """The product or quotient of a matrix of constants and a traced number or array, element by element."""
    a = constants(a)
    if rdivide:
        return x / a
    return a / x if divided else a.multiply(x)


def product(a: Any, x: Any, transposed: bool) -> Any:
    """A x, or A^T x, for a matrix of complex constants."""
    return times_vectors(constants(a), x, transposed)


def meeting(a: Any, name: str, b: Any, *args: Any, **kwargs: Any) -> Any:
    """An operation of SciPy's on a matrix of constants and a recorded one, or on one whose data were exchanged."""
    a, b = (constants(x) if has_traced_data(x) else x for x in (a, b))
    if not sp.issparse(b):
        x = a / b if name == "_divide" else a.multiply(b) if name == "multiply" or not shape_of(b) else None
        return x if x is not None else a.__rmatmul__(b) if name == "_rmatmul_dispatch" else a @ b
    if is_recorded(a) and not is_recorded(b):
        b = constants(b)
    if name in ("_add_sparse", "_sub_sparse"):
        return plus(a, b, 1 if name == "_add_sparse" else -1)
    if name == "multiply":
        return b.multiply(a)
    if name == "_divide":
        return constants(a) / b
    right = name in ("_rmatmul_dispatch", "__rmatmul__", "__rmul__")
    if name.endswith("mul__") and isinstance(a, sp.sparray):
        return b.multiply(a)
    return times_sparse(b, a) if right else times_sparse(a, b)


sparse_products.recording.update({"class": Recorded, "by": by_array, "meet": meeting, "product": product})
