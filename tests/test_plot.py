"""Pictures: what is in them, where it stands, and that nothing overlaps; the layout of graphs; what is refused.

Owns: the content of axes.  How a picture looks was judged by eye.  Must not know: matplotlib's drawing.
Next: fastad/plot/, programs.py (the tapes that are drawn).
"""
import itertools
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch  # noqa: E402
from programs import PROGRAMS  # noqa: E402

import fastad as ad  # noqa: E402
from fastad import optimize, plot  # noqa: E402
from fastad.plot.graph import LONGEST  # noqa: E402
from fastad.plot.layering import crossings, layered, neighbours, ordered  # noqa: E402


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def f(x1, x2):
    return x1**2 + x2


# ---- graphs ----------------------------------------------------------------------------------------------------------

def texts(ax):
    return [text.get_text() for text in ax.texts]


def boxes(ax):
    """(left, bottom, right, top) of each node."""
    patches = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    return [(p.get_x(), p.get_y(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in patches]


def arrows(ax):
    return [p for p in ax.patches if isinstance(p, FancyArrowPatch)]


def test_graph_of_the_lecture():
    tape = ad.record(f, 2.0, 3.0)
    ax = plot.graph(tape)
    assert texts(ax) == ["x1", "x2", "v1 = square(x1)", "v2 = add(v1, x2)"]
    assert len(boxes(ax)) == 4 and len(arrows(ax)) == 3 and ax.get_title() == "f"
    ax = plot.graph(tape, 2.0, 3.0, adjoints=True)
    assert texts(ax)[:12] == ["x1", "2", "adjoint 4", "x2", "3", "adjoint 1", "v1 = square(x1)", "4", "adjoint 1",
                              "v2 = add(v1, x2)", "7", "adjoint 1"]
    assert sorted(texts(ax)[12:]) == ["1", "1", "4"], "partial derivatives at the edges"
    left = [box[0] for box in boxes(ax)]
    assert left[0] < left[2] < left[3], "edges point to the right"


def test_elements_of_small_inputs_are_nodes():
    tape = ad.record(lambda x: x[0]**2 + x[1], np.array([2.0, 3.0]))
    shown = texts(plot.graph(tape, np.array([2.0, 3.0])))
    assert shown[:2] == ["x[0]", "2"] and shown[shown.index("x[1]") + 1] == "3"
    whole = ad.record(lambda x: x[0] * np.sum(x), np.array([2.0, 3.0]))
    assert texts(plot.graph(whole))[0] == "x", "an input that is used whole is one node"
    assert texts(plot.graph(ad.record(lambda x: x[0] + x[0], [1.0, 2.0])))[0] == "x[0]"


def results(ax):
    """The first text of each node that is marked as a result."""
    marked = [p for p in ax.patches if isinstance(p, FancyBboxPatch) and p.get_linewidth() > 1.5]
    return [next(t.get_text() for t in ax.texts if p.get_bbox().contains(*t.get_position())) for p in marked]


@pytest.mark.parametrize("program, point, expected", [
    (f, (2.0, 3.0), ["v2 = add(v1, x2)"]),
    (lambda x: (x[0], 2.0 * x), (np.ones(2),), ["x", "v1 = multiply(2.0, x)"]),
    (lambda x: (x[1], x[0] + 1.0), (np.ones(2),), ["x[1]", "v1 = add(x[0], 1.0)"]),
    (lambda x: (2.0 * x)[1], (np.ones(2),), ["v1 = multiply(2.0, x)"]),
    (lambda x: (x, 3.0 * x), (1.0,), ["x", "v1 = multiply(3.0, x)"])])
def test_results_are_marked(program, point, expected):
    assert sorted(results(plot.graph(ad.record(program, *point), *point))) == sorted(expected)


def test_arguments_by_keyword():
    tape = ad.record(lambda x, scale: x * scale, 2.0, scale=3.0)
    assert texts(plot.graph(tape, 2.0, scale=4.0)) == ["x", "2", "scale", "4", "v1 = multiply(x, scale)", "8"]
    with pytest.raises(ad.ShapeError):
        plot.graph(tape, 2.0, scales=4.0)


def test_an_operand_that_is_used_twice_has_one_edge_with_the_sum():
    ax = plot.graph(ad.record(lambda x: x * x, 3.0), 3.0, adjoints=True)
    assert len(arrows(ax)) == 1 and "6" in texts(ax)


def test_decisions_are_dashed_and_captured_arrays_are_nodes():
    weights = np.array([1.0, 2.0])

    def g(x):
        return np.sum(weights * x) if x[0] > 0 else 0.0
    ax = plot.graph(ad.record(g, np.array([1.0, 2.0])))
    assert any(text.startswith("assert v") for text in texts(ax)) and "c0 captured" in texts(ax)
    assert sum(p.get_linestyle() == "--" for p in ax.patches if isinstance(p, FancyBboxPatch)) == 1


@pytest.mark.parametrize("name", sorted(set(PROGRAMS) - {"runge_kutta"}))
def test_graphs_of_programs(name):
    """Values are those of the trace, nodes do not overlap, text stays in its box, edges stay clear of other nodes."""
    program, *point = PROGRAMS[name]
    tape = ad.record(program, *point)
    ax = plot.graph(tape, *point, adjoints=True)
    ax.figure.canvas.draw()
    found = boxes(ax)
    for (a, b, c, d), (e, g, h, i) in itertools.combinations(found, 2):
        assert c <= e or h <= a or d <= g or i <= b, "two nodes overlap"
    inside = ax.transData.inverted()
    nodes = [text for text in ax.texts if text.get_bbox_patch() is None]
    for text in nodes:
        (left, low), (right, high) = inside.transform(text.get_window_extent().get_points())
        assert any(a <= left and b <= low and right <= c and high <= d for a, b, c, d in found), text
    for arrow in arrows(ax):
        x, y = np.concatenate(arrow.get_path().to_polygons(closed_only=False)).T
        through = [k for k, (a, b, c, d) in enumerate(found)
                   if np.any((x > a + 0.01) & (x < c - 0.01) & (y > b + 0.01) & (y < d - 0.01))]
        assert not through, f"an edge passes through node {through}"
    drawn = texts(ax)
    for row in tape.trace(*point, mode="reverse").rows:
        title = f"{row.name} = {row.expression}"
        if row.expression != "input" and np.ndim(row.value) == 0 and len(title) <= LONGEST:
            shown = drawn[drawn.index(title) + 1]
            assert shown == str(row.value) or float(shown) == pytest.approx(float(row.value), rel=1e-3)


def test_a_graph_fits_the_axes_it_is_given():
    program, *point = PROGRAMS["fill"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
    assert plot.graph(ad.record(program, *point), ax=left) is left
    plot.graph(ad.record(f, 2.0, 3.0), ax=right)
    figure.canvas.draw()
    assert left.texts[0].get_fontsize() < right.texts[0].get_fontsize()
    for ax in (left, right):
        room = ax.get_window_extent()
        for text in ax.texts:
            box = text.get_window_extent()
            assert room.x0 - 1 <= box.x0 and box.x1 <= room.x1 + 1 and room.y0 - 1 <= box.y0 and box.y1 <= room.y1 + 1


def test_graphs_that_cannot_be_read_are_refused():
    program, *point = PROGRAMS["runge_kutta"]
    with pytest.raises(ad.AdError, match="62 steps.*smaller case"):
        plot.graph(ad.record(program, *point))
    with pytest.raises(ad.AdError, match=r"\d{5} steps"):
        plot.graph(ad.record(lambda x: sum([np.sin(k * x) for k in range(1, 30_000)]), 1.0))
    tape = ad.record(f, 2.0, 3.0)
    with pytest.raises(ad.AdError, match="at a point"):
        plot.graph(tape, adjoints=True)
    with pytest.raises(ad.AdError, match="direction='left'"):
        plot.graph(tape, direction="left")
    down = plot.graph(tape, direction="down", title="")
    assert boxes(down)[0][1] > boxes(down)[-1][1] and down.get_title() == ""


def test_layers_of_random_graphs():
    """Edges go forward, neighbours keep their distance, and the orders found cross less than those begun with."""
    rng = np.random.default_rng(0)
    before = after = 0
    for _ in range(30):
        n = int(rng.integers(2, 40))
        edges = sorted({(int(rng.integers(0, v)), v) for v in range(1, n) for _ in range(rng.integers(1, 3))})
        size = rng.uniform(0.5, 2.0, n).tolist()
        layout = layered(size, edges, set(), 0.25)
        assert all(layout.layer[u] < layout.layer[v] for u, v in edges)
        assert [len(route) for route in layout.routes] == [layout.layer[v] - layout.layer[u] - 1 for u, v in edges]
        for level in set(layout.layer):
            here = sorted([(layout.across[k], size[k]) for k in range(n) if layout.layer[k] == level])
            here += [(a, 0.0) for a in {a for route in layout.routes for k, a in route if k == level}]
            for (a, wa), (b, wb) in itertools.pairwise(sorted(here)):
                assert b - a >= (wa + wb) / 2 + 0.25 - 1e-9
        assert min(a - s / 2 for a, s in zip(layout.across, size, strict=True)) >= -1e-9
    levels = [list(range(5)), list(range(5, 10))]
    steps = {(k, 9 - k) for k in range(5)}
    before, after = crossings(levels, neighbours(steps)[1]), crossings(ordered(levels, steps), neighbours(steps)[1])
    assert (before, after) == (10, 0)


# ---- convergence -----------------------------------------------------------------------------------------------------

def history(n=6, scale=1.0):
    progress = optimize.Progress(display="none")
    for k in range(n):
        progress.update(scale * 10.0**-k, 10.0**(1 - k), 2 * k + 1)
    return progress


def curves(ax):
    return [line for line in ax.get_lines() if line.get_gid() == "misfit"]


def test_convergence():
    progress = history()
    for source in (progress, progress.history, vars(progress.history)):
        ax = plot.convergence(source, target=1e-4)
        np.testing.assert_array_equal(curves(ax)[0].get_xdata(), np.arange(1, 7))
        np.testing.assert_array_equal(curves(ax)[0].get_ydata(), progress.history.misfit)
        right = next(other for other in ax.figure.axes if other is not ax)
        np.testing.assert_array_equal(right.get_lines()[0].get_ydata(), progress.history.gradient_norm)
        assert ax.get_yscale() == right.get_yscale() == "log"
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["misfit", "target 0.0001",
                                                                        "gradient norm (right)"]
    ax = plot.convergence(progress, against="evaluations", gradient=False)
    assert ax.get_xlabel() == "function evaluations" and len(ax.figure.axes) == 1 and ax.get_legend() is None


def test_several_runs_on_the_same_axes():
    ax = plot.convergence(history(), label="one")
    assert plot.convergence(history(4, 3.0), label="two", ax=ax) is ax
    assert len(curves(ax)) == 2 and len({line.get_color() for line in curves(ax)}) == 2
    assert len(ax.figure.axes) == 2, "one axis at the right for all"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one", "gradient norm (right)", "two"]


def test_negative_misfits_are_linear():
    """A log likelihood may have any sign."""
    ax = plot.convergence([3.0, 1.0, 0.5])
    assert ax.get_yscale() == "log"
    plot.convergence([3.0, -1.0], ax=ax, label="b")
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("source, options, message", [
    ([], {}, "empty"), ({"iteration": [1]}, {}, "no misfit"), ([1.0], {"against": "seconds"}, "no seconds"),
    ([1.0], {"against": "steps"}, "'steps'"), ([[1.0]], {}, "shape"),
    ({"misfit": [1.0], "evaluations": [np.nan]}, {"against": "evaluations"}, "not known"),
    ({"misfit": [1.0, 2.0], "seconds": [1.0]}, {}, "1 numbers for 2")])
def test_histories_that_cannot_be_drawn(source, options, message):
    with pytest.raises(ValueError, match=message):
        plot.convergence(source, **options)
    assert not plt.get_fignums(), "what is refused leaves no empty figure"


# ---- fits and models -------------------------------------------------------------------------------------------------

T = np.array([3.0, 1.0, 2.0])
DATA = np.array([1.0, 2.0, 3.0])


def test_data_fit():
    ax = plot.data_fit(T, DATA, DATA + [0.1, -0.1, 0.1], sigma=0.1, xlabel="time (s)", ylabel="U (V)", yscale="log")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["prediction (rms 1.00 σ)", "data"]
    line = next(line for line in ax.get_lines() if str(line.get_label()).startswith("prediction"))
    np.testing.assert_array_equal(line.get_xdata(), [1.0, 2.0, 3.0])       # drawn from left to right
    np.testing.assert_allclose(line.get_ydata(), [1.9, 3.1, 1.1])
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("time (s)", "U (V)", "log")


def test_data_fit_of_several_predictions_and_none():
    fine = np.linspace(0.0, 4.0, 50)
    ax = plot.data_fit(T, DATA, {"fine": (fine, np.sin(fine)), "coarse": DATA})
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["fine", "coarse", "data"]
    assert [t.get_text() for t in plot.data_fit(T, DATA).get_legend().get_texts()] == ["data"]


def test_residuals_are_in_standard_deviations():
    """Below: where the prediction is below the datum the lower bar counts, else the upper one."""
    sigma = np.array([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]])
    ax = plot.data_fit(T, DATA, DATA + [0.1, -0.1, 0.2], sigma=sigma, residuals=True, xlabel="time (s)")
    lower = next(other for other in ax.figure.axes if other is not ax)
    np.testing.assert_allclose(lower.get_lines()[0].get_ydata(), [-0.5, 1.0, -1.0])
    assert lower.get_xlabel() == "time (s)" and ax.get_xlabel() == ""
    ax.figure.canvas.draw()
    assert lower.get_window_extent().y1 <= ax.get_window_extent().y0


def test_model_steps_and_band():
    ax = plot.model([0.0, 1.0, 3.0], [5.0, 7.0], sigma=[0.5, 1.0], truth=[5.1, 6.5], depth=True)
    line = next(line for line in ax.get_lines() if line.get_gid() == "model")
    np.testing.assert_array_equal(line.get_xdata(), [5.0, 5.0, 7.0, 7.0])
    np.testing.assert_array_equal(line.get_ydata(), [0.0, 1.0, 1.0, 3.0])
    assert ax.yaxis_inverted() and ax.get_ylim() == (3.0, 0.0)
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 0].min(), band[:, 0].max()) == (4.5, 8.0)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["truth", "± σ", "model"]
    plot.model([0.0, 1.0, 3.0], [4.0, 8.0], depth=True, ax=ax, label="second")
    assert ax.yaxis_inverted(), "not turned back by a second model"


