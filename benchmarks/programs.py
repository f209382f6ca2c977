"""The functions that are differentiated, as a scientist would write them, and their gradients by independent means.

Owns: plain Python and NumPy.  ``xp`` is the array namespace, NumPy unless a peer needs its own.
Must not know: fastad or any peer; what stands here is what they are judged by.
Next: cases/ (what is measured with them).
"""
import numpy as np

LV_POINT = np.array([1.1, 0.4, 0.4, 0.1, 10.0, 5.0])        # a, b, c, d; prey and predators at the start
CHAIN_POINT = np.array([0.7, 0.3, 0.5])
SCALE, DATA = 1.5, np.array([0.3, 0.4])                     # what `small_with_state` captures


def lotka_volterra(p, steps=1000, h=0.01):
    """Predators and prey by the classical Runge-Kutta scheme in scalars: 50 operators a step."""
    a, b, c, d, x, y = p
    for _ in range(steps):
        k1 = (a - b * y) * x
        l1 = (d * x - c) * y
        u = x + 0.5 * h * k1
        v = y + 0.5 * h * l1
        k2 = (a - b * v) * u
        l2 = (d * u - c) * v
        u = x + 0.5 * h * k2
        v = y + 0.5 * h * l2
        k3 = (a - b * v) * u
        l3 = (d * u - c) * v
        u = x + h * k3
        v = y + h * l3
        k4 = (a - b * v) * u
        l4 = (d * u - c) * v
        x = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        y = y + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
    return x * x + y


def lotka_volterra_vector(p, steps=1000, h=0.01):
    """The same with the state as a vector, as users write it."""
    a, b, c, d = p[0], p[1], p[2], p[3]

    def rate(s):
        x, y = s[0], s[1]
        return np.array([(a - b * y) * x, (d * x - c) * y])
    s = np.array([p[4], p[5]])
    for _ in range(steps):
        k1 = rate(s)
        k2 = rate(s + 0.5 * h * k1)
        k3 = rate(s + 0.5 * h * k2)
        k4 = rate(s + h * k3)
        s = s + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return s[0] * s[0] + s[1]


def chain(p, rounds):
    """A softening spring by the leapfrog scheme: ten mixed operators a round, which neither grow nor die."""
    a, b, c = p
    for _ in range(rounds):
        b = b - 0.1 * (a / (c + 0.1 * a * a) - 0.01)
        a = a + 0.1 * b / c
    return a + b


def elementary_chain(p, rounds):
    """Another spring, with an elementary function in every fifth operation: two in a round of ten."""
    a, b, c = p
    for _ in range(rounds):
        b = b - 0.1 * (np.sin(a) + a / np.sqrt(a * a + c))
        a = a + 0.1 * b
    return a + b


def small(x):
    """A handful of scalar operations: what remains is the cost of the call."""
    return x[0] * x[0] + x[1] * x[2] - x[0] / x[2]


def small_with_state(x):
    """The same where it names captured state: a global number and a global array are watched at each call."""
    return small(x) * SCALE + x[0] * DATA[1]


def small_gradient(x):
    return np.array([2.0 * x[0] - 1.0 / x[2], x[2], x[1] + x[0] / x[2]**2])


def rosenbrock(x, xp=np):
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def rosenbrock_gradient(x):
    t = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[:-1] = -400.0 * t * x[:-1] - 2.0 * (1.0 - x[:-1])
    g[1:] += 200.0 * t
    return g


def transcendental(x, xp=np):
    return xp.sum(xp.exp(-(x * x)) * xp.sin(3.0 * x) + xp.log1p(x * x) * xp.tanh(x))


def transcendental_gradient(x):
    e, s, t = np.exp(-x * x), 3.0 * x, np.tanh(x)
    return e * (3.0 * np.cos(s) - 2.0 * x * np.sin(s)) + 2.0 * x / (1.0 + x * x) * t + np.log1p(x * x) * (1.0 - t * t)


def bratu(u, xp=np):
    """Squared residuals of a nonlinear Poisson equation, -laplace(u) = exp(u), by five points; u is n by n."""
    inner = u[1:-1, 1:-1]
    r = 4.0 * inner - u[:-2, 1:-1] - u[2:, 1:-1] - u[1:-1, :-2] - u[1:-1, 2:] - xp.exp(inner) / (len(u) - 1) ** 2
    return xp.sum(r * r)


def bratu_gradient(u):
    inner = u[1:-1, 1:-1]
    e = np.exp(inner) / (len(u) - 1) ** 2
    r = 2.0 * (4.0 * inner - u[:-2, 1:-1] - u[2:, 1:-1] - u[1:-1, :-2] - u[1:-1, 2:] - e)
    g = np.zeros_like(u)
    g[1:-1, 1:-1] = (4.0 - e) * r
    for part in (g[:-2, 1:-1], g[2:, 1:-1], g[1:-1, :-2], g[1:-1, 2:]):
        part -= r
    return g


def prefix_sums(x, xp=np):
    """Times of arrival through layers of slowness exp(x), one below the other, against one time."""
    times = xp.cumsum(xp.exp(x), 0) / len(x)
    return xp.sum((times - 0.5) ** 2)


def prefix_sums_gradient(x):
    e, n = np.exp(x), len(x)
    return e * np.cumsum((2.0 * (np.cumsum(e) / n - 0.5))[::-1])[::-1] / n


def complex_step(f, p):
    """Gradient of a program of analytic scalar operations, exact to rounding, by plain Python complex numbers."""
    g = np.empty(len(p))
    for k in range(len(p)):
        z = [complex(value, 1e-30 if i == k else 0.0) for i, value in enumerate(p)]
        g[k] = f(z).imag / 1e-30
    return g


def central_differences(f, x, h=1e-6):
    g = np.empty(x.size)
    for k in range(x.size):
        e = np.zeros(x.size)
        e[k] = h
        g[k] = (f(x + e) - f(x - e)) / (2.0 * h)
    return g
