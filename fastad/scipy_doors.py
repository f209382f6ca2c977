"""scipy_doors.py - how a call of a SciPy function that is Python code finds the rule that records it.

Owns: the doors.  While something is recorded, the code object of such a function (or method) is exchanged for one that
asks here; afterwards it has its own code back.  So a name that was imported long before records as well, and SciPy's
classes keep their identity.  A rule is called where an argument is traced, else SciPy's own code runs.
Must not know: what any function does (the rooms in ROOMS, each imported when its SciPy module is there and something
is recorded), when something is recorded (interception.py calls `install`, `restore`).
Next: scipy_stats.py, scipy_integrate.py, scipy_ndimage.py ... (rules), scipy_manual.py (docs/scipy.md).
"""
from __future__ import annotations

import functools
import importlib
import inspect
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from fastad import _tape as T
from fastad._state import wrapped_within
from fastad.operands import asarray, bare, live

# SciPy's module -> the rooms that have its rules.
ROOMS = {
    "scipy": ("scipy_late",),
    "scipy.special": ("scipy_names",),
    "scipy.linalg": ("scipy_linalg_names", "scipy_banded"),
    "scipy.stats": ("scipy_stats", "scipy_refused"),
    "scipy.stats._distn_infrastructure": ("scipy_stats",),
    "scipy.stats._multivariate": ("scipy_multivariate",),
    "scipy.integrate": ("scipy_integrate", "scipy_refused"),
    "scipy.ndimage": ("scipy_ndimage", "scipy_refused"),
    "scipy.interpolate": ("scipy_interpolate", "scipy_bsplines", "scipy_grids", "scipy_refused"),
    "scipy.signal": ("scipy_signal", "scipy_filters", "scipy_refused", "scipy_convolution"),
    "scipy.spatial.distance": ("scipy_distance",),
    "scipy.optimize": ("scipy_refused",),
    "scipy.sparse": ("scipy_sparse_makers",),
    "scipy.sparse.linalg": ("scipy_sparse_solvers",),
}


class Rule(NamedTuple):
    """What takes the place of a function.

    Attributes
    ----------
    record : callable
        Called as the function itself, plain arrays of floats in it as live ones (operands.live).
    applies : callable or None
        Whether it is to be called, given the arguments; None: where an argument is traced.
    target : int
        Position of the argument into which the result is written (`out`, `output`); -1 if there is none.
    """

    record: Callable[..., Any]
    applies: Callable[[tuple[Any, ...], dict[str, Any]], bool] | None
    target: int


TARGETS = ("out", "output")
RULES: dict[str, dict[str, Rule]] = {}           # SciPy's module -> name, or Class.method -> rule


def records(module: str, *names: str, applies: Any = None) -> Any:
    """Register what records functions of a module, or methods written as "Class.method"."""
    def register(function: Any) -> Any:
        target = next((k for k, name in enumerate(inspect.signature(function).parameters) if name in TARGETS), -1)
        for name in names:
            RULES.setdefault(module, {})[name] = Rule(function, applies, target)
        return function
    return register


class _Door(NamedTuple):
    function: Any
    own: types.CodeType
    ours: types.CodeType


_doors: list[_Door] = []
_originals: dict[tuple[str, str], types.FunctionType] = {}
_looked_at: set[str] = set()
_lock = threading.RLock()                # a module may be imported inside of recordings in two threads


def original(module: str, name: str) -> Any:
    """SciPy's function as it is without us."""
    return _originals[module, name]


