"""THE table: one row per elementwise primitive, as in the derivative table of a calculus book.

Owns: what the system knows of an elementwise operation: NumPy name, domain, partial derivatives, dtypes, conventions.
Must not know: the tape.  The heart imports this file, records each partial once and numbers the opcodes.
Adding a primitive is one row.  `python -m fastad.primitives` prints the table for the manual.
Next: rows.py (what a row can say), primitives_special.py (the rows of scipy.special), _kernels/layout.h (rows with a
kernel of our own), tests/test_primitives.py (each row against mpmath).
"""
from __future__ import annotations

import functools
import importlib
import math as _math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fastad import primitives_special  # noqa: F401 - adds its rows behind those below: see TABLE
from fastad.rows import (
    BRANCH,
    GE_ONE,
    GT_MINUS_ONE,
    INTEGER,
    INTEGER_AB,
    NONE,
    NONNEGATIVE,
    NONZERO,
    NONZERO_B,
    NUMPY_ROWS,
    POSITIVE,
    POWER,
    REAL,
    REAL_AB,
    SHIFT,
    SPECIAL_ROWS,
    UNIT,
    UNIT_OPEN,
    ZERO,
    ZERO_PARTIALS,
    Domain,
    Row,
    binary,
    ternary,
    unary,
)

__all__ = ["BY_NAME", "Domain", "Row", "TABLE", "derivative_text", "manual", "math_twins", "resolve",
           "refusal", "row_of_ufunc", "rows_of_results", "strongzero", "zeroproduct"]


# ---- derivatives that need more than a line -------------------------------------------------------------------------
# The docstring is what the manual prints.  A dangerous operand is replaced before it is used, not the result after:
# that way no floating-point flag is raised for a value that nobody sees.

def _power(a: Any, b: Any, y: Any) -> Any:
    """b * a**(b - 1), y * log(a)"""
    # only where a**-1 is not finite: elsewhere the zero b still has a derivative, that of the second order
    zero = a == 0
    flat = (b == 0) & np.logical_not(np.abs(a) > 1e-300)
    return (b * np.power(np.where(flat, 1.0, a), b - 1),
            np.where(zero, 0.0, y) * np.log(np.where(zero, 1.0, a)))


def _extremum(a: Any, b: Any, y: Any) -> Any:
    """1 where a is taken else 0, 1 where b is taken else 0"""
    # asked of the other operand: with y != the other one, a NaN is never mistaken for "not taken"
    tie = a == b
    return (np.where(tie, 0.5, np.where(b == y, 0.0, 1.0)),
            np.where(tie, 0.5, np.where(a == y, 0.0, 1.0)))


def _hypot(a: Any, b: Any, y: Any) -> Any:
    """a / y, b / y"""
    h = np.where(y == 0, 1.0, y)
    return a / h, b / h


def _arctan2(a: Any, b: Any, y: Any) -> Any:
    """b / (a*a + b*b), -a / (a*a + b*b)"""
    # by hypot: a*a + b*b overflows and underflows
    r = np.hypot(a, b)
    h = np.where(r == 0, _INF, r)        # with 1 the second derivatives at (0, 0) would not be symmetric
    return b / h / h, -a / h / h


def _logaddexp(a: Any, b: Any, y: Any) -> Any:
    """exp(a - y), exp(b - y)"""
    # by a - b, of which nothing is lost: y has been rounded, and of 1e8 that leaves the exponential eight digits
    low = y == -_INF
    return (np.exp(-np.logaddexp(0.0, np.where(low, _INF, b) - np.where(low, 0.0, a))),
            np.exp(-np.logaddexp(0.0, np.where(low, _INF, a) - np.where(low, 0.0, b))))


def _logaddexp2(a: Any, b: Any, y: Any) -> Any:
    """exp2(a - y), exp2(b - y)"""
    low = y == -_INF
    return (np.exp2(-np.logaddexp2(0.0, np.where(low, _INF, b) - np.where(low, 0.0, a))),
            np.exp2(-np.logaddexp2(0.0, np.where(low, _INF, a) - np.where(low, 0.0, b))))


