"""Economics, control, machine learning losses: recursions, value functions, attention to ties.

Owns: models of choices.  Must not know: fastad.  Next: finance.py, learning.py.
"""
import numpy as np

from tests.models import model

RNG = np.random.default_rng(11)
X = RNG.standard_normal((8, 3))
Y = np.array([0, 1, 2, 1, 0, 2, 1, 0])
W = RNG.standard_normal(9) * 0.5


@model(np.array([0.3, 0.95, 0.6]))
def ramsey_growth_shooting(p):
    """Optimal growth, the Euler equation iterated forward; Ljungqvist & Sargent (2018)."""
    alpha, beta, k = p
    c = 0.4
    path = []
    for _ in range(6):
        k_next = k**alpha + 0.9 * k - c * 0.5
        c = c * beta * (alpha * k_next**(alpha - 1) + 0.9)
        k = k_next
        path.append(np.log(c))
    return np.array(path)


@model(np.array([0.8, 0.2, 0.5, 0.1]))
def soft_value_iteration(p):
    """Dynamic programming with a soft maximum over actions; Rust (1987)."""
    beta = 0.9 * p[0]
    cost = np.arange(6) * p[1]
    v = np.zeros(6)
    for _ in range(25):
        keep = -cost + beta * np.append(v[1:], v[-1])
        replace = -p[2] - p[3] + beta * v[0]
        top = np.maximum(keep, replace)
        v = top + np.log(np.exp(keep - top) + np.exp(replace - top))
    return v


@model(np.array([0.5, 0.3, 0.7, 0.2]))
def ces_demand(p):
    """Demand under constant elasticity of substitution, nested; Varian (1992)."""
    prices = np.array([1.0, 1.5, 0.8])
    shares = p[:3] / sum(p[:3])
    sigma = 1 / (1 - p[3])
    index = np.sum(shares**sigma * prices**(1 - sigma))**(1 / (1 - sigma))
    return shares**sigma * (prices / index)**-sigma


@model(np.array([0.9, 0.4, 0.3]))
def linear_quadratic_riccati(p):
    """Feedback gains by the Riccati difference equation, 2 x 2; Anderson & Moore (1990)."""
    a = np.array([[1.0, 0.1], [-0.1 * p[0], 0.9]])
    b = np.array([[0.0], [p[1]]])
    q, s = np.diag([1.0, p[2]]), np.eye(2)
    for _ in range(15):
        gain = (b.T @ s @ a) / (0.5 + (b.T @ s @ b)[0, 0])
        s = q + a.T @ s @ (a - b @ gain)
    return gain.ravel()


@model(W, smooth=True)
def multinomial_logit(w):
    """McFadden (1974): logits by matrix product, integer labels as indices."""
    logits = X @ w.reshape(3, 3)
    logits = logits - logits.max(axis=1, keepdims=True)
    return -np.mean(logits[np.arange(8), Y] - np.log(np.exp(logits).sum(axis=1)))


@model(W, smooth=False, analytic=False)
def hinge_with_elastic_net(w):
    """Crammer & Singer (2001): multi-class margins by masks, an elastic net."""
    scores = X @ w.reshape(3, 3)
    right = scores[np.arange(len(Y)), Y][:, None]
    margins = np.maximum(0, 1 + scores - right)
    margins[np.arange(len(Y)), Y] = 0
    return margins.sum() / len(Y) + 0.1 * np.abs(w).sum() + 0.05 * w @ w


@model(np.array([0.4, -0.3, 0.8, 0.1, 1.2, -0.7, 0.5, 0.9]), analytic=False)
def gated_recurrent_scan(w):
    """A gated unit over a sequence in a comprehension-free loop; Cho et al. (2014)."""
    def sigmoid(z):
        return np.where(z > 0, 1 / (1 + np.exp(-np.abs(z))), 1 - 1 / (1 + np.exp(-np.abs(z))))
    h = 0.0
    for x in X[:, 0]:
        z = sigmoid(w[0] * x + w[1] * h + w[2])
        r = sigmoid(w[3] * x + w[4] * h)
        h = (1 - z) * h + z * np.tanh(w[5] * x + w[6] * (r * h) + w[7])
    return h


@model(W, analytic=False)
def layer_norm_gelu(w):
    """Ba, Kiros & Hinton (2016); Hendrycks & Gimpel (2016), tanh form."""
    a = X @ w.reshape(3, 3)
    a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)
    return 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))


@model(np.array([0.2, 0.7, 0.5, 0.9, 0.1, 0.6]), smooth=False)
def triplet_and_ranking(e):
    """Schroff et al. (2015): embeddings from one vector, sorted distances, min() and max() of Python."""
    a, b, c = np.split(e, 3)
    ab, ac = np.linalg.norm(a - b), np.linalg.norm(a - c)
    d = sorted([ab, ac, np.linalg.norm(b - c)], reverse=True)
    return max(0.0, ab - ac + 0.5) + min(d) * 0.3 + sum(w * x for w, x in zip((0.5, 0.3, 0.2), d, strict=True))


@model(np.array([0.3, 0.8, 0.4, 0.6]))
def sinkhorn_distance(p):
    """Entropic optimal transport by matrix scaling; Cuturi (2013)."""
    a, b = p[:2] / p[:2].sum(), p[2:] / p[2:].sum()
    cost = np.array([[0.0, 1.0], [1.5, 0.2]])
    k = np.exp(-cost / 0.5)
    u = np.ones(2)
    for _ in range(30):
        v = b / (k.T @ u)
        u = a / (k @ v)
    return np.sum(u[:, None] * k * v[None, :] * cost)


@model(np.array([0.9, 0.05, 0.3]), analytic=False)
def heston_euler_fixed_noise(p):
    """Stochastic volatility paths with random numbers made inside from a fixed seed; Heston (1993)."""
    rng = np.random.default_rng(2024)
    kappa, mean, vol = p
    x, v = np.zeros(5), np.full(5, 0.04)
    for _ in range(8):
        z = rng.standard_normal((2, 5))
        x = x - 0.5 * v / 8 + np.sqrt(v / 8) * z[0]
        v = np.abs(v + kappa * (mean - v) / 8 + 0.1 * vol * np.sqrt(v / 8) * z[1]) + 1e-4
    return np.maximum(np.exp(x) - 0.95, 0).mean()
