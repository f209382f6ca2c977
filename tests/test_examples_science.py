"""The science of the examples: their forward models against closed forms and adaptive quadrature.

Owns the proof that examples/resistivity_sounding.py and examples/pumping_test.py compute what they claim, and
that both scripts run to the end and reproduce their references. The forward models are tested without fastad;
only the last section uses it. Knows nothing of how a tape works: see test_tape.py and its neighbours for that.
"""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j1, jn_zeros

from tests.example_scripts import DATA, ROOT, load, run

SPACINGS = np.array([3.0, 10.0, 40.0, 200.0, 1000.0, 10000.0])
MODELS = {                                                    # resistivities, thicknesses
    "three layers": ([99.06, 7.375, 834.75], [1.181, 332.83]),
    "resistive basement": ([1.0, 1e4], [10.0]),
    "conductive basement": ([1e4, 1.0], [10.0]),
    "buried resistor": ([10.0, 1e4, 1.0], [5.0, 50.0]),
    "buried conductor": ([1e3, 1.0, 1e4], [2.0, 20.0]),
    "five layers": ([100.0, 1.0, 1e4, 5.0, 500.0], [0.5, 1.0, 100.0, 1000.0]),
}


@pytest.fixture(scope="module")
def sounding():
    return load("resistivity_sounding")


@pytest.fixture(scope="module")
def pumping():
    return load("pumping_test")


def arrays(model):
    return tuple(np.array(part) for part in MODELS[model])


def by_filter(example, spacing, rho, thickness, **options):
    wave, weights = example.digital_filter(spacing, **options)
    return weights @ example.resistivity_transform(wave, rho, thickness)


def images(spacing, rho, thickness):
    """Two layers in closed form: every reflection of the electrode is an image, 2 n h below."""
    k = (rho[1] - rho[0]) / (rho[1] + rho[0])
    n = np.arange(1, 5000)
    return rho[0] * (1.0 + 2.0 * np.sum(k**n / (1.0 + (2 * n * thickness[0] / spacing[:, None]) ** 2) ** 1.5, axis=1))


def reflections(wave, rho, thickness):
    """The resistivity transform by Sunde's recursion of reflection coefficients instead of Pekeris' tanh."""
    R = np.zeros(wave.size)
    for i in reversed(range(len(thickness))):
        k = (rho[i + 1] - rho[i]) / (rho[i + 1] + rho[i])
        R = np.exp(-2 * wave * thickness[i]) * (k + R) / (1 + k * R)
    return rho[0] * (1 + R) / (1 - R)


def along_the_real_axis(s, rho, thickness):
    """rho_a by quad from zero to zero of J1, summed until exp(-2 l h) is below rounding: no acceleration."""
    def integrand(wave):
        return (reflections(np.array([wave]), rho, thickness)[0] - rho[0]) * j1(wave * s) * wave

    zeros = np.concatenate([[0.0], jn_zeros(1, int(19 * s / thickness[0] / np.pi) + 2)]) / s
    return rho[0] + s**2 * sum(quad(integrand, a, b, epsabs=1e-14 * rho[0] / s**2, epsrel=1e-11)[0]
                               for a, b in zip(zeros[:-1], zeros[1:], strict=True))


# ---- the resistivity transform ----

@pytest.mark.parametrize("model", MODELS)
def test_two_recursions_give_one_transform(sounding, model):
    wave = np.geomspace(1e-6, 1e2, 200)
    np.testing.assert_allclose(sounding.resistivity_transform(wave, *arrays(model)), reflections(wave, *arrays(model)),
                               rtol=1e-9)


def test_transform_tends_to_the_half_space_and_to_the_top_layer(sounding):
    ends = sounding.resistivity_transform(np.array([1e-12, 1e6]), *arrays("five layers"))
    np.testing.assert_allclose(ends, [500.0, 100.0], rtol=1e-6)


# ---- the Hankel transform ----

def test_half_space_is_its_own_apparent_resistivity(sounding):
    np.testing.assert_allclose(by_filter(sounding, SPACINGS, np.array([42.0]), np.array([])), 42.0, rtol=1e-10)


@pytest.mark.parametrize("contrast", [0.01, 0.1, 0.9, 1.1, 10.0, 100.0])
def test_two_layers_against_the_image_series(sounding, contrast):
    rho, thickness = np.array([20.0, 20.0 * contrast]), np.array([15.0])
    np.testing.assert_allclose(by_filter(sounding, SPACINGS, rho, thickness), images(SPACINGS, rho, thickness),
                               rtol=1e-9)


@pytest.mark.parametrize("model", ["three layers", "buried resistor", "buried conductor", "conductive basement"])
def test_filter_against_quadrature_along_the_real_axis(sounding, model):
    spacing = SPACINGS[:3]
    expected = [along_the_real_axis(s, *arrays(model)) for s in spacing]
    # This sum cancels from rho_1 down to rho_a, so its own error is a part of rho_1; the ray's is not.
    np.testing.assert_allclose(by_filter(sounding, spacing, *arrays(model)), expected, rtol=1e-8,
                               atol=2e-10 * MODELS[model][0][0])


@pytest.mark.parametrize("model", MODELS)
def test_filter_against_quadrature_along_a_ray(sounding, model):
    expected = [sounding.adaptive_rho_a(s, *arrays(model)) for s in SPACINGS]
    np.testing.assert_allclose(by_filter(sounding, SPACINGS, *arrays(model)), expected, rtol=1e-8)


