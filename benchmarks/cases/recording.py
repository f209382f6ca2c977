"""Recording one operation: a scalar operator, a ufunc on a scalar, an operation on a small array.

Stresses the dispatch from Python's operators and NumPy's protocols to one instruction, and the growth of the buffers.
Every loop runs on plain numbers and on traced ones in turns, in two copies of its code (see `harness.twin`).
"""
import math
from collections.abc import Callable
from time import perf_counter

import numpy as np

import fastad as ad
from benchmarks.harness import Seconds, twin

UNROLLED = 10       # operations in one turn of a loop: dilutes the cost of looping


def nothing(x):
    return x[0]


def add(a, b, n):
    for _ in range(n):
        a = a + b + b + b + b + b + b + b + b + b + b
    return a


def subtract(a, b, n):
    for _ in range(n):
        a = a - b - b - b - b - b - b - b - b - b - b
    return a


def multiply(a, b, n):
    for _ in range(n):
        a = a * b * b * b * b * b * b * b * b * b * b
    return a


def divide(a, b, n):
    for _ in range(n):
        a = a / b / b / b / b / b / b / b / b / b / b
    return a


def constants(a, b, n):
    for _ in range(n):
        a = 1.25 * (0.5 + 0.75 * (1.5 + 0.3 * (0.25 + 0.5 * (0.125 + 0.5 * (a + 0.1)))))
    return a


def squares(a, b, n):
    for _ in range(n):
        a ** 2, a ** 2, a ** 2, a ** 2, a ** 2, a ** 2, a ** 2, a ** 2, a ** 2, a ** 2
    return a ** 2


def compare(a, b, n):
    for _ in range(n):
        if a > b or a > b or a > b or a > b or a > b or a > b or a > b or a > b or a > b or a > b:
            return b
    return a


def sines(a, b, n):
    f = np.sin
    for _ in range(n):
        a = f(f(f(f(f(f(f(f(f(f(a))))))))))
    return a


def exponentials(a, b, n):
    f = np.exp
    for _ in range(n):
        f(a), f(a), f(a), f(a), f(a), f(a), f(a), f(a), f(a), f(a)
    return f(a)


def math_sines(a, b, n):
    f = math.sin
    for _ in range(n):
        a = f(f(f(f(f(f(f(f(f(f(a))))))))))
    return a


def elements(x, b, n):
    a = x[0]
    for _ in range(n):
        x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9]
    return a


def array_add(a, b, n):
    for _ in range(n):
        a + b, a + b, a + b, a + b, a + b, a + b, a + b, a + b, a + b, a + b
    return (a + b).sum()


def array_multiply(a, b, n):
    for _ in range(n):
        a * b, a * b, a * b, a * b, a * b, a * b, a * b, a * b, a * b, a * b
    return (a * b).sum()


def array_exp(a, b, n):
    f = np.exp
    for _ in range(n):
        f(a), f(a), f(a), f(a), f(a), f(a), f(a), f(a), f(a), f(a)
    return f(a).sum()


def array_slice(a, b, n):
    for _ in range(n):
        a[1:], a[1:], a[1:], a[1:], a[1:], a[1:], a[1:], a[1:], a[1:], a[1:]
    return a[1:].sum()


def element_write(x, b, n):
    y, s = np.zeros(10), x[0]
    for _ in range(n):
        y[0] = y[1] = y[2] = y[3] = y[4] = y[5] = y[6] = y[7] = y[8] = y[9] = s
    return y.sum()


def array_sum(a, b, n):
    for _ in range(n):
        a.sum(), a.sum(), a.sum(), a.sum(), a.sum(), a.sum(), a.sum(), a.sum(), a.sum(), a.sum()
    return a.sum()


def array_dot(a, b, n):
    for _ in range(n):
        a @ b, a @ b, a @ b, a @ b, a @ b, a @ b, a @ b, a @ b, a @ b, a @ b
    return a @ b


def array_where(a, b, n):
    f, c = np.where, a > 0.5
    for _ in range(n):
        f(c, a, b), f(c, a, b), f(c, a, b), f(c, a, b), f(c, a, b)
        f(c, a, b), f(c, a, b), f(c, a, b), f(c, a, b), f(c, a, b)
    return f(c, a, b).sum()


def array_gather(a, b, n):
    s, f = (a[0], a[1]), np.array
    for _ in range(n):
        f(s), f(s), f(s), f(s), f(s), f(s), f(s), f(s), f(s), f(s)
    return f(s).sum()


def array_concatenate(a, b, n):
    s, f = (a, b), np.concatenate
    for _ in range(n):
        f(s), f(s), f(s), f(s), f(s), f(s), f(s), f(s), f(s), f(s)
    return f(s).sum()


def slice_update(a, b, n):
    y = a * 1.0
    for _ in range(n):
        y[1:] += b[1:]; y[1:] += b[1:]; y[1:] += b[1:]; y[1:] += b[1:]; y[1:] += b[1:]     # noqa: E702
        y[1:] += b[1:]; y[1:] += b[1:]; y[1:] += b[1:]; y[1:] += b[1:]; y[1:] += b[1:]     # noqa: E702
    return y.sum()


