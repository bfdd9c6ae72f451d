"""Reformats of every method's volume across the slices it was made in, and their flicker."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from lmidiff.common.errors import StudyError
from lmidiff.evaluation.panel import SOURCE, TARGET
from lmidiff.evaluation.pictures import intensities, read_pictures
from lmidiff.evaluation.statistics import bootstrap_interval
from lmidiff.figures.canvas import GREY, Page, drawn_page
from lmidiff.figures.style import MARKERS, WIDTH_MM, line_look

_LABEL, _GAP, _ROW_GAP, _HEAD, _FOOT = 38.0, 0.8, 1.2, 7.0, 12.0
_PLOT = 44.0


def figure_through_plane(
    path: str | Path,
    flicker: pd.DataFrame,
    labels: Mapping[str, str],
    out_png: str | Path,
    out_pdf: str | Path,
    *,
    seed: int = 0,
) -> None:
    """Draw, a row a method, its coronal and sagittal reformats and its flicker.

    Args:
        path: the pictures that :func:`lmidiff.evaluation.through_plane.cut_reformats` kept.
        flicker: see :func:`lmidiff.evaluation.through_plane.flicker_table`.
        labels: column key -> printed name, in the order of the rows.
        seed: of the bootstrap of the mean flicker.

    Raises:
        StudyError: there is nothing to draw, or a file cannot be read or written.
    """
    pictures, index = read_pictures(path)
    sources = index["sources"]
    source = sources[0]
    rows = [key for key in (SOURCE, TARGET, *labels) if key in index["columns"][source]]
    if not rows:
        raise StudyError(f"{path}: holds no reformat")
    names = {SOURCE: f"source ({source})", TARGET: "true target", **labels}
    shapes = {plane: pictures[f"{source}/{TARGET}/{plane}"].shape for plane in index["planes"]}
    voxel = dict(zip("xyz", index["voxel_mm"], strict=True))
    sides = {"coronal": voxel["x"], "sagittal": voxel["y"]}
    wide = sum(shapes[plane][0] * sides[plane] for plane in shapes)
    tall = max(shape[1] for shape in shapes.values()) * voxel["z"]
    scale = (WIDTH_MM - _LABEL - _PLOT - 3 * _GAP - 4) / wide
    height = tall * scale
    tall = _HEAD + len(rows) * (height + _ROW_GAP) + _FOOT
    with drawn_page(tall, out_png, out_pdf) as page:
        for number, key in enumerate(rows):
            top = _HEAD + number * (height + _ROW_GAP)
            name = textwrap.fill(names[key], 27)
            page.text(_LABEL - 1.5, top + height / 2, name, ha="right", va="center", fontsize=6.5)
            x = _LABEL
            for plane, shape in shapes.items():
                width = shape[0] * sides[plane] * scale
                axes = page.axes(x, top, width, height)
                image = intensities(pictures[f"{source}/{key}/{plane}"])
                axes.imshow(np.rot90(image), aspect="auto", **GREY)
                if number == 0:
                    page.text(x + width / 2, top - 1, plane, ha="center", va="bottom")
                x += width + _GAP
        _flicker(page, flicker, rows, sources, height, seed)
        note = f"{index['subject']}, from {source}; a slice is {voxel['z']:g} mm from the next."
        page.text(_LABEL, page.height - 3, note, fontsize=6, va="bottom")


def _flicker(
    page: Page,
    flicker: pd.DataFrame,
    rows: Sequence[str],
    sources: Sequence[str],
    height: float,
    seed: int,
) -> None:
    """Mean flicker with its interval, at the height of each method's row, a marker a source."""
    pitch = height + _ROW_GAP
    axes = page.axes(WIDTH_MM - _PLOT - 1, _HEAD, _PLOT - 2, len(rows) * pitch, bare=False)
    colours = [line_look(number)["color"] for number in range(len(sources))]
    for number, source in enumerate(sources):
        for place, key in enumerate(rows):
            own = flicker[(flicker["source"] == source) & (flicker["method"] == key)]
            if own.empty:
                continue
            mean, low, high, _ = bootstrap_interval(own["flicker"].to_numpy(), seed=seed)
            y = place + 0.5 + (number - (len(sources) - 1) / 2) * 0.22
            look = {"color": colours[number]}
            axes.plot([low, high], [y, y], lw=1.2, **look)
            axes.plot(mean, y, marker=MARKERS[number % len(MARKERS)], ms=3, **look)
    axes.axvline(0, color="0.6", lw=0.6, zorder=0)
    axes.set(ylim=(len(rows), 0), yticks=[], xlabel="flicker [intensity, 0..1]\n(0: as the truth)")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", alpha=0.25, lw=0.4)
    handles = [
        Line2D([], [], color=colours[n], marker=MARKERS[n], ms=3, label=source)
        for n, source in enumerate(sources)
    ]
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False
    )
