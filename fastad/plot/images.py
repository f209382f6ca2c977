"""Images of matrices: a Jacobian or Hessian, and the covariance or correlation of parameters.

Owns: matrix, covariance.  Must not know: where a matrix comes from.  Next: canvas.py.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastad.plot.canvas import GREY, axes, pyplot, whole_numbers

__all__ = ["covariance", "matrix"]

WRITTEN = 12                                 # parameters up to which each correlation is written out


def matrix(J: Any, *, names: Sequence[str] | None = None, rows: Sequence[str] | None = None, label: str = "",
           xlabel: str = "parameter", ylabel: str = "datum", log: bool = False, ax: Any = None) -> Any:
    """A Jacobian, Hessian or other matrix: zero is white, positive red, negative blue.

    Parameters
    ----------
    J : array_like or sparse matrix, shape (m, n)
        Entries that are NaN or infinite are drawn grey.
    names, rows : sequence of str, optional
        Of the n columns and of the m rows.
    label : str, optional
        Of the colour bar, with units.
    xlabel, ylabel : str, optional
    log : bool, optional
        Logarithmic colours on both sides of zero, over four decades.
    ax : matplotlib Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        No matrix, or not a name for each column or row.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> J = ad.jacobian(lambda p: np.exp(-p[0] * np.arange(4.0)) * p[1])(np.array([0.5, 2.0]))
    >>> ax = ad.plot.matrix(J, names=["rate", "amplitude"])
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['rate', 'amplitude']
    """
    array = dense("matrix", J)
    m, n = array.shape
    names, rows = (found if found is None else named("matrix", found, length)
                   for found, length in ((names, n), (rows, m)))
    ax = axes(ax, (min(8.0, max(4.2, 0.16 * n + 2.6)), min(8.0, max(3.2, 0.16 * m + 1.2))))
    finite = np.abs(array[np.isfinite(array)])
    largest = float(np.max(finite, initial=0.0)) or 1.0
    pyplot()
    from matplotlib import colors
    norm = colors.SymLogNorm(1e-4 * largest, vmin=-largest, vmax=largest) if log else \
        colors.Normalize(-largest, largest)
    image = show(ax, array, norm)
    bar = ax.figure.colorbar(image, ax=ax, label=label, shrink=0.9)
    if log:
        decades = 10.0 ** np.arange(np.ceil(np.log10(3e-4 * largest)), np.floor(np.log10(largest)) + 1)
        bar.set_ticks([*-decades[::-1], 0.0, *decades], labels=[f"{v:g}" for v in (*-decades[::-1], 0.0, *decades)])
        bar.ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    for axis, found in ((ax.xaxis, names), (ax.yaxis, rows)):
        if found is not None:
            ticks(axis, found)
        else:
            whole_numbers(axis)
    return ax


def covariance(cov: Any, names: Sequence[str] | None = None, *, correlation: bool = True, label: str | None = None,
               ax: Any = None) -> Any:
    """How parameters of a fit hang together: their correlation, with each standard deviation beside its name.

    Parameters
    ----------
    cov : array_like, shape (n, n)
        Covariance matrix.
    names : sequence of str, optional
        Of the parameters.
    correlation : bool, optional
        Colours show correlations, which have no units; otherwise the covariances themselves.
    label : str, optional
        Of the colour bar.
    ax : matplotlib Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        No symmetric matrix, a variance that is negative, or not a name for each parameter.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastad as ad
    >>> ax = ad.plot.covariance([[4.0, 1.8], [1.8, 1.0]], names=["rate", "amplitude"])
    >>> [text.get_text() for text in ax.texts]
    ['1.00', '0.90', '0.90', '1.00']
    """
    array = dense("covariance", cov)
    n = array.shape[0]
    if array.shape != (n, n):
        raise ValueError(f"covariance: got a matrix of shape {array.shape}; it is square")
    scale = np.max(np.abs(array[np.isfinite(array)]), initial=0.0)
    if not np.allclose(array, array.T, rtol=1e-6, atol=1e-9 * scale, equal_nan=True) or np.any(np.diag(array) < 0.0):
        raise ValueError("covariance: the matrix is not symmetric, or a variance is negative")
    std = np.sqrt(np.diag(array))
    names = [f"p{k}" for k in range(n)] if names is None else named("covariance", names, n)
    if correlation:
        with np.errstate(divide="ignore", invalid="ignore"):
            array = array / np.outer(std, std)
        largest = 1.0
    else:
        largest = float(scale) or 1.0
    ax = axes(ax, (min(9.0, 0.5 * n + 3.2), min(8.0, 0.5 * n + 1.6)))
    pyplot()
    from matplotlib import colors
    image = show(ax, array, colors.Normalize(-largest, largest))
    ax.figure.colorbar(image, ax=ax, label=label or ("correlation" if correlation else "covariance"), shrink=0.9)
    ticks(ax.xaxis, names)
    ticks(ax.yaxis, [f"{name}  (σ = {s:.3g})" for name, s in zip(names, std, strict=True)])
    if n <= WRITTEN:
        write(ax, array, largest, ".2f" if correlation else ".2g")
    return ax


def dense(what: str, found: Any) -> np.ndarray:
    array = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise ValueError(f"{what}: got {array.dtype} of shape {array.shape}; a matrix of real numbers is drawn")
    return array.astype(np.float64)


def show(ax: Any, array: np.ndarray, norm: Any) -> Any:
    """The image; each entry a pixel with sharp edges."""
    colours = pyplot().get_cmap("RdBu_r").with_extremes(bad=GREY)
    return ax.imshow(np.where(np.isfinite(array), array, np.nan), cmap=colours, norm=norm, aspect="auto",
                     interpolation="nearest")


def named(what: str, names: Sequence[str], length: int) -> list[str]:
    names = [str(name) for name in names]
    if len(names) != length:
        raise ValueError(f"{what}: {len(names)} names for {length}")
    return names


def ticks(axis: Any, names: Sequence[str]) -> None:
    """A name a row or column; slanted where they would not fit side by side, and not more than forty."""
    step = -(-len(names) // 40)
    axis.set_ticks(range(0, len(names), step), list(names)[::step])
    if axis.axis_name == "x" and sum(len(name) for name in names) > 40 - 2 * len(names):
        for text in axis.get_ticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor")


def write(ax: Any, array: np.ndarray, largest: float, form: str) -> None:
    """The numbers themselves, white on dark."""
    for i, j in np.ndindex(array.shape):
        dark = abs(array[i, j]) > 0.6 * largest
        ax.text(j, i, f"{array[i, j]:{form}}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
