"""Solve Burgers' equation by a network that knows it: `python examples/pinn_burgers.py [--output figure.png]`.

A physics-informed neural network (M. Raissi, P. Perdikaris & G. E. Karniadakis 2019, Journal of Computational Physics
378, 686-707): u(t, x) is a network, and the loss is the residual of u_t + u u_x = nu u_xx. Its derivatives are taken
inside of the loss, those by x twice, by forward mode (`ad.jvp`) of plain NumPy code; the training gradient goes through
them by reverse mode, and L-BFGS-B gets it. The solution, which steepens into a shock, is known by the transformation of
Cole and Hopf. Read in this order: solution, residual, loss, main. tests/test_examples_simulators.py holds the reference
and the derivatives against independent ones. It takes about a minute.
"""

import argparse
import os
import sys
import time

import numpy as np

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

VISCOSITY = (0.1 if QUICK else 0.02) / np.pi                               # the shock is some 2 VISCOSITY wide
LAYERS = (2, 16, 16, 1) if QUICK else (2, 20, 20, 20, 20, 1)
POINTS = 300 if QUICK else 2000                                            # where the residual is squared
ROUNDS = (300,) if QUICK else (700, 700, 700)                              # iterations; then points are drawn anew


# ---- the network ----

def network(weights, t, x):
    """A network with tanh layers, at points t and x of shape (n,)."""
    y = np.stack([2.0 * t - 1.0, x], axis=1)
    for W, b in weights[:-1]:
        y = np.tanh(y @ W + b)
    W, b = weights[-1]
    return (y @ W + b)[:, 0]


def solution(weights, t, x):
    """u(t, x), which is -sin(pi x) at first and 0 at both ends whatever the weights are."""
    return -np.sin(np.pi * x) + t * (1.0 - x**2) * network(weights, t, x)


def residual(weights, t, x, viscosity=VISCOSITY):
    """u_t + u u_x - nu u_xx at each point: the tangents of u along t and along x, and of that along x again."""
    along = np.ones_like(x)

    def by_x(x):
        return ad.jvp(lambda x: solution(weights, t, x), (x,), (along,))

    (u, u_x), (_, u_xx) = ad.jvp(by_x, (x,), (along,))
    u_t = ad.jvp(lambda t: solution(weights, t, x), (t,), (along,))[1]
    return u_t + u * u_x - viscosity * u_xx


def loss(weights, t, x):
    return np.mean(residual(weights, t, x) ** 2)


def beginning(rng, layers=LAYERS):
    """Glorot's normal weights, no shifts."""
    return [(rng.normal(0.0, np.sqrt(2.0 / (n + m)), (n, m)), np.zeros(m))
            for n, m in zip(layers[:-1], layers[1:], strict=True)]