def strongzero(w: Any, p: Any) -> Any:
    """Multiply an adjoint by a partial: 0 where w == 0, whatever p is, else w*p.  (Meaning, not kernel.)"""
    silent = np.equal(w, 0)
    return np.where(silent, 0.0, w * np.where(silent, 1.0, p))


def zeroproduct(w: Any, p: Any) -> Any:
    """Multiply, where a zero of either factor gives 0: derivatives of strong-zero products.  (Meaning, not kernel.)"""
    silent = np.logical_or(np.equal(w, 0), np.equal(p, 0))
    return np.where(silent, 0.0, np.where(silent, 1.0, w) * np.where(silent, 1.0, p))


_INF, _NAN = _math.inf, _math.nan
LN2, LOG2_E, LOG10_E = _math.log(2), 1 / _math.log(2), 1 / _math.log(10)
_ROUND = "fib" if "l->l" in np.floor.types or "q->q" in np.floor.types else "f"     # NumPy < 2.1 casts ints to float
_TIES = "ties split evenly; 1 in both where the result is nan"
_NAN_IGNORED = "ties split evenly; beside a nan the other operand gets everything"

# ---- the table ------------------------------------------------------------------------------------------------------
# name, NumPy ufunc, domain, partial derivatives (x or a, b: operands; y: the result)

binary("add", np.add, REAL_AB, lambda a, b, y: (1, 1), dtypes="fib")
binary("subtract", np.subtract, REAL_AB, lambda a, b, y: (1, -1), dtypes="fi")
binary("multiply", np.multiply, REAL_AB, lambda a, b, y: (b, a), dtypes="fib")
binary("divide", np.divide, NONZERO_B, lambda a, b, y: (1/b, -y/b))
binary("power", np.power, POWER, _power, dtypes="fi", foreign="i", math="pow", ulp=1.0,
       kinks="in a: 0 where b == 0; in b: 0 where a == 0, nan where a < 0",
       at={(0.0, 0.0): (0.0, 0.0), (0.0, 2.0): (0.0, 0.0), (0.0, 1.0): (1.0, 0.0), (0.0, 0.5): (_INF, 0.0),
           (0.0, -1.0): (-_INF, 0.0), (_NAN, 0.0): (0.0, _NAN), (_INF, 0.0): (0.0, _INF),
           (-2.0, 3.0): (12.0, _NAN), (-2.0, 0.0): (0.0, _NAN)})
binary("float_power", np.float_power, POWER, _power, kinks="as power",
       at={(0.0, 0.0): (0.0, 0.0), (0.0, 2.0): (0.0, 0.0), (0.0, -1.0): (-_INF, 0.0), (-2.0, 3.0): (12.0, _NAN)})
binary("floor_divide", np.floor_divide, NONZERO_B, ZERO, dtypes="fi", at={(6.0, 3.0): (0.0, 0.0)})
binary("remainder", np.remainder, NONZERO_B, lambda a, b, y: (1, -np.floor_divide(a, b)), dtypes="fi", math="",
       kinks="the jumps are not seen; the quotient is NumPy's own: floor(1/0.1) is 10, but 1 // 0.1 is 9",
       at={(6.0, 3.0): (1.0, -2.0), (-7.0, 3.0): (1.0, 3.0), (7.0, -3.0): (1.0, 3.0), (1.0, 0.1): (1.0, -9.0)})
binary("fmod", np.fmod, NONZERO_B, lambda a, b, y: (1, -np.rint((a - y)/b)), dtypes="fi",
       kinks="the jumps are not seen", source="a = y + b*trunc(a/b), and trunc(a/b) is one too many at 1 and 0.1",
       at={(6.0, 3.0): (1.0, -2.0), (-7.0, 3.0): (1.0, 2.0), (7.0, -3.0): (1.0, 2.0), (1.0, 0.1): (1.0, -9.0)})

