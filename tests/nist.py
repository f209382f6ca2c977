"""The 27 nonlinear regression sets of NIST's StRD: models in plain NumPy, data, certified answers, and a judge.

Owns: `MODELS`, `SETS`, `runs` (both starts of every set), `digits` (how many agree with a certified number) and
docs/nist.md, which ``python -m tests.nist`` writes.
Must not know: how a fit is made; it is given one.  No setting is chosen for a single set.
Next: test_nist.py (the levels), benchmarks/cases/nist.py (the time), data/nist_strd.json (numbers, source, licence).
"""
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = json.loads((Path(__file__).parent / "data" / "nist_strd.json").read_text())


# ---- the models, as a user writes them -------------------------------------------------------------------------------

def bennett(x, b1, b2, b3):
    return b1 * (b2 + x)**(-1 / b3)


def saturating(x, b1, b2):
    return b1 * (1 - np.exp(-b2 * x))


def misra1b(x, b1, b2):
    return b1 * (1 - (1 + b2 * x / 2)**-2)


def misra1c(x, b1, b2):
    return b1 * (1 - (1 + 2 * b2 * x)**-0.5)


def misra1d(x, b1, b2):
    return b1 * b2 * x * (1 + b2 * x)**-1


def chwirut(x, b1, b2, b3):
    return np.exp(-b1 * x) / (b2 + b3 * x)


def power(x, b1, b2):
    return b1 * x**b2


def enso(x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
    year = b2 * np.cos(2 * np.pi * x / 12) + b3 * np.sin(2 * np.pi * x / 12)
    slow = b5 * np.cos(2 * np.pi * x / b4) + b6 * np.sin(2 * np.pi * x / b4)
    fast = b8 * np.cos(2 * np.pi * x / b7) + b9 * np.sin(2 * np.pi * x / b7)
    return b1 + year + slow + fast


def eckerle(x, b1, b2, b3):
    return b1 / b2 * np.exp(-0.5 * ((x - b3) / b2)**2)


def gauss(x, b1, b2, b3, b4, b5, b6, b7, b8):
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-(x - b4)**2 / b5**2) + b6 * np.exp(-(x - b7)**2 / b8**2)


def cubic_over_cubic(x, b1, b2, b3, b4, b5, b6, b7):
    return (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)


def kirby(x, b1, b2, b3, b4, b5):
    return (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2)


def lanczos(x, b1, b2, b3, b4, b5, b6):
    return b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)


def mgh09(x, b1, b2, b3, b4):
    return b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4)


def mgh10(x, b1, b2, b3):
    return b1 * np.exp(b2 / (x + b3))


def mgh17(x, b1, b2, b3, b4, b5):
    return b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5)


def nelson(x, b1, b2, b3):
    """For the logarithm of the response; x holds two predictors."""
    return b1 - b2 * x[0] * np.exp(-b3 * x[1])


def rat42(x, b1, b2, b3):
    return b1 / (1 + np.exp(b2 - b3 * x))


def rat43(x, b1, b2, b3, b4):
    return b1 / (1 + np.exp(b2 - b3 * x))**(1 / b4)


def roszman(x, b1, b2, b3, b4):
    return b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi


MODELS = {
    "Bennett5": bennett, "BoxBOD": saturating, "Chwirut1": chwirut, "Chwirut2": chwirut, "DanWood": power, "ENSO": enso,
    "Eckerle4": eckerle, "Gauss1": gauss, "Gauss2": gauss, "Gauss3": gauss, "Hahn1": cubic_over_cubic, "Kirby2": kirby,
    "Lanczos1": lanczos, "Lanczos2": lanczos, "Lanczos3": lanczos, "MGH09": mgh09, "MGH10": mgh10, "MGH17": mgh17,
    "Misra1a": saturating, "Misra1b": misra1b, "Misra1c": misra1c, "Misra1d": misra1d, "Nelson": nelson, "Rat42": rat42,
    "Rat43": rat43, "Roszman1": roszman, "Thurber": cubic_over_cubic,
}


# ---- data and judgement ----------------------------------------------------------------------------------------------

