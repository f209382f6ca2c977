"""Learn the equation of a damped pendulum from what it did: `python examples/neural_ode.py [--output figure.png]`.

A neural ordinary differential equation (R. T. Q. Chen et al. 2018, Advances in Neural Information Processing Systems
31): a small network is the right-hand side, Runge-Kutta steps in `ad.scan` integrate it from several starts at once,
and L-BFGS-B trains it on noisy angles and velocities with the exact gradient through all steps. The training covers
short spans first and longer ones later, since a bad network leads a long path astray. What was learnt is tested on
starts that it never saw. Read in this order: network, integrate, loss, train, main.
tests/test_examples_simulators.py holds the gradient against differences; ode_fit.py fits an equation that is known.
"""

import argparse
import os
import sys
import time

import numpy as np
from scipy.integrate import solve_ivp

import fastad as ad
from fastad import optimize

QUICK = os.environ.get("FASTAD_EXAMPLE_QUICK") == "1"

HIDDEN = 16
STEP, STEPS = 0.1, 60                                                      # s; readings at each step
NOISE = 0.02                                                               # rad, rad/s
DAMPING, STIFFNESS = 0.25, 4.0                                             # 1/s, 1/s2


# ---- the model ----

def network(y, weights):
    """What dy/dt is, by a network with one hidden layer; y has a row for each path."""
    return np.tanh(y @ weights["in"] + weights["shift"]) @ weights["out"] + weights["offset"]


def integrate(f, start, steps, h=STEP):
    """The paths from `start`, shape (paths, 2), by classical Runge-Kutta steps: shape (steps, paths, 2)."""
    def step(y, _):
        k1 = f(y)
        k2 = f(y + 0.5 * h * k1)
        k3 = f(y + 0.5 * h * k2)
        k4 = f(y + h * k3)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        return y, y

    return ad.scan(step, start, length=steps)[1]


def loss(weights, starts, paths, decay=1e-6):
    """Mean squared difference in units of the noise, of all steps of `paths`, and a little of the weights' size."""
    got = integrate(lambda y: network(y, weights), starts, len(paths))
    size = np.sum(weights["in"] ** 2) + np.sum(weights["out"] ** 2)
    return np.mean((got - paths) ** 2) / NOISE**2 + decay / NOISE**2 * size


def beginning(rng):
    """Weights to start from: small, so that nothing moves much."""
    return {"in": rng.normal(0.0, 0.7, (2, HIDDEN)), "shift": rng.normal(0.0, 0.5, HIDDEN),
            "out": rng.normal(0.0, 0.1, (HIDDEN, 2)), "offset": np.zeros(2)}


def train(starts, paths, rng, progress):
    """Weights from short spans to long ones.  A long path is cut into pieces, which begin where it was measured; the
    last rounds fit whole paths from their starts."""
    weights = beginning(rng)
    for span, iterations in ((5, 60), (20, 60), (STEPS, 60)) if QUICK else ((5, 150), (20, 200), (STEPS, 400)):
        whole = np.concatenate([starts[None], paths])
        pieces = range(0, STEPS, span)
        begins = np.concatenate([whole[k] for k in pieces])
        parts = np.concatenate([whole[k + 1:k + span + 1] for k in pieces], axis=1)
        fit = optimize.minimize(loss, weights, args=(begins, parts), method="L-BFGS-B", callback=progress,
                                options={"maxiter": iterations})
        weights = fit.x
        print(f"     {span:3d} steps, {begins.shape[0]:3d} paths: {fit.nit:4d} iterations, loss {fit.fun:8.3f}",
              flush=True)
    return weights


# ---- the truth, what is printed and drawn ----

def pendulum(y):
    """A damped pendulum: what the network does not know."""
    return np.stack([y[..., 1], -STIFFNESS * np.sin(y[..., 0]) - DAMPING * y[..., 1]], axis=-1)


def exact(starts, steps):
    """Paths of the pendulum by SciPy, shape (steps, paths, 2)."""
    t = STEP * np.arange(1, steps + 1)
    return np.stack([solve_ivp(lambda t, y: pendulum(y), (0, t[-1]), y, "DOP853", t, rtol=1e-10, atol=1e-10).y.T
                     for y in starts], axis=1)


def path_error(weights, starts, truth):
    """Root mean square difference between the paths by the network and the true ones."""
    return float(np.sqrt(np.mean((integrate(lambda y: network(y, weights), starts, len(truth)) - truth) ** 2)))


