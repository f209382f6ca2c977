"""lanes.py - which arguments of a batch have lanes, along which axis: `in_axes`, `out_axes`, one lane, some lanes.

Owns: the meaning of `in_axes` and `out_axes` (that of jax.vmap) and the errors where arguments do not fit them.
Must not know: tapes, how lanes are computed.  Next: batching.py.
"""
from __future__ import annotations

import operator
from typing import Any

import numpy as np

from fastad import _tape as T
from fastad import trees
from fastad.complex_values import split
from fastad.errors import ShapeError, UnsupportedError
from fastad.recording import Arguments, array_input, leaf_name
from fastad.results import is_complex, short

__all__ = ["LaneArguments", "axes_of", "checked_axes"]

NUMBERS = (bool, int, float, complex, np.generic)


def checked_axes(axes: Any, what: str) -> Any:
    """The axes as the user gave them, ints made ints; TypeError if they are something else."""
    if axes is None or isinstance(axes, bool):
        if axes is None:
            return None
    elif isinstance(axes, (tuple, list)) or type(axes) is dict:
        leaves = axes.items() if isinstance(axes, dict) else enumerate(axes)
        parts = {k: checked_axes(x, what) for k, x in leaves}
        return parts if isinstance(axes, dict) else type(axes)(parts.values()) if not hasattr(axes, "_fields") \
            else type(axes)(*parts.values())
    else:
        try:
            return operator.index(axes)
        except TypeError:
            pass
    raise TypeError(f"batch: {what} holds {axes!r}; an int, None, or a tuple, list or dict of those is meant")


def axes_of(axes: Any, tree: Any, what: str, whose: str) -> list[int | None]:
    """One axis a leaf; an axis in place of a subtree is that of all its leaves."""
    if axes is None or isinstance(axes, int):
        return [axes] * trees.count(tree)
    children = trees.children(tree)
    keys = tree[-2] if children and tree[0] in ("dict", "mapping") else None
    named = set(axes) if isinstance(axes, dict) else None
    if tree == trees.LEAF or len(children) != len(axes) or named != (None if keys is None else set(keys)):
        raise ShapeError(f"{what}={axes!r} does not fit {whose}, whose structure is {trees.describe(tree)}")
    parts = list(axes) if keys is None else [axes[key] for key in keys]
    return [axis for part, child in zip(parts, children, strict=True) for axis in axes_of(part, child, what, whose)]


