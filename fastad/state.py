"""state.py - what a recorded function has seen of the world outside its arguments: `Watch`; `AsBefore`.

Owns: the search.  From the code of a function it finds the globals, closure cells, defaults and attributes that it and
the functions it calls can read, as far as they are the user's own code, and makes of them a tree of nodes.
Must not know: how nodes are compared at each call (_state.pyx), when (function.py), tapes.
Next: audits.py (what this search cannot see), explain.py.
"""
import dis
import functools
import os
import sys
import sysconfig
import types
from collections import ChainMap, deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastad import _state as S
from fastad import _tape as T

__all__ = ["AsBefore", "Watch"]

DEPTH = 6                                # attributes of attributes, items of items
_LARGE = 2**20                           # bytes; where it makes no difference who reads an array, nobody is asked
NODES = 4000                             # beyond that only the identity of objects; the audit remains

_SCALARS = (float, int, bool, str, bytes, complex, type(None))
_BARE = ("types.SimpleNamespace", "argparse.Namespace")           # by name: argparse takes 6 ms to import
_KINDS = ((list, S.LIST), (deque, S.LIST), (tuple, S.TUPLE), (dict, S.DICT), ((set, frozenset), S.SET),
          ((types.MappingProxyType, ChainMap), S.DICT))
_RANDOM = (np.random.Generator, np.random.RandomState, np.random.BitGenerator)
_FUNCTIONS = (np.ufunc, type(np.sum), types.BuiltinFunctionType)
_SITE = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_STDLIB = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_MAKING = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__class_getitem__"})
_META = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "__slots__", "__annotations__"})
_DYNAMIC = frozenset({"getattr", "vars", "__dict__", "asdict", "astuple", "attrgetter"})


# ---- whose code is it? -----------------------------------------------------------------------------------------------

_library_files: dict[str, bool] = {}
_library_modules: dict[str, bool] = {}


def _library_file(name: str) -> bool:
    known = _library_files.get(name)
    if known is None:
        installed = name.startswith(_SITE) or f"{os.sep}site-packages{os.sep}" in name
        known = installed or name.startswith((*_STDLIB, _OURS)) or name.startswith("<frozen")
        _library_files[name] = known
    return known


def _library_module(name: str) -> bool:
    """Is a module (by name) the standard library's, ours, or an installed package's?"""
    known = _library_modules.get(name)
    if known is None:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("builtins", "numpy", "scipy", "fastad"):
            known = top != "__main__"
        else:
            file = getattr(sys.modules.get(name), "__file__", None)
            known = file is not None and _library_file(file)
        if name in sys.modules:
            _library_modules[name] = known
    return known


class _Home:
    """The user's code: what is no library, and the installed package to which the function itself belongs."""

    def __init__(self, f: Any) -> None:
        module = getattr(f, "__module__", None) or getattr(type(f), "__module__", None) or ""
        self.top = module.partition(".")[0]
        if self.top in ("numpy", "scipy", "fastad", "builtins") or self.top in sys.stdlib_module_names:
            self.top = ""

    def owns_module(self, name: str) -> bool:
        return not _library_module(name) or (self.top != "" and name.partition(".")[0] == self.top)

    def owns_function(self, f: types.FunctionType) -> bool:
        if not _library_file(f.__code__.co_filename):
            return True
        return self.top != "" and (f.__module__ or "").partition(".")[0] == self.top


def _is_bare(obj: Any) -> bool:
    """Is it an object of the standard library whose attributes are all the user's?"""
    return f"{type(obj).__module__}.{type(obj).__qualname__}" in _BARE


def _has_attributes(array: Any) -> bool:
    """Is it an array of a subclass that says more than its elements do?"""
    return type(array) is not np.ndarray and isinstance(getattr(array, "__dict__", None), dict) and bool(vars(array))


def _wraps(obj: Any) -> bool:
    """Has functools.wraps marked this object?  Asked of its own dictionary: __getattr__ may do anything."""
    return "__wrapped__" in (getattr(obj, "__dict__", None) or ())


# ---- names in code ---------------------------------------------------------------------------------------------------

