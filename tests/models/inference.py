"""Likelihoods as people write them with scipy.stats and scipy.special: priors, survival, mixed effects, counts.

Owns: what a Bayesian or a maximum-likelihood user hands to an optimiser.  Must not know: fastad.  Next: scipy_users.py.
"""
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy import special, stats
from scipy.special import expit, gammaln, logsumexp, xlogy
from scipy.stats import expon, gamma, norm, poisson, t

from tests.models import model

RNG = np.random.default_rng(7)
TIME = np.linspace(0.0, 4.0, 12)
COUNTS = np.array([3, 0, 2, 5, 1, 4, 2, 2, 7, 3, 1, 0])
WAITING = RNG.gamma(2.0, 1.3, 12)
GROUP = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3])
OBSERVED = 1.2 + 0.4 * TIME + np.array([0.3, -0.2, 0.1, 0.4])[GROUP] + 0.1 * RNG.standard_normal(12)
CENSORED = np.array([0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
P4 = np.array([0.7, 0.5, 0.9, 0.3])


@model(P4, analytic=False)
def linear_regression_logpdf(p):
    """Gaussian regression with the logarithm of sigma as a parameter; Gelman et al., Bayesian Data Analysis, ch. 14."""
    a, b, log_sigma, _ = p
    return norm.logpdf(OBSERVED, loc=a + b * TIME, scale=np.exp(log_sigma)).sum()


@model(P4, analytic=False)
def robust_regression_frozen(p):
    """Student-t errors, a frozen distribution made inside; Lange, Little & Taylor (1989)."""
    noise = t(df=4, loc=0.0, scale=p[2])
    residual = OBSERVED - np.polyval(p[:2], TIME)
    return -sum(noise.logpdf(r) for r in residual)


@model(P4, analytic=False)
def posterior_of_a_dictionary(p):
    """Priors looked up in a dict of frozen distributions, likelihood of Poisson counts."""
    priors = {"rate": stats.gamma(2.0, scale=1.5), "slope": stats.norm(0.0, 1.0), "share": stats.beta(2, 2)}
    theta = dict(zip(priors, p, strict=False))
    log_prior = sum(dist.logpdf(theta[name]) for name, dist in priors.items())
    rate = theta["rate"] * np.exp(theta["slope"] * TIME / 4) + theta["share"]
    return log_prior + np.sum(poisson.logpmf(COUNTS, rate))


@model(P4, analytic=False)
def zero_inflated_poisson(p):
    """Lambert (1992): a point mass at zero mixed with a Poisson law, in logarithms."""
    share, rate = expit(p[0]), np.exp(p[1])
    log_zero = np.logaddexp(np.log(share), np.log1p(-share) - rate)
    log_count = np.log1p(-share) + poisson.logpmf(COUNTS, rate)
    return -np.sum(np.where(COUNTS == 0, log_zero, log_count))


@model(P4, analytic=False)
def negative_binomial_gammaln(p):
    """Hilbe (2011), NB2 parametrisation by mean and dispersion, written with gammaln and xlogy."""
    mu, alpha = np.exp(p[0] + 0.1 * p[1] * TIME), np.exp(p[2])
    size = 1 / alpha
    return np.sum(gammaln(COUNTS + size) - gammaln(size) - gammaln(COUNTS + 1)
                  + xlogy(COUNTS, mu / (mu + size)) + size * np.log(size / (mu + size)))


@model(P4, analytic=False)
def weibull_survival(p):
    """Right-censored accelerated failure times; Kalbfleisch & Prentice (2002)."""
    shape, scale = np.exp(p[0]), np.exp(p[1] + p[2] * (TIME > 2))
    dead = stats.weibull_min.logpdf(WAITING, shape, scale=scale)
    alive = stats.weibull_min.logsf(WAITING, shape, scale=scale)
    return -(dead[~CENSORED].sum() + alive[CENSORED].sum())


@model(P4, analytic=False)
def tobit(p):
    """Tobin (1958): values below a limit are known to be below it only."""
    mean, sigma = p[0] + p[1] * TIME, abs(p[2])
    y = np.maximum(OBSERVED, 1.5)
    return np.sum(np.where(y > 1.5, norm.logpdf(y, mean, sigma), norm.logcdf((1.5 - mean) / sigma)))


@model(P4, analytic=False)
def probit_cdf(p):
    """Binary responses by the normal distribution function; Bliss (1934)."""
    z = p[0] + p[1] * TIME - p[2]
    return np.sum(np.where(COUNTS > 2, norm.logcdf(z), norm.logsf(z)))


@model(np.array([0.2, 0.3, -0.8, -1.0, 0.1, -0.2, 0.3, 0.0]))
def random_intercepts(p):
    """Laird & Ware (1982), intercepts by group integrated in closed form, group after group."""
    mean, slope, tau2, sigma2 = p[0], p[1], np.exp(p[2]), np.exp(p[3])
    total = 0.0
    for g in np.unique(GROUP):
        r = (OBSERVED - mean - slope * TIME)[GROUP == g]
        n = len(r)
        total += n * np.log(sigma2) + np.log1p(n * tau2 / sigma2)
        total += (r @ r - tau2 * r.sum()**2 / (sigma2 + n * tau2)) / sigma2
    return -0.5 * total + p[4:].sum() * 1e-3


@model(np.array([0.2, 0.3, -0.8, -1.0, 0.1, -0.2, 0.3, 0.0]))
def hierarchical_non_centred(p):
    """Non-centred effects; Betancourt & Girolami (2015)."""
    (mean, slope, log_tau, log_sigma), raw = p[:4], p[4:]
    effect = np.exp(log_tau) * raw
    z = (OBSERVED - mean - slope * TIME - effect[GROUP]) / np.exp(log_sigma)
    return -0.5 * z @ z - len(z) * log_sigma - 0.5 * np.dot(raw, raw)


@model(np.array([0.5, -0.2, 0.1, 0.7, 0.4]), analytic=False)
def ordered_logit_thresholds(p):
    """McCullagh (1980), thresholds as a running sum of exponentials."""
    cuts = np.cumsum(np.concatenate([p[:1], np.exp(p[1:4])]))
    edges = np.r_[-np.inf, cuts, np.inf]
    level = np.minimum(COUNTS, 4)
    upper, lower = stats.logistic.cdf(edges[level + 1] - p[4] * TIME), stats.logistic.cdf(edges[level] - p[4] * TIME)
    return np.log(upper - lower).sum()


@model(np.array([0.3, -0.4, 0.8, 1.9, -0.2, 0.1]))
def mixture_logsumexp(p):
    """McLachlan & Peel (2000), components stacked along a new axis."""
    weights = special.log_softmax(np.append(p[:1], 0.0))
    means, logs = p[2:4], p[4:6]
    parts = weights - 0.5 * ((OBSERVED[:, None] - means) / np.exp(logs))**2 - logs
    return logsumexp(parts, axis=1).sum() - p[1]**2


@model(P4, analytic=False)
def exponential_change_point(p):
    """Waiting times whose rate changes smoothly at a time that is a parameter; Raftery & Akman (1986)."""
    share = expit((TIME - 2 * p[0]) / 0.5)
    rate = np.exp(p[1]) * (1 - share) + np.exp(p[2]) * share
    return expon.logpdf(WAITING, scale=1 / rate).sum() + gamma.logpdf(p[3], a=2)


@model(np.array([0.6, 0.4, 0.8]), analytic=False)
def gaussian_copula(p):
    """Two gamma margins joined by a Gaussian copula; Joe (2014), by quantiles of distribution functions."""
    rho = np.tanh(p[0])
    u = norm.ppf(gamma.cdf(WAITING, 2.0, scale=np.exp(p[1])))
    v = norm.ppf(expon.cdf(TIME + 0.5, scale=np.exp(p[2])))
    return np.sum(-0.5 * np.log1p(-rho**2) - (rho**2 * (u**2 + v**2) - 2 * rho * u * v) / (2 * (1 - rho**2)))


@model(P4, analytic=False)
def generalised_extremes(p):
    """Return levels and likelihood of annual maxima; Coles (2001), ch. 3, SciPy's sign of the shape."""
    c, loc, scale = -0.2 * p[0], p[1], p[2]
    return np.append(stats.genextreme.logpdf(WAITING / 2, c, loc, scale).sum(),
                     stats.genextreme.isf(1 / np.array([10, 100]), c, loc, scale))


@dataclass
class Prior:
    """A log-normal prior of one parameter."""

    name: str
    mean: float = 0.0
    sd: float = 1.0
    seen: list = field(default_factory=list)

    def __call__(self, value):
        self.seen.append(self.name)
        return stats.lognorm.logpdf(value, s=self.sd, scale=np.exp(self.mean))


@model(P4, analytic=False)
def prior_objects(p):
    """Callable objects with defaults, and a list that grows."""
    priors = [Prior("a"), Prior("b", 0.5), Prior("c", sd=0.4)]
    return sum(prior(x) for prior, x in zip(priors, p, strict=False))


def log_posterior(p, data, *, scale=1.0, prior=None):
    """Keyword-only options and an optional callback."""
    out = stats.laplace.logpdf(data, p[0], scale * p[1]).sum()
    return out if prior is None else out + prior(p)


@model(P4, analytic=False)
def partial_posterior(p):
    """functools.partial fixes data and options."""
    f = partial(log_posterior, data=WAITING, scale=0.7, prior=lambda q: -0.5 * np.sum(q**2))
    return f(p)


@model(np.array([0.8, 1.1, 0.4]), analytic=False)
def expectation_maximisation_steps(p):
    """Three EM steps of a two-component mixture, unrolled; Dempster, Laird & Rubin (1977)."""
    mu, share = np.array([p[0], p[1] + 1]), expit(p[2])
    for _ in range(3):
        like = np.exp(-0.5 * (OBSERVED[:, np.newaxis] - mu[np.newaxis, :])**2) * np.array([share, 1 - share])
        like /= like.sum(axis=1, keepdims=True)
        mu = (like * OBSERVED[:, None]).sum(0) / like.sum(0)
        share = like[:, 0].mean()
    return np.hstack([mu, share])


@model(np.array([0.4, 0.2, 1.3]))
def proportional_odds_breslow(p):
    """Cox's partial likelihood with Breslow's ties, sorted once, running sums from the end; Breslow (1974)."""
    order = np.argsort(-WAITING)
    risk = p[0] * TIME[order] + p[1] * np.sin(TIME[order])
    at_risk = np.log(np.cumsum(np.exp(risk)))
    return np.sum((risk - at_risk)[~CENSORED[order]]) * p[2]


@model(np.array([0.5, -1.0, 0.3]), analytic=False)
def beta_binomial_betaln(p):
    """Skellam (1948) by betaln, overdispersed shares out of eight trials."""
    mean = special.expit(p[0] + p[2] * (TIME - 2))
    size = np.exp(-p[1])
    a, b = mean * size, (1 - mean) * size
    k = np.minimum(COUNTS, 8)
    return np.sum(special.betaln(k + a, 8 - k + b) - special.betaln(a, b) - np.log(special.beta(k + 1.0, 9.0 - k)))
