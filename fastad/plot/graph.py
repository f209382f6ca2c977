"""The computational graph of a tape: what is computed from what, with values, adjoints and partial derivatives.

Owns: which values of a tape are nodes, what stands in them, how it is drawn.
Must not know: where nodes go (layering.py), how instructions read (fastad/listing.py).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastad.errors import AdError
from fastad.listing import Names, heading
from fastad.plot.canvas import BLACK, BLUE, GREY, ORANGE, RED, SKY, pyplot
from fastad.plot.layering import Layout, layered
from fastad.trace import Observed, input_values, partials_of

__all__ = ["graph"]

MOST = 60                                    # nodes that can be read on one page
ELEMENTS = 8                                 # elements of an input that are nodes of their own
LONGEST = 36                                 # characters of an expression
FONT = 8.5                                   # points, monospaced: so is the room that a text takes
LETTER, LINE = FONT * 0.602 / 72, FONT * 1.55 / 72       # inches
PAGE = 11.0                                  # inches; a graph that is wider runs down the page


def graph(tape: Any, *point: Any, adjoints: bool = False, direction: str = "auto", title: str | None = None,
          ax: Any = None, **keywords: Any) -> Any:
    """Draw the computational graph of a tape, in layers from its inputs to its results.

    Parameters
    ----------
    tape : Tape
        From `ad.record`; up to 60 nodes.
    *point, **keywords : optional
        The arguments of the recorded function: each node then shows its value there, as `tape.trace` lists it.
    adjoints : bool, optional
        Show also the adjoint of each node (the derivative of the result by it; of the sum of several results), and at
        each edge between numbers the partial derivative by which a reverse sweep multiplies.  Needs the point.
    direction : {"auto", "right", "down"}, optional
        Which way the edges point.  "auto" is to the right unless that needs more than a page.
    title : str, optional
        The name of the function by default.
    ax : matplotlib Axes, optional
        Where to draw; without it a new figure of the size that makes the text readable.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    AdError
        More than 60 nodes, or adjoints without a point.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastad as ad
    >>> tape = ad.record(lambda x1, x2: x1**2 + x2, 2.0, 3.0)
    >>> ax = ad.plot.graph(tape, 2.0, 3.0, adjoints=True)
    >>> [text.get_text() for text in ax.texts[:3]]
    ['x1', '2', 'adjoint 4']
    """
    if direction not in ("auto", "right", "down"):
        raise AdError(f"plot.graph: direction={direction!r}; it is 'auto', 'right' or 'down'")
    if adjoints and not point and not keywords:
        raise AdError("plot.graph: adjoints are those at a point; give the arguments of the function after the tape")
    picture = Picture(tape)
    if point or keywords:
        picture.evaluate(input_values(tape, point, keywords), adjoints)
    return draw(picture, direction, name_of(tape) if title is None else title, ax)


def name_of(tape: Any) -> str:
    """The function's name; a lambda has none."""
    name = heading(tape).partition(":")[0]
    return "" if name == "<lambda>" else name


# ---- nodes -----------------------------------------------------------------------------------------------------------

@dataclass
class Node:
    """One box: its kind ("input", "captured", "step", "guard"), its lines of text with their colours."""

    id: int
    kind: str
    lines: list[tuple[str, str]]
    result: bool = False

    @property
    def width(self) -> float:
        return max(len(text) for text, _ in self.lines) * LETTER + 0.2

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + 0.12


