"""The bridge against plain SciPy with derivatives by hand: methods x bounds x fixed variables x trees x constraints.

Owns: random problems whose answer is known, and runs of both with the same method and options.  What the bridge does
besides filling in derivatives (trees, fixed variables) is undone by hand on SciPy's side, so both walk the same path.
Next: test_optimize_bridge.py.
"""
import warnings

import numpy as np
import pytest
import scipy.optimize

from fastad import optimize, trees
from fastad.optimize.methods import BOUNDED, CONSTRAINED, METHODS

KNOWN = [m for m in METHODS if m in {k.lower() for k in scipy.optimize._minimize.MINIMIZE_METHODS}]
SEEDS = range(60)
OPTIONS = {"tnc": {"maxfun": 400}, "trust-constr": {"maxiter": 150}, "cobyla": {"maxiter": 150},
           "cobyqa": {"maxfev": 60}, "nelder-mead": {"maxfev": 300}, "powell": {"maxfev": 300}}


class Problem:
    """A convex function of n numbers with gradient and Hessian by hand, perhaps bounded, fixed, constrained."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.method = KNOWN[seed % len(KNOWN)]
        n = self.n = int(rng.integers(2, 7))
        a = rng.normal(size=(n, n))
        self.q, self.c = a @ a.T / n + np.eye(n), rng.normal(size=n)
        self.start = rng.normal(size=n)
        self.tree = self.shaped(rng)
        self.low, self.high = np.full(n, -np.inf), np.full(n, np.inf)
        self.fixed = np.zeros(n, bool)
        if self.method in BOUNDED:
            some = rng.random(n) < 0.5
            self.low[some] = self.start[some] - rng.uniform(0.1, 2.0, some.sum())
            self.high[some] = self.start[some] + rng.uniform(0.1, 2.0, some.sum())
            self.fixed[:n - 1] = rng.random(n - 1) < 0.3
            self.low[self.fixed] = self.high[self.fixed] = self.start[self.fixed] + 0.25
        self.w = rng.normal(size=n)
        self.kind = rng.choice(["none", "dict", "nonlinear", "linear"]) if self.method in CONSTRAINED else "none"

    def shaped(self, rng):
        """The start as an array, a list, or a tree."""
        x, k = self.start, int(rng.integers(1, self.n))
        return [x, x.tolist(), {"a": x[:k].copy(), "b": x[k:].copy()}, (x[:1].copy(), [float(v) for v in x[1:]]),
                x.reshape(1, -1)][int(rng.integers(5))]

    def flat(self, tree):
        if isinstance(tree, (dict, tuple)) or (isinstance(tree, list) and not np.isscalar(tree[0])):
            return np.concatenate([np.ravel(leaf) for leaf in trees.flatten(tree)[0]])
        return np.ravel(tree)

    # -- plain NumPy, recorded by the bridge
    def value(self, tree):
        x = self.flat(tree)
        return 0.5 * x @ self.q @ x + self.c @ x + 0.1 * np.sum(x**4)

    def limit(self, tree):
        """At least 0 around the start."""
        x = self.flat(tree)
        return 4.0 + self.start @ self.start - x @ x

    # -- by hand, of all numbers
    def gradient(self, x):
        return self.q @ x + self.c + 0.4 * x**3

    def hessian(self, x):
        return self.q + np.diag(1.2 * x**2)

    def constraints(self, whole, cut):
        """For SciPy alone: of what moves."""
        free = ~self.fixed
        if self.kind == "dict":
            return {"type": "ineq", "fun": lambda z: self.limit(whole(z)), "jac": lambda z: -2.0 * cut(whole(z))}
        if self.kind == "nonlinear":
            return scipy.optimize.NonlinearConstraint(lambda z: self.limit(whole(z)), 0.0, np.inf,
                                                      jac=lambda z: -2.0 * cut(whole(z)),
                                                      hess=(lambda z, v: -2.0 * v[0] * np.eye(free.sum()))
                                                      if self.method == "trust-constr" else scipy.optimize.BFGS())
        rest = self.w[self.fixed] @ self.low[self.fixed]
        top = self.w @ self.start + 1.0
        return scipy.optimize.LinearConstraint(self.w[free], -np.inf, top - rest)

    def given_constraints(self):
        if self.kind == "dict":
            return {"type": "ineq", "fun": self.limit}
        if self.kind == "nonlinear":
            return scipy.optimize.NonlinearConstraint(self.limit, 0.0, np.inf)
        return scipy.optimize.LinearConstraint(self.w, -np.inf, self.w @ self.start + 1.0)

    def scipy_alone(self):
        free, base = ~self.fixed, np.where(self.fixed, self.low, 0.0)

        def whole(z):
            x = base.copy()
            x[free] = z
            return x

        def cut(g):
            return g[free]
        wants = METHODS[self.method]
        low, high = self.low[free], self.high[free]
        bounded = np.isfinite(low).any() or np.isfinite(high).any()
        constraints = self.constraints(whole, cut) if self.kind != "none" else ()
        if self.kind == "dict" and self.method == "trust-constr":
            constraints = scipy.optimize.NonlinearConstraint(constraints["fun"], 0.0, np.inf, constraints["jac"],
                                                             lambda z, v: -2.0 * v[0] * np.eye(free.sum()))
        result = scipy.optimize.minimize(
            lambda z: self.value(whole(z)), self.start[free], method=self.method,
            jac=(lambda z: cut(self.gradient(whole(z)))) if wants else None,
            hess=(lambda z: self.hessian(whole(z))[np.ix_(free, free)]) if "hess" in wants else None,
            hessp=(lambda z, p: self.hessian(whole(z))[np.ix_(free, free)] @ p) if "hessp" in wants else None,
            bounds=scipy.optimize.Bounds(low, high) if bounded else None, constraints=constraints,
            options=OPTIONS.get(self.method))
        return whole(result.x), result

    def bridged(self, callback=None):
        pairs = list(zip(self.low, self.high, strict=True))
        bounds = None if self.method not in BOUNDED else pairs
        return optimize.minimize(self.value, self.tree, method=self.method, bounds=bounds,
                                 constraints=self.given_constraints() if self.kind != "none" else (),
                                 callback=callback, options=OPTIONS.get(self.method))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bridge_walks_the_path_of_scipy_with_derivatives_by_hand(seed):
    problem, shown = Problem(seed), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")      # of iterations used up, infeasible starts: on both sides
        x, theirs = problem.scipy_alone()
        ours = problem.bridged(lambda intermediate_result: shown.append(intermediate_result.x))
    found = problem.flat(ours.x)
    scale = 1e-3 if problem.method in ("trust-constr", "cobyla", "cobyqa", "nelder-mead", "powell") else 1e-5
    np.testing.assert_allclose(found, x, atol=scale * (1.0 + np.abs(x).max()))
    np.testing.assert_allclose(ours.fun, theirs.fun, atol=1e-6 * (1.0 + abs(theirs.fun)))
    assert bool(ours.success) == bool(theirs.success)
    assert abs(ours.nfev - theirs.nfev) <= 3 + 0.2 * theirs.nfev
    np.testing.assert_array_equal(found[problem.fixed], problem.low[problem.fixed])
    assert np.all(found >= problem.low - 1e-9) and np.all(found <= problem.high + 1e-9)
    assert not shown or problem.flat(shown[-1]).size == problem.n
    jac = ours.get("grad") if problem.method == "trust-constr" else ours.get("jac")
    if jac is not None and METHODS[problem.method]:
        np.testing.assert_allclose(problem.flat(jac), problem.gradient(found), atol=1e-8)


@pytest.mark.parametrize("seed", range(30))
def test_least_squares_walks_the_path_of_scipy_with_a_jacobian_by_hand(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    method = ["trf", "dogbox", "lm"][seed % 3]
    a, data = rng.normal(size=(8, n)), rng.normal(size=8)
    loss = "linear" if method == "lm" else rng.choice(["linear", "soft_l1", "cauchy", "huber", "arctan"])
    start = rng.normal(size=n) * 0.3
    low, high, fixed = np.full(n, -np.inf), np.full(n, np.inf), np.zeros(n, bool)
    if method != "lm":
        low, high = start - rng.uniform(0.2, 2.0, n), start + rng.uniform(0.2, 2.0, n)
    fixed[:n - 1] = rng.random(n - 1) < 0.4
    low[fixed] = high[fixed] = start[fixed]
    free = ~fixed
    k = int(rng.integers(0, n))

    def f(m):
        x = np.concatenate([m["a"], m["b"]])
        return np.tanh(a @ x) - data

    def whole(z):
        x = start.copy()
        x[free] = z
        return x

    def jac(z):
        return ((1.0 - np.tanh(a @ whole(z)) ** 2)[:, None] * a)[:, free]
    ours = optimize.least_squares(f, {"a": start[:k], "b": start[k:]}, method=method, loss=loss, bounds=(low, high),
                                  max_nfev=200)
    bounds = (-np.inf, np.inf) if method == "lm" else (low[free], high[free])
    theirs = scipy.optimize.least_squares(lambda z: np.tanh(a @ whole(z)) - data, start[free], jac, bounds=bounds,
                                          method=method, loss=loss, max_nfev=200)
    np.testing.assert_allclose(ours.raveled, whole(theirs.x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.cost, theirs.cost, rtol=1e-8)
    np.testing.assert_allclose(ours.jac[:, free], theirs.jac, atol=1e-6)
    assert (ours.nfev, ours.status) == (theirs.nfev, theirs.status)