def prepared(name):
    """One set: model f, x, y, starts, certified parameters, their standard deviations, residual sum of squares."""
    entry = DATA["sets"][name]
    y, *predictors = map(np.array, entry["columns"])
    return SimpleNamespace(
        name=name, level=entry["level"], f=MODELS[name],
        x=predictors[0] if len(predictors) == 1 else np.array(predictors),
        y=np.log(y) if entry["response"] == "log(y)" else y, starts=entry["starts"],
        parameters=np.array(entry["certified"]), deviations=np.array(entry["standard_deviations"]), rss=entry["rss"],
        dof=entry["dof"])


SETS = {name: prepared(name) for name in MODELS}


def runs():
    """(set, number of the start, start) of all 54 runs."""
    return [(SETS[name], k + 1, start) for name in MODELS for k, start in enumerate(SETS[name].starts)]


def digits(found, certified):
    """Digits of the worst entry that agree, -log10 of its relative error; 11 at most, as NIST gives no more."""
    found, certified = np.asarray(found), np.asarray(certified)
    if not np.all(np.isfinite(found)):
        return 0.0
    error = np.max(np.abs(found - certified) / np.abs(certified))
    return 11.0 if error == 0.0 else float(np.clip(-np.log10(error), 0.0, 11.0))


# ---- the table -------------------------------------------------------------------------------------------------------

HEAD = """# NIST's certified fits

`make nist` writes this page: the 27 nonlinear regression problems of NIST's
[Statistical Reference Datasets](https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml), each from both of its starts,
through `fastad.optimize.curve_fit(f, x, y, p0)` with no other argument. The models are plain NumPy
([tests/nist.py](../tests/nist.py)); no setting is chosen for a single problem. NIST certifies 11 digits, computed in
extended precision.

Digits are -log10 of the relative error of the worst parameter, of the worst standard deviation, and of the residual sum
of squares; 11 where all agree. SciPy: the digits of the parameters by `scipy.optimize.curve_fit(f, x, y, p0)` with its
default method, differences for derivatives, and as many evaluations as it likes; "fails" where it raises an error.

"""
COLUMNS = ("problem", "level", "start", "parameters", "standard deviations", "sum of squares", "evaluations",
           "Jacobians", "condition", "SciPy")
FOOT = """
{six} of 54 runs have at least 6 digits in every parameter, {eight} at least 8, {ten} at least 10; SciPy's
`curve_fit`: {scipy_six}, {scipy_eight} and {scipy_ten}.

* **Lanczos1** was made to 14 digits by an exact sum of exponentials, so its certified sum of squares, 1.43e-25, and the
  standard deviations that come from it, are rounding of the data; doubles resolve 4e-21.
* **condition** is that of the Jacobian with columns scaled to length one.
* A solution is refined until the residuals are orthogonal to the Jacobian, which no comparison of sums of squares
  shows: for ENSO these agree to rounding while its parameters still differ in the seventh digit.
"""


def scipy_digits(case, start):
    """Digits of SciPy's own answer; None where it gives none."""
    import scipy.optimize
    try:
        return digits(scipy.optimize.curve_fit(case.f, case.x, case.y, start, maxfev=100_000)[0], case.parameters)
    except RuntimeError:
        return None


def table():
    """docs/nist.md as text."""
    from fastad import optimize
    lines, ours, theirs = [], [], []
    for case, k, start in runs():
        fit, scipys = optimize.curve_fit(case.f, case.x, case.y, start), scipy_digits(case, start)
        found = [digits(fit.x, case.parameters), digits(fit.stderr, case.deviations), digits([fit.chi2], [case.rss])]
        ours.append(found[0])
        theirs.append(scipys or 0.0)
        lines.append([case.name, case.level.lower(), k, *[f"{d:.1f}" for d in found], fit.nfev, fit.njev,
                      f"{fit.condition:.1e}", "fails" if scipys is None else f"{scipys:.1f}"])
    counts = {f"{who}{name}": sum(d >= least for d in found) for who, found in (("", ours), ("scipy_", theirs))
              for name, least in (("six", 6), ("eight", 8), ("ten", 10))}
    rows = [f"| {' | '.join(map(str, line))} |" for line in (COLUMNS, ["---"] * len(COLUMNS), *lines)]
    return HEAD + "\n".join(rows) + "\n" + FOOT.format(**counts)


def main():
    import warnings
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")      # trial points overflow; SciPy's covariances are its own business
        text = table()
    (ROOT / "docs" / "nist.md").write_text(text)
    print(text[text.index("| problem"):].partition("\n\n* ")[0])


if __name__ == "__main__":
    main()