class Picture:
    """Nodes and edges of a tape; constants stand in the text of the nodes that use them."""

    def __init__(self, tape: Any):
        self.tape, self.names = tape, Names(tape)
        self.readable(len(self.names.lines) - len(tape.inputs))      # before a long tape is looked through
        self.elements = self.single_elements()
        shown = [i for i in self.names.lines.tolist() if not self.in_elements(i)]
        ids = sorted([*shown, *set(self.elements.values())])
        self.readable(len(ids))
        self.results = {u for i in tape.outputs for u in self.operands_of([i])}
        self.nodes = [self.node(i) for i in ids]
        place = {i: n for n, i in enumerate(ids)}
        found = {(place[u], place[i]): None for i in ids for u in self.operands(i)}
        self.edges = list(found)
        self.labels: dict[tuple[int, int], str] = {}

    def readable(self, nodes: int) -> None:
        if nodes > MOST:
            raise AdError(f"plot.graph: the tape has {len(self.names.lines)} steps, and more than {MOST} cannot be "
                          "read in one picture. Record a smaller case of the function (shorter arrays, fewer steps), "
                          "or read print(tape).")

    def single_elements(self) -> dict[int, int]:
        """Element instructions of inputs that are used by elements alone -> the first such instruction of each."""
        instruction = self.tape.instruction
        read: dict[int, list[int]] = {i: [] for i in self.tape.inputs}
        whole = set(self.tape.outputs)
        for i in range(1, len(self.tape) + 1):
            op, operands, *_ = instruction(i)
            if op == "element" and operands[0] in read:
                read[operands[0]].append(i)
            elif op not in ("const", "input", "capture"):
                whole.update(operands)
        out: dict[int, int] = {}
        for x, found in read.items():
            first: dict[int, int] = {}
            for i in found:
                first.setdefault(instruction(i)[3], i)
            if x not in whole and 0 < len(first) <= ELEMENTS:
                out.update({i: first[instruction(i)[3]] for i in found})
        return out

    def in_elements(self, i: int) -> bool:
        """Is this an input that its elements stand for?"""
        return any(self.tape.instruction(k)[1][0] == i for k in self.elements.values())

    def operands(self, i: int) -> list[int]:
        """The nodes that node i is computed from."""
        op, operands, *_ = self.tape.instruction(i)
        return [] if op in ("const", "input", "capture") or i in self.elements else self.operands_of(operands)

    def operands_of(self, ids: Sequence[int]) -> list[int]:
        """The nodes in which these values stand; constants stand in none."""
        out = []
        for u in ids:
            kind = self.tape.instruction(u)[0]
            if u in self.elements:
                out.append(self.elements[u])
            elif kind == "element":
                out.append(self.tape.instruction(u)[1][0])
            elif kind != "const":
                out.append(u)
        return out

    def node(self, i: int) -> Node:
        op = self.tape.instruction(i)[0]
        result = i in self.results
        if i in self.elements or op == "input":
            return Node(i, "input", [(self.names.name(i), BLACK)], result)
        if op == "capture":
            return Node(i, "captured", [(f"{self.names.name(i)} captured", BLACK)], result)
        text = self.names.line(i).partition("  #")[0].strip()
        text = text if len(text) <= LONGEST else text[:LONGEST - 3].rstrip(" ,[") + " ..."
        return Node(i, "guard" if op == "guard" else "step", [(text, BLACK)], result)

    def evaluate(self, point: list[Any], adjoints: bool) -> None:
        """Values at the point, and adjoints, into the nodes."""
        observed = Observed(self.tape)
        values = observed.forward(point)
        bars = observed.adjoints([1.0] * len(self.tape.outputs)) if adjoints else {}
        for node in self.nodes:
            if node.kind == "guard":
                continue
            node.lines.append((short(self.at(values, node.id)), BLUE))
            if adjoints and self.at(bars, node.id) is not None:
                node.lines.append((f"adjoint {short(self.at(bars, node.id))}", RED))
        if adjoints:
            for edge in self.edges:
                self.label(edge, values)

    def at(self, found: dict[int, Any], i: int) -> Any:
        """What was found for node i."""
        op, operands, _, attr = self.tape.instruction(i)
        if op != "element":
            return found.get(i)
        whole = found.get(operands[0])
        return None if whole is None else np.asarray(whole).flat[attr]

    def label(self, edge: tuple[int, int], values: dict[int, Any]) -> None:
        """The partial derivative at an edge between numbers."""
        u, v = self.nodes[edge[0]].id, self.nodes[edge[1]].id
        if self.nodes[edge[1]].kind == "step":
            same = [p for k, p in partials_of(self.tape, v, values) if self.elements.get(k, k) == u]
            if same:                         # x * x: twice the same operand
                self.labels[edge] = short(sum(same))