def points(rng, weights=None):
    """Where the residual is taken: at random, and half of them where it is large (all at first)."""
    t, x = rng.uniform(0.0, 1.0, 10 * POINTS), rng.uniform(-1.0, 1.0, 10 * POINTS)
    if weights is None:
        return t[:POINTS], x[:POINTS]
    size = np.abs(residual(weights, t, x))
    large = rng.choice(size.size, POINTS // 2, replace=False, p=size / size.sum())
    chosen = np.concatenate([np.arange(POINTS - large.size), large])
    return t[chosen], x[chosen]


# ---- the reference ----

def cole_hopf(t, x, viscosity=VISCOSITY, nodes=200):
    """The exact solution (C. Basdevant et al. 1986, Computers & Fluids 14, 23-41): two integrals over a Gaussian, by
    Gauss-Hermite quadrature."""
    z, w = np.polynomial.hermite.hermgauss(nodes)
    y = x[..., None] - 2.0 * np.sqrt(viscosity * t[..., None]) * z
    exponent = -np.cos(np.pi * y) / (2.0 * np.pi * viscosity)
    f = w * np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return -np.sum(f * np.sin(np.pi * y), axis=-1) / np.sum(f, axis=-1)


# ---- what is printed and drawn ----

def errors(weights):
    """Relative rms error of the network on a grid, and the largest one."""
    t, x = (a.ravel() for a in np.meshgrid(np.linspace(0.0, 1.0, 51)[1:], np.linspace(-1.0, 1.0, 201)))
    exact = cole_hopf(t, x)
    off = solution(weights, t, x) - exact
    return float(np.sqrt(np.mean(off**2) / np.mean(exact**2))), float(np.max(np.abs(off)))


def derivatives(weights, t, x):
    """Errors of the derivatives in the residual, and of the training gradient along a direction, against central
    differences of plain values."""
    def u(t, x):
        return solution(weights, t, x)

    h = 1e-4
    t, x = np.clip(t, h, 1 - h), np.clip(x, -1 + h, 1 - h)
    judge = ((u(t + h, x) - u(t - h, x)) / (2 * h) + u(t, x) * (u(t, x + h) - u(t, x - h)) / (2 * h)
             - VISCOSITY * (u(t, x + h) - 2 * u(t, x) + u(t, x - h)) / h**2)
    inner = np.max(np.abs(residual(weights, t, x) - judge)) / np.max(np.abs(judge))
    rng, h = np.random.default_rng(9), 1e-5
    gradient = ad.grad(loss)(weights, t, x)
    v = [tuple(rng.normal(size=a.shape) for a in layer) for layer in weights]
    ahead, back = (loss([tuple(a + s * h * d for a, d in zip(layer, step, strict=True))
                         for layer, step in zip(weights, v, strict=True)], t, x) for s in (1, -1))
    along = sum(np.sum(g * d) for got, step in zip(gradient, v, strict=True) for g, d in zip(got, step, strict=True))
    return float(inner), float(abs(along / ((ahead - back) / (2 * h)) - 1.0))


def draw(path, weights, progress):
    """The solution, its error, sections at four times, the course of the loss."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplot_mosaic([["u", "error"], ["sections", "run"]], figsize=(10.4, 6.6),
                                        layout="constrained")
    T, X = np.meshgrid(np.linspace(0.0, 1.0, 101)[1:], np.linspace(-1.0, 1.0, 257))
    got = solution(weights, T.ravel(), X.ravel()).reshape(T.shape)
    for name, field, title in (("u", got, "u(t, x) by the network"), ("error", got - cole_hopf(T, X), "its error")):
        most = np.max(np.abs(field))
        image = panels[name].pcolormesh(T, X, field, cmap="RdBu_r", vmin=-most, vmax=most)
        figure.colorbar(image, ax=panels[name])
        panels[name].set(title=title, xlabel="t", ylabel="x")
    x = X[:, 0]
    for k, t in enumerate((0.1, 0.3, 0.5, 0.9)):
        at = np.full_like(x, t)
        panels["sections"].plot(x, cole_hopf(at, x), color="black", lw=2.5, alpha=0.3)
        panels["sections"].plot(x, solution(weights, at, x), color=f"C{k}", lw=1.0, label=f"t = {t}")
    panels["sections"].set(xlabel="x", ylabel="u (grey: exact)")
    panels["sections"].legend(frameon=False)
    ad.plot.convergence(progress, gradient=False, xlabel="iteration", ylabel="loss", ax=panels["run"])
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Burgers' equation by a physics-informed network.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin, rng = time.perf_counter(), np.random.default_rng(2)

    weights, progress = beginning(rng), optimize.Progress(display="none")
    t, x = points(rng)
    inner, along = derivatives(weights, t, x)
    print(f"{sum(a.size for layer in weights for a in layer)} weights, {POINTS} points, viscosity {VISCOSITY:.5f}\n"
          f"    against central differences: the residual {inner:.0e}, the training gradient along a direction "
          f"{along:.0e}\n\n     iterations        loss   rms error   largest   seconds")
    total = 0
    for iterations in ROUNDS:
        fit = optimize.minimize(loss, weights, args=(t, x), method="L-BFGS-B", callback=progress,
                                options={"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 50,
                                         "ftol": 0.0, "gtol": 1e-8})
        weights, total = fit.x, total + fit.nit
        error, largest = errors(weights)
        print(f"     {total:10d} {fit.fun:11.2e} {error:11.2e} {largest:9.2e} {time.perf_counter() - begin:9.1f}",
              flush=True)
        t, x = points(rng, weights)
    if output:
        draw(output, weights, progress)

    failed = [name for name, ok in {
        "the derivatives (1e-4, 1e-6)": inner < 1e-4 and along < 1e-6,
        "the solution (1 % rms; 5 % where few points are used)": error < (0.05 if QUICK else 0.01),
    }.items() if not ok]
    print(f"\nReference {'NOT reproduced: ' + ', '.join(failed) if failed else 'reproduced'}: relative rms error "
          f"{error:.1e} ({time.perf_counter() - begin:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