unary("negative", np.negative, REAL, lambda x, y: -1, dtypes="fi")
unary("positive", np.positive, REAL, lambda x, y: 1, dtypes="fi")
unary("absolute", np.absolute, REAL, lambda x, y: np.sign(x), dtypes="fib", kinks="0 at 0", at={0.0: 0.0})
unary("fabs", np.fabs, REAL, lambda x, y: np.sign(x), kinks="0 at 0", at={0.0: 0.0})
unary("sign", np.sign, REAL, ZERO, dtypes="fi", at={0.0: 0.0})
binary("copysign", np.copysign, REAL_AB, lambda a, b, y: (np.sign(a)*np.copysign(1.0, b), 0),
       kinks="0 where a == 0; in b: 0 at the jump too", at={(0.0, -3.0): (0.0, 0.0), (-2.0, -0.0): (1.0, 0.0)})
binary("heaviside", np.heaviside, REAL_AB, lambda a, b, y: (0, np.where(a == 0, 1.0, 0.0)),
       kinks="in a: 0 at the jump too", at={(0.0, 0.5): (0.0, 1.0), (1.0, 0.5): (0.0, 0.0)})

unary("exp", np.exp, REAL, lambda x, y: y, ulp=1.0)
unary("expm1", np.expm1, REAL, lambda x, y: y + 1, abserr=3e-16, ulp=1.0)
unary("exp2", np.exp2, REAL, lambda x, y: y*LN2)
unary("log", np.log, POSITIVE, lambda x, y: 1/x, ulp=1.0)
unary("log1p", np.log1p, GT_MINUS_ONE, lambda x, y: 1/(1 + x), ulp=1.0)
unary("log2", np.log2, POSITIVE, lambda x, y: LOG2_E/x)
unary("log10", np.log10, POSITIVE, lambda x, y: LOG10_E/x)
binary("logaddexp", np.logaddexp, REAL_AB, _logaddexp, kinks="0 where both operands are -inf",
       at={(-_INF, -_INF): (0.0, 0.0), (-_INF, 1.0): (0.0, 1.0), (1e4, -1e4): (1.0, 0.0), (1e20, 1e20): (0.5, 0.5)})
binary("logaddexp2", np.logaddexp2, REAL_AB, _logaddexp2, kinks="0 where both operands are -inf",
       at={(-_INF, -_INF): (0.0, 0.0), (1.0, -_INF): (1.0, 0.0), (1e4, -1e4): (1.0, 0.0), (1e20, 1e20): (0.5, 0.5)})

unary("sqrt", np.sqrt, NONNEGATIVE, lambda x, y: 0.5/y, kinks="inf at 0 (a zero adjoint stays zero)", at={0.0: _INF})
unary("cbrt", np.cbrt, REAL, lambda x, y: 1/(3*y*y), kinks="inf at 0 (a zero adjoint stays zero)", at={0.0: _INF})
unary("square", np.square, REAL, lambda x, y: 2*x, dtypes="fi")
unary("reciprocal", np.reciprocal, NONZERO, lambda x, y: -y*y, dtypes="fi")
binary("hypot", np.hypot, REAL_AB, _hypot, kinks="0 at (0, 0)", at={(0.0, 0.0): (0.0, 0.0), (0.0, -2.0): (0.0, -1.0)})

unary("sin", np.sin, REAL, lambda x, y: np.cos(x), ulp=1.0)
unary("cos", np.cos, REAL, lambda x, y: -np.sin(x), ulp=1.0)
unary("tan", np.tan, REAL, lambda x, y: 1 + y*y)
unary("arcsin", np.arcsin, UNIT, lambda x, y: 1/np.sqrt((1 - x)*(1 + x)), math="asin",
      kinks="inf at -1 and 1", at={1.0: _INF, -1.0: _INF})
