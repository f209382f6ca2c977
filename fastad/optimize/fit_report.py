"""The text of a fit's statistics: what `report()` returns.

Owns: layout and words.  Must not know: how anything in it was computed (fit_statistics.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["report"]


def report(s: Any, level: float, min_correlation: float) -> str:
    """Parameters with errors and intervals, goodness of fit, correlations, doubts."""
    lines = [f"fit of {s.model}" if s.model else "least-squares fit", *([s.counts] if s.counts else []), ""]
    lines += table(s, level)
    lines += ["", *goodness(s)]
    lines += correlations(s, min_correlation)
    marks = [f"{name} is at its {'lower' if a < 0 else 'upper'} bound"
             for name, a in zip(s.names, s.active, strict=True) if a]
    if marks:
        lines += ["", f"{', '.join(marks)}: its error, and what others owe to it, are those of a fit without bounds"]
    if s.doubts():
        lines += ["", f"WARNING: {s.doubts()}"]
    return "\n".join(lines)


def table(s: Any, level: float) -> list[str]:
    """One line a parameter."""
    percent = f"{100 * level:.6g} % interval"
    rows = [("parameter", "value", "std error", "relative", percent)]
    for k, (name, interval) in enumerate(zip(s.names, s.confidence_interval(level), strict=True)):
        error = s.stderr[k]
        relative = f"{100 * error / abs(s.x[k]):.3g} %" if s.x[k] and np.isfinite(error) else "-"
        mark = {-1: " (at lower bound)", 1: " (at upper bound)"}.get(int(s.active[k]), "")
        rows.append((name, number(s.x[k]), f"{error:.3g}", relative,
                     f"{number(interval[0])} .. {number(interval[1])}{mark}"))
    widths = [max(len(row[c]) for row in rows) for c in range(4)]
    return ["  ".join([row[0].ljust(widths[0]), *[row[c].rjust(widths[c]) for c in (1, 2, 3)], row[4]]) for row in rows]


def number(x: float) -> str:
    return f"{x:.8g}"


def goodness(s: Any) -> list[str]:
    """Observations, chi2 and its relatives, the condition number."""
    lines = [f"{s.observations} observations, {len(s.x)} parameters, {s.dof} degrees of freedom",
             f"chi2 {s.chi2:.8g}, reduced {s.reduced_chi2:.6g}, residual standard deviation {s.residual_std:.6g}"
             + (" (sigma known)" if s.absolute_sigma else "")]
    criteria = [f"{name} {value:.6g}" for name, value in (("R2", s.r_squared), ("AIC", s.aic), ("BIC", s.bic))
                if not np.isnan(value)]
    if criteria:
        lines.append(", ".join(criteria))
    if s.robust:
        lines.append("robust loss: errors from its Gauss-Newton Hessian, chi2 of all residuals as they are")
    lines.append(f"condition number of the scaled Jacobian {s.condition:.3g}")
    return lines


def correlations(s: Any, least: float) -> list[str]:
    """Pairs of parameters, the strongest first."""
    matrix = s.correlation
    pairs = sorted([(-abs(matrix[i, j]), i, j) for i in range(len(s.x)) for j in range(i)
                    if abs(matrix[i, j]) >= least])
    if not pairs:
        return []
    names = [f"{s.names[j]}, {s.names[i]}" for _, i, j in pairs]
    width = max(map(len, names))
    return ["", f"correlations of at least {least:g} in size",
            *[f"  {name.ljust(width)}  {matrix[i, j]:+.4f}" for name, (_, i, j) in zip(names, pairs, strict=True)]]
