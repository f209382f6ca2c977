"""Curves of an inversion: how it converged, how the data are fitted, what the model is and how well it is known.

Owns: convergence, data_fit, model.  Must not know: optimisers (a history is five arrays), tapes.  Next: canvas.py.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastad.plot.canvas import BLACK, GREY, ORANGE, SERIES, axes, column, plain, spread, whole_numbers

__all__ = ["convergence", "data_fit", "model"]


def convergence(history: Any, *, against: str = "iteration", gradient: bool = True, target: float | None = None,
                label: str | None = None, xlabel: str | None = None, ylabel: str = "misfit", ax: Any = None) -> Any:
    """Misfit and gradient norm of an optimisation, iteration by iteration.

    Parameters
    ----------
    history : Progress, History, mapping or array_like
        `optimize.Progress`, its `history`, a mapping with the same names, or the misfits alone.
    against : {"iteration", "evaluations", "seconds"}, optional
        What runs along the horizontal axis.
    gradient : bool, optional
        Draw the gradient norm too, on an axis of its own at the right, where it is known.
    target : float, optional
        A misfit to be reached: a horizontal line.
    label : str, optional
        Name of the run, when several are drawn on the same axes.
    xlabel, ylabel : str, optional
        With units.
    ax : matplotlib Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib Axes
        That of the misfit, logarithmic unless a misfit is zero or negative.

    Raises
    ------
    ValueError
        An empty history, or nothing of that name in it.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastad as ad
    >>> ax = ad.plot.convergence([10.0, 2.0, 0.1, 0.003], target=0.01)
    >>> ax.get_yscale(), ax.get_xlabel()
    ('log', 'iteration')
    """
    rows = columns_of(history, against)
    x, misfit, norms = rows[against], rows["misfit"], rows.get("gradient_norm")
    ax = axes(ax)
    runs = len([line for line in ax.get_lines() if line.get_gid() == "misfit"])
    colour = SERIES[runs % len(SERIES)]
    marker = "o" if x.size <= 40 else ""
    ax.plot(x, misfit, color=colour, marker=marker, markersize=4, label=label or ylabel, gid="misfit")
    if target is not None:
        ax.axhline(target, color=GREY, linestyle=":", linewidth=1.2, label=f"target {target:g}")
    seen = np.concatenate([line.get_ydata() for line in ax.get_lines() if line.get_gid() == "misfit"])
    seen = seen[np.isfinite(seen)]
    ax.set_yscale("log" if np.all(seen > 0.0) else "linear")
    if ax.get_yscale() == "log" and seen.size and np.max(seen) < 30.0 * np.min(seen):
        few_decades(ax)
    units = {"iteration": "iteration", "evaluations": "function evaluations", "seconds": "time (s)"}
    ax.set(xlabel=xlabel or units[against], ylabel=ylabel)
    plain(ax)
    if against != "seconds":
        whole_numbers(ax.xaxis)
    if gradient and norms is not None and np.any(norms > 0.0):
        shade = colour if label else ORANGE  # of several runs each has a colour, of one run each curve
        twin(ax).plot(x, np.where(norms > 0.0, norms, np.nan), color=shade, linestyle="--", marker=marker,
                      markersize=3, linewidth=1.2)
        if not any(line.get_gid() == "gradient" for line in ax.get_lines()):
            ax.plot([], [], color=GREY if label else shade, linestyle="--", linewidth=1.2,
                    label="gradient norm (right)", gid="gradient")
    entries = len(ax.get_legend_handles_labels()[1])
    if label or entries > 1:                 # above: inside it would hide one of the two axes' curves
        ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(entries, 4), borderaxespad=0.2)
    return ax


def twin(ax: Any) -> Any:
    """The axis at the right, one for all runs on the same axes."""
    found = getattr(ax, "_fastad_twin", None)
    if found is None:
        found = ax._fastad_twin = ax.twinx()
        found.set(yscale="log", ylabel="gradient norm")
        found.spines["top"].set_visible(False)
        ax.set_zorder(found.get_zorder() + 1)           # the legend and the misfit stay in front
        ax.patch.set_visible(False)
    return found


def few_decades(ax: Any) -> None:
    """Ticks at 1, 2 and 5, as plain numbers: a logarithmic axis that is too short for powers of ten."""
    from matplotlib import ticker
    ax.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(ticker.NullFormatter())


def columns_of(history: Any, against: str) -> dict[str, np.ndarray]:
    """The arrays of a history, whatever holds them."""
    names = ("iteration", "misfit", "gradient_norm", "evaluations", "seconds")
    if against not in ("iteration", "evaluations", "seconds"):
        raise ValueError(f"convergence: against={against!r}; it is 'iteration', 'evaluations' or 'seconds'")
    history = getattr(history, "history", history)
    if isinstance(history, Mapping):
        found = {name: history[name] for name in names if name in history}
    elif hasattr(history, "misfit"):
        found = {name: getattr(history, name) for name in names if hasattr(history, name)}
    else:
        found = {"misfit": history}
    if "misfit" not in found:
        raise ValueError(f"convergence: the history has no misfit, only {', '.join(map(str, history))}")
    misfit = column("convergence: misfit", found["misfit"])
    if not misfit.size:
        raise ValueError("convergence: the history is empty; was the Progress given as callback=?")
    found.setdefault("iteration", np.arange(1, misfit.size + 1))
    if against not in found:
        raise ValueError(f"convergence: the history has no {against}")
    rows = {name: column(f"convergence: {name}", values, misfit.size) for name, values in found.items()}
    if np.all(np.isnan(rows[against])):
        raise ValueError(f"convergence: the {against} of this history are not known (NaN); draw against='iteration'")
    return rows


def data_fit(x: Any, data: Any, predicted: Any = None, sigma: Any = None, *, residuals: bool = False,
             label: str = "prediction", data_label: str = "data", xlabel: str = "", ylabel: str = "",
             xscale: str = "linear", yscale: str = "linear", ax: Any = None) -> Any:
    """Data with error bars, and what the model predicts.

    Parameters
    ----------
    x : array_like, shape (n,)
        Positions: time, distance, electrode spacing ...
    data : array_like, shape (n,)
    predicted : array_like of shape (n,), pair, or mapping, optional
        The prediction at x; ``(positions, values)`` for one on a finer grid; ``{name: prediction}`` for several.
    sigma : float or array_like of shape (n,) or (2, n), optional
        Standard deviations of the data (below and above); the legend then gives the rms of each prediction in them.
    residuals : bool, optional
        Draw (data - prediction) / sigma below, for predictions at x.
    label, data_label, xlabel, ylabel : str, optional
        Names and units.
    xscale, yscale : str, optional
        "linear" or "log".
    ax : matplotlib Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Lengths that do not match, a sigma that is negative, or residuals on axes that stand in no grid.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import fastad as ad
    >>> t = np.linspace(0.0, 4.0, 9)
    >>> ax = ad.plot.data_fit(t, np.exp(-t) + 0.01, np.exp(-t), sigma=0.01, xlabel="time (s)", ylabel="voltage (V)")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['prediction (rms 1.00 σ)', 'data']
    """
    x = column("data_fit: x", x)
    data = column("data_fit: data", data, x.size)
    bars = None if sigma is None else spread("data_fit", sigma, x.size)
    curves = predictions(predicted, label, x)
    if residuals and ax is not None and ax.get_subplotspec() is None:
        raise ValueError("data_fit: residuals take a part of the room of ax, which must stand in a grid (plt.subplots)")
    ax = axes(ax, (6.0, 4.8 if residuals else 4.0))
    ax.errorbar(x, data, yerr=bars, fmt="o", color=BLACK, markersize=3.5, linewidth=0, elinewidth=0.9, capsize=2,
                label=data_label, zorder=3)
    for k, (name, (where, values)) in enumerate(curves.items()):
        order = np.argsort(where, kind="stable")
        if bars is not None and where is x:
            found = scaled(data, values, bars)
            found = found[~np.isnan(found)]  # NaN is a datum that is missing
            name += f" (rms {np.sqrt(np.mean(found**2)):.2f} σ)" if found.size else ""
        ax.plot(where[order], values[order], color=SERIES[k % len(SERIES)], label=name, linewidth=1.6, zorder=2)
    ax.set(xscale=xscale, yscale=yscale, xlabel=xlabel, ylabel=ylabel)
    plain(ax)
    ax.legend(frameon=False)
    if residuals:
        below(ax, x, data, {n: v for n, (where, v) in curves.items() if where is x}, bars, xlabel)
    return ax


def predictions(predicted: Any, label: str, x: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name -> (positions, values); the positions are x itself where nothing else is given."""
    if predicted is None:
        return {}
    named = predicted if isinstance(predicted, Mapping) else {label: predicted}
    out = {}
    for name, what in named.items():
        if isinstance(what, tuple) and len(what) == 2 and np.ndim(what[0]) == 1:
            where = column(f"data_fit: positions of {name}", what[0])
            out[str(name)] = where, column(f"data_fit: {name}", what[1], where.size)
        else:
            out[str(name)] = x, column(f"data_fit: {name}", what, x.size)
    return out


