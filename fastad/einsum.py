"""einsum.py - np.einsum: subscripts become diagonals, sums, transpositions and batched matrix products.

Owns: the parser of subscripts and the pairwise contraction.
Must not know: how a product is recorded (products.py).
"""
from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad.movers import relayout
from fastad.operands import (
    SINGLE,
    asarray,
    cast_to,
    code_of,
    deliver,
    joint_array,
    live,
    live_copy,
    records,
    requested,
    shape_of,
)
from fastad.products import matmul


@records(np.einsum, data=99)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None, order: str = "K",
           casting: str = "safe") -> Any:
    """Sum of products over the indices that the result does not have."""
    terms, result, xs = parsed(operands)
    several = len(terms) > 1
    if dtype is not None:
        xs = [cast_to(x, requested(dtype, "einsum")) for x in xs]
    elif several and SINGLE in map(code_of, xs):         # sums of float32 are sums of float64 if the result is
        code = joint_array(*xs)
        xs = [cast_to(x, code) for x in xs]
    sizes: dict[Any, int] = {}
    for k, (term, x) in enumerate(zip(terms, xs, strict=True)):
        terms[k], xs[k] = without_diagonals(term, x)
        for index, n in zip(terms[k], shape_of(xs[k]), strict=True):
            if sizes.setdefault(index, n) != n and n != 1 and sizes[index] != 1:
                raise ValueError(f"operands could not be broadcast together: index '{index}' has the sizes "
                                 f"{sizes[index]} and {n}")
            sizes[index] = max(sizes[index], n) if n != 0 and sizes[index] != 0 else 0
    terms, xs = zip(*[expanded(t, x, sizes) for t, x in zip(terms, xs, strict=True)], strict=True)
    terms, xs = list(terms), list(xs)
    for pair in path(tuple(map(tuple, terms)), tuple(result), tuple(sizes.items())):
        i, j = pair
        rest = [k for k in range(len(terms)) if k not in pair]
        needed = set(result).union(*(terms[k] for k in rest))
        term, x = contracted(terms[i], terms[j], xs[i], xs[j], needed)
        terms, xs = [terms[k] for k in rest] + [term], [xs[k] for k in rest] + [x]
    y = arranged(terms[0], xs[0], result)
    if several and len(result) > 1:
        y = relayout(y, layout(operands, y.shape, optimize, order))
    return deliver(out, y, "einsum", casting)


def layout(operands: Any, shape: Any, optimize: Any, order: str) -> Any:
    """An array of this shape in the memory order of NumPy's result, which corners of the operands tell."""
    def corner(x: Any) -> Any:
        c = np.asarray(T.concrete(x))
        return c[(slice(0, 2),) * c.ndim]
    small: list[Any]
    if isinstance(operands[0], str):
        small = [operands[0], *map(corner, operands[1:])]
    else:                                # array, indices, array, indices ... and at last the indices of the result
        arrays = range(0, len(operands) - len(operands) % 2, 2)
        small = [corner(x) if k in arrays else x for k, x in enumerate(operands)]
    plain: Any = np.einsum
    found = plain(*small, optimize=optimize, order=order)
    axes = sorted(range(found.ndim), key=lambda k: -found.strides[k])
    return np.empty([shape[k] for k in axes]).transpose(np.argsort(axes))


# ---- the subscripts -------------------------------------------------------------------------------------------------

def parsed(operands: Any) -> Any:
    """(indices of each operand, indices of the result, operands)."""
    if isinstance(operands[0], str):
        xs = [asarray(x) for x in operands[1:]]
        terms, result = parsed_text(operands[0], tuple([x.ndim for x in xs]))
        return list(terms), result, xs
    pairs = operands[:-1] if len(operands) % 2 else operands
    xs = [asarray(x) for x in pairs[::2]]
    result = list(operands[-1]) if len(operands) % 2 else None
    return *parsed_lists([list(t) for t in pairs[1::2]], result, [x.ndim for x in xs]), xs


@functools.lru_cache(1000)
def parsed_text(text: str, ranks: Any) -> Any:
    """Subscripts as lists of indices."""
    left, arrow, right = text.replace(" ", "").partition("->")
    return parsed_lists([symbols(t) for t in left.split(",")], symbols(right) if arrow else None, ranks)


def parsed_lists(terms: Any, result: Any, ranks: Any) -> Any:
    """(indices of each operand, indices of the result); the ellipsis becomes negative integers."""
    if len(terms) != len(ranks):
        raise ValueError("einsum: the number of operands differs from the number of subscripts")
    widest = 0
    for k, nd in enumerate(ranks):
        terms[k], width = filled(terms[k], nd)
        widest = max(widest, width)
    dots = list(range(-widest, 0))
    if result is None:
        flat = [i for t in terms for i in t]
        result = dots + sorted({i for i in flat if flat.count(i) == 1 and i not in dots}, key=str)
    else:
        if widest and Ellipsis not in result:
            raise ValueError("output has more dimensions than subscripts given in einstein sum, but no '...' ellipsis "
                             "provided to broadcast the extra dimensions.")
        result = [j for i in result for j in (dots if i is Ellipsis else [i])]
        if len(set(result)) < len(result) or not set(result) <= {i for t in terms for i in t}.union(dots):
            raise ValueError("einsum: each index of the result must occur once, and in an operand")
    return terms, result


def symbols(text: str) -> list[Any]:
    """The indices in a string of subscripts."""
    out: list[Any] = []
    while text:
        if text.startswith("..."):
            out.append(Ellipsis)
            text = text[3:]
        elif text[0].isalpha():
            out.append(text[0])
            text = text[1:]
        else:
            raise ValueError(f"invalid subscript '{text[0]}' in einstein sum subscripts string")
    return out


