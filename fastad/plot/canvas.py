"""What all pictures share: matplotlib, imported on use, axes to draw on, colours that colour-blind readers tell apart.

Owns: the only import of matplotlib, the palette.  Must not know: what is drawn (curves.py, images.py, graph.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

# The palette of Okabe & Ito (2008), Color universal design.
BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE, GREY = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#6E6E6E")
SERIES = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)


def pyplot() -> Any:
    """matplotlib.pyplot, or the error that says how to get it."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError("fastad.plot needs matplotlib, which is not installed: pip install 'fastad[plot]'") from error
    return plt


def axes(ax: Any, size: tuple[float, float] = (6.0, 4.0)) -> Any:
    """The axes to draw on: the user's, or those of a new figure of this size in inches."""
    if ax is None:
        _, ax = pyplot().subplots(figsize=size, layout="constrained")
    return ax


def plain(ax: Any, grid: bool = True) -> None:
    """No frame above and on the right, a faint grid behind."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(alpha=0.25, linewidth=0.6)


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers, on an axis that is not logarithmic."""
    from matplotlib.ticker import MaxNLocator
    if axis.get_scale() == "linear":
        axis.set_major_locator(MaxNLocator(integer=True))


def column(what: str, values: Any, length: int | None = None) -> np.ndarray:
    """One-dimensional float64 of the wanted length, or an error that names it."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" or array.ndim != 1:
        raise ValueError(f"{what}: got {array.dtype} of shape {array.shape}; a row of real numbers is drawn")
    if length is not None and array.size != length:
        raise ValueError(f"{what}: got {array.size} numbers for {length} positions")
    return array.astype(np.float64)


def spread(what: str, sigma: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations as (below, above): one number, one a position, or two rows of them."""
    array = np.asarray(sigma, dtype=np.float64)
    if array.shape not in ((), (length,), (2, length)):
        raise ValueError(f"{what}: sigma has shape {array.shape}; it is one number, ({length},), or (2, {length}) for "
                         "below and above")
    if not np.all(array >= 0.0):
        raise ValueError(f"{what}: sigma holds numbers that are negative or NaN")
    both = array if array.ndim == 2 else np.stack([np.broadcast_to(array, (length,))] * 2)
    return both[0], both[1]
