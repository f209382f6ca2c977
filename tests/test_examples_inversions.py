"""Earthquake, basin and Mauna Loa of examples/: their forward models against independent ones, their answers.

Owns the proof that examples/earthquake_location.py traces rays and that examples/gravity_basin.py integrates, that
their errors of the mean are what they claim, and that both reproduce their references.
Next: test_examples_science.py (sounding, pumping tests), example_scripts.py (how they are loaded and run).
"""
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from scipy.integrate import dblquad, quad

import fastad as ad
from tests.example_scripts import DATA, ROOT, load, run

HYPOCENTRES = [(3.6, 37.0, 45.1), (10.0, -20.0, 8.3), (-60.0, 100.0, 17.0), (14.1, 9.9, 60.0), (0.0, 0.0, 90.0)]


@pytest.fixture(scope="module")
def quake():
    return load("earthquake_location")


@pytest.fixture
def mauna_loa():
    return load("gp_mauna_loa")


@pytest.fixture(scope="module")
def basin():
    return load("gravity_basin")


def needs_data():
    if not DATA.is_dir():
        pytest.skip(f"the reference data are not beside the checkout ({DATA.name} of {DATA.parent.name})")


# ---- rays ----

def shot(quake, distance, station, z):
    """Travel time of the first arrival, layer by layer: rays by bisection, head waves by Snell's law."""
    def slabs(upper, lower):
        edges = [-np.inf, *quake.TOP[1:], np.inf]
        pieces = [(min(lower, edges[i + 1]) - max(upper, edges[i]), v) for i, v in enumerate(quake.VELOCITY)]
        return [(h, v) for h, v in pieces if h > 0]

    up = slabs(station, z)
    p_max = 1 / max(v for _, v in up)

    def reach(p):
        return sum(h * v * p / np.sqrt(1 - (v * p) ** 2) for h, v in up)

    low, high = 0.0, p_max
    for _ in range(200):
        p = (low + high) / 2
        low, high = (p, high) if reach(p) < distance else (low, p)
    times = [sum(h / (v * np.sqrt(1 - (v * low) ** 2)) for h, v in up)]
    for top, v_below in zip(quake.TOP, quake.VELOCITY, strict=True):
        if top > z:
            legs = slabs(station, top) + slabs(z, top)
            sines = [v / v_below for _, v in legs]
            run_out = sum(h * s / np.sqrt(1 - s * s) for (h, _), s in zip(legs, sines, strict=True))
            if run_out < distance:
                legs_time = sum(h / (v * np.sqrt(1 - s * s)) for (h, v), s in zip(legs, sines, strict=True))
                times.append(legs_time + (distance - run_out) / v_below)
    return min(times)


@pytest.mark.parametrize("hypocentre", HYPOCENTRES)
def test_rays_against_bisection(quake, hypocentre):
    x, y, z = hypocentre
    expected = [shot(quake, np.hypot(e - x, n - y), d, z)
                for e, n, d in zip(quake.EAST, quake.NORTH, quake.DEPTH, strict=True)]
    # Near the horizontal, bisection of the ray parameter itself is what limits.
    np.testing.assert_allclose(quake.travel_times(x, y, z), expected, rtol=1e-7)


def test_uniform_earth_has_straight_rays(quake, monkeypatch):
    monkeypatch.setattr(quake, "VELOCITY", np.full(9, 6.0))
    d = np.sqrt((quake.EAST - 5.0) ** 2 + (quake.NORTH + 3.0) ** 2 + (quake.DEPTH - 30.0) ** 2)
    np.testing.assert_allclose(quake.direct(np.hypot(quake.EAST - 5.0, quake.NORTH + 3.0),
                                            quake.crossed(quake.DEPTH, np.full(35, 30.0))), d / 6.0, rtol=1e-13)


@pytest.mark.parametrize("hypocentre", HYPOCENTRES)
def test_jacobian_of_the_rays(quake, hypocentre):
    m, h = np.array([*hypocentre, 29.0]), 1e-3
    expected = np.stack([8 * (quake.residuals(m + d) - quake.residuals(m - d)) - quake.residuals(m + 2 * d)
                         + quake.residuals(m - 2 * d) for d in h * np.eye(4)], axis=1) / (12 * h)
    J = ad.jacobian(quake.residuals)(m)
    np.testing.assert_allclose(J, expected, atol=2e-9)
    slowness = np.hypot(J[:, 0], J[:, 1])                            # no wave is slower or faster than its layers
    assert np.all(slowness <= 1 / 5.3 + 1e-12) and np.all(J[:, 3] == 1.0)