def test_a_first_edge_of_zero_on_a_logarithmic_axis():
    ax = plot.model([0.0, 10.0, 100.0], [5.0, 7.0], sigma=1.0, depth=True, yscale="log")
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [10**0.5, 10.0, 10.0, 100.0])
    np.testing.assert_allclose(ax.get_ylim(), (100.0, 10**0.5))


def test_missing_data_are_left_out_of_the_rms():
    ax = plot.data_fit([1.0, 2.0, 3.0], [1.0, np.nan, 2.0], [1.1, 5.0, 2.1], sigma=0.1)
    assert ax.get_legend().get_texts()[0].get_text() == "prediction (rms 1.00 σ)"
    ax = plot.data_fit([1.0], [np.nan], [1.1], sigma=0.1)
    assert ax.get_legend().get_texts()[0].get_text() == "prediction"


def test_axes_of_the_user_may_be_logarithmic():
    _, ax = plt.subplots()
    ax.set_xscale("log")
    plot.convergence(history(), ax=ax)
    assert ax.get_xscale() == "log"


def test_model_of_centres_and_lines():
    line = plot.model([1.0, 2.0, 4.0], [5.0, 6.0, 7.0]).get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), [0.5, 1.5, 1.5, 3.0, 3.0, 5.0])
    line = plot.model([1.0, 2.0, 4.0], [5.0, 6.0, 7.0], steps=False).get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), [1.0, 2.0, 4.0])
    ax = plot.model([0.0, 1.0], [5.0], truth=([0.0, 0.5, 1.0], [4.0, 6.0]))
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), [4.0, 4.0, 6.0, 6.0])


