"""The study's data flow as a plain diagram, drawn from the study's own rows and files."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from lmidiff.common.errors import StudyError
from lmidiff.figures.canvas import drawn_page
from lmidiff.figures.style import OKABE_ITO, WIDTH_MM

Edge = tuple[str, str, str, str, str]
COLUMNS = ("from_kind", "from", "to_kind", "to", "what")
_X = {"data": (1.0, 31.0), "model": (46.0, 35.0), "method": (95.0, 51.0), "step": (160.0, 19.0)}
_HEADS = {
    "data": "training images",
    "model": "models, other images",
    "method": "rows of the table",
    "step": "judged by",
}
_STEPS = {"segment": "K-Means\nsegmenter", "score": "scores, table,\nverdicts, figures"}
_HEAD, _FOOT, _PITCH = 8.0, 9.0, 7.4
_LOOKS = {
    "train, target": (OKABE_ITO["blue"], "-", 1.1),
    "train, another modality": (OKABE_ITO["vermillion"], "-", 1.1),
    "validation: settings are chosen": (OKABE_ITO["purple"], (0, (3, 1.5)), 0.8),
    "test": ("0.55", "-", 0.6),
    "weights": (OKABE_ITO["black"], "-", 0.8),
    "translations, labels": (OKABE_ITO["green"], "-", 0.7),
}


def figure_flow(
    edges: Sequence[Edge],
    labels: Mapping[str, str],
    target: str,
    out_png: str | Path,
    out_pdf: str | Path,
) -> None:
    """Draw who is handed what: images to models, models to methods, all to the same judge.

    Args:
        edges: see :func:`lmidiff.study.shown.flow`: ``COLUMNS``.
        labels: method key -> printed name.
        target: the target modality, whose training edges have a colour of their own.

    Raises:
        StudyError: there is no edge, or a file cannot be written.
    """
    if not edges:
        raise StudyError("data flow: the study has no edge to draw")
    places = _places(edges, labels)
    lanes = 2 + max(len(places["method"]), len(places["model"]) - 1)
    height = _HEAD + _PITCH * lanes + _FOOT
    with drawn_page(height, out_png, out_pdf) as page:
        axes = page.axes(0, 0, WIDTH_MM, height)
        axes.set(xlim=(0, WIDTH_MM), ylim=(height, 0))
        middles = _middles(places, height)
        seen = set()
        for edge in edges:
            look = _look(edge, target)
            seen.add(look)
            _draw_edge(axes, edge, middles, look)
        for (kind, name), y in middles.items():
            _draw_node(axes, _column(kind, name), _name(kind, name, labels, edges), y)
        for kind, (x, width) in _X.items():
            axes.text(x + width / 2, 4, _HEADS[kind], ha="center", weight="bold", fontsize=7.5)
        handles = [
            Line2D([], [], color=colour, ls=dashes, lw=1.2, label=name)
            for name, (colour, dashes, _) in _LOOKS.items()
            if name in seen
        ]
        page.figure.legend(handles=handles, loc="lower center", ncols=6, frameon=False, fontsize=6)


def _column(kind: str, name: str) -> str:
    """Images that are translated stand with the models, so that no edge runs behind a box."""
    return "model" if kind == "data" and not name.startswith("train|") else kind


def _places(edges: Sequence[Edge], labels: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Nodes (kind, name) by column from top to bottom; models follow the methods that use them."""
    columns: dict[str, list[tuple[str, str]]] = {column: [] for column in _X}
    for from_kind, start, to_kind, end, _ in edges:
        for node in ((from_kind, start), (to_kind, end)):
            if node not in columns[_column(*node)]:
                columns[_column(*node)].append(node)
    rows = [name for name in labels if ("method", name) in columns["method"]]
    columns["method"] = [("method", name) for name in rows]

    def place(node: tuple[str, str]) -> tuple[int, float]:
        kind, name = node
        if kind == "data":
            return (1 if name.startswith("val|") else 2, 0.0)
        used = [
            rows.index(end) for start_kind, start, _, end, _ in edges if (start_kind, start) == node
        ]
        return (0, float(np.mean(used)) if used else 0.0)

    columns["model"].sort(key=place)
    return columns