unary("arccos", np.arccos, UNIT, lambda x, y: -1/np.sqrt((1 - x)*(1 + x)), math="acos",
      kinks="-inf at -1 and 1", at={1.0: -_INF, -1.0: -_INF})
unary("arctan", np.arctan, REAL, lambda x, y: 1/(1 + x*x), math="atan")
binary("arctan2", np.arctan2, REAL_AB, _arctan2, math="atan2", kinks="0 at (0, 0)", ulp=1.0,
       at={(0.0, 0.0): (0.0, 0.0), (0.0, -2.0): (-0.5, 0.0), (0.0, 1e-200): (1e200, 0.0)})
unary("sinh", np.sinh, REAL, lambda x, y: np.cosh(x))
unary("cosh", np.cosh, REAL, lambda x, y: np.sinh(x))
unary("tanh", np.tanh, REAL, lambda x, y: 1 - y*y, abserr=4e-16, ulp=1.0)
unary("arcsinh", np.arcsinh, REAL, lambda x, y: 1/np.hypot(1.0, x), math="asinh")
unary("arccosh", np.arccosh, GE_ONE, lambda x, y: 1/(np.sqrt(x - 1)*np.sqrt(x + 1)), math="acosh",
      kinks="inf at 1", at={1.0: _INF})
unary("arctanh", np.arctanh, UNIT_OPEN, lambda x, y: 1/((1 - x)*(1 + x)), math="atanh")
unary("deg2rad", np.deg2rad, REAL, lambda x, y: np.pi/180, math="radians", also=(np.radians,))
unary("rad2deg", np.rad2deg, REAL, lambda x, y: 180/np.pi, math="degrees", also=(np.degrees,))

binary("maximum", np.maximum, REAL_AB, _extremum, dtypes="fib", kinks=_TIES,
       at={(2.0, 2.0): (0.5, 0.5), (_NAN, 2.0): (1.0, 1.0), (2.0, _NAN): (1.0, 1.0), (0.0, -0.0): (0.5, 0.5)})
binary("minimum", np.minimum, REAL_AB, _extremum, dtypes="fib", kinks=_TIES,
       at={(2.0, 2.0): (0.5, 0.5), (_NAN, 2.0): (1.0, 1.0), (2.0, _NAN): (1.0, 1.0), (_INF, _INF): (0.5, 0.5)})
binary("fmax", np.fmax, REAL_AB, _extremum, dtypes="fib", kinks=_NAN_IGNORED,
       at={(2.0, 2.0): (0.5, 0.5), (_NAN, 2.0): (0.0, 1.0), (2.0, _NAN): (1.0, 0.0)})
binary("fmin", np.fmin, REAL_AB, _extremum, dtypes="fib", kinks=_NAN_IGNORED,
       at={(2.0, 2.0): (0.5, 0.5), (_NAN, 2.0): (0.0, 1.0), (2.0, _NAN): (1.0, 0.0)})

unary("floor", np.floor, REAL, ZERO, dtypes=_ROUND, math="", at={2.0: 0.0})         # math.floor gives an int
unary("ceil", np.ceil, REAL, ZERO, dtypes=_ROUND, math="", at={2.0: 0.0})
unary("trunc", np.trunc, REAL, ZERO, dtypes=_ROUND, math="", at={2.0: 0.0})
unary("rint", np.rint, REAL, ZERO, at={0.5: 0.0})

