"""The simulators of the examples: heat, ice, populations, a neural equation, Burgers' equation by a network.

Owns: each gradient against central differences of the plain program, the references that the scripts are judged by
(Halfar's dome, the transformation of Cole and Hopf) against the equations that they solve, and that each script runs to
the end and recovers what it should.
Next: test_examples_science.py, test_examples_inversions.py (data with published answers), example_scripts.py.
"""
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import fastad as ad
from tests.example_scripts import ROOT, load, run

SCRIPTS = ["heat_conduction", "shallow_ice", "ode_fit", "neural_ode", "pinn_burgers"]


@pytest.fixture(scope="module")
def example(request):
    return load(request.param)


def of(name):
    """The example with this name as the argument `example`."""
    return pytest.mark.parametrize("example", [name], indirect=True, scope="module")


def differences(f, x, indices, h):
    """Central differences of fourth order, of f by some entries of the array x."""
    g = []
    for k in indices:
        e = np.zeros(x.size)
        e[k] = h
        e = e.reshape(x.shape)
        g.append((8 * (f(x + e) - f(x - e)) - f(x + 2 * e) + f(x - 2 * e)) / (12 * h))
    return np.array(g)


def agree(exact, judge, rtol=1e-7):
    np.testing.assert_allclose(exact, judge, rtol=0, atol=rtol * np.max(np.abs(judge)))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_recovers_what_it_should(name, tmp_path):
    pytest.importorskip("matplotlib", reason="the pictures need it (pip install 'fastad[plot]')")
    done = run([ROOT / "examples" / f"{name}.py"], "--output", str(tmp_path / "figure.png"))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "NOT" not in done.stdout


# ---- heat ----

@of("heat_conduction")
def test_heat_is_neither_made_nor_lost(example):
    """A warm layer in the middle of soil that is as cold as its surface: the heat is there until it reaches the top."""
    start = np.zeros(40)
    start[20] = 1.0
    history = example.temperatures(np.full(40, 5e-7), 0.02, np.zeros(11), 60.0, start)
    np.testing.assert_allclose(history.sum(axis=1), 1.0, rtol=1e-8)
    assert history[-1, 20] < 0.7 and history.min() > -1e-12


@of("heat_conduction")
def test_gradient_of_the_misfit_by_diffusivity(example):
    def misfit(k):
        history = example.temperatures(k, 0.05, 5 * np.sin(np.arange(13)), 1800.0, np.ones(8))
        return np.sum((history[:, [1, 4, 6]] - 0.3) ** 2)

    k = 5e-7 * np.linspace(0.5, 2.0, 8)
    agree(ad.grad(misfit)(k) * 1e-7, differences(misfit, k, range(8), 1e-9) * 1e-7)
    agree(ad.jacobian(ad.grad(misfit))(k), differences(ad.grad(misfit), k, range(8), 1e-9).T, 1e-6)


# ---- ice ----

@of("shallow_ice")
def test_the_dome_spreads_as_the_equation_says_and_keeps_its_volume(example):
    """Halfar's thickness and the shallow-ice equation, by differences of the formula in r and in t."""
    softness = 2.0 * example.RATE_FACTOR * example.WEIGHT**3 / 5.0
    r, h, t = np.linspace(1e3, 12e3, 23), 5.0, 30.0

    def thickness(r, t=t):
        return example.halfar(r, t, **example.DOME)[0]

    def flux(r):
        slope = (thickness(r + h) - thickness(r - h)) / (2 * h)
        return -softness * r * thickness(r) ** 5 * np.abs(slope) ** 2 * slope

    change = (thickness(r, t + 0.01) - thickness(r, t - 0.01)) / 0.02
    np.testing.assert_allclose(change, -(flux(r + h) - flux(r - h)) / (2 * h) / r, rtol=1e-4, atol=1e-5)
    r = np.linspace(0.0, 25e3, 100_001)
    volume = [np.trapezoid(r * thickness(r, t), r) for t in (0.0, 200.0)]
    assert volume[1] == pytest.approx(volume[0], rel=1e-5)


@of("shallow_ice")
def test_gradient_by_the_bed(example):
    glacier = example.Glacier(17, 12.0, np.random.default_rng(0))
    assert 15 < glacier.ice.sum() < 120 and glacier.steps > 3
    m = 0.3 * np.random.default_rng(1).normal(size=glacier.bed.shape)
    exact = ad.grad(glacier.misfit)(m)
    some = np.flatnonzero(glacier.ice)[::3]
    agree(exact.ravel()[some], differences(glacier.misfit, m, some, 1e-4), 1e-7)
    assert np.all(exact[~glacier.ice] == 0.0)


