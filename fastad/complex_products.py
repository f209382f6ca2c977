"""complex_products.py - the product of two complex arrays whose parts lie side by side, by NumPy's own loop.

Owns: one bilinear map, a*b or a*conj(b), which is its own tangent and its own adjoint: with it the product of two
spectra stays in the memory of complex128 between two Fourier transforms, one pass over each.
Must not know: where it is used (complex_rows.py: for long arrays of pairs; short ones and separate parts are fused).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from fastad import _tape as T

LONG = 512                               # elements from which a call costs less than loops over strided parts
BLOCK = 2**13                            # complex numbers at a time, where two loops follow each other
np_multiply, np_conjugate = np.multiply, np.conjugate


class Product:
    """Pairs times pairs of one shape; `conj`: of the second operand the conjugate is taken; `single`: of float32."""

    def __init__(self, shape: tuple[int, ...], conj: bool, single: bool = False) -> None:
        self.key = ("product", shape, conj, single)
        self.shape, self.conj, self.single = shape, conj, single
        self.dtype = np.complex64 if single else np.complex128
        self.name = "complex_multiply_conj" if conj else "complex_multiply"

    def complexes(self, x: Any) -> Any:
        return x.reshape((*self.shape, 2)).view(self.dtype)[..., 0]

    def put(self, a: Any, b: Any, out: Any, conj: bool) -> None:
        """out = a * b or a * conj(b)."""
        if not conj:
            np_multiply(self.complexes(a), self.complexes(b), out=self.complexes(out))
            return
        a, b, out = (x.reshape(-1).view(self.dtype) for x in (a, b, out))
        for start in range(0, out.size, BLOCK):      # what the first loop writes is in the cache for the second
            part = slice(start, start + BLOCK)
            np_multiply(a[part], np_conjugate(b[part], out=out[part]), out=out[part])

    # -- in sweeps

    def run(self, xs: Any, out: Any) -> None:
        self.put(xs[0], xs[1], out, self.conj)

    def run_tangent(self, tangents: Any, xs: Any, out: Any) -> None:
        (a, b), (da, db) = xs, tangents
        terms = [pair for pair in ((da, b), (a, db)) if pair[0] is not None and pair[1] is not None]
        if not terms:
            out[...] = 0.0
            return
        self.put(terms[0][0], terms[0][1], out, self.conj)
        if len(terms) > 1:
            second = np.empty_like(out)
            self.put(terms[1][0], terms[1][1], second, self.conj)
            out += second

    def adjoint(self, k: int, w: Any, xs: Any) -> Any:
        out = np.empty((*self.shape, 2), w.dtype)
        if k == 0:
            self.put(w, xs[1], out, not self.conj)
        elif self.conj:
            self.put(xs[0], w, out, True)
        else:
            self.put(w, xs[0], out, True)
        return out.reshape(xs[k].shape)

    # -- in recordings and derivative tapes

    def emit(self, b: Any, x: int, y: int, conj: bool, aval: int) -> int:
        rule = self if conj == self.conj else Product(self.shape, conj, self.single)
        return b.emit("call", (x, y), aval, T.Library(rule, [b.aval_of(x), b.aval_of(y)], aval))

    def emit_tangent(self, b: Any, s: Any) -> int:
        total = 0
        for x, y in ((s.dx[0], s.x[1]), (s.x[0], s.dx[1])):
            if x and y:
                total = b.plus_(total, self.emit(b, x, y, self.conj, s.aval))
        return total

    def emit_adjoint(self, r: Any, s: Any) -> None:
        a, b = s.x
        if s.active[0]:
            r.give(0, self.emit(r.b, s.w, b, not self.conj, r.b.aval_of(a)))
        if s.active[1]:
            first, second = (a, s.w) if self.conj else (s.w, a)
            r.give(1, self.emit(r.b, first, second, True, r.b.aval_of(b)))

    def emit_batch(self, b: Any, s: Any) -> int:
        dtype, shape = T.aval_of(s.aval)
        return Product((s.k, *self.shape), self.conj, self.single).emit(b, b.lanes(s, 0), b.lanes(s, 1), self.conj,
                                                           T.aval(dtype, (s.k, *shape)))


def product(a: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """The pairs of a product of two arrays of pairs, of which one at least is traced."""
    code = T.kind_of(a)
    aval = T.aval(code, (*shape, 2))
    rule = Product(shape, False, code != 0)
    return T.structural("call", (a, b), T.Library(rule, [aval, aval], aval), (*shape, 2), code, (code, code))
