"""Chemistry, epidemiology and pharmacokinetics.

Owns: rates and compartments.  Must not know: fastad.  Next: optics.py.
"""
import math

import numpy as np

from tests.models import model


@model(np.array([0.5, 0.12, 0.01]), 1000, 12)
def sir(p, population, days):
    beta, gamma, i0 = p
    S, infected, R = [population * (1 - i0)], [population * i0], [0.0]
    for d in range(days):
        new = beta * S[d] * infected[d] / population
        rec = gamma * infected[d]
        S.append(S[d] - new)
        infected.append(infected[d] + new - rec)
        R.append(R[d] + rec)
    return np.array(infected) / population


@model({"beta": 0.6, "sigma": 0.2, "gamma": 0.1}, "seir", 10)
def compartments(rates, kind, steps):
    state = {"S": 0.99, "E": 0.0, "I": 0.01, "R": 0.0}
    out = np.zeros((steps, 4))
    for t in range(steps):
        infection = rates["beta"] * state["S"] * state["I"]
        onset = rates["sigma"] * state["E"] if kind == "seir" else infection
        recovery = rates["gamma"] * state["I"]
        state["S"] -= infection
        state["E"] += infection - onset
        state["I"] += onset - recovery
        state["R"] += recovery
        out[t] = [state["S"], state["E"], state["I"], state["R"]]
    return out[:, 2]


@model(np.array([1.5, 0.8, 20.0]), np.array([0.5, 1.0, 3.0, 8.0]))
def one_compartment_oral(p, t):
    ka, cl, v = p
    ke = cl / v
    return 100 * ka / (v * (ka - ke)) * (np.exp(-ke * t) - np.exp(-ka * t))


@model(np.array([0.3, 0.2, 0.15]), [0.0, 6.0, 12.0], np.array([1.0, 5.0, 7.0, 13.0, 20.0]))
def repeated_doses(k, dose_times, t):
    """Two compartments in closed form, doses superposed where they have been given."""
    k10, k12, k21 = k
    s = k10 + k12 + k21
    root = np.sqrt(s**2 - 4 * k10 * k21)
    a, b = 0.5 * (s + root), 0.5 * (s - root)
    c = np.zeros(len(t))
    for t0 in dose_times:
        given = t >= t0
        dt = t[given] - t0
        c[given] += ((a - k21) * np.exp(-a * dt) + (k21 - b) * np.exp(-b * dt)) / (a - b)
    return c


def solve3(A, b):
    """Cramer's rule."""
    def det(m):
        return m[0] @ np.cross(m[1], m[2])

    out = np.zeros(3)
    for k in range(3):
        B = A.copy()
        B[:, k] = b
        out[k] = det(B) / det(A)
    return out


@model(np.array([0.04, 3.0, 1.0]), 8)
def robertson_implicit(k, steps):
    """Stiff kinetics: backward Euler, Newton with a 3 by 3 solve."""
    y = np.array([1.0, 0.0, 0.0])
    for _ in range(steps):
        z = y.copy()
        for _ in range(3):
            r1, r2, r3 = k[0] * z[0], k[1] * z[1]**2 * 10, k[2] * z[1] * z[2] * 10
            rhs = np.array([-r1 + r3, r1 - r3 - r2, r2])
            J = np.zeros((3, 3))
            J[0] = -k[0], k[2] * z[2] * 10, k[2] * z[1] * 10
            J[2, 1] = 20 * k[1] * z[1]
            J[1] = -J[0] - J[2]
            z = z - solve3(np.eye(3) - 0.1 * J, z - y - 0.1 * rhs)
        y = z
    return y


@model(np.array([12.0, 55.0]), np.array([290.0, 310.0, 340.0]))
def arrhenius(p, T):
    R = 8.314e-3
    return np.log(np.exp(p[0] - p[1] / (R * T)))


@model(np.array([1.0, 0.6, 0.3]))
def reaction_chain_matrix(k):
    """A -> B -> C -> D by powers of a transition matrix."""
    M = np.diag(-np.append(k, 0.0)) + np.diag(k, -1)
    y = np.array([1.0, 0, 0, 0])
    step = np.eye(4) + 0.1 * M + 0.005 * M @ M
    out = []
    for _ in range(6):
        y = step @ y
        out.append(y[-1])
    return np.array(out)


@model(np.array([4.75, 0.1, 0.05]), smooth=False, branches=True, analytic=False)
def titration_bisection(p):
    """The pH where charges balance: bisection, then one Newton step that carries the derivative."""
    pka, acid, base = p
    Ka = 10**-pka

    def charge(pH):
        h = 10**(-pH)
        return h + base - 1e-14 / h - acid * Ka / (Ka + h)

    lo, hi = 0.0, 14.0
    for _ in range(30):
        mid = 0.5 * (lo + hi)
        if charge(mid) > 0:
            lo = mid
        else:
            hi = mid
    slope = (charge(mid + 1e-3) - charge(mid - 1e-3)) / 2e-3
    return mid - charge(mid) / slope


@model(np.array([0.3, 0.5, 0.2]), np.array([3.0, 0.9, 0.2]))
def rachford_rice(z, K):
    """Flash equilibrium: a fixed number of Newton steps in the vapour fraction."""
    V = 0.5
    for _ in range(8):
        d = 1 + V * (K - 1)
        g = np.sum(z * (K - 1) / d)
        dg = -np.sum(z * (K - 1)**2 / d**2)
        V = V - g / dg
    return z * K / (1 + V * (K - 1))


@model((2.0, 0.5), 300.0, 0.05, analytic=False)
def van_der_waals(constants, temperature, volume):
    a, b = constants
    return math.fsum([8.314 * temperature / (volume * 100 - b), -a / (volume * 100)**2])


@model(np.array([0.7, 1.2, 3.0]), 12, smooth=False)
def mackey_glass_delay(p, n):
    """A delay equation: a history in a list, read from behind."""
    tau = 4
    x = [1.2 - 0.05 * i for i in range(tau + 1)]
    for _ in range(n):
        delayed = x[-tau - 1]
        x.append(x[-1] + 0.3 * (p[1] * delayed / (1 + delayed**p[2]) - p[0] * x[-1]))
    return np.array(x[tau:])


@model(np.array([1.5, 0.4, 0.02]))
def leslie_ages(p):
    ages = np.array([10.0, 5.0, 3.0, 1.0])
    for _ in range(5):
        births = p[0] * ages[1] + 0.5 * p[0] * ages[2]
        crowd = np.exp(-p[2] * ages.sum())
        ages[1:] = p[1] * ages[:-1] * crowd
        ages[0] = births
    return ages


@model(np.array([1.2, 0.36, 0.3]), 15, smooth=False)
def hodgkin_gates(p, steps):
    """Rates with a removable singularity, and a membrane that leaks."""
    V, n = -60.0 * p[0] + 10, p[1]
    trace = np.zeros(steps)
    for i in range(steps):
        a = 0.01 * (V + 55) / (1 - np.exp(-(V + 55) / 10))
        b = 0.125 * np.exp(-(V + 65) / 80)
        n += 0.05 * (a * (1 - n) - b * n)
        V += 0.05 * (10 * p[2] - 36 * n**4 * (V + 77) / 10 - 0.3 * (V + 54.4))
        trace[i] = V
    return trace