def filled(term: Any, nd: int) -> Any:
    """(a term with numbers in place of its ellipsis, how many)."""
    if Ellipsis not in term:
        if len(term) != nd:
            raise ValueError(f"einsum: an operand with {nd} axes has {len(term)} subscripts")
        return list(term), 0
    at, width = term.index(Ellipsis), nd - len(term) + 1
    if width < 0:
        raise ValueError(f"einsum: an operand with {nd} axes has {len(term) - 1} subscripts")
    return term[:at] + list(range(-width, 0)) + term[at + 1:], width


def without_diagonals(term: Any, x: Any) -> Any:
    """Repeated indices of one operand become its diagonal."""
    while len(set(term)) < len(term):
        index = next(i for i in term if term.count(i) > 1)
        first = term.index(index)
        second = term.index(index, first + 1)
        if x.shape[first] != x.shape[second]:
            raise ValueError(f"einsum: the repeated index '{index}' has two sizes")
        x = np.diagonal(x, axis1=first, axis2=second)
        term = [i for k, i in enumerate(term) if k not in (first, second)] + [index]
    return term, x


def expanded(term: Any, x: Any, sizes: Any) -> Any:
    """Axes of length 1 that are longer in another operand are dropped: they only repeat."""
    thin = [k for k, i in enumerate(term) if x.shape[k] == 1 and sizes[i] != 1]
    if not thin:
        return term, x
    return [i for k, i in enumerate(term) if k not in thin], np.squeeze(x, axis=tuple(thin))


# ---- the contraction ------------------------------------------------------------------------------------------------

@functools.lru_cache(1000)
def path(terms: Any, result: Any, sizes: Any) -> list[Any]:
    """Which pair is contracted next, until one is left: the cheapest first."""
    terms, sizes, steps = list(terms), dict(sizes), []
    while len(terms) > 1:
        best = None
        for i in range(len(terms)):
            for j in range(i + 1, len(terms)):
                union = set(terms[i]) | set(terms[j])
                kept = union & set(result).union(*(t for k, t in enumerate(terms) if k not in (i, j)))
                cost = (math.prod(sizes[k] for k in union), math.prod(sizes[k] for k in kept))
                if best is None or cost < best[0]:
                    best = (cost, (i, j), list(kept))
        assert best is not None
        steps.append(best[1])
        terms = [t for k, t in enumerate(terms) if k not in best[1]] + [best[2]]
    return steps


def summed(term: Any, x: Any, needed: Any) -> Any:
    """Sum over the indices that nobody else needs."""
    gone = tuple(k for k, i in enumerate(term) if i not in needed)
    if not gone:
        return term, x
    return [i for i in term if i in needed], np.sum(live(x), axis=gone)


def contracted(ta: Any, tb: Any, a: Any, b: Any, needed: Any) -> Any:
    """(indices, array) of the product of two operands, summed over what is not needed."""
    ta, a = summed(ta, a, needed.union(tb))
    tb, b = summed(tb, b, needed.union(ta))
    both = [i for i in ta if i in tb]
    batch = [i for i in both if i in needed]
    inner = [i for i in both if i not in needed]
    rows, columns = [i for i in ta if i not in both], [i for i in tb if i not in both]
    if not inner:
        order = batch + rows + columns
        return order, product_of(ta, a, batch + rows, len(columns)) * aligned(tb, b, batch, len(rows), columns)
    sizes = dict(zip(ta + tb, shape_of(a) + shape_of(b), strict=True))
    shape = [tuple(sizes[i] for i in part) for part in (batch, rows, inner, columns)]
    flat = [math.prod(s) for s in shape]
    a = flattened(ta, a, batch + rows + inner, shape[0] + (flat[1], flat[2]))
    b = flattened(tb, b, batch + inner + columns, shape[0] + (flat[2], flat[3]))
    return batch + rows + columns, np.reshape(matmul(a, b), shape[0] + shape[1] + shape[3])


def in_order(term: Any, x: Any, order: Any) -> Any:
    """x with its axes in the order of the indices."""
    axes = [term.index(i) for i in order]
    return x if axes == list(range(len(axes))) else np.transpose(x, axes)


def flattened(term: Any, x: Any, order: Any, shape: Any) -> Any:
    """x with its axes in the order of the indices, then in another shape."""
    y = in_order(term, x, order)
    if shape_of(y) == shape:
        return y
    out = y.reshape(shape)
    alive = live_copy(x, out)
    return out if alive is x else in_order(term, alive, order).reshape(shape)


def product_of(term: Any, x: Any, order: Any, trailing: int) -> Any:
    """x with its axes in an order, and ones behind."""
    x = in_order(term, x, order)
    return np.reshape(x, shape_of(x) + (1,) * trailing) if trailing else x


def aligned(term: Any, x: Any, batch: Any, gap: int, columns: Any) -> Any:
    """x with batch axes in front, then ones, then its own."""
    x = in_order(term, x, batch + columns)
    shape = shape_of(x)
    return np.reshape(x, shape[:len(batch)] + (1,) * gap + shape[len(batch):]) if gap else x


def arranged(term: Any, x: Any, result: Any) -> Any:
    """The result with its axes in order; the rest is summed."""
    term, x = summed(term, x, set(result))
    if not result:
        return x[()] if shape_of(x) == () and hasattr(x, "__getitem__") else x
    return in_order(term, x, result)