class LaneArguments:
    """The arguments of one call of a batch.

    Attributes
    ----------
    tree : treedef
        Of (args, kwargs).
    leaves : list
        Those that have lanes with the axis of lanes in front.
    own : list of bool
        Which leaves have lanes.
    k : int
        Number of lanes, at least 1.
    """

    def __init__(self, args: Any, kwargs: Any, in_axes: Any, name: str) -> None:
        self.name = name
        self.leaves, self.tree = trees.flatten((args, kwargs))
        self.own = [False] * len(self.leaves)
        lengths: dict[int, int] = {}
        for n, axis in enumerate(self.axes(in_axes, len(args))):
            length = self.bring_to_front(n, axis)
            if length is not None:
                lengths.setdefault(length, n)
        if not lengths:
            raise ShapeError(f"{name}: no argument has lanes (in_axes={in_axes!r}); give it an array with one more "
                             "axis, or call the function itself")
        if len(lengths) > 1:
            (k, first), (other, second) = list(lengths.items())[:2]
            raise ShapeError(f"{name}: {self.where(first)} has {k} lanes, {self.where(second)} has {other}; they must "
                             "agree. in_axes says along which axis the lanes of an argument lie, None that it has none")
        self.k = next(iter(lengths))
        if self.k == 0:
            raise ShapeError(f"{name}: there are no lanes, the axis has length 0; without one, nothing can be run that "
                             "would tell the shapes of results")

    def axes(self, in_axes: Any, nargs: int) -> list[int | None]:
        """One axis a leaf; those in keyword arguments are in front."""
        args, kwargs = trees.children(self.tree)
        if isinstance(in_axes, (tuple, list)) and len(in_axes) != nargs:
            raise ShapeError(f"{self.name}: in_axes={in_axes!r} for {nargs} positional arguments; one entry an "
                             "argument is meant, None for one without lanes")
        if isinstance(in_axes, dict):
            raise ShapeError(f"{self.name}: in_axes={in_axes!r}; a tuple with one entry a positional argument is meant")
        self.by_keyword = trees.count(args)
        return axes_of(in_axes, args, "in_axes", f"the arguments of {self.name}") + [0] * trees.count(kwargs)

    def where(self, n: int) -> str:
        return leaf_name(self.tree, n)

    def bring_to_front(self, n: int, axis: int | None) -> int | None:
        """Move the axis of lanes of leaf n to the front; its length, None if the leaf has no lanes."""
        x = self.leaves[n]
        if axis is None:
            return None
        traced = T.is_wrapped(x)
        if not traced and not isinstance(x, (np.ndarray, *NUMBERS)):
            return None                      # a name, a function: the same for all lanes
        rank = np.ndim(x)
        if rank == 0:
            if n >= self.by_keyword and not traced and not isinstance(x, np.ndarray):
                return None                  # an option
            what = "a number" if traced else short(x)
            raise ShapeError(f"{self.name}: {self.where(n)} is {what}, which has no axis {axis} of lanes. Give it "
                             "one entry a lane (np.array; a list is a container), or None in in_axes if it is the same "
                             "in all lanes")
        if not -rank <= axis < rank:
            raise ShapeError(f"{self.name}: {self.where(n)} has shape {np.shape(x)}, and no axis {axis} of lanes")
        if not traced and x.dtype.kind not in "fiubc":
            raise UnsupportedError(f"{self.name}: {self.where(n)} has dtype {x.dtype}; lanes are of numbers. Give None "
                                   "in in_axes if it is the same in all lanes")
        if axis % rank:
            x = self.leaves[n] = np.moveaxis(x, axis, 0)
        if not traced:
            array_input(x, False, lambda: f"{self.name}: {self.where(n)}")       # refuses what is more than an array
        self.own[n] = True
        return int(np.shape(x)[0])

    # -- lanes
    def lane(self, i: int, dynamic: bool = False) -> Any:
        """(args, kwargs) of one lane; `dynamic`: whole numbers in lanes as arrays of rank 0, which are traced."""
        leaves = list(self.leaves)
        for n, own in enumerate(self.own):
            if own:
                x = leaves[n][i]
                if not T.is_wrapped(x):
                    x = np.array(x, order="C") if np.ndim(x) or (dynamic and x.dtype.kind in "iub") else x
                leaves[n] = x
        return trees.unflatten(self.tree, leaves)

    def arguments(self, i: int) -> Arguments:
        """One lane, sorted into inputs of a tape and the rest."""
        args, kwargs = self.lane(i, dynamic=True)
        return Arguments(args, kwargs, (), self.name)

    def values(self, arguments: Arguments, lanes: Any) -> list[Any]:
        """Inputs of a tape of many lanes, for some of ours: a slice, or their numbers."""
        found = list(arguments.values)
        for j, n in enumerate(arguments.positions):
            if self.own[n]:
                found[j] = self.chunk(self.leaves[n], lanes)
        return found

    @staticmethod
    def chunk(x: np.ndarray, lanes: Any) -> np.ndarray:
        part = np.ascontiguousarray(x[lanes])
        if is_complex(part):
            return np.asarray(split(part))
        return part.astype(T.DTYPES[T.recorded_dtype(part.dtype)], copy=False)

    def inputs_in_lanes(self, arguments: Arguments) -> list[bool]:
        """Which inputs of the tape have lanes."""
        return [self.own[n] for n in arguments.positions]
