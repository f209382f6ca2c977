"""Random NumPy programs, reproducible from an integer.

Owns: Program(seed): a scalar function of one or two arguments as source text, with two points.
Must not know: fastad. A program is executed while it is built, at both points and at a neighbour
of each; a statement stays only if it is valid, bounded and smooth there. So shapes need no
bookkeeping, and almost every gradient can be checked by differences.
Next: tests/fuzz_statements.py, fuzz_forms.py, fuzz_functions.py (the vocabulary), tests/fuzz.py (the checks).
"""

import collections
import linecache
import math
import random
import re
import types
import warnings

import numpy as np

from tests import fuzz_forms, fuzz_functions  # noqa: F401  (add to the vocabulary)
from tests.fuzz_scope import Nothing, Scope
from tests.fuzz_statements import STATEMENTS

LIMIT = 30.0  # of every value, at every point
SLOPE = 2e3  # of every value along one random direction
SHIFT = 1e-6
SHAPES = (
    *((2,), (3,), (4,), (5,), (6,), (8,)),
    *((2, 2), (2, 3), (3, 2), (3, 3), (4, 2), (2, 4), (3, 4)),
    *((2, 2, 2), (2, 3, 2)),
)
CREATORS = set("zeros ones empty full eye linspace arange array asarray".split())
CREATORS |= {"zeros_like", "ones_like", "empty_like", "full_like"}
GRID = np.linspace(-2.0, 2.0, 6)
WEIGHTS = np.round(np.sin(1.0 + np.arange(64) * 1.7), 3)
ARRAYS = ("python.array_of_scalars", "python.array_of_rows", "python.append")  # always made by a creator


class Program:
    """One random program; call it, read `source`, or `bind` it to other meanings of np and math."""

    def __init__(self, seed, exclude=()):
        self.seed, self.exclude = seed, tuple(exclude)
        built = _Builder(seed, self.exclude)
        self.args0, self.args1, self.constants = built.args0, built.args1, built.constants
        self.statements = built.statements  # list of (feature, text), the result lines included
        self.parameters = built.parameters
        self._finish()

    def _finish(self):
        body = [line for _, text in self.statements for line in text.split("\n")]
        body = ["out = 0.0", *body, "return out"]
        self.source = f"def f({', '.join(self.parameters)}):\n" + "".join(f"    {line}\n" for line in body)
        self.features = collections.Counter(feature for feature, _ in self.statements)
        self.f = self.bind()

    @property
    def x0(self):
        return self.args0[0]

    @property
    def x1(self):
        return self.args1[0]

    def bind(self, **names):
        """A new function with its own globals; `names` replace np, math or a constant."""
        filename = f"<fuzz program {self.seed}>"
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(True), filename)
        ns = {"__name__": "fuzz_program", "np": np, "math": math, **self.fresh_constants(), **names}
        exec(compile(self.source, filename, "exec"), ns)
        return ns["f"]

    def fresh_constants(self):
        return {k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in self.constants.items()}

    def without(self, index):
        """The same program less one statement (for minimising)."""
        other = object.__new__(Program)
        other.__dict__.update(self.__dict__)
        other.statements = self.statements[:index] + self.statements[index + 1 :]
        other._finish()
        return other

    def __call__(self, *args):
        """Plain NumPy's value; the arguments are not written."""
        with np.errstate(all="ignore"):
            return float(self.f(*(np.copy(a) if isinstance(a, np.ndarray) else a for a in args)))