def short(x: Any) -> str:
    """A number in four figures, up to three of them, else the shape."""
    array = np.asarray(x)
    if array.size > 3:
        return f"array {array.shape}"
    texts = [f"{v:.4g}" if array.dtype.kind == "f" else str(v) for v in array.ravel().tolist()]
    return texts[0] if array.ndim == 0 else f"[{', '.join(texts)}]"


# ---- drawing ---------------------------------------------------------------------------------------------------------

FILL = {"input": SKY, "captured": GREY, "step": "#FFFFFF", "guard": "#FFFFFF"}


class Frame:
    """Inches on the page: where layers and nodes are, for edges to the right or down."""

    def __init__(self, picture: Picture, right: bool):
        self.right, nodes = right, picture.nodes
        size = [node.height if right else node.width for node in nodes]
        pulled = {n for n, node in enumerate(nodes) if node.kind == "captured"}
        self.layout: Layout = layered(size, picture.edges, pulled, 0.22 if right else 0.28)
        longest = max((len(text) for text in picture.labels.values()), default=0)
        gap = max(0.5, (longest * LETTER if right else LINE) + 0.4) if longest else 0.42
        thick = [0.0] * (max(self.layout.layer) + 1)
        for node, k in zip(nodes, self.layout.layer, strict=True):
            thick[k] = max(thick[k], node.width if right else node.height)
        starts = np.concatenate([[0.0], np.cumsum([t + gap for t in thick])])
        self.middle = [float(s) + t / 2 for s, t in zip(starts[:-1], thick, strict=True)]
        self.thick = thick
        length = float(starts[-1]) - gap
        self.size = (length, self.layout.span) if right else (self.layout.span, length)

    def xy(self, along: float, across: float) -> tuple[float, float]:
        """Page coordinates, y upwards."""
        return (along, -across) if self.right else (across, -along)

    def scale(self, ax: Any) -> float:
        """How much letters shrink in these axes; they never grow."""
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        scale = float(min(1.0, box.width / (self.size[0] + 0.3), box.height / (self.size[1] + 0.3)))
        return scale if scale == 1.0 else 0.94 * scale       # small letters are rounded up to whole pixels

    def centre(self, n: int) -> tuple[float, float]:
        return self.xy(self.middle[self.layout.layer[n]], self.layout.across[n])


