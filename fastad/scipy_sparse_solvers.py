"""scipy_sparse_solvers.py - scipy.sparse.linalg: direct solutions of sparse systems.

Owns: spsolve, splu, factorized and spsolve_triangular, with SciPy's arguments; why the rest is refused.
Must not know: SuperLU and derivatives (scipy_sparse_rules.py).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from fastad import _tape as T
from fastad.complex_values import from_pairs, parts, to_pairs
from fastad.operands import asarray, live, refusal, shape_of
from fastad.scipy_doors import original, records
from fastad.scipy_sparse import build, container, is_recorded
from fastad.scipy_sparse_algebra import entries_of
from fastad.scipy_sparse_makers import found_in, traced
from fastad.scipy_sparse_places import places
from fastad.scipy_sparse_rules import Solution

ITERATIVE = ("its iterations stop by tolerance; use scipy.sparse.linalg.spsolve, or splu where many systems have one "
             "matrix, whose derivatives are exact")
VALUES = "use scipy.linalg.eigh of A.toarray(), or write its iterations as a loop"
REFUSED = {**dict.fromkeys(("cg", "cgs", "bicg", "bicgstab", "gmres", "lgmres", "minres", "qmr", "gcrotmk", "tfqmr",
                            "lsqr", "lsmr", "spilu"), ITERATIVE),
           **dict.fromkeys(("eigs", "eigsh", "svds", "lobpcg"), VALUES),
           "expm": "use scipy.linalg.expm of A.toarray()", "expm_multiply": "use scipy.linalg.expm of A.toarray()",
           "norm": "use np.linalg.norm of A.data, or of A.toarray()",
           "onenormest": "use np.linalg.norm of A.toarray()"}


class System:
    """A square matrix in canonical form, to be solved with.

    Attributes
    ----------
    entries : Array
        In the order of `where`: pairs where they are complex.
    """

    def __init__(self, A: Any, options: tuple[tuple[str, Any], ...], what: str) -> None:
        if not sp.issparse(A):
            raise refusal(what, "pass a sparse matrix: scipy.sparse.csc_matrix((data, (rows, columns)))")
        self.shape = A.shape
        if A.shape[0] != A.shape[1]:
            raise ValueError(f"matrix must be square (has shape {A.shape})" if what.endswith("spsolve")
                             else "can only factor square matrices")
        rows, columns, entries = entries_of(A)
        found = places(A.shape, rows, columns, False)
        self.where, self.options = found.pattern, options
        entries = found.brought(entries)
        self.dtype = np.promote_types(entries.dtype, np.float32)
        self.pairs = self.dtype.kind == "c"
        self.entries = real_pairs(entries) if self.pairs else doubles(entries)

    def check(self) -> None:
        """SuperLU's error where the matrix is singular now."""
        x = T.concrete(self.entries)
        with T.Undisturbed():
            self.where.factor(np.ascontiguousarray(x).view(np.complex128)[..., 0] if self.pairs else
                              np.ascontiguousarray(x), self.options)

    def solve(self, b: Any, flip: str = "N") -> Any:
        """The solution for one vector or for columns."""
        b = asarray(b)
        if flip == "T" and self.pairs:
            return np.conj(self.solve(np.conj(b), "H"))
        shape = shape_of(b)
        columns = shape[1] if len(shape) == 2 else 1
        dtype = np.promote_types(self.dtype, b.dtype)
        if dtype.kind == "c" and not self.pairs:             # both parts are columns of one real system
            re, im = ([part if len(shape) == 2 else np.reshape(part, (-1, 1)) for part in parts(b)])
            x = self.solve(np.concatenate((live(re), live(im)), 1), flip)
            x = x[:, :columns] + 1j * x[:, columns:]
        else:
            rhs = real_pairs(b) if self.pairs else doubles(b)
            rule = Solution(self.where, columns, self.pairs, flip != "N", options=self.options)
            rhs = np.reshape(rhs, (shape[0], columns) + (2,) * self.pairs)
            x = rule.record(self.entries, rhs)
            x = from_pairs(x) if self.pairs else x
        x = x if x.dtype == dtype else x.astype(dtype)
        return np.reshape(x, shape)


def doubles(x: Any) -> Any:
    """Real numbers in float64."""
    x = live(x)
    return x if x.dtype == np.float64 else x.astype(np.float64)


def real_pairs(x: Any) -> Any:
    """Complex numbers as pairs of float64."""
    re, im = (None if part is None else doubles(part) for part in parts(x))
    return to_pairs(re + 1j * (np.zeros(shape_of(re)) if im is None else im))


