"""scipy_manual.py - docs/scipy.md: what of SciPy records, made from the rules and from the list of tested families.

Owns: the list of families of scipy.stats with the methods that are tested (tests/test_scipy_stats.py), and the page.
`python -m fastad.scipy_manual` prints it.  Must not know: how anything is recorded.  Next: scipy_doors.py (RULES).
"""
from __future__ import annotations

import importlib

from fastad import scipy_doors

# Methods of scipy.stats' families: pdf stands for pdf and logpdf (pmf and logpmf), cdf for cdf, sf, logcdf and logsf,
# ppf for ppf and isf.  All by x, loc, scale and shapes; with a star not by shapes.
FAMILIES = {
    "pdf cdf ppf": """
        alpha anglit arcsine bradford burr burr12 cauchy crystalball dweibull expon exponpow exponweib fatiguelife fisk
        genexpon genextreme genhalflogistic genlogistic genpareto gibrat gompertz gumbel_l gumbel_r halfcauchy
        halflogistic halfnorm hypsecant invweibull johnsonsb johnsonsu laplace levy levy_l logistic loglaplace lognorm
        loguniform lomax maxwell mielke moyal norm pareto powerlaw powerlognorm powernorm rayleigh reciprocal
        semicircular skewcauchy trapezoid triang truncexpon truncnorm truncweibull_min uniform weibull_max weibull_min
        wrapcauchy""",
    "pdf cdf": """argus dpareto_lognorm exponnorm foldcauchy foldnorm invgauss laplace_asymmetric recipinvgauss wald""",
    "pdf cdf* ppf*": """
        beta chi chi2 dgamma f gamma gengamma gennorm halfgennorm invgamma jf_skew_t loggamma nakagami pearson3 rdist
        t""",
    "pdf": """cosine norminvgauss rel_breitwigner rice skewnorm vonmises vonmises_line""",
}
DISCRETE = {
    "pdf cdf": """bernoulli binom boltzmann dlaplace geom planck poisson yulesimon""",
    "pdf": """betabinom betanbinom logser nbinom""",
}

_HEAD = """# SciPy

What of SciPy is recorded when unmodified code calls it, beside [special functions](special_functions.md), and by which
of its arguments there are derivatives. Any way of importing works (`from scipy.stats import norm`). This page is
printed by `python -m fastad.scipy_manual`, from the rules that record.

What is not listed is an error at the line that calls it; it never gives a wrong number. Functions that take the user's
function (solvers, quadrature) work as long as nothing depends on what is differentiated.
"""
_STATS = """
## scipy.stats

`pdf`, `logpdf`, `cdf`, `sf`, `logcdf`, `logsf`, `ppf`, `isf` (`pmf`, `logpmf` of discrete families) of these families,
frozen or not, compute by SciPy's own formula of the family. Values are SciPy's outside of the support (0, -inf) and
for parameters that are not valid (nan), too. Samples by `rvs` with a fixed `random_state` have derivatives by loc
and scale; `multivariate_normal.logpdf` and `pdf` by points and mean.

| by x, loc, scale, shapes | by x, loc, scale only | families |
|---|---|---|
"""


def rows(table: dict[str, str], discrete: bool) -> list[str]:
    """Lines of the table of families."""
    out = []
    for methods, names in table.items():
        spelled = {"pdf": "pmf" if discrete else "pdf", "cdf": "cdf", "ppf": "ppf"}
        full = ", ".join(spelled[m] for m in methods.split() if m in spelled)
        part = ", ".join(m.rstrip("*") for m in methods.split() if m.endswith("*"))
        out.append(f"| {full} | {part or '-'} | {', '.join(f'`{name}`' for name in names.split())} |\n")
    return out


def manual() -> str:
    """The page."""
    for room in {room for rooms in scipy_doors.ROOMS.values() for room in rooms}:
        importlib.import_module(f"fastad.{room}")
    from fastad import scipy_refused, scipy_sparse_solvers
    tables = (scipy_refused.CALLING, scipy_refused.OF_ARRAYS, {"scipy.sparse.linalg": scipy_sparse_solvers.REFUSED})
    refused = {(module, name) for table in tables for module, names in table.items() for name in names}
    lines = [_HEAD, _STATS, *rows(FAMILIES, False), *rows(DISCRETE, True)]
    for module in ("scipy.integrate", "scipy.interpolate", "scipy.ndimage", "scipy.signal", "scipy.spatial.distance",
                   "scipy.sparse", "scipy.sparse.linalg"):
        lines.append(f"\n## {module}\n\n")
        for name, rule in sorted(scipy_doors.RULES[module].items()):
            text = (rule.record.__doc__ or "").strip().partition("\n")[0]
            if (module, name) not in refused and not text.startswith("Refused"):
                spelled = name.removesuffix(".__init__")
                for method, written in ((".__call__", "(x)"), (".__setitem__", "[i, j] = x")):
                    spelled = spelled.replace(method, written)
                lines.append(f"* `{spelled}`: {text}\n")
    lines.append("\n## Refused, and what to write instead\n\n")
    for table in tables:
        for module, names in table.items():
            for remedy in dict.fromkeys(names.values()):
                which = [name.removesuffix(".__init__") for name in names if names[name] == remedy
                         and not name.endswith("__call__")]
                lines.append(f"* {module}: {', '.join(f'`{name}`' for name in which)}: {remedy}.\n")
    return "".join(lines)


if __name__ == "__main__":
    print(manual(), end="")
