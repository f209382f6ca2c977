"""Some twenty small programs in plain NumPy, each with a point: what files, listings and checkers are tried on.

Owns: the programs.  Must not know: fastad (they import NumPy only).
Next: test_serialize.py, test_listing.py, test_testing.py.  The fuzzer's programs are random: fuzz_programs.py.
"""
import math

import numpy as np

MATRIX = np.array([[2.0, -1.0, 0.5], [0.25, 3.0, -0.75], [1.5, 0.5, 1.0], [-1.0, 2.0, 0.125]])
WEIGHTS = np.array([0.5, 1.5, 2.5, 3.5, 4.5])


def lecture(x):
    return x[0] ** 2 + x[1]


def branch(x):
    y = np.zeros(2)
    y[0] = x[0] ** 2 + x[1]
    y[1] = np.sin(x[1]) if x[0] > 0 else x[1]
    return y.sum()


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def horner(x):
    total = 0.0
    for c in (1.0, -2.0, 3.0, 0.5):
        total = total * x + c
    return total


def runge_kutta(x):
    a, b, dt = x[2], x[3], 0.1
    u, v = x[0], x[1]
    for _ in range(3):
        du, dv = a * u - u * v, u * v - b * v
        um, vm = u + 0.5 * dt * du, v + 0.5 * dt * dv
        u, v = u + dt * (a * um - um * vm), v + dt * (um * vm - b * vm)
    return u + v


def stencil(x):
    y = x.copy()
    for _ in range(2):
        y[1:-1] += 0.25 * (y[2:] - 2.0 * y[1:-1] + y[:-2])
    return y


def fill(x):
    y = np.zeros(4)
    for i in range(4):
        y[i] = np.exp(-x[i]) + (y[i - 1] if i else 0.0)
    return y


def matrix_product(x):
    r = MATRIX @ x - 1.0
    return r @ r


def layers(x):
    t = x[-1] * np.ones(3)
    for i in range(1, -1, -1):
        k = np.tanh(0.5 * x[i] * np.arange(1.0, 4.0))
        t = (t + x[i] * k) / (1.0 + t * k / x[i])
    return np.log(t)


def masked(x):
    y = np.where(x > 0, np.sqrt(np.abs(x)), x * x)
    return np.sum(y * WEIGHTS)


def gather(x):
    return np.sum(x[np.array([0, 2, 2, 4])] * x[np.array([1, 1, 3, 0])])


def ordered(x):
    return np.sum(np.sort(x) * WEIGHTS)


def interpolated(x):
    return np.sum(np.interp(x, np.array([-2.0, 0.0, 1.0, 5.0]), np.array([0.0, 1.0, -1.0, 2.0])) ** 2)


def extremes(x):
    return x.max() - x.min() + np.maximum(x, 0.3).mean()


def cumulative(x):
    return np.cumsum(x)[1:] * np.diff(x)


def shaped(x):
    a = x.reshape(2, 3)
    return (a.T @ a).ravel()[::2] + np.concatenate([x[:2], x[-3:]])


def norm(x, shift):
    r = np.hypot(x - shift, 1.0)
    return math.sqrt(2.0) * np.log1p(r).sum()


def tree(model):
    return {"sum": model["a"] + model["b"][0], "scaled": [model["b"][0] * model["b"][1]]}


def special(x):
    return np.arctan2(x[0], x[1]) * np.cbrt(x[2]) + x[0] ** x[1] - np.expm1(x[2]) * abs(x[0])


def searched(x):
    k = np.argmax(x)
    return x[k] ** 2 + x[0] * k


POINT5 = np.array([0.5, -1.25, 2.0, 0.75, -0.3])
PROGRAMS = {
    "lecture": (lecture, np.array([2.0, 3.0])),
    "branch": (branch, np.array([2.0, 3.0])),
    "rosenbrock": (rosenbrock, np.array([-1.2, 1.0, 0.5, 0.8])),
    "horner": (horner, 1.5),
    "runge_kutta": (runge_kutta, np.array([1.0, 0.5, 1.5, 0.75])),
    "stencil": (stencil, POINT5),
    "fill": (fill, np.array([0.1, 0.2, 0.3, 0.4])),
    "matrix_product": (matrix_product, np.array([0.5, 1.0, -2.0])),
    "layers": (layers, np.array([1.0, 2.0, 3.0])),
    "masked": (masked, POINT5),
    "gather": (gather, POINT5),
    "ordered": (ordered, POINT5),
    "interpolated": (interpolated, POINT5),
    "extremes": (extremes, POINT5),
    "cumulative": (cumulative, POINT5),
    "shaped": (shaped, np.array([1.0, -2.0, 3.0, 0.5, 0.25, -1.5])),
    "norm": (norm, POINT5, np.array([1.0, 2.0, 3.0, 4.0, 5.0])),
    "tree": (tree, {"a": 2.0, "b": [np.array([1.0, 2.0]), 3.0]}),
    "special": (special, np.array([1.5, 0.5, -0.75])),
    "searched": (searched, POINT5),
}
