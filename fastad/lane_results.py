"""lane_results.py - results of a batch: arrays with the axis of lanes, filled by those who compute some of the lanes.

Owns: their shapes and dtypes, which all lanes must have in common, and what of a result is no array.
Must not know: how lanes are computed.  Next: batching.py.
"""
from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import tapes, trees
from fastad.errors import ShapeError, UnsupportedError
from fastad.lanes import axes_of
from fastad.results import short

__all__ = ["LaneResults", "packed"]


LARGE = 2**18                            # bytes


def numeric(x: Any) -> bool:
    return T.is_wrapped(x) or isinstance(x, (bool, int, float, complex, np.generic, np.ndarray))


def room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array to be filled.  The pages of a large one are asked for at once: one by one they may cost more than
    what is computed."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    if nbytes < LARGE or not hasattr(mmap, "MAP_POPULATE"):
        return np.empty(shape, dtype)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    try:
        pages = mmap.mmap(-1, nbytes, flags=flags)
    except (OSError, ValueError, OverflowError):
        return np.empty(shape, dtype)        # NumPy's own MemoryError
    return np.frombuffer(pages, dtype).reshape(shape)


class LaneResults:
    """The results of k lanes."""

    def __init__(self, k: int, name: str) -> None:
        self.k, self.name = k, name
        self.tree: Any = None
        self.first = 0                       # the lane that has given structure and shapes
        self.leaves: list[Any] = []          # arrays (k, ...), or what is the same in all lanes

    def expect(self, tree: Any, leaves: list[Any], lane: int) -> None:
        """Have room for results like these (arrays and dtypes of one lane); they must fit those that there are."""
        if self.tree is None:
            self.tree, self.first = tree, lane
            self.leaves = [room((self.k, *shape), dtype) if known else shape for known, shape, dtype in leaves]
            self.known = [known for known, _, _ in leaves]
            return
        if tree != self.tree or [known for known, _, _ in leaves] != self.known:
            raise ShapeError(f"{self.name}: lanes {self.first} and {lane} have results of different structure: "
                             f"{trees.describe(self.tree)} and {trees.describe(tree)}")
        for j, (known, shape, dtype) in enumerate(leaves):
            old = self.leaves[j]
            if not known:
                self.same(old, shape, lane)
            elif old.shape[1:] != shape:
                raise ShapeError(f"{self.name}: results of lanes {self.first} and {lane} have shapes {old.shape[1:]} "
                                 f"and {shape}, which make no array")
            elif np.result_type(old.dtype, dtype) != old.dtype:
                with np.errstate(all="ignore"):          # lanes that are not there yet
                    self.leaves[j] = old.astype(np.result_type(old.dtype, dtype))

    def same(self, a: Any, b: Any, lane: int) -> None:
        try:
            equal = a is b or bool(a == b)
        except Exception:
            equal = False
        if not equal:
            raise UnsupportedError(f"{self.name}: results of lanes {self.first} and {lane} hold {short(a)} and "
                                   f"{short(b)}, which make no array; return numbers and arrays")

    # -- from tapes
    def expect_tape(self, tape: Any, lane: int) -> None:
        """Room for the outputs of a tape of one lane."""
        signature, avals = tape.signature, iter(tapes.output_avals(tape))
        leaves: list[Any] = []
        for n in range(trees.count(signature.out_tree)):
            if n in signature.kept:
                x = signature.kept[n]
                leaves.append((True, np.shape(x), np.asarray(x).dtype) if numeric(x) else (False, x, None))
                continue
            dtype, shape = next(avals)
            if n in signature.complex_out:
                leaves.append((True, shape[:-1], np.result_type(T.DTYPES[dtype], np.complex64)))
            else:
                leaves.append((True, shape, T.DTYPES[dtype]))
        self.expect(signature.out_tree, leaves, lane)

    def targets(self, tape: Any, lanes: slice) -> list[np.ndarray] | None:
        """Where the outputs for these lanes go, if they can be written there as they are."""
        found = []
        for n, (dtype, _) in zip(self.outputs(tape), tapes.output_avals(tape), strict=True):
            x = self.leaves[n][lanes]
            if n in tape.signature.complex_out and x.dtype == np.result_type(T.DTYPES[dtype], np.complex64):
                x = x.view(T.DTYPES[dtype]).reshape(*x.shape, 2)
            if x.dtype != T.DTYPES[dtype]:
                return None
            found.append(x)
        return found

    def put(self, tape: Any, lanes: Any, outputs: list[np.ndarray]) -> None:
        """The outputs of a tape of many lanes, of which the first ones are meant."""
        for n, y in zip(self.outputs(tape), outputs, strict=True):
            x = self.leaves[n]
            m = len(x[lanes])
            x[lanes] = T.concrete(packed(y, n in tape.signature.complex_out))[:m]

    def put_kept(self, tape: Any, lanes: Any) -> None:
        """Numbers of a result that depend on nothing."""
        for n, x in tape.signature.kept.items():
            if numeric(x):
                self.leaves[n][lanes] = x

    @staticmethod
    def outputs(tape: Any) -> list[int]:
        """The leaf of each output."""
        return [n for n in range(trees.count(tape.signature.out_tree)) if n not in tape.signature.kept]

    # -- from plain calls
    def put_result(self, lane: int, result: Any) -> None:
        """What the function itself gives for one lane."""
        leaves, tree = trees.flatten(result)
        self.expect(tree, [(True, np.shape(x), np.asarray(x).dtype) if numeric(x) else (False, x, None)
                           for x in leaves], lane)
        for n, x in enumerate(leaves):
            if self.known[n]:
                self.leaves[n][lane] = x

    def packed(self, out_axes: Any) -> Any:
        return arranged(self.leaves, self.known, self.tree, out_axes, self.name)


def packed(y: Any, is_complex: bool) -> Any:
    """An output of a tape of many lanes as what the user gets of it."""
    from fastad.complex_values import whole
    return whole(y, False) if is_complex else y


def arranged(leaves: list[Any], known: list[bool], tree: Any, out_axes: Any, name: str) -> Any:
    """The result: a tree of arrays whose lanes lie along the axes wanted."""
    axes = axes_of(out_axes, tree, "out_axes", f"the result of {name}")
    out = []
    for x, is_array, axis in zip(leaves, known, axes, strict=True):
        if is_array and axis is None:
            raise ShapeError(f"{name}: out_axes={out_axes!r} has None for a result that has lanes")
        if is_array and axis and not -np.ndim(x) <= axis < np.ndim(x):
            raise ShapeError(f"{name}: out_axes={out_axes!r} for a result of shape {np.shape(x)}")
        out.append(np.moveaxis(x, 0, axis) if is_array and axis else x)
    return trees.unflatten(tree, out)