def scaled(data: np.ndarray, values: np.ndarray, bars: Any) -> np.ndarray:
    """Residuals in standard deviations: the lower ones where the prediction is below the data."""
    if bars is None:
        return data - values
    with np.errstate(divide="ignore", invalid="ignore"):
        return (data - values) / np.where(values < data, bars[0], bars[1])


def below(ax: Any, x: np.ndarray, data: np.ndarray, curves: Mapping[str, np.ndarray], bars: Any, xlabel: str) -> None:
    """Residuals on axes of their own under the fit."""
    upper, under = ax.get_subplotspec().subgridspec(2, 1, height_ratios=(3, 1))
    ax.set_subplotspec(upper)
    lower = ax.figure.add_subplot(under, sharex=ax)
    for k, values in enumerate(curves.values()):
        lower.plot(x, scaled(data, values, bars), "o", color=SERIES[k % len(SERIES)], markersize=3.5)
    lower.axhline(0.0, color=GREY, linewidth=0.8)
    if bars is not None:
        lower.axhspan(-1.0, 1.0, color=GREY, alpha=0.15, linewidth=0)
    lower.set(xlabel=xlabel, ylabel="residual" if bars is None else "residual / σ")
    plain(lower)
    ax.set_xlabel("")
    ax.tick_params(labelbottom=False)