def options_of(permc_spec: Any, **others: Any) -> tuple[tuple[str, Any], ...]:
    """SuperLU's options that are set, as splu takes them."""
    chosen = {"permc_spec": permc_spec, **others}
    given = {key: tuple(sorted(x.items())) if isinstance(x, dict) else x for key, x in chosen.items() if x is not None}
    if "options" in given:
        raise refusal("scipy.sparse.linalg.splu", "options= of SuperLU is not recorded; permc_spec, diag_pivot_thresh, "
                      "relax and panel_size are")
    return tuple(sorted(given.items()))


@records("scipy.sparse.linalg", "spsolve", applies=traced)
def spsolve(A: Any, b: Any, permc_spec: Any = None, use_umfpack: bool = True) -> Any:
    """A^-1 b by SuperLU, by the entries of A and by b; b of shape (n,) or (n, k)."""
    system = System(A, options_of(permc_spec), "scipy.sparse.linalg.spsolve")
    if sp.issparse(b):
        if b.shape[1] > 1:
            raise refusal("scipy.sparse.linalg.spsolve", "a sparse right-hand side of several columns is not recorded: "
                          "pass b.toarray()")
        b = b.toarray()
    b = asarray(b)
    shape = shape_of(b)
    if shape[0] != system.shape[0]:
        raise ValueError(f"matrix - rhs dimension mismatch ({system.shape} - {shape[0]})")
    x = system.solve(b)
    return np.reshape(x, (-1,)) if shape[1:] == (1,) else x


class Factors:
    """What splu gives: solutions with one matrix.  `own`: SuperLU's object where the matrix is of constants."""

    def __init__(self, system: System, own: Any = None) -> None:
        self.system, self.own = system, own
        self.shape = system.shape

    def solve(self, rhs: Any, trans: str = "N") -> Any:
        """A^-1 rhs; trans: "T" A^-T, "H" A^-H."""
        if self.own is not None and not found_in(rhs):
            return self.own.solve(rhs, trans)
        if trans not in ("N", "T", "H"):
            raise ValueError("trans must be N, T, or H")
        rhs = asarray(rhs)
        if shape_of(rhs)[0] != self.shape[0]:
            raise ValueError("rhs is of incompatible size")
        return self.system.solve(rhs, trans)

    def __getattr__(self, name: str) -> Any:
        if self.own is not None:
            return getattr(self.own, name)
        if name in ("L", "U", "perm_r", "perm_c", "nnz"):
            raise refusal(f"scipy.sparse.linalg.splu(A).{name}", "of the factors only .solve is recorded")
        raise AttributeError(name)


@records("scipy.sparse.linalg", "splu", applies=lambda args, kwargs: True)
def splu(A: Any, permc_spec: Any = None, diag_pivot_thresh: Any = None, relax: Any = None, panel_size: Any = None,
         options: Any = None) -> Any:
    """Its .solve(b, trans), by the entries of A and by b."""
    system = System(A, options_of(permc_spec, diag_pivot_thresh=diag_pivot_thresh, relax=relax, panel_size=panel_size,
                                  options=options), "scipy.sparse.linalg.splu")
    if is_recorded(A):
        system.check()
        return Factors(system)
    return Factors(system, original("scipy.sparse.linalg", "splu")(A, permc_spec, diag_pivot_thresh, relax,
                                                                   panel_size, options or {}))


@records("scipy.sparse.linalg", "factorized", applies=lambda args, kwargs: True)
def factorized(A: Any) -> Callable[[Any], Any]:
    """The function b -> A^-1 b, by the entries of A and by b."""
    solve: Callable[[Any], Any] = splu(A).solve
    return solve


@records("scipy.sparse.linalg", "spsolve_triangular", applies=traced)
def spsolve_triangular(A: Any, b: Any, lower: bool = True, overwrite_A: bool = False, overwrite_b: bool = False,
                       unit_diagonal: bool = False) -> Any:
    """The solution with one triangle of A, by its entries and by b."""
    rows, columns, entries = entries_of(A)
    keep = np.flatnonzero((rows > columns) if lower else (rows < columns)) if unit_diagonal else \
        np.flatnonzero((rows >= columns) if lower else (rows <= columns))
    half = build(container(A, "csr"), A.shape, rows[keep], columns[keep], entries[keep])
    half = half + sp.identity(A.shape[0]) if unit_diagonal else half
    return System(half, (("permc_spec", "NATURAL"),), "scipy.sparse.linalg.spsolve_triangular").solve(b)


def _refuse(name: str, remedy: str) -> None:
    def record(*args: Any, **kwargs: Any) -> Any:
        """Refused: see the message."""
        raise refusal(f"scipy.sparse.linalg.{name}", remedy)
    records("scipy.sparse.linalg", name, applies=traced)(record)


for _name, _remedy in REFUSED.items():
    _refuse(_name, _remedy)
