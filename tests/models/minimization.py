"""Test functions of unconstrained and constrained minimisation, one number each.

Owns: the textbook functions (Rosenbrock to Hock-Schittkowski).  Must not know: fastad.  Next: least_squares.py.
"""
import math

import numpy as np

from tests.models import model


@model(np.array([-1.2, 1.0, 0.7, 1.3]))
def rosenbrock_vectorised(x):
    return np.sum(100.0 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2)


@model(np.array([-1.2, 1.0, 0.7, 1.3]))
def rosenbrock_loop(x):
    total = 0
    for i in range(len(x) - 1):
        a = x[i + 1] - x[i] * x[i]
        b = 1 - x[i]
        total += 100 * a * a + b * b
    return total


@model([0.3, -0.6, 1.2])
def rastrigin(x):
    return 10 * len(x) + sum([xi**2 - 10 * np.cos(2 * np.pi * xi) for xi in x])


@model(np.array([0.5, -0.8, 0.3]))
def ackley(x, a=20, b=0.2, c=2 * np.pi):
    n = x.size
    s1 = np.sqrt((x**2).sum() / n)
    s2 = np.cos(c * x).sum() / n
    return -a * np.exp(-b * s1) - np.exp(s2) + a + np.e


@model(np.array([12.0, -7.0, 3.5, 20.0]))
def griewank(x):
    prod = 1.0
    for i, xi in enumerate(x, start=1):
        prod *= np.cos(xi / np.sqrt(i))
    return (x @ x) / 4000 - prod + 1


@model(np.array([1.0, 0.4]))
def beale(x):
    x1, x2 = x
    return (1.5 - x1 + x1*x2)**2 + (2.25 - x1 + x1*x2**2)**2 + (2.625 - x1 + x1*x2**3)**2


@model((1.5, -0.7))
def himmelblau(point):
    x, y = point
    return (x**2 + y - 11)**2 + (x + y**2 - 7)**2


@model(np.array([0.6, -0.2]))
def goldstein_price(x):
    a, b = x[0], x[1]
    first = 1 + (a + b + 1)**2 * (19 - 14*a + 3*a**2 - 14*b + 6*a*b + 3*b**2)
    second = 30 + (2*a - 3*b)**2 * (18 - 32*a + 12*a**2 + 48*b - 36*a*b + 27*b**2)
    return first * second


@model(np.array([2.2, 11.5]), analytic=False)
def branin(x):
    b, c, t = 5.1 / (4 * math.pi**2), 5 / math.pi, 1 / (8 * math.pi)
    return (x[1] - b * x[0]**2 + c * x[0] - 6)**2 + 10 * (1 - t) * math.cos(x[0]) + 10


@model(np.array([3.1, 3.4]))
def easom(x):
    return -np.cos(x[0]) * np.cos(x[1]) * np.exp(-((x[0] - np.pi)**2 + (x[1] - np.pi)**2))


@model(np.array([0.3, 0.7, 0.2]))
def hartmann3(x):
    alpha = np.array([1.0, 1.2, 3.0, 3.2])
    A = np.array([[3.0, 10, 30], [0.1, 10, 35], [3.0, 10, 30], [0.1, 10, 35]])
    P = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
    return -np.sum(alpha * np.exp(-np.sum(A * (x - P)**2, axis=1)))


@model(np.array([400.0, -120.0, 210.0]), analytic=False)
def schwefel(x):
    return 418.9829 * len(x) - np.sum(x * np.sin(np.sqrt(np.abs(x))))


@model(np.array([0.4, 1.9, 2.4, 1.1]))
def michalewicz(x):
    m = 3
    out = 0.0
    for j in range(x.shape[0]):
        out -= np.sin(x[j]) * np.sin((j + 1) * x[j]**2 / np.pi)**(2 * m)
    return out


@model(np.array([0.9, -1.4, 0.3]))
def styblinski_tang(x):
    return 0.5 * np.polyval([1, 0, -16, 5, 0], x).sum()


@model(np.array([1.5, 0.3, -0.8]))
def levy(x):
    w = 1 + (x - 1) / 4
    wi = w[:-1]
    return (np.sin(np.pi * w[0])**2 + np.sum((wi - 1)**2 * (1 + 10 * np.sin(np.pi * wi + 1)**2))
            + (w[-1] - 1)**2 * (1 + np.sin(2 * np.pi * w[-1])**2))


@model(np.array([0.2, 1.4, -0.3, 0.9, 0.6]))
def zakharov(x):
    i = np.arange(1, x.size + 1)
    s = np.dot(0.5 * i, x)
    return np.dot(x, x) + s**2 + s**4