def plain(module: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """SciPy's function on the present values: its own errors for what it does not take."""
    return original(module, name)(*[bare(x, []) for x in args], **{key: bare(x, []) for key, x in kwargs.items()})


def floats(x: Any) -> Any:
    """x as an array of floats that is read again at each replay, whatever numbers the user's array holds."""
    x = asarray(x)
    if x.ndim == 0:
        return x * 1.0
    x = live(x)
    return x if x.dtype.kind == "f" else x * 1.0


def called(module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a function that has a door while something is recorded, in any thread."""
    if T.current_tape() is None:
        return _originals[module, name](*args, **kwargs)
    rule = RULES[module][name]
    if rule.applies is None:
        wanted = wrapped_within([*args, *kwargs.values()]) == 2
    else:
        wanted = rule.applies(args, kwargs)
    if not wanted:
        return _originals[module, name](*args, **kwargs)
    return rule.record(*[x if k == rule.target else live(x, "f") for k, x in enumerate(args)],
                       **{key: x if key in TARGETS else live(x, "f") for key, x in kwargs.items()})


@functools.lru_cache
def _template(free: tuple[str, ...]) -> types.CodeType:
    """The code of a door of a function that has these free variables."""
    names = ", ".join(free)
    text = (f"def outer({names}):\n    def door(*args, **kwargs):\n        {names or 'None'}\n"
            f"        from fastad.scipy_doors import called\n        return called('MODULE', 'NAME', args, kwargs)\n"
            f"    return door\n")
    found: dict[str, Any] = {}
    exec(compile(text, __file__, "exec"), found)
    return found["outer"](*free).__code__


def _code(module: str, name: str, function: types.FunctionType) -> types.CodeType:
    """Code that takes the place of a function's own: it must have as many free variables."""
    own = function.__name__ if function.__name__.isidentifier() else "function"
    code = _template(function.__code__.co_freevars)
    known = {"MODULE": module, "NAME": name}
    constants = tuple([known.get(x, x) if type(x) is str else x for x in code.co_consts])
    return code.replace(co_name=own, co_qualname=own, co_consts=constants)


def _made(module: str) -> list[_Door]:
    """The doors of a module that has been imported."""
    for room in ROOMS[module]:
        importlib.import_module(f"fastad.{room}")
    made: list[_Door] = []
    for name in RULES.get(module, ()):
        found: Any = sys.modules[module]
        for part in name.split("."):
            found = inspect.getattr_static(found, part, None)            # a method as the function that it is
        if type(found) is not types.FunctionType or any(found is door.function for door in _doors + made):
            continue                     # this SciPy has not got it, or as compiled code
        own = types.FunctionType(found.__code__, found.__globals__, found.__name__, found.__defaults__,
                                 found.__closure__)
        own.__kwdefaults__ = found.__kwdefaults__
        _originals[module, name] = own
        made.append(_Door(found, found.__code__, _code(module, name, found)))
    return made


def install() -> None:
    """Open the doors of the SciPy modules that are there."""
    T.exclusive(_lock, _install)


def _install() -> None:
    for module in ROOMS:
        if module not in _looked_at and module in sys.modules:
            spec = getattr(sys.modules[module], "__spec__", None)
            if not getattr(spec, "_initializing", False):    # another thread is just importing it
                _doors.extend(_made(module))
                _looked_at.add(module)
    for door in _doors:
        door.function.__code__ = door.ours


def remedies(frames: list[Any]) -> list[str]:
    """What to say of the SciPy function that could not take a traced array; the outermost of its frames first."""
    late = [module for module in ROOMS if module in sys.modules and module not in _looked_at and module.count(".") == 1]
    said = [f"{module} was first imported while it was being recorded: import it at the top of the file"
            for module in late]
    called = [(".".join((frame.f_globals.get("__name__") or "").split(".")[:2]), frame.f_code.co_qualname)
              for frame in frames if (frame.f_globals.get("__name__") or "").startswith("scipy.")]
    known = importlib.import_module("fastad.scipy_refused").OF_ARRAYS if called else {}
    for module, name in called:
        if name in known.get(module, ()):
            return [*said, f"{module}.{name.partition('.__')[0]} is not recorded: {known[module][name]}"]
    public = [f"{module}.{name.partition('.__')[0]}" for module, name in called
              if "._" not in module and name[0] != "_" and "<" not in name]
    for name in (public or [module for module, _ in called])[:1]:
        said.append(f"{name} does not take traced values: docs/scipy.md says what is recorded")
    return said


def restore() -> None:
    """Give the functions their own code back."""
    for door in _doors:
        if door.function.__code__ is door.ours:
            door.function.__code__ = door.own