_names_of_code: dict[types.CodeType, tuple[frozenset[str], frozenset[str]]] = {}


def _names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """(global names, all names) in a code object and those inside it."""
    found = _names_of_code.get(code)
    if found is None:
        if len(_names_of_code) > 10000:
            _names_of_code.clear()
        outer = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
        every = set(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                inner_outer, inner_every = _names(constant)
                outer |= inner_outer
                every |= inner_every
        found = _names_of_code[code] = frozenset(outer), frozenset(every)
    return found


@functools.lru_cache(4096)
def _imports(code: types.CodeType) -> frozenset[str]:
    """Modules that code imports while it runs."""
    inner = [_imports(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    own = {i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"}
    return frozenset(own).union(*inner)


def _deeper(label: str, step: str) -> str:
    """The name of a part: global `p` (model.py) -> global `p.lam` (model.py)."""
    head, quote, tail = label.rpartition("` (")
    return f"{head}{step}{quote}{tail}" if quote else label + step


def _file(f: types.FunctionType) -> str:
    return os.path.basename(f.__code__.co_filename)


# ---- the search ------------------------------------------------------------------------------------------------------

class _Search:
    """One breadth-first search from a function; `names` are the attribute names that the code found so far uses."""

    def __init__(self, home: _Home, names: frozenset[str], bound: Sequence[Any]) -> None:
        self.home = home
        self.bound = bound               # arrays that the tape reads itself
        self.names = names
        self.seen_names = set(names)
        self.nodes: dict[int, S.Node] = {}
        self.queue: deque[tuple[S.Node, str, int]] = deque()
        self.suspects: dict[str, None] = {}          # what an audit would blame

    def node(self, obj: Any, label: str, depth: int, remade: bool = False) -> S.Node:
        """The node of an object; its slots are filled when its turn in the queue comes."""
        try:
            kind = self.kind(obj, label)
        except Exception:                # a proxy that is not ready: the audit remains
            kind = S.IDENTITY
        if kind == S.SCALAR:
            return S.Node(kind, obj)
        if id(obj) in self.nodes or kind == S.IDENTITY or depth > DEPTH or len(self.nodes) > NODES:
            return S.Node(S.FUNCTION if kind == S.FUNCTION else S.IDENTITY, obj)
        remade = remade or isinstance(obj, (types.MethodType, functools.partial))
        node = self.nodes[id(obj)] = S.Node(kind, obj, remade, kind == S.ARRAY and self.is_bound(obj))
        if kind not in (S.ARRAY, S.SET) or (kind == S.ARRAY and _has_attributes(obj)):
            self.queue.append((node, label, depth))
        return node

    def is_bound(self, obj: Any) -> bool:
        """Is it a large array that the tape reads itself?"""
        array = T.concrete(obj)
        return getattr(array, "nbytes", 0) > _LARGE and any(np.may_share_memory(array, x) for x in self.bound)

    def kind(self, obj: Any, label: str) -> int:
        if T.is_wrapped(obj):            # a plain array that f made while it was recorded, and kept, is one still
            return S.IDENTITY if T.is_traced(obj) else S.OBJECT if T.complex_among(obj) else S.ARRAY
        if type(obj) in _SCALARS or isinstance(obj, np.generic):
            return S.SCALAR
        if isinstance(obj, np.ndarray):
            return S.ARRAY
        for base, kind in _KINDS:
            if isinstance(obj, base):
                return kind
        if isinstance(obj, (memoryview, bytearray)) or type(obj).__name__ == "array":    # (array.array: not imported)
            return S.ARRAY if np.asarray(obj).dtype.kind in "fiub" else S.IDENTITY
        if isinstance(obj, types.FunctionType):
            if self.home.owns_function(obj):
                return S.FUNCTION
            self.suspect(obj, label)
            return S.OBJECT if _wraps(obj) else S.IDENTITY
        self.suspect(obj, label)
        return S.OBJECT if self.has_parts(obj) else S.IDENTITY

    def suspect(self, obj: Any, label: str) -> None:
        """Note what makes functions give different results at equal arguments."""
        module = obj.__name__ if isinstance(obj, types.ModuleType) else getattr(obj, "__module__", None) or ""
        if isinstance(obj, _RANDOM) or module.startswith(("numpy.random", "random", "secrets")):
            self.suspects[f"{label} gives random numbers"] = None
        elif module in ("time", "datetime") or (isinstance(obj, types.ModuleType) and module == "os"):
            if module != "os" or self.names & {"environ", "getenv", "urandom"}:
                self.suspects[f"{label} reads the clock or the system"] = None
        elif hasattr(type(obj), "cache_info"):
            self.suspects[f"{label} is a cache (lru_cache)"] = None
        elif isinstance(obj, Iterator):
            self.suspects[f"{label} is an iterator, which goes on at each run"] = None
        elif module == "numpy" and isinstance(obj, types.ModuleType) and "random" in self.names:
            self.suspects[f"{label}.random gives random numbers"] = None

    def has_parts(self, obj: Any) -> bool:
        """Are there attributes of this object to be watched?"""
        if isinstance(obj, types.ModuleType):
            return self.home.owns_module(obj.__name__)
        if isinstance(obj, type):
            return self.home.owns_module(obj.__module__)
        if isinstance(obj, (types.MethodType, functools.partial, staticmethod, classmethod, property,
                            functools.cached_property)) or _wraps(obj):
            return True
        if self.home.owns_module(type(obj).__module__) or _is_bare(obj):
            return True
        top = type(obj).__module__.partition(".")[0]
        held = hasattr(obj, "__dict__") or any("__slots__" in vars(base) for base in type(obj).__mro__)
        return held and top not in sys.stdlib_module_names and top != "fastad" \
            and not isinstance(obj, _FUNCTIONS)

    # -- parts of objects
    def fill(self) -> None:
        while self.queue:
            node, label, depth = self.queue.popleft()
            try:
                parts = list(self.parts(node.obj, node.kind, label))
            except Exception:
                continue
            for how, key, obj, text, more in parts:
                remade = type(node.obj) is functools.partial and key == "keywords"
                node.slots.append(S.Slot(how, key, self.node(obj, text, depth + more, remade), text))

    def parts(self, obj: Any, kind: int, label: str) -> Iterator[tuple[int, Any, Any, str, int]]:
        """(how, key, object, label, steps deeper) of everything that can be reached from an object."""
        if kind == S.FUNCTION:
            yield from self.parts_of_function(obj)
        elif kind in (S.LIST, S.TUPLE):  # scalars are compared with the container
            yield from ((S.INDEX, k, x, _deeper(label, f"[{k}]"), 1) for k, x in enumerate(obj)
                        if type(x) not in _SCALARS)
        elif kind == S.DICT:
            yield from ((S.KEY, k, x, _deeper(label, f"[{k!r}]"), 1) for k, x in list(obj.items())
                        if type(x) not in _SCALARS)
        elif kind == S.ARRAY:            # what its elements mean: the mask of a masked array, a unit
            yield from ((S.ATTRIBUTE, k, x, f"{label}.{k}", 1) for k, x in list(vars(obj).items()))
        elif isinstance(obj, type):
            yield from self.parts_of_class(obj, label)
        elif T.is_wrapped(obj):          # complex, plain
            yield from ((S.GETATTR, name, getattr(obj, name), f"{label}.{name}", 0) for name in ("re", "im"))
        elif isinstance(obj, types.ModuleType):
            yield from ((S.ATTRIBUTE, k, vars(obj)[k], _deeper(label, f".{k}"), 0)
                        for k in sorted(self.names) if k in vars(obj))
        else:
            yield from self.parts_of_object(obj, label)

    def parts_of_function(self, f: types.FunctionType) -> Iterator[tuple[int, Any, Any, str, int]]:
        outer, every = _names(f.__code__)
        self.seen_names |= every
        file = _file(f)
        for name in sorted(outer):
            if name in f.__globals__:
                yield S.GLOBAL, name, f.__globals__[name], f"global `{name}` ({file})", 0
        for name in sorted(_imports(f.__code__)):
            if name in sys.modules and self.home.owns_module(name):
                yield S.MODULE, name, sys.modules[name], f"module `{name}` ({file})", 0
        for k, cell in enumerate(f.__closure__ or ()):
            try:
                value = cell.cell_contents
            except ValueError:           # not yet assigned
                continue
            yield S.CELL, k, value, f"closure variable `{f.__code__.co_freevars[k]}` ({file})", 0
        count = f.__code__.co_argcount
        parameters = f.__code__.co_varnames[count - len(f.__defaults__ or ()):count]
        for k, (name, value) in enumerate(zip(parameters, f.__defaults__ or (), strict=True)):
            yield S.DEFAULT, k, value, f"default `{name}` of {f.__qualname__} ({file})", 0
        for name, value in (f.__kwdefaults__ or {}).items():
            yield S.KWDEFAULT, name, value, f"default `{name}` of {f.__qualname__} ({file})", 0
        for name, value in list(vars(f).items()):
            if name in self.names or name == "__wrapped__":
                yield S.ATTRIBUTE, name, value, f"`{f.__qualname__}.{name}` ({file})", 0

    def parts_of_class(self, cls: type, label: str) -> Iterator[tuple[int, Any, Any, str, int]]:
        """What the code names, and operators, which are never named; what makes objects only where code makes some."""
        inherited = sorted([name for name in self.names if name not in vars(cls) and not name.startswith("__")
                            and hasattr(cls, name)])
        for name in inherited:           # a method of a base class that the class may override one day
            yield S.MEMBER, name, S.MISSING, f"{cls.__qualname__}.{name}", 0
        for name, x in list(vars(cls).items()):
            operator = isinstance(x, types.FunctionType) and name.startswith("__") and name.endswith("__")
            if operator and name in _MAKING and cls.__name__ not in self.names:
                continue
            if operator or (name in self.names and name not in _META):
                yield S.MEMBER, name, x, f"{cls.__qualname__}.{name}", 0
        if len(cls.__mro__) > 2:
            yield S.GETATTR, "__mro__", cls.__mro__, f"bases of {cls.__qualname__}", 0

    def parts_of_object(self, obj: Any, label: str) -> Iterator[tuple[int, Any, Any, str, int]]:
        if isinstance(obj, types.MethodType):
            yield S.GETATTR, "__self__", obj.__self__, "self", 0
            yield S.GETATTR, "__func__", obj.__func__, label, 0
            return
        if isinstance(obj, functools.partial):
            for name in ("func", "args", "keywords"):
                yield S.GETATTR, name, getattr(obj, name), label if name == "func" else f"partial's {name}", 0
            return
        for name in ("__func__", "fget", "func", "__wrapped__"):
            if isinstance(obj, (staticmethod, classmethod, property, functools.cached_property)) or \
                    name == "__wrapped__":
                part = getattr(obj, name, None)
                if part is not None:
                    yield S.GETATTR, name, part, label, 0
        yield from self.attributes(obj, label)

    def attributes(self, obj: Any, label: str) -> Iterator[tuple[int, Any, Any, str, int]]:
        """The attributes that the code names; all of them for objects of libraries, whose code is not searched."""
        cls = type(obj)
        own = self.home.owns_module(cls.__module__)
        if cls.__module__.partition(".")[0] in ("fastad", "builtins", "functools"):
            return                       # ours: only the function that it wraps
        every = not own and not _is_bare(obj) or bool(self.names & _DYNAMIC)
        for name, x in list((getattr(obj, "__dict__", None) or {}).items()):
            if every or name in self.names:
                yield S.ATTRIBUTE, name, x, _deeper(label, f".{name}"), 1
        for base in cls.__mro__:
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else tuple(slots):
                if (every or name in self.names) and hasattr(obj, name):
                    yield S.GETATTR, name, getattr(obj, name), _deeper(label, f".{name}"), 1
        if own:
            yield from self.shadows(obj, label)
            yield S.GETATTR, "__class__", cls, cls.__qualname__, 0

    def shadows(self, obj: Any, label: str) -> Iterator[tuple[int, Any, Any, str, int]]:
        """Attributes of the class that an attribute of the object may hide one day."""
        mine = getattr(obj, "__dict__", None)
        if mine is not None:
            for name in sorted(self.names):
                if name not in mine and not name.startswith("__") and hasattr(type(obj), name):
                    yield S.ATTRIBUTE, name, S.MISSING, _deeper(label, f".{name}"), 1


def _own_names(f: Any) -> frozenset[str]:
    """Names in the code of f itself: mostly they are all, and one search is enough."""
    while isinstance(f, functools.partial):
        f = f.func
    code = getattr(getattr(f, "__func__", f), "__code__", None)
    return _names(code)[1] if isinstance(code, types.CodeType) else frozenset()


def _search(f: Any, statics: tuple[Any, ...], bound: Sequence[Any]) -> tuple[S.Node, S.Node, _Search]:
    """Nodes of a callable and of its static arguments; repeated until no more attribute names turn up."""
    names, home = _own_names(f), _Home(f)
    while True:
        search = _Search(home, names, bound)
        root = search.node(f, getattr(f, "__qualname__", type(f).__qualname__), 0)
        arguments = search.node(statics, "argument", 0)
        search.fill()
        if search.seen_names <= names:
            return root, arguments, search
        names = frozenset(search.seen_names)


def _shared(slot: S.Slot, f: Any, g: Any) -> bool:
    """Do two functions of the same code find the same variable, not only equal values, in this slot?"""
    if slot.how == S.GLOBAL:
        return f.__globals__ is g.__globals__
    if slot.how == S.CELL:
        return f.__closure__[slot.key] is g.__closure__[slot.key]
    return slot.value(f) is slot.value(g)


# ---- the watch -------------------------------------------------------------------------------------------------------

def _short(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"array of shape {x.shape}"
    if isinstance(x, types.FunctionType):
        return f"{x.__qualname__} (line {x.__code__.co_firstlineno})"
    text = repr(x)
    return text if len(text) <= 60 else text[:57] + "..."


def difference(node: S.Node, current: Any, label: str) -> str | None:
    """Text of the first difference between a node and the object that is now in its place; None if there is none."""
    if node.same(current):
        return None
    for slot in node.slots if type(current) is type(node.obj) else ():
        found = difference(slot.node, slot.value(current), slot.label)
        if found is not None:
            return found
    if current is node.obj and node.kind == S.ARRAY:
        return _array_difference(node, current, label)
    if node.kind in (S.LIST, S.TUPLE, S.DICT) and type(current) is type(node.obj):
        return _container_difference(node, current, label)
    if type(current) is type(node.obj) and isinstance(current, np.ndarray):
        return f"{label}: another array (shape {node.shape} -> {current.shape})"
    if node.kind == S.SET:
        return f"{label}: {_short(set(node.items))} -> {_short(current)}"
    return f"{label}: {_short(node.obj)} -> {_short(current)}"


def _array_difference(node: S.Node, current: Any, label: str) -> str:
    current = np.asarray(T.concrete(current))
    if current.shape != node.shape:
        return f"{label}: shape {node.shape} -> {current.shape}"
    positions, old = node.sampled()
    for k, was in zip(positions, old, strict=True):
        now = current.flat[k]
        if now != was and not (now != now and was != was):
            index = ", ".join(map(str, np.unravel_index(k, current.shape)))
            return f"{label}: element [{index}]: {was} -> {now}"
    return f"{label}: {'some of its elements' if node.checked else 'its memory was replaced'}"


def _container_difference(node: S.Node, current: Any, label: str) -> str:
    if len(current) != len(node.items):
        return f"{label}: length {len(node.items)} -> {len(current)}"
    pairs = node.items.items() if node.kind == S.DICT else enumerate(node.items)
    for key, was in pairs:
        now = current.get(key, S.MISSING) if node.kind == S.DICT else current[key]
        if now is not was and not (type(now) is type(was) and type(now) in _SCALARS and now == was):
            return f"{_deeper(label, f'[{key!r}]')}: {_short(was)} -> {_short(now)}"
    return f"{label}: another {type(current).__name__} object"


class Watch:
    """What a callable can read besides its arguments, as it was when the watch was made.

    Make it when the recording has ended: what the function itself changes while it runs (counters, caches, lists to
    which it appends) is then part of the picture, and only what others change counts.

    Parameters
    ----------
    f : callable
    statics : sequence, optional
        Arguments that are no inputs of the tape: objects whose attributes f may read.
    bound : sequence of ndarray, optional
        What the tape reads again at each replay.  Of large ones only samples are compared: that plain NumPy inside f
        has taken something from them as well is seen where a sample changes, or by the audit.

    Attributes
    ----------
    suspects : list of str
        What makes such functions give other results at equal arguments: random numbers, caches, clocks.
    """

    __slots__ = ("_f", "_statics", "_bound", "_root", "_arguments", "_same", "suspects")

    def __init__(self, f: Any, statics: Any = (), bound: Sequence[Any] = ()) -> None:
        self._f = f
        self._bound = bound
        self._statics = tuple(x for x in statics if not isinstance(x, (np.ndarray, np.generic, *_SCALARS)))
        self.refresh()

    def refresh(self) -> None:
        """Look anew, after f has run again (an audit)."""
        self._root, self._arguments, search = _search(self._f, self._statics, self._bound)
        self._same = self._root.same
        self.suspects = list(search.suspects)

    def changed(self, f: Any = None) -> str | None:
        """What has changed since the watch was made; None if nothing has.

        Parameters
        ----------
        f : callable, optional
            A callable made anew from the same code (a lambda in a loop), to be compared with the one watched.
        """
        current = self._f if f is None else f
        if self._same(current) and (not self._statics or self._arguments.same(self._statics)):
            return None
        label = getattr(current, "__qualname__", type(current).__qualname__)
        try:
            return difference(self._root, current, label) or difference(self._arguments, self._statics, "argument")
        except Exception:                # an object that cannot even be shown
            return f"something that {label} reads has changed"

    def written(self) -> str | None:
        """The name of an array whose elements were changed in place since the watch was made; None if none were."""
        queue, seen = deque([(self._root, "")]), set[int]()
        while queue:
            node, label = queue.popleft()
            if node.kind == S.ARRAY and not node.same(node.obj):
                return label
            seen.add(id(node))
            queue.extend((slot.node, slot.label) for slot in node.slots if id(slot.node) not in seen)
        return None

    def changed_through(self, f: Any) -> bool:
        """Is all that has changed in variables which another function over the same code has in common with ours?

        Then it was f, while it ran, as ours would have done: a count of calls, a list to which both append.
        """
        if type(f) is not type(self._f):
            return False
        slots = [slot for slot in self._root.slots if not slot.node.same(slot.value(self._f))]
        return bool(slots) and all(_shared(slot, self._f, f) for slot in slots) \
            and self._arguments.same(self._statics)


class AsBefore:
    """What f reaches is, when this ends, as it was when it began: elements of arrays, lists, dicts, sets, variables."""

    def __init__(self, f: Any, more: tuple[Any, ...] = ()) -> None:
        root, others, _ = _search(f, more, ())
        found, queue = {}, deque([root, others])
        while queue:
            node = queue.popleft()
            if id(node) not in found:
                found[id(node)] = node
                queue.extend(slot.node for slot in node.slots)
        self.nodes = list(found.values())

    def __enter__(self) -> None:
        self.arrays = [(a, a.copy()) for a in (node.obj for node in self.nodes if node.kind == S.ARRAY)
                       if isinstance(a, np.ndarray) and a.flags.writeable]

    def __exit__(self, *error: Any) -> None:
        for a, before in self.arrays:
            a[...] = before
        for node in self.nodes:
            kind, obj = type(node.obj), node.obj
            if kind in (list, deque):
                obj.clear()
                obj.extend(node.items)
            elif kind in (dict, set):
                obj.clear()
                obj.update(node.items)
            elif node.kind == S.FUNCTION:
                for slot in node.slots:
                    if slot.how == S.CELL and slot.node.obj is not slot.value(obj):
                        obj.__closure__[slot.key].cell_contents = slot.node.obj
