"""Numerical recipes: quadrature, roots, polynomials, eigenvalues, splines.

Owns: the methods themselves.  Must not know: fastad.  Next: styles.py.
"""
import numpy as np

from tests.models import model


@model(np.array([0.3, -1.2, 0.7, 2.0]), np.linspace(-1, 1, 5))
def horner(c, x):
    y = c[-1]
    for k in range(len(c) - 2, -1, -1):
        y = y * x + c[k]
    return y


@model(np.array([0.3, -1.2, 0.7, 2.0]), np.linspace(-1, 1, 5))
def clenshaw(c, x):
    b1 = b2 = 0 * x
    for ck in c[:0:-1]:
        b1, b2 = 2 * x * b1 - b2 + ck, b1
    return x * b1 - b2 + c[0]


@model(np.array([1.3, 0.4]))
def romberg(p):
    def f(t):
        return np.exp(-p[0] * t) * np.cos(p[1] * t)

    levels = 5
    R = np.zeros((levels, levels))
    h = 2.0
    R[0, 0] = 0.5 * h * (f(0.0) + f(2.0))
    for i in range(1, levels):
        h /= 2
        s = sum(f((2 * k - 1) * h) for k in range(1, 2**(i - 1) + 1))
        R[i, 0] = 0.5 * R[i - 1, 0] + h * s
        for j in range(1, i + 1):
            R[i, j] = R[i, j - 1] + (R[i, j - 1] - R[i - 1, j - 1]) / (4**j - 1)
    return R[-1, -1]


@model(np.array([1.3, 0.4]), 1e-5, branches=True)
def adaptive_simpson(p, tol):
    """A recursion whose depth depends on values."""
    def f(t):
        return np.sin(p[0] * t) / (p[1] + t)

    def simpson(a, b):
        return (b - a) / 6 * (f(a) + 4 * f((a + b) / 2) + f(b))

    def recurse(a, b, whole, tol):
        m = 0.5 * (a + b)
        left, right = simpson(a, m), simpson(m, b)
        if abs(left + right - whole) < 15 * tol:
            return left + right + (left + right - whole) / 15
        return recurse(a, m, left, tol / 2) + recurse(m, b, right, tol / 2)

    return recurse(0.0, 2.0, simpson(0.0, 2.0), tol)


@model(2.0, 1e-12, branches=True)
def newton_sqrt_tolerance(a, tol):
    x = 1.0
    while abs(x * x - a) > tol:
        x = 0.5 * (x + a / x)
    return x


@model(np.array([2.0, 8.0]), branches=True)
def arithmetic_geometric_mean(v):
    a, g = v[0], v[1]
    count = 0
    while np.abs(a - g) > 1e-13 * a and count < 20:
        a, g = (a + g) / 2, np.sqrt(a * g)
        count += 1
    return a


@model(np.array([1.0, 3.0, 2.0, 5.0, 4.0]), np.array([0.3, 1.5, 3.7]))
def natural_cubic_spline(y, xq):
    """Second derivatives by a tridiagonal sweep, then pieces chosen by searchsorted."""
    n = len(y)
    x = np.arange(n, dtype=float)
    m, u = np.zeros(n), np.zeros(n)
    for i in range(1, n - 1):
        p = 0.5 * m[i - 1] + 2
        m[i] = -0.5 / p
        u[i] = (3 * (y[i + 1] - 2 * y[i] + y[i - 1]) - 0.5 * u[i - 1]) / p
    for i in range(n - 2, -1, -1):
        m[i] = m[i] * m[i + 1] + u[i]
    k = np.searchsorted(x, xq) - 1
    a, b = x[k + 1] - xq, xq - x[k]
    return a * y[k] + b * y[k + 1] + ((a**3 - a) * m[k] + (b**3 - b) * m[k + 1]) / 6


@model(np.array([0.5, 1.7, 1.1, 2.9]))
def divided_differences(y):
    x = np.array([0.0, 0.5, 1.5, 2.0])
    c = y.copy()
    for j in range(1, len(c)):
        c[j:] = (c[j:] - c[j - 1:-1]) / (x[j:] - x[:-j])
    value = c[-1]
    for k in range(len(c) - 2, -1, -1):
        value = value * (1.2 - x[k]) + c[k]
    return value


@model(np.array([[2.0, 0.4, 0.1], [0.4, 1.0, 0.3], [0.1, 0.3, 3.0]]), 30)
def power_iteration(A, n):
    v = np.ones(3)
    for _ in range(n):
        v = A @ v
        v = v / np.linalg.norm(v)
    return v @ A @ v