binary("equal", np.equal, REAL_AB, NONE, dtypes="fib", result="bool")
binary("not_equal", np.not_equal, REAL_AB, NONE, dtypes="fib", result="bool")
binary("less", np.less, REAL_AB, NONE, dtypes="fib", result="bool")
binary("less_equal", np.less_equal, REAL_AB, NONE, dtypes="fib", result="bool")
binary("greater", np.greater, REAL_AB, NONE, dtypes="fib", result="bool")
binary("greater_equal", np.greater_equal, REAL_AB, NONE, dtypes="fib", result="bool")
binary("logical_and", np.logical_and, REAL_AB, NONE, dtypes="fib", result="bool")
binary("logical_or", np.logical_or, REAL_AB, NONE, dtypes="fib", result="bool")
binary("logical_xor", np.logical_xor, REAL_AB, NONE, dtypes="fib", result="bool")
unary("logical_not", np.logical_not, REAL, NONE, dtypes="fib", result="bool")
unary("isnan", np.isnan, REAL, NONE, dtypes="fib", result="bool")
unary("isfinite", np.isfinite, REAL, NONE, dtypes="fib", result="bool")
unary("isinf", np.isinf, REAL, NONE, dtypes="fib", result="bool")
unary("signbit", np.signbit, REAL, NONE, result="bool")
binary("bitwise_and", np.bitwise_and, INTEGER_AB, NONE, dtypes="ib")
binary("bitwise_or", np.bitwise_or, INTEGER_AB, NONE, dtypes="ib")
binary("bitwise_xor", np.bitwise_xor, INTEGER_AB, NONE, dtypes="ib")
unary("invert", np.invert, INTEGER, NONE, dtypes="ib")
binary("left_shift", np.left_shift, SHIFT, NONE, dtypes="i")
binary("right_shift", np.right_shift, SHIFT, NONE, dtypes="i")

ternary("where", np.where, BRANCH, NONE, dtypes="fib", own=True, rule="select",
        kinks="selects: the branch not taken gets 0, whatever its partials are")
binary("strongzero", strongzero, REAL_AB, lambda a, b, y: (b, a), own=True, rule="bilinear",
       kinks="0 where a == 0, whatever b is")
binary("zeroproduct", zeroproduct, REAL_AB, lambda a, b, y: (b, a), own=True, rule="bilinear",
       kinks="0 where a == 0 or b == 0, whatever the other one is")

TABLE: tuple[Row, ...] = (*NUMPY_ROWS, *SPECIAL_ROWS)
BY_NAME: dict[str, Row] = {row.name: row for row in TABLE}


# ---- lookups --------------------------------------------------------------------------------------------------------

_by_ufunc: dict[Any, Row] = {u: row for row in TABLE if not isinstance(row.ufunc, str)
                             for u in (row.ufunc, *row.also)}
_late = [row for row in TABLE if isinstance(row.ufunc, str)]
_by_late_name: dict[str, Row] = {row.ufunc.partition(":")[2]: row for row in _late if not row.signature}
_results: dict[str, list[Row]] = {}      # ufuncs whose results are rows of their own
for _r in _late:
    if _r.signature:
        _results.setdefault(_r.ufunc.partition(":")[2], []).append(_r)


def row_of_ufunc(ufunc: Any) -> Row | None:
    """Find the row of a ufunc object; None if the table has none.

    Imports nothing: whoever holds a ufunc of another package has imported that package.
    """
    row = _by_ufunc.get(ufunc)
    if row is None:
        late = _by_late_name.get(getattr(ufunc, "__name__", ""))
        if late is not None:
            if _is_late(late, ufunc):
                row = _by_ufunc[ufunc] = late
    return row


def _is_late(row: Row, ufunc: Any) -> bool:
    module, _, attribute = row.ufunc.partition(":")
    return getattr(sys.modules.get(module), attribute, None) is ufunc


def rows_of_results(ufunc: Any) -> list[Row]:
    """The rows of a ufunc with several results, or with integer or complex operands; [] if it has none."""
    rows = _results.get(getattr(ufunc, "__name__", ""), [])
    return rows if rows and _is_late(rows[0], ufunc) else []


def resolve(row: Row) -> Any:
    """Return the ufunc object of a row, or what plays its part; imports its package if it has to."""
    if not isinstance(row.ufunc, str):
        return row.ufunc
    module, _, attribute = row.ufunc.partition(":")
    ufunc = getattr(importlib.import_module(module), attribute)
    if row.signature:
        return Adapted(row, ufunc)
    _by_ufunc[ufunc] = row
    return ufunc


