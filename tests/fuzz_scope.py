"""What a random program has defined so far, and random choices from it.

Owns: Scope (names by kind, choices of operands, indices, masks) and the lists of elementwise and
scalar expressions. Must not know: fastad, statements, and how a program is built.
A domain is made safe inside its expression (log of a*a + 0.5), so no statement is lost to NaN.
Next: tests/fuzz_statements.py, which writes statements with it.
"""

import numpy as np


class Nothing(Exception):
    """The scope holds nothing that this statement could be about."""


class Scope:
    """What is defined so far at the first live point, and random choices from it."""

    def __init__(self, rng):
        self.rng, self.count = rng, 0
        self.values, self.rank, self.locked = {}, {}, set()

    def update(self, env, rank, locked):
        """Take over the names: rank 0 plain, 1 created inside, 2 traced; locked: must not be written."""
        self.values, self.rank, self.locked = env, rank, locked
        self.floats, self.vectors, self.scalars, self.ints, self.int_scalars, self.bools = [], [], [], [], [], []
        for name in rank:
            v = env.get(name)
            if isinstance(v, np.ndarray):
                if v.dtype.kind == "f" and v.size and v.ndim:
                    self.floats.append(name)
                    if v.ndim == 1:
                        self.vectors.append(name)
                elif v.dtype.kind == "i" and v.size and v.ndim:
                    self.ints.append(name)
                elif v.dtype.kind == "b" and v.size and v.ndim:
                    self.bools.append(name)
            elif isinstance(v, (float, np.floating)):
                self.scalars.append(name)
            elif isinstance(v, (int, np.integer)) and not isinstance(v, bool):
                self.int_scalars.append(name)

    def one(self, names, recent=0.5):
        """A name; with probability `recent` one of the last three."""
        if not names:
            raise Nothing
        pool = names[-3:] if self.rng.random() < recent else names
        return pool[int(self.rng.random() * len(pool))]

    def pick(self, *options):
        return options[int(self.rng.random() * len(options))]

    def chance(self, p):
        return self.rng.random() < p

    def fresh(self):
        self.count += 1
        return f"v{self.count}"

    def array(self, ndim=None, least=1):
        names = self.floats if ndim is None else [n for n in self.floats if self.values[n].ndim == ndim]
        if least > 1:
            names = [n for n in names if self.values[n].shape[0] >= least]
        name = self.one(names)
        return name if self.rank[name] or self.chance(0.25) else self.one(names)

    def traced(self, ndim=None):
        names = [n for n in self.floats if self.rank[n] == 2 and n not in self.locked]
        return self.one(names if ndim is None else [n for n in names if self.values[n].ndim == ndim])

    def target(self, ndim=None, least=1):
        """An array that may be written: traced, or created inside the program."""
        names = [n for n in self.floats if self.rank[n] and n not in self.locked and self.shape(n)[0] >= least]
        return self.one(names if ndim is None else [n for n in names if self.values[n].ndim == ndim])

    def shape(self, name):
        return self.values[name].shape

    def same(self, a):
        shape = self.shape(a)
        return self.one([n for n in self.floats if self.values[n].shape == shape], 0.3)

    def partner(self, a):
        """Something that broadcasts with `a`."""
        r = self.rng.random()
        if r < 0.5:
            return self.same(a)
        if r < 0.62:
            return self.scalar()
        if r < 0.7:
            return self.const()
        last = self.shape(a)[-1]
        rows = [n for n in self.vectors if self.values[n].shape[0] == last]
        if r < 0.85 and rows:
            return self.one(rows)
        if len(self.shape(a)) >= 2:
            col = self.shape(a)[-2]
            cols = [n for n in self.vectors if self.values[n].shape[0] == col]
            if cols:
                return f"{self.one(cols)}[:, {self.pick('np.newaxis', 'None')}]"
        return self.same(a)

    def const(self, low=-1.5, high=1.5):
        return repr(round(low + (high - low) * self.rng.random(), 2) or 0.5)

    def element(self, a):
        at = [str(self.place(n)) for n in self.shape(a)]
        return f"{a}[{', '.join(at)}]" if len(at) == 1 or self.chance(0.8) else a + "".join(f"[{i}]" for i in at)

    def place(self, n):
        return int(self.rng.random() * n) - (n if self.chance(0.3) else 0)

    def scalar(self):
        if self.scalars and self.chance(0.4):
            return self.one(self.scalars)
        return self.element(self.array())

    def axis(self, a, none=0.25):
        n = len(self.shape(a))
        return "None" if self.chance(none) else str(self.place(n))

    def slice(self, n):
        options = [":", "1:", ":-1", "::2", "::-1", "::-2", "1::2", f":{max(1, n - 1)}", f"-{min(n, 2)}:", f"{n}:0:-1"]
        return options[int(self.rng.random() * len(options))]

    def key(self, a, scalars=True):
        parts = []
        for n in self.shape(a):
            r = self.rng.random()
            parts.append(str(self.place(n)) if scalars and r < 0.2 else self.slice(n))
        if self.chance(0.15):
            parts.insert(int(self.rng.random() * (len(parts) + 1)), self.pick("None", "np.newaxis"))
        elif self.chance(0.15):
            parts[self.pick(0, -1)] = "..."
        return ", ".join(parts)

    def mask(self, a):
        r = self.rng.random()
        fits = [n for n in self.bools if self.values[n].shape == self.shape(a)]
        if fits and r < 0.25:
            return self.one(fits)
        if r < 0.6:
            return f"{a} {self.pick('>', '<', '>=', '<=')} {self.const(-0.6, 0.6)}"
        if r < 0.7:
            return f"{a} > {a}.mean() + 0.07"  # an offset: equal elements would tie within rounding
        if r < 0.8:
            return f"({a} > {self.const(-1.0, 0.0)}) & ({a} < {self.const(0.0, 1.0)})"
        if r < 0.88:
            return f"~({a} > {self.const(-0.5, 0.5)}) | ({a} > {self.const(0.5, 1.0)})"
        return f"{a} > {self.partner(a)}"

    def index(self, n):
        """An expression for a vector of indices into an axis of length n, perhaps with duplicates."""
        r = self.rng.random()
        if r < 0.3:
            return str([self.place(n) for _ in range(1 + int(self.rng.random() * 4))])
        if r < 0.4:
            return f"np.array({[self.place(n) for _ in range(1 + int(self.rng.random() * 4))]})"
        if r < 0.55 and self.ints:
            return f"{self.one(self.ints)} % {n}"
        if r < 0.75:
            return f"np.argsort({self.array(1)}, kind='stable') % {n}"  # ties: the default order is the CPU's
        return f"({self.array(1)} * 3).astype(int) % {n}"