def test_forty_layers_of_random_contrasts(sounding):
    rng = np.random.default_rng(1)
    rho, thickness = np.exp(rng.normal(3.0, 2.0, 40)), np.diff(np.geomspace(0.5, 5000.0, 39), prepend=0.0)
    expected = [sounding.adaptive_rho_a(s, rho, thickness) for s in SPACINGS]
    np.testing.assert_allclose(by_filter(sounding, SPACINGS, rho, thickness), expected, rtol=1e-8)


def test_a_coarse_filter_is_found_out(sounding):
    """The comparison has teeth: eight samples per decade alias, and miss by far more than 1e-6."""
    rho, thickness = np.array([20.0, 0.2]), np.array([15.0])
    error = by_filter(sounding, SPACINGS, rho, thickness, per_decade=8) / images(SPACINGS, rho, thickness) - 1.0
    assert np.max(np.abs(error)) > 1e-4


def test_length_scales_out(sounding):
    """All lengths times c leave rho_a alone, though the samples then fall elsewhere on the curve."""
    rho, thickness = arrays("five layers")
    for c in (1.037, 3.3):
        np.testing.assert_allclose(by_filter(sounding, c * SPACINGS, rho, c * thickness),
                                   by_filter(sounding, SPACINGS, rho, thickness), rtol=1e-8)


# ---- the Theis solution and the published numbers ----

def test_drawdown_against_the_well_function_by_quadrature(pumping):
    test = pumping.PumpingTest("", "d", 788.0, [(30.0, pumping.KORENDIJK_30_M), (90.0, pumping.KORENDIJK_90_M)], 7.0)
    T, S = 460.0, 1.8e-4
    u = test.radius**2 * S / (4 * T * test.time)
    well = np.array([quad(lambda v: np.exp(-np.exp(v)), np.log(a), np.log(60.0), epsrel=1e-12)[0] for a in u])
    np.testing.assert_allclose(test.drawdown(np.log([T, S])), 788.0 / (4 * np.pi * T) * well, rtol=1e-9)


def test_typed_numbers_equal_the_published_tables(sounding, pumping):
    if not DATA.is_dir():
        pytest.skip(f"the reference data are not beside the checkout ({DATA.name} of {DATA.parent.name})")
    table = np.loadtxt(DATA / "ves" / "constable1987_schlumberger.csv", delimiter=",")
    np.testing.assert_array_equal(table[:, [0, 2, 3]].T, [sounding.SPACING, sounding.LOG10_RHO_A, sounding.STD])
    table = np.loadtxt(DATA / "pumping" / "oude_korendijk.csv", delimiter=",")
    np.testing.assert_array_equal(table[table[:, 0] == 30.0, 1:], pumping.KORENDIJK_30_M)
    np.testing.assert_array_equal(table[table[:, 0] == 90.0, 1:], pumping.KORENDIJK_90_M)
    np.testing.assert_array_equal(np.loadtxt(DATA / "pumping" / "fetter_theis.csv", delimiter=","), pumping.FETTER)


# ---- with fastad: exact derivatives, and the scripts from start to end ----

def complex_step(f, x):
    return np.array([f(x + 1e-30j * row).imag for row in np.eye(x.size)]).T / 1e-30


def test_jacobian_of_the_layered_model(sounding):
    problem = sounding.Sounding(sounding.SPACING, sounding.LOG10_RHO_A, sounding.STD)
    jacobian = sounding.ad.jacobian(problem.residuals)
    for p in np.log(sounding.REFERENCE) + np.random.default_rng(2).normal(size=(5, 5)):
        expected = complex_step(problem.residuals, p)
        np.testing.assert_allclose(jacobian(p), expected, rtol=1e-9, atol=1e-11 * np.max(np.abs(expected)))


def test_jacobian_of_the_smooth_model_follows_lam(sounding):
    problem = sounding.Sounding(sounding.SPACING, sounding.LOG10_RHO_A, sounding.STD)
    inversion = sounding.SmoothInversion(problem, np.diff(np.geomspace(0.5, 5000.0, 39), prepend=0.0), lam=1e4)
    jacobian = sounding.ad.jacobian(inversion.residuals)
    m = np.random.default_rng(3).normal(3.0, 1.0, 40)
    data_rows = complex_step(inversion.misfit, m)
    for _ in range(6):
        J = jacobian(m)
        np.testing.assert_allclose(J[:24], data_rows, rtol=1e-9, atol=1e-11 * np.max(np.abs(data_rows)))
        np.testing.assert_allclose(J[24:], np.sqrt(inversion.lam) * np.diff(np.eye(40), axis=0) / np.log(10.0))
        inversion.lam *= 0.4


@pytest.mark.parametrize("name", ["resistivity_sounding", "pumping_test"])
def test_example_reproduces_its_reference(name, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    done = run([str(ROOT / "examples" / f"{name}.py")], "--output", str(picture))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Reference reproduced")
    assert len(done.stdout.splitlines()) <= 60
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 150_000


def test_example_without_matplotlib_says_what_to_install(tmp_path):
    script = ROOT / "examples" / "pumping_test.py"
    code = f"import sys, runpy; sys.modules['matplotlib'] = None; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = run(["-c", code], "--output", str(tmp_path / "picture.png"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fastad[plot]" in done.stdout
    assert not (tmp_path / "picture.png").exists()
