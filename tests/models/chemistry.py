"""Chemistry, pharmacology, epidemics: kinetics, equilibria, compartments.

Owns: models of rates.  Must not know: fastad.  Next: life.py.
"""
from functools import reduce

import numpy as np

from tests.models import model


@model(np.array([1.2, 0.3, 0.5, 0.8]))
def two_compartment_dosing(p):
    """Repeated infusions by superposition of closed forms, a dict of parameters; Gabrielsson & Weiner (2016)."""
    theta = dict(zip(("cl", "q", "v1", "v2"), p, strict=True))
    k10, k12, k21 = theta["cl"] / theta["v1"], theta["q"] / theta["v1"], theta["q"] / theta["v2"]
    root = np.sqrt((k10 + k12 + k21)**2 - 4 * k10 * k21)
    a, b = 0.5 * (k10 + k12 + k21 + root), 0.5 * (k10 + k12 + k21 - root)
    t = np.linspace(0.5, 8, 6)
    c = np.zeros_like(t)
    for start in (0.0, 2.0, 4.0):
        since = np.maximum(t - start, 0.0)
        given = t > start
        c[given] += ((a - k21) / (a - b) * np.exp(-a * since[given])
                     + (k21 - b) / (a - b) * np.exp(-b * since[given])) / theta["v1"]
    return c


@model(np.array([0.9, 0.4, 1.3]), smooth=False)
def michaelis_menten_lambert(p):
    """Progress curve of an enzyme by six Halley steps for Lambert's W; Schnell & Mendoza (1997)."""
    vmax, km, s0 = p
    t = np.linspace(0.1, 3, 5)
    x = s0 / km * np.exp((s0 - vmax * t) / km)
    w = np.log1p(x)
    for _ in range(6):
        e = np.exp(w)
        f = w * e - x
        w = w - f / (e * (w + 1) - (w + 2) * f / (2 * w + 2))
    return km * w


@model(np.array([0.04, 0.3, 1.0, 0.2]))
def robertson_rosenbrock(p):
    """A stiff system by linearly implicit Euler, the 3 x 3 system by Cramer's rule with np.cross; Robertson (1966)."""
    k1, k2, k3, y3 = p
    y = np.array([1.0 - y3, 0.0, y3])
    h = 0.3
    for _ in range(8):
        rate = np.array([-k1 * y[0] + k3 * y[1] * y[2], k1 * y[0] - k3 * y[1] * y[2] - k2 * y[1]**2, k2 * y[1]**2])
        jac = np.array([[-k1, k3 * y[2], k3 * y[1]], [k1, -k3 * y[2] - 2 * k2 * y[1], -k3 * y[1]],
                        [0.0, 2 * k2 * y[1], 0.0]])
        m = np.eye(3) - h * jac
        c0, c1, c2 = m.T
        det = np.dot(c0, np.cross(c1, c2))
        step = np.array([np.dot(rate, np.cross(c1, c2)), np.dot(c0, np.cross(rate, c2)),
                         np.dot(c0, np.cross(c1, rate))]) / det
        y = y + h * step
    return y


@model(np.array([0.5, 1.5, 0.7, 0.2]))
def brusselator_rk4(p):
    """An oscillator by Runge-Kutta, the right-hand side a closure with *args; Prigogine & Lefever (1968)."""
    def rhs(t, y, *rates):
        a, b = rates
        u, v = y
        return np.array([a + u**2 * v - (b + 1) * u, b * u - u**2 * v])

    def step(y, t, h, f, *args):
        k1 = f(t, y, *args)
        k2 = f(t + h / 2, y + h / 2 * k1, *args)
        k3 = f(t + h / 2, y + h / 2 * k2, *args)
        k4 = f(t + h, y + h * k3, *args)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return reduce(lambda y, t: step(y, t, 0.1, rhs, *p[:2]), np.arange(0, 2, 0.1), p[2:])


@model(np.array([0.3, 0.5, 0.2]))
def equilibrium_composition(p):
    """Ammonia synthesis, extent of reaction by damped Newton; Smith & Missen (1982)."""
    k, n2, h2 = 5 * p[0], p[1] + 1, p[2] + 3
    x = 0.2
    for _ in range(25):
        total = n2 + h2 - 2 * x
        f = np.log(2 * x) * 2 - np.log(n2 - x) - 3 * np.log(h2 - 3 * x) + 2 * np.log(total) - np.log(k)
        df = 2 / x + 1 / (n2 - x) + 9 / (h2 - 3 * x) - 4 / total
        x = x - 0.8 * f / df
    return x


