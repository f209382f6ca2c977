"""trees.py - containers of values (tuples, lists, named tuples, dicts, also ordered and default ones), taken apart and
put together again.

Owns: `flatten`, `unflatten`, and what a tree is.  What is no container is a leaf; None is an empty container.
Dicts keep the order of insertion: the recorded function must see them as the caller made them, so two dicts whose keys
were inserted in different order are different structures.
Must not know: tapes, arrays.  Next: recording.py, which flattens arguments and results.
"""

from collections import OrderedDict, defaultdict

LEAF = "*"                               # the structure of a leaf
_NONE = ("none",)


def is_namedtuple(x):
    """Is x an instance of a class made by collections.namedtuple or typing.NamedTuple?"""
    return isinstance(x, tuple) and hasattr(type(x), "_fields")


def flatten(tree):
    """Take a tree apart.

    Parameters
    ----------
    tree : object
        A leaf, or tuples, lists, dicts and named tuples of trees.

    Returns
    -------
    leaves : list
    treedef : hashable
        Its structure; equal for equal structures.
    """
    leaves: list = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree, leaves):
    kind = type(tree)
    if kind is tuple or kind is list:
        return "tuple" if kind is tuple else "list", tuple([_flatten(x, leaves) for x in tree])
    if tree is None:
        return _NONE
    if kind is dict:
        return "dict", tuple(tree), tuple([_flatten(x, leaves) for x in tree.values()])
    if is_namedtuple(tree):
        return kind, tuple([_flatten(x, leaves) for x in tree])
    if kind is OrderedDict or kind is defaultdict:
        made = (kind, tree.default_factory if kind is defaultdict else None)
        return "mapping", made, tuple(tree), tuple([_flatten(x, leaves) for x in tree.values()])
    leaves.append(tree)
    return LEAF


def unflatten(treedef, leaves):
    """Put a tree together from its structure and an iterable of leaves."""
    return _unflatten(treedef, iter(leaves))


def _unflatten(treedef, leaves):
    if treedef == LEAF:
        return next(leaves)
    kind = treedef[0]
    if kind == "none":
        return None
    children = [_unflatten(child, leaves) for child in treedef[-1]]
    if kind == "tuple":
        return tuple(children)
    if kind == "list":
        return children
    if kind == "dict":
        return dict(zip(treedef[1], children, strict=True))
    if kind == "mapping":
        (cls, factory), items = treedef[1], zip(treedef[2], children, strict=True)
        return cls(items) if cls is OrderedDict else cls(factory, items)
    return kind(*children)


def flatten_as(treedef, tree):
    """Leaves of a tree of tangents or adjoints at the leaves of a structure.

    None in place of a subtree stands for None at each of its leaves; a dict may have its keys in another order.

    Returns
    -------
    list, or None where the structures differ.
    """
    leaves: list = []
    return leaves if _flatten_as(treedef, tree, leaves) else None


def _flatten_as(treedef, tree, leaves):
    if tree is None:
        leaves.extend([None] * count(treedef))
        return True
    if treedef == LEAF:
        leaves.append(tree)
        return not (isinstance(tree, (tuple, list)) or type(tree) is dict)
    kind = treedef[0]
    if kind == "dict":
        if type(tree) is not dict or tree.keys() != set(treedef[1]):
            return False
        parts = [tree[key] for key in treedef[1]]
    else:
        parts = tree
        same = isinstance(tree, tuple) if kind == "tuple" else type(tree) is (list if kind == "list" else kind)
        if not same or len(tree) != len(treedef[-1]):
            return False
    return all(_flatten_as(child, part, leaves) for child, part in zip(treedef[-1], parts, strict=True))


def plain(treedef):
    """The structure with tuples in place of named tuples."""
    if treedef == LEAF or treedef == _NONE:
        return treedef
    kind = treedef[0] if isinstance(treedef[0], str) else "tuple"
    return (kind, *treedef[1:-1], tuple([plain(child) for child in treedef[-1]]))


def children(treedef):
    """Structures of the direct children of a container; () for a leaf and for None."""
    return () if treedef in (LEAF, _NONE) else treedef[-1]


def count(treedef):
    """Number of leaves."""
    return 1 if treedef == LEAF else sum([count(child) for child in children(treedef)])


def map_leaves(function, tree):
    """The same tree with `function` of each leaf."""
    leaves, treedef = flatten(tree)
    return unflatten(treedef, [function(x) for x in leaves])


def paths(treedef):
    """How each leaf is written in Python: ``['a']``, ``[0]['b']``, ``.mean``; "" for the only one."""
    if treedef == LEAF:
        return [""]
    kind, parts = treedef[0], children(treedef)
    if kind == "dict" or kind == "mapping":
        keys = [f"[{key!r}]" for key in treedef[-2]]
    elif kind in ("tuple", "list", "none"):
        keys = [f"[{k}]" for k in range(len(parts))]
    else:
        keys = [f".{name}" for name in kind._fields]
    return [key + rest for key, part in zip(keys, parts, strict=True) for rest in paths(part)]


def describe(treedef):
    """A structure as text: ``(*, {'a': *})``."""
    if treedef == LEAF:
        return "*"
    kind = treedef[0]
    if kind == "none":
        return "None"
    parts = [describe(child) for child in treedef[-1]]
    if kind == "tuple":
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if kind == "list":
        return f"[{', '.join(parts)}]"
    if kind == "dict" or kind == "mapping":
        return "{" + ", ".join([f"{key!r}: {part}" for key, part in zip(treedef[-2], parts, strict=True)]) + "}"
    return f"{kind.__name__}({', '.join(parts)})"
