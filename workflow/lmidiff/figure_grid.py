"""Figure 2: the qualitative grid of translations, close-ups and segmentations, as in the paper."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from lmidiff.errors import StudyError
from lmidiff.figure_style import TISSUE_COLOURS, WIDTH_MM, inches, save, style

SOURCE, TARGET = "source", "target"
_LEFT, _GAP, _PANEL_GAP, _FOOT, _LINE = 10.5, 0.6, 3.0, 11.0, 2.75
_MAX_CELL = 34.0
_TISSUE_MAP = ListedColormap(["#000000", *TISSUE_COLOURS.values()])
_OUTLINE = [effects.withStroke(linewidth=1.4, foreground="black")]


@dataclass(frozen=True)
class Panel:
    """One subject's slice, translated from one source modality: three lines of the grid.

    Attributes:
        title: names the source modality, e.g. ``PDw``.
        subtitle: names subject and slice.
        images: (X, Y) slices in RAS orientation (x to the subject's right, y to the front), 0..1,
            under ``"source"``, ``"target"`` and the key of each method. A method that is not there
            is drawn as an empty cell that says so.
        labels: (X, Y) K-Means labels 0..3 under the same keys; absent ones stay empty.
        pixel_size: side of a pixel in mm.
        roi: close-up as ``(x, y, width, height)`` in pixels of the arrays; ``None`` takes
            :func:`choose_roi` of the target's labels.
    """

    title: str
    subtitle: str
    images: Mapping[str, NDArray[np.floating]]
    labels: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)
    pixel_size: float = 1.0
    roi: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        for key in (SOURCE, TARGET):
            if key not in self.images:
                raise StudyError(f"figure 2: {self.title} {self.subtitle} has no {key} image")
        shape = np.shape(self.images[TARGET])
        for key, image in [*self.images.items(), *self.labels.items()]:
            if np.ndim(image) != 2 or np.shape(image) != shape:
                raise StudyError(
                    f"figure 2: {self.title} {self.subtitle}, {key}: shape {np.shape(image)},"
                    f" target {shape}"
                )
        if self.roi is not None:
            x, y, width, height = self.roi
            if min(x, y) < 0 or min(width, height) < 1 or x + width > shape[0]:
                raise StudyError(f"figure 2: roi {self.roi} does not fit a slice of {shape}")
            if y + height > shape[1]:
                raise StudyError(f"figure 2: roi {self.roi} does not fit a slice of {shape}")


def choose_roi(labels: NDArray[np.integer], side: int) -> tuple[int, int, int, int]:
    """The square in which the rarest of the three tissues is most frequent.

    Chosen from the true target alone, so that no method picks its own close-up.

    Args:
        labels: (X, Y) labels 0..3.
        side: side of the square in pixels, cut to the image.
    """
    labels = np.asarray(labels)
    side = min(side, *labels.shape)
    sums = []
    for label in (1, 2, 3):
        total = np.pad((labels == label).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        sums.append(
            total[side:, side:]
            - total[:-side, side:]
            - total[side:, :-side]
            + total[:-side, :-side]
        )
    x, y = np.unravel_index(np.argmin(-np.min(sums, axis=0)), sums[0].shape)
    return int(x), int(y), side, side


def figure2(
    panels: Sequence[Panel],
    methods: Mapping[str, str],
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    target_label: str = "T1w",
    width_mm: float = WIDTH_MM,
) -> None:
    """Draw the grid: columns source, true target, methods; per panel image, close-up, K-Means.

    Slices are shown from above with anterior up and the subject's left at the left
    (neurological convention; marked L and R). The grey scale is 0..1 in every cell; values outside
    are shown as black or white.

    Args:
        panels: one or more, drawn from top to bottom.
        methods: method key -> column title, in the order of the columns.
        target_label: the target modality, for the title of its column.
        width_mm: printed width; legible for eight methods at 180 mm.

    Raises:
        StudyError: no panels, no columns, or a file cannot be written.
    """
    if not panels or not methods:
        raise StudyError("figure 2: needs at least one panel and one method")
    titles = {SOURCE: "source", TARGET: f"true {target_label}", **methods}
    cell = min(_MAX_CELL, (width_mm - _LEFT - _GAP * len(titles)) / len(titles))
    with style():
        # A title line holds about one character per 1.15 mm of 6 pt type.
        wrapped = {
            key: textwrap.fill(title, max(8, int(cell / 1.15))) for key, title in titles.items()
        }
        head = 1.5 + _LINE * max(title.count("\n") + 1 for title in wrapped.values())
        views = [_View.of(panel, cell) for panel in panels]
        height = head + sum(view.height + _PANEL_GAP for view in views) + _FOOT
        figure = Figure(figsize=(inches(width_mm), inches(height)))
        FigureCanvasAgg(figure)
        page = _Page(figure, width_mm, height)
        left = (width_mm - _LEFT - len(titles) * (cell + _GAP)) / 2 + _LEFT
        top = head
        for number, view in enumerate(views):
            for column, (key, title) in enumerate(wrapped.items()):
                _draw_column(page, view, key, left + column * (cell + _GAP), top, column == 0)
                if number == 0:
                    x = left + column * (cell + _GAP) + cell / 2
                    page.text(x, head - 1, title, ha="center", va="bottom", fontsize=6)
            _row_labels(page, view, left, top)
            top += view.height + _PANEL_GAP
        _foot(page, left, top)
        save(figure, out_png, out_pdf)


@dataclass(frozen=True)
class _View:
    """A panel with its crop, region of interest and printed heights in mm."""

    panel: Panel
    crop: tuple[int, int, int, int]
    roi: tuple[int, int, int, int]
    cell: float
    lines: tuple[float, float, float]

    @property
    def height(self) -> float:
        return sum(self.lines) + 2 * _GAP

    @classmethod
    def of(cls, panel: Panel, cell: float) -> "_View":
        target = np.asarray(panel.images[TARGET])
        labels = np.asarray(panel.labels.get(TARGET, target > 0.1))
        content = np.argwhere((labels > 0) | (target > 0.1))
        if len(content) == 0:
            content = np.argwhere(np.ones_like(target, dtype=bool))
        x0, y0 = np.maximum(content.min(0) - 2, 0)
        x1, y1 = np.minimum(content.max(0) + 3, target.shape)
        crop = (int(x0), int(y0), int(x1 - x0), int(y1 - y0))
        roi = panel.roi or choose_roi(labels, max(8, round(0.3 * crop[2])))
        full, close = cell * crop[3] / crop[2], cell * roi[3] / roi[2]
        return cls(panel, crop, roi, cell, (full, close, full))


class _Page:
    """A figure addressed in millimetres from its top left corner."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        bottom = self.height - y - height
        axes = self.figure.add_axes(
            (x / self.width, bottom / self.height, width / self.width, height / self.height)
        )
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def text(self, x: float, y: float, text: str, **settings) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, **settings)