def model(position: Any, value: Any, sigma: Any = None, truth: Any = None, steps: bool = True, *,
          depth: bool = False, label: str = "model", truth_label: str = "truth", sigma_label: str = "± σ",
          xlabel: str = "", ylabel: str = "", xscale: str = "linear", yscale: str = "linear", ax: Any = None) -> Any:
    """A model along depth or distance, with its uncertainty and, where it is known, the truth.

    Parameters
    ----------
    position : array_like
        The n + 1 edges of n layers or cells, or n centres (with steps the edges then lie halfway).  On a logarithmic
        axis a first edge of 0 is drawn half a decade before the second.
    value : array_like, shape (n,)
    sigma : float or array_like of shape (n,) or (2, n), optional
        Half the width of the band: a standard deviation, or distances below and above.
    truth : array_like or pair, optional
        Values at the same positions, or ``(positions, values)`` of its own.
    steps : bool, optional
        Constant in each layer; otherwise a line through n positions.
    depth : bool, optional
        Positions are depths: they run down the vertical axis.
    label, truth_label, sigma_label, xlabel, ylabel : str, optional
        Names and units; of the horizontal and the vertical axis as they are drawn.
    xscale, yscale : str, optional
        "linear" or "log", of the axes as they are drawn.
    ax : matplotlib Axes, optional
        Where to draw; a new figure otherwise.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Lengths that do not match, positions that do not increase, or a sigma that is negative.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastad as ad
    >>> ax = ad.plot.model([0.0, 10.0, 50.0, 200.0], [100.0, 8.0, 800.0], sigma=[5.0, 0.5, 90.0], depth=True,
    ...                    xlabel="resistivity (ohm m)", ylabel="depth (m)", xscale="log")
    >>> bool(ax.yaxis_inverted())
    True
    """
    value = column("model: value", value)
    low, high = (value, value) if sigma is None else spread("model", sigma, value.size)
    log = (yscale if depth else xscale) == "log"
    where, outline = path(position, value, steps, log)
    if truth is not None:
        own = isinstance(truth, tuple) and len(truth) == 2 and np.ndim(truth[0]) == 1
        known = path(truth[0] if own else position, column("model: truth", truth[1] if own else truth), steps, log)
    ax = axes(ax, (4.5, 5.0) if depth else (6.0, 4.0))
    drawn = len([line for line in ax.get_lines() if line.get_gid() == "model"])
    colour = SERIES[drawn % len(SERIES)]
    draw = (lambda p, v, **style: ax.plot(v, p, **style)) if depth else ax.plot
    if truth is not None:
        draw(*known, color=BLACK, linestyle="--", linewidth=1.2, label=truth_label)
    if sigma is not None:
        fill = ax.fill_betweenx if depth else ax.fill_between
        edge = [path(position, bound, steps, log)[1] for bound in (value - low, value + high)]
        fill(where, *edge, color=colour, alpha=0.22, linewidth=0, label=sigma_label)
    draw(where, outline, color=colour, linewidth=1.8, label=label, gid="model")
    ax.set(xscale=xscale, yscale=yscale, xlabel=xlabel, ylabel=ylabel)
    if depth and not ax.yaxis_inverted():
        ax.invert_yaxis()
    ax.margins(**{"y" if depth else "x": 0.0})
    plain(ax)
    if truth is not None or sigma is not None or label != "model" or drawn:
        ax.legend(frameon=False)
    return ax


def path(position: Any, value: np.ndarray, steps: bool, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the line: as given, or two for each layer."""
    position = column("model: position", position)
    if position.size != value.size + 1 and (position.size != value.size or steps and value.size < 2):
        raise ValueError(f"model: {position.size} positions for {value.size} values; give the {value.size + 1} edges "
                         f"of the layers, or {value.size} centres")
    if np.any(np.diff(position) <= 0.0):
        raise ValueError("model: positions must increase")
    edges = position.size == value.size + 1
    if edges and log and position[0] <= 0.0:
        position = np.concatenate([position[1:2] / 10**0.5, position[1:]])
    if not steps:
        return (0.5 * (position[1:] + position[:-1]) if edges else position), value
    if not edges:
        middle = 0.5 * (position[1:] + position[:-1])
        position = np.concatenate([[2 * position[0] - middle[0]], middle, [2 * position[-1] - middle[-1]]])
    return np.repeat(position, 2)[1:-1], np.repeat(value, 2)