@pytest.mark.parametrize("call, message", [
    (lambda: plot.data_fit(T, DATA[:2]), "2 numbers for 3"),
    (lambda: plot.data_fit(T, DATA, DATA[:1]), "1 numbers for 3"),
    (lambda: plot.data_fit(T, DATA, sigma=-1.0), "negative"),
    (lambda: plot.data_fit(T, DATA, sigma=[1.0, 2.0]), "sigma has shape"),
    (lambda: plot.data_fit([T], DATA), "of shape"),
    (lambda: plot.data_fit(T, DATA.astype(complex)), "complex"),
    (lambda: plot.model([0.0, 1.0], [1.0, 2.0, 3.0]), "4 edges"),
    (lambda: plot.model([0.0, 0.0, 1.0], [1.0, 2.0]), "increase"),
    (lambda: plot.model([0.0, 1.0, 2.0], [1.0, 2.0], sigma=np.nan), "NaN"),
    (lambda: plot.model([0.0, 1.0, 2.0], [1.0, 2.0], truth=[1.0]), "2 edges"),
    (lambda: plot.matrix(T), "matrix"),
    (lambda: plot.matrix(np.eye(2), names=["a"]), "1 names for 2"),
    (lambda: plot.covariance(np.ones((2, 3))), "square"),
    (lambda: plot.covariance([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
    (lambda: plot.covariance(-np.eye(2)), "negative"),
    (lambda: plot.covariance(np.eye(2), names="abc"), "3 names for 2"),
])
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    assert not plt.get_fignums(), "what is refused leaves no empty figure"


def test_residuals_need_a_grid():
    with pytest.raises(ValueError, match="subplots"):
        plot.data_fit(T, DATA, DATA, residuals=True, ax=plt.figure().add_axes((0.1, 0.1, 0.8, 0.8)))


# ---- images ----------------------------------------------------------------------------------------------------------

def test_matrix():
    from scipy.sparse import csr_array
    J = np.array([[1.0, -2.0, 0.0], [0.0, np.nan, 0.5]])
    ax = plot.matrix(J, names=["a", "b", "c"], label="mV per m")
    image = ax.get_images()[0]
    assert image.get_clim() == (-2.0, 2.0), "zero is white"
    np.testing.assert_array_equal(np.ma.filled(image.get_array(), np.nan), J)
    assert ax.figure.axes[1].get_ylabel() == "mV per m"
    sparse = plot.matrix(csr_array(np.eye(3)), log=True)
    ticks = [t.get_text() for t in sparse.figure.axes[1].get_yticklabels()]
    assert ticks == ["-1", "-0.1", "-0.01", "-0.001", "0", "0.001", "0.01", "0.1", "1"]
    assert plot.matrix(np.zeros((2, 2)), log=True).get_images()[0].get_clim() == (-1.0, 1.0)
    _, own = plt.subplots()
    assert plot.matrix(J, ax=own) is own


def test_covariance():
    cov = np.array([[4.0, -1.0], [-1.0, 1.0]])
    ax = plot.covariance(cov, names=["rate", "offset"])
    assert [t.get_text() for t in ax.texts] == ["1.00", "-0.50", "-0.50", "1.00"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["rate  (σ = 2)", "offset  (σ = 1)"]
    plain = plot.covariance(cov, correlation=False)
    assert [t.get_text() for t in plain.texts] == ["4", "-1", "-1", "1"]
    large = plot.covariance(np.eye(50))
    assert not large.texts and len(large.get_xticks()) <= 40
    fixed = plot.covariance([[1.0, 0.0], [0.0, 0.0]])
    assert fixed.texts[3].get_text() == "nan", "a fixed parameter has no correlation"


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    tape = ad.record(f, 2.0, 3.0)
    for draw in (lambda: plot.graph(tape), lambda: plot.convergence([1.0]), lambda: plot.data_fit(T, DATA),
                 lambda: plot.model([0.0, 1.0], [1.0]), lambda: plot.matrix(np.eye(2)),
                 lambda: plot.covariance(np.eye(2))):
        with pytest.raises(ImportError, match=r"pip install 'fastad\[plot\]'"):
            draw()
