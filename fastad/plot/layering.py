"""Where the nodes of a directed acyclic graph go: in layers, so that every edge points the same way.

Owns: the layout after Sugiyama, Tagawa & Toda (1981), "Methods for visual understanding of hierarchical system
structures": layers by longest paths, places within a layer by averages of the neighbours, then coordinates.
Must not know: tapes, matplotlib.  Next: graph.py (draws it).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Layout", "layered"]

ROUNDS = 24                                  # sweeps over the layers; drawings of 60 nodes stop changing after ten


@dataclass(frozen=True)
class Layout:
    """Coordinates: `along` the direction of the edges, `across` it.

    Attributes
    ----------
    layer : list of int
        Of each node.
    across : list of float
        Of each node, from zero on.
    routes : list
        For each edge the (layer, across) points between its ends, one a layer that it passes.
    span : float
        How far the nodes and routes reach across.
    """

    layer: list[int]
    across: list[float]
    routes: list[list[tuple[int, float]]]
    span: float


def layered(size: list[float], edges: list[tuple[int, int]], pulled: set[int], gap: float) -> Layout:
    """Lay out a graph.

    Parameters
    ----------
    size : list of float
        How much room each node takes across; nodes are in topological order.
    edges : list of (from, to)
    pulled : set of int
        Nodes without predecessors that stand just before their first user, not in the first layer.
    gap : float
        Free room between neighbours.
    """
    layer = layers_of(len(size), edges, pulled)
    chains, width, levels = with_waypoints(size, edges, layer)
    order = ordered(levels, chains)
    across = coordinates(order, chains, width, gap)
    lowest = min(across[n] - width[n] / 2 for n in range(len(across)))
    across = [a - lowest for a in across]
    routes = [[(layer[u] + 1 + k, across[n]) for k, n in enumerate(chain)] for (u, _), chain in
              zip(edges, waypoints_of(edges, layer, len(size)), strict=True)]
    return Layout(layer, across[:len(size)], routes, max(a + w / 2 for a, w in zip(across, width, strict=True)))


def layers_of(n: int, edges: list[tuple[int, int]], pulled: set[int]) -> list[int]:
    """The longest path from a source, so that all edges go forward."""
    layer = [0] * n
    for u, v in sorted(edges, key=lambda edge: edge[1]):     # ids are in topological order
        layer[v] = max(layer[v], layer[u] + 1)
    for u in pulled:
        users = [layer[v] for a, v in edges if a == u]
        layer[u] = max(0, min(users, default=1) - 1)
    return layer


def waypoints_of(edges: list[tuple[int, int]], layer: list[int], n: int) -> list[list[int]]:
    """For each edge the numbers of its waypoints; edges from one node share theirs as far as they go together."""
    shared: dict[int, list[int]] = {}
    out = []
    for u, v in edges:
        chain = shared.setdefault(u, [])
        while len(chain) < layer[v] - layer[u] - 1:
            chain.append(n)
            n += 1
        out.append(chain[:max(0, layer[v] - layer[u] - 1)])
    return out


def with_waypoints(size: list[float], edges: list[tuple[int, int]],
                   layer: list[int]) -> tuple[set[tuple[int, int]], list[float], list[list[int]]]:
    """Edges between neighbouring layers, room across, members of each layer; waypoints take little room."""
    width, level = list(size), list(layer)
    steps: set[tuple[int, int]] = set()
    for (u, v), chain in zip(edges, waypoints_of(edges, layer, len(size)), strict=True):
        for k, n in enumerate(chain):
            if n == len(width):
                width.append(0.0)
                level.append(layer[u] + 1 + k)
        stops = [u, *chain, v]
        steps.update(zip(stops[:-1], stops[1:], strict=True))
    levels: list[list[int]] = [[] for _ in range(max(level) + 1)]
    for n, k in enumerate(level):
        levels[k].append(n)
    return steps, width, levels


def neighbours(steps: set[tuple[int, int]]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for u, v in sorted(steps):
        before.setdefault(v, []).append(u)
        after.setdefault(u, []).append(v)
    return before, after


def ordered(levels: list[list[int]], steps: set[tuple[int, int]]) -> list[list[int]]:
    """Orders within the layers with few crossings: averages of the neighbours, forth and back; the best is kept."""
    before, after = neighbours(steps)
    best, fewest = [list(level) for level in levels], crossings(levels, after)
    order = [list(level) for level in levels]
    for turn in range(ROUNDS):
        forth = turn % 2 == 0
        for k in range(1, len(order)) if forth else range(len(order) - 2, -1, -1):
            place = {n: i for i, n in enumerate(order[k - 1 if forth else k + 1])}
            near = before if forth else after
            here = {n: i for i, n in enumerate(order[k])}
            order[k].sort(key=lambda n: np.mean([place[m] for m in near.get(n, [])] or [here[n]]))
        found = crossings(order, after)
        if found < fewest:
            best, fewest = [list(level) for level in order], found
        if fewest == 0:
            break
    return best


def crossings(order: list[list[int]], after: dict[int, list[int]]) -> int:
    """How often edges between neighbouring layers cross."""
    total = 0
    for level, following in zip(order[:-1], order[1:], strict=True):
        place = {n: i for i, n in enumerate(following)}
        ends = [sorted(place[v] for v in after.get(u, []) if v in place) for u in level]
        total += sum(sum(b < a for a in ends[i] for j in range(i + 1, len(ends)) for b in ends[j])
                     for i in range(len(ends)))
    return total


def coordinates(order: list[list[int]], steps: set[tuple[int, int]], width: list[float], gap: float) -> list[float]:
    """Each node as near to the average of its neighbours as its place in the row allows."""
    from scipy.optimize import isotonic_regression

    before, after = neighbours(steps)
    across = np.zeros(len(width))
    least = {}                               # of each layer: distances from its first node when all stand close
    for k, level in enumerate(order):
        rooms = [(width[a] + width[b]) / 2 + gap for a, b in zip(level[:-1], level[1:], strict=True)]
        least[k] = np.concatenate([[0.0], np.cumsum(rooms)])
        across[level] = least[k] - least[k][-1] / 2
    for turn in range(ROUNDS):
        forth = turn % 2 == 0
        for k in range(len(order)) if forth else range(len(order) - 1, -1, -1):
            level = order[k]
            near = [before.get(n, []) + after.get(n, []) if turn > ROUNDS // 2 else
                    (before if forth else after).get(n, []) for n in level]
            wanted = np.array([np.mean(across[m]) if m else across[n] for n, m in zip(level, near, strict=True)])
            across[level] = isotonic_regression(wanted - least[k]).x + least[k]
    return [float(a) for a in across]
