"""Likelihoods and estimators.

Owns: statistics.  Must not know: fastad.  Next: learning.py.
"""
import numpy as np

from tests.models import model

DATA = np.array([1.2, 0.7, 2.9, 1.8, 0.4, 2.2])
COUNTS = np.array([3, 0, 5, 2, 1, 4])


def stirling_lgamma(z):
    """log Gamma by shifting upwards, then Stirling's series."""
    shift = 0.0
    for _ in range(8):
        shift = shift + np.log(z)
        z = z + 1
    return (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi) + 1 / (12 * z) - 1 / (360 * z**3) - shift


@model(np.array([2.0, 1.4]), DATA)
def gamma_likelihood(p, x):
    shape, rate = p
    return -np.sum(shape * np.log(rate) + (shape - 1) * np.log(x) - rate * x) + len(x) * stirling_lgamma(shape)


@model(np.array([0.3, 0.5]), np.array([0.1, 0.5, 1.0, 1.5, 2.0, 2.5]), COUNTS)
def poisson_regression(beta, x, counts):
    eta = beta[0] + beta[1] * x
    logfact = np.array([np.sum(np.log(np.arange(1, c + 1))) for c in counts])
    return np.sum(np.exp(eta) - counts * eta + logfact)


@model(np.array([1.0, 0.3, 4.0]), DATA)
def student_t(p, x):
    mu, logs, nu = p
    z = (x - mu) / np.exp(logs)
    const = stirling_lgamma((nu + 1) / 2) - stirling_lgamma(nu / 2) - 0.5 * np.log(nu * np.pi) - logs
    return -(const - (nu + 1) / 2 * np.log1p(z**2 / nu)).sum()


@model(np.array([0.4, -0.3, 0.5, 2.0, 1.0, -0.2, 0.1, 0.3]), DATA)
def gaussian_mixture(p, x):
    logits, mu, ls = p[:2], p[2:5], p[5:]
    logits = np.append(logits, 0.0)
    lw = logits - np.log(np.sum(np.exp(logits)))
    comp = lw[None, :] - 0.5 * ((x[:, None] - mu[None, :]) / np.exp(ls))**2 - ls - 0.5 * np.log(2 * np.pi)
    top = comp.max(axis=1, keepdims=True)
    return -(top[:, 0] + np.log(np.exp(comp - top).sum(axis=1))).sum()


@model(np.array([0.5, 0.2, -0.4, 0.8, 0.3, 1.1]))
def multivariate_normal_cholesky(p):
    """Cholesky by the three loops of the textbook."""
    mean, L0 = p[:3], p[3:]
    A = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.0]]) + np.outer(L0, L0)
    n = 3
    L = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                L[i, j] = np.sqrt(s)
            else:
                L[i, j] = s / L[j, j]
    y = np.zeros(n)
    d = np.array([0.4, 0.6, -0.1]) - mean
    for i in range(n):
        y[i] = (d[i] - L[i, :i] @ y[:i]) / L[i, i]
    return 0.5 * y @ y + np.log(np.diag(L)).sum()


@model(np.array([0.5, 1.2, 0.1]), np.linspace(0, 1, 4))
def gaussian_process(p, x):
    """The marginal likelihood, by LDL' row after row."""
    length, amp, noise = p
    d2 = (x[:, None] - x[None, :])**2
    K = amp**2 * np.exp(-0.5 * d2 / length**2) + noise**2 * np.eye(len(x))
    y = np.sin(3 * x)
    quad = logdet = 0.0
    while len(y):
        pivot, column, y0 = K[0, 0], K[1:, 0], y[0]
        quad += y0**2 / pivot
        logdet += np.log(pivot)
        y = y[1:] - column * y0 / pivot
        K = K[1:, 1:] - np.outer(column, column) / pivot
    return 0.5 * quad + 0.5 * logdet


