"""The pictures of docs/performance.md.

Owns: two drawings.  Must not know: how anything was measured.  Next: report.py.
"""
import numpy as np

STYLE = {"fastad": ("fastad", "#d1495b", "o"), "numpy": ("NumPy, by hand", "#8d99ae", "s"),
         "c": ("C, by hand", "#2b2d42", "^"), "jax": ("JAX", "#00798c", "D"),
         "torch_compile": ("torch.compile", "#f4a300", "v"), "torch": ("PyTorch", "#e0c080", "P"),
         "autograd": ("autograd", "#66a182", "X"), "casadi": ("CasADi", "#7b4b94", "<"),
         "aadc": ("aadc", "#b08bbb", ">"), "deepwave": ("deepwave", "#5c4d3c", "h")}
TITLES = {"rosenbrock": "Rosenbrock's function", "transcendental": "exp, sin, log1p, tanh"}


def plotting():
    """matplotlib without a screen, or what to install."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("the pictures need matplotlib: pip install 'fastad[plot]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot
    return matplotlib.pyplot


def growth(rows, path):
    """Time of a gradient for each element against the number of elements, one thread."""
    plt = plotting()
    chosen = [row for row in rows if row.kind == "growth" and (row.threads, row.cpu) == (1, "")]
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.8), sharey=True, layout="constrained")
    for panel, (name, title) in zip(axes, TITLES.items(), strict=True):
        for who, (label, colour, marker) in STYLE.items():
            mine = [row for row in chosen if row.who == who and f" {name}," in row.problem]
            sizes = np.array([int(row.problem.rpartition("=")[2]) for row in mine])
            times = np.array([row.value for row in mine])
            if mine:
                panel.loglog(sizes, 1e9 * times / sizes, color=colour, marker=marker, markersize=4, label=label,
                             linewidth=2.2 if who == "fastad" else 1.1)
        panel.set(title=title, xlabel="n")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("gradient, ns for each element")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def ratios(rows, path):
    """For each problem, how long each system takes for a gradient in units of fastad's time, one thread."""
    plt = plotting()
    chosen = [row for row in rows if row.kind == "gradient" and row.problem and (row.threads, row.cpu) == (1, "")]
    problems = list(dict.fromkeys(row.problem for row in chosen))[::-1]
    figure, panel = plt.subplots(figsize=(9.0, 0.55 * len(problems) + 1.2), layout="constrained")
    for who, (label, colour, marker) in STYLE.items():
        mine = [row for row in chosen if row.who == who]
        x = [1.0 if who == "fastad" else 1.0 / row.ratio for row in mine]
        if mine:
            y = [problems.index(row.problem) for row in mine]
            panel.plot(x, y, marker, color=colour, label=label, markersize=8)
    panel.axvline(1.0, color=STYLE["fastad"][1], linewidth=1.0)
    panel.set_yticks(range(len(problems)), problems)
    panel.set(xscale="log", xlabel="time of a gradient in units of fastad's (right of the line: slower than fastad)")
    panel.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