UNARY = (
    "np.sin({0})|np.cos({0})|np.tanh({0})|np.sqrt({0} * {0} + 1.0)|np.log({0} * {0} + 0.5)|np.exp(-{0} * {0})|"
    "np.arctan({0})|np.abs({0})|abs({0})|np.square(0.5 * {0})|np.log1p({0} * {0})|np.expm1(0.3 * np.tanh({0}))|"
    "({0} * {0} + 0.3) ** 0.7|({0} * {0} + 0.3) ** -1.5|1.0 / (1.0 + {0} * {0})|np.cbrt({0} * {0} + 1.0)|"
    "np.reciprocal(2.0 + np.cos({0}))|np.sinh(np.tanh({0}))|np.cosh(np.tanh({0}))|np.arcsin(0.9 * np.sin({0}))|"
    "np.arccos(0.9 * np.sin({0}))|np.exp2(np.tanh({0}))|np.log2({0} ** 2 + 1.5)|np.log10({0} ** 2 + 1.5)|-{0}|"
    "np.floor({0} * 2.0)|np.ceil({0} * 2.0)|np.rint({0} * 2.0)|np.sign({0})|np.arcsinh({0})|{0} ** 2|{0} ** 3 * 0.2|"
    "np.arctanh(0.8 * np.tanh({0}))|np.arccosh({0} * {0} + 1.5)|np.tan(0.5 * np.tanh({0}))|np.negative({0})|"
    "0.5 ** {0}|2 * {0}|{0} / 3|{0} - 1|1 - {0}|+{0}|2.0 / (1.5 + np.sin({0}))|np.clip({0}, -0.8, 0.9)|{0} % 1.3|"
    "{0} // 0.7|np.maximum({0}, 0.1)|np.minimum(0.2, {0})"
).split("|")
BINARY = (
    "{0} + {1}|{0} - {1}|{0} * {1}|{0} * {1}|{0} / (1.5 + np.cos({1}))|np.maximum({0}, {1})|np.minimum({0}, {1})|"
    "np.fmax({0}, {1})|np.fmin({0}, {1})|np.hypot({0}, 1.5 + {1} * {1})|np.arctan2({0}, {1} * {1} + 0.5)|"
    "np.power({0} * {0} + 0.3, np.tanh({1}))|({0} * {0} + 0.4) ** np.sin({1})|np.add({0}, {1})|np.subtract({0}, {1})|"
    "np.multiply({0}, {1})|np.divide({0}, 2.0 + np.abs({1}))|0.5 * {0} + 0.25 * {1}|{0} % (1.3 + {1} * {1})|"
    "np.mod({0}, 0.5 + np.abs({1}))|np.true_divide({0}, {1} ** 2 + 1)|{0} * ({1} > 0)|np.where({1} > 0, {0}, {1})"
).split("|")
MATH = (
    "math.sin({0})|math.cos({0})|math.exp(-abs({0}))|math.sqrt({0} * {0} + 1)|math.log({0} * {0} + 0.5)|math.tanh({0})|"
    "math.atan({0})|math.fabs({0})|math.log1p({0} ** 2)|math.expm1(math.tanh({0}))|math.asin(0.9 * math.sin({0}))|"
    "math.sinh(math.tanh({0}))|math.log10({0} ** 2 + 1.5)|math.atan2({0}, {1} * {1} + 0.5)|"
    "math.hypot({0}, 1.0 + {1} ** 2)|"
    "math.pow({0} * {0} + 0.3, math.tanh({1}))|math.tan(0.5 * math.tanh({0}))|math.cosh(math.sin({0}))"
).split("|")
SCALAR = (
    "{0} * {1}|{0} + {1}|{0} - 2 * {1}|{0} / (1.0 + {1} ** 2)|abs({0})|-{0}|min({0}, {1})|max({0}, {1}, 0.1)|{0} ** 2|"
    "np.sin({0})|np.exp(-{0} ** 2)|np.tanh({0}) * {1}|np.maximum({0}, {1})|{0} if {0} > {1} else 0.5 * {1}|{0} % 0.9|"
    "np.where({0} > {1}, {0} * 2, {1})|sum([{0}, {1}, 0.5])|3 * {0} + 1|{0} // 0.8|({0} * {0} + 0.3) ** {1}|True * {0}|"
    "float({2}) * {0}|np.sqrt(1 + {0} * {0})|np.hypot({0}, 2.0)|1 / (2 + {0} * {0})"
).split("|")


def expression(s, a):
    """An elementwise expression in `a`, possibly with a partner."""
    if s.chance(0.5):
        return s.pick(*UNARY).format(a)
    b = s.partner(a)
    return s.pick(*BINARY).format(*((a, b) if s.chance(0.8) else (b, a)))


def scalar_expression(s):
    u, v, k = s.scalar(), s.scalar(), s.const()
    if s.chance(0.3):
        return s.pick(*MATH).format(u, v)
    return s.pick(*SCALAR).format(u, v, k)