class Adapted:
    """A ufunc of another signature as one of float64 operands and one float64 result: what adapted.h does, in NumPy."""

    def __init__(self, row: Row, ufunc: Any) -> None:
        self.row, self.ufunc = row, ufunc
        self.nin, self.nout, self.__name__ = row.arity, 1, row.name
        self.types = ["d" * row.arity + "->d"]

    def __call__(self, *operands: Any) -> Any:
        kinds, _, results = self.row.signature.partition("->")
        constants, given = dict(self.row.constants), list(operands)
        inner: list[Any] = []
        for k, kind in enumerate(kinds):
            x = constants[k] if k in constants else np.asarray(given.pop(0), float)
            inner.append(np.asarray(x).astype({"l": "l", "L": "l", "z": "D"}.get(kind, "d")))
        y = self.ufunc(*inner)
        y = y[self.row.output] if isinstance(y, tuple) else y
        return (np.real(y) if results[self.row.output] == "z" else np.asarray(y))[()]


def refusal(row: Row, operand: int) -> str:
    """Why there is no derivative of a row by one of its operands, and what to do."""
    why = dict(row.refused)[operand]
    name = row.name if not isinstance(row.ufunc, str) else row.ufunc.replace("._ufuncs:_", ".").replace(":", ".")
    return (f"{name}: operand {operand} depends on what is differentiated, but {why}. Where it is a constant, pass "
            "ad.stop_gradient(value), or leave it out of argnums; else wrap the function and its derivative with "
            "ad.primitive")


def math_twins() -> dict[Callable[..., Any], Row]:
    """Map each function of `math` that means the same as a row to that row.

    `math.floor`, `ceil` and `trunc` are absent because they give Python integers, `math.remainder` because it rounds
    the quotient to the nearest; `math.hypot` and `math.log` are twins for as many arguments as the row has.
    """
    return {getattr(_math, row.math): row for row in TABLE if row.math}


# ---- the manual -----------------------------------------------------------------------------------------------------

def derivative_text(row: Row) -> str:
    """Return the derivative of a row in words: the source of its lambda, or the docstring of its function."""
    if row.rule == "select":
        return "selects"
    if row.partials is None:
        return "none"
    if row.partials in ZERO_PARTIALS.values():
        return "0"
    if row.partials.__doc__:
        return row.partials.__doc__.strip()
    return re.sub(r"\b(np|S)\.|\b_(?=[a-z])", "", _lambda_body(row.partials)).replace("_NAN", "-")


def _lambda_body(function: Callable[..., Any]) -> str:
    code = function.__code__
    body = _lambda_bodies(code.co_filename).get(code.co_firstlineno)
    if body is None:
        raise LookupError(f"no lambda at {code.co_filename}:{code.co_firstlineno}; is the source file there?")
    return body


@functools.cache
def _lambda_bodies(filename: str) -> dict[int, str]:
    """Map a line number to the body of the lambda that begins there."""
    import ast
    import linecache

    tree = ast.parse("".join(linecache.getlines(filename)))
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    lambdas.sort(key=lambda node: -node.col_offset)         # of several in a line the first one counts
    return {node.lineno: ", ".join(map(ast.unparse, node.body.elts)) if isinstance(node.body, ast.Tuple)
            else ast.unparse(node.body) for node in lambdas}


def manual() -> str:
    """Return the table as Markdown, for the documentation."""
    kinds = {"f": "float", "i": "int", "b": "bool"}
    lines = ["| primitive | domain | derivative (x or a, b: operands; y: result) | convention | operands |",
             "|---|---|---|---|---|"]
    for row in TABLE:
        name = row.name if not isinstance(row.ufunc, str) else row.ufunc.replace(":", ".")
        twin = f" (`math.{row.math}`)" if row.math and row.math != row.name else ""
        cells = (f"`{name}`{twin}", row.domain.text, f"`{derivative_text(row)}`", row.kinks,
                 ", ".join(kinds[k] for k in row.dtypes))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(manual(), end="")