def _middles(
    places: Mapping[str, list[tuple[str, str]]], height: float
) -> dict[tuple[str, str], float]:
    """Where each node's middle is, in mm from the top.

    A lane above all methods carries the training images to the segmenter, one below all carries the
    truth to the scores.
    """
    top, bottom = _HEAD + _PITCH / 2, height - _FOOT - _PITCH / 2
    middles = {}
    for column, nodes in places.items():
        start, end = top + _PITCH / 2, bottom - _PITCH / 2
        if column in ("data", "step"):
            start, end = top - _PITCH / 2, bottom + _PITCH / 2
        free = nodes[:-1] if column == "model" else nodes
        for number, node in enumerate(free):
            middles[node] = start + (end - start) * (number + 0.5) / len(free)
    middles[places["model"][-1]] = bottom
    middles[places["data"][0]] = middles["step", "segment"] = top
    middles["step", "score"] = bottom
    return middles


def _look(edge: Edge, target: str) -> str:
    from_kind, start, to_kind, _, _ = edge
    if from_kind == "data":
        split, modality = start.split("|")
        if split == "train":
            return "train, target" if modality == target else "train, another modality"
        return "test" if split == "test" else "validation: settings are chosen"
    return "weights" if (from_kind, to_kind) == ("model", "method") else "translations, labels"


def _name(kind: str, name: str, labels: Mapping[str, str], edges: Sequence[Edge]) -> str:
    if kind == "method":
        return textwrap.shorten(labels[name], 46, placeholder="…")
    if kind == "step":
        return _STEPS[name]
    if kind == "data":
        split, modality = name.split("|")
        words = {"train": "training", "val": "validation", "test": "test"}[split]
        people = next((what for _, start, _, _, what in edges if start == name), "")
        count = f", {people}" if people[:1].isdigit() else ""
        return f"{words}{count}\n{modality}"
    return name


def _draw_node(axes: Axes, kind: str, text: str, y: float) -> None:
    x, width = _X[kind]
    tall = 5.6 if "\n" not in text else 7.4
    axes.add_patch(
        FancyBboxPatch(
            (x, y - tall / 2),
            width,
            tall,
            boxstyle="round,pad=0,rounding_size=1",
            facecolor="white" if kind != "method" else "0.95",
            edgecolor="0.25",
            lw=0.6,
            zorder=3,
        )
    )
    wrapped = textwrap.fill(text, 34) if kind == "method" else text
    axes.text(x + width / 2, y, wrapped, ha="center", va="center", fontsize=5.8, zorder=4)


def _draw_edge(axes: Axes, edge: Edge, middles: Mapping[tuple[str, str], float], look: str) -> None:
    from_kind, start, to_kind, end, _ = edge
    colour, dashes, width = _LOOKS[look]
    (x0, size0), (x1, _) = _X[_column(from_kind, start)], _X[to_kind]
    y0, y1 = middles[from_kind, start], middles[to_kind, end]
    if from_kind == to_kind:  # from one step down to the next
        middle = x0 + size0 / 2
        points = [(middle, y0), (middle, (y0 + y1) / 2), (middle, (y0 + y1) / 2), (middle, y1)]
    else:
        left, right = x0 + size0, x1
        bend = (right - left) * 0.45
        points = [(left, y0), (left + bend, y0), (right - bend, y1), (right, y1)]
    path = Curve(points, [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4])
    axes.add_patch(
        PathPatch(path, facecolor="none", edgecolor=colour, ls=dashes, lw=width, alpha=0.8)
    )
    tip = {"width": 0, "headwidth": 2.6, "headlength": 2.6, "color": colour, "lw": 0}
    before = (x1 - 1.0, y1) if from_kind != to_kind else (points[-1][0], y1 - 1.0)
    axes.annotate("", points[-1], before, arrowprops={**tip, "shrink": 0}, zorder=2)