def _draw_column(page: _Page, view: _View, key: str, x: float, top: float, first: bool) -> None:
    image, labels = view.panel.images.get(key), view.panel.labels.get(key)
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
    tissue = {"cmap": _TISSUE_MAP, "vmin": -0.5, "vmax": 3.5}
    contents = ((image, view.crop, grey), (image, view.roi, grey), (labels, view.crop, tissue))
    for line, (array, box, look) in enumerate(contents):
        y = top + sum(view.lines[:line]) + line * _GAP
        axes = page.axes(x, y, view.cell, view.lines[line])
        if array is None:
            if line < 2:
                axes.set_facecolor("0.9")
                axes.text(0.5, 0.5, "missing", transform=axes.transAxes, ha="center", va="center")
            continue
        left, low, width, height = box
        # Shown in array coordinates: transposed with the origin below, which is np.rot90 of the
        # slice, so anterior is up and the subject's left is at the left.
        edges = (left - 0.5, left + width - 0.5, low - 0.5, low + height - 0.5)
        part = np.rot90(np.asarray(array)[left : left + width, low : low + height])
        axes.imshow(part, extent=edges, aspect="auto", **look)
        if line == 0:
            _outline(axes, view.roi)
        if first and line < 2:
            _scale_bar(axes, box, view.panel.pixel_size)
        if first and line == 0:
            for place, side in ((0.02, "L"), (0.98, "R")):
                axes.text(
                    *(place, 0.985, side),
                    transform=axes.transAxes,
                    ha="left" if side == "L" else "right",
                    va="top",
                    fontsize=6,
                    color="white",
                    path_effects=_OUTLINE,
                )