@model(np.array([[2.0, 0.4, 0.1], [0.4, 1.0, 0.3], [0.1, 0.3, 3.0]]))
def gram_schmidt(A):
    Q = np.zeros_like(A)
    R = np.zeros((3, 3))
    for j in range(3):
        v = A[:, j].copy()
        for i in range(j):
            R[i, j] = np.sum(Q[:, i] * A[:, j])
            v -= R[i, j] * Q[:, i]
        R[j, j] = np.sqrt(np.sum(v**2))
        Q[:, j] = v / R[j, j]
    return R[np.triu_indices(3)]


@model(np.array([[0.1, 2.0, 1.0], [1.0, 0.5, 3.0], [2.0, 1.0, 0.2]]), np.array([1.0, 2.0, 3.0]), analytic=False)
def gauss_pivoting(A, b):
    """Elimination with row exchanges: argmax as a traced index, rows swapped by fancy indexing."""
    M = np.column_stack((A, b))
    n = len(b)
    for k in range(n):
        p = k + np.argmax(np.abs(M[k:, k]))
        M[[k, p]] = M[[p, k]]
        M[k] = M[k] / M[k, k]
        for i in range(n):
            if i != k:
                M[i] = M[i] - M[i, k] * M[k]
    return M[:, -1]


@model(np.array([4.0, 1.0, 3.0]), np.array([1.0, 2.0, 0.5]), 3)
def conjugate_gradients(d, b, steps):
    A = np.diag(d) + 0.3
    x = np.zeros_like(b)
    r = b - A @ x
    p = r.copy()
    rs = r @ r
    for _ in range(steps):
        Ap = A @ p
        alpha = rs / (p @ Ap)
        x += alpha * p
        r -= alpha * Ap
        new = r @ r
        p = r + (new / rs) * p
        rs = new
    return x


@model(np.array([1.2, 0.3]))
def bessel_series(p):
    x = p[0]
    term, total = 1.0, 1.0
    for k in range(1, 20):
        term *= -(x / 2)**2 / k**2
        total += term
    return total * np.exp(p[1])


@model(np.array([1.2, 0.3]))
def bessel_integral(p):
    theta = np.linspace(0, np.pi, 17)
    y = np.cos(p[0] * np.sin(theta) - 2 * theta)
    return np.trapezoid(y, theta) / np.pi + p[1]


@model(0.7)
def continued_fraction(x):
    value = 0.0
    for k in range(10, 0, -1):
        value = x**2 / ((2 * k + 1) - value)
    return x / (1 - value)


@model(np.array([0.2, 1.0, 0.7]))
def simpson_double(p):
    x = np.linspace(0, 1, 5)
    w = np.array([1, 4, 2, 4, 1]) / 12
    F = np.exp(-p[0] * np.add.outer(x, p[1] * x)**2) * np.multiply.outer(np.cos(p[2] * x), x)
    return np.einsum("i,ij,j->", w, F, w)


@model(np.array([0.5, 0.2, 0.8, 0.3, 0.9, 0.1]))
def bezier_de_casteljau(control):
    points = control.reshape(3, 2)
    out = []
    for t in (0.2, 0.5, 0.9):
        level = [points[i] for i in range(3)]
        while len(level) > 1:
            level = [(1 - t) * a + t * b for a, b in zip(level[:-1], level[1:], strict=True)]
        out.append(level[0])
    return np.concatenate(out)


@model(np.array([0.3, 1.0, 0.4, -0.2]), 6)
def matrix_exponential(m, terms):
    A = m.reshape(2, 2)
    E, term = np.eye(2), np.eye(2)
    for k in range(1, terms):
        term = term @ A / k
        E += term
    return np.linalg.matrix_power(E, 2)


@model((1.0, 2.5, 0.4))
def heron_cross(sides):
    a, b, c = sides[0], sides[1], sides[0] + sides[2]
    s = (a + b + c) / 2
    return (s * (s - a) * (s - b) * (s - c))**2


@model(np.array([0.6, 1.1, 0.4, 0.9]))
def anderson_fixed_point(p):
    x = np.array([0.1, 0.1])
    g = xo = None
    for _ in range(4):
        gx = np.array([p[0] * np.cos(x[1]) + 0.1 * p[2], p[1] * np.sin(x[0]) * 0.5 + 0.1 * p[3]])
        if g is None:
            xn = gx
        else:
            df = (gx - x) - (g - xo)
            theta = df @ (gx - x) / (df @ df)
            xn = (1 - theta) * gx + theta * g
        xo, g, x = x, gx, xn
    return x


@model(np.array([1.0, 0.5, 0.25]), 4, spread=0.02)
def recursion_with_memo(p, n):
    """A three-term recursion as a recursive function with a dictionary of results."""
    memo = {0: p[0], 1: p[1]}

    def value(k):
        if k not in memo:
            memo[k] = (2 * k - 1) * p[2] * value(k - 1) - (k - 1) * value(k - 2)
        return memo[k]

    return np.array([value(k) for k in range(n)])
