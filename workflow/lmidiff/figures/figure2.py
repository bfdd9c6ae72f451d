"""Figure 2: the qualitative grid of translations, close-ups and segmentations, as in the paper."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.patches import Patch
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.common.regions import BRAIN
from lmidiff.evaluation.panel import SOURCE, TARGET, Box, Panel, choose_roi
from lmidiff.figures.canvas import (
    GREY,
    Page,
    content_box,
    drawn_page,
    left_and_right,
    outline,
    scale_bar,
    show_missing,
    show_slice,
)
from lmidiff.figures.style import LABEL_COLOURS, WIDTH_MM

LINES = {"image": "image", "closeup": "close-up", "labels": "K-Means"}
_LEFT, _GAP, _PANEL_GAP, _FOOT = 10.5, 0.6, 3.0, 11.0
_MAX_CELL, _MIN_CELL, _MAX_HEIGHT = 34.0, 6.0, 245.0
# Titles are 6 pt: height of a line, width of a character. Columns at most, so that titles fit.
_LINE, _LETTER, _MOST_COLUMNS = 2.75, 1.25, 10
_CLOSEUP = 21


def figure2(
    panels: Sequence[Panel],
    methods: Mapping[str, str],
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    target_label: str = "T1w",
    lines: Sequence[str] = tuple(LINES),
    columns_per_band: int | None = None,
    field: str = BRAIN,
) -> None:
    """Draw the grid: columns source, true target, methods; per panel image, close-up, K-Means.

    Slices are shown from above with anterior up and the subject's left at the left
    (neurological convention; marked L and R). The grey scale is 0..1 in every cell; values outside
    are shown as black or white. More columns than fit a band go on below, in a second band.

    Args:
        panels: one or more, drawn from top to bottom.
        methods: method key -> column title, in the order of the columns.
        target_label: the target modality, for the title of its column.
        lines: which of ``LINES`` to draw, in that order; a close-up line for every close-up.
        columns_per_band: columns side by side; by default as many as make the cells largest.
        field: what the labels are of, a key of :data:`lmidiff.figures.style.LABEL_COLOURS`.

    Raises:
        StudyError: no panels, no columns, an unknown line, or a file cannot be written.
    """
    if not panels or not methods:
        raise StudyError("figure 2: needs at least one panel and one method")
    if not lines or not set(lines) <= set(LINES):
        raise StudyError(f"figure 2: lines {list(lines)}; known are {', '.join(LINES)}")
    colours = LABEL_COLOURS[field]
    titles = {SOURCE: "source", TARGET: f"true {target_label}", **methods}
    layout = _Layout.of(panels, titles, lines, columns_per_band)
    with drawn_page(layout.height, out_png, out_pdf) as page:
        top = 0.0
        for view in layout.views:
            for number, band in enumerate(layout.bands):
                repeated = len(layout.bands) > 1 or view is layout.views[0]
                top += layout.heads[number] if repeated else 0
                for column, (key, title) in enumerate(band.items()):
                    x = layout.left + column * (layout.cell + _GAP)
                    first = column == number == 0
                    _draw_column(page, view, key, x, top, layout, first, list(colours.values()))
                    if repeated:
                        middle = x + layout.cell / 2
                        page.text(middle, top - 1, title, ha="center", va="bottom", fontsize=6)
                _row_labels(page, view, layout, top)
                top += view.height(layout.cell) + _PANEL_GAP
        _foot(page, layout.left, top, colours if "labels" in lines else {}, "closeup" in lines)


@dataclass(frozen=True)
class _View:
    """A panel with its crop and its lines: kind, printed name, and the box they show."""

    panel: Panel
    rois: tuple[Box, ...]
    lines: tuple[tuple[str, str, Box], ...]

    @classmethod
    def of(cls, panel: Panel, wanted: Sequence[str]) -> "_View":
        shown: NDArray[np.bool_] = panel.brain | (np.asarray(panel.images[TARGET]) > 0.1)
        crop = content_box(shown)
        labels = np.asarray(panel.labels.get(TARGET, panel.brain))
        rois = panel.rois or (choose_roi(labels, max(_CLOSEUP, round(0.3 * crop[2]))),)
        rois = rois if "closeup" in wanted else ()
        lines = []
        for kind in wanted:
            boxes = rois if kind == "closeup" else (crop,)
            numbered = len(boxes) > 1
            for place, box in enumerate(boxes, start=1):
                lines.append((kind, f"{LINES[kind]} {place}" if numbered else LINES[kind], box))
        return cls(panel, rois, tuple(lines))

    def heights(self, cell: float) -> list[float]:
        """Printed height of each line in mm."""
        return [cell * box[3] / box[2] for _, _, box in self.lines]

    def height(self, cell: float) -> float:
        return sum(self.heights(cell)) + (len(self.lines) - 1) * _GAP


@dataclass(frozen=True)
class _Layout:
    """Where everything goes, in mm: bands of columns, the side of a cell, the head of each band."""

    views: list[_View]
    bands: list[dict[str, str]]
    cell: float
    heads: list[float]
    height: float
    left: float

    @classmethod
    def of(cls, panels, titles, lines, columns_per_band) -> "_Layout":
        views = [_View.of(panel, lines) for panel in panels]
        fewest = math.ceil(len(titles) / _MOST_COLUMNS)
        counts = range(fewest, max(fewest, len(titles) // 4 + 1) + 1)
        if columns_per_band:
            counts = [math.ceil(len(titles) / columns_per_band)]
        # Fewer bands unless more make the cells clearly larger: a line of columns compares best.
        return max(
            (cls._with(views, titles, count) for count in counts),
            key=lambda layout: layout.cell * 0.9 ** len(layout.bands),
        )

    @classmethod
    def _with(cls, views, titles, count) -> "_Layout":
        """The layout of so many bands, with the largest cells that fit the page."""
        columns = math.ceil(len(titles) / count)
        cell = min(_MAX_CELL, (WIDTH_MM - _LEFT - _GAP * columns) / columns)
        while True:
            letters = max(8, int((cell + _GAP) / _LETTER))
            wrap = {"width": letters, "break_long_words": False}
            wrapped = [(key, textwrap.fill(title, **wrap)) for key, title in titles.items()]
            bands = [dict(wrapped[n : n + columns]) for n in range(0, len(wrapped), columns)]
            heads = [max(map(_head, band.values())) for band in bands]
            drawn = len(bands) * (sum(view.height(cell) + _PANEL_GAP for view in views))
            repeats = len(views) if len(bands) > 1 else 1
            height = drawn + repeats * sum(heads) + _FOOT
            if height <= _MAX_HEIGHT or cell <= _MIN_CELL:
                break
            cell = max(_MIN_CELL, cell * 0.97)
        left = (WIDTH_MM - _LEFT - columns * (cell + _GAP)) / 2 + _LEFT
        return cls(views, bands, cell, heads, height, left)


def _head(title: str) -> float:
    """Height of a title in mm."""
    return 1.5 + len(title.split("\n")) * _LINE


def _draw_column(
    page: Page,
    view: _View,
    key: str,
    x: float,
    top: float,
    layout: _Layout,
    first: bool,
    colours: Sequence[str],
) -> None:
    tissue = {"cmap": ListedColormap(["#000000", *colours]), "vmin": -0.5, "vmax": 3.5}
    y, marked = top, False
    for (kind, _, box), height in zip(view.lines, view.heights(layout.cell), strict=True):
        axes = page.axes(x, y, layout.cell, height)
        y += height + _GAP
        array = (view.panel.labels if kind == "labels" else view.panel.images).get(key)
        if array is None:
            if kind != "labels":
                show_missing(axes)
            continue
        show_slice(axes, array, box, **(tissue if kind == "labels" else GREY))
        if kind == "image":
            for roi in view.rois:
                outline(axes, roi)
        if first and kind != "labels":
            scale_bar(axes, box, view.panel.pixel_size)
        if first and kind != "closeup" and not marked:
            left_and_right(axes)
            marked = True


def _row_labels(page: Page, view: _View, layout: _Layout, top: float) -> None:
    left, middle = layout.left, top + view.height(layout.cell) / 2
    turned = {"rotation": 90, "ha": "center", "va": "center"}
    page.text(left - 8.3, middle, view.panel.title, **turned, fontsize=8, weight="bold")
    page.text(left - 5.1, middle, view.panel.subtitle, **turned, fontsize=5.5, color="0.25")
    y = top
    for (_, name, _), height in zip(view.lines, view.heights(layout.cell), strict=True):
        page.text(left - 1.8, y + height / 2, name, **turned, fontsize=6)
        y += height + _GAP


def _foot(page: Page, left: float, top: float, colours: Mapping[str, str], closeup: bool) -> None:
    """Colour bar, legend of the labels that are shown, and what letters and rectangles mean."""
    axes = page.axes(left, top + 0.5, 28, 2)
    bar = page.figure.colorbar(
        ScalarMappable(Normalize(0, 1), "gray"), cax=axes, orientation="horizontal"
    )
    bar.set_ticks([0, 0.5, 1])
    bar.ax.tick_params(labelsize=5.5, length=1.5, width=0.4, pad=1)
    bar.outline.set_linewidth(0.4)
    page.text(left, top + 8.2, "intensity 0..1, same scale in all cells", fontsize=5.5, va="center")
    if colours:
        page.figure.legend(
            handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
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
    notes = ["L, R: the subject's left and right (neurological convention)."]
    notes += ["White rectangle: the close-up."] if closeup else []
    page.text(page.width - 1, top + 0.3, "\n".join(notes), fontsize=5.5, ha="right", va="top")