@of("shallow_ice")
def test_derivative_by_the_rate_factor(example):
    r, dx, dt, _ = example.dome(16, 50.0)
    start = example.halfar(r, 0.0, **example.DOME)[0]

    def thickness(factor):
        return example.flow(start, 0.0, dx, dt, 20, factor[0] * example.RATE_FACTOR)

    one = np.ones(1)
    agree(ad.jacobian(thickness)(one)[..., 0], differences(thickness, one, [0], 1e-3)[0], 1e-8)


# ---- populations, a neural equation ----

@of("ode_fit")
def test_populations_against_scipy(example):
    p = example.PUBLISHED
    exact = solve_ivp(lambda t, y: example.rates(y, *p[:4]), (0, 20), p[4:], "DOP853", np.arange(21), rtol=1e-11,
                      atol=1e-11).y
    np.testing.assert_allclose(example.populations(np.array([20]), *p), exact, rtol=1e-5)


@of("ode_fit")
def test_jacobian_of_the_populations(example):
    def model(x):
        return example.logarithms(np.array([8]), *np.exp(x))

    x = np.log(example.PUBLISHED)
    agree(ad.jacobian(model)(x), differences(model, x, range(6), 1e-3).T, 1e-8)
    assert len(ad.record(model, x)) < 60, "the loop is stored once"


@of("neural_ode")
def test_gradient_by_the_weights(example):
    rng = np.random.default_rng(0)
    weights, starts, paths = example.beginning(rng), rng.normal(size=(3, 2)), rng.normal(size=(7, 3, 2))
    gradient = ad.grad(example.loss)(weights, starts, paths)
    for name, w in weights.items():
        def loss(w, name=name):
            return example.loss({**weights, name: w}, starts, paths)
        agree(gradient[name].ravel(), differences(loss, w, range(w.size), 1e-4))


# ---- Burgers ----

@of("pinn_burgers")
def test_the_reference_solves_the_equation(example):
    t, x = np.repeat([0.05, 0.3, 0.8], 9), np.tile(np.linspace(-0.97, 0.95, 9), 3)
    nu, h = 0.05 / np.pi, 1e-3

    def u(t, x):
        return example.cole_hopf(t, x, nu)

    u_x = (8 * (u(t, x + h) - u(t, x - h)) - u(t, x + 2 * h) + u(t, x - 2 * h)) / (12 * h)
    u_xx = (16 * (u(t, x + h) + u(t, x - h)) - u(t, x + 2 * h) - u(t, x - 2 * h) - 30 * u(t, x)) / (12 * h**2)
    u_t = (8 * (u(t + h, x) - u(t - h, x)) - u(t + 2 * h, x) + u(t - 2 * h, x)) / (12 * h)
    np.testing.assert_allclose(u_t + u(t, x) * u_x - nu * u_xx, 0.0, atol=1e-4 * np.max(np.abs(u_t)))
    np.testing.assert_allclose(u(np.full(5, 1e-9), x[:5]), -np.sin(np.pi * x[:5]), atol=1e-6)
    np.testing.assert_allclose(u(t, np.ones_like(t)), 0.0, atol=1e-8)


def by_gradients(example, weights, t, x, viscosity):
    """The residual by reverse mode inside of reverse mode, one point after the other: sum(u) by x, and again."""
    def u(t, x):
        return example.solution(weights, np.array([t]), np.array([x]))[0]

    u_x = ad.grad(u, argnums=1)
    u_xx = ad.grad(lambda t, x: u_x(t, x), argnums=1)
    u_t = ad.grad(u)
    return np.stack([u_t(a, b) + u(a, b) * u_x(a, b) - viscosity * u_xx(a, b) for a, b in zip(t, x, strict=True)])


@of("pinn_burgers")
def test_residual_and_training_gradient(example):
    rng = np.random.default_rng(0)
    weights = example.beginning(rng, (2, 5, 4, 1))
    t, x, nu = rng.uniform(0.1, 0.9, 4), rng.uniform(-0.9, 0.9, 4), 0.1
    found = example.residual(weights, t, x, nu)
    agree(found, by_gradients(example, weights, t, x, nu), 1e-12)

    def loss(weights):
        return np.mean(example.residual(weights, t, x, nu) ** 2)

    def other(weights):
        return np.mean(by_gradients(example, weights, t, x, nu) ** 2)

    gradient, again = ad.grad(loss)(weights), ad.grad(other)(weights)
    for i, layer in enumerate(weights):
        for j, w in enumerate(layer):
            def by_this(w, i=i, j=j):
                changed = [list(layer) for layer in weights]
                changed[i][j] = w
                return loss(changed)
            agree(gradient[i][j].ravel(), differences(by_this, w, range(w.size), 1e-3), 1e-6)
            np.testing.assert_allclose(again[i][j], gradient[i][j], rtol=1e-9, atol=1e-12)
