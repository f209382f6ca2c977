"""Prices: options, bonds, portfolios.

Owns: finance.  Must not know: fastad.  Next: signals.py.
"""
from functools import partial

import numpy as np

from tests.models import model


def normal_cdf(x):
    """Abramowitz and Stegun 26.2.17, with the symmetry by np.where."""
    b = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
    a = np.where(x > 0, x, -x)
    t = 1 / (1 + 0.2316419 * a)
    poly = t * (b[0] + t * (b[1] + t * (b[2] + t * (b[3] + t * b[4]))))
    tail = np.exp(-a**2 / 2) / np.sqrt(2 * np.pi) * poly
    return np.where(x > 0, 1 - tail, tail)


@model(np.array([100.0, 0.25, 0.03]), np.array([80.0, 95.0, 120.0]), 0.75, "call")
def black_scholes(p, K, T, kind):
    S, sigma, r = p
    d1 = (np.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * np.sqrt(T))
    d2 = d1 - sigma * np.sqrt(T)
    if kind == "call":
        return S * normal_cdf(d1) - K * np.exp(-r * T) * normal_cdf(d2)
    return K * np.exp(-r * T) * normal_cdf(-d2) - S * normal_cdf(-d1)


@model(np.array([100.0, 0.25, 0.03]), 102.3, 10, smooth=False, analytic=False)
def binomial_tree(p, strike, n):
    """An American put: prices and values overwritten in place, backwards."""
    S, sigma, r = p[0], p[1], p[2]
    dt = 1.0 / n
    u = np.exp(sigma * np.sqrt(dt))
    q = (np.exp(r * dt) - 1 / u) / (u - 1 / u)
    disc = np.exp(-r * dt)
    price = np.zeros(n + 1)
    value = np.zeros(n + 1)
    for i in range(n + 1):
        price[i] = S * u**(2 * i - n)
        value[i] = np.maximum(strike - price[i], 0)
    for step in range(n - 1, -1, -1):
        for i in range(step + 1):
            price[i] = u * price[i]
            value[i] = np.maximum(disc * (q * value[i + 1] + (1 - q) * value[i]), strike - price[i])
    return value[0]


@model(np.array([100.0, 0.25, 0.03]), 102.3, 8, smooth=False, analytic=False, branches=True)
def binomial_tree_builtin_max(p, strike, n):
    S, sigma, r = p
    u = np.exp(sigma / n**0.5)
    q = (np.exp(r / n) - 1 / u) / (u - 1 / u)
    V = [max(0.0, strike - S * u**(2 * j - n)) for j in range(n + 1)]
    for m in range(n, 0, -1):
        V = [np.exp(-r / n) * (q * V[j + 1] + (1 - q) * V[j]) for j in range(m)]
    return V[0]


@model(np.array([0.03, 0.035, 0.05]), 5.0, 4)
def bond_yield_newton(rates, coupon, iterations):
    t = np.arange(1, 4)
    price = np.sum(coupon * np.exp(-rates * t)) + 100 * np.exp(-rates[-1] * 3)
    y = 0.04
    for _ in range(iterations):
        flows = np.full(3, coupon)
        flows[-1] += 100
        v = (flows * (1 + y)**-t).sum() - price
        dv = (-t * flows * (1 + y)**(-t - 1.0)).sum()
        y -= v / dv
    return y


@model(np.array([0.3, 0.5, 0.2]))
def portfolio_sharpe(w):
    returns = np.array([[0.01, 0.03, -0.02], [0.02, -0.01, 0.04], [-0.03, 0.02, 0.01], [0.04, 0.01, 0.00]])
    mean = returns.mean(axis=0)
    cov = np.cov(returns.T)
    w = w / np.sum(w)
    return (w @ mean) / np.sqrt(w.dot(cov).dot(w))


@model(np.array([0.05, 0.1, 0.8]), np.array([0.3, -1.1, 0.8, 0.1, -0.4]))
def garch_likelihood(p, r):
    omega, alpha, beta = p
    h = np.var(r)
    ll = 0.0
    for t in range(len(r)):
        if t > 0:
            h = omega + alpha * r[t - 1]**2 + beta * h
        ll += -0.5 * (np.log(2 * np.pi) + np.log(h) + r[t]**2 / h)
    return -ll


def discount(rate, tenor, compounding):
    return {"continuous": np.exp(-rate * tenor), "annual": (1 + rate)**-tenor}[compounding]


annual = partial(discount, compounding="annual")


@model(np.array([0.02, 0.03, 0.04]), np.array([1.0, 2.0, 5.0]))
def swap_curve(r, tenors):
    d = annual(r, tenors)
    accrual = np.diff(tenors, prepend=0)
    return (1 - d[-1]) / np.dot(accrual, d) + np.log(d / discount(r, tenors, "continuous")).sum()


@model(np.array([100.0, 0.3]), np.array([[0.3, -0.2, 1.1], [-0.8, 0.5, 0.1]]))
def asian_paths(p, z):
    """A pathwise Monte Carlo payoff with fixed draws."""
    dt = 1 / 3
    paths = p[0] * np.exp(np.cumsum((0.01 - 0.5 * p[1]**2) * dt + p[1] * np.sqrt(dt) * z, axis=1))
    average = paths.mean(axis=1)
    return np.mean(np.log1p(np.exp((average - 95) / 5))) * 5
