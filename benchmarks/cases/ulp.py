"""The elementary functions of our own: errors in ulp over the whole domain, and an element's time against NumPy's.

Stresses the lanes of fastad/_kernels (exponential.h and its like).  Exact values are mpmath's.  An ulp is the distance
of doubles where the exact value lies, subnormal numbers included; the largest error is that of the points.
"""
import numpy as np

from fastad._tape import own_mathematics

EDGES = np.array([0.0, 5e-324, 2.2250738585072014e-308, 2.0**-1000, 2.0**-55, 2.0**-54, 2.0**-28, 2.0**-27, 0.5, 1.0,
                  2.0, 2.0**19 - 1e-10, 2.0**19, 2.0**52, 2.0**53, 1e22, 2.0**1000, 1.7976931348623157e308])
HALF_LN2, ROOT = np.log(2) / 2, np.sqrt(0.5)
# where sines and cosines are next to zero, or the sum of a reduction cancels
WORST = np.array([6381956970095103.0 * 2.0**797, 5.319372648326541e255, np.pi / 4, 10.995574287564276,
                  205887.4161163955])

# name: places to look at closely, as (from, to); what an element's time is taken at, for each operand
FUNCTIONS = {
    "sin": ([(-10, 10), (-5e5, 5e5)], (-10, 10)),
    "cos": ([(-10, 10), (-5e5, 5e5)], (-10, 10)),
    "exp": ([(-1, 1), (-746, -708), (708, 709.8), (HALF_LN2 - 0.01, HALF_LN2 + 0.03)], (-5, 5)),
    "expm1": ([(-1, 1), (-40, 10), (708, 709.8), (HALF_LN2 - 0.01, HALF_LN2 + 0.03)], (-3, 3)),
    "tanh": ([(-1, 1), (-20, 20), (0.15, 0.2)], (-3, 3)),
    "log": ([(0.5, 2), (1.35, 1.42), (ROOT - 0.01, ROOT + 0.01), (0, 1e-307)], (0.01, 100)),
    "log1p": ([(-1, 1), (0.38, 0.42), (ROOT - 1.01, ROOT - 0.99), (1, 1e4)], (-0.9, 10)),
    "power": ([(0, 3), (0.9, 1.1), (-50, 50), (0.69, 0.72)], (0.01, 10), (-3, 3)),
    "arctan2": ([(-1, 1), (0.3, 0.5), (1e3, 1e4), (-1e-5, 1e-5)], (-3, 3), (-3, 3)),
}
MPMATH = {"arctan2": "atan2"}


def points(name, n, seed=0):
    """Operands of the function, as a tuple of arrays: all bits, all magnitudes, `n` at each place of interest."""
    rng = np.random.default_rng(seed)
    near = np.rint(rng.uniform(-3e5, 3e5, n)) * (np.pi / 2)
    x = np.concatenate([EDGES, -EDGES, WORST, near if name in ("sin", "cos") else [], rng.integers(
        -2**63, 2**63 - 1, n, np.int64).view(float), np.ldexp(rng.uniform(-2, 2, n), rng.integers(-60, 12, n)),
        *[rng.uniform(*place, n) for place in FUNCTIONS[name][0]]])
    return (x,) if len(FUNCTIONS[name]) == 2 else (x, beside(name, x, rng))


def beside(name, x, rng):
    """Second operands: for a third of them anything, else such that the result is neither 0 nor infinite."""
    other = rng.permutation(x)
    third = x.size // 3
    if name == "power":
        with np.errstate(all="ignore"):
            most = 740.0 / np.abs(np.log(np.abs(x)))
        most = np.where(np.isfinite(most), np.minimum(most, 1e15), 1.0)
        other[third:] = rng.uniform(-most, most)[third:]
        other[2 * third:] = np.rint(other[2 * third:])
    else:
        other[third:] = x[third:] * np.ldexp(rng.uniform(-1, 1, x.size - third), rng.integers(-30, 30, x.size - third))
    return other


def exact(name, operands):
    """The function to twice the digits of a double: the double next to it, and what is missing."""
    import mpmath
    rounded, rest = np.empty_like(operands[0]), np.zeros_like(operands[0])
    with mpmath.workdps(40), np.errstate(all="ignore"):
        theirs = getattr(np, name)(*operands)
        function = getattr(mpmath, MPMATH.get(name, name))
        for k, at in enumerate(zip(*operands, strict=True)):
            rounded[k] = theirs[k]
            if np.isfinite(theirs[k]) and np.isfinite(at).all():
                y = function(*map(mpmath.mpf, map(float, at)))
                rounded[k] = float(y) if y else theirs[k]        # (mpmath has no -0.0)
                rest[k] = float(y - rounded[k]) if np.isfinite(rounded[k]) else 0.0
    return rounded, rest


def errors(got, rounded, rest):
    """In ulp; infinite where a NaN, an infinity or the sign of a zero is wrong."""
    with np.errstate(all="ignore"):
        error = np.abs(got - rounded - rest) / np.spacing(np.abs(rounded))
    same = (got == rounded) & (np.signbit(got) == np.signbit(rounded)) | np.isnan(got) & np.isnan(rounded)
    bad = ~np.isfinite(got) | ~np.isfinite(rounded) | (rounded == 0) & (got == 0)
    return np.where(bad, np.where(same, 0.0, np.inf), error)


def levels(name):
    """Instruction sets for which there is a loop of our own, that this process may use."""
    one = [np.ones(1)] * len(FUNCTIONS[name][1:])
    return [level for level in (2, 3, 4) if own_mathematics(name, level, *one) is not None]


def run(bench):
    """Level: 1 ulp, as the rows of the table say; 8 where sin and cos leave the reduction to the C library."""
    rng = np.random.default_rng(1)
    for name, (_, *usual) in FUNCTIONS.items():
        if not levels(name):
            bench.note(f"{name}: this processor has no fused multiply-add: NumPy's loop is used")
            continue
        operands, best = points(name, bench.size(3000, 30)), levels(name)[-1]
        rounded, rest = exact(name, operands)
        got = own_mathematics(name, best, *operands)
        ours = errors(got, rounded, rest)
        bench.verify(name, ours < 9.0, np.ones(ours.size))
        with np.errstate(all="ignore"):
            theirs = errors(getattr(np, name)(*operands), rounded, rest)
        reduced = np.abs(operands[0]) < 2.0**19 if name in ("sin", "cos") else np.ones(ours.size, bool)
        worst = np.argmax(np.where(reduced, ours, -1.0))
        at = ", ".join(repr(float(x[worst])) for x in operands)
        bench.row(f"{name}, v{best}: largest error", ours[worst], "ulp", level=1.0, ratio=theirs[reduced].max(),
                  to=f"1 ulp in NumPy; ours at {at}")
        if not reduced.all():
            bench.row(f"{name}, v{best}: beyond 2**19", ours[~reduced].max(), "ulp", level=8.0)
        timed(bench, name, best, [rng.uniform(*place, 8192) for place in usual])


def timed(bench, name, level, operands):
    """An element's time, where everything is in the cache."""
    function = getattr(np, name)
    ours, theirs = bench.best(lambda: own_mathematics(name, level, *operands), lambda: function(*operands), number=50)
    bench.row(f"{name}, v{level}: an element", ours / operands[0].size, ratio=ours / theirs, to="NumPy")
