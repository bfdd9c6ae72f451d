"""Figure 1, redrawn from data: where samples go with and without guidance, and what guides them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.patheffects as effects
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lmidiff.evaluation.pictures import intensities, read_pictures
from lmidiff.figures.canvas import GREY, Page, content_box, drawn_page, show_slice, write_on
from lmidiff.figures.style import OKABE_ITO, WIDTH_MM

GUIDED, UNGUIDED = "guided", "unguided"
_PLANE, _MAP_HEAD, _LABEL, _GAP, _FOOT = 84.0, 8.0, 22.0, 0.8, 5.0
_MAPS = {"cmap": "viridis", "vmin": 0, "vmax": 1}
_CLOUDS = {
    "target": (OKABE_ITO["sky"], "o"),
    "source": (OKABE_ITO["orange"], "s"),
}
_PATHS = {
    UNGUIDED: (OKABE_ITO["vermillion"], (0, (3, 1.2)), "^"),
    GUIDED: (OKABE_ITO["blue"], "-", "v"),
}


def figure1(
    points: pd.DataFrame,
    pictures_path: str | Path,
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    source_label: str,
    target_label: str,
) -> None:
    """Draw the plane with its trajectories, and below it the samples and LMI maps on the way.

    Args:
        points: see :func:`lmidiff.methods.trajectories.points_of`.
        pictures_path: the pictures that :func:`lmidiff.methods.trajectories.trace` made.
        source_label, target_label: modalities.

    Raises:
        StudyError: a file cannot be read or written.
    """
    pictures, index = read_pictures(pictures_path)
    steps = index["steps"]
    columns = len(steps) + 1
    cell = (WIDTH_MM - _LABEL - _GAP * columns - 1) / columns
    box = content_box(intensities(pictures["truth"]) > 0.05)
    tall = cell * box[3] / box[2]
    rows = [UNGUIDED, GUIDED, "cross"]
    top = _PLANE + 10 + _MAP_HEAD
    height = top + len(rows) * (tall + _GAP) + _FOOT
    with drawn_page(height, out_png, out_pdf) as page:
        _plane(page, points, index, (source_label, target_label))
        _strip(page, pictures, index, rows, (top, cell, tall), box, (source_label, target_label))


def _plane(page: Page, points: pd.DataFrame, index: Mapping[str, Any], labels) -> None:
    axes = page.axes(11, 3, 112, _PLANE - 8, bare=False)
    for kind, (colour, marker) in _CLOUDS.items():
        own = points[points["kind"] == kind]
        look = {"color": colour, "marker": marker, "ls": "", "ms": 2.6, "mew": 0, "alpha": 0.75}
        axes.plot(own["pc1"], own["pc2"], **look)
    for kind, (colour, dashes, marker) in _PATHS.items():
        for _, path in points[points["kind"] == kind].groupby("draw"):
            path = path.sort_values("step")
            axes.plot(path["pc1"], path["pc2"], color=colour, ls=dashes, lw=0.7, alpha=0.9)
            axes.plot(path["pc1"], path["pc2"], color=colour, ls="", marker=".", ms=1.5, mew=0)
            end = path.iloc[-1]
            look = {"color": colour, "marker": marker, "ms": 5, "mec": "black", "mew": 0.5}
            axes.plot(end["pc1"], end["pc2"], **look, zorder=4)
    for kind, marker in (("this source", "s"), ("its truth", "*")):
        own = points[points["kind"] == kind].iloc[0]
        size = 11 if marker == "*" else 6
        colour = OKABE_ITO["yellow"] if marker == "*" else OKABE_ITO["orange"]
        look = {"marker": marker, "ms": size, "color": colour, "mec": "black", "mew": 0.8}
        axes.plot(own["pc1"], own["pc2"], **look, zorder=5)
    start = points[(points["kind"] == GUIDED) & (points["step"] == 0)][["pc1", "pc2"]].mean()
    white = [effects.withStroke(linewidth=2, foreground="white")]
    note = {"textcoords": "offset points", "fontsize": 7, "path_effects": white, "zorder": 6}
    axes.annotate("noise", tuple(start), (0, -8), ha="center", **note)
    shares = [f"{100 * share:.0f} %" for share in index["explained"]]
    axes.set(
        xlabel=f"principal component 1 ({shares[0]} of variance) [intensity × √pixels]",
        ylabel=f"principal component 2 ({shares[1]})",
    )
    axes.grid(alpha=0.25, lw=0.4)
    _legend(axes, index, labels)


def _legend(axes: Axes, index: Mapping[str, Any], labels: tuple[str, str]) -> None:
    source, target = labels
    black = {"mec": "black", "mew": 0.6, "ls": ""}
    look = {"marker": "s", "ms": 5, "color": OKABE_ITO["orange"], **black}
    handles = [Line2D([], [], **look, label=f"the {source} slice to translate")]
    look = {"marker": "*", "ms": 9, "color": OKABE_ITO["yellow"], **black}
    handles.append(Line2D([], [], **look, label=f"its true {target}"))
    for kind, (colour, marker) in _CLOUDS.items():
        name = f"{labels[kind == 'target']} slices of test subjects"
        look = {"color": colour, "marker": marker, "ls": "", "ms": 3, "mew": 0}
        handles.append(Line2D([], [], **look, label=name))
    for kind, (colour, dashes, marker) in _PATHS.items():
        name = f"{'with' if kind == GUIDED else 'without'} guidance:\n{index['names'][kind]}"
        look = {"color": colour, "ls": dashes, "marker": marker, "ms": 4.5, "lw": 0.9}
        handles.append(Line2D([], [], **look, mec="black", mew=0.5, label=name))
    axes.legend(
        handles=handles,
        title="One slice, the same noise for both",
        title_fontsize=7,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        frameon=False,
        labelspacing=0.9,
    )


def _strip(
    page: Page,
    pictures: Mapping[str, NDArray],
    index: Mapping[str, Any],
    rows: list[str],
    sizes: tuple[float, float, float],
    box: tuple[int, int, int, int],
    labels: tuple[str, str],
) -> None:
    first, cell, tall = sizes
    unit = "NMI" if index["normalized"] else "MI"
    names = {
        UNGUIDED: "$x_t$ without\nguidance",
        GUIDED: "$x_t$ with\nguidance",
        "cross": "LMI($y$, $x_t$)\nof the guided",
    }
    last = {
        UNGUIDED: (pictures["source"], GREY, f"$y$, {labels[0]}"),
        GUIDED: (pictures["truth"], GREY, f"true {labels[1]}"),
        "cross": (pictures["self"], _MAPS, "LMI($y$, $y$)"),
    }
    for number, row in enumerate(rows):
        y = first + number * (tall + _GAP)
        page.text(_LABEL - 2, y + tall / 2, names[row], ha="right", va="center", fontsize=6.5)
        for column, step in enumerate(index["steps"]):
            x = _LABEL + column * (cell + _GAP)
            axes = page.axes(x, y, cell, tall)
            look = _MAPS if row == "cross" else GREY
            show_slice(axes, intensities(pictures[f"{row}/{column}"]), box, **look)
            if number == 0:
                time = "clean" if step["time"] < 0 else f"$t$ = {step['time']}"
                page.text(x + cell / 2, y - 1, time, ha="center", va="bottom", fontsize=6.5)
        picture, look, name = last[row]
        x = _LABEL + len(index["steps"]) * (cell + _GAP) + 1
        axes = page.axes(x, y, cell, tall)
        show_slice(axes, intensities(picture), box, **look)
        write_on(axes, 0.5, 0.02, name, ha="center", va="bottom")
    largest = f"{index['largest_lmi']:.2f}{'' if index['normalized'] else ' bits'}"
    note = f"{index['subject']}, slice {index['slice'] + 1}. Grey: intensity 0..1. "
    note += f"Maps: {unit} from 0 (dark) to {largest} (bright)."
    page.text(_LABEL, page.height - 2, note, fontsize=6, va="bottom")