def draw(picture: Picture, direction: str, title: str, ax: Any) -> Any:
    if ax is not None:
        ax.set_axis_off()
        ax.set_title(title, fontsize=FONT + 1.5)
        ax.figure.draw_without_rendering()   # a layout engine settles the size of axes when they are drawn
    frame = chosen_frame(picture, direction, ax)
    width, height = frame.size[0] + 0.3, frame.size[1] + 0.3
    if ax is None:
        above = 0.35 if title else 0.0
        figure = pyplot().figure(figsize=(max(width, 2.5), height + above))
        ax = figure.add_axes((0.0, 0.0, 1.0, height / (height + above)))
    scale = frame.scale(ax)
    ax.set(xlim=(-0.15, width - 0.15), ylim=(0.15 - height, 0.15), aspect="equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=FONT + 1.5)
    for n in range(len(picture.nodes)):
        draw_node(ax, picture.nodes[n], frame.centre(n), scale)
    ends = entries(picture, frame)
    for k, edge in enumerate(picture.edges):
        draw_edge(ax, picture, frame, k, ends[edge], scale, picture.labels.get(edge))
    return ax


def chosen_frame(picture: Picture, direction: str, ax: Any) -> Frame:
    """As asked; else the one with larger letters in the axes that are given, else to the right if it fits the page."""
    right = Frame(picture, direction != "down")
    if direction != "auto":
        return right
    down = Frame(picture, False)
    if ax is not None:
        return right if right.scale(ax) >= down.scale(ax) else down
    return right if right.size[0] <= PAGE else down


def draw_node(ax: Any, node: Node, centre: tuple[float, float], scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch
    (x, y), w, h = centre, node.width, node.height
    ax.add_patch(FancyBboxPatch(
        (x - w / 2, y - h / 2), w, h, boxstyle="round,pad=0,rounding_size=0.07", zorder=2,
        facecolor=faint(FILL[node.kind]), edgecolor=ORANGE if node.result else GREY,
        linewidth=(2.2 if node.result else 1.0) * scale, linestyle="--" if node.kind == "guard" else "-"))
    for k, (text, colour) in enumerate(node.lines):
        ax.text(x, y + h / 2 - 0.06 - (k + 0.5) * LINE, text, ha="center", va="center", color=colour, zorder=3,
                fontsize=FONT * scale, family="monospace", parse_math=False)


def faint(colour: str) -> tuple[float, ...]:
    """A light tint, opaque, so that edges pass behind."""
    from matplotlib.colors import to_rgb
    return tuple([1.0 - 0.3 * (1.0 - c) for c in to_rgb(colour)])


def entries(picture: Picture, frame: Frame) -> dict[tuple[int, int], float]:
    """Where each edge meets its node: side by side in the order in which they come."""
    out = {}
    for n, node in enumerate(picture.nodes):
        def origin(k: int) -> float:
            route = frame.layout.routes[k]
            return route[-1][1] if route else frame.layout.across[picture.edges[k][0]]
        found = sorted([k for k, edge in enumerate(picture.edges) if edge[1] == n], key=origin)
        room = 0.7 * (node.height if frame.right else node.width)
        for rank, k in enumerate(found):
            out[picture.edges[k]] = room * ((rank + 0.5) / len(found) - 0.5)
    return out


def draw_edge(ax: Any, picture: Picture, frame: Frame, k: int, offset: float, scale: float, label: str | None) -> None:
    """Straight through the layers between, bent in the gaps; the partial derivative stands in the last gap."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path
    u, v = picture.edges[k]
    runs = edge_runs(picture, frame, k, offset)
    points, codes = [frame.xy(*runs[0][0])], [Path.MOVETO]
    for n, ((a0, c0), (a1, c1)) in enumerate(runs):
        if n > 0:                            # the gap before this run
            (a, c), bend = runs[n - 1][1], 0.5 * (a0 - runs[n - 1][1][0])
            points += [frame.xy(a + bend, c), frame.xy(a0 - bend, c0), frame.xy(a0, c0)]
            codes += [Path.CURVE4] * 3
        points.append(frame.xy(a1, c1))
        codes.append(Path.LINETO)
    colour = BLACK if picture.nodes[v].kind != "guard" else GREY
    ax.add_patch(FancyArrowPatch(path=Path(points, codes), arrowstyle="-|>", mutation_scale=9 * scale, color=colour,
                                 linewidth=0.9 * scale, zorder=1, shrinkA=0, shrinkB=0))
    if label is not None:
        (a0, c0), (a1, c1) = runs[-2][1], runs[-1][0]
        ax.text(*frame.xy(0.5 * (a0 + a1), 0.5 * (c0 + c1)), label, color=RED, fontsize=(FONT - 0.5) * scale,
                ha="center", va="center", zorder=4, family="monospace",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})


def edge_runs(picture: Picture, frame: Frame, k: int, offset: float) -> list[tuple[tuple[float, float], ...]]:
    """The straight parts of an edge, one a layer: out of its node, through the layers between, into the other node."""
    u, v = picture.edges[k]
    layer, across = frame.layout.layer, frame.layout.across

    def begin(i: int) -> float:
        return frame.middle[i] - frame.thick[i] / 2

    def end(i: int) -> float:
        return frame.middle[i] + frame.thick[i] / 2

    half = [(node.width if frame.right else node.height) / 2 for node in (picture.nodes[u], picture.nodes[v])]
    return [((frame.middle[layer[u]] + half[0], across[u]), (end(layer[u]), across[u])),
            *[((begin(i), a), (end(i), a)) for i, a in frame.layout.routes[k]],
            ((begin(layer[v]) - 0.1, across[v] + offset),
             (frame.middle[layer[v]] - half[1] - 0.02, across[v] + offset))]