@model(np.array([1.1, 0.4, 0.9, 0.3]))
def vapour_liquid_wilson(p):
    """Bubble pressure of a binary mixture with Wilson's activity model and Antoine's equation; Prausnitz et al."""
    a12, a21, x1, t = p[0], p[1], p[2] / 2, 350 + 10 * p[3]
    x = np.array([x1, 1 - x1])
    lam = np.array([[1.0, a12], [a21, 1.0]])
    inner = lam @ x
    log_gamma = 1 - np.log(inner) - np.sum(lam * (x / inner)[:, None], axis=0)
    antoine = np.array([[8.08, 1582.0, 239.7], [8.07, 1730.6, 233.4]])
    saturation = 10 ** (antoine[:, 0] - antoine[:, 1] / (antoine[:, 2] + t - 273.15))
    return np.sum(x * np.exp(log_gamma) * saturation)


@model(np.array([1.3, 0.8, 0.05]), analytic=False)
def peng_robinson_root(p):
    """The largest root of the cubic by trigonometry, with a, b and Z; Peng & Robinson (1976)."""
    a, b = 0.15 * p[0], 0.02 * p[1]
    c2, c1, c0 = -(1 - b), a - 3 * b**2 - 2 * b, -(a * b - b**2 - b**3)
    q, r = (c2**2 - 3 * c1) / 9, (2 * c2**3 - 9 * c2 * c1 + 27 * c0) / 54
    z = -2 * np.sqrt(q) * np.cos((np.arccos(np.clip(r / q**1.5, -1, 1)) + 2 * np.pi) / 3) - c2 / 3
    return z - 1 - np.log(z - b) - a / (2 * np.sqrt(2) * b) * np.log((z + 2.414 * b) / (z - 0.414 * b)) + p[2]


@model(np.array([0.5, 0.2, 0.1, 0.3]))
def age_structured_epidemic(p):
    """SEIR by age with a contact matrix, state in one array updated through views; Diekmann et al. (2013)."""
    beta, sigma, gamma, mixing = p
    contact = np.array([[1.0, mixing, 0.1], [mixing, 0.8, 0.2], [0.1, 0.2, 0.4]])
    state = np.zeros((4, 3))
    s, e, i, r = state
    s[:] = [0.3, 0.5, 0.19]
    i[1] = 0.01
    for _ in range(30):
        infected = beta * s * (contact @ i)
        sick, well = sigma * e, gamma * i
        s -= infected
        e += infected - sick
        i += sick - well
        r += well
    return r


@model(np.array([0.4, 0.15, 0.6]))
def renewal_equation(p):
    """Cases by the renewal equation, a reversed slice of the past against a kernel; Fraser (2007)."""
    lags = np.arange(1, 8)
    kernel = lags**(5 * p[0]) * np.exp(-lags * p[2])
    kernel /= kernel.sum()
    cases = np.empty(25)
    cases[:7] = 1.0
    for t in range(7, 25):
        growth = 1.2 + p[1] * np.sin(t / 4)
        cases[t] = growth * np.dot(cases[t - 7:t][::-1], kernel)
    return cases[-5:]


@model(np.array([1.0, 0.6, 0.8, 0.2]))
def gillespie_mean_field(p):
    """Moment closure of a birth-death process from stoichiometry as lists of dicts; Gillespie (2009)."""
    reactions = [{"k": p[0], "order": (0, 0), "change": (1, 0)}, {"k": p[1], "order": (1, 0), "change": (-1, 1)},
                 {"k": p[2], "order": (0, 1), "change": (0, -1)}, {"k": p[3], "order": (1, 1), "change": (-1, 0)}]
    x = [0.5, 0.1]
    for _ in range(20):
        rates = [r["k"] * x[0]**r["order"][0] * x[1]**r["order"][1] for r in reactions]
        x = [xi + 0.1 * sum(rate * r["change"][j] for rate, r in zip(rates, reactions, strict=True))
             for j, xi in enumerate(x)]
    return np.array(x)


@model(np.array([0.7, 1.2, 0.4]))
def diffusion_chronoamperometry(p):
    """Cottrell's experiment by an explicit grid that expands, in-place with a rolled copy; Britz (2005)."""
    d, k, c0 = 0.3 * p[0], p[1], p[2]
    c = np.full(9, c0)
    current = []
    for _ in range(12):
        new = c + d * (np.roll(c, -1) - 2 * c + np.roll(c, 1))
        new[0] = new[1] / (1 + k)
        new[-1] = c0
        c = new
        current.append(c[1] - c[0])
    return np.array(current)
