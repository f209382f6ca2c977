"""Wells, infiltration and heat in the ground.

Owns: hydrology, by series and quadratures instead of special functions.  Must not know: fastad.  Next: stencils.py.
"""
import math

import numpy as np

from tests.models import model

TIMES = np.array([0.01, 0.05, 0.2, 1.0])


def well_function(u, terms=20):
    """E1 by its series, for small u."""
    total = -0.5772156649015329 - np.log(u)
    term = 1.0
    for k in range(1, terms):
        term = -term * u / k
        total = total - term / k
    return total


@model(np.array([0.8, 0.03]), TIMES, 25.0, 1.5)
def theis(p, t, r, q):
    T, S = 10**p[0] * 10, 10**(p[1] - 3.5)
    u = r**2 * S / (4 * T * t)
    return q / (4 * np.pi * T) * well_function(u)


@model({"T": 60.0, "S": 2e-4}, TIMES, analytic=False)
def cooper_jacob(aquifer, t):
    s = []
    for ti in t:
        u = 400 * aquifer["S"] / (2.25 * aquifer["T"] * ti)
        s.append(-2.3 * 30.0 / (4 * math.pi * aquifer["T"]) * math.log10(u))
    return np.array(s)


@model(np.array([1.8, -3.4, 0.3]), np.array([0.02, 0.1, 0.6]))
def hantush_quadrature(p, t):
    """The leaky well function by Simpson's rule after the substitution y = u exp(s)."""
    T, S, r_over_B = 10**p[0], 10**p[1], p[2]
    drawdown = np.zeros(t.size)
    for k in range(t.size):
        u = 100.0 * S / (4 * T * t[k])
        n, top = 60, 14.0
        h = top / n
        acc = 0.0
        for i in range(n + 1):
            y = u * np.exp(i * h)
            value = np.exp(-y - r_over_B**2 / (4 * y))
            acc += value if i in (0, n) else (4 * value if i % 2 else 2 * value)
        drawdown[k] = acc * h / 3
    return drawdown / (4 * np.pi * T)


@model(np.array([0.4, 1.2]), np.array([5.0, 12.0, 3.0, 0.0, 8.0, 20.0]), smooth=False, analytic=False)
def linear_reservoir_buckets(p, rain):
    """A bucket with a threshold: storage spills over, the rest drains."""
    k, capacity = p
    storage = 2.0
    q = np.zeros_like(rain)
    for day in range(len(rain)):
        storage += rain[day] * 0.3
        spill = np.maximum(storage - capacity * 5, 0.0)
        storage -= spill
        base = k * storage
        storage -= base
        q[day] = spill + base
    return q


@model(np.array([0.1, 0.05, 0.3]), np.array([0.2, 1.0, 4.0]), branches=True)
def green_ampt_newton(p, t):
    """Cumulative infiltration from an implicit equation: Newton until it stands still."""
    K, dtheta, psi = p[0], p[1] * 4, p[2] * 10
    results = []
    for ti in t:
        F = K * ti + 0.5
        for _ in range(50):
            g = F - psi * dtheta * np.log(1 + F / (psi * dtheta)) - K * ti
            dg = F / (psi * dtheta + F)
            step = g / dg
            F = F - step
            if abs(step) < 1e-10:
                break
        results.append(F)
    return np.array(results)


@model((0.036, 1.56, 0.43, 0.078), np.array([-5.0, -50.0, -500.0, 10.0]), smooth=False)
def van_genuchten(params, h):
    """Retention and conductivity, saturated above the water table: np.where with a branch that overflows nothing."""
    alpha, n, ths, thr = params
    m = 1 - 1 / n
    suction = np.where(h < 0, -h, 1.0)
    Se = np.where(h < 0, (1 + (alpha * suction)**n)**-m, 1.0)
    K = np.sqrt(Se) * (1 - (1 - Se**(1 / m) * (1 - 1e-12))**m)**2
    return np.array([thr + (ths - thr) * Se, K])


@model(np.array([1.5, 0.8, 2.0, 1.1]), 5.0, 3.0)
def confined_flow_1d(K, left, right):
    """Heads by conductances in series: harmonic means and a tridiagonal solve (Thomas)."""
    n = len(K) - 1
    cond = 1 / (0.5 / K[:-1] + 0.5 / K[1:])
    cond = np.concatenate(([2 * K[0]], cond, [2 * K[-1]]))
    diag = cond[:-1] + cond[1:]
    low, up = -cond[1:-1], -cond[1:-1]
    rhs = np.zeros(n + 1)
    rhs[0] += cond[0] * left
    rhs[-1] += cond[-1] * right
    cp, dp = np.zeros(n), np.zeros(n + 1)
    cp[0] = up[0] / diag[0]
    dp[0] = rhs[0] / diag[0]
    for i in range(1, n + 1):
        den = diag[i] - low[i - 1] * cp[i - 1]
        if i < n:
            cp[i] = up[i] / den
        dp[i] = (rhs[i] - low[i - 1] * dp[i - 1]) / den
    head = np.zeros(n + 1)
    head[-1] = dp[-1]
    for i in range(n - 1, -1, -1):
        head[i] = dp[i] - cp[i] * head[i + 1]
    return head


@model(np.array([0.6, 0.4, 12.0]), np.array([1.0, 3.0, 8.0]))
def ogata_banks(p, x):
    """Advection and dispersion with a rational approximation of erfc (Abramowitz and Stegun 7.1.26)."""
    v, D, t = p
    z = (x - v * t) / (2 * np.sqrt(D * t))
    s = np.sqrt(z**2 + 1e-12)
    k = 1 / (1 + 0.3275911 * s)
    coefficients = [0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429]
    poly = 0.0
    for a in coefficients[::-1]:
        poly = (poly + a) * k
    erfc = poly * np.exp(-s**2)
    return 0.5 * np.where(z > 0, erfc, 2 - erfc)


@model(np.array([0.02, 1.0, 0.4]))
def heat_pulse_borehole(p):
    """A temperature history by superposition of steps, each a Gaussian integral by the midpoint rule."""
    kappa, amplitude, shift = p
    z = np.array([0.5, 1.0, 2.0])
    T = np.zeros(3)
    for when, step in ((1.0, 0.5), (3.0, -0.2), (7.0, 0.3)):
        tau = when + shift
        for i in range(3):
            a = z[i] / np.sqrt(4 * kappa * tau * 10)
            u = (np.arange(16) + 0.5) / 16 * a
            T[i] += amplitude * step * (1 - 2 / np.sqrt(np.pi) * np.mean(np.exp(-u**2)) * a)
    return T


@model(np.array([0.3, 1.4, 0.9, 0.5]), 1)
def unit_hydrograph(p, order):
    """A cascade of stores by repeated lower-triangular products."""
    n = 6
    lag = np.tril(np.ones((n, n)), -1)
    kernel = np.exp(-p[0] * (np.arange(n)[:, None] - np.arange(n)[None, :])) * (np.eye(n) + lag)
    q = np.array([p[1], 0.0, p[2], 0.0, 0.0, p[3]])
    for _ in range(order + 1):
        q = p[0] * kernel.dot(q)
    return q
