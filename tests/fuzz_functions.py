"""Still more vocabulary of the fuzzer: padding, quantiles, partitions, sets, windows, keywords of reductions.

Owns: the functions of NumPy that came after the others.  It adds to fuzz_statements.STATEMENTS.
Must not know: fastad.  Next: tests/fuzz_statements.py (how to write one), tests/fuzz_forms.py.
"""

from tests.fuzz_scope import Nothing
from tests.fuzz_statements import STATEMENTS, statement


@statement("more.pad", 1)
def _(s):
    a = s.array()
    width = s.pick("1", "2", "(1, 0)", "(0, 3)")
    return f"{s.fresh()} = " + s.pick(
        f"np.pad({a}, {width}, 'linear_ramp', end_values={s.pick('0.5', s.scalar())})",
        f"np.pad({a}, {width}, '{s.pick('maximum', 'minimum', 'mean', 'median')}')",
        f"np.pad({a}, {width}, '{s.pick('maximum', 'mean')}', stat_length=2)",
        f"np.pad({a}, {width}, '{s.pick('reflect', 'symmetric')}', reflect_type='{s.pick('odd', 'even')}')",
        f"np.pad({a}, {width}, constant_values={s.scalar()})", f"np.pad({a}, {width}, 'wrap')",
    )  # fmt: skip


@statement("more.quantile", 1)
def _(s):
    a = s.array()
    method = s.pick("linear", "hazen", "weibull", "median_unbiased", "lower", "nearest", "inverted_cdf",
                    "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf")  # fmt: skip
    q = s.pick("0.3", "[0.2, 0.71]", "0.5", "0.0", "1.0")
    keep = s.pick("", ", keepdims=True")
    return f"{s.fresh()} = " + s.pick(
        f"np.quantile({a}, {q}, axis={s.axis(a)}, method='{method}'{keep})",
        f"np.percentile({a}, 37.5, method='{method}')",
        f"np.nanquantile(np.where({s.mask(a)}, np.nan, {a}), {s.pick('0.3', '0.5')}, method='{method}')",
        f"np.nanmedian(np.where({s.mask(a)}, {a}, np.nan))",
    )  # fmt: skip


@statement("more.partition", 1, mutates=True)
def _(s):
    a = s.array(least=2)
    b = s.target(least=2)
    k = s.pick("0", "1", "-1", "[0, 1]")
    return s.pick(
        f"{s.fresh()} = np.partition({a}, {k}, axis={s.axis(a, 0)})",
        f"{s.fresh()} = np.sort(np.partition({a}, {k})[..., :1])",
        f"{s.fresh()} = np.take_along_axis({a}, np.argpartition({a}, {k}, axis={s.axis(a, 0)}), {s.axis(a, 0)})",
        f"{b}.partition(1)",
    )


@statement("more.sets", 0.8)
def _(s):
    a, b = s.traced(1), s.array(1)
    return f"{s.fresh()} = " + s.pick(
        f"np.union1d({a}, {b})", f"np.intersect1d({a}, {a}[::-1])", f"np.setdiff1d({a}, {b})", f"np.setxor1d({a}, {b})",
        f"np.unique(np.stack([{a}, {a}]), axis=0) * 1.0", f"np.unique_counts({a}).counts * {s.scalar()}",
        f"np.trim_zeros(np.concatenate([[0.0], {a}, [0.0]]))",
    )  # fmt: skip


@statement("more.histogram", 0.8)
def _(s):
    a = s.array(1)
    b = s.same(a)
    return f"{s.fresh()} = " + s.pick(
        f"np.histogram2d({a}, {b}, bins=[[-9.0, 0.1, 9.0], [-9.0, -0.2, 9.0]], weights={s.same(a)})[0]",
        f"np.histogram({a}, bins=[-9.0, -0.3, 0.4, 9.0], weights={b})[0]", f"np.histogram_bin_edges({a}, 3)",
        f"np.bincount([{', '.join('0123'[k % 3] for k in range(s.shape(a)[0]))}], weights={b}, minlength=5)",
    )  # fmt: skip


@statement("more.reduce", 1.5)
def _(s):
    a = s.array()
    name = s.pick("sum", "prod", "max", "min", "mean", "var", "std")
    initial = {"max": ", initial=0.3", "min": ", initial=0.3", "sum": s.pick("", f", initial={s.scalar()}")}.get(name,
        "")
    return f"{s.fresh()} = " + s.pick(
        f"np.{name}({a}, axis={s.axis(a)}, where={s.mask(a)}{initial}, keepdims=True)" if name not in ("mean", "var",
            "std")
        else f"np.{name}({a}, axis={s.axis(a)}, keepdims=True)",
        f"np.nan{name}(np.where({s.mask(a)}, np.nan, {a}), initial=0.2)" if name in ("max", "min", "sum", "prod")
        else f"np.nan{name}({a}, axis={s.axis(a)})",
        f"np.logaddexp.reduce({a}, axis={s.axis(a, 0)})", f"np.hypot.reduce({a}, axis={s.axis(a, 0)}, keepdims=True)",
        f"np.{s.pick('add', 'multiply', 'maximum')}.reduceat({a}, [0, {s.place(s.shape(a)[0]) % s.shape(a)[0]}])",
        f"np.{s.pick('fmin', 'maximum', 'multiply', 'subtract')}.accumulate({a}, axis={s.axis(a, 0)})",
        f"np.ptp({a}, axis={s.axis(a)})",
        f"np.cumprod({a}, axis={s.axis(a, 0)})",
    )  # fmt: skip


@statement("more.windows", 0.8)
def _(s):
    a = s.array(least=2)
    if s.shape(a)[0] < 2:
        raise Nothing
    return f"{s.fresh()} = " + s.pick(
        f"np.lib.stride_tricks.sliding_window_view({a}, 2, axis=0).sum(axis=-1)",
        f"np.argmax({a}, axis={s.axis(a, 0)}) * {s.scalar()}", f"np.gradient({a}, axis=0)",
        f"np.delete({a}, 0, axis=0)",
        f"np.insert({a}, 1, {s.scalar()}, axis=0)", f"np.block([{a}, {a}])", f"np.ediff1d({a})",
        f"np.select([{s.mask(a)}, {a} < 0.2], [{a} * 2, {s.scalar()}], {s.const()})",
        f"np.piecewise({a}, [{s.mask(a)}], [lambda t: t * t, {s.const()}])", f"np.unwrap(3 * {a}, axis=0)",
    )  # fmt: skip


FEATURES = tuple([feature for feature, _, _, function in STATEMENTS if function.__module__ == __name__])