@model(np.array([3.0, -1.0, 0.5, 1.0]))
def powell_singular(x):
    f = np.empty(4)
    f[0] = x[0] + 10 * x[1]
    f[1] = 5**0.5 * (x[2] - x[3])
    f[2] = (x[1] - 2 * x[2])**2
    f[3] = 10**0.5 * (x[0] - x[3])**2
    return f @ f


@model(np.array([-3.0, -1.0, -3.0, -1.0]))
def wood(x):
    a, b, c, d = x.tolist() if not hasattr(x, "dtype") else x
    return (100 * (b - a**2)**2 + (1 - a)**2 + 90 * (d - c**2)**2 + (1 - c)**2
            + 10.1 * ((b - 1)**2 + (d - 1)**2) + 19.8 * (b - 1) * (d - 1))


@model(np.array([0.4, 0.6, 0.2, 0.8]))
def trigonometric(x):
    n = len(x)
    total, cosines = 0.0, np.cos(x)
    s = cosines.sum()
    for i in range(n):
        r = n - s + (i + 1) * (1 - cosines[i]) - np.sin(x[i])
        total = total + r**2
    return total


@model(np.array([1.1, 0.9, 1.2, 0.7]))
def dixon_price(x):
    terms = []
    for i in range(1, len(x)):
        terms.append((i + 1) * (2 * x[i]**2 - x[i - 1])**2)
    return (x[0] - 1)**2 + np.array(terms).sum()


@model(np.array([4.0, 9.0]), 10.0)
def penalty_barrier(x, mu):
    """Hock-Schittkowski 11-like: an objective, inequality constraints by a logarithmic barrier."""
    objective = (x[0] - 5)**2 + x[1]**2 - 25
    c = np.array([x[1] - 0.3 * x[0]**2, 20 - x[0] - x[1]])
    return objective - np.log(c).sum() / mu


@model(np.array([1.1, 4.6, 3.9, 1.3]), 3.0, branches=True)
def hs71_augmented_lagrangian(x, rho, multipliers=(0.5, 0.2)):
    g = x[0] * x[1] * x[2] * x[3] - 25
    h = (x**2).sum() - 40
    f = x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2]
    lam, nu = multipliers
    return f - lam * g - nu * h + 0.5 * rho * (max(0, -g)**2 + h**2)


@model(np.array([0.7, -0.4, 1.3, 0.2]))
def broyden_tridiagonal(x):
    xx = np.concatenate(([0.0], x, [0.0]))
    r = (3 - 2 * xx[1:-1]) * xx[1:-1] - xx[:-2] - 2 * xx[2:] + 1
    return r.dot(r)


@model(np.array([0.6, -1.1, 0.9]), smooth=False, analytic=False)
def salomon_max_norm(x):
    r = np.linalg.norm(x)
    return 1 - np.cos(2 * np.pi * r) + 0.1 * r + np.max(np.abs(x))


@model(np.array([0.4, 1.2, -0.3]), 1.0, smooth=False, analytic=False)
def lasso_huber(x, delta):
    A = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0], [1.5, 0.2, 0.1], [4.0, -3.0, 1.0]])
    r = A @ x - np.array([1.0, -2.0, 0.4, 6.0])
    small = np.abs(r) <= delta
    loss = np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))
    return loss.sum() + 0.1 * np.abs(x).sum()


@model(np.array([2.0, 1.0, 0.5]), spread=0.01, branches=True)
def piecewise_price(q):
    """A tariff by if and elif: Python decides."""
    cost = 0.0
    for amount in q:
        if amount < 0.75:
            cost += 2.0 * amount
        elif amount < 1.5:
            cost += 1.5 + 1.2 * (amount - 0.75)**2
        else:
            cost += 2.175 + 0.8 * (amount - 1.5)
    return cost


@model(np.array([1.0, -0.5, 0.8, 0.4, -0.9, 1.1]))
def lennard_jones(x, epsilon=1.0, sigma=0.8):
    pos = x.reshape(-1, 2)
    energy = 0.0
    for i in range(len(pos)):
        for j in range(i):
            d = pos[i] - pos[j]
            s6 = (sigma**2 / np.dot(d, d))**3
            energy += 4 * epsilon * (s6**2 - s6)
    return energy


@model(np.array([0.2, 1.7, 3.0, 0.4]))
def thomson_charges(angles):
    theta, phi = angles.reshape(2, -1)
    p = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    fixed = np.array([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0]])
    d = np.sqrt(((p[:, None, :] - fixed[None, :, :])**2).sum(-1))
    return (1 / d).sum() + 1 / np.sqrt(((p[0] - p[1])**2).sum())
