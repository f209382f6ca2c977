"""Residual vectors: More, Garbow and Hillstrom's functions, and curves fitted to data.

Owns: functions that return an array of residuals.  Must not know: fastad.  Next: potential.py.
"""
import numpy as np

from tests.models import model

Y_BARD = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]


@model(np.array([1.0, 1.2, 0.9]))
def bard(x):
    m = len(Y_BARD)
    f = np.zeros(m)
    for i in range(m):
        u = i + 1
        v = 16 - u
        w = min(u, v)
        f[i] = Y_BARD[i] - (x[0] + u / (v * x[1] + w * x[2]))
    return f


@model(np.array([0.25, 0.39, 0.415, 0.39]))
def kowalik_osborne(x):
    y = np.array([0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
    u = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
    return y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


@model(np.array([0.02, 4000.0, 250.0]), spread=0.01)
def meyer(x):
    y = np.array([34780.0, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030])
    t = 45 + 5 * np.arange(1, len(y) + 1)
    return x[0] * np.exp(x[1] / (t + x[2])) - y


@model(np.array([-1.0, 0.3, 0.2]))
def helical_valley(x):
    theta = np.arctan2(x[1], x[0]) / (2 * np.pi)
    r = np.hypot(x[0], x[1])
    return np.array([10 * (x[2] - 10 * theta), 10 * (r - 1), x[2]])


@model(np.array([0.5, 1.5, -1.0, 0.01, 0.02]))
def osborne1(x):
    t = np.linspace(0, 320, 12)
    return x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4])


@model(np.array([1.0, 2.0, 1.5, 0.9, 1.1, 0.5]))
def biggs_exp6(x):
    res = []
    for i in range(1, 14):
        t = 0.1 * i
        y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
        res.append(x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y)
    return np.array(res)


@model(np.array([0.1, 0.3, 0.6, 0.9]))
def chebyquad(x):
    """Chebyshev polynomials by their recurrence, two rows in rotation."""
    n = len(x)
    z = 2 * x - 1
    previous, current = np.ones(n), z.copy()
    out = np.zeros(n)
    for i in range(n):
        out[i] = current.mean()
        if i % 2 == 1:
            out[i] += 1 / ((i + 1)**2 - 1)
        previous, current = current, 2 * z * current - previous
    return out


@model(np.array([0.2, 0.4, 0.1, -0.3, 0.25]))
def watson(x):
    n = len(x)
    f = np.zeros(31)
    for i in range(29):
        t = (i + 1) / 29.0
        s1 = s2 = 0.0
        for j in range(n - 1, 0, -1):
            s1 = s1 * t + j * x[j]
        for j in range(n - 1, -1, -1):
            s2 = s2 * t + x[j]
        f[i] = s1 - s2**2 - 1
    f[29] = x[0]
    f[30] = x[1] - x[0]**2 - 1
    return f


@model(np.array([0.3, -0.2, 0.6, 0.1]))
def discrete_boundary_value(x):
    n = len(x)
    h = 1 / (n + 1)
    f = 2 * x
    f[1:] -= x[:-1]
    f[:-1] -= x[1:]
    t = h * np.arange(1, n + 1)
    f += h**2 * (x + t + 1)**3 / 2
    return f


@model(np.array([0.3, -0.2, 0.6, 0.1]))
def discrete_integral_equation(x):
    n = x.shape[0]
    h = 1.0 / (n + 1)
    t = np.arange(1, n + 1) * h
    cube = (x + t + 1)**3
    left = np.cumsum(t * cube)
    right = np.cumsum(((1 - t) * cube)[::-1])[::-1] - (1 - t) * cube
    return x + h * ((1 - t) * left + t * right) / 2


@model(np.array([0.3, -0.2, 0.6, 0.1, 0.9]))
def broyden_banded(x, lower=5, upper=1):
    n = len(x)
    f = np.empty_like(x)
    for i in range(n):
        s = 0.0
        for j in range(max(0, i - lower), min(n, i + upper + 1)):
            if j == i:
                continue
            s += x[j] * (1 + x[j])
        f[i] = x[i] * (2 + 5 * x[i]**2) + 1 - s
    return f


@model(np.array([0.8, 1.1, 0.6, 1.2]))
def brown_almost_linear(x):
    n = len(x)
    f = x + x.sum() - (n + 1)
    f[-1] = np.prod(x) - 1
    return f


@model({"amplitude": 2.0, "centre": 0.4, "width": np.array([0.3, 0.7])}, np.linspace(-1, 2, 9), "gauss")
def peak(p, t, shape):
    width = np.where(t < p["centre"], p["width"][0], p["width"][1])
    z = (t - p["centre"]) / width
    if shape == "gauss":
        return p["amplitude"] * np.exp(-0.5 * z**2)
    elif shape == "lorentz":
        return p["amplitude"] / (1 + z**2)
    raise ValueError(shape)


@model({"amplitude": 2.0, "centre": 0.4, "width": np.array([0.3, 0.7])}, np.linspace(-1, 2, 9))
def two_peaks(p, t):
    return peak(p, t, "gauss") + 0.5 * peak({**p, "centre": p["centre"] + 1}, t, shape="lorentz")


@model([3.0, 0.7], np.linspace(0.1, 4, 6), np.array([0.9, 1.4, 1.8, 2.0, 2.3, 2.2]), 2)
def michaelis_menten(p, s, v, weight_power):
    vmax, km = p
    w = 1.0 / v**weight_power
    return np.sqrt(w) * (v - vmax * s / (km + s))


@model(np.array([0.4, 1.2, 0.8, 2.2]), smooth=False, spread=0.01)
def broken_stick(p):
    """A piecewise linear trend with a break that moves: masks."""
    t = np.linspace(0, 2, 11)
    y = np.zeros_like(t)
    late = t > p[3] / 2.03
    y[~late] = p[0] + p[1] * t[~late]
    y[late] = p[0] + p[1] * p[3] / 2.03 + p[2] * (t[late] - p[3] / 2.03)
    return y
