"""A page addressed in millimetres, and what is drawn on a slice of a brain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from lmidiff.evaluation.panel import Box
from lmidiff.figures.style import WIDTH_MM, inches, save, style

OUTLINE = [effects.withStroke(linewidth=1.4, foreground="black")]
GREY = {"cmap": "gray", "vmin": 0, "vmax": 1}


class Page:
    """A figure addressed in millimetres from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.figure = Figure(figsize=(inches(width), inches(height)))
        self.width, self.height = width, height

    def axes(self, x: float, y: float, width: float, height: float, bare: bool = True) -> Axes:
        """Axes in that box; ``bare`` ones have neither ticks nor spines."""
        bottom = self.height - y - height
        axes = self.figure.add_axes(
            (x / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        if bare:
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set_visible(False)
        return axes

    def text(self, x: float, y: float, text: str, **settings) -> None:
        """Text at that place."""
        self.figure.text(x / self.width, 1 - y / self.height, text, **settings)


@contextmanager
def drawn_page(height: float, png: str | Path, pdf: str | Path) -> Iterator[Page]:
    """A page of the printed width to draw on, its height in mm; saved when the block succeeds."""
    with style():
        yield (page := Page(WIDTH_MM, height))
        save(page.figure, png, pdf)


def show_slice(axes: Axes, array: NDArray, box: Box, **look) -> None:
    """Show the box ``(x, y, width, height)`` of an (X, Y) slice, anterior up, left at the left."""
    left, low, width, height = box
    # Shown in array coordinates: transposed with the origin below, which is np.rot90 of the slice.
    edges = (left - 0.5, left + width - 0.5, low - 0.5, low + height - 0.5)
    part = np.rot90(np.asarray(array)[left : left + width, low : low + height])
    axes.imshow(part, extent=edges, aspect="auto", **look)


def show_missing(axes: Axes) -> None:
    """An empty cell that says so."""
    axes.set_facecolor("0.9")
    axes.text(0.5, 0.5, "missing", transform=axes.transAxes, ha="center", va="center")


def content_box(shown: NDArray[np.bool_]) -> Box:
    """The box around what is true, with 2 pixels of margin; the whole array where nothing is."""
    content = np.argwhere(shown)
    if len(content) == 0:
        content = np.argwhere(np.ones_like(shown, dtype=bool))
    x0, y0 = np.maximum(content.min(0) - 2, 0)
    x1, y1 = np.minimum(content.max(0) + 3, shown.shape)
    return int(x0), int(y0), int(x1 - x0), int(y1 - y0)


def outline(axes: Axes, box: Box) -> None:
    """A white rectangle that shows on black and on white."""
    x, y, width, height = box
    for colour, line in (("black", 1.5), ("white", 0.7)):
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, lw=line)
        )


def scale_bar(axes: Axes, box: Box, pixel_size: float) -> None:
    """A bar of a round number of mm, about a quarter of the box wide, at the lower left."""
    x, y, width, height = box
    room = 0.4 * width * pixel_size
    length = max((n for n in (1, 2, 5, 10, 20, 50) if n <= room), default=1)
    x0, y0 = x - 0.5 + 0.04 * width, y - 0.5 + 0.035 * height
    for colour, line in (("black", 2.2), ("white", 1.2)):
        axes.plot([x0, x0 + length / pixel_size], [y0, y0], color=colour, lw=line)
    axes.text(
        x0,
        y0 + 0.015 * height,
        f"{length} mm",
        fontsize=5,
        color="white",
        va="bottom",
        path_effects=OUTLINE,
    )
    axes.set(xlim=(x - 0.5, x + width - 0.5), ylim=(y - 0.5, y + height - 0.5))


def left_and_right(axes: Axes) -> None:
    """The letters L and R: the subject's left is at the left."""
    for place, side, edge in ((0.02, "L", "left"), (0.98, "R", "right")):
        write_on(axes, place, 0.985, side, ha=edge, va="top")


def write_on(axes: Axes, x: float, y: float, text: str, **settings) -> None:
    """Small white text with a dark rim, at shares of the axes' width and height."""
    look = {"fontsize": 6, "color": "white", "path_effects": OUTLINE, **settings}
    axes.text(x, y, text, transform=axes.transAxes, **look)