def test_travel_times_against_those_of_nonlinloc(quake):
    """Its times come from finite differences on a grid, which makes them late by up to 0.06 s."""
    needs_data()
    table = np.genfromtxt(DATA / "quakes" / "event_172935_picks.csv", delimiter=",", skip_header=2,
                          usecols=range(1, 9))
    np.testing.assert_array_equal(table[:, :4].T, [quake.EAST, quake.NORTH, quake.DEPTH, quake.ARRIVAL])
    difference = quake.travel_times(*quake.CATALOGUE[:3]) - table[:, 5]
    assert np.all(difference < 0.0) and np.all(difference > -0.06)


# ---- the hypocentre ----

def test_best_hypocentre_against_a_fit_without_fastad(quake, capsys):
    m = quake.locate().x
    capsys.readouterr()
    there = scipy.optimize.least_squares(quake.residuals, m + [0.5, -0.5, 0.6, 0.05], jac="3-point", loss="soft_l1",
                                         f_scale=0.2, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    errors = np.sqrt(np.diag(quake.covariance(ad.jacobian(quake.residuals)(m), quake.residuals(m))))
    assert np.all(np.abs(m - there.x) < 1e-3 * errors), (m, there.x)
    assert np.all(np.abs(m[:3] - quake.REFERENCE) < 0.006)           # as it was printed: two decimals


def test_standard_errors_against_the_jackknife(quake):
    """Each pick left out in turn: two estimates of one spread agree to what 35 picks allow."""
    best = np.array([3.608, 37.013, 45.078, 29.123])
    cov = quake.covariance(ad.jacobian(quake.residuals)(best), quake.residuals(best))

    def kept(m, keep):
        return quake.residuals(m) * keep

    fits = [ad.optimize.least_squares(kept, best, args=(np.arange(35) != i,), loss="soft_l1", f_scale=0.2).x
            for i in range(35)]
    spread = np.sqrt(34 * np.var(fits, axis=0))
    ratio = np.sqrt(np.diag(cov)) / spread
    assert np.all(ratio > 0.6) and np.all(ratio < 1.4), ratio


def test_ellipsoid_axes_rebuild_their_covariance(quake):
    a = np.random.default_rng(0).normal(size=(3, 3))
    cov, rebuilt = a @ a.T, np.zeros((3, 3))
    for length, azimuth, plunge in quake.axes_of(np.pad(cov, (0, 1)), level=1.0):
        azimuth, plunge = np.radians([azimuth, plunge])
        axis = np.array([np.cos(plunge) * np.sin(azimuth), np.cos(plunge) * np.cos(azimuth), np.sin(plunge)])
        rebuilt += length**2 * np.outer(axis, axis)
        assert 0 <= plunge <= np.pi / 2
    np.testing.assert_allclose(rebuilt, cov, rtol=1e-12)


# ---- the attraction of a basin ----

def test_quadrature_against_a_double_integral(basin):
    """gz = 2 G int int drho z / ((x - x0)**2 + z**2) dx dz, with nothing done in closed form."""
    depth = np.where(np.arange(101) == 40, 900.0, 0.0)
    for at in (40, 41, 47, 80):
        u = basin.X[40] - basin.X[at]
        exact = dblquad(lambda x, z: basin.contrast(z) * z / (x**2 + z**2), 0.0, 900.0, u - 50.8, u + 50.8,
                        epsabs=1e-6, epsrel=1e-9)[0]
        assert abs(basin.gravity(depth)[at] - 2e5 * basin.NEWTON * exact) < 1e-5


def test_a_wide_slab_tends_to_bouguer(basin, monkeypatch):
    """Of constant density and as wide as the profile: the middle sees the plate less its missing ends."""
    monkeypatch.setattr(basin, "contrast", lambda z: -400.0 + 0.0 * z)
    middle, edge = basin.X[50], basin.X[50] + 0.5 * basin.SPACING
    missing = 2 * quad(lambda z: np.pi / 2 - np.arctan(edge / z), 0.0, 500.0)[0]
    assert middle == pytest.approx(5080.0)
    expected = -400.0 * 2e5 * basin.NEWTON * (np.pi * 500.0 - missing)
    assert basin.gravity(np.full(101, 500.0))[50] == pytest.approx(expected, rel=1e-6)


def test_jacobian_of_the_basin_against_its_integrand(basin):
    """By depth the integral has its integrand at the floor for a derivative (Leibniz)."""
    depth = basin.PUBLISHED + 100.0
    angle = np.arctan2(basin.SPACING * depth, (basin.X[:, None] - basin.X) ** 2 - 0.25 * basin.SPACING**2 + depth**2)
    closed = 2e5 * basin.NEWTON * angle * basin.contrast(depth)
    J = ad.jacobian(lambda d: basin.gravity(d, *basin.quadrature(40)))(depth)
    np.testing.assert_allclose(J, closed, rtol=1e-8, atol=1e-11)


def test_depths_and_errors_against_a_fit_without_fastad(basin, capsys):
    lam, start = 0.1, np.interp(basin.X, [0, 3500, 5500, 8500, 10160], [50, 200, 2800, 100, 20])
    slope = np.sqrt(lam) * np.diff(np.eye(101), axis=0) / basin.SPACING

    def closed(d, _):
        angle = np.arctan2(basin.SPACING * d, (basin.X[:, None] - basin.X) ** 2 - 0.25 * basin.SPACING**2 + d**2)
        return np.concatenate([2e5 * basin.NEWTON * angle * basin.contrast(d), slope])

    there = scipy.optimize.least_squares(basin.residuals, start, jac=closed, bounds=(0, 1e4), args=(lam,), ftol=1e-12)
    jacobian = ad.jacobian(basin.residuals)
    ((_, depth),) = basin.cool(start, [lam], jacobian)
    capsys.readouterr()
    std, resolved = basin.uncertainty(jacobian, depth, lam)
    assert np.max(np.abs(depth - there.x) / std) < 0.03
    inverse, r = np.linalg.inv(there.jac.T @ there.jac), there.fun[:101]
    trace = 101 - np.sum(inverse * (slope.T @ slope))
    np.testing.assert_allclose(resolved, trace, rtol=1e-2)
    np.testing.assert_allclose(std, np.sqrt(np.diag(inverse) * (r @ r) / (101 - trace)), rtol=1e-2)


def test_published_depth_with_a_sloping_floor_fits_as_published(basin, monkeypatch):
    """0.844 mGal is what narrow columns under a floor interpolated between the points give."""
    fine = 10
    x = (np.arange(100 * fine) + 0.5) * basin.SPACING / fine
    depth, width = np.interp(x, basin.X, basin.PUBLISHED), basin.SPACING / fine
    t, w = basin.quadrature(12)
    g = sum(np.arctan2(width * s * depth, (basin.X[:, None] - x) ** 2 - 0.25 * width**2 + (s * depth) ** 2)
            @ (v * depth * basin.contrast(s * depth)) for s, v in zip(t, w, strict=True))
    assert basin.rms(2e5 * basin.NEWTON * g - basin.GRAVITY) == pytest.approx(0.8445, abs=5e-4)


def test_typed_gravity_equals_the_published_table(basin):
    needs_data()
    table = np.loadtxt(DATA / "gravity" / "san_jacinto_graben.csv", delimiter=",")
    np.testing.assert_allclose(table.T, [basin.X, basin.GRAVITY, basin.PUBLISHED], atol=1e-12)


def test_corner_of_a_bent_line(basin, monkeypatch):
    """Two straight lines in the logarithms: the corner is where they meet."""
    along = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 1.6])
    slopes, misfit = np.exp(along), np.exp(np.maximum(3.0 - 10.0 * along, 0.0) - 0.1 * along)
    monkeypatch.setattr(basin, "gravity", lambda d: basin.GRAVITY + misfit[int(np.argmin(np.abs(slopes - d[1])))])
    assert basin.corner([(1.0, np.array([0.0, s])) for s in slopes]) == 3