def derivatives(weights, starts, paths):
    """Error of the exact gradient along a direction against central differences."""
    gradient, rng = ad.grad(loss)(weights, starts, paths), np.random.default_rng(5)
    v, h = {name: rng.normal(size=w.shape) for name, w in weights.items()}, 1e-6
    ahead, back = (loss({name: w + s * h * v[name] for name, w in weights.items()}, starts, paths) for s in (1, -1))
    return abs(sum(np.sum(gradient[name] * v[name]) for name in v) / ((ahead - back) / (2 * h)) - 1.0)


def timed(f):
    begin = time.perf_counter()
    f()
    return time.perf_counter() - begin


def draw(path, weights, starts, paths, progress):
    """Angles, the phase plane with the field that was learnt, the course of the loss."""
    try:
        import matplotlib
    except ImportError:
        print("\nNo picture: matplotlib is not installed (pip install 'fastad[plot]').")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(13.0, 4.0), layout="constrained")
    t = STEP * np.arange(1, STEPS + 1)
    got = integrate(lambda y: network(y, weights), starts, STEPS)
    for k in range(starts.shape[0]):
        panels[0].plot(t, paths[:, k, 0], ".", color=f"C{k}", ms=3)
        panels[0].plot(t, got[:, k, 0], color=f"C{k}", lw=1.0)
    panels[0].set(xlabel="time (s)", ylabel="angle (rad)", title="training data and paths learnt")
    grid = np.stack(np.meshgrid(np.linspace(-2.2, 2.2, 15), np.linspace(-4, 4, 15)), axis=-1)
    for field, colour, label in ((pendulum(grid), "black", "true"), (network(grid, weights), "tab:red", "learnt")):
        panels[1].quiver(grid[..., 0], grid[..., 1], field[..., 0], field[..., 1], color=colour, alpha=0.6, label=label)
    panels[1].plot(got[..., 0], got[..., 1], color="gray", lw=0.6)
    panels[1].set(xlabel="angle (rad)", ylabel="velocity (rad/s)", title="the equation, true and learnt")
    panels[1].legend(loc="upper right")
    ad.plot.convergence(progress, gradient=False, xlabel="iteration, all spans", ylabel="loss", ax=panels[2])
    figure.savefig(path, dpi=90, metadata={"Software": None})
    plt.close(figure)
    print(f"\nPicture: {path}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description="The equation of a pendulum, learnt by a network.")
    parser.add_argument("--output", help="where a picture goes (none without it)")
    output = parser.parse_args(arguments).output
    begin, rng = time.perf_counter(), np.random.default_rng(1)

    starts = np.array([[2.0, 0.0], [1.2, 2.0], [0.4, -3.0], [-1.6, 1.0], [-0.8, 0.0], [0.0, 1.5]])
    paths = exact(starts, STEPS)
    noisy = paths + rng.normal(0.0, NOISE, paths.shape)
    count = sum(w.size for w in beginning(rng).values())
    print(f"{count} weights from {starts.shape[0]} paths of {STEPS} steps, noise {NOISE:g}")
    progress = optimize.Progress(display="none")
    weights = train(starts, noisy, rng, progress)

    unseen = np.array([[1.7, 0.5], [-1.0, -1.5], [0.6, 2.0]])
    truth = exact(unseen, STEPS)
    before, after = path_error(beginning(rng), unseen, truth), path_error(weights, unseen, truth)
    fitted = path_error(weights, starts, paths)
    derivative = derivatives(beginning(rng), starts, noisy)
    value, gradient = (lambda: loss(weights, starts, noisy)), ad.value_and_grad(loss)
    for _ in range(8):
        gradient(weights, starts, noisy)
    times = [1e3 * min(timed(f) for _ in range(5)) for f in (value, lambda: gradient(weights, starts, noisy))]
    print(f"\n     rms error of the training paths, without noise    {fitted:8.4f}\n"
          f"     rms error from starts that it never saw           {after:8.4f}   (before training {before:.2f})\n"
          f"     loss in NumPy {times[0]:.1f} ms, with its exact gradient {times[1]:.1f} ms; along a direction it "
          f"differs from central differences by {derivative:.0e}")
    if output:
        draw(output, weights, starts, noisy, progress)

    failed = [name for name, ok in {
        "the training paths (the noise)": fitted < NOISE,
        "paths from other starts (2.5 times the noise)": after < 2.5 * NOISE,
        "the exact gradient (1e-6)": derivative < 1e-6,
    }.items() if not ok]
    print(f"\nPendulum {'NOT learnt: ' + ', '.join(failed) if failed else 'learnt'}"
          f" ({time.perf_counter() - begin:.1f} s).")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