class _Builder:
    def __init__(self, seed, exclude):
        self.rng = random.Random(seed)
        self.parameters, self.args0, self.args1 = self._arguments(seed)
        self.scope = Scope(self.rng)
        self.statements, self.locked = [], {"C0", "C1"}
        self.rank = {"C0": 0, "C1": 0, **dict.fromkeys(self.parameters, 2)}
        shift = np.random.default_rng(seed + 1)
        self.envs = []  # x0, its neighbour, x1, its neighbour
        for args in (self.args0, self.args1):
            moved = [a + SHIFT * shift.uniform(-1, 1, np.shape(a)) for a in args]
            self.envs += [self._environment(a) for a in (args, moved)]
        self.live = [True] * 4
        table = [row for row in STATEMENTS if row[0] not in exclude]
        with warnings.catch_warnings():  # the mean of an empty selection: dropped for its value
            warnings.simplefilter("ignore")
            self._grow(table)
            self._finish()

    def _arguments(self, seed):
        draw = np.random.default_rng(seed)
        shape = SHAPES[int(self.rng.random() * len(SHAPES))]
        second = self.rng.random()
        parameters = ["x"] if second < 0.7 else ["x", "p"]
        args0 = [np.round(draw.normal(size=shape), 6)]
        if len(parameters) == 2:
            args0.append(np.round(draw.normal(size=shape[-1:]), 6) if second < 0.9 else 0.5 + round(draw.random(), 6))
        near = 0.02 if self.rng.random() < 0.5 else 1.0
        args1 = [
            np.round((1 - near) * a + near * (0.5 * a + draw.normal(size=np.shape(a))), 6)
            if isinstance(a, np.ndarray)
            else float(round(a + near * draw.random(), 6))
            for a in args0
        ]
        self.constants = {
            "C0": np.round(draw.normal(size=shape[-1:]), 3),
            "C1": np.round(draw.normal(size=(2, shape[-1])), 3),
            "W": WEIGHTS.copy(),
            "GRID": GRID.copy(),
            "SCALE": round(0.3 + draw.random(), 3),
        }
        return parameters, tuple(args0), tuple(args1)

    def _environment(self, args):
        env = {"np": np, "math": math, **self.constants, "out": 0.0}
        for name in ("C0", "C1", "W", "GRID"):
            env[name] = env[name].view()
            env[name].flags.writeable = False  # captured arrays are never written
        env.update(zip(self.parameters, (np.copy(a) if isinstance(a, np.ndarray) else a for a in args), strict=True))
        return env

    def _grow(self, table):
        weights = [row[1] for row in table]
        wanted = 8 + int(self.rng.random() * 15)
        choices = self.rng.choices(table, weights, k=3 * wanted)
        for feature, _, mutates, fn in choices:
            if len(self.statements) >= wanted or not any(self.live):
                return
            env = self.envs[self.live.index(True)]
            self.scope.update(env, self.rank, self.locked)
            try:
                text = fn(self.scope)
            except Nothing:
                continue
            self._try(feature, text, mutates)

    def _try(self, feature, text, mutates):
        run = text.replace("return ", "_returned = ") if feature == "branch.early_return" else text
        try:
            code = compile(run, "<fuzz>", "exec")
        except SyntaxError as error:
            raise AssertionError(f"{feature} wrote invalid Python: {text!r}") from error
        roots = [_roots(env, self.rank) if mutates else () for env in self.envs]
        saved = [[r.copy() for r in rs] for rs in roots]
        trials = []
        ok = self._execute(code, trials) and self._smooth(trials, roots)
        if ok:
            self.statements.append((feature, text))
            self._accept(feature, code, trials, mutates)
            return True
        for rs, ss in zip(roots, saved, strict=True):
            for r, s in zip(rs, ss, strict=True):
                r[...] = s
        return False

    def _execute(self, code, trials):
        with np.errstate(invalid="raise", divide="raise", over="raise", under="ignore"):
            for env, live in zip(self.envs, self.live, strict=True):
                trial = dict(env)
                trials.append(trial)
                if live:
                    try:
                        exec(code, trial)
                    except Exception:  # whatever it is: the statement is not valid here
                        return False
        return True

    def _smooth(self, trials, roots):
        for k in (0, 2):
            if not self.live[k]:
                continue
            here, there, before = trials[k], trials[k + 1], self.envs[k]
            if ("_returned" in here) != ("_returned" in there):
                return False
            for name, v in here.items():
                if v is not before.get(name) and not _close(v, there.get(name)):
                    return False
            if not all(_close(a, b) for a, b in zip(roots[k], roots[k + 1], strict=True)):
                return False
        return True

    def _accept(self, feature, code, trials, mutates):
        names = _names(code)
        arrays = [n for n in names if isinstance(trials[0].get(n), np.ndarray) and n in self.rank]
        rank = max([self.rank.get(n, 0) for n in names], default=0)
        created = feature in ARRAYS or (names & CREATORS and all(self.rank[n] for n in arrays))
        # scalars may be plain although they depend on traced ones (min, int): only arrays prove an array traced
        # an element of a created array is a plain number: times a captured array it makes a plain array
        least = 1 if all(self.rank[n] for n in arrays) else 2
        open_ = created or any(self.rank[n] >= least and n not in self.locked for n in arrays)
        before = self.envs[self.live.index(True)]
        for i, trial in enumerate(trials):
            self.envs[i] = trial
            if trial.pop("_returned", None) is not None:
                self.live[i] = False
        env = next((e for e in trials if any(k not in before for k in e)), trials[0])
        for name in env:
            if re.fullmatch(r"v\d+", name) and (name not in self.rank or env[name] is not before.get(name)):
                self.rank[name] = 0 if type(env[name]) in (int, bool) else max(rank, 1 if created else 0)
                self.locked.discard(name)
                if not open_:
                    self.locked.add(name)
        if mutates:
            for n in arrays:
                if self.rank[n] == 1:
                    self.rank[n] = rank

    def _finish(self):
        """Statements that form the result from the variables; each can be deleted alone."""
        if not any(self.live):
            self.live = [True] * 4  # both points returned early; what follows is never reached
        env = self.envs[self.live.index(True)]
        numbers = (np.ndarray, float, int, np.generic)
        names = [n for n in self.rank if re.fullmatch(r"v\d+", n) and isinstance(env.get(n), numbers)]
        last, rest = names[-4:], names[:-4]
        self.rng.shuffle(rest)
        rest.sort(key=lambda n: (-self.rank[n], n in self.locked))
        kept = 0
        for name in (*rest[:3], *last, self.parameters[-1], "x"):
            v, w = env[name], round(0.2 + self.rng.random(), 2)
            if name in ("x", "p") and kept > 1 and self.rng.random() < 0.5:
                continue
            bent = self.rng.random() < 0.5 and np.asarray(v).dtype.kind == "f"
            curved = f"np.sin({name})" if bent else name
            if not isinstance(v, np.ndarray) or v.ndim == 0:
                text = f"out = out + {w} * {curved}"
            elif self.rng.random() < 0.7:
                text = f"out = out + W[:{name}.size] @ {curved}.ravel()"
            else:
                text = f"out = out + {w} * {curved}.sum()"
            kept += self._try("result", text, False)


