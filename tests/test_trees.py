"""Trees: taken apart, put together, compared.

Owns: the meaning of structure.  Must not know: tapes.  Next: fastad/trees.py.
"""
from collections import OrderedDict, defaultdict, namedtuple

import pytest

from fastad import trees

Point = namedtuple("Point", "x y")
TREES = [1.0, (), [], {}, None, (1.0,), [1.0, 2.0], {"b": 1.0, "a": (2.0, None)}, Point(1.0, [2.0, 3.0]),
         OrderedDict(b=1.0, a=(2.0, None)), defaultdict(float, {"k": [1.0]}),
         ((), [None, {}], {"k": []}), (Point(1.0, Point(2.0, 3.0)), "text", 3)]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_round_trip(tree):
    leaves, treedef = trees.flatten(tree)
    again = trees.unflatten(treedef, leaves)
    assert again == tree and type(again) is type(tree)
    assert trees.count(treedef) == len(leaves)
    assert hash(treedef) == hash(trees.flatten(again)[1])
    assert trees.describe(treedef).count("*") == len(leaves)


def test_structures_differ():
    defs = [trees.flatten(tree)[1] for tree in [*TREES, (1.0, 2.0), {"a": 1.0, "b": 1.0}, {"b": 1.0, "a": 1.0}]]
    assert len(set(defs)) == len(defs)


def test_dicts_keep_the_order_in_which_the_caller_made_them():
    leaves, treedef = trees.flatten({"z": 1, "a": 2})
    assert leaves == [1, 2] and list(trees.unflatten(treedef, leaves)) == ["z", "a"]


def test_map_leaves():
    assert trees.map_leaves(lambda x: 2 * x, {"a": [1, (2,)], "b": None}) == {"a": [2, (4,)], "b": None}


def test_too_few_leaves_are_noticed():
    with pytest.raises((StopIteration, RuntimeError)):
        trees.unflatten(trees.flatten([1, 2])[1], [1])


def test_paths_are_python():
    """Each path, evaluated, is the leaf it names."""
    for tree in TREES:
        leaves, treedef = trees.flatten(tree)
        assert [eval(f"p{path}", {"p": tree}) for path in trees.paths(treedef)] == leaves
    assert trees.paths(trees.flatten({"w": [1.0], 2: Point(3.0, 4.0)})[1]) == ["['w'][0]", "[2].x", "[2].y"]
