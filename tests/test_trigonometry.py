"""sin and cos of our own: at most 1 ulp from mpmath anywhere, one set of bits, NumPy's floating-point exceptions."""
import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest

import fastad as ad

RNG = np.random.default_rng(5)
EDGES = np.array([0.0, -0.0, 5e-324, -5e-324, 2.2e-308, 1e-300, 2.0**-28, 2.0**-27, -2.0**-27, 0.5, 1.0, 2.0**18,
                  2.0**19 - 1e-10, 2.0**19, 2.0**19 + 1, 2.0**20, 1e15, 1e22, -1e22, 1.7e308, -1.7e308])
NEAR = np.rint(RNG.uniform(-3e5, 3e5, 1000)) * (np.pi / 2)          # zeros and extrema: what is left is tiny
WORST = np.array([6381956970095103.0 * 2.0**797, 5.319372648326541e255, 0.7853981633974483, 2.356194490192345,
                  10.995574287564276, 205887.4161163955, 411774.8322327910])
POINTS = np.concatenate([EDGES, NEAR, WORST, RNG.uniform(-10.0, 10.0, 2000), RNG.uniform(-5e5, 5e5, 1000),
                         np.ldexp(RNG.uniform(1, 2, 1000), RNG.integers(-1070, 1023, 1000))])


def swept(name, x):
    """The function in a sweep of a tape."""
    f = getattr(np, name)
    tape = ad.record(lambda v: f(v), np.ones_like(x))
    tape.compile()
    return tape(x)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_errors_stay_below_one_ulp(name):
    got = swept(name, POINTS)
    with mpmath.workdps(400):
        exact = [getattr(mpmath, name)(mpmath.mpf(float(v))) for v in POINTS]
        ulps = [float(abs(mpmath.mpf(float(y)) - e) / mpmath.mpf(float(np.spacing(abs(float(e))))))
                for y, e in zip(got, exact, strict=True)]
    ulps, small = np.array(ulps), np.abs(POINTS) < 2.0**19
    assert small.sum() > 3000
    assert ulps[small].max() <= 1.0, POINTS[small][np.argmax(ulps[small])]
    assert ulps[~small].max() <= 8.0, POINTS[~small][np.argmax(ulps[~small])]    # the C library's own, and NumPy's


def test_signs_infinities_and_nan():
    assert np.signbit(swept("sin", np.array([-0.0, 0.0]))).tolist() == [True, False]
    assert swept("cos", np.array([0.0, -0.0, 1e-200])).tolist() == [1.0, 1.0, 1.0]
    tape = ad.record(lambda v: np.sin(v) + np.cos(v), np.ones(4))
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(tape(np.array([np.inf, -np.inf, np.nan, np.inf]))).all()
    quiet = np.array([np.nan, 1e300, 5e-324, 0.0])
    with np.errstate(all="raise"):                                   # neither NaN nor tiny or huge numbers raise
        tape(quiet)


def test_the_bits_do_not_depend_on_neighbours_strides_or_numbers():
    x = RNG.uniform(-20.0, 20.0, 1000)
    for name in ("sin", "cos"):
        whole = swept(name, x)
        function = getattr(np, name)
        one = ad.record(lambda v, f=function: f(v), 1.0)
        assert [one(float(v)) for v in x[:50]] == whole[:50].tolist()
        for start, stop, step in ((3, 900, 1), (0, 1000, 7), (999, None, -1)):
            np.testing.assert_array_equal(swept(name, x[start:stop:step].copy()), whole[start:stop:step])
            part = slice(start, stop, step)
            strided = ad.record(lambda v, f=function, s=part: f(v[s]), x)
            np.testing.assert_array_equal(strided(x), whole[start:stop:step])


def test_every_instruction_set_gives_the_same_bits():
    script = ("import numpy as np, fastad as ad, hashlib; x = np.linspace(-1e5, 1e5, 5001);"
              "t = ad.record(lambda v: (np.sin(v), np.cos(v)), x);"
              "print(hashlib.sha256(b''.join(y.tobytes() for y in t(x))).hexdigest())")
    said = {subprocess.run([sys.executable, "-c", script], env={**os.environ, "FASTAD_CPU": level}, timeout=60,
                           capture_output=True, text=True, check=True).stdout for level in ("v2", "v3", "v4")}
    assert len(said) == 1


def test_nothing_but_the_tape_sees_them():
    """NumPy itself is as it was."""
    x = RNG.uniform(-10.0, 10.0, 100)
    before = np.sin(x)
    ad.grad(lambda v: np.sum(np.sin(v)))(x)
    np.testing.assert_array_equal(np.sin(x), before)
    np.testing.assert_allclose(swept("sin", x), before, rtol=4e-16, atol=1e-18)