def _roots(env, rank):
    """The arrays that own the memory of the traced and created arrays of an environment."""
    found = {}
    for name in rank:
        a = env.get(name)
        if isinstance(a, np.ndarray) and a.flags.writeable:
            while isinstance(a.base, np.ndarray):
                a = a.base
            found[id(a)] = a
    return list(found.values())


def _names(code):
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names |= _names(const)
    return names


def _close(a, b):
    """Bounded, of a size worth having, and not a jump between neighbours."""
    if isinstance(a, np.ndarray):
        if not isinstance(b, np.ndarray) or a.shape != b.shape or a.size > 48 or a.dtype.kind not in "fiub":
            return False
        if a.dtype.kind != "f":
            return bool((a == b).all()) and bool((np.abs(a.astype(int)) < 1000).all())
        return not a.size or bool(np.abs(a).max() <= LIMIT and np.abs(a - b).max() <= SLOPE * SHIFT)
    if isinstance(a, (float, np.floating)):
        return isinstance(b, (float, np.floating)) and abs(a) <= LIMIT and abs(a - b) <= SLOPE * SHIFT
    if isinstance(a, (bool, int, np.bool_, np.integer)):
        return isinstance(b, (bool, int, np.bool_, np.integer)) and a == b and abs(int(a)) < 1000
    return True  # lists, functions: their elements are checked where they arrive