# ---- Mauna Loa ----

def test_likelihood_against_scipy_stats(mauna_loa):
    """With the noise on the diagonal, as the density of a multivariate normal."""
    keep = slice(0, None, 9)
    mauna_loa.TIME, mauna_loa.Y = mauna_loa.TIME[keep], mauna_loa.Y[keep]
    for p in (mauna_loa.BEGIN, mauna_loa.PUBLISHED):
        K = mauna_loa.kernel(p, mauna_loa.TIME, mauna_loa.TIME) + np.exp(2 * p[10]) * np.eye(mauna_loa.TIME.size)
        want = scipy.stats.multivariate_normal(np.zeros(len(K)), K).logpdf(mauna_loa.Y)
        assert mauna_loa.objective(p) == pytest.approx(-want, rel=1e-10)
        np.testing.assert_allclose(ad.grad(mauna_loa.objective)(p), mauna_loa.by_traces(p), rtol=1e-7, atol=1e-8)


def test_record_of_mauna_loa_is_the_published_one(mauna_loa):
    needs_data()
    table = np.loadtxt(DATA / "timeseries" / "co2_monthly.csv", delimiter=",")
    np.testing.assert_array_equal(table.T, [mauna_loa.TIME, mauna_loa.CO2])


# ---- the scripts from start to end ----

@pytest.mark.parametrize("name", ["earthquake_location", "gravity_basin", "gp_mauna_loa"])
def test_example_reproduces_its_reference(name, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    done = run([str(ROOT / "examples" / f"{name}.py")], "--output", str(picture))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Reference reproduced")
    assert len(done.stdout.splitlines()) <= 60
    assert "audits found nothing" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 150_000