def _outline(axes: Axes, roi: tuple[int, int, int, int]) -> None:
    x, y, width, height = roi
    for colour, line in (("black", 1.5), ("white", 0.7)):
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), width, height, fill=False, edgecolor=colour, lw=line)
        )


def _scale_bar(axes: Axes, box: tuple[int, int, int, int], pixel_size: float) -> None:
    """A bar of a round number of mm, about a quarter of the box wide, at the lower left."""
    x, y, width, height = box
    room = 0.4 * width * pixel_size
    length = max((n for n in (1, 2, 5, 10, 20, 50) if n <= room), default=1)
    x0, y0 = x - 0.5 + 0.04 * width, y - 0.5 + 0.035 * height
    for colour, line in (("black", 2.2), ("white", 1.2)):
        axes.plot([x0, x0 + length / pixel_size], [y0, y0], color=colour, lw=line)
    axes.text(
        *(x0, y0 + 0.015 * height, f"{length} mm"),
        fontsize=5,
        color="white",
        va="bottom",
        path_effects=_OUTLINE,
    )
    axes.set(xlim=(x - 0.5, x + width - 0.5), ylim=(y - 0.5, y + height - 0.5))


def _row_labels(page: _Page, view: _View, left: float, top: float) -> None:
    middle = top + view.height / 2
    turned = {"rotation": 90, "ha": "center", "va": "center"}
    page.text(left - 8.3, middle, view.panel.title, **turned, fontsize=8, weight="bold")
    page.text(left - 5.1, middle, view.panel.subtitle, **turned, fontsize=5.5, color="0.25")
    for line, name in enumerate(("image", "close-up", "K-Means")):
        y = top + sum(view.lines[:line]) + line * _GAP + view.lines[line] / 2
        page.text(left - 1.8, y, name, **turned, fontsize=6)


def _foot(page: _Page, left: float, top: float) -> None:
    """Colour bar, tissue legend and what the letters mean."""
    axes = page.axes(left, top + 0.5, 28, 2)
    bar = page.figure.colorbar(
        ScalarMappable(Normalize(0, 1), "gray"), cax=axes, orientation="horizontal"
    )
    bar.set_ticks([0, 0.5, 1])
    bar.ax.tick_params(labelsize=5.5, length=1.5, width=0.4, pad=1)
    bar.outline.set_linewidth(0.4)
    page.text(left, top + 8.2, "intensity 0..1, same scale in all cells", fontsize=5.5, va="center")
    handles = [Patch(color=c, label=name.upper()) for name, c in TISSUE_COLOURS.items()]
    page.figure.legend(
        handles=handles,
        title="K-Means label",
        title_fontsize=5.5,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=((left + 40) / page.width, 1 - (top - 0.2) / page.height),
        ncols=3,
        frameon=False,
        borderpad=0,
        handlelength=1.2,
        columnspacing=1.2,
    )
    note = "L, R: the subject's left and right (neurological convention).\n"
    note += "White rectangle: the close-up."
    page.text(page.width - 1, top + 0.3, note, fontsize=5.5, ha="right", va="top")