@model(np.array([0.2, 0.5, 0.3]), np.array([0, 1, 1, 2, 0]))
def hidden_markov_forward(p, obs):
    a = 1 / (1 + np.exp(-p[0]))
    A = np.array([[a, 1 - a], [0.3, 0.7]])
    B = np.array([[p[1], p[2], 0.2], [0.1, 0.4, 0.5]])
    B = B / B.sum(axis=1, keepdims=True)
    alpha = np.array([0.6, 0.4]) * B[:, obs[0]]
    loglik = 0.0
    for o in obs[1:]:
        scale = alpha.sum()
        loglik += np.log(scale)
        alpha = (alpha / scale) @ A * B[:, o]
    return loglik + np.log(np.sum(alpha))


@model(DATA.copy(), smooth=False, analytic=False)
def robust_location(x):
    """Median, MAD, trimmed mean: order statistics by sort."""
    med = np.median(x)
    mad = np.median(np.abs(x - med))
    s = np.sort(x)
    return np.array([med, mad, s[1:-1].mean(), s[-1] - s[0]])


@model(DATA.copy(), smooth=False, analytic=False)
def gini_and_ranks(x):
    order = np.argsort(x)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(x))
    return np.sum((2 * (ranks + 1) - len(x) - 1) * x) / (len(x) * np.sum(x))


@model(DATA.copy(), np.array([0.5, 1.0, 2.5]), 0.3)
def kernel_density(x, grid, h):
    dens = []
    for g in grid:
        dens.append(np.mean(np.exp(-0.5 * ((g - x) / h)**2)) / (h * np.sqrt(2 * np.pi)))
    return np.log(np.array(dens))


@model(DATA.copy())
def moments_loop(x):
    """Welford's running moments."""
    n, mean, M2, M3 = 0, 0.0, 0.0, 0.0
    for v in x:
        n += 1
        delta = v - mean
        dn = delta / n
        mean += dn
        M3 += delta**3 * (n - 1) * (n - 2) / n**2 - 3 * dn * M2
        M2 += delta * (v - mean)
    return np.array([mean, M2 / (n - 1), M3 / n / (M2 / n)**1.5])


@model(np.array([0.3, 0.8]), np.array([1.0, 2.0, 2.5, 4.0]), np.array([1, 0, 1, 1]))
def weibull_censored(p, t, event):
    k, lam = np.exp(p)
    ll = 0.0
    for ti, ei in zip(t, event, strict=True):
        z = (ti / lam)**k
        if ei:
            ll += np.log(k) - np.log(lam) + (k - 1) * np.log(ti / lam)
        ll -= z
    return -ll


@model(np.array([0.4, -0.2]), np.array([[1.0, 0.5], [0.2, -1.0], [0.8, 0.3], [-0.5, 0.9]]))
def cox_partial_likelihood(beta, X):
    eta = X @ beta
    risk = np.cumsum(np.exp(eta)[::-1])[::-1]
    return -np.sum((eta - np.log(risk))[[0, 2, 3]])


@model(np.array([0.5, 0.1, 0.3]), np.array([0, 0, 1, 2, 2, 1]))
def group_means(theta, group):
    """Random effects by bincount of residuals and fancy indexing of groups."""
    r = DATA - theta[group]
    total = np.zeros(3)
    np.add.at(total, group, r**2)
    return total / np.bincount(group) + theta**2


@model(np.array([0.2, 0.5, 0.7, 1.0]))
def ordered_probit_logit(p):
    cuts = np.cumsum(np.exp(p[:3])) - 2
    x = np.array([-1.0, 0.0, 0.5, 2.0])
    cdf = 1 / (1 + np.exp(-(cuts[None, :] - p[3] * x[:, None])))
    padded = np.hstack([np.zeros((4, 1)), cdf, np.ones((4, 1))])
    probs = np.diff(padded, axis=1)
    return -np.log(probs[np.arange(4), [0, 1, 2, 3]]).sum()