def in_long_function(lines=500):
    """`array_add` at the head of a function of many lines: what is held of a place must not cost its length."""
    tail = "".join(f"    unused{k} = {k}.5 if n < 0 else b\n" for k in range(lines))
    source = f"def array_add_long(a, b, n):\n    for _ in range(n):\n        {', '.join(['a + b'] * UNROLLED)}\n"
    names: dict[str, Callable] = {}
    exec(source + tail + "    return (a + b).sum()\n", names)
    return names["array_add_long"]


def per_operation(bench, loop, a, b, n, held=True):
    """Seconds per operation, (traced, plain), after checking that both compute the same.

    `held`: each operation must be an instruction, so that nothing was saved by leaving it out.
    """
    traced_loop, spent = twin(loop), []

    def program(a, b):
        start = perf_counter()
        result = traced_loop(a, b, n)
        spent.append(perf_counter() - start)
        return result

    def traced():
        ad.record(program, a, b)
        return Seconds(spent.pop())

    def plain():
        start = perf_counter()
        loop(a, b, n)
        return Seconds(perf_counter() - start)

    tape = ad.record(program, a, b)
    for point in (a, 1.01 * a):                 # where it was recorded, and elsewhere
        bench.verify(loop.__name__, tape(point, b), loop(point, b, n), rtol=1e-12)
    if held:
        bench.verify(f"{loop.__name__} is held {n * UNROLLED} times", min(len(tape), n * UNROLLED), n * UNROLLED)
    spent.clear()
    return [time / (n * UNROLLED) for time in bench.best(traced, plain, seconds=0.15)]


# (loop, what the row is called, level in seconds, first operand)
BEYOND_PYTHON = [
    (add,          "scalar +, beyond plain Python",                0.1e-6, 1.1),
    (subtract,     "scalar -, beyond plain Python",                0.1e-6, 1.1),
    (multiply,     "scalar *, beyond plain Python",                0.1e-6, 1.1),
    (divide,       "scalar /, beyond plain Python",                0.1e-6, 1.1),
    (constants,    "scalar + and * by constants, beyond Python",   0.1e-6, 1.0),
    (squares,      "scalar ** 2, beyond plain Python",             None,   1.0),
    (compare,      "scalar > and its guard, beyond plain Python",  None,   0.9),
]
UFUNCS = [
    (sines,        "np.sin of a scalar",                           0.4e-6, 0.3),
    (exponentials, "np.exp of a scalar",                           0.4e-6, 0.3),
    (math_sines,   "math.sin of a scalar",                         None,   0.3),
]
BEYOND_NUMPY = [
    (array_add,      "array a + b, n=10, beyond NumPy",            2e-6),
    (array_multiply, "array a * b, n=10, beyond NumPy",            2e-6),
    (array_exp,      "array np.exp(a), n=10, beyond NumPy",        2e-6),
    (array_slice,    "array a[1:], n=10, beyond NumPy",            None),
    (in_long_function(), "array a + b in a function of 500 lines", 2e-6),
    (elements,       "array x[i], n=10, beyond NumPy",             None),
    (element_write,  "array y[i] = scalar, beyond NumPy",          None),
    (array_sum,      "array a.sum(), n=10, beyond NumPy",          None),
    (array_dot,      "array a @ b, n=10, beyond NumPy",            None),
    (array_where,    "np.where(c, a, b), n=10, beyond NumPy",      None),
    (slice_update,   "array y[1:] += b[1:], n=10, beyond NumPy",   None),
    (array_gather,   "np.array((s, t)) of scalars, beyond NumPy",  None),
    (array_concatenate, "np.concatenate((a, b)), beyond NumPy",    None),
]


def run(bench):
    """Levels on the four operators, ufuncs on scalars and small arrays; more rows for what is near by."""
    n = bench.size(300, 3)          # a sample is over before the scheduler interrupts it
    for loop, what, level, a in BEYOND_PYTHON:
        with bench.part(what):
            traced, plain = per_operation(bench, loop, a, 1.0001, n)
            bench.row(what, traced - plain, level=level, ratio=traced / plain, to="plain Python")
    for loop, what, level, a in UFUNCS:
        with bench.part(what):
            traced, plain = per_operation(bench, loop, a, 1.0, n)
            bench.row(what, traced, level=level, ratio=traced / plain, to="the same on a float")
    x, y = np.linspace(0.1, 1.0, 10), np.linspace(1.0, 2.0, 10)
    with bench.part("an empty recording"):
        bench.row("ad.record of a function that does nothing", bench.best(lambda: ad.record(nothing, x)))
    for loop, what, level in BEYOND_NUMPY:
        with bench.part(what):
            held = loop in (array_add, array_multiply, array_exp)       # reading an element twice may be one
            traced, plain = per_operation(bench, loop, x, y, bench.size(100, 3), held)
            bench.row(what, traced - plain, level=level, ratio=traced / plain, to="NumPy")
